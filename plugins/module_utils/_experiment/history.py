# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which pools have just refused an experiment, or have just lost an instance: read from AWS, kept nowhere else.

AWS remembers the fleets of an experiment with the errors they met, and for about an hour the instances it took. A pool
that had no capacity a moment ago has most likely none now, so it is asked last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._aws_errors import ErrorClass, classify
from . import crew

Resource = dict[str, Any]
Place = tuple[str, str]
"""Instance type and subnet, or instance type and zone."""

REFUSED_S = 180.0
TAKEN_S = 600.0


@dataclass(frozen=True)
class Past:
    """The last thing that went wrong in a pool.

    Attributes:
        code: error code of the refusal, or the code with which AWS took the instance.
        seconds: how long ago.
        cooling: whether that is too recent to ask again first.
    """

    code: str
    seconds: float
    cooling: bool


def past(fleets: Iterable[Resource], raws: Iterable[Resource], requests: Iterable[Resource], now: datetime) -> Any:
    """The newest event of each place as ``{(type, subnet) or (type, zone): Past}``."""
    events = [*_refusals(fleets, now), *_taken(raws, requests, now)]
    return dict(sorted(events, key=lambda one: -one[1].seconds))


def _refusals(fleets: Iterable[Resource], now: datetime) -> Iterable[tuple[Place, Past]]:
    """Source: EC2 API DescribeFleets, FleetData.Errors (only of instant fleets)."""
    for fleet in fleets:
        made = fleet.get("CreateTime")
        for error in fleet.get("Errors") or []:
            place, code = _place(error), error.get("ErrorCode") or ""
            if place and isinstance(made, datetime) and classify(code) is ErrorClass.POOL:
                seconds = max((now - made).total_seconds(), 0.0)
                yield place, Past(code, seconds, seconds < REFUSED_S)


def _place(error: Resource) -> Place | None:
    override = (error.get("LaunchTemplateAndOverrides") or {}).get("Overrides") or {}
    kind, subnet = override.get("InstanceType"), override.get("SubnetId")
    return (kind, subnet) if kind and subnet else None


def _taken(raws: Iterable[Resource], requests: Iterable[Resource], now: datetime) -> Iterable[tuple[Place, Past]]:
    known = crew.requests_by_instance(requests)
    for raw in raws:
        end = crew.end_of(raw, known)
        when = ((known.get(raw["InstanceId"]) or {}).get("Status") or {}).get("UpdateTime")
        # A dead instance has no subnet any more.
        zone = (raw.get("Placement") or {}).get("AvailabilityZone")
        if end.kind in ("interrupted", "doomed") and isinstance(when, datetime) and zone:
            seconds = max((now - when).total_seconds(), 0.0)
            yield (raw["InstanceType"], zone), Past(end.code, seconds, seconds < TAKEN_S)
