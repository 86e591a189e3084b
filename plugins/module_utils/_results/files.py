# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of the instance: what is there, what is being written, and their hashes.

Part of what runs on the instance, as root.
Source: proc(5), /proc/PID/fd and /proc/PID/fdinfo (flags in octal digits).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from . import plan
from .plan import File

PROC = "/proc"
CHUNK = 1 << 20
KEY_BYTES = 800
BAD_NAME = "the name cannot be a key of S3: it is no UTF-8, has control characters or is too long; rename the file"
WRITING = os.O_WRONLY | os.O_RDWR

Inode = tuple[int, int]


def being_written() -> set[Inode]:
    """Device and inode of every file that a process has open for writing, those in containers too."""
    found: set[Inode] = set()
    for pid in filter(str.isdigit, os.listdir(PROC)):
        try:
            numbers = os.listdir(f"{PROC}/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            inode = _written(pid, number)
            if inode:
                found.add(inode)
    return found


def _written(pid: str, number: str) -> Inode | None:
    try:
        if not os.readlink(f"{PROC}/{pid}/fd/{number}").startswith("/"):
            return None  # a pipe, a socket
        with open(f"{PROC}/{pid}/fdinfo/{number}", encoding="ascii") as stream:
            flags = next((int(line.split()[1], 8) for line in stream if line.startswith("flags:")), 0)
        if not flags & WRITING:
            return None
        found = os.stat(f"{PROC}/{pid}/fd/{number}")
    except (OSError, ValueError, IndexError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def scan(
    names: Mapping[str, str], exclude: Iterable[str], checkpoints: Iterable[str], written: set[Inode]
) -> Iterator[File]:
    """All files to push; links to files count as files, links to directories and special files as nothing.

    Args:
        names: see `plan.names_of`; a directory that is not there has no files.
        exclude: patterns of the user.
        checkpoints: patterns of what must be whole.
        written: see `being_written`.
    """
    left_out = (*plan.EXCLUDED, *exclude)
    for name, root in names.items():
        for path in _walk(root, left_out):
            one = _file(name, root, path, written)
            if one is not None:
                group = plan.group_of(path, checkpoints)
                yield File(**{**one.__dict__, "group": f"{name}:{group}" if group else ""})


def _walk(root: str, left_out: tuple[str, ...]) -> Iterator[str]:
    for folder, folders, found in os.walk(root):
        inner = os.path.relpath(folder, root)
        folders[:] = sorted(one for one in folders if not plan.matches(_below(inner, one), left_out))
        yield from (_below(inner, one) for one in sorted(found) if not plan.matches(_below(inner, one), left_out))


def _below(inner: str, name: str) -> str:
    return name if inner == "." else f"{inner}/{name}"


def _file(name: str, root: str, path: str, written: set[Inode]) -> File | None:
    if not is_key(path):
        return File(name, path.encode("utf-8", "backslashreplace").decode(), 0, busy=BAD_NAME)
    try:
        found = os.stat(os.path.join(root, path))
    except OSError:
        return None  # removed meanwhile, or a link to nothing
    if not stat.S_ISREG(found.st_mode):
        return None
    busy = "named as a temporary file" if plan.is_temporary(path) else ""
    busy = busy or ("being written" if (found.st_dev, found.st_ino) in written else "")
    mode = stat.S_IMODE(found.st_mode)
    return File(name, path, found.st_size, found.st_mtime_ns, mode, found.st_uid, found.st_gid, busy)


def is_key(path: str) -> bool:
    """Whether S3 and its answers in XML can carry a name: UTF-8 without control characters, short enough.

    Source: Amazon S3 User Guide "Naming Amazon S3 objects"; keys have at most 1024 bytes, some are for the prefix.
    """
    try:
        return len(path.encode()) <= KEY_BYTES and not any(ord(one) < 32 or ord(one) == 127 for one in path)
    except UnicodeEncodeError:
        return False


def same(one: File, found: os.stat_result) -> bool:
    """Whether a file is as it was found."""
    return (one.size, one.mtime_ns) == (found.st_size, found.st_mtime_ns)


def sha256_of(stream: IO[bytes]) -> str:
    """SHA-256 of a whole stream, in hexadecimal digits."""
    digest = hashlib.sha256()
    while True:
        data = stream.read(CHUNK)
        if not data:
            return digest.hexdigest()
        digest.update(data)


def is_empty(path: str) -> bool:
    """Whether a directory is not there, or holds nothing but what a new file system has."""
    try:
        return not set(os.listdir(path)) - {"lost+found"}
    except FileNotFoundError:
        return True
