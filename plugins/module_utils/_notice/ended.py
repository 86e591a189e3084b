# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The job's own end: how long the instance stays after it, so that nobody pays for an idle machine.

Part of the notice watcher on the instance. The time counts from when this watcher first sees the end, by the uptime,
which no wrong clock moves.
"""

from __future__ import annotations

import os
from typing import Any

from . import system

# As long as this file is there the instance stays.
STAY = "/run/experiments-spot/stay"
# Whoever waits for the job hears of its end first, and then ends the instance in order.
HEARD = 30.0

Run = dict[str, Any]


def last_run(ledger: dict[str, Any], instance_id: str | None) -> Run | None:
    """The last run of a ledger, None when there is none of this instance."""
    runs = ledger.get("runs")
    last = runs[-1] if isinstance(runs, list) and runs and isinstance(runs[-1], dict) else None
    return last if last and last.get("instance_id") == instance_id else None


class JobEnd:
    """When the instance ends after its job.

    Args:
        after: seconds by the state of the run, ``succeeded`` or ``failed``, at least `HEARD` of them; a state that is
            not there ends nothing.
        instance_id: of this instance, whose runs count.
        stay: see `STAY`.
    """

    def __init__(self, after: dict[str, float], instance_id: str | None, stay: str = STAY) -> None:
        self.after, self.instance_id, self.stay = after, instance_id, stay
        self.stamp: tuple[int, int] | None = None
        self.run: Run | None = None
        self.since = 0.0

    def look(self, path: str, up: float) -> None:
        """Read the ledger where it has changed."""
        try:
            found = os.stat(path)
        except OSError:
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self.stamp:
            return
        self.stamp = stamp
        run = last_run(system.read_json(path), self.instance_id)
        if run != self.run:
            self.run, self.since = run, up

    def reached(self, up: float) -> bool:
        """Whether the instance has stayed long enough."""
        wait = self.after.get(str(self.run.get("state"))) if self.run else None
        return wait is not None and up >= self.since + max(wait, HEARD) and not os.path.exists(self.stay)

    @property
    def text(self) -> str:
        """What the end is recognised by."""
        run = self.run or {}
        return f"{run.get('state')} {run.get('started')} {run.get('finished')}"
