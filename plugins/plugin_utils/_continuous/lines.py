# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""When a channel runs on a host, and what its end means: a small state machine without clocks, threads and files.

A *line* is one channel on one host. All times are seconds of one clock that the caller reads.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ansible_collections.experiments.spot.plugins.plugin_utils import _narrow
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import duration, size
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import OK, RETRY, WARN, Report, Verdict

IDLE, RUNNING, STOPPED = "idle", "running", "stopped"
ABSENT = "absent"  # kind of a verdict: what comes in does not exist yet; the watcher tells when it does
# Everything is looked through so often anyway: events can be missed (a network file system, a full queue).
FULL_PASS_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0


@dataclass
class Line:
    """One channel on one host.

    Attributes:
        channel: number of the channel in the profile.
        rank: rank of the host.
        name: how it is called, for people.
        delay: seconds from the first change that is noticed to the transfer.
        every: seconds between two looks at everything.
        narrow: changed paths can be moved alone, with the same end as a look at everything.
        state: IDLE, RUNNING or STOPPED.
        changed_at: when the first change was noticed that no transfer has taken yet, None for none.
        paths: what has changed, relative to the source; None when that is not known exactly.
        only: the paths of the run under way; None for everything.
        full_at: when everything is looked through next.
        not_before: nothing starts earlier: after a failure there is a pause.
        pause: the length of that pause next time.
        reason: why the line has stopped, or what went wrong last.
        runs, files, bytes, failures: what it did so far.
        synced_at, moved_at: when both sides were last known to be the same, and when files were last moved.
    """

    channel: int
    rank: int
    name: str
    delay: float = 1.0
    every: float = FULL_PASS_S
    narrow: bool = False
    state: str = IDLE
    changed_at: float | None = None
    paths: frozenset[str] | None = frozenset()
    only: tuple[str, ...] | None = None
    full_at: float = 0.0
    not_before: float = 0.0
    pause: float = FIRST_PAUSE_S
    reason: str = ""
    runs: int = 0
    files: int = 0
    bytes: int = 0
    failures: int = 0
    synced_at: float | None = field(default=None)
    moved_at: float | None = field(default=None)


def changed(line: Line, now: float, paths: Collection[str] | None = None) -> None:
    """Something has changed where the channel reads. Changes while it runs are taken by the next run.

    Args:
        paths: what has changed, relative to the source; None when that is not known.
    """
    if line.changed_at is None:
        line.changed_at = now
    line.paths = together(line.paths, paths) if line.narrow else None


def together(known: frozenset[str] | None, new: Collection[str] | None) -> frozenset[str] | None:
    """Both sets of paths, or None when they are too many or one may mean more than itself."""
    if known is None or new is None or any(map(_narrow.doubtful, new)):
        return None
    union = known.union(new)
    return union if len(union) <= _narrow.MOST else None


def starts_at(line: Line) -> float | None:
    """When the line is to run next while nothing more happens; None when it never will."""
    if line.state != IDLE:
        return None
    wished = line.full_at if line.changed_at is None else min(line.full_at, line.changed_at + line.delay)
    return max(wished, line.not_before)


def is_due(line: Line, now: float) -> bool:
    """Whether the line is to run now, on a host that answers."""
    when = starts_at(line)
    return when is not None and when <= now


def starts(line: Line, now: float) -> None:
    """The line begins to run: what was noticed so far is in it, and nothing else unless a look at everything is due."""
    line.state = RUNNING
    line.only = tuple(sorted(line.paths)) if line.paths and line.full_at > now else None
    line.changed_at, line.paths = None, frozenset()


def ends(line: Line, verdict: Verdict, report: Report, now: float) -> None:
    """A run has ended.

    Args:
        verdict: what its end means (see `_rsync.verdict`).
        report: what it moved.
    """
    line.runs += 1
    line.files += report.files
    line.bytes += report.bytes if report.files else 0
    line.moved_at = now if report.files or report.deleted else line.moved_at
    if line.only is not None and verdict.kind != RETRY:
        narrow_ends(line, verdict, now)
    elif verdict.kind in (OK, WARN):
        line.state, line.reason, line.pause = IDLE, "", FIRST_PAUSE_S
        line.full_at, line.not_before, line.synced_at = now + line.every, 0.0, now
    else:
        fails(line, verdict, now)


def narrow_ends(line: Line, verdict: Verdict, now: float) -> None:
    """A run over some paths has ended: when anything was wrong, a look at everything tells what it is."""
    line.state = IDLE
    if verdict.kind == OK:
        line.reason, line.pause, line.not_before, line.synced_at = "", FIRST_PAUSE_S, 0.0, now
    else:
        line.full_at = now


def fails(line: Line, verdict: Verdict, now: float) -> None:
    """A run did not work."""
    line.reason = verdict.text
    if verdict.kind == ABSENT:
        line.state, line.full_at, line.paths = IDLE, now + line.every, None
        return
    line.failures += 1
    if verdict.kind != RETRY:
        line.state = STOPPED
        return
    line.state = IDLE
    line.full_at = line.not_before = now + line.pause
    line.pause = min(2 * line.pause, LONGEST_PAUSE_S)


def host_is_back(line: Line) -> None:
    """The host answers (again): whatever happened meanwhile was not seen, so everything is looked through at once."""
    line.full_at = line.not_before = 0.0
    line.pause = FIRST_PAUSE_S


def next_start(lines: list[Line], now: float, longest: float) -> float:
    """Seconds until some line is due, at most `longest`."""
    times = [when for when in map(starts_at, lines) if when is not None]
    return max(0.0, min([longest, *(when - now for when in times)]))


def row(line: Line, now: float, up: bool) -> dict[str, str | int]:
    """The line as a row of the table at the end (see `table`)."""
    age = "never" if line.synced_at is None else f"{duration(now - line.synced_at)} ago"
    state = "stopped" if line.state == STOPPED else "no connection" if not up else "waiting" if line.reason else "ok"
    return {
        "channel": line.name,
        "rank": line.rank,
        "state": state,
        "runs": line.runs,
        "files": line.files,
        "moved": size(line.bytes),
        "last": age,
        "reason": line.reason,
    }


COLUMNS = ("channel", "rank", "state", "runs", "files", "moved", "last", "reason")


def table(rows: list[dict[str, str | int]]) -> str:
    """The rows as text, without a column that is empty in all."""
    names = [name for name in COLUMNS if any(str(one[name]) for one in rows)]
    cells = [names, *([str(one[name]) for name in names] for one in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
