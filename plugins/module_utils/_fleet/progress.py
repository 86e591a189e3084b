# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a launch tells while it is under way: one line each, for people."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from .._aws_errors import CAPACITY_CODES, PERMISSION_CODES, QUOTA_CODES
from .plan import Do, Step
from .values import Instance, Refusal

# More instances than this at once are told in one line, by type and zone.
LINE_EACH = 4


class Teller(Protocol):
    """Where the lines go."""

    def tell(self, lines: Iterable[str]) -> None:
        """Show lines."""


class File:
    """Appends lines to a file, each at once; a file that cannot be written is nobody's loss.

    Args:
        path: The file, empty for none.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def tell(self, lines: Iterable[str]) -> None:
        """Append lines."""
        text = "".join(f"{' '.join(line.split())}\n" for line in lines)
        if text and self._path:
            with contextlib.suppress(OSError), open(self._path, "a", encoding="utf-8") as file:
                file.write(text)


def refusal_lines(told: Iterable[Refusal], new: Iterable[Refusal], step: Step) -> list[str]:
    """Return a line for each refusal that was not told before, and one for all that come again.

    Args:
        told: Refusals that were told.
        new: Refusals that came since.
        step: What is done next.
    """
    known = {_identity(refusal) for refusal in told}
    fresh = {_identity(refusal): refusal for refusal in new if _identity(refusal) not in known}
    again = len({_identity(refusal) for refusal in new} - set(fresh))
    others = ", asking the others" if step.do is Do.ASK and step.request and fresh else ""
    lines = [f"{where(refusal)}: {reason(refusal)}" for refusal in fresh.values()]
    lines = [*lines[:-1], lines[-1] + others] if lines else []
    return lines + ([f"{again} pool{'s' if again > 1 else ''} refused again"] if again else [])


def _identity(refusal: Refusal) -> tuple[str, str]:
    return (refusal.label, refusal.code)


def where(refusal: Refusal) -> str:
    """Return what refused in few words: the subnet only where the zone is not known."""
    pool = refusal.pool
    return replace(refusal, pool=replace(pool, subnet_id="") if pool and pool.zone else pool).label


def reason(refusal: Refusal) -> str:
    """Return why AWS said no, in few words and with its code."""
    meanings = ((CAPACITY_CODES, "no capacity"), (QUOTA_CODES, "quota exhausted"), (PERMISSION_CODES, "not allowed"))
    word = next((text for codes, text in meanings if refusal.code in codes), "refused")
    return f"{word} ({refusal.code})"


def wait_lines(step: Step, left: float) -> list[str]:
    """Return the line of a pause.

    Args:
        step: What is done next.
        left: Seconds until the launch gives up.
    """
    if step.do is not Do.SLEEP:
        return []
    until = f", {clock_time(left)} left" if left > 0 else ""
    return [f"waiting {max(round(step.seconds), 1)} s{until}"]


def clock_time(seconds: float) -> str:
    """Return seconds as minutes and seconds, such as ``4:20``, or with hours, such as ``1:04:20``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def launch_lines(new: Iterable[Instance], before: int, target: int) -> list[str]:
    """Return the lines of instances that have just been launched.

    Args:
        new: The instances.
        before: How many the experiment had.
        target: How many it shall have (instances, or units of capacity with weights).
    """
    launched = list(new)
    if len(launched) <= LINE_EACH:
        return [f"launched {before + n} of {target}: {_words(item)}" for n, item in enumerate(launched, start=1)]
    kinds = Counter(" ".join(part for part in (item.instance_type, item.zone) if part) for item in launched)
    groups = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return [f"launched {before + len(launched)} of {target}: {groups}"]


def _words(instance: Instance) -> str:
    return " ".join(part for part in (instance.instance_id, instance.instance_type, instance.zone) if part)
