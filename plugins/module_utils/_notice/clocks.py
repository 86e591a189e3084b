# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Time: how much of it a notice leaves, and whether an experiment's time is over, also where a clock is wrong.

Part of the notice watcher on the instance. Moments are seconds of Unix time; `uptime` is seconds since boot, which no
change of the clock moves.
Source: EC2 User Guide "Spot Instance interruption notices" (two minutes); RFC 9110, 6.6.1 (Date).
"""

from __future__ import annotations

import calendar
import email.utils
import time
from dataclasses import dataclass
from typing import Any

# What AWS promises for stop and terminate.
NOTICE = 120.0
# A clock that reads more than this left is wrong.
CREDIBLE = NOTICE + 15.0
# With no clock to believe, and when the time is over but the instance is still there: what is planned with.
LEAST = 30.0
# A notice that is older by AWS's own clock belongs to a termination that failed.
STALE = 900.0


def uptime() -> float:
    """Seconds since boot, those in hibernation too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def iso(moment: float) -> str:
    """A moment as the state file has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def parse_iso(text: Any) -> float | None:
    """A moment from ISO 8601 in UTC (Z or +00:00, with or without a fraction), None for anything else."""
    if not isinstance(text, str):
        return None
    plain = text.strip()
    for suffix in ("+00:00", "Z"):
        if plain.endswith(suffix):
            plain = plain[: -len(suffix)]
            break
    else:
        return None
    try:
        return float(calendar.timegm(time.strptime(plain.partition(".")[0], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return None


def parse_date(text: str | None) -> float | None:
    """A moment from the header Date of an answer, None when there is no usable one."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


@dataclass(frozen=True)
class Sight:
    """What was known when a notice was seen.

    Attributes:
        time: when AWS acts, None when the notice does not say.
        date: AWS's clock, from the answer with the notice; None when the answer had none.
        wall: the clock of this machine.
        since_clear: seconds since the metadata service last said that there is no notice, None when it never did.
    """

    time: float | None
    date: float | None
    wall: float
    since_clear: float | None


def seconds_left(sight: Sight) -> float:
    """How long until AWS acts.

    AWS's own clock counts. Without it this machine's clock does where it reads what can be true (a notice comes two
    minutes ahead); where it cannot be true, the notice is as old as the last poll without it.
    """
    if sight.time is not None and sight.date is not None:
        left = sight.time - sight.date
        return left if left > 0 else LEAST
    if sight.time is not None and 0 < sight.time - sight.wall <= CREDIBLE:
        return sight.time - sight.wall
    return LEAST if sight.since_clear is None else max(LEAST, NOTICE - sight.since_clear)


def is_stale(sight: Sight) -> bool:
    """Whether a notice was there before this watcher and its time is long over: that termination failed."""
    if sight.time is None or sight.date is None or sight.since_clear is not None:
        return False
    return sight.date - sight.time > STALE


def grace_within(left: float, grace: float, reserve: float) -> float:
    """Seconds that the job may have after SIGTERM, so that `reserve` (at most a third) remains for its volumes."""
    return max(0.0, min(grace, left - min(reserve, left / 3)))


class AwsClock:
    """AWS's clock as the metadata service last told it, carried on by the uptime."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def told(self, date: float | None, up: float) -> None:
        """An answer came with this date."""
        if date is not None:
            self._offset = date - up

    def now(self, up: float) -> float | None:
        """AWS's time, None while it never told."""
        return None if self._offset is None else self._offset + up


class Expiry:
    """When the time limit is reached: two clocks must say so.

    The clocks are AWS's (from the metadata service), this machine's, and the uptime, which is set at first sight by
    AWS's clock, else by this machine's. So no single wrong or jumping clock ends a job early, and an unreachable
    metadata service makes no job run for ever.

    Args:
        expires: the moment.
        saved: what `memory` of an earlier watcher of this boot was.
    """

    def __init__(self, expires: float, saved: dict[str, Any] | None = None) -> None:
        self.expires = expires
        saved = saved or {}
        same = saved.get("expires") == expires and isinstance(saved.get("due"), (int, float))
        self.due: float | None = float(saved["due"]) if same else None
        self.by_aws = bool(same and saved.get("by_aws"))

    @property
    def memory(self) -> dict[str, Any]:
        """What the next watcher of this boot must know."""
        return {"expires": self.expires, "due": self.due, "by_aws": self.by_aws}

    def reached(self, aws: float | None, wall: float, up: float) -> bool:
        """Whether the time is over."""
        if self.due is None or (aws is not None and not self.by_aws):
            self.due = up + self.expires - (wall if aws is None else aws)
            self.by_aws = aws is not None
        told = [wall >= self.expires, up >= self.due]
        if aws is not None:
            told.append(aws >= self.expires)
        return sum(told) >= 2
