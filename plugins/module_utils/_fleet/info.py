# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ec2_fleet_info tells: fleets found by id or tag, with their instances, in as few calls as AWS allows.

DescribeFleets has no filter for tags and leaves out instant fleets that are not named, so tags are asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from . import api, history
from .options import INSTANT
from .results import instance_result, refusal_result
from .standing import CAPACITY, CONFIGS, ON_DEMAND
from .transformations import FLEET_TAG, instance_from_boto, refusals_from_answer
from .values import SPOT, Instance, Pool, Request

IDENTITY = "spot:experiment"
RANK_TAG = "spot:rank"
DELETED = "deleted"

Fleet = Mapping[str, Any]


def find(client: Any, fleet_ids: Iterable[str], tags: Mapping[str, str], *, include_deleted: bool) -> list[Fleet]:
    """Return fleets by age.

    Args:
        client: An EC2 client that retries.
        fleet_ids: Only these; empty for all that the tags fit.
        tags: Only those that have all of them; empty for all, without ids all of any experiment.
        include_deleted: Also those that AWS only remembers, unless they are named.
    """
    named = list(dict.fromkeys(fleet_ids))
    ids = named or _tagged(client, tags)
    found = [fleet for fleet in (api.known_fleets(client, ids) if ids else []) if _has(fleet, tags)]
    kept = [fleet for fleet in found if named or include_deleted or fleet.get("FleetState") != DELETED]
    return sorted(kept, key=lambda fleet: (_iso(fleet.get("CreateTime")), fleet["FleetId"]))


def _tagged(client: Any, tags: Mapping[str, str]) -> list[str]:
    # One call, for the tag that says most; the other tags come with the fleets.
    key = IDENTITY if IDENTITY in tags or not tags else min(tags)
    return list(dict.fromkeys(api.describe_fleet_tags(client, key, tags.get(key))))


def _has(fleet: Fleet, tags: Mapping[str, str]) -> bool:
    return tags.items() <= boto3_tag_list_to_ansible_dict(fleet.get("Tags")).items()


def members(client: Any, fleets: Iterable[Fleet], *, include_terminated: bool) -> dict[str, list[Instance]]:
    """Return the instances by fleet, oldest first: one call for 200 fleets."""
    found: dict[str, list[Instance]] = {fleet["FleetId"]: [] for fleet in fleets}
    instances = [
        instance_from_boto(item, "spot:rank") for item in api.instances_with(client, f"tag:{FLEET_TAG}", found)
    ]
    for instance in sorted(instances, key=lambda item: (item.launch_time, item.instance_id)):
        if instance.fleet_id in found and (include_terminated or instance.state != "terminated"):
            found[instance.fleet_id].append(instance)
    return found


def events(client: Any, fleet: Fleet) -> list[dict[str, Any]]:
    """Return the history of a fleet; an instant fleet has none."""
    made = fleet.get("CreateTime")
    if fleet.get("Type") == INSTANT or not isinstance(made, datetime):
        return []
    return api.fleet_history(client, fleet["FleetId"], made)


def fleet_result(fleet: Fleet, instances: Iterable[Instance], happened: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a fleet as the module returns it.

    Args:
        fleet: An entry of DescribeFleets.
        instances: Its instances.
        happened: Events of its history, as far as they were asked for.
    """
    capacity, seen = fleet.get(CAPACITY) or {}, list(happened)
    pools = _pools(fleet)
    refusals = (*refusals_from_answer(fleet, Request(pools, 0)), *history.refusals(seen, pools))
    return {
        "fleet_id": fleet["FleetId"],
        "type": fleet.get("Type", ""),
        "state": fleet.get("FleetState", ""),
        "activity_status": fleet.get("ActivityStatus", ""),
        "created": _iso(fleet.get("CreateTime")),
        "valid_until": _iso(fleet.get("ValidUntil")),
        "target_capacity": capacity.get("TotalTargetCapacity", 0),
        "on_demand_target_capacity": _on_demand(capacity),
        "target_capacity_unit_type": capacity.get("TargetCapacityUnitType") or "units",
        "fulfilled_capacity": fleet.get("FulfilledCapacity", 0.0),
        "fulfilled_on_demand_capacity": fleet.get("FulfilledOnDemandCapacity", 0.0),
        "allocation_strategy": (fleet.get("SpotOptions") or {}).get("AllocationStrategy", ""),
        "excess_capacity_termination_policy": fleet.get("ExcessCapacityTerminationPolicy", ""),
        "pools": [pool.label for pool in pools],
        "tags": boto3_tag_list_to_ansible_dict(fleet.get("Tags")),
        "instances": [{**instance_result(item), "reason": item.reason} for item in instances],
        "errors": [refusal_result(refusal) for refusal in refusals],
        "history": [history.event_result(event) for event in seen],
    }


def _on_demand(capacity: Mapping[str, Any]) -> int:
    if capacity.get("DefaultTargetCapacityType", ON_DEMAND) == SPOT:
        return int(capacity.get("OnDemandTargetCapacity") or 0)
    return int(capacity.get("TotalTargetCapacity") or 0) - int(capacity.get("SpotTargetCapacity") or 0)


def _pools(fleet: Fleet) -> tuple[Pool, ...]:
    overrides = [item for config in fleet.get(CONFIGS) or [] for item in config.get("Overrides") or []]
    return tuple(
        Pool(
            item.get("InstanceType", ""),
            item.get("SubnetId", ""),
            item.get("AvailabilityZone", ""),
            requirements="{}" if item.get("InstanceRequirements") else "",
            words="instance_requirements" if item.get("InstanceRequirements") else "",
        )
        for item in overrides
    )


def _iso(when: Any) -> str:
    return when.astimezone(timezone.utc).isoformat() if isinstance(when, datetime) else ""
