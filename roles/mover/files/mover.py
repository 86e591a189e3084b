# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies a tree: from S3 into a directory, from a directory to S3, or from one directory to another.

Runs in the job of the data mover as `mover FROM TO`, each a directory or s3://BUCKET/PREFIX. What is at the target with
the same size and no older time is left alone, so a copy that was cut off goes on where it was. A file is written under
another name first. Nothing is ever deleted. Exit status: 0 all is there, 1 something is not, 2 wrong arguments.

S3's own checksums are asked for and compared by the SDK on the way in both directions.
Source: Amazon S3 User Guide "Checking object integrity"; boto3, "Customizing the transfer".
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, NamedTuple

THREADS = 16
TELL_S = 5.0
SHOWN = 20
PART = ".spot-part"
SDK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sdk")


class Item(NamedTuple):
    """A file or object: its path below the end, bytes, and when it was changed (seconds of Unix time)."""

    path: str
    size: int
    time: float


class Tally:
    """What was done so far; a line now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.lock = say, threading.Lock()
        self.files = self.bytes = self.unchanged = 0
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.began = self.told = time.monotonic()

    def add(self, item: Item) -> None:
        """One file more."""
        with self.lock:
            self.files += 1
            self.bytes += item.size
            if time.monotonic() - self.told >= TELL_S:
                self.told = time.monotonic()
                self.say(self.text)

    @property
    def text(self) -> str:
        """In words."""
        seconds = max(time.monotonic() - self.began, 0.001)
        rate = self.bytes / seconds / 1e6
        return f"{self.files} files, {self.bytes / 1e6:.1f} MB in {seconds:.0f} s ({rate:.1f} MB/s)"


def is_there(item: Item, found: Item | None) -> bool:
    """Whether the target has it already: the same size, and not older."""
    return found is not None and found.size == item.size and int(found.time) >= int(item.time)


def safe(path: str) -> str:
    """Why an object's key cannot be a file's path below a directory; empty when it can."""
    parts = path.split("/")
    if path.endswith("/"):
        return "it stands for a directory"
    if any(part in ("", ".", "..") for part in parts) or "\0" in path:
        return "its key is no path of a file"
    return ""


class Folder:
    """A directory."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"

    def check(self, source: bool) -> None:
        """Raise OSError when it cannot be used."""
        if source:
            os.listdir(self.root)
        else:
            os.makedirs(self.root, exist_ok=True)

    def items(self, skip: Callable[[str, str], None]) -> Iterator[Item]:
        """All files below it."""

        def refuse(error: OSError) -> None:
            skip(str(error.filename), str(error.strerror))

        for folder, _names, files in os.walk(self.root, onerror=refuse):
            for name in files:
                whole = os.path.join(folder, name)
                path = os.path.relpath(whole, self.root)
                try:
                    found = os.lstat(whole)
                except OSError as error:
                    skip(path, str(error.strerror))
                    continue
                if stat.S_ISREG(found.st_mode) and not name.endswith(PART):
                    yield Item(path, found.st_size, found.st_mtime)
                elif not stat.S_ISREG(found.st_mode):
                    skip(path, "it is no regular file")

    def find(self, path: str) -> Item | None:
        """What is there."""
        try:
            found = os.stat(os.path.join(self.root, path))
        except OSError:
            return None
        return Item(path, found.st_size, found.st_mtime)

    def put(self, item: Item, fetch: Callable[[str], None]) -> None:
        """Write a file by a function that fills another name."""
        whole = os.path.join(self.root, item.path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        part = whole + PART
        fetch(part)
        size = os.path.getsize(part)
        if size != item.size:
            os.unlink(part)
            raise OSError(f"came with {size} bytes, not {item.size}; it changed on the way, copy again")
        with open(part, "rb+") as stream:
            os.fsync(stream.fileno())
        os.utime(part, (item.time, item.time))
        os.replace(part, whole)


class Bucket:
    """Objects below a prefix."""

    def __init__(self, url: str, s3: Any = None) -> None:
        self.name, _slash, prefix = url[len("s3://") :].partition("/")
        self.prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        self.s3 = s3 or client()
        self.known: dict[str, Item] | None = None

    def check(self, source: bool) -> None:
        """Raise what S3 says when it cannot be used; a target is listed once here, and not asked file by file."""
        if source:
            self.s3.list_objects_v2(Bucket=self.name, Prefix=self.prefix, MaxKeys=1)
        else:
            self.known = {one.path: one for one in self.items(lambda _path, _why: None)}

    def items(self, skip: Callable[[str, str], None]) -> Iterator[Item]:
        """All objects below it that can be files."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix)
        for page in pages:
            for one in page.get("Contents", []):
                path = one["Key"][len(self.prefix) :]
                why = safe(path)
                if why:
                    skip(one["Key"], why)
                else:
                    yield Item(path, int(one["Size"]), one["LastModified"].timestamp())

    def find(self, path: str) -> Item | None:
        """What is there."""
        return (self.known or {}).get(path)

    def fetch(self, item: Item, target: str) -> None:
        """An object into a file."""
        self.s3.download_file(self.name, self.prefix + item.path, target)

    def send(self, item: Item, source: str) -> None:
        """A file into an object."""
        extra = {"ChecksumAlgorithm": "SHA256"}
        self.s3.upload_file(source, self.name, self.prefix + item.path, ExtraArgs=extra)


def client() -> Any:
    """A client of S3, by the SDK of the image or the one that was sent along."""
    try:
        import boto3  # noqa: PLC0415
    except ImportError:
        place = tempfile.mkdtemp(prefix="sdk-")
        with tarfile.open(SDK) as archive:
            archive.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        sys.path.insert(0, os.path.join(place, "experiments-spot/sdk"))
        import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=4 * THREADS)
    return boto3.session.Session().client("s3", config=config)


def mover(source: Any, target: Any) -> Callable[[Item], None]:
    """The function that moves one file between two ends."""
    if isinstance(source, Bucket):
        return lambda item: target.put(item, lambda part: source.fetch(item, part))
    if isinstance(target, Bucket):
        return lambda item: target.send(item, os.path.join(source.root, item.path))
    return lambda item: target.put(item, lambda part: copy_file(os.path.join(source.root, item.path), part))


def copy_file(source: str, part: str) -> None:
    """A file with its permissions and, where that is allowed, its owner."""
    shutil.copy2(source, part)
    found = os.stat(source)
    try:
        os.chown(part, found.st_uid, found.st_gid)
    except PermissionError:
        return


def copy(source: Any, target: Any, say: Callable[[str], None]) -> Tally:
    """Copies all that is not there yet; one file that fails stops no other.

    Raises:
        OSError, or what the SDK raises: an end cannot be used at all.
    """
    tally, move = Tally(say), mover(source, target)
    source.check(True)
    target.check(False)
    room = threading.BoundedSemaphore(4 * THREADS)  # a listing of millions is not held in memory

    def one(item: Item) -> None:
        try:
            move(item)
            tally.add(item)
        except Exception as error:  # told, not lost in a thread
            tally.failed[item.path] = f"{error}" or type(error).__name__
        finally:
            room.release()

    with ThreadPoolExecutor(THREADS) as pool:
        for item in source.items(tally.skipped.__setitem__):
            if is_there(item, target.find(item.path)):
                tally.unchanged += 1
                continue
            room.acquire()
            pool.submit(one, item)
    return tally


def end(given: str) -> Any:
    """The end of an argument."""
    return Bucket(given) if given.startswith("s3://") else Folder(given)


def main(argv: list[str]) -> int:
    """Copies and tells."""

    def say(text: str) -> None:
        print(text, flush=True)

    if len(argv) != 3:
        say("mover FROM TO")
        return 2
    try:
        tally = copy(end(argv[1]), end(argv[2]), say)
    except Exception as error:  # the first word of S3 or of the file system about an end
        say(f"FAILED: {error}")
        return 1
    for title, names in (("left out", tally.skipped), ("FAILED", tally.failed)):
        for path, why in list(names.items())[:SHOWN]:
            say(f"{title}: {path!r}: {why}")
    say(f"copied {tally.text}, {tally.unchanged} were there, {len(tally.skipped)} left out, {len(tally.failed)} failed")
    return int(bool(tally.failed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
