"""The line that efs_mount writes into /etc/fstab, mounted by a real NFS 4.1 client from a real NFS 4.1 server.

The kernel of the machine that runs the tests may have no NFS client, so the client is a User Mode Linux with Debian's own
kernel, mount(8) and mount.nfs4. The server is nfs-ganesha with the lab's configuration. Needs root.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._efs import mount
from lab import engine
from lab.machines import nfs

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
PACKAGES = ["nfs-ganesha", "nfs-ganesha-vfs", "nfs-common", "user-mode-linux", "busybox-static"]
SERVER, CLIENT, TAP = "198.18.255.1", "198.18.255.2", "spotnfs0"
MODULES = ("nfsv4",)
BINARIES = ("/bin/mount", "/bin/umount", "/sbin/mount.nfs4")
INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /bin /proc /sys /dev /tmp /run /var/lib/nfs
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
export PATH=/usr/local/bin:/sbin:/bin
say() { echo "GUEST $*"; }
modprobe nfsv4
ip link set lo up
ip link set vec0 up
ip addr add CLIENT/24 dev vec0
mkdir -p /mnt/team
/usr/local/bin/mount /mnt/team && say mounted
say "options $(grep ' /mnt/team ' /proc/mounts)"
cat /mnt/team/from-host && dd if=/dev/zero of=/mnt/team/big bs=1M count=20 conv=fsync 2>/dev/null && say big
ln -s big /mnt/team/link && chmod 600 /mnt/team/big && chown 1000:1000 /mnt/team/big && say owned
say waiting
while [ ! -e /mnt/team/go ]; do sleep 1; done
say writing
echo survived > /mnt/team/after-restart && sync && say "survived $(cat /mnt/team/after-restart)"
/usr/local/bin/umount /mnt/team && say unmounted
poweroff -f
"""


def wanted() -> mount.Wanted:
    return mount.Wanted("team", "/mnt/team", file_system_id="fs-0123456789abcdef0", address=SERVER)


def line() -> str:
    """What efs_mount writes where the DNS name leads nowhere."""
    entry = mount.plan_mounted(wanted(), mount.Machine()).entry
    assert entry is not None
    return fstab.render(entry)


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    if not all(map(shutil.which, (nfs.SERVER, "linux.uml", "busybox"))) or not Path("/sbin/mount.nfs4").exists():
        engine.install_packages(PACKAGES, say=lambda _line: None)


@pytest.fixture
def tap() -> Iterator[None]:
    subprocess.run(["ip", "tuntap", "add", "dev", TAP, "mode", "tap"], check=True)
    subprocess.run(["ip", "address", "add", f"{SERVER}/24", "dev", TAP], check=True)
    subprocess.run(["ip", "link", "set", TAP, "up"], check=True)
    yield
    subprocess.run(["ip", "link", "delete", TAP], check=False)


class Server:
    """nfs-ganesha as the lab starts it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        (folder / "state").mkdir()
        (folder / "conf").write_text(nfs.config(self.data, SERVER, folder / "state"))
        self.argv = nfs.command(folder)
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection((SERVER, 2049), timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path, tap: None) -> Iterator[Server]:
    one = Server(tmp_path)
    one.start()
    yield one
    one.kill()


def libraries(binary: str) -> set[str]:
    """Files that the loader needs for a binary."""
    out = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(/\S+\.so\S*)", out))


def initramfs(folder: Path) -> Path:
    """Busybox, the real mount and its helper, the modules, and the fstab of an instance."""
    root = folder / "root"
    for directory in ("bin", "sbin", "etc", "usr/local/bin"):
        (root / directory).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox
    shutil.copy(busybox, root / "bin/busybox")
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet not in ("busybox", "mount", "umount"):
            (root / "bin" / applet).symlink_to("busybox")
    for binary in BINARIES:
        place = "sbin" if binary.startswith("/sbin") else "usr/local/bin"
        shutil.copy(binary, root / place / Path(binary).name)
        for library in libraries(binary):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    for name in ("netconfig", "protocols", "services", "nsswitch.conf"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), root / "etc" / name)
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc/fstab").write_text(line() + "\n")
    (root / "init").write_text(INIT.replace("CLIENT", CLIENT))
    (root / "init").chmod(0o755)
    copy_modules(root)
    listing = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    packed = subprocess.run(
        [busybox, "cpio", "-o", "-H", "newc"], cwd=root, input=listing.encode(), capture_output=True, check=True
    ).stdout
    image = folder / "initrd.gz"
    image.write_bytes(gzip.compress(packed, compresslevel=1))
    return image


def copy_modules(root: Path) -> None:
    """The NFS client and what it depends on."""
    (source,) = Path("/usr/lib/uml/modules").iterdir()
    target = root / "lib/modules" / source.name
    table = (source / "modules.dep").read_text().splitlines()
    found = {name: rest.split() for name, _, rest in (row.partition(":") for row in table)}
    for name, needs in found.items():
        if Path(name).stem in MODULES:
            for file in (name, *needs):
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / file, target / file)
    shutil.copy(source / "modules.dep", target / "modules.dep")


class Guest:
    """The User Mode Linux; what it says line by line."""

    def __init__(self, image: Path) -> None:
        self.lines: list[str] = []
        network = f"vec0:transport=tap,ifname={TAP},depth=128,gro=1"
        console = ["con=null", "con0=null,fd:1", "quiet", "panic=-1"]
        argv = ["linux.uml", "mem=256M", f"initrd={image}", network, *console, "root=/dev/ram0", "rdinit=/init"]
        temporary = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env={**os.environ, "TMPDIR": temporary}, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for text in self.process.stdout:
            self.lines.append(text.strip())

    def said(self, word: str, seconds: float = 120) -> str:
        """The first line with a word, once it is there."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for text in list(self.lines):
                if text.startswith(f"GUEST {word}"):
                    return text
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"no {word!r} from the guest:\n" + "\n".join(self.lines[-40:]))

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def guest(server: Server, tmp_path: Path) -> Iterator[Guest]:
    (server.data / "from-host").write_text("GUEST reads\n")
    one = Guest(initramfs(tmp_path))
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
    server.kill()
    (server.data / "go").touch()
    time.sleep(5)
    assert not any("survived" in text for text in guest.lines), "nothing can be written while the server is gone"
    assert not any("error" in text.lower() and "GUEST" in text for text in guest.lines)
    server.start()
    assert guest.said("survived") == "GUEST survived survived"
    guest.said("unmounted")
    assert (server.data / "after-restart").read_text() == "survived\n"
