# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the bucket into a directory: whole files only, each compared with its SHA-256, again without what is there.

Runs on the instance (an experiment that goes on) and on the controller (results come home). A file is written under
another name and renamed; what is there of that name is continued, as long as the object is the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable

from . import plan
from .store import THREADS, Body, Store, StoreError

CHUNK = 1 << 20
PART = ".spot-part"


@dataclass
class Tally:
    """What has been done so far; `step` is called now and then from any thread."""

    files: int = 0
    bytes: int = 0
    total_files: int = 0
    total_bytes: int = 0
    unchanged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def add(self, files: int = 0, count: int = 0) -> None:
        """So many more."""
        with self.lock:
            self.files += files
            self.bytes += count

    def fail(self, name: str, why: str) -> None:
        """One file that did not work."""
        with self.lock:
            self.failed[name] = why


def target_of(entry: Mapping[str, Any], folder: str, single: bool) -> str:
    """Where a file comes to: below the folder, and below its directory's name when there are several."""
    return os.path.join(folder, entry["path"]) if single else os.path.join(folder, entry["name"], entry["path"])


def is_there(entry: Mapping[str, Any], path: str) -> bool:
    """Whether a file is the wanted one: by size and time, else by its hash."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    if not os.path.isfile(path) or found.st_size != entry["size"]:
        return False
    # Times to the second: not every file system keeps more.
    if found.st_mtime_ns // 10**9 == int(entry.get("mtime_ns") or 0) // 10**9:
        return True
    return hash_of(path) == entry["sha256"]


def hash_of(path: str, upto: int | None = None) -> str:
    """SHA-256 of a file, or of its beginning."""
    with open(path, "rb") as stream:
        return _hashed(stream, upto).hexdigest()


def _hashed(stream: Any, upto: int | None = None) -> Any:
    digest = hashlib.sha256()
    while upto is None or upto > 0:
        data = stream.read(CHUNK if upto is None else min(CHUNK, upto))
        if not data:
            break
        digest.update(data)
        upto = None if upto is None else upto - len(data)
    return digest


def wanted(files: list[dict[str, Any]], place: Callable[[Mapping[str, Any]], str]) -> list[tuple[dict[str, Any], str]]:
    """Files that are to be fetched, with their targets."""
    return [(one, path) for one, path in ((one, place(one)) for one in files) if not is_there(one, path)]


def fetch(
    store: Store,
    prefix: str,
    todo: list[tuple[dict[str, Any], str]],
    tally: Tally,
    *,
    own: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Fetch files side by side; one that fails stops no other, and is in the tally.

    Args:
        store: the bucket.
        prefix: of the experiment's objects.
        todo: see `wanted`.
        tally: is kept up to date.
        own: give the files their owners back.
        stop: ends early once it is set.
    """
    tally.total_files += len(todo)
    tally.total_bytes += sum(one["size"] for one, _path in todo)
    stop = stop or threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        for one, path in todo:
            pool.submit(_guarded, store, f"{prefix}/{one['key']}", one, path, tally, own, stop)


def _guarded(
    store: Store, key: str, entry: dict[str, Any], path: str, tally: Tally, own: bool, stop: threading.Event
) -> None:
    if stop.is_set():
        return
    try:
        _one(store, key, entry, path, tally, stop)
        finish(entry, path, own)
        tally.add(files=1)
    except StoreError as error:
        tally.fail(plan.label(entry), str(error))
    except OSError as error:
        tally.fail(plan.label(entry), f"{path}: {error.strerror or error}")
        if error.errno in (28, 122):  # ENOSPC, EDQUOT: no other file will find room either
            stop.set()
    except Exception as error:  # told, not lost in a thread
        tally.fail(plan.label(entry), f"{type(error).__name__}: {error}")


def _one(store: Store, key: str, entry: dict[str, Any], path: str, tally: Tally, stop: threading.Event) -> None:
    """One object into the file of another name, which may hold its beginning."""
    part = path + PART
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    start = os.path.getsize(part) if os.path.isfile(part) else 0
    start = start if 0 < start < entry["size"] else 0
    body = _open(store, key, entry, start)
    expected = accepted(entry, body)
    with open(part, "r+b" if start else "wb") as stream:
        digest = _hashed(stream, start)
        tally.add(count=start)
        for data in store.chunks(key, body):
            stream.write(data)
            digest.update(data)
            tally.add(count=len(data))
            if stop.is_set():
                raise StoreError(f"{store.url(key)}: stopped before its end; the same command goes on")
        stream.flush()
        os.fsync(stream.fileno())
    if digest.hexdigest() != expected:
        os.unlink(part)
        if start:  # the beginning was of something else
            tally.add(count=-body.size)
            return _one(store, key, entry, path, tally, stop)
        raise StoreError(
            f"{store.url(key)}: is damaged, its SHA-256 is {digest.hexdigest()[:16]}…, not {expected[:16]}…"
        )
    return None


def _open(store: Store, key: str, entry: dict[str, Any], start: int) -> Body:
    if not entry["size"]:
        start = 0
    return store.open(key, start)


def accepted(entry: Mapping[str, Any], body: Body) -> str:
    """The SHA-256 that an object must have.

    A file of a checkpoint is the very one that the manifest names. Any other may have been replaced by a newer one since
    the manifest was written; such an object is whole, too, and says itself what it was written with.

    Raises:
        StoreError: it is another one than the manifest names.
    """
    newer = bool(re.fullmatch("[0-9a-f]{64}", body.sha256)) and body.sha256 != entry["sha256"]
    if newer and not entry.get("group"):
        return body.sha256
    return str(entry["sha256"])


def finish(entry: Mapping[str, Any], path: str, own: bool) -> None:
    """The file under its name, with permissions, time and, where wanted, owner."""
    part = path + PART
    os.chmod(part, int(entry.get("mode") or 0o644) & (0o7777 if own else 0o777))
    if own:
        os.chown(part, int(entry.get("uid") or 0), int(entry.get("gid") or 0))
    time = int(entry.get("mtime_ns") or 0)
    if time and os.path.getsize(part) == entry["size"]:
        os.utime(part, ns=(time, time))
    os.replace(part, path)
