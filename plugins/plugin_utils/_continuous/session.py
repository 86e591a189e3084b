# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The connection to one instance: the watcher that runs there, and what to do when it falls silent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import remote_watch
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Child, Clock

# The watcher there speaks every `remote_watch.ALIVE_S`; silence for so long means that the connection is dead.
SILENCE_S = 3 * remote_watch.ALIVE_S
CONNECT_S = 4
PAUSE_S = 1.0
# A host that does not answer for so long may be gone for good: then AWS is asked where the experiment runs now.
PATIENCE_S = 10.0

UP, DOWN, CHANGED, BLIND, MOVED, LOST, WAITS = "up", "down", "changed", "blind", "moved", "lost", "waits"
HOPELESS = (_ssh.BAD_KEY, _ssh.BAD_CONTROL_PATH)


@dataclass(frozen=True)
class Host:
    """Where a rank of the experiment is: the id of its instance, and how to reach it."""

    instance_id: str
    target: _ssh.Target


@dataclass(frozen=True)
class Event:
    """What happened on a host: its rank, the kind, numbers of inbound paths, a text, and what changed below them.

    Attributes:
        paths: relative to the source; None when that is not known exactly.
    """

    rank: int
    kind: str
    numbers: tuple[int, ...] = ()
    text: str = ""
    paths: tuple[str, ...] | None = None


Find = Callable[[int, str], "Host | None"]


class Session:
    """Keeps a watcher running on one instance, for ever, and tells what happens.

    Args:
        rank: rank of the host.
        host: where it is now; None when it does not run yet, then it is looked for.
        paths: the inbound paths to watch there, with whether what is below them counts.
        mount_points: what must be mounted there before anything is moved.
        tell: takes events, from any thread.
        find: asks AWS where a rank is now: its rank and the instance that is known; None while it is nowhere. May take
            long and raise an exception with a clear text.
    """

    def __init__(
        self,
        rank: int,
        host: Host | None,
        paths: list[tuple[str, bool]],
        *,
        tell: Callable[[Event], None],
        find: Find,
        mount_points: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self.mount_points = list(mount_points)
        self.rank, self.host, self.paths = rank, host, paths
        self.tell_all, self.find, self.clock = tell, find, clock or Clock()
        self.over = threading.Event()
        self.doubted = threading.Event()

    def doubt(self) -> None:
        """A transfer has lost the connection: look at once whether it is there."""
        self.doubted.set()

    def end(self) -> None:
        """Ends the session; `run` returns within a second."""
        self.over.set()

    def tell(self, kind: str, text: str = "", numbers: tuple[int, ...] = ()) -> None:
        """One event of this host."""
        self.tell_all(Event(self.rank, kind, numbers, text))

    def run(self) -> None:
        """The session, to be run in a thread of its own."""
        lost_at = self.clock.now()
        while not self.over.is_set():
            if self.host is None:
                if not self.look_elsewhere():
                    self.over.wait(PATIENCE_S)
                continue
            was_up, complaint = self.listen(self.host)
            if was_up:
                lost_at = self.clock.now()
                self.tell(DOWN, complaint)
            if self.over.wait(PAUSE_S):
                return
            _ssh.close_master(self.host.target)
            if _ssh.classify_ssh(255, complaint) in HOPELESS:
                self.tell(LOST, complaint)
                return
            if self.clock.now() - lost_at > PATIENCE_S:
                self.look_elsewhere()
                lost_at = self.clock.now()

    def look_elsewhere(self) -> bool:
        """Asks AWS where the rank is now; whether it is anywhere."""
        known = self.host.instance_id if self.host else ""
        try:
            found = self.find(self.rank, known)
        except Exception as error:  # a laptop without a network cannot ask; it goes on trying
            self.tell(DOWN, str(error))
            return False
        if found is None:
            self.tell(DOWN, "AWS has no running instance for it at the moment")
            return False
        self.host = found
        if found.instance_id != known:
            self.tell(MOVED, found.instance_id)
        return True

    def argv(self, host: Host) -> list[str]:
        """The watcher's command line."""
        source = Path(str(remote_watch.__file__)).read_text(encoding="utf-8")
        paths, recursive = [path for path, _all in self.paths], [everything for _path, everything in self.paths]
        given = json.dumps({"paths": paths, "recursive": recursive, "mount_points": self.mount_points})
        command = _ssh.remote_command("python3", "-c", source, given)
        return _ssh.ssh_argv(host.target, command, timeout=CONNECT_S)

    def listen(self, host: Host) -> tuple[bool, str]:
        """Runs the watcher until the connection ends or falls silent; whether it was up, and what ssh said."""
        was_up, heard_at = False, self.clock.now()
        self.doubted.clear()
        with Child(self.argv(host)) as child:
            while child.open and not self.over.is_set():
                for line in child.read(0.5):
                    heard_at = self.clock.now()
                    was_up = self.take(line) or was_up
                silence = self.clock.now() - heard_at
                if silence > (SILENCE_S if was_up else 2 * SILENCE_S) or (self.doubted.is_set() and silence > 1.5):
                    return was_up, f"no sign of life for {silence:.0f} s"
            complaint = _ssh.last_line("\n".join(child.errors))
        return was_up, complaint or "the connection was closed"

    def take(self, line: str) -> bool:
        """One line of the watcher; True for the first."""
        word, _blank, rest = line.partition(" ")
        if word == "ready":
            self.tell(UP)
            return True
        if word == "changed":
            for number, paths in json.loads(rest).items():
                self.tell_all(Event(self.rank, CHANGED, (int(number),), "", None if paths is None else tuple(paths)))
        elif word == "blind":
            self.tell(BLIND, rest)
        elif word == "waiting":
            self.tell(WAITS, rest)
        return False
