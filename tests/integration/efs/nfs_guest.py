"""A small machine with Debian's own kernel, mount(8) and mount.nfs4: an NFS client where the host's kernel has none.

QEMU computes every instruction (TCG): this runs on any processor, inside any virtual machine, and boots in some ten
seconds. KVM is not asked for: a /dev/kvm that is there and accepted may still never start a kernel.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from lab import engine

PACKAGES = ["qemu-system-x86", "nfs-common", "busybox-static"]
KERNEL = "linux-image-cloud-amd64"  # only names the newest kernel; without drivers for real hardware, and with NFS
MODULES = ("virtio_pci", "virtio_net", "nfsv4")
BINARIES = ("/bin/mount", "/bin/umount", "/sbin/mount.nfs4")
PATIENCE = 300.0  # seconds; the machine that runs the tests may have much else to do
PREFIX = "GUEST "
# The guest's end of QEMU's user network, whose gateway leads to every address that the host reaches, also its own.
NETWORK, ADDRESS, GATEWAY = "10.0.2.0/24", "10.0.2.15/24", "10.0.2.2"
PREPARE = f"""\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
export PATH=/usr/local/bin:/sbin:/bin
say() {{ echo "{PREFIX}$*"; }}
trap 'poweroff -f' EXIT  # also after what fails: the test then need not wait
set -e
for module in {" ".join(MODULES)}; do modprobe $module; done
ip link set lo up
ip link set eth0 up
ip addr add {ADDRESS} dev eth0
ip route add default via {GATEWAY}
"""


def install() -> None:
    """The packages that are missing; the kernel's is never installed, it is none of this machine's."""
    if not all(map(shutil.which, ("qemu-system-x86_64", "busybox"))) or not Path("/sbin/mount.nfs4").exists():
        engine.install_packages(PACKAGES, say=lambda _line: None)


def kernel_package() -> Path:
    """Debian's newest kernel as a package, fetched once into the lab's cache."""
    folder = engine.cache_dir() / "guest-kernel"
    folder.mkdir(exist_ok=True)
    with engine.locked("guest-kernel", say=lambda _line: None):
        found = next(iter(folder.glob("*.deb")), None)
        return found or fetch_kernel(folder)


def fetch_kernel(folder: Path) -> Path:
    """Download the package that KERNEL needs; the lists of packages may be too old to know what the mirror has."""
    subprocess.run(["apt-get", "update", "-qq", "-o", "Acquire::Retries=5"], check=True)
    said = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=False).stdout
    name = re.search(r"Depends: (linux-image-\S+)", said)
    if not name:
        pytest.skip(f"no kernel for the guest: this distribution has no {KERNEL}")
    with tempfile.TemporaryDirectory(dir=folder) as new:
        subprocess.run(["apt-get", "download", "-qq", "-o", "Acquire::Retries=5", name[1]], cwd=new, check=True)
        (package,) = Path(new).glob("*.deb")
        return package.rename(folder / package.name)


def libraries(binary: str) -> set[str]:
    """Files that the loader needs for a binary."""
    out = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(/\S+\.so\S*)", out))


def copy_programs(root: Path, busybox: str) -> None:
    """Busybox, the real mount and its helper with their libraries."""
    for directory in ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "run", "var/lib/nfs", "usr/local/bin"):
        (root / directory).mkdir(parents=True)
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


def copy_modules(unpacked: Path, root: Path, busybox: str) -> None:
    """The drivers, the NFS client and what they depend on; the package leaves it to its installation to find that."""
    (source,) = [*unpacked.glob("lib/modules/*"), *unpacked.glob("usr/lib/modules/*")]  # Debian 12; 13
    subprocess.run([busybox, "depmod", "-b", str(source.parents[2]), source.name], check=True)
    table = (source / "modules.dep").read_text().splitlines()
    rows = [(name, rest.split()) for name, _, rest in (row.partition(":") for row in table)]
    files = {file for name, needs in rows if Path(name).name.split(".")[0] in MODULES for file in (name, *needs)}
    target = root / "lib/modules" / source.name
    for file in (*files, "modules.dep", "modules.builtin"):  # one of MODULES may be a part of the kernel
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / file, target / file)


def images(folder: Path, fstab: str, script: str) -> tuple[Path, Path]:
    """The kernel, and an initramfs that has the fstab of an instance and runs a script."""
    unpacked, root = folder / "unpacked", folder / "root"
    kernel, initramfs = folder / "vmlinuz", folder / "initramfs"
    busybox = shutil.which("busybox")
    assert busybox
    subprocess.run(["dpkg-deb", "--extract", str(kernel_package()), str(unpacked)], check=True)
    copy_programs(root, busybox)
    copy_modules(unpacked, root, busybox)
    (root / "etc/fstab").write_text(fstab + "\n")
    (root / "init").write_text(PREPARE + script)
    (root / "init").chmod(0o755)
    listing = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with initramfs.open("wb") as file:
        argv = [busybox, "cpio", "-o", "-H", "newc"]
        subprocess.run(argv, cwd=root, input=listing.encode(), stdout=file, stderr=subprocess.DEVNULL, check=True)
    (image,) = (unpacked / "boot").glob("vmlinuz-*")
    image.rename(kernel)
    shutil.rmtree(unpacked)  # 100 MB that pytest would keep
    return kernel, initramfs


def command(kernel: Path, initramfs: Path) -> list[str]:
    """The machine: its console is our standard input and output, and it ends when its kernel does."""
    return [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-no-user-config",
        "-display", "none", "-serial", "stdio", "-no-reboot",
        "-netdev", f"user,id=lan,net={NETWORK},host={GATEWAY}", "-device", "virtio-net-pci,netdev=lan,romfile=",
        "-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet panic=-1",
    ]  # fmt: skip


class Guest:
    """The machine; what it says line by line."""

    def __init__(self, argv: list[str]) -> None:
        self.lines: list[str] = []
        self.ended = False
        self.news = threading.Condition()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for raw in self.process.stdout:
            with self.news:
                self.lines.append(raw.decode(errors="replace").strip())
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def _line(self, word: str) -> str | None:
        return next((text for text in self.lines if text.startswith(PREFIX + word)), None)

    def said(self, word: str) -> str:
        """The first line with a word, once it is there."""
        with self.news:
            in_time = self.news.wait_for(lambda: self.ended or self._line(word), timeout=PATIENCE)
            text = self._line(word)
        if text:
            return text
        why = "its machine ended" if in_time else f"nor did its machine end, for {PATIENCE:.0f} s"
        raise AssertionError(f"no {word!r} from the guest, {why}; its console:\n" + "\n".join(self.lines))

    def type(self, text: str) -> None:
        """A line at the console's keyboard, which needs no network."""
        assert self.process.stdin
        os.write(self.process.stdin.fileno(), f"{text}\n".encode())

    def end(self) -> None:
        """Switch it off."""
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
