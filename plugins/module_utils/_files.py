# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files and owners of the instance, for the modules that mount. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from typing import Callable


def user_number(name: str | None, lookup: Callable[[str], int], what: str, errors: list[str]) -> int | None:
    """Number of a user or group given as name or number; an unknown one is added to `errors`."""
    if not name:
        return None
    if name.isdigit():
        return int(name)
    try:
        return lookup(name)
    except KeyError:
        errors.append(f"{what} {name!r} does not exist on this machine; create it or name another")
        return None


def mode_number(mode: str | None, errors: list[str]) -> int | None:
    """Permissions as a number."""
    if not mode:
        return None
    try:
        number = int(mode, 8)
    except ValueError:
        number = -1
    if not 0 <= number <= 0o7777:
        errors.append(f'mode {mode!r} is not octal; quote it, such as "0755"')
        return None
    return number


def write_text(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new text, never a part."""
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".spot-")
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def read_text(path: str) -> str:
    """Text of a file, '' when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def alone(path: str, check_mode: bool) -> Iterator[None]:
    """Only one run at a time formats, mounts and edits fstab; the kernel frees the lock of a run that dies."""
    if check_mode:
        yield
        return
    with open(path, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
