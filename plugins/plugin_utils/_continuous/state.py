# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A file that says how channels that keep going are, so that somebody else can see whether they still do.

One file a process, ``~/.local/state/experiments.spot/channels/EXPERIMENT/PID.json``. A process that has ended well
leaves none; one that was killed cannot take its file away, and is told to be dead by its process id and start.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils import _channel
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines as rules
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import Line
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import duration, size

RUNNING, FAILED, DEAD, SILENT = "running", "failed", "dead", "silent"
# The file is written when something has changed, at most so often, and so often anyway.
SHORTEST_S, LONGEST_S = 1.0, 20.0
# A process that has not written for so long hangs, or its machine is switched off or cannot be asked.
SILENCE_S = 60.0


def folder(experiment: str = "", directory: str = "") -> Path:
    """Where the files of an experiment are, or those of all."""
    return Path(directory or _channel.STATE_DIRECTORY).expanduser() / "channels" / experiment


def began(pid: int) -> str:
    """When a process has started, as its kernel counts; '' when it is gone, '?' where that cannot be told.

    Source: proc(5), /proc/PID/stat, field 22; a zombie is gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    with contextlib.suppress(OSError):
        if not os.path.exists("/proc/self/stat"):
            os.kill(pid, 0)
            return "?"
    return ""


@dataclass(frozen=True)
class Now:
    """The same moment on two clocks: seconds of that of the lines, and the date."""

    clock: float
    date: datetime

    def text(self, at: float | None) -> str | None:
        """A moment of the lines' clock as date and time in UTC."""
        if at is None:
            return None
        return (self.date - timedelta(seconds=self.clock - at)).isoformat(timespec="seconds")


def line_row(line: Line, now: Now, up: bool, instance: str | None) -> dict[str, Any]:
    """One channel on one host.

    Args:
        up: the host answers.
        instance: id of the instance that has the rank now.
    """
    state = str(rules.row(line, now.clock, up)["state"])
    return {
        "channel": line.name,
        "rank": line.rank,
        "instance_id": instance,
        "state": "moving" if line.state == rules.RUNNING else state,
        "synced": now.text(line.synced_at),
        "moved": now.text(line.moved_at),
        "runs": line.runs,
        "files": line.files,
        "bytes": line.bytes,
        "retries": line.failures,
        "error": line.reason,
    }


class StateFile:
    """The file of this process.

    Args:
        experiment: its name.
        directory: of the states, empty for the usual one.
    """

    def __init__(self, experiment: str, directory: str = "") -> None:
        self.folder = folder(experiment, directory)
        self.path = self.folder / f"{os.getpid()}.json"
        self.head = {
            "experiment": experiment,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "began": began(os.getpid()),
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self.told: list[dict[str, Any]] = []
        self.written_at: float | None = None

    def start(self) -> None:
        """Takes away the files of processes that are gone; there is a new one now."""
        now = Now(0.0, datetime.now(timezone.utc))
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self.folder.glob("*.json"):
                data = read(path)
                if data is not None and judged(data, now)["state"] in (DEAD, FAILED):
                    path.unlink(missing_ok=True)

    def tell(self, lines: list[dict[str, Any]], now: Now) -> None:
        """Writes how the lines are, if that is new or the file is old."""
        since = LONGEST_S if self.written_at is None else now.clock - self.written_at
        if since >= LONGEST_S or (lines != self.told and since >= SHORTEST_S):
            self.write(lines, now)

    def write(self, lines: list[dict[str, Any]], now: Now, state: str = RUNNING) -> None:
        """Writes the file: whole, or not at all."""
        self.told, self.written_at = lines, now.clock
        data = {**self.head, "at": now.date.isoformat(timespec="seconds"), "state": state, "lines": lines}
        new = self.path.with_suffix(".new")
        # A full or read-only home directory is no reason to stop moving files.
        with contextlib.suppress(OSError):
            new.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8", errors="surrogateescape")
            os.replace(new, self.path)

    def end(self, lines: list[dict[str, Any]], now: Now, *, failed: bool) -> None:
        """The process ends: a failure stays to be seen."""
        if failed:
            self.write(lines, now, FAILED)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """What a file says; None when it is gone or not one of ours."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (
        data if isinstance(data, dict) and {"experiment", "host", "pid", "began", "at", "lines"} <= set(data) else None
    )


def judged(data: Mapping[str, Any], now: Now, host: str = "", process: Callable[[int], str] = began) -> dict[str, Any]:
    """What a file says, and whether the process is what it says: running, failed, dead, or silent for long.

    Args:
        host: name of this machine; a process elsewhere is known by its file only (a home directory on a network).
        process: when a process has started, see `began`.
    """
    age = (now.date - datetime.fromisoformat(data["at"])).total_seconds()
    state = data.get("state", RUNNING)
    if state == RUNNING and data["host"] == (host or socket.gethostname()) and process(data["pid"]) != data["began"]:
        state = DEAD
    elif state == RUNNING and age > SILENCE_S:
        state = SILENT
    return {**data, "state": state, "age": max(0.0, age)}


def found(experiments: Iterable[str], directory: str = "") -> list[dict[str, Any]]:
    """How the channels of experiments are, a process an element."""
    now = Now(0.0, datetime.now(timezone.utc))
    paths = [path for name in experiments for path in sorted(folder(name, directory).glob("*.json"))]
    return [judged(data, now) for data in map(read, paths) if data is not None]


def rows(processes: Iterable[Mapping[str, Any]], date: datetime) -> list[dict[str, Any]]:
    """The channels of processes as rows of a table, for people.

    Args:
        processes: see `found`.
        date: now, in UTC.
    """
    return [row(process, line, date) for process in processes for line in process["lines"]]


def row(process: Mapping[str, Any], line: Mapping[str, Any], date: datetime) -> dict[str, Any]:
    """One channel on one host; of a process that is gone nothing is well, whatever it has written last."""
    synced = line["synced"] and (date - datetime.fromisoformat(line["synced"])).total_seconds()
    running = process["state"] == RUNNING
    return {
        "experiment": process["experiment"],
        "channel": line["channel"],
        "rank": line["rank"],
        "state": line["state"] if running or line["state"] == rules.STOPPED else process["state"],
        "last": "never" if synced is None else f"{duration(max(0.0, synced))} ago",
        "files": line["files"],
        "moved": size(line["bytes"]),
        "retries": line["retries"],
        "reason": line["error"] if running or line["state"] == rules.STOPPED else REASONS[process["state"]](process),
    }


def _again(process: Mapping[str, Any]) -> str:
    return f"start again: ansible-playbook sync.yml -e experiment={process['experiment']} -e continuous=true"


REASONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    DEAD: lambda process: f"process {process['pid']} is gone; {_again(process)}",
    SILENT: lambda process: (
        f"process {process['pid']} on {process['host']} has said nothing for {duration(process['age'])}"
    ),
    FAILED: lambda process: f"the others have ended with a failure; {_again(process)}",
}
