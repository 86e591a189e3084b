"""AWS takes a Spot Instance: rebalance recommendation, notice, and what follows when its time is over.

Source: EC2 User Guide "Spot Instance interruption notices", "Behavior of Spot Instance interruptions", "EC2 instance
rebalance recommendations", "Spot request status".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from lab.aws import cloud, events, fleets, rules
from lab.aws.machines import Notices
from lab.aws.world import Record, World

NOTICE = 120.0  # seconds
ACTIONS = ("terminate", "stop", "hibernate")
MARKS = {"terminate": "marked-for-termination", "stop": "marked-for-stop", "hibernate": "marked-for-stop"}
TAKEABLE = ("pending", "running")


class BadOrder(ValueError):
    """AWS would never do this; the text says why."""


@dataclass(frozen=True)
class Interruption:
    """What is going to happen to an instance, and when."""

    action: str
    at: datetime


def order(world: World, args: dict[str, Any]) -> dict[str, Any]:
    """Carry out `POST /lab/interrupt`.

    Args:
        args: instance_id (or the beginning of one), notice (seconds; absent: 120; null or 0: none), action
            (terminate, stop, hibernate; absent: the request's InstanceInterruptionBehavior), rebalance (bool: nothing
            but a recommendation).

    Returns:
        instance_id, kind (rebalance, notice, sudden), action, time (of the notice), seconds (until then).

    Raises:
        BadOrder: see its text.
    """
    known = {"instance_id", "notice", "action", "rebalance"}
    if set(args) - known:
        raise BadOrder(f"unknown {', '.join(sorted(set(args) - known))}; may have {', '.join(sorted(known))}")
    record = find(world, str(args.get("instance_id") or ""))
    if args.get("rebalance"):
        return recommend(world, record)
    action = chosen(world, record, args.get("action"))
    notice = seconds(args.get("notice", NOTICE))
    if notice:
        return announce(world, record, action, notice)
    act(world, record, action)
    return {"instance_id": record.instance.id, "kind": "sudden", "action": action}


def seconds(notice: Any) -> float:
    """A length of time, 0 for none."""
    if isinstance(notice, bool) or not isinstance(notice, (int, float, type(None))) or (notice or 0) < 0:
        raise BadOrder(f"notice must be a number of seconds, or null for none, not {notice!r}")
    return float(notice or 0)


def find(world: World, name: str) -> Record:
    """The one Spot Instance that is meant, and that can be taken."""
    found = [r for i, r in world.records.items() if i == name] or [
        r for i, r in world.records.items() if name.startswith("i-") and i.startswith(name)
    ]
    if len(found) != 1:
        problem = "names several instances" if found else "is no instance"
        raise BadOrder(f"{name!r} {problem}; {takeable(world)}")
    record = found[0]
    if record.lifecycle != "spot":
        raise BadOrder(f"{record.instance.id} is On-Demand, AWS interrupts Spot Instances only; {takeable(world)}")
    if record.instance.state not in TAKEABLE:
        raise BadOrder(f"{record.instance.id} is {record.instance.state}; {takeable(world)}")
    return record


def takeable(world: World) -> str:
    """Which instances could be named."""
    ids = [i for i, r in world.records.items() if r.lifecycle == "spot" and r.instance.state in TAKEABLE]
    return f"Spot Instances there are: {', '.join(ids)}" if ids else "there is no Spot Instance now"


def chosen(world: World, record: Record, action: str | None) -> str:
    """What AWS would do with it: what its request says. Source: EC2 API InstanceInterruptionBehavior."""
    request = world.spot_requests.get(record.spot_request_id, {})
    behavior = str(request.get("InstanceInterruptionBehavior") or "terminate")
    if not action:
        return behavior
    if action not in ACTIONS:
        raise BadOrder(f"action is one of {', '.join(ACTIONS)}, not {action!r}")
    if action not in ("terminate", behavior) and request.get("Type") != "persistent":
        raise BadOrder(
            f"AWS never does {action} to {record.instance.id}: its request is {request.get('Type')} with "
            f"InstanceInterruptionBehavior {behavior}"
        )
    return action


def recommend(world: World, record: Record) -> dict[str, Any]:
    """A rebalance recommendation: a path in the metadata service and an event; only fleets may act on it."""
    at = stamp(datetime.now(timezone.utc))
    tell(world, record, replace(record.notices or Notices(), rebalance={"noticeTime": at}))
    events.emit(world, record, events.REBALANCE, {})
    fleets.on_rebalance(world, record.instance.id)
    return {"instance_id": record.instance.id, "kind": "rebalance", "time": at}


def announce(world: World, record: Record, action: str, notice: float) -> dict[str, Any]:
    """The notice: metadata service, status of the request, event. Hibernation begins at once."""
    if record.plan:
        raise BadOrder(f"{record.instance.id} has its notice already: {record.plan.action} at {stamp(record.plan.at)}")
    wait = 0.0 if action == "hibernate" else world.delay(notice)
    plan = Interruption(action, datetime.now(timezone.utc) + timedelta(seconds=wait))
    record.plan = plan
    tell(
        world, record, replace(record.notices or Notices(), instance_action={"action": action, "time": stamp(plan.at)})
    )
    request = world.spot_requests.get(record.spot_request_id)
    if request:
        cloud.set_status(request, MARKS[action])
    events.emit(world, record, events.WARNING, {"instance-action": action})
    cloud.later(wait, finish, world, record, plan)
    return {
        "instance_id": record.instance.id,
        "kind": "notice",
        "action": action,
        "time": stamp(plan.at),
        "seconds": round(wait, 3),
    }


def finish(world: World, record: Record, plan: Interruption) -> None:
    """The time is over, unless somebody has ended or stopped the instance, or emptied the account, in the meantime."""
    with world.lock:
        if world.records.get(record.instance.id) is record and record.plan is plan:
            act(world, record, plan.action)
            events.flush(world)


def act(world: World, record: Record, action: str) -> None:
    """AWS takes the instance. The lab cuts the power; whether AWS lets the system shut down is best effort, too."""
    transition = cloud.stamp("Service initiated")
    if action == "terminate":
        cloud.terminate(world, record, cloud.SPOT_TERMINATION, transition)
    else:
        cloud.stop(world, record, cloud.SPOT_STOP, transition)


def restart(world: World) -> None:
    """Start what AWS has stopped, where there is room again. Source: EC2 User Guide, interruption behavior `stop`."""
    for record in world.records.values():
        request = world.spot_requests.get(record.spot_request_id, {})
        if record.instance.state == "stopped" and request.get("State") == "disabled" and taken(request):
            i = record.instance
            if rules.free_places(world, i.instance_type, i.availability_zone, "spot") != 0:
                cloud.start(world, record)


def taken(request: dict[str, Any]) -> bool:
    """Whether AWS has stopped the instance: then nobody else may start it."""
    return bool(request["Status"]["Code"] == "instance-stopped-no-capacity")


def tell(world: World, record: Record, notices: Notices) -> None:
    """The metadata service shows it."""
    record.notices = notices
    world.machines.notify(record.instance.id, notices)


def stamp(moment: datetime) -> str:
    """A time as the metadata service writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
