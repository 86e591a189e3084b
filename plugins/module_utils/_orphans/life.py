# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether an experiment is alive. Pure functions, no API calls.

What cannot be told counts as alive: the instances decide, those that still run a job by what the job says. PRIVATE to
the collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .._experiment import crew, summary, transformations
from .._experiment.summary import Found
from .._job.runner import OPEN_STATES

Resource = dict[str, Any]

RESTING = frozenset({"stopping", "stopped"})
# What an instance may take to stop its job, flush and power off.
WHILE_S = 900
# AWS keeps an interrupted instance describable for about an hour and does not say when it ended.
LOST = frozenset({"interrupted", "failed"})
ASKING_FLEETS = frozenset({"submitted", "active", "modifying"})


@dataclass
class Life:
    """How an experiment stands.

    Attributes:
        alive: why it is alive, empty when nothing but a job can keep it alive.
        ask: instances whose job decides.
        expired: instance -> since when it should be gone, in words.
        resting: stopped instances: they cost only their disks, and hold data.
    """

    alive: str = ""
    ask: list[str] = field(default_factory=list)
    expired: dict[str, str] = field(default_factory=dict)
    resting: list[str] = field(default_factory=list)


def of(found: Found, now: datetime, grace: float) -> Life:
    """How the experiment stands that these resources belong to.

    Args:
        found: what it has.
        now: the present moment (UTC).
        grace: seconds for which something new, or just ended, counts as used.
    """
    life = Life()
    reasons = [_busy(raw, found, life, now, grace) for raw in living(found)]
    life.alive = next(filter(None, reasons), "")
    life.alive = life.alive or ("" if reasons else _asks(found, now)) or _recent(found, now, grace)
    return life


def living(found: Found) -> list[Resource]:
    """Instances that are not gone and not going."""
    return [raw for raw in found.instances if raw["State"]["Name"] in transformations.ALIVE | RESTING]


def _busy(raw: Resource, found: Found, life: Life, now: datetime, grace: float) -> str:
    """Why one instance is in use, '' when it is not or its job decides; files it under ``life``."""
    identity, state, tags = raw["InstanceId"], raw["State"]["Name"], transformations.tags_of(raw)
    if expired(raw, now):
        life.expired[identity] = f"{ends_at(raw):%Y-%m-%d %H:%M} UTC"
        return ""
    if state in RESTING:
        life.resting.append(identity)
        return ""
    if crew.end_of(raw, crew.requests_by_instance(found.spot_requests)).kind == "doomed":
        return "AWS takes an instance, another one follows"
    if age(raw.get("LaunchTime"), now) < grace:
        return f"launched less than {grace:g} s ago"
    if not tags.get("spot:job"):
        return "has no job that could end; close.yml ends it"
    life.ask.append(identity)
    return ""


def _asks(found: Found, now: datetime) -> str:
    """Whether a fleet without an instance goes on asking for capacity."""
    wanting = [raw["FleetId"] for raw in fleets(found) if wants(raw, now)]
    wanting += [raw["SpotFleetRequestId"] for raw in spot_fleets(found) if wants_spot(raw, now)]
    return f"{', '.join(wanting)} asks for capacity" if wanting else ""


def expired(raw: Resource, now: datetime) -> bool:
    """Whether its tags say that its time is over."""
    end = ends_at(raw)
    return bool(end and end < now)


def ends_at(raw: Resource) -> datetime | None:
    """When something has to be gone: as ``spot:expires`` says, or so long after its launch as ``spot:time-limit`` says.

    An instance ends itself at its time limit; it gets a while for that.
    """
    tags, launched = transformations.tags_of(raw), moment(raw.get("LaunchTime"))
    limit = transformations.number(tags.get("spot:time-limit"))
    ends = [moment(tags.get("spot:expires"))]
    ends += [launched + timedelta(seconds=limit + WHILE_S)] if launched and limit else []
    return min((one for one in ends if one), default=None)


def fleets(found: Found) -> list[Resource]:
    """Fleets that stand: of type maintain or request. Source: EC2 API FleetData, Type."""
    return [raw for raw in summary.standing_fleets(found) if raw.get("Type") in ("maintain", "request")]


def spot_fleets(found: Found) -> list[Resource]:
    """Spot Fleet requests that stand."""
    return summary.standing_spot_fleets(found)


def wants(raw: Resource, now: datetime) -> bool:
    """Whether an EC2 Fleet still asks: one of type request does so only until it has once got all."""
    target = (raw.get("TargetCapacitySpecification") or {}).get("TotalTargetCapacity") or 0
    over = raw.get("ValidUntil") and raw["ValidUntil"] < now
    full = raw.get("Type") == "request" and (raw.get("FulfilledCapacity") or 0) >= target
    return bool(raw["FleetState"] in ASKING_FLEETS and target and not over and not full and not expired(raw, now))


def wants_spot(raw: Resource, now: datetime) -> bool:
    """Whether a Spot Fleet request still asks. Source: EC2 API SpotFleetRequestConfigData."""
    data = raw.get("SpotFleetRequestConfig") or {}
    over = data.get("ValidUntil") and data["ValidUntil"] < now
    full = data.get("Type") == "request" and raw.get("ActivityStatus") == "fulfilled"
    state = raw["SpotFleetRequestState"] in ASKING_FLEETS
    return bool(state and data.get("TargetCapacity") and not over and not full and not expired(raw, now))


def _recent(found: Found, now: datetime, grace: float) -> str:
    """Whether a launch is under way, or an instance was just lost, in whose place another one may come."""
    if any(age(when, now) < grace for when in _made(found)):
        return f"something of it was made less than {grace:g} s ago"
    requests = crew.requests_by_instance(found.spot_requests)
    gone = [raw for raw in found.instances if raw["State"]["Name"] in transformations.GONE | {"shutting-down"}]
    lost = [raw for raw in gone if crew.end_of(raw, requests).kind in LOST]
    if any(age(transformations.ended(raw) or (now if grace else None), now) < grace for raw in lost):
        return "an instance was lost a moment ago, another one may follow"
    return ""


def _made(found: Found) -> Iterator[Any]:
    for kind in (found.key_pairs, found.launch_templates, found.fleets, found.spot_fleets, found.spot_requests):
        yield from (raw.get("CreateTime") for raw in kind)


def moment(given: Any) -> datetime | None:
    """A moment out of what AWS or a tag says, None for none or nonsense (tags can be edited by hand)."""
    if not isinstance(given, datetime):
        try:
            given = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
        except ValueError:
            return None
    return given if given.tzinfo else given.replace(tzinfo=timezone.utc)


def age(given: Any, now: datetime) -> float:
    """Seconds since a moment, without end when it is not known."""
    when = moment(given)
    return max(0.0, (now - when).total_seconds()) if when else float("inf")


@dataclass(frozen=True)
class Job:
    """What the job of an instance says: ``alive``, ``idle`` or ``unknown``, and why."""

    verdict: str
    why: str


def job_of(told: Mapping[str, Any] | None, now: datetime, grace: float) -> Job:
    """What ``job_info`` says of an instance; one that does not answer may be busy.

    Args:
        told: the answer, None or with ``unreachable`` or ``failed`` when there was none.
        now: the present moment.
        grace: seconds for which a job that has ended counts as alive.
    """
    if told is None or told.get("unreachable") or told.get("failed"):
        return Job("unknown", "does not answer over ssh, so nobody knows whether its job lives")
    state = told.get("state") or ""
    if state in (*OPEN_STATES, "interrupted"):
        return Job("alive", f"its job is {state}")
    if not state:
        return Job("idle", "no job was ever started on it")
    if age(told.get("finished"), now) < grace:
        return Job("alive", f"its job ended less than {grace:g} s ago")
    code = told.get("exit_code")
    return Job("idle", f"its job {state}{f' ({code})' if code else ''} at {told.get('finished') or 'an unknown time'}")
