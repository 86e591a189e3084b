# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Says when something below given paths changes. Runs on an instance, sent there as text; standard library only.

Writes lines to its output: ``waiting /data`` (not mounted yet, or not any more), ``ready``, ``changed {"0": ["a/b"]}``
(by number of the path what has changed below it, null when that is not known exactly), ``blind TEXT`` (changes below
some paths cannot be seen), and ``alive`` now and then, so that a dead connection is noticed on both sides.
Source: inotify(7); proc(5), mountinfo, which can be polled for changes. What another machine writes to a network file
system is not seen; the caller looks through everything now and then anyway.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import json
import os
import select
import struct
import sys
import time

ALIVE_S = 3.0
# So long after the first sign of a change the next signs are put together with it.
GATHER_S = 0.1
# More changes at once are not told one by one.
MOST = 100

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
OVERFLOW, IGNORED, EXCL_UNLINK, IS_DIR = 0x4000, 0x8000, 0x4000000, 0x40000000
MASK = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | EXCL_UNLINK
NEW_TREE = MOVED_TO | CREATE
LEFT_OUT = (".rsync-partial", "lost+found")
HEAD = struct.Struct("iIII")


def root_of(path: str) -> str:
    """The directory or file that a path of a channel means; of one with wildcards the part before them."""
    plain = os.path.expanduser(path)
    plain = plain if os.path.isabs(plain) else os.path.join(os.path.expanduser("~"), plain)
    while glob.has_magic(plain):
        plain = os.path.dirname(plain)
    return plain.rstrip("/") or "/"


class Watcher:
    """Watches of inotify for all paths; a path that does not exist yet is waited for at its nearest parent."""

    def __init__(self, paths: list[str], recursive: list[bool]) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify is not to be had")
        self.roots = [root_of(path) for path in paths]
        self.recursive = recursive
        self.watched: dict[int, dict[int, str]] = {}
        self.changed: dict[int, set[str] | None] = {}
        self.waiting: set[int] = set()
        self.blind = ""
        for number in range(len(paths)):
            self.look(number)

    def add(self, path: str, number: int) -> bool:
        """Watch one directory or file; says whether it is there."""
        wd = self.libc.inotify_add_watch(self.fd, os.fsencode(path), MASK)
        if wd < 0:
            code = ctypes.get_errno()
            if code not in (errno.ENOENT, errno.ENOTDIR):
                self.blind = f"{path}: {os.strerror(code)}"
            return False
        # A directory that was renamed keeps its watch.
        self.watched.setdefault(wd, {})[number] = path
        return True

    def look(self, number: int) -> None:
        """Watch all of a path, or what will tell that it has come."""
        root = self.roots[number]
        self.waiting.discard(number)
        if self.add(root, number):
            self.descend(root, number)
            return
        self.waiting.add(number)
        while not self.add(os.path.dirname(root), number) and root != "/":
            root = os.path.dirname(root)

    def descend(self, path: str, number: int) -> None:
        """Watch the directories below one."""
        if not self.recursive[number]:
            return
        for folder, names, _files in os.walk(path):
            names[:] = [name for name in names if name not in LEFT_OUT]
            for name in names:
                self.add(os.path.join(folder, name), number)

    def events(self) -> dict[int, set[str] | None]:
        """What changed by the number of its path (see `note`), of all events that wait."""
        self.changed = {}
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return self.changed
            place = 0
            while place < len(data):
                wd, mask, _cookie, length = HEAD.unpack_from(data, place)
                name = data[place + HEAD.size : place + HEAD.size + length].rstrip(b"\0")
                place += HEAD.size + length
                self.event(wd, mask, os.fsdecode(name))

    def event(self, wd: int, mask: int, name: str) -> None:
        """Take one event."""
        if mask & OVERFLOW:
            for number in range(len(self.roots)):
                self.look(number)
                self.changed[number] = None
        if name in LEFT_OUT:
            return
        paths = dict(self.watched.get(wd, {}))
        if mask & IGNORED:
            self.watched.pop(wd, None)
        for number, path in paths.items():
            full = os.path.join(path, name) if name else path
            if number in self.waiting or (mask & IGNORED and path == self.roots[number]):
                self.look(number)
                self.changed[number] = None
                continue
            if mask & IS_DIR and mask & NEW_TREE and self.recursive[number]:
                self.add(full, number)
                self.descend(full, number)
            self.note(number, full)

    def note(self, number: int, full: str) -> None:
        """A path has changed, or everything (None) when it is not clear where it lies now."""
        root = self.roots[number].rstrip("/") + "/"
        known = self.changed.setdefault(number, set())
        if known is None:
            return
        if not full.startswith(root) or not os.path.isdir(os.path.dirname(full)) or len(known) >= MOST:
            self.changed[number] = None
        else:
            known.add(full[len(root) :])


def say(text: str) -> None:
    """One line, at once; the end of the reader is our end."""
    try:
        os.write(1, f"{text}\n".encode())
    except OSError:
        os._exit(0)


class Mounts:
    """Mount points that must be there, because what is written below one that is not would lie hidden under it."""

    def __init__(self, wanted: list[str], table: str = "/proc/self/mountinfo") -> None:
        self.wanted = wanted
        self.fd = os.open(table, os.O_RDONLY | os.O_CLOEXEC)
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLERR | select.POLLPRI)

    def missing(self) -> list[str]:
        """Those that are not mounted."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        table = b"".join(iter(lambda: os.read(self.fd, 65536), b""))
        there = {os.fsdecode(line.split(b" ")[4]) for line in table.splitlines()}
        return [one for one in self.wanted if one not in there]

    def wait(self) -> None:
        """Return once all are mounted."""
        missing = self.missing()
        while missing:
            say("waiting " + ", ".join(missing))
            self.poll.poll(ALIVE_S * 1000)
            missing = self.missing()


def watch(paths: list[str], recursive: list[bool], mount_points: list[str]) -> None:
    """Tell changes until nobody listens any more."""
    mounts = Mounts(mount_points)
    while True:
        mounts.wait()
        watcher = Watcher(paths, recursive)
        follow(watcher, mounts)
        os.close(watcher.fd)


def follow(watcher: Watcher, mounts: Mounts) -> None:
    """Tell changes until a mount point is gone."""
    say("ready")
    told = ""
    mounts.poll.register(watcher.fd, select.POLLIN)
    while not mounts.missing():
        if watcher.blind != told:
            told = watcher.blind
            say(f"blind {told}")
        if not mounts.poll.poll(ALIVE_S * 1000):
            say("alive")
            continue
        time.sleep(GATHER_S)
        changed = watcher.events()
        if changed:
            paths = {number: None if found is None else sorted(found) for number, found in changed.items()}
            say("changed " + json.dumps(paths, sort_keys=True))
    mounts.poll.unregister(watcher.fd)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    watch(arguments["paths"], arguments["recursive"], arguments["mount_points"])
