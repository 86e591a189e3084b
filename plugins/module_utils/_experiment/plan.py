# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The launch plan as pure functions of the profile and of what was read. No API calls.

The profile is the normalised one (every key present); ``facts`` is :class:`Facts`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .._ebs import data_sets
from .._efs import plan as efs_plan
from .._self import userdata
from . import cost, crew, history, recovery, transformations

if TYPE_CHECKING:
    from .facts import Facts

    Resource = dict[str, Any]
    Profile = dict[str, Any]

# What differs from launch to launch. An EC2 Fleet of type instant puts it on the instances itself, so that all
# generations share a template. Source: EC2 API CreateFleet, TagSpecifications.
OF_ONE_LAUNCH = ("spot:generation", "spot:expires")
WEEK = 604_800  # seconds
TAGGED_AT_LAUNCH = ("instance", "volume", "network-interface", "spot-instances-request")


def resource_name(experiment: str) -> str:
    """Name of the key pair and of the security group of an experiment."""
    return f"spot-{experiment}"


def members(facts: Facts) -> list[Resource]:
    """The instances that the experiment works with, by rank."""
    return crew.crew(facts.instances, facts.spot_requests)


def missing_ranks(profile: Profile, facts: Facts) -> list[int]:
    """The ranks that have no instance, lowest first."""
    taken = {one["rank"] for one in members(facts)}
    return [rank for rank in range(profile["capacity"]["count"]) if rank not in taken]


def vacant(facts: Facts) -> bool:
    """Whether there is no instance but those that AWS takes and those that have ended, so a fleet has none to count."""
    former = former_instance_ids(facts)
    return all(raw["InstanceId"] in former for raw in facts.instances)


def former_instance_ids(facts: Facts) -> list[str]:
    """Instances that AWS takes or that have ended: they give their volumes back."""
    members_ids = {one["instance_id"] for one in members(facts)}
    gone = {*transformations.GONE, "shutting-down"}
    leaving = {one["instance_id"] for one in crew.leaving(facts.instances, facts.spot_requests)}
    ended = {raw["InstanceId"] for raw in facts.instances if raw["State"]["Name"] in gone}
    return sorted((leaving | ended) - members_ids)


def recovery_decision(profile: Profile, facts: Facts, now: datetime | None = None) -> Resource:
    """Whether what is missing may be asked for without the user, as a dict."""
    wanted = profile["recovery"]
    bounds = recovery.Bounds(
        enabled=wanted["mode"] != "none",
        count=profile["capacity"]["count"],
        max_generations=wanted["max_generations"],
        deadline=wanted["deadline"],
    )
    other = facts.other_regions
    seen = recovery.Seen(
        [*facts.instances, *other.instances],
        [*facts.spot_requests, *other.requests],
        facts.own_volumes,
        [*facts.launch_templates, *other.templates],
    )
    decision = recovery.decide(seen, bounds, now or datetime.now(timezone.utc))
    return {
        "do": decision.do,
        "text": decision.text,
        "ranks": [loss.rank for loss in decision.losses],
        "generation": decision.generation,
    }


def is_self(profile: Profile) -> bool:
    """Whether instances set themselves up and a fleet replaces them (recovery mode `self`)."""
    return bool(profile["recovery"]["mode"] == "self")


def keeping_fleets(facts: Facts) -> list[Resource]:
    """Fleets of the experiment that replace what is lost. Source: EC2 API FleetData, FleetStateCode."""
    return [
        raw
        for raw in facts.fleets
        if raw.get("Type") == "maintain" and raw["FleetState"] in ("submitted", "active", "modifying")
    ]


def _generation(profile: Profile, facts: Facts) -> int:
    instances = [*facts.instances, *facts.other_regions.instances]
    requests = [*facts.spot_requests, *facts.other_regions.requests]
    return crew.generation(instances, requests, facts.own_volumes, profile["capacity"]["count"])


def own_key(profile: Profile) -> bool:
    """Whether the key pair is the experiment's own, not one that the user named."""
    return not profile["access"]["key_name"]


def owner(profile: Profile, facts: Facts) -> str:
    """Who launches: the profile's owner, else the user part of the caller's ARN."""
    return profile["owner"] or transformations.owner_of(facts.arn)


# Volumes and zones


def volume_name(name: str, rank: int) -> str:
    """Name of the volume of one rank: rank 0 has the plain name."""
    return name if rank == 0 else f"{name}-{rank}"


def wanted_volumes(profile: Profile, facts: Facts) -> list[Resource]:
    """The wanted volumes, one entry a volume of the profile and a rank; those that exist with their id and zone.

    A data set (``launched``) has no zone of its own: it comes with its instance.
    """
    by_id = {raw["VolumeId"]: transformations.volume(raw) for raw in facts.volumes_by_id}
    entries = _data_sets(profile, facts)
    for wanted in data_sets.lasting(profile["volumes"]):
        for rank in range(profile["capacity"]["count"]):
            found = by_id.get(wanted["volume_id"]) if wanted["volume_id"] else own_volume(wanted["name"], rank, facts)
            entries.append(_volume_entry(wanted, rank, found))
    return entries


def _data_sets(profile: Profile, facts: Facts) -> list[Resource]:
    devices, ranks = data_sets.devices(profile["volumes"]), range(profile["capacity"]["count"])
    sizes = {raw["SnapshotId"]: raw.get("VolumeSize") for raw in facts.snapshots}
    raws = {raw["InstanceId"]: raw for raw in facts.instances}
    there = {one["rank"]: data_sets.volume_ids(raws[one["instance_id"]]) for one in members(facts)}
    ids = {one["rank"]: one["instance_id"] for one in members(facts)}
    entries = []
    for wanted in [one for one in profile["volumes"] if one["name"] in devices]:
        device = devices[wanted["name"]]
        known = {"launched": True, "device": device, "size": sizes.get(wanted["snapshot_id"])}
        for rank in ranks:
            volume_id = there.get(rank, {}).get(device)
            holders = {"volume_id": volume_id, "instance_ids": [ids[rank]] if volume_id else []}
            entries.append({**_volume_entry(wanted, rank, None), **known, **holders})
    return entries


def own_volumes(name: str, rank: int, facts: Facts) -> list[Resource]:
    """Volumes that this experiment made for one name and rank, by tag (more than one is a problem)."""
    found = [transformations.volume(raw) for raw in facts.own_volumes]
    wanted = {"spot:volume": name, "spot:rank": str(rank)}
    return [
        one for one in found if wanted.items() <= one["tags"].items() and one["state"] not in ("deleting", "deleted")
    ]


def own_volume(name: str, rank: int, facts: Facts) -> Resource | None:
    """The one volume of this name and rank, None when there is none yet."""
    return next(iter(own_volumes(name, rank, facts)), None)


def _volume_entry(wanted: Resource, rank: int, found: Resource | None) -> Resource:
    entry = {
        **wanted,
        "name": volume_name(wanted["name"], rank),
        "volume": wanted["name"],
        "rank": rank,
        "zone": None,
        "state": None,
        "instance_ids": [],
        "launched": False,
    }
    if found:
        entry.update({key: found[key] for key in ("volume_id", "size", "zone", "state", "instance_ids")})
    return entry


def placed_volumes(profile: Profile, facts: Facts) -> list[Resource]:
    """The wanted volumes that exist."""
    return [one for one in wanted_volumes(profile, facts) if one["zone"]]


def move_obstacle(profile: Profile, facts: Facts) -> str:
    """Why volumes are not moved by a launch, '' when they may be."""
    found = placed_volumes(profile, facts)
    named = [one["name"] for one in profile["volumes"] if one["volume_id"]]
    working = {one["instance_id"] for one in members(facts)}
    held = [one["name"] for one in found if working.intersection(one["instance_ids"])]
    if not found:
        return "there is no volume yet"
    if not profile["recovery"]["move_volumes"]:
        return "the profile does not say recovery.move_volumes: true"
    if named:
        return f"the profile names {', '.join(named)} by volume_id, and a moved volume has another id"
    if held:
        return f"{', '.join(held)} is used by an instance of the experiment"
    return ""


def may_move(profile: Profile, facts: Facts) -> bool:
    """Whether a launch may take its volumes into another zone."""
    return not move_obstacle(profile, facts)


def pinned_zones(profile: Profile, facts: Facts) -> list[str]:
    """Zones in which the experiment must run, because its volumes or (with volumes) its instances are there.

    An EBS volume can be attached only inside its zone. More than one zone is a problem.
    """
    zones = {one["zone"] for one in wanted_volumes(profile, facts) if one["zone"]}
    working = {one["zone"] for one in members(facts) if one["zone"]}
    # Volumes that may be moved follow the instances.
    if data_sets.lasting(profile["volumes"]) and working and (not zones or may_move(profile, facts)):
        zones = working
    return sorted(zones)


def usable_subnets(profile: Profile, facts: Facts) -> list[Resource]:
    """One subnet a zone, in the zones that the profile and the volumes allow.

    A fleet cannot use two subnets of one zone, so the one with the most free addresses stands for its zone.
    Source: EC2 user guide, EC2 Fleet quotas.
    """
    zones = set(profile["capacity"]["zones"]) or {subnet["AvailabilityZone"] for subnet in facts.subnets}
    zones &= set(pinned_zones(profile, facts)) or zones
    best: dict[str, Resource] = {}
    for subnet in sorted(facts.subnets, key=lambda one: (-one.get("AvailableIpAddressCount", 0), one["SubnetId"])):
        best.setdefault(subnet["AvailabilityZone"], subnet)
    return [best[zone] for zone in sorted(best) if zone in zones]


def vpc_id(profile: Profile, facts: Facts) -> str | None:
    """The VPC of the usable subnets, None when there is no subnet."""
    return next((subnet["VpcId"] for subnet in usable_subnets(profile, facts)), None)


# File systems


def file_systems(profile: Profile, facts: Facts) -> list[Resource]:
    """The file systems of the profile with what AWS knows of them; one that is still to be made has no id."""
    return [
        {**one, **efs_plan.answer(efs_plan.from_keys(one, {}), read, facts.region)}
        for one, read in zip(profile.get("file_systems") or [], facts.file_systems)
    ]


# Pools


def pools(profile: Profile, facts: Facts, now: datetime | None = None) -> list[Resource]:
    """Pools that can be asked for, cheapest first; those dearer than the profile's maximum price are left out.

    Each has ``cooling`` (it refused, or lost an instance, so recently that it comes last) and ``last_refusal``.
    """
    limit = profile["capacity"]["max_price"]
    moment = now or datetime.now(timezone.utc)
    events = history.past(facts.fleets, facts.instances, facts.spot_requests, moment)
    found = [
        {**pool, **_past([events.get((pool["instance_type"], pool[place])) for place in ("subnet_id", "zone")])}
        for pool in all_pools(profile, facts)
        if limit is None or (pool["price"] or 0) <= limit
    ]
    order = {name: place for place, name in enumerate(profile["capacity"]["instance_types"])}
    return sorted(
        found,
        key=lambda one: (
            one["cooling"],
            one["price"] is None,
            one["price"] or 0,
            order[one["instance_type"]],
            one["zone"],
        ),
    )


def _past(events: list[history.Past | None]) -> Resource:
    known = [event for event in events if event is not None]
    if not known:
        return {"cooling": False, "last_refusal": None}
    event = min(known, key=lambda one: one.seconds)
    return {
        "cooling": any(one.cooling for one in known),
        "last_refusal": f"{event.code}, {event.seconds / 60:.0f} min ago",
    }


def all_pools(profile: Profile, facts: Facts) -> list[Resource]:
    """Every pool of wanted type and usable subnet that is offered, whatever it costs."""
    types = {raw["InstanceType"]: transformations.instance_type(raw) for raw in facts.types}
    offered = set(facts.offered)
    return [
        _pool(types[name], subnet, profile["capacity"]["market"], facts)
        for name in dict.fromkeys(profile["capacity"]["instance_types"])
        for subnet in usable_subnets(profile, facts)
        if name in types and (name, subnet["AvailabilityZone"]) in offered
    ]


def _pool(kind: Resource, subnet: Resource, market: str, facts: Facts) -> Resource:
    name, zone = kind["instance_type"], subnet["AvailabilityZone"]
    on_demand = facts.on_demand.get(name)
    price = facts.spot_prices.get((name, zone)) if market == "spot" else on_demand
    return {
        "instance_type": name,
        "zone": zone,
        "subnet_id": subnet["SubnetId"],
        "price": price,
        "on_demand_price": on_demand,
        "saving": cost.saving(price, on_demand),
        "vcpus": kind["vcpus"],
        "memory_mib": kind["memory_mib"],
        "gpus": kind["gpus"],
    }


# Tags, key pair, security group


def tags(profile: Profile, experiment: str, facts: Facts, known: dict[str, str]) -> dict[str, str]:
    """Tags of everything that this launch makes: the profile's extra tags, then ours, which win.

    Args:
        profile: normalised profile.
        experiment: name of the experiment.
        facts: what was read.
        known: tags the caller knows already (``spot:expires``).
    """
    return {
        **profile["tags"],
        "spot:expires": "",
        **known,
        "Name": experiment,
        "spot:experiment": experiment,
        "spot:profile": profile["name"],
        "spot:owner": owner(profile, facts),
        "spot:generation": str(_generation(profile, facts)),
        "spot:job": (profile["job"] or {}).get("name") or "",
        "spot:user": profile["access"]["remote_user"],
        **({"spot:bucket": profile["recovery"]["bucket"]} if is_self(profile) else {}),
        **({"spot:time-limit": str(limit)} if (limit := profile["capacity"]["time_limit"]) else {}),
    }


def key_name(profile: Profile, experiment: str) -> str:
    """Name of the key pair that the instances get."""
    return profile["access"]["key_name"] or resource_name(experiment)


def caller_cidr(profile: Profile, given: str | None) -> str | None:
    """Addresses that may use ssh: as given, else as the profile says, None while ``auto`` is not resolved."""
    wanted = profile["access"]["ssh_cidr"]
    return given or (wanted if wanted not in (None, "auto") else None)


def own_group(profile: Profile, facts: Facts) -> Resource | None:
    """The experiment's security group in the VPC of its subnets, None when it is still to be made."""
    vpc = vpc_id(profile, facts)
    return next((group for group in facts.own_groups if vpc is None or group.get("VpcId") == vpc), None)


def security_group_ids(profile: Profile, facts: Facts) -> list[str]:
    """Ids of the groups the instances get; empty while the experiment's own one does not exist."""
    given = profile["access"]["security_group_ids"]
    group = own_group(profile, facts)
    return list(given) or ([group["GroupId"]] if group else [])


def admits(group: Resource, port: int, cidr: str) -> bool:
    """Whether a group lets an address range reach a TCP port. Source: EC2 API IpPermission."""
    return any(
        _covers(rule, port) and cidr in [one.get("CidrIp") or one.get("CidrIpv6") for one in _ranges(rule)]
        for rule in group.get("IpPermissions") or []
    )


def _covers(rule: Resource, port: int) -> bool:
    if rule.get("IpProtocol") == "-1":
        return True
    return rule.get("IpProtocol") == "tcp" and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)


def _ranges(rule: Resource) -> list[Resource]:
    return [*(rule.get("IpRanges") or []), *(rule.get("Ipv6Ranges") or [])]


# Launch template


def launch_template_data(profile: Profile, experiment: str, facts: Facts, wanted_tags: dict[str, str]) -> Resource:
    """``LaunchTemplateData`` of boto3 for the experiment.

    No ``InstanceMarketOptions`` and no subnet: a fleet sets them. ``SecurityGroupIds`` is empty while the experiment's
    group does not exist yet. Source: EC2 API RequestLaunchTemplateData.
    """
    access = profile["access"]
    data: Resource = {
        "ImageId": facts.image["ImageId"] if facts.image else None,
        "KeyName": key_name(profile, experiment),
        "SecurityGroupIds": security_group_ids(profile, facts),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": access["http_put_response_hop_limit"],
            "InstanceMetadataTags": "enabled",
        },
        "BlockDeviceMappings": [*_root_mapping(profile["image"], facts), *data_sets.mappings(profile["volumes"])],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": transformations.tag_list(_template_tags(profile, wanted_tags))}
            for kind in TAGGED_AT_LAUNCH
        ],
    }
    script = user_data(profile, experiment, facts)
    if script:
        data["UserData"] = userdata.encoded(script)
    if access["instance_profile"]:
        kind = "Arn" if access["instance_profile"].startswith("arn:") else "Name"
        data["IamInstanceProfile"] = {kind: access["instance_profile"]}
    return data


def user_data(profile: Profile, experiment: str, facts: Facts) -> str:
    """What an instance runs at its first boot, '' for nothing."""
    limit = userdata.limit_of(profile)
    if not is_self(profile):
        return userdata.limit_script(limit) if limit else ""
    bucket, region = profile["recovery"]["bucket"], profile["region"] or facts.region
    return userdata.script(userdata.config(bucket, experiment, region, facts.instance_endpoint), limit)


def fleet_lasts(profile: Profile) -> int | None:
    """Seconds after which a fleet that keeps an instance launches no other one by itself, None for no end.

    It bounds what instances cost that may not end their fleet. The deadline says it; else each generation may have its
    time limit, and the week is for times without capacity. Source: EC2 API CreateFleet, ValidUntil.
    """
    recovery, limit = profile["recovery"], profile["capacity"]["time_limit"]
    if recovery["deadline"]:
        return int(recovery["deadline"])
    return int(recovery["max_generations"]) * int(limit) + WEEK if limit else None


def _template_tags(profile: Profile, wanted_tags: dict[str, str]) -> dict[str, str]:
    """The tags of what is launched, as far as the template must give them."""
    if is_self(profile) or profile["capacity"]["iam_fleet_role"]:
        return wanted_tags
    return {key: value for key, value in wanted_tags.items() if key not in OF_ONE_LAUNCH}


def _root_mapping(wanted: Resource, facts: Facts) -> list[Resource]:
    if not facts.image:
        return []
    image = transformations.image(facts.image)
    ebs = {"VolumeType": wanted["root_volume_type"], "Encrypted": True, "DeleteOnTermination": True}
    size = wanted["root_volume_size"] or image["root_snapshot_size"]
    if size:
        ebs["VolumeSize"] = size
    return [{"DeviceName": image["root_device_name"], "Ebs": ebs}]


def launch_template_name(experiment: str, data: Resource, own_security_group: bool, salt: str = "") -> str:
    """``spot-<experiment>-<hash>``: equal data have an equal name, so a template is never changed under a fleet.

    The id of the experiment's own security group is not known before it is made, so it is not part of the hash.
    ``salt`` gives another name to data that differ only there.
    """
    hashed = {key: value for key, value in data.items() if not (own_security_group and key == "SecurityGroupIds")}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":")) + salt
    return f"{resource_name(experiment)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def launch_template(profile: Profile, data: Resource, experiment: str, facts: Facts) -> Resource:
    """Name, data and what is known of the template.

    A template that names another security group than the one of now is left alone: the next name is derived from its
    id, until one fits (``exists``) or is free.
    """
    own_group = not profile["access"]["security_group_ids"]
    known = {one["LaunchTemplateName"]: one for one in facts.launch_templates}
    salt = ""
    while True:
        name = launch_template_name(experiment, data, own_group, salt)
        found = known.pop(name, None)
        if found is None or _same_groups(found, data):
            break
        salt = found["LaunchTemplateId"]
    return {
        "name": name,
        "data": data,
        "exists": found is not None,
        "id": found["LaunchTemplateId"] if found else None,
        "version": str(found["DefaultVersionNumber"]) if found else None,
    }


def _same_groups(template: Resource, data: Resource) -> bool:
    groups = template["Data"].get("SecurityGroupIds") or []
    return bool(groups) and sorted(groups) == sorted(data["SecurityGroupIds"])


# What is to be done


def todo(profile: Profile, facts: Facts, cidr: str | None, template_exists: bool) -> dict[str, bool]:
    """What is missing: key pair, security group, launch template, instances.

    Nothing but the address rule matters once all instances run, so a launch that is complete asks for nothing else.
    """
    fleet = bool(missing_ranks(profile, facts)) and not (is_self(profile) and keeping_fleets(facts))
    return {
        "key_pair": fleet and own_key(profile) and (facts.key_pair is None or not same_key(facts)),
        "security_group": _group_missing(profile, facts, cidr),
        "launch_template": fleet and not template_exists,
        "fleet": fleet,
    }


def _group_missing(profile: Profile, facts: Facts, cidr: str | None) -> bool:
    if profile["access"]["security_group_ids"]:
        return False
    group = own_group(profile, facts)
    if group is None:
        return True
    return cidr is not None and not admits(group, profile["access"]["port"], cidr)


def same_key(facts: Facts) -> bool:
    """Whether the key pair at AWS belongs to the private key file here, as far as both can be told."""
    if facts.key_file is None or facts.key_pair is None:
        return True
    if not facts.key_file.exists:
        return False
    remote = public_key(facts.key_pair.get("PublicKey"))
    return remote is None or facts.key_file.public is None or remote == facts.key_file.public


def public_key(line: str | None) -> str | None:
    """``type base64`` of a public key line, without its comment."""
    words = (line or "").split()
    return " ".join(words[:2]) if len(words) >= 2 else None


def single_zone(profile: Profile) -> bool:
    """Whether all instances must come from one zone: several instances whose volumes are to be found again."""
    return bool(data_sets.lasting(profile["volumes"])) and profile["capacity"]["count"] > 1


def make(
    profile: Profile, experiment: str, facts: Facts, cidr: str | None, known: dict[str, str] | None = None
) -> Resource:
    """The whole plan, in the shape that the module returns."""
    wanted_tags = tags(profile, experiment, facts, known or {})
    data = launch_template_data(profile, experiment, facts, wanted_tags)
    template = launch_template(profile, data, experiment, facts)
    ranked = pools(profile, facts)
    instances = members(facts)
    leaving = crew.leaving(facts.instances, facts.spot_requests)
    return {
        "owner": wanted_tags["spot:owner"],
        "account": facts.account,
        "generation": int(wanted_tags["spot:generation"]),
        "image": transformations.image(facts.image) if facts.image else None,
        "zone": next(iter(pinned_zones(profile, facts)), None),
        "single_zone": single_zone(profile),
        "vpc_id": vpc_id(profile, facts),
        "pools": ranked,
        "instances": instances,
        "fleet_lasts": fleet_lasts(profile) if is_self(profile) else None,
        "keeping_fleet_ids": [raw["FleetId"] for raw in keeping_fleets(facts)],
        "vacant": vacant(facts),
        "leaving": leaving,
        "former_instance_ids": former_instance_ids(facts),
        "recovery": recovery_decision(profile, facts),
        "key_name": key_name(profile, experiment),
        "security_group_ids": data["SecurityGroupIds"],
        "volumes": wanted_volumes(profile, facts),
        "file_systems": file_systems(profile, facts),
        "launch_template": template,
        "tags": wanted_tags,
        "todo": todo(profile, facts, caller_cidr(profile, cidr), template["exists"]),
        "cost": _cost(profile, instances, ranked, facts),
        "notes": [*facts.notes, *notes(profile, facts)],
    }


def notes(profile: Profile, facts: Facts) -> list[str]:
    """What is not wrong, but costs or surprises: instances that the launch does not use."""
    used = {one["instance_id"] for one in members(facts)}
    leaving = crew.leaving(facts.instances, facts.spot_requests)
    gone = used | {one["instance_id"] for one in leaving}
    idle = sorted(
        f"{raw['InstanceId']} ({raw['State']['Name']})"
        for raw in facts.instances
        if raw["InstanceId"] not in gone and raw["State"]["Name"] not in ("shutting-down", "terminated")
    )
    found = [f"Not used by this launch, closing the experiment removes them: {', '.join(idle)}"] if idle else []
    found += [f"{one['instance_id']} is being taken by AWS; nothing is built on it any more" for one in leaving]
    count = profile["capacity"]["count"]
    if len(used) > count:
        found.append(f"{len(used)} instances run, the profile asks for {count}; none is ended")
    return found


def _cost(profile: Profile, instances: list[Resource], ranked: list[Resource], facts: Facts) -> Resource:
    """What runs may lie outside of the pools that the profile allows by now."""
    count = profile["capacity"]["count"]
    ranked = [pool for pool in ranked if not pool["cooling"]] or ranked
    on_demand = [facts.on_demand.get(one["type"]) for one in instances]
    spot = [facts.spot_prices.get((one["type"], one["zone"])) for one in instances]
    now = [price if one["lifecycle"] == "spot" else full for one, price, full in zip(instances, spot, on_demand)]
    return {
        "per_hour": cost.per_hour(now, [pool["price"] for pool in ranked], count),
        "on_demand_per_hour": cost.per_hour(on_demand, [pool["on_demand_price"] for pool in ranked], count),
    }
