# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an instance has cost, out of the prices of its time. USD; unknown is None and never counted as zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Point = tuple[datetime, float]

# EC2 bills Linux by the second, at least so many. Source: "Amazon EC2 On-Demand Pricing".
LEAST_S = 60.0
# What AWS interrupts before this age costs nothing. Source: EC2 user guide, "Billing for interrupted Spot Instances".
FREE_S = 3600.0
HOUR_S = 3600.0


def billed_end(start: datetime, end: datetime) -> datetime:
    """End of what is billed: the shortest time counts at least."""
    return max(end, start + timedelta(seconds=LEAST_S))


def is_free(instance: Mapping[str, Any], start: datetime, end: datetime) -> bool:
    """Whether AWS takes nothing for it."""
    young = (end - start).total_seconds() < FREE_S
    return young and instance.get("end") == "interrupted" and instance.get("lifecycle") == "spot"


def spot_curve(changes: Sequence[Mapping[str, Any]], start: datetime, end: datetime) -> list[Point] | None:
    """Cost since the start at each change of the price and at the end, None where a price is not known.

    Args:
        changes: ``time`` (ISO 8601) and ``price`` (USD per hour), the oldest first, that at the start among them.
        start: launch.
        end: end, or now.
    """
    steps = [(datetime.fromisoformat(str(one["time"])), float(one["price"])) for one in changes]
    if not steps or steps[0][0] > start:
        return None
    until, total = billed_end(start, end), 0.0
    curve = [(start, 0.0)]
    for number, (at, price) in enumerate(steps):
        begin = max(at, start)
        stop = min(steps[number + 1][0] if number + 1 < len(steps) else until, until)
        if stop > begin:
            total += price * (stop - begin).total_seconds() / HOUR_S
            curve.append((stop, round(total, 6)))
    return curve


def on_demand_curve(price: float | None, start: datetime, end: datetime) -> list[Point] | None:
    """The same at one price that does not change."""
    if price is None:
        return None
    until = billed_end(start, end)
    return [(start, 0.0), (until, round(price * (until - start).total_seconds() / HOUR_S, 6))]


def at(curve: Sequence[Point], moment: datetime) -> float:
    """Cost until a moment, between the points of a curve."""
    last_at, last = curve[0]
    if moment <= last_at:
        return last
    for point_at, amount in curve[1:]:
        if moment <= point_at:
            share = (moment - last_at) / (point_at - last_at)
            return last + (amount - last) * share
        last_at, last = point_at, amount
    return last


def together(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The sum of curves, at all their moments."""
    moments = sorted({moment for curve in curves for moment, _amount in curve})
    return [(moment, round(sum(at(curve, moment) for curve in curves), 6)) for moment in moments]
