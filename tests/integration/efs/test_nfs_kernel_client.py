"""The line that efs_mount writes into /etc/fstab, mounted by a real NFS 4.1 client from a real NFS 4.1 server.

The kernel of the machine that runs the tests may have no NFS client, so the client is a guest (`nfs_guest.py`). The
server is nfs-ganesha with the lab's configuration. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import nfs_guest
import pytest
from nfs_guest import PATIENCE, Guest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._efs import mount
from lab import engine
from lab.machines import nfs

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the guest has this machine's programs, and an x86_64"),
]
PACKAGES = ["nfs-ganesha", "nfs-ganesha-vfs"]
ADDRESSES = [f"192.0.2.{host}" for host in range(1, 255)]  # for documentation (RFC 5737): nobody is there
SCRIPT = """\
mkdir -p /mnt/team
/usr/local/bin/mount /mnt/team
say mounted
say "options $(grep ' /mnt/team ' /proc/mounts)"
cat /mnt/team/from-host
dd if=/dev/zero of=/mnt/team/big bs=1M count=20 conv=fsync 2>/dev/null
say big
ln -s big /mnt/team/link
chmod 600 /mnt/team/big
chown 1000:1000 /mnt/team/big
say owned
say waiting
read -r _
say writing
echo survived > /mnt/team/after-restart
sync
say "survived $(cat /mnt/team/after-restart)"
/usr/local/bin/umount /mnt/team
say unmounted
"""


def line(address: str) -> str:
    """What efs_mount writes where the DNS name leads nowhere."""
    wanted = mount.Wanted("team", "/mnt/team", file_system_id="fs-0123456789abcdef0", address=address)
    entry = mount.plan_mounted(wanted, mount.Machine()).entry
    assert entry is not None
    return fstab.render(entry)


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    if not shutil.which(nfs.SERVER):
        engine.install_packages(PACKAGES, say=lambda _line: None)
    nfs_guest.install()


@pytest.fixture
def address() -> Iterator[str]:
    """An address of this run's own: the line can name no port, and others may serve NFS on this machine too."""
    for one in ADDRESSES:
        done = subprocess.run(
            ["ip", "address", "add", f"{one}/32", "dev", "lo"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            yield one
            subprocess.run(["ip", "address", "delete", f"{one}/32", "dev", "lo"], check=True)
            return
    pytest.fail(f"no address for the server: {done.stderr}")


class Server:
    """nfs-ganesha as the lab starts it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.address = address
        self.data = folder / "data"
        self.data.mkdir()
        (folder / "state").mkdir()
        (folder / "conf").write_text(nfs.config(self.data, address, folder / "state"))
        self.argv = nfs.command(folder)
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self.address, nfs.NFS_PORT), timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text() if self.log.exists() else f"{self.argv} said nothing")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    @contextlib.contextmanager
    def absent(self) -> Iterator[socket.socket]:
        """Dead, and in its place a port that only listens."""
        self.kill()
        with socket.create_server((self.address, nfs.NFS_PORT)) as door:
            door.settimeout(PATIENCE)
            yield door
        self.start()


def wait_for_a_call(door: socket.socket) -> None:
    """Until a client has connected and asks for something."""
    caller, _ = door.accept()
    with caller:
        caller.settimeout(PATIENCE)
        assert caller.recv(1), "the client hung up before it has asked for anything"


@pytest.fixture
def server(tmp_path: Path, address: str) -> Iterator[Server]:
    one = Server(tmp_path, address)
    try:
        one.start()
        yield one
    finally:
        one.kill()


@pytest.fixture
def guest(server: Server, tmp_path: Path) -> Iterator[Guest]:
    (server.data / "from-host").write_text(f"{nfs_guest.PREFIX}reads\n")
    one = Guest(nfs_guest.command(*nfs_guest.images(tmp_path, line(server.address), SCRIPT)))
    yield one
    one.end()


def test_a_kernel_mounts_it_writes_reads_and_outlives_a_restart_of_the_server(server: Server, guest: Guest) -> None:
    guest.said("mounted")
    options = guest.said("options")
    # Names in the kernel's own words; noresvport and hard are what AWS asks for.
    for option in (
        "nfs4",
        "vers=4.1",
        "rsize=1048576",
        "wsize=1048576",
        "hard",
        "timeo=600",
        "retrans=2",
        "noresvport",
    ):
        assert option in options, options
    guest.said("reads")
    guest.said("big")
    guest.said("owned")
    big = server.data / "big"
    assert big.stat().st_size == 20 * 1024 * 1024
    assert (big.stat().st_uid, big.stat().st_gid, big.stat().st_mode & 0o777) == (1000, 1000, 0o600)
    assert os.readlink(server.data / "link") == "big"

    guest.said("waiting")
    with server.absent() as door:
        guest.type("go")
        guest.said("writing")
        wait_for_a_call(door)
        assert not any("survived" in text for text in guest.lines), "nothing can be written while the server is gone"
        assert not any("error" in text.lower() and "GUEST" in text for text in guest.lines)
    assert guest.said("survived") == "GUEST survived survived"
    guest.said("unmounted")
    assert (server.data / "after-restart").read_text() == "survived\n"
