# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a Spot Fleet request is and does, out of the answers of AWS: pure functions.

Note that this module util is private to the collection and may change at any time.

Source: EC2 API SpotFleetRequestConfig, BatchState, ActivityStatus, HistoryRecord, EventInformation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from .._aws_errors import quota_hint
from .._experiment.transformations import tags_of
from .fleet_request import MAINTAIN, ON_DEMAND_STRATEGIES, POLICIES, STRATEGIES

Resource = dict[str, Any]

# States in which a request still asks for capacity.
ALIVE = frozenset({"submitted", "active", "modifying"})
# States in which it no longer does but has instances.
LEAVING = frozenset({"cancelled_running", "cancelled_terminating"})
# After these events waiting is of no use. Source: EC2 API EventInformation, "error events".
FATAL_EVENTS = frozenset(
    {"iamFleetRoleInvalid", "spotFleetRequestConfigurationInvalid", "spotInstanceCountLimitExceeded"}
)
TOLD_EVENTS = 8

_PRICE = "remove the maximum prices (the default maximum is the On-Demand price)"
_CAPACITY = "use more instance types or zones, or try again in some minutes"
# What to do about an event, the most probable cause first.
ADVICE: dict[str, str] = {
    "iamFleetRoleInvalid": (
        "the role of iam_fleet_role must exist, trust spotfleet.amazonaws.com and have the policy "
        "AmazonEC2SpotFleetTaggingRole"
    ),
    "spotFleetRequestConfigurationInvalid": "correct the request as the event says",
    "spotInstanceCountLimitExceeded": "",
    "fleetProgressHalted": _PRICE,
    "launchSpecUnusable": _PRICE,
    "allLaunchSpecsTemporarilyBlacklisted": _CAPACITY,
    "launchSpecTemporarilyBlacklisted": _CAPACITY,
}


class Progress(Enum):
    """How far a request is."""

    WAITING = "waiting"
    TROUBLED = "troubled"
    DONE = "done"
    OVER = "over"


def own(fleets: Iterable[Resource], experiment: str, generation: str | None) -> list[Resource]:
    """Requests with the tags of an experiment, of one generation or of all, the oldest first."""
    found = [one for one in fleets if _is_of(tags_of(one), experiment, generation)]
    return sorted(found, key=_age)


def _is_of(tags: Mapping[str, str], experiment: str, generation: str | None) -> bool:
    return tags.get("spot:experiment") == experiment and (
        generation is None or tags.get("spot:generation") == generation
    )


def selected(fleets: Iterable[Resource], params: Mapping[str, Any]) -> list[Resource]:
    """Requests that the options of spot_fleet_info ask for, the oldest first."""
    ids, experiment = params["spot_fleet_request_ids"], params["experiment"]
    if ids is not None:
        found = [one for one in fleets if one["SpotFleetRequestId"] in ids]
    else:
        found = [one for one in fleets if experiment in (None, tags_of(one).get("spot:experiment"))]
        found = found if params["include_over"] else in_states(found, ALIVE | LEAVING)
    return sorted(found, key=_age)


def _age(fleet: Resource) -> tuple[str, str]:
    return str(fleet.get("CreateTime", "")), fleet["SpotFleetRequestId"]


def in_states(fleets: Iterable[Resource], states: Set[str]) -> list[Resource]:
    """Requests that are in one of these states."""
    return [one for one in fleets if one.get("SpotFleetRequestState") in states]


def progress(fleet: Resource | None, target: int) -> Progress:
    """How far a request is; None is one that AWS does not see yet.

    Args:
        fleet: entry of DescribeSpotFleetRequests.
        target: the wanted capacity, as a change shows some moments after it was asked for.
    """
    if fleet is None:
        return Progress.WAITING
    state, activity, config = fleet.get("SpotFleetRequestState"), fleet.get("ActivityStatus"), _config(fleet)
    if state not in ALIVE:
        return Progress.OVER
    if activity == "error":
        return Progress.TROUBLED
    enough = config.get("FulfilledCapacity", target) >= target == config.get("TargetCapacity")
    return Progress.DONE if state == "active" and activity == "fulfilled" and enough else Progress.WAITING


def changes(fleet: Resource, params: Mapping[str, Any]) -> Resource:
    """Parameters of ModifySpotFleetRequest that make a request what the options say; empty for no change."""
    config, wanted = _config(fleet), {"TargetCapacity": params["target_capacity"]}
    if params["launch_template_configs"]:
        wanted["OnDemandTargetCapacity"] = params["on_demand_target_capacity"]
    policy = params["excess_capacity_termination_policy"]
    if policy:
        wanted["ExcessCapacityTerminationPolicy"] = POLICIES[policy]
    different = {key: value for key, value in wanted.items() if value != (config.get(key) or _default(key))}
    # AWS's default is to terminate, whatever the request was made with: the policy goes with every change.
    now = wanted.get("ExcessCapacityTerminationPolicy") or config.get("ExcessCapacityTerminationPolicy")
    return {**different, **({"ExcessCapacityTerminationPolicy": now} if different and now else {})}


def _default(key: str) -> Any:
    return "default" if key == "ExcessCapacityTerminationPolicy" else 0


def fixed_differences(fleet: Resource, params: Mapping[str, Any]) -> list[str]:
    """Options that AWS cannot change in a request and that differ from what it was made with, a line each."""
    config = _config(fleet)
    wanted = {
        "type": ("Type", params["type"]),
        "iam_fleet_role": ("IamFleetRole", params["iam_fleet_role"]),
        "allocation_strategy": ("AllocationStrategy", STRATEGIES[params["allocation_strategy"]]),
        "interruption_behavior": ("InstanceInterruptionBehavior", params["interruption_behavior"]),
    }
    return [
        f"{name} is {config[key]}, not {value}"
        for name, (key, value) in wanted.items()
        if config.get(key) not in (None, value)
    ]


def instance_result(active: Resource, raw: Resource | None) -> Resource:
    """One instance as the modules return it.

    Args:
        active: entry of DescribeSpotFleetInstances.
        raw: entry of DescribeInstances, None when it was not read.
    """
    seen = raw or {}
    return {
        "instance_id": active["InstanceId"],
        "instance_type": active.get("InstanceType"),
        "zone": (seen.get("Placement") or {}).get("AvailabilityZone"),
        "subnet_id": seen.get("SubnetId"),
        "lifecycle": (seen.get("InstanceLifecycle") or "on-demand") if raw else None,
        "state": (seen.get("State") or {}).get("Name"),
        "health": active.get("InstanceHealth"),
        "spot_instance_request_id": active.get("SpotInstanceRequestId"),
        "public_ip": seen.get("PublicIpAddress"),
        "private_ip": seen.get("PrivateIpAddress"),
    }


def instances_result(active: Iterable[Resource], raws: Iterable[Resource]) -> list[Resource]:
    """Instances of a request by id."""
    by_id = {raw["InstanceId"]: raw for raw in raws}
    found = [instance_result(one, by_id.get(one["InstanceId"])) for one in active]
    return sorted(found, key=lambda one: one["instance_id"])


def event_result(record: Resource) -> Resource:
    """One event of the history as the modules return it."""
    information = record.get("EventInformation") or {}
    return {
        "time": _iso(record.get("Timestamp")),
        "type": record.get("EventType"),
        "code": information.get("EventSubType"),
        "text": " ".join(str(information.get("EventDescription") or "").split()),
        "instance_id": information.get("InstanceId"),
    }


def events_result(records: Iterable[Resource]) -> list[Resource]:
    """Events, the oldest first."""
    return sorted(map(event_result, records), key=lambda one: one["time"] or "")


def bad_events(events: Iterable[Resource]) -> list[Resource]:
    """Events that say why capacity is missing; the same words come once, the last time they were said."""
    found: dict[tuple[str, str], Resource] = {}
    for event in events:
        if event["type"] == "error" or event["code"] in ADVICE:
            found.pop((event["code"], event["text"]), None)
            found[event["code"], event["text"]] = event
    return list(found.values())


def is_hopeless(events: Iterable[Resource]) -> bool:
    """Whether an event says that waiting is of no use."""
    return any(event["type"] == "error" and event["code"] in FATAL_EVENTS for event in events)


def result(fleet: Resource | None, instances: list[Resource]) -> Resource:
    """A request as the modules return it, with all its keys; None for one that would be made."""
    seen = fleet or {}
    config = _config(seen)
    return {
        "spot_fleet_request_id": seen.get("SpotFleetRequestId"),
        "state": seen.get("SpotFleetRequestState"),
        "activity_status": seen.get("ActivityStatus"),
        "type": config.get("Type"),
        "target_capacity": config.get("TargetCapacity"),
        "fulfilled_capacity": config.get("FulfilledCapacity"),
        "on_demand_target_capacity": config.get("OnDemandTargetCapacity"),
        "on_demand_fulfilled_capacity": config.get("OnDemandFulfilledCapacity"),
        "allocation_strategy": _ours(STRATEGIES, config.get("AllocationStrategy")),
        "on_demand_allocation_strategy": _ours(ON_DEMAND_STRATEGIES, config.get("OnDemandAllocationStrategy")),
        "excess_capacity_termination_policy": _ours(POLICIES, config.get("ExcessCapacityTerminationPolicy")),
        "interruption_behavior": config.get("InstanceInterruptionBehavior"),
        "iam_fleet_role": config.get("IamFleetRole"),
        "valid_until": _iso(config.get("ValidUntil")),
        "create_time": _iso(seen.get("CreateTime")),
        "tags": tags_of(seen),
        "instances": instances,
    }


def _ours(words: Mapping[str, str], theirs: str | None) -> str | None:
    """Our word for one of RequestSpotFleet; one that is not known stays."""
    return next((ours for ours, word in words.items() if word == theirs), theirs)


def diff_entry(found: Resource | None, **changed: Any) -> Resource:
    """One side of the diff: what can change of a request, and its instances.

    Args:
        found: what ``result`` gave, None for no request.
        changed: values to show instead.
    """
    if found is None and not changed:
        return {}
    names = ("type", "state", "target_capacity", "on_demand_target_capacity", "excess_capacity_termination_policy")
    entry = {name: found[name] for name in names} if found else {}
    lines = [f"{one['instance_id']} {one['instance_type']} {one['zone'] or ''}".rstrip() for one in _instances(found)]
    return {**entry, "instances": lines, **changed}


def _instances(found: Resource | None) -> list[Resource]:
    return found["instances"] if found else []


def failure_message(
    experiment: str, fleet: Resource, why: str, events: list[Resource], types: Iterable[str] = ()
) -> str:
    """The error of a request that is not fulfilled: what failed, what to do, and what AWS says about it.

    Args:
        experiment: its name.
        fleet: entry of DescribeSpotFleetRequests.
        why: why it is given up, a clause.
        events: what ``bad_events`` gave.
        types: instance types, to name the right quota.
    """
    config = _config(fleet)
    got, target = config.get("FulfilledCapacity") or 0, config.get("TargetCapacity")
    head = f"Could not fulfil the Spot Fleet request {fleet['SpotFleetRequestId']} of experiment {experiment}"
    lines = [f"{head}: {why}, with {got:g} of {target} units."]
    advice = _advice({event["code"] for event in events}, types)
    if advice:
        lines.append(f"What to do: {advice}.")
    if events:
        lines.append("What AWS says:")
        lines += [f"  {event['time']} {event['code']}: {event['text']}" for event in events[-TOLD_EVENTS:]]
    return "\n".join(lines)


def _advice(codes: set[str], types: Iterable[str]) -> str:
    first = next((code for code in ADVICE if code in codes), "")
    if first == "spotInstanceCountLimitExceeded":
        return quota_hint("MaxSpotInstanceCountExceeded", types)
    return ADVICE.get(first, "")


def no_change_message(fleet: Resource, different: Iterable[str]) -> str:
    """Why a request of type request stays as it is."""
    return (
        f"The Spot Fleet request {fleet['SpotFleetRequestId']} is not of type {MAINTAIN}, so AWS cannot change it "
        f"({', '.join(sorted(different))}); use the next generation (tag spot:generation), or state absent first"
    )


def _config(fleet: Resource) -> Resource:
    return fleet.get("SpotFleetRequestConfig") or {}


def _iso(moment: Any) -> str | None:
    """A moment as ISO 8601 in UTC."""
    return moment.astimezone(timezone.utc).isoformat() if isinstance(moment, datetime) else None
