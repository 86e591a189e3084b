# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the experiments of a region have and cost. Pure functions over what was read, no API calls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._efs import plan as efs_plan
from . import cost, crew, transformations

Resource = dict[str, Any]

ENDED = frozenset({"terminated"})
BILLED = frozenset({"pending", "running"})
# Found by a describe call of their own, or gone with the instance: its interface, its Spot request.
SEEN_ELSEWHERE = frozenset(
    {
        "instance",
        "volume",
        "security-group",
        "key-pair",
        "launch-template",
        "fleet",
        "spot-fleet-request",
        "spot-instances-request",
        "network-interface",
        "security-group-rule",
    }
)


@dataclass
class Found:
    """All that carries the tag ``spot:experiment``, in the shapes of boto3."""

    tags: list[Resource] = field(default_factory=list)
    instances: list[Resource] = field(default_factory=list)
    spot_requests: list[Resource] = field(default_factory=list)
    volumes: list[Resource] = field(default_factory=list)
    attached: list[Resource] = field(default_factory=list)
    """Volumes attached to the instances, whoever made them."""
    security_groups: list[Resource] = field(default_factory=list)
    key_pairs: list[Resource] = field(default_factory=list)
    launch_templates: list[Resource] = field(default_factory=list)
    file_systems: list[Resource] = field(default_factory=list)
    """EFS file systems to which a security group of an experiment belongs, read only when there is such a group."""
    fleets: list[Resource] = field(default_factory=list)
    spot_fleets: list[Resource] = field(default_factory=list)
    """Spot Fleet requests of the region, read only when some carry the tag."""


@dataclass(frozen=True)
class Prices:
    """USD per hour: Spot by ``(type, zone)``, on-demand by type (None when not known)."""

    spot: dict[tuple[str, str], float]
    on_demand: dict[str, float | None]


def experiment_of(resource: Resource) -> str:
    """The experiment a resource belongs to, empty for none."""
    return transformations.tags_of(resource).get("spot:experiment", "")


def experiments(found: Found, prices: Prices, now: datetime, include_terminated: bool = False) -> list[Resource]:
    """One entry an experiment that has anything left, sorted by name.

    Args:
        found: what was read.
        prices: prices of now.
        now: the present moment, for costs.
        include_terminated: whether terminated instances count as something and are listed.
    """
    parts = split(found)
    entries = [summary(name, parts[name], prices, now, include_terminated) for name in sorted(parts)]
    kinds = (
        "instances",
        "volumes",
        "file_systems",
        "security_groups",
        "key_pairs",
        "launch_templates",
        "fleets",
        "others",
    )
    return [entry for entry in entries if any(entry[kind] for kind in kinds)]


def split(found: Found) -> dict[str, Found]:
    """What was read, by experiment."""
    parts: dict[str, Found] = defaultdict(Found)
    for kind in (
        "instances",
        "spot_requests",
        "volumes",
        "security_groups",
        "key_pairs",
        "launch_templates",
        "fleets",
        "spot_fleets",
    ):
        for resource in getattr(found, kind):
            getattr(parts[experiment_of(resource)], kind).append(resource)
    for raw in found.file_systems:
        for experiment in sorted({experiment_of(group) for group in groups_of(raw, found)}):
            parts[experiment].file_systems.append(raw)
    for tag in found.tags:
        parts[tag["Value"]].tags.append(tag)
    holders = {raw["InstanceId"]: experiment_of(raw) for raw in found.instances}
    for volume in found.attached:
        for attachment in volume.get("Attachments") or []:
            if attachment["InstanceId"] in holders:
                parts[holders[attachment["InstanceId"]]].attached.append(volume)
    parts.pop("", None)
    return dict(parts)


def summary(name: str, found: Found, prices: Prices, now: datetime, include_terminated: bool = False) -> Resource:
    """One experiment in the shape that ``experiment_info`` returns."""
    listed = [raw for raw in found.instances if include_terminated or raw["State"]["Name"] not in ENDED]
    instances = ranked([instance(raw, prices, now) for raw in listed], found)
    kept, shared = volumes(found), file_systems(found)
    return {
        "experiment": name,
        **about(found),
        "instances": instances,
        "volumes": kept,
        "file_systems": shared,
        "security_groups": [
            {"group_id": raw["GroupId"], "name": raw["GroupName"], "vpc_id": raw.get("VpcId")}
            for raw in found.security_groups
            if raw not in standing_groups(found)
        ],
        "key_pairs": [{"name": raw["KeyName"], "id": raw["KeyPairId"]} for raw in found.key_pairs],
        "launch_templates": [
            {"name": raw["LaunchTemplateName"], "id": raw["LaunchTemplateId"]} for raw in found.launch_templates
        ],
        "fleets": [
            *({"fleet_id": raw["FleetId"], "state": raw["FleetState"]} for raw in standing_fleets(found)),
            *(
                {"fleet_id": raw["SpotFleetRequestId"], "state": raw["SpotFleetRequestState"]}
                for raw in standing_spot_fleets(found)
            ),
        ],
        "others": [
            {"type": tag["ResourceType"], "id": tag["ResourceId"]}
            for tag in found.tags
            if tag["ResourceType"] not in SEEN_ELSEWHERE
        ],
        "cost_per_hour": cost.total([one["price"] for one in instances if one["state"] in BILLED]),
        "cost_so_far": cost.total([one["cost_so_far"] for one in instances]),
        "storage_cost_per_month": cost.total([one["cost_per_month"] for one in (*kept, *shared) if one["ours"]]),
    }


def about(found: Found) -> Resource:
    """Profile, owner, generation, expiry and job, as the newest resource says."""
    alive = crew.crew(found.instances, found.spot_requests)
    ids = {one["instance_id"] for one in alive}
    running = [raw for raw in found.instances if raw["InstanceId"] in ids]
    rest = [*found.instances, *found.volumes, *found.launch_templates, *found.security_groups, *found.key_pairs]
    tags: dict[str, str] = {}
    for raw in (*running, *sorted(rest, key=_generation, reverse=True)):
        tags = {**transformations.tags_of(raw), **{key: value for key, value in tags.items() if value}}
    return {
        "profile": tags.get("spot:profile", ""),
        "owner": tags.get("spot:owner", ""),
        "generation": max(one["generation"] for one in alive) if alive else max(map(_generation, rest), default=0),
        "expires": tags.get("spot:expires", ""),
        "job": tags.get("spot:job", ""),
    }


def _generation(raw: Resource) -> int:
    return transformations.number(transformations.tags_of(raw).get("spot:generation"))


def instance(raw: Resource, prices: Prices, now: datetime) -> Resource:
    """One instance with what it costs: at the Spot price of its zone, or on demand."""
    known = transformations.instance(raw)
    on_demand = prices.on_demand.get(known["type"])
    price = prices.spot.get((known["type"], known["zone"])) if known["lifecycle"] == "spot" else on_demand
    billed = known["state"] in BILLED
    end = now if billed else transformations.ended(raw)
    tags = transformations.tags_of(raw)
    return {
        **known,
        "instance_type": known["type"],
        "address": known["public_ip"] or known["private_ip"],
        "price": price,
        "on_demand_price": on_demand,
        "cost_so_far": cost.so_far(price, raw.get("LaunchTime"), end) if end else None,
        "key_name": raw.get("KeyName"),
        "fleet_id": tags.get("aws:ec2:fleet-id"),
        "rank": None,
        "tags": tags,
    }


def ranked(instances: list[Resource], found: Found) -> list[Resource]:
    """Instances with their rank, those that work first; the others have none (None), ``leaving`` ones are marked."""
    ranks = {one["instance_id"]: one["rank"] for one in crew.crew(found.instances, found.spot_requests)}
    leaving = {one["instance_id"] for one in crew.leaving(found.instances, found.spot_requests)}
    placed = [
        {**one, "rank": ranks.get(one["instance_id"]), "leaving": one["instance_id"] in leaving} for one in instances
    ]
    return sorted(placed, key=lambda one: (one["rank"] is None, one["rank"] or 0, one["instance_id"]))


def volumes(found: Found) -> list[Resource]:
    """Data volumes: those that the experiment made, and those of the user that its instances hold.

    A volume that ends with its instance (the root volume) is part of the instance and not listed.
    """
    own = {raw["VolumeId"] for raw in found.volumes}
    known = {raw["VolumeId"]: raw for raw in (*found.volumes, *found.attached)}
    listed = [(raw["VolumeId"] in own, transformations.volume(raw)) for _id, raw in sorted(known.items())]
    return [_volume(one, ours) for ours, one in listed if lasting(one)]


def lasting(volume: Resource) -> bool:
    """Whether a volume outlives the instance it is attached to."""
    return not volume["delete_on_termination"] and volume["state"] not in ("deleting", "deleted")


def _volume(one: Resource, ours: bool) -> Resource:
    tags = one["tags"]
    return {
        "volume_id": one["volume_id"],
        "name": tags.get("Name", ""),
        "volume": tags.get("spot:volume", ""),
        "rank": transformations.number(tags.get("spot:rank")),
        "size": one["size"],
        "type": one["type"],
        "zone": one["zone"],
        "state": one["state"],
        "attached_to": next(iter(one["instance_ids"]), None),
        "ours": ours,
        "cost_per_month": cost.storage_per_month(one["type"], one["size"], one["iops"], one["throughput"]),
    }


def file_systems(found: Found) -> list[Resource]:
    """File systems whose mount targets have a group of the experiment: made by it, or used by their id."""
    listed = []
    for raw in sorted(found.file_systems, key=lambda one: str(one["FileSystemId"])):
        groups = groups_of(raw, found)
        if not groups:
            continue
        size = raw.get("SizeInBytes") or {}
        listed.append(
            {
                "file_system_id": raw["FileSystemId"],
                "name": raw.get("CreationToken") if _made(raw) else raw.get("Name") or raw["FileSystemId"],
                "state": raw["LifeCycleState"],
                "size_bytes": size.get("Value"),
                "throughput_mode": raw.get("ThroughputMode"),
                "mount_targets": raw.get("NumberOfMountTargets"),
                "ours": _made(raw) and experiment_of(raw) == experiment_of(groups[0]),
                "cost_per_month": cost.file_system_per_month(raw),
            }
        )
    return listed


def _made(raw: Resource) -> bool:
    return efs_plan.MARK in transformations.tags_of(raw)


def groups_of(file_system: Resource, found: Found) -> list[Resource]:
    """Security groups that were made for the mount targets of a file system."""
    names = {file_system["FileSystemId"], *([file_system.get("CreationToken")] if _made(file_system) else [])}
    return [raw for raw in found.security_groups if transformations.tags_of(raw).get(efs_plan.MARK) in names]


def standing_groups(found: Found) -> list[Resource]:
    """Groups that a file system needs as long as it exists."""
    return [group for raw in found.file_systems for group in groups_of(raw, found)]


def standing_fleets(found: Found) -> list[Resource]:
    """Fleets that are not deleted yet. Source: EC2 API FleetStateCode."""
    return [raw for raw in found.fleets if not raw["FleetState"].startswith("deleted")]


def standing_spot_fleets(found: Found) -> list[Resource]:
    """Spot Fleet requests that may still launch, or have instances. Source: EC2 API BatchState."""
    over = ("cancelled", "failed", "cancelled_terminating")
    return [raw for raw in found.spot_fleets if raw["SpotFleetRequestState"] not in over]
