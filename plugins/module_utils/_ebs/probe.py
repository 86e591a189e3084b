# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read everything about a block device and a mount point that a decision needs; change nothing.

PRIVATE to the collection. The proof that a device is empty has several parts because `blkid -p` answers 2 for an empty
device, for raw data and for a missing device alike, and mkfs asks nothing.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable

from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import Found
from ansible_collections.experiments.spot.plugins.module_utils._ebs.fstab import unescape

Run = Callable[[list[str]], tuple[int, str, str]]

MIB = 1024 * 1024
HEAD = 64 * MIB  # read in full: partition tables, boot blocks and superblocks of all kinds live here
SAMPLES = 256  # further reads over the whole device: a twentieth used is missed twice in a million
SAMPLE = 4096
ZEROS = bytes(MIB)


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo: where, and the device as major:minor and as a name.

    `read_only`: the mount, or the whole file system, as after an error. Source: proc(5).
    """

    mount_point: str
    devno: str
    source: str
    fs_type: str
    options: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class Probe:
    """What is known of a block device.

    Attributes:
        data_at: offset in bytes of the first byte found that is not zero, None when none was found.
        blkid: the pairs of `blkid -p -o export`.
        signatures: the types that `wipefs -n` lists, None when it failed.
        fs_bytes: size that the file system believes to have, None when unknown.
        busy: the kernel refuses to open the device exclusively.
        part_of: the disk whose partition this is, '' for a whole disk.
    """

    device: str
    how: str
    serial: str | None
    is_block: bool
    size_bytes: int
    blkid_rc: int
    blkid: dict[str, str] = field(default_factory=dict)
    signatures: list[str] | None = None
    data_at: int | None = None
    mounted_at: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)
    partitions: list[str] = field(default_factory=list)
    fs_bytes: int | None = None
    busy: bool = False
    part_of: str = ""


@dataclass(frozen=True)
class Place:
    """What is known of a mount point. `mounted` is the top most mount there; `uid`, `gid`, `mode` are of its root."""

    path: str
    exists: bool = False
    is_dir: bool = False
    entries: int = 0
    mounted: Mount | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None


def parse_export(text: str) -> dict[str, str]:
    """The KEY=value lines of `blkid -o export`."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def parse_wipefs(text: str) -> list[str]:
    """Types in the output of `wipefs -n -p`: lines of offset,uuid,label,type."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.rsplit(",", 1)[-1] for line in lines]


def parse_mountinfo(text: str) -> list[Mount]:
    """All mounts in the order in which they were made. Source: proc_pid_mountinfo(5)."""
    mounts = []
    for line in text.splitlines():
        left, found, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if found and len(fields) > 5 and len(tail) > 1:
            read_only = "ro" in [*fields[5].split(","), *tail[-1].split(",")]
            mounts.append(Mount(unescape(fields[4]), fields[2], unescape(tail[1]), tail[0], fields[5], read_only))
    return mounts


def offsets(size: int, full: bool = False) -> Iterator[tuple[int, int]]:
    """The (offset, length) pieces to read: all of it, or its head, even samples and its last MiB."""
    step = MIB
    head = size if full else min(HEAD, size)
    for start in range(0, head, step):
        yield start, min(step, head - start)
    if head == size:
        return
    gap = max((size - head) // SAMPLES, SAMPLE)
    for start in range(head, size, gap):
        yield start, min(SAMPLE, size - start)
    yield max(size - MIB, head), min(MIB, size - head)


def first_data(fd: int, size: int, full: bool = False) -> int | None:
    """Offset of the first byte that is not zero among the pieces read, None when all are zero."""
    advice = None
    for start, length in offsets(size, full):
        # Reading ahead helps with large pieces and is in vain, some MiB each, with samples.
        better = os.POSIX_FADV_RANDOM if length <= SAMPLE else os.POSIX_FADV_SEQUENTIAL
        if better != advice:
            os.posix_fadvise(fd, 0, 0, better)
            advice = better
        piece = os.pread(fd, length, start)
        if piece != ZEROS[: len(piece)]:
            return start + len(piece) - len(piece.lstrip(b"\0"))
    return None


def ext_bytes(block: bytes) -> int | None:
    """Size of an ext2/3/4 file system from its first 4 KiB. Source: Linux, Documentation/filesystems/ext4/super.rst."""
    if len(block) < 2048 or struct.unpack_from("<H", block, 1024 + 0x38)[0] != 0xEF53:
        return None
    low, log_size = struct.unpack_from("<I", block, 1024 + 4)[0], struct.unpack_from("<I", block, 1024 + 0x18)[0]
    is_64bit = struct.unpack_from("<I", block, 1024 + 0x60)[0] & 0x80
    high = struct.unpack_from("<I", block, 1024 + 0x150)[0] if is_64bit else 0
    return int((high << 32 | low) << (10 + log_size))


def xfs_bytes(block: bytes) -> int | None:
    """Size of an XFS file system from its first 4 KiB. Source: XFS Algorithms & Data Structures, "Superblocks"."""
    if len(block) < 16 or block[:4] != b"XFSB":
        return None
    block_size, blocks = struct.unpack_from(">IQ", block, 4)
    return int(block_size * blocks)


def parse_xfs_geometry(text: str) -> int | None:
    """Size of a mounted XFS in the output of `xfs_growfs -n`; its superblock on disk may be older than the truth."""
    match = re.search(r"^data\s+=\s+bsize=(\d+)\s+blocks=(\d+)", text, re.MULTILINE)
    return int(match.group(1)) * int(match.group(2)) if match else None


def read_mounts(root: str = "/") -> list[Mount]:
    """Mounts of this mount namespace."""
    with open(os.path.join(root, "proc/self/mountinfo"), encoding="utf-8", errors="surrogateescape") as stream:
        return parse_mountinfo(stream.read())


def is_busy(device: str) -> bool:
    """Whether something in the kernel, in whatever namespace, holds the device (mount, swap, dm, md)."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError:
        return True
    return False


def devno_of(device: str) -> str:
    """Number of a device, major:minor, as in mountinfo."""
    number = os.stat(device).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def _sys_dir(status: os.stat_result, root: str) -> str:
    return os.path.join(root, f"sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _read_content(device: str, empty_so_far: bool, full: bool) -> tuple[int, int | None, int | None]:
    """Size, offset of data (looked for only where no signature is known), size by the file system's own account."""
    fd = os.open(device, os.O_RDONLY)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        block = os.pread(fd, 4096, 0)
        data_at = first_data(fd, size, full) if empty_so_far else None
        return size, data_at, ext_bytes(block) or xfs_bytes(block)
    finally:
        os.close(fd)


def probe_device(found: Found, run: Run, full: bool = False, root: str = "/") -> Probe:
    """Read a device.

    Args:
        found: the device.
        run: runs a command: argv to (exit status, stdout, stderr).
        full: read every byte where emptiness is to be proven, not samples.
        root: where /sys and /proc are (tests).

    Raises:
        OSError: the device cannot be read.
    """
    status = os.stat(found.path)
    if not stat.S_ISBLK(status.st_mode):
        return Probe(found.path, found.how, found.serial, False, 0, 2)
    sys_dir = _sys_dir(status, root)
    devno = os.path.basename(sys_dir)
    rc, out, _err = run(["blkid", "-p", "-c", "/dev/null", "-o", "export", found.path])
    wipe_rc, wipe_out, _err = run(["wipefs", "-n", "-p", found.path])
    blkid = parse_export(out)
    size, data_at, fs_bytes = _read_content(found.path, rc == 2, full)
    mounted_at = [mount.mount_point for mount in read_mounts(root) if mount.devno == devno]
    if mounted_at and blkid.get("TYPE") == "xfs":
        fs_bytes = parse_xfs_geometry(run(["xfs_growfs", "-n", mounted_at[0]])[1])
    return Probe(
        device=found.path,
        how=found.how,
        serial=found.serial,
        is_block=True,
        size_bytes=size,
        blkid_rc=rc,
        blkid=blkid,
        signatures=parse_wipefs(wipe_out) if wipe_rc == 0 else None,
        data_at=data_at,
        mounted_at=mounted_at,
        holders=_names(os.path.join(sys_dir, "holders")),
        partitions=[n for n in _names(sys_dir) if os.path.exists(os.path.join(sys_dir, n, "partition"))],
        fs_bytes=fs_bytes,
        busy=is_busy(found.path),
        part_of=found.part_of,
    )


def probe_place(path: str, root: str = "/") -> Place:
    """Read a mount point. Entries are counted only while nothing is mounted there."""
    mounts = [mount for mount in read_mounts(root) if mount.mount_point == path]
    try:
        status = os.stat(path)
    except OSError:
        return Place(path, mounted=mounts[-1] if mounts else None)
    is_dir = stat.S_ISDIR(status.st_mode)
    return Place(
        path=path,
        exists=True,
        is_dir=is_dir,
        entries=0 if mounts or not is_dir else len(os.listdir(path)),
        mounted=mounts[-1] if mounts else None,
        uid=status.st_uid,
        gid=status.st_gid,
        mode=stat.S_IMODE(status.st_mode),
    )
