# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the bucket into a directory: whole files only, each compared with its SHA-256, again without what is there.

Runs on the instance (an experiment that goes on) and on the controller (results come home). A file is written under
another name and renamed; what is there of that name is continued, as long as the object is the same.
"""

from __future__ import annotations

import errno
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


@dataclass
class Fetcher:
    """Fetches files side by side; one that fails stops no other, and is in the tally.

    Attributes:
        store: the bucket.
        prefix: of the experiment's objects.
        tally: is kept up to date.
        own: give the files their owners back.
        stop: ends early once it is set.
    """

    store: Store
    prefix: str
    tally: Tally
    own: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def fetch(self, todo: list[tuple[dict[str, Any], str]]) -> None:
        """Fetch all of these, see `wanted`."""
        self.tally.total_files += len(todo)
        self.tally.total_bytes += sum(one["size"] for one, _path in todo)
        with ThreadPoolExecutor(THREADS) as pool:
            for one, path in todo:
                pool.submit(self._guarded, one, path)

    def _guarded(self, entry: dict[str, Any], path: str) -> None:
        if self.stop.is_set():
            return
        try:
            self._one(entry, path)
            finish(entry, path, self.own)
            self.tally.add(files=1)
        except StoreError as error:
            self.tally.fail(plan.label(entry), str(error))
        except OSError as error:
            self.tally.fail(plan.label(entry), f"{path}: {error.strerror or error}")
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no other file will find room either
                self.stop.set()
        except Exception as error:  # told, not lost in a thread
            self.tally.fail(plan.label(entry), f"{type(error).__name__}: {error}")

    def _one(self, entry: dict[str, Any], path: str) -> None:
        """One object into the file of another name, which may hold its beginning."""
        part, key = path + PART, f"{self.prefix}/{entry['key']}"
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        start = os.path.getsize(part) if os.path.isfile(part) else 0
        start = start if 0 < start < entry["size"] else 0
        body = self.store.open(key, start)
        expected = accepted(entry, body)
        found = self._save(key, body, part, start)
        if found == expected:
            return
        os.unlink(part)
        if not start:
            text = f"is damaged, its SHA-256 is {found[:16]}…, not {expected[:16]}…"
            raise StoreError(f"{self.store.url(key)}: {text}")
        self.tally.add(count=-body.size)  # the beginning was of something else
        self._one(entry, path)

    def _save(self, key: str, body: Body, part: str, start: int) -> str:
        with open(part, "r+b" if start else "wb") as stream:
            digest = _hashed(stream, start)
            self.tally.add(count=start)
            for data in self.store.chunks(key, body):
                stream.write(data)
                digest.update(data)
                self.tally.add(count=len(data))
                if self.stop.is_set():
                    raise StoreError(f"{self.store.url(key)}: stopped before its end; the same command goes on")
            stream.flush()
            os.fsync(stream.fileno())
        return str(digest.hexdigest())


def accepted(entry: Mapping[str, Any], body: Body) -> str:
    """The SHA-256 that an object must have.

    A file of a checkpoint is the very one that the manifest names. Any other may have been replaced by a newer one
    since the manifest was written; such an object is whole, too, and says itself what it was written with.

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
