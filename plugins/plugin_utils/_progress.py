# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Showing that a long wait is alive: clock, heartbeat schedule, back-off, plain units, watched child processes.

Everything here is free of Ansible, so that it can be tested without it; the action plugins pass in what prints.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

QUIET_VARIABLE = "EXPERIMENTS_SPOT_QUIET"
FALSE_WORDS = ("", "0", "false", "no", "off")


def is_quiet(argument: bool | None, environ: Mapping[str, str]) -> bool:
    """Says whether progress lines are unwanted: the argument decides, else the environment.

    Args:
        argument: the plugin's ``quiet`` option, None when it was not given.
        environ: the environment, ``EXPERIMENTS_SPOT_QUIET`` is read.
    """
    if argument is not None:
        return argument
    return environ.get(QUIET_VARIABLE, "").strip().lower() not in FALSE_WORDS


def duration(seconds: float) -> str:
    """Writes seconds for people: ``0.4 s``, ``12 s``, ``1m 05s``, ``2h 03m``, ``3d 04h``."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 9.95:
        tenths = f"{seconds:.1f}"
        return f"{tenths.removesuffix('.0')} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02d}h"


def size(count: float) -> str:
    """Writes bytes in decimal units, as rsync and disks count: ``999 B``, ``1.2 kB``, ``12.3 MB``, ``4.0 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def backoff(first: float, limit: float, factor: float = 1.5) -> Iterator[float]:
    """Yields the pauses between polls, in seconds: first, first*factor, … never above limit, for ever."""
    pause = first
    while True:
        yield min(pause, limit)
        pause = min(pause * factor, limit)


class Clock:
    """Time as the waiting code sees it; tests put a clock of their own in its place."""

    def now(self) -> float:
        """Returns seconds of a clock that never goes back."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Lets seconds pass."""
        if seconds > 0:
            time.sleep(seconds)


@dataclass
class Heartbeat:
    """Decides when the next sign of life is due: after 5 s, then each 15 s (units: seconds of the clock)."""

    started: float
    first: float = 5.0
    every: float = 15.0
    next_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.next_at = self.started + self.first

    def due(self, now: float) -> bool:
        """Says whether a line is due now, and if so plans the next one."""
        if now < self.next_at:
            return False
        self.next_at = now + self.every
        return True

    def elapsed(self, now: float) -> float:
        """Seconds since the wait began."""
        return now - self.started


@dataclass
class Finished:
    """What a watched child process left: exit code (128+n after signal n) and the text of its stderr."""

    code: int
    stderr: str


class LineSplitter:
    r"""Cuts a byte stream into text lines at ``\n`` and ``\r`` (rsync redraws its progress with ``\r``)."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Adds bytes and returns the lines they complete, without their ends, empty ones left out."""
        *lines, self.rest = (self.rest + data).replace(b"\r", b"\n").split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines if line]

    def close(self) -> list[str]:
        """Returns what is left when the stream ended without a line end."""
        return self.feed(b"\n") if self.rest else []


class Child:
    """A child process whose lines are handed on as they come, while a callback ticks.

    It is started without a shell and without standard input, and it never outlives the block.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ) if environ is not None else None,
        )
        streams = (self.process.stdout, self.process.stderr)
        self.splitters = {stream: LineSplitter() for stream in streams if stream is not None}
        self.errors: list[str] = []
        self.selector = selectors.DefaultSelector()
        for stream in self.splitters:
            self.selector.register(stream, selectors.EVENT_READ)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def open(self) -> bool:
        """True while one of the two streams may still bring something."""
        return bool(self.selector.get_map())

    def read(self, timeout: float) -> list[str]:
        """Returns the lines of stdout that came within timeout seconds; those of stderr are kept in ``errors``."""
        lines: list[str] = []
        for key, _events in self.selector.select(timeout):
            stream = key.fileobj
            data = os.read(key.fd, 65536)
            splitter = self.splitters[stream]  # type: ignore[index]
            new = splitter.feed(data) if data else splitter.close()
            if not data:
                self.selector.unregister(stream)
            (lines if stream is self.process.stdout else self.errors).extend(new)
        return lines

    def finish(self) -> Finished:
        """Waits for the end (the streams are closed by then) and returns exit code and stderr."""
        code = self.process.wait()
        return Finished(code if code >= 0 else 128 - code, "\n".join(self.errors))

    def stop(self) -> None:
        """Ends the child if it still runs, kindly first, and closes what was opened."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.selector.close()
        for stream in self.splitters:
            stream.close()


def run_watched(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    environ: Mapping[str, str] | None = None,
) -> Finished:
    """Runs a command to its end; each line of stdout goes to on_line, on_tick is called at least once a second.

    Args:
        argv: the command, a list; no shell is involved.
        environ: the whole environment of the child, None for our own.
    """
    with Child(argv, environ) as child:
        while child.open:
            for line in child.read(1.0):
                on_line(line)
            on_tick()
        return child.finish()
