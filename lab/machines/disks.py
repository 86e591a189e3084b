"""EBS volumes: sparse files on the host, loop devices while attached, Nitro's names inside the machine.

Device names and links are those of Nitro instances. Source: EC2 User Guide "Amazon EBS volumes and NVMe". The serial
number of a loop device cannot be set, so what reads it on a real machine must use the link in /dev/disk/by-id here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.machines.shell import CommandError, attempt, run

GIB = 2**30
PIECE = 4 * 2**20  # bytes that are copied at once
LINK = "nvme-Amazon_Elastic_Block_Store_"
# Source: linux/loop.h, struct loop_info64: its length, where its flags are, and the one of a removal that waits. It
# begins with device and inode of the file.
CLEAR, SET_STATUS, GET_STATUS = 0x4C01, 0x4C04, 0x4C05
INFO_BYTES, FLAGS_AT, AUTOCLEAR = 232, 52, 4


@dataclass(frozen=True)
class Device:
    """A volume as a machine sees it: `/dev/nvme<index>n1`, and the loop device of the host behind it."""

    volume_id: str
    index: int
    loop: str
    major: int
    minor: int

    @property
    def node(self) -> str:
        """Name below /dev."""
        return f"nvme{self.index}n1"

    @property
    def link(self) -> str:
        """Name below /dev/disk/by-id."""
        return by_id(self.volume_id)


def by_id(volume_id: str) -> str:
    """udev's name for a volume: its id without the hyphen is the NVMe serial number."""
    return LINK + volume_id.replace("-", "")


def free_index(devices: Iterable[Device]) -> int:
    """The lowest NVMe number not in use; 0 is the root disk."""
    used = {device.index for device in devices}
    return next(index for index in range(1, 256) if index not in used)


def tmpfiles(devices: Iterable[Device]) -> str:
    """The same devices as lines of tmpfiles.d, so that they exist before a booting machine mounts its disks."""
    lines = ["# Disks of this machine, present before anything is mounted.", "d /dev/disk/by-id 0755 root root -"]
    for device in devices:
        lines.append(f"b+ /dev/{device.node} 0660 root disk - {device.major}:{device.minor}")
        lines.append(f"L+ /dev/disk/by-id/{device.link} - - - - ../../{device.node}")
    return "\n".join(lines) + "\n"


def loops_below(listing: str, directory: str) -> list[tuple[str, str]]:
    """Loop devices backed by files of a directory: (device, file), from the output of `losetup --json --list`."""
    rows = json.loads(listing or "{}").get("loopdevices", [])
    files = [(str(row["name"]), str(row["back-file"]).removesuffix(" (deleted)")) for row in rows if row["back-file"]]
    return [(name, file) for name, file in files if file.startswith(directory.rstrip("/") + "/")]


def attached_loops(directory: Path) -> list[tuple[str, str]]:
    """What the host has attached from a directory now."""
    return loops_below(run(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"]), str(directory))


def is_busy(loop: str) -> bool:
    """Whether something has the device mounted or open exclusively, in whatever namespace."""
    try:
        os.close(os.open(loop, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


@contextlib.contextmanager
def opened(loop: str, file: str) -> Iterator[tuple[int, bytearray] | None]:
    """A loop device and what the kernel tells of it, or None where it is not, or no longer, the one of this file.

    While it is open here nobody else can get its number: between a look at all of them and the next step it may have
    become free, and another volume's, also one of another lab.
    """
    try:
        device = os.open(loop, os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        info, wanted = bytearray(INFO_BYTES), os.stat(file)
        fcntl.ioctl(device, GET_STATUS, info)
        ours = struct.unpack_from("QQ", info) == (wanted.st_dev, wanted.st_ino)
    except OSError:
        ours = False
    try:
        yield (device, info) if ours else None
    finally:
        os.close(device)


def keeps(loop: str, file: str) -> bool:
    """Takes back a removal that waits until the last one lets go; False where the file has the device no longer.

    Whoever only looks for a moment delays it, as udev does.
    """
    with opened(loop, file) as found, contextlib.suppress(OSError):
        if found is not None:
            device, info = found
            (flags,) = struct.unpack_from("I", info, FLAGS_AT)
            if flags & AUTOCLEAR:
                struct.pack_into("I", info, FLAGS_AT, flags & ~AUTOCLEAR)
                fcntl.ioctl(device, SET_STATUS, info)
            return True
    return False


def let_go(loop: str, file: str) -> bool:
    """Takes the device from a file, or lets the kernel do so when nothing holds it any more. False if it refused."""
    if not os.path.exists(file):  # removed by hand; there is nothing to recognise the device by
        return attempt(["losetup", "--detach", loop])
    with opened(loop, file) as found, contextlib.suppress(OSError):
        if found is not None:
            fcntl.ioctl(found[0], CLEAR)
        return True
    return False


class Disks:
    """The volumes and snapshots of one lab."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)

    def file(self, name: str) -> Path:
        """The file behind a volume or snapshot id."""
        return self.directory / f"{name}.img"

    def create(self, volume_id: str, size_gib: int, snapshot_id: str = "") -> Path:
        """Make the file of a volume unless it exists: a copy of its snapshot, or zeros."""
        file = self.file(volume_id)
        if not file.exists():
            source = self.file(snapshot_id) if snapshot_id else None
            if source and source.exists():
                sparse_copy(source, file)
            with open(file, "ab") as handle:
                handle.truncate(size_gib * GIB)
        return file

    def attach(self, volume_id: str, size_gib: int, snapshot_id: str, index: int) -> Device:
        """Give a volume a loop device; one it still has is used again."""
        with self._lock:
            file = self.create(volume_id, size_gib, snapshot_id)
            loop = self.loop(volume_id)
            if not loop or not keeps(loop, str(file)):
                loop = run(["losetup", "--find", "--show", str(file)]).strip()
        number = os.stat(loop).st_rdev
        return Device(volume_id, index, loop, os.major(number), os.minor(number))

    def loop(self, volume_id: str) -> str:
        """The loop device of a volume, "" without one."""
        name = str(self.file(volume_id))
        return next((loop for loop, file in attached_loops(self.directory) if file == name), "")

    def release(self, volume_id: str) -> None:
        """Take the loop device away, or let the kernel do so."""
        with self._lock:
            loop = self.loop(volume_id)
            if loop:
                let_go(loop, str(self.file(volume_id)))

    def resize(self, volume_id: str, size_gib: int) -> None:
        """Make a volume larger, also while it is in use."""
        file = self.file(volume_id)
        if not file.exists():  # one never attached gets its size when it is
            return
        os.truncate(file, size_gib * GIB)
        loop = self.loop(volume_id)
        if loop:
            run(["losetup", "--set-capacity", loop])

    def snapshot(self, volume_id: str, snapshot_id: str, tell: Callable[[int], None] = lambda _percent: None) -> None:
        """Copy what has reached the disk by now, as EBS does; a volume never attached has only zeros.

        Args:
            volume_id: the volume.
            snapshot_id: name of the copy.
            tell: is told the per cent that are copied.
        """
        source = self.file(volume_id)
        if source.exists():
            sparse_copy(source, self.file(snapshot_id), tell)

    def delete(self, name: str) -> None:
        """Remove the data of a volume or snapshot."""
        self.release(name)
        self.file(name).unlink(missing_ok=True)


def sparse_copy(source: Path, target: Path, tell: Callable[[int], None] = lambda _percent: None) -> None:
    """Copy a file and keep its holes; the target appears only when it is whole."""
    part = target.with_suffix(".part")
    with open(source, "rb") as reader, open(part, "wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        for start, length in pieces(reader.fileno(), size):
            # A copy by read and write: not all file systems can copy a range by themselves.
            os.pwrite(writer.fileno(), os.pread(reader.fileno(), length, start), start)
            tell(100 * (start + length) // size)
    part.replace(target)


def pieces(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of all that is not a hole, in pieces of a few MiB. Source: lseek(2), SEEK_DATA, SEEK_HOLE."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        for offset in range(start, end, PIECE):
            yield offset, min(PIECE, end - offset)


def show(devices_dir: Path, device: Device) -> None:
    """Make node and link in a running machine's /dev, seen through /proc/PID/root."""
    links = devices_dir / "disk" / "by-id"
    links.mkdir(parents=True, exist_ok=True)
    node = devices_dir / device.node
    node.unlink(missing_ok=True)
    os.mknod(node, 0o660 | stat.S_IFBLK, os.makedev(device.major, device.minor))
    os.chown(node, 0, 6)  # group disk, as udev does
    link = links / device.link
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../{device.node}")


def hide(devices_dir: Path, device: Device) -> None:
    """Remove node and link from a running machine's /dev; a machine that is gone is no error."""
    with contextlib.suppress(OSError):
        (devices_dir / "disk" / "by-id" / device.link).unlink(missing_ok=True)
        (devices_dir / device.node).unlink(missing_ok=True)


def release_all(directory: Path) -> list[str]:
    """Detach every loop device of a lab; returns those that something still holds."""
    try:
        found = attached_loops(directory)
    except CommandError:
        return []
    return [loop for loop, file in found if not let_go(loop, file)]
