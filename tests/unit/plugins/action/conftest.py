"""A real sshd on 127.0.0.1 with its own keys, and action plugins run without a playbook around them."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass
class Sshd:
    """A running sshd and what is needed to log in."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    sockets: Path
    alias: str = "i-0123456789abcdef0"
    user: str = field(default_factory=getpass.getuser)
    address: str = "127.0.0.1"

    @property
    def key(self) -> str:
        return str(self.directory / "id")

    @property
    def control_path(self) -> str:
        # Not below pytest's directory: the path of a socket is limited to about 100 characters.
        return str(self.sockets / "%C")

    @property
    def host_key(self) -> str:
        return (self.directory / "host.pub").read_text().rsplit(" ", 1)[0]

    @property
    def known_hosts(self) -> str:
        return str(self.directory / "known_hosts")

    def options(self, name: str) -> Any:
        """The options as Ansible's ssh connection would give them."""
        return {
            "host": self.address,
            "remote_user": self.user,
            "port": self.port,
            "private_key_file": self.key,
            "ssh_args": "-o ControlMaster=auto -o ControlPersist=60",
            "ssh_common_args": f"-o HostKeyAlias={self.alias} -o UserKnownHostsFile={self.known_hosts}"
            " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
            "control_path": self.control_path.replace("%", "%%"),
        }.get(name)


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_sshd(directory: Path) -> Sshd:
    """Starts an sshd with fresh keys; its known_hosts knows it under the alias."""
    for name in ("host", "id"):
        _keygen(directory / name)
    shutil.copy(directory / "id.pub", directory / "authorized_keys")
    port = _free_port()
    if os.geteuid() == 0:
        # sshd's privilege separation directory; the service's start script makes it otherwise.
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    (directory / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {directory}/authorized_keys\nPasswordAuthentication no\nStrictModes no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n"
    )
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(directory / "sshd_config")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(directory / "sshd.log").open("wb"),
    )
    server = Sshd(directory, port, process, Path(tempfile.mkdtemp(prefix="spot-")))
    (directory / "known_hosts").write_text(f"{server.alias} {server.host_key}\n")
    for _attempt in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.05)
    raise RuntimeError((directory / "sshd.log").read_text())


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if not os.access(SSHD, os.X_OK) or shutil.which("rsync") is None:
        pytest.skip("needs the Debian packages openssh-server and rsync")
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    _ssh.close_master(_ssh.connection_target(server.options))
    server.process.terminate()
    server.process.wait()
    shutil.rmtree(server.sockets)


@pytest.fixture
def make_action(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Builds an action plugin with arguments, and collects what it shows in ``shown``."""

    def build(
        module: Any,
        args: dict[str, Any],
        option: Callable[[str], Any] | None = None,
        *,
        check_mode: bool = False,
        diff: bool = False,
        transport: str = "ssh",
    ) -> Any:
        shown: list[str] = []
        monkeypatch.setattr(module.display, "display", lambda text, *_a, **_k: shown.append(text), raising=False)
        task = SimpleNamespace(args=args, check_mode=check_mode, diff=diff, async_val=0, action="test", _ds=None)
        connection = SimpleNamespace(
            transport=transport,
            get_option=option or (lambda _name: None),
            _shell=SimpleNamespace(tmpdir=None),
        )
        plugin = module.ActionModule(task, connection, None, None, None, None)
        plugin.shown = shown
        return plugin

    return build
