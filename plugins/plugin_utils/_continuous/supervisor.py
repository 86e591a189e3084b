# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""All channels on all hosts at the same time, until somebody ends it or nothing is left to do."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from ansible_collections.experiments.spot.plugins.plugin_utils import _narrow
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines as rules
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import STOPPED, Line
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.session import (
    BLIND,
    CHANGED,
    DOWN,
    LOST,
    MOVED,
    UP,
    WAITS,
    Event,
    Host,
    Session,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import RETRY, Report, Verdict

with contextlib.suppress(ImportError):
    import watchfiles

LOCAL, ENDED, HERE = "local", "ended", -1
LONGEST_WAIT_S = 1.0
# Without file events everything is looked through this much more often.
BLIND_PASS_S = 5.0

Move = Callable[[Line, Host], "tuple[Verdict, Report]"]


def sees_files() -> bool:
    """Whether changes of local files are noticed when they happen (the library watchfiles)."""
    return "watchfiles" in globals()


class LocalWatch:
    """Tells when a local file or directory changes, from a thread of its own.

    Args:
        tell: takes the paths below the directory that have changed, None when that is not known exactly.
    """

    def __init__(self, path: str, recursive: bool, tell: Callable[[tuple[str, ...] | None], None]) -> None:
        self.folder = os.path.isdir(path)
        self.path = os.path.realpath(path)
        self.recursive, self.tell = recursive, tell
        self.blind: Callable[[str], None] = lambda _text: None
        self.over = threading.Event()

    def run(self) -> None:
        """Watches until it is over, or says why changes are not noticed any more."""
        try:
            self.watch()
        except (OSError, RuntimeError) as error:  # no more watches of inotify, or the path is gone; see watchfiles
            self.blind(str(error))

    def watch(self) -> None:
        """Tells changes. A single file is watched by its directory: editors replace files."""
        place = self.path if self.folder else os.path.dirname(self.path)
        changes = watchfiles.watch(
            place,
            watch_filter=None,
            debounce=100,
            step=50,
            rust_timeout=500,
            stop_event=self.over,
            recursive=self.recursive and self.folder,
            raise_interrupt=False,
        )
        for change in changes:
            if self.folder:
                self.tell(self.below(path for _kind, path in change))
            elif any(os.path.realpath(path) == self.path for _kind, path in change):
                self.tell(None)

    def below(self, paths: Iterable[str]) -> tuple[str, ...] | None:
        """Paths relative to the directory; None when one is not there any more with the directory it lay in."""
        root = self.path.rstrip("/") + "/"
        found: list[str] = []
        for path in paths:
            if not path.startswith(root) or len(found) >= _narrow.MOST or not os.path.isdir(os.path.dirname(path)):
                return None
            found.append(path[len(root) :])
        return tuple(found)


class Supervisor:
    """Runs lines when they are due.

    Args:
        lines: one for each channel and host.
        sessions: by rank.
        watches: local watches by channel.
        move: runs one channel on one host once; called in threads.
        say: shows a line to the user.
        stop: set when the user wants the end.

    Attributes:
        note: called after whatever has happened, and at least each second.
    """

    def __init__(
        self,
        lines: list[Line],
        sessions: dict[int, Session],
        watches: dict[int, LocalWatch],
        *,
        move: Move,
        say: Callable[[str], None],
        stop: threading.Event,
        clock: Clock | None = None,
    ) -> None:
        self.lines, self.sessions, self.watches = lines, sessions, watches
        self.move, self.say, self.stop, self.clock = move, say, stop, clock or Clock()
        self.events: queue.Queue[Event] = queue.Queue()
        self.inbound: dict[int, list[int]] = {}
        self.up: set[int] = set()
        self.told: dict[int, str] = {}
        self.running: dict[Future[tuple[Verdict, Report]], Line] = {}
        self.note: Callable[[], None] = lambda: None

    def run(self) -> None:
        """The whole work; returns when the user ends it, or when every line has stopped."""
        for number, watch in self.watches.items():
            watch.blind = functools.partial(self.blinded, number)
        works = [one.run for one in (*self.sessions.values(), *self.watches.values())]
        workers = [threading.Thread(target=work, daemon=True) for work in works]
        for worker in workers:
            worker.start()
        with ThreadPoolExecutor(max(1, len(self.lines))) as pool:
            while not self.stop.is_set() and any(line.state != STOPPED for line in self.lines):
                self.take_events(rules.next_start(self.waiting(), self.clock.now(), LONGEST_WAIT_S))
                self.take_ends()
                self.start_due(pool)
                self.note()
            if self.running:
                self.say(f"ending after what is under way: {', '.join(line.name for line in self.running.values())}")
        self.take_ends()
        for one in self.sessions.values():
            one.end()
        for watch in self.watches.values():
            watch.over.set()
        for worker in workers:
            worker.join(timeout=2)

    def waiting(self) -> list[Line]:
        """Lines that may start: their host answers."""
        return [line for line in self.lines if line.rank in self.up]

    def take_events(self, timeout: float) -> None:
        """All events that are there, waiting for the first one."""
        with contextlib.suppress(queue.Empty):
            self.take(self.events.get(timeout=max(timeout, 0.01)))
            while True:
                self.take(self.events.get_nowait())

    def take(self, event: Event) -> None:
        """One event."""
        if event.kind == BLIND and event.rank == HERE:
            self.look_more_often([line for line in self.lines if line.channel in event.numbers], event.text)
        elif event.kind == LOCAL:
            self.mark([line for line in self.lines if line.channel in event.numbers], event.paths)
        elif event.kind == CHANGED:
            channels = [self.inbound[event.rank][number] for number in event.numbers]
            self.mark([line for line in self.of(event.rank) if line.channel in channels], event.paths)
        else:
            self.take_host(event)

    def of(self, rank: int) -> list[Line]:
        """The lines of a host."""
        return [line for line in self.lines if line.rank == rank]

    def mark(self, lines: list[Line], paths: tuple[str, ...] | None) -> None:
        """Lines of which something has changed, and what, if that is known."""
        for line in lines:
            rules.changed(line, self.clock.now(), paths)

    def take_host(self, event: Event) -> None:
        """What happened to the connection of a host."""
        if event.kind == UP:
            self.connected(event.rank)
        elif event.kind == DOWN:
            self.up.discard(event.rank)
            self.tell_once(event.rank, f"no connection ({event.text}); trying on")
        elif event.kind == WAITS:
            self.up.discard(event.rank)
            self.tell_once(event.rank, f"waits until {event.text} is mounted there")
        elif event.kind == MOVED:
            self.say(f"rank {event.rank}: is {event.text} now")
        elif event.kind == BLIND:
            self.look_more_often(self.of(event.rank), event.text)
        elif event.kind == LOST:
            for line in self.of(event.rank):
                line.state, line.reason = STOPPED, event.text

    def blinded(self, channel: int, text: str) -> None:
        """Changes of a channel's local files are not noticed any more; called in the thread of its watch."""
        self.events.put(Event(HERE, BLIND, (channel,), text))

    def look_more_often(self, lines: list[Line], text: str) -> None:
        """Changes cannot be seen, or not all of them."""
        now = self.clock.now()
        for line in lines:
            line.every = min(line.every, BLIND_PASS_S)
            line.full_at = min(line.full_at, now + line.every)
        names = ", ".join(dict.fromkeys(line.name for line in lines))
        self.say(f"{names}: not all changes can be seen ({text}); looking each {BLIND_PASS_S:.0f} s")

    def connected(self, rank: int) -> None:
        """A host answers, for the first time or again."""
        self.up.add(rank)
        for line in self.of(rank):
            rules.host_is_back(line)
        if self.told.pop(rank, ""):
            self.say(f"rank {rank}: connected again")

    def tell_once(self, rank: int, text: str) -> None:
        """A line for the user, unless it was the last one of this host."""
        if self.told.get(rank) != text:
            self.told[rank] = text
            self.say(f"rank {rank}: {text}")

    def start_due(self, pool: ThreadPoolExecutor) -> None:
        """Starts what is due."""
        now = self.clock.now()
        for line in self.waiting():
            if rules.is_due(line, now):
                host = self.sessions[line.rank].host
                if host is None:
                    continue
                rules.starts(line, now)
                future = pool.submit(self.move, line, host)
                self.running[future] = line
                future.add_done_callback(self.wake)

    def wake(self, _done: Future[tuple[Verdict, Report]]) -> None:
        """Lets the loop look at once."""
        self.events.put(Event(HERE, ENDED))

    def take_ends(self) -> None:
        """What has ended meanwhile."""
        for future in [future for future in self.running if future.done()]:
            line = self.running.pop(future)
            verdict, report = future.result()
            rules.ends(line, verdict, report, self.clock.now())
            if verdict.kind == RETRY:
                self.sessions[line.rank].doubt()
            if line.state == STOPPED:
                self.say(f"{line.name}, rank {line.rank}: stopped: {line.reason}")
