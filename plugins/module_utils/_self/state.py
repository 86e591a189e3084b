# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the instances of all generations know of each other: one small document, and what it lets the next one do.

Part of what an instance in recovery mode `self` runs: Python 3.9, standard library only. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._notice.clocks import iso, parse_iso

Document = dict[str, Any]

NAME = "state.json"
SETTING_UP, RUNNING, ENDED, GIVEN_UP = "setting-up", "running", "ended", "given-up"
OVER = (ENDED, GIVEN_UP)
# As many instances in a row may fail to set themselves up; more would only cost.
MAX_FAILURES = 3


@dataclass(frozen=True)
class Bounds:
    """How far the profile lets recovery go: generations, and seconds from the first one on (None for no end)."""

    max_generations: int
    deadline: float | None = None


def begin(found: Document | None, instance_id: str, bounds: Bounds, now: float) -> tuple[Document, str]:
    """The document of an instance that starts, and why it must not go on ('' when it may).

    An instance that starts once more (a reboot) stays in its generation.
    """
    last = found or {}
    if last.get("phase") in OVER:
        return last, f"the experiment is over ({last['phase']}): {last.get('message', '')}".rstrip(": ")
    again = last.get("instance_id") == instance_id
    former = list(last.get("former") or []) if again else [*(last.get("former") or []), last.get("instance_id")]
    document = {
        "schema": 1,
        "phase": SETTING_UP,
        "generation": _number(last, "generation") + (0 if again else 1),
        "instance_id": instance_id,
        "former": [one for one in former if one][-20:],
        "failures": _number(last, "failures"),
        "since": (last.get("since") if again else None) or iso(now),
        "started": last.get("started") or iso(now),
        "time": iso(now),
        "message": "",
    }
    why = "" if again else _bound(document, bounds, now)
    return (give_up(document, why, now), why) if why else (document, "")


def _bound(document: Document, bounds: Bounds, now: float) -> str:
    generation, started = document["generation"], parse_iso(document["started"])
    if generation > bounds.max_generations:
        return f"generation {generation} would be over recovery.max_generations ({bounds.max_generations})"
    if generation > 1 and bounds.deadline is not None and started is not None and now > started + bounds.deadline:
        first = document["started"]
        return f"the first instance started at {first}, more than recovery.deadline ({bounds.deadline:g} s) ago"
    return ""


def failed(document: Document, message: str, now: float) -> Document:
    """After an instance could not set itself up; the phase says whether the next one may try."""
    failures = _number(document, "failures") + 1
    after = {**document, "failures": failures, "time": iso(now), "message": message}
    if failures < MAX_FAILURES:
        return after
    return give_up(after, f"{failures} instances could not set themselves up; the last one: {message}", now)


def running(document: Document, now: float) -> Document:
    """The job runs: earlier failures do not count any more."""
    return {**document, "phase": RUNNING, "failures": 0, "time": iso(now), "message": ""}


def ended(document: Document, job: Document, now: float) -> Document:
    """The job is over, well or not."""
    keys = ("state", "exit_code", "message")
    told = {"job": {key: job.get(key) for key in keys}, "message": f"the job {job.get('state')}"}
    return {**document, "phase": ENDED, "time": iso(now), **told}


def give_up(document: Document, why: str, now: float) -> Document:
    """Nobody may go on."""
    return {**document, "phase": GIVEN_UP, "time": iso(now), "message": why}


def _number(document: Document, key: str) -> int:
    value = document.get(key)
    return value if isinstance(value, int) and value > 0 else 0
