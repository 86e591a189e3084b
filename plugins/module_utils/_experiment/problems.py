# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Everything that would make a launch fail, found before anything is created. Pure functions, no API calls.

A problem is one line, ``profile key: what is wrong; what to do``. All of them are reported at once. Rules that EC2
itself enforces name the error that it would give.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import _aws_errors
from .._ebs import data_sets
from .._efs import plan as efs_plan
from .._self import userdata
from . import access, crew, elsewhere, plan, regions, successors, transformations

if TYPE_CHECKING:
    from .facts import Facts

    Resource = dict[str, Any]

SPOT, ON_DEMAND = "spot", "on-demand"
# Source: EC2 user guide "Tag restrictions"; keys are narrower where instance tags are readable in instance metadata.
MAX_TAGS = 50
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
METADATA_TAG_KEY = re.compile(r"^[A-Za-z0-9+\-=.,_:@]+$")
TAG_VALUE = re.compile(r"^[\w\s.:/=+\-@]*$")


@dataclass(frozen=True)
class Case:
    """What is judged: the normalised profile, the experiment's name and what was read."""

    profile: dict[str, Any]
    experiment: str
    facts: Facts

    @property
    def capacity(self) -> dict[str, Any]:
        """The profile's section ``capacity``."""
        return self.profile["capacity"]

    @property
    def launching(self) -> bool:
        """Whether instances are to be asked for; a complete experiment needs no image, key or price any more."""
        return bool(plan.missing_ranks(self.profile, self.facts))


def not_offered(wanted: list[str], offered: list[tuple[str, str]]) -> list[str]:
    """Wanted types that no zone of the region offers."""
    known = {name for name, _zone in offered}
    return [name for name in dict.fromkeys(wanted) if name not in known]


# Capacity


def types(case: Case) -> list[str]:
    """Types that the region does not offer. Source: EC2 error Unsupported, InvalidFleetConfiguration."""
    return [
        f"capacity.instance_types: {name} is not offered in {case.facts.region}; "
        f"{successors.suggestion(name, case.facts.region_types)}"
        for name in not_offered(case.capacity["instance_types"], case.facts.offered)
    ]


def type_abilities(case: Case) -> list[str]:
    """Types that cannot boot the image, are not sold as Spot, or have no GPU where one is required."""
    image = transformations.image(case.facts.image) if case.facts.image else {}
    found = []
    for kind in map(transformations.instance_type, case.facts.types):
        name = kind["instance_type"]
        architecture = image.get("architecture")
        if architecture and kind["architectures"] and architecture not in kind["architectures"]:
            found.append(
                f"capacity.instance_types: {name} is {'/'.join(kind['architectures'])}, the image {image['id']} is "
                f"{architecture}; choose a type or an image of the other architecture"
            )
        if case.capacity["market"] == "spot" and not kind["spot"]:
            found.append(
                f"capacity.instance_types: {name} is not sold as Spot; "
                "choose another type or set capacity.market to on-demand"
            )
        asks = _asks_for_gpus(case.profile)
        if asks and not kind["gpus"]:
            key, value = asks
            found.append(
                f"capacity.instance_types: {name} has no GPU and {key} is {value}; "
                f"choose a type with a GPU or set {key} to auto"
            )
    return found


def _asks_for_gpus(profile: Resource) -> tuple[str, str] | None:
    """Key and value of the profile that insist on GPUs."""
    if profile["runtime"]["gpu"] == "required":
        return "runtime.gpu", "required"
    return ("job.gpus", "all") if (profile["job"] or {}).get("gpus") == "all" else None


def zones(case: Case) -> list[str]:
    """Zones that the region does not have."""
    return [
        f"capacity.zones: {zone} is no zone of {case.facts.region} that this account may use; "
        f"choose from {', '.join(case.facts.zones)}"
        for zone in case.capacity["zones"]
        if case.facts.zones and zone not in case.facts.zones
    ]


def subnets(case: Case) -> list[str]:
    """Subnets that do not exist, lie in another zone than asked for, or in different VPCs."""
    known = {subnet["SubnetId"]: subnet for subnet in case.facts.subnets}
    found = []
    for wanted in case.capacity["subnet_ids"]:
        if wanted not in known:
            found.append(
                f"capacity.subnet_ids: there is no subnet {wanted} in {case.facts.region}; "
                "check the id and the region, or leave the key out for the default subnets"
            )
        elif case.capacity["zones"] and known[wanted]["AvailabilityZone"] not in case.capacity["zones"]:
            found.append(
                f"capacity.subnet_ids: {wanted} is in {known[wanted]['AvailabilityZone']}, which capacity.zones "
                "does not name; add the zone or take the subnet out"
            )
    vpcs = sorted({subnet["VpcId"] for subnet in case.facts.subnets})
    if len(vpcs) > 1:
        found.append(
            f"capacity.subnet_ids: the subnets are in different VPCs ({', '.join(vpcs)}); "
            "name subnets of one VPC, a security group belongs to one"
        )
    if not case.facts.subnets and not case.capacity["subnet_ids"]:
        found.append(
            f"capacity.subnet_ids: {case.facts.region} has no default subnet; "
            "name subnets here, or make the default VPC with `aws ec2 create-default-vpc`"
        )
    return found


def public_address(case: Case) -> list[str]:
    """Subnets that give no public address although the instances are to be reached by one."""
    if case.profile["access"]["address"] != "public":
        return []
    return [
        f"capacity.subnet_ids: {subnet['SubnetId']} gives its instances no public address; "
        "choose a public subnet, or set access.address to private and connect from inside the VPC"
        for subnet in plan.usable_subnets(case.profile, case.facts)
        if subnet.get("MapPublicIpOnLaunch") is False
    ]


def pools(case: Case) -> list[str]:
    """No pool is left, by zone or by price."""
    if types(case) or zones(case) or subnets(case) or volume_zones(case):
        return []
    if elsewhere.make(case.profile, case.facts)["move"]:
        return []  # the launch goes where there are some
    known = plan.all_pools(case.profile, case.facts)
    if not known:
        return [f"capacity: {_no_pool(case)}"]
    if plan.pools(case.profile, case.facts):
        return []
    cheapest = min(pool["price"] for pool in known)
    return [
        f"capacity.max_price: {case.capacity['max_price']} USD/h is below the price of every pool, the cheapest is "
        f"{cheapest} USD/h; raise it or leave it out (you pay the price of the moment, not the maximum)"
    ]


def _no_pool(case: Case) -> str:
    wanted = ", ".join(case.capacity["instance_types"])
    offered = ", ".join(sorted({zone for _name, zone in case.facts.offered}))
    usable = ", ".join(subnet["AvailabilityZone"] for subnet in plan.usable_subnets(case.profile, case.facts))
    pinned = plan.pinned_zones(case.profile, case.facts)
    if pinned:
        holders = ", ".join(
            f"{one['name']} ({one['volume_id']})"
            for one in plan.wanted_volumes(case.profile, case.facts)
            if one["zone"] in pinned
        )
        return (
            f"the volume {holders or 'wanted'} is in {pinned[0]}, where no pool can be used: {wanted} is offered in "
            f"{offered}, subnets are there in {usable or 'no zone that is allowed'}; allow this zone in capacity.zones "
            "and capacity.subnet_ids, add an instance type, or move the volume by a snapshot: `ansible-playbook "
            "volumes.yml -e do=move`, or recovery.move_volumes: true"
        )
    return (
        f"no pool: {wanted} is offered in {offered}, and the zones with a subnet are {usable or 'none'}; "
        "change capacity.zones, capacity.subnet_ids or capacity.instance_types"
    )


def quotas(case: Case) -> list[str]:
    """vCPU quotas that cannot hold what is missing. Source: EC2 MaxSpotInstanceCountExceeded, VcpuLimitExceeded.

    Spot and On-Demand have quotas of their own, and each holds its part. A quota that could not be read is taken as
    sufficient; what other experiments use of it is not known here.
    """
    parts = _parts(case)
    if case.capacity["on_demand"] == "fallback" and SPOT in parts:
        rooms = [_room(case, market) for market in (SPOT, ON_DEMAND)]
        missing = parts[SPOT]
        return [] if sum(room.instances for room in rooms) >= missing else [_quota_line(case, rooms, missing)]
    lacking = [(_room(case, market), count) for market, count in parts.items()]
    return [_quota_line(case, [room], count) for room, count in lacking if room.instances < count]


def _parts(case: Case) -> dict[str, int]:
    """How many instances are missing, by the market that gives them. See ``_fleet.plan.shares``, which asks so."""
    members = plan.members(case.facts)
    missing = len(plan.missing_ranks(case.profile, case.facts))
    if case.capacity["market"] == ON_DEMAND:
        return {ON_DEMAND: missing}
    base = case.capacity["on_demand_base"] if case.capacity["on_demand"] == "base" else 0
    running = sum(one["lifecycle"] != SPOT for one in members)
    on_demand = min(missing, max((base or 0) - running, 0))
    return {market: count for market, count in ((ON_DEMAND, on_demand), (SPOT, missing - on_demand)) if count}


@dataclass(frozen=True)
class _Room:
    """How many more instances the quotas of a market allow at most, and these quotas in words."""

    market: str
    instances: float
    limits: dict[str, float] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)


def _room(case: Case, market: str) -> _Room:
    least = _least_vcpus(case, market)
    limits = {code: case.facts.quotas[code] for code in least if code in case.facts.quotas}
    if not limits or len(limits) < len(least):
        return _Room(market, math.inf)
    return _Room(market, sum(limits[code] // least[code] for code in limits), limits, least)


def _quota_line(case: Case, rooms: list[_Room], missing: int) -> str:
    limits = {code: (limit, room.least[code]) for room in rooms for code, limit in room.limits.items()}
    known = ", ".join(
        f"{code} {limit:g} vCPUs (the smallest type has {least})" for code, (limit, least) in limits.items()
    )
    best = max(limits, key=lambda code: limits[code][0] // limits[code][1])
    return (
        f"capacity.instance_types: the {' and '.join(room.market for room in rooms)} quotas of this account in "
        f"{case.facts.region} do not allow {missing} more instances: {known}; ask for more with `aws service-quotas "
        f"request-service-quota-increase --service-code ec2 --quota-code {best} "
        f"--desired-value {missing * limits[best][1]}`, or choose other types"
    )


def quota_codes(capacity: dict[str, Any]) -> list[str]:
    """Codes of the vCPU quotas that a launch may count against."""
    markets = {capacity["market"], *([ON_DEMAND] if capacity["on_demand"] != "never" else [])}
    codes = {quota_code(name, market) for name in capacity["instance_types"] for market in markets}
    return sorted(codes - {""})


def quota_code(instance_type: str, market: str) -> str:
    """Code of the vCPU quota that a type counts against, empty when it is not known."""
    group = _aws_errors.quota_group(instance_type)
    if group is None:
        return ""
    return group.spot if market == SPOT else group.on_demand


def _least_vcpus(case: Case, market: str) -> dict[str, int]:
    """Quota code -> vCPUs of the smallest wanted type that counts against it."""
    least: dict[str, int] = {}
    for kind in map(transformations.instance_type, case.facts.types):
        code = quota_code(kind["instance_type"], market)
        if kind["vcpus"]:
            least[code] = min(kind["vcpus"], least.get(code, kind["vcpus"]))
    return least


# Image


def image(case: Case) -> list[str]:
    """No such image, an image that is not available, or a root volume smaller than it. Source: EC2 InvalidAMIID.*."""
    wanted = case.profile["image"]
    key = next((name for name in ("id", "ssm_parameter", "name") if wanted[name]), None)
    if key is None and wanted.get("ids"):
        return [f"image.ids: there is none for {case.facts.region}; add {case.facts.region}: ami-…"]
    if key is None:
        return ["image: no image is named; set one of image.id, image.ssm_parameter, image.name"]
    if case.facts.image is None:
        owner = f" of owner {wanted['owner']}" if wanted["owner"] and key == "name" else ""
        return [f"image.{key}: there is no image {wanted[key]}{owner} in {case.facts.region}; {_image_advice(case)}"]
    return _image_fits(key, wanted, transformations.image(case.facts.image))


def _image_advice(case: Case) -> str:
    several = regions.allowed(case.profile)
    if case.profile["image"].get("ids"):
        return f"correct image.ids.{case.facts.region}"
    if len(several) < 2:
        return "images belong to one region, check both"
    example = ", ".join(f"{region}: ami-…" for region in several)
    return f"copy the image there and name one for each region, image.ids: {{{example}}}, or take the region out"


def _image_fits(key: str, wanted: Resource, found: Resource) -> list[str]:
    problems = []
    if found["state"] not in (None, "available"):
        problems.append(f"image.{key}: the image {found['id']} is {found['state']}; wait or choose another")
    size, least = wanted["root_volume_size"], found["root_snapshot_size"]
    if size and least and size < least:
        problems.append(
            f"image.root_volume_size: {size} GiB is smaller than the image {found['id']} ({least} GiB); "
            f"set at least {least}"
        )
    return problems


# Access


def key_pair(case: Case) -> list[str]:
    """A key pair that does not exist (EC2 InvalidKeyPair.NotFound) or does not belong to the private key file."""
    name = plan.key_name(case.profile, case.experiment)
    ours = plan.own_key(case.profile)
    if case.facts.key_pair is None:
        if ours:
            return []
        return [
            f"access.key_name: there is no key pair {name} in {case.facts.region}; key pairs belong to one region: "
            "import it there, or leave access.key_name out and one is made"
        ]
    if plan.same_key(case.facts) or (ours and not plan.members(case.facts)):
        return []
    file = case.facts.key_file
    if file is None or not file.exists:
        return [_lost_key(name, file.path)] if file and ours else []
    return [
        f"access.private_key_file: {file.path} is not the private half of the key pair {name}; "
        "name the file of this key pair, or another access.key_name"
    ]


def _lost_key(name: str, path: str) -> str:
    return (
        f"access.private_key_file: {path} is not there, and instances that know only the key pair {name} run; "
        "copy the file from the machine that launched them, or close the experiment first"
    )


def key_file(case: Case) -> list[str]:
    """A private key file that is missing or that others may read (OpenSSH refuses such a file)."""
    wanted, file = case.profile["access"]["private_key_file"], case.facts.key_file
    if file is None or (not wanted and not file.exists):
        return []
    if not file.exists:
        return [f"access.private_key_file: there is no file {file.path}; check the path"]
    if file.mode & 0o077:
        return [
            f"access.private_key_file: {file.path} has mode {file.mode:04o}, others may read it; "
            f"type `chmod 600 {file.path}`"
        ]
    return []


def security_groups(case: Case) -> list[str]:
    """Groups that do not exist, lie in another VPC, or bear our name but are not ours. Source: EC2 InvalidGroup.*."""
    vpc = plan.vpc_id(case.profile, case.facts)
    known = {group["GroupId"]: group for group in case.facts.security_groups}
    found = []
    for wanted in case.profile["access"]["security_group_ids"]:
        if wanted not in known:
            found.append(
                f"access.security_group_ids: there is no security group {wanted} in {case.facts.region}; "
                "check the id and the region, or leave the key out and one is made"
            )
        elif vpc and known[wanted].get("VpcId") not in (None, vpc):
            found.append(
                f"access.security_group_ids: {wanted} belongs to {known[wanted]['VpcId']}, the subnets to {vpc}; "
                "name a group of the same VPC"
            )
    return found + _foreign_group(case)


def _foreign_group(case: Case) -> list[str]:
    group = plan.own_group(case.profile, case.facts)
    if group is None or case.profile["access"]["security_group_ids"]:
        return []
    return [text] if (text := access.foreign(group, case.experiment)) else []


def instance_profile(case: Case) -> list[str]:
    """An instance profile that does not exist. Source: IAM error NoSuchEntity."""
    wanted = case.profile["access"]["instance_profile"]
    if not wanted or case.facts.instance_profile is not False:
        return []
    return [
        f"access.instance_profile: there is no instance profile {wanted} in account {case.facts.account}; "
        "make it, or leave the key out"
    ]


# Storage


def volumes(case: Case) -> list[str]:
    """Volumes that do not exist, are not one for one, or are attached elsewhere. Source: EC2 InvalidVolume.NotFound."""
    return [line for wanted in case.profile["volumes"] for line in _volume(case, wanted)] + _attached(case)


def _volume(case: Case, wanted: Resource) -> list[str]:
    key = f"volumes.{wanted['name']}"
    if wanted["volume_id"]:
        known = {raw["VolumeId"] for raw in case.facts.volumes_by_id}
        found = []
        if wanted["volume_id"] not in known:
            found.append(
                f"{key}.volume_id: there is no volume {wanted['volume_id']} in {case.facts.region}; "
                "check the id and the region, or leave volume_id out and one is made"
            )
        if case.capacity["count"] > 1:
            found.append(
                f"{key}.volume_id: one volume cannot serve capacity.count {case.capacity['count']} instances; "
                "leave volume_id out, then each instance gets its own, or set the count to 1"
            )
        return found
    if data_sets.is_data_set(wanted):
        return _snapshot(case, wanted, key) + _launched_without(case, wanted, key)
    return _ambiguous(case, wanted["name"], key) + _snapshot(case, wanted, key)


def _launched_without(case: Case, wanted: Resource, key: str) -> list[str]:
    """A data set comes with an instance and cannot be added later."""
    mine = [one for one in plan.wanted_volumes(case.profile, case.facts) if one["volume"] == wanted["name"]]
    has = {one["rank"] for one in mine if one["volume_id"]}
    lacks = [one["instance_id"] for one in plan.members(case.facts) if one["rank"] not in has]
    if not lacks:
        return []
    return [
        f"{key}: {', '.join(lacks)} was launched without this data set; close the experiment and launch it again, or"
        " leave the data set out"
    ]


def _ambiguous(case: Case, name: str, key: str) -> list[str]:
    found = []
    for rank in range(case.capacity["count"]):
        ids = [one["volume_id"] for one in plan.own_volumes(name, rank, case.facts)]
        if len(ids) > 1:
            found.append(
                f"{key}: several volumes have the tags of rank {rank} ({', '.join(sorted(ids))}); "
                f"name the right one as volume_id, or take the tag spot:volume off the others"
            )
    return found


def _snapshot(case: Case, wanted: Resource, key: str) -> list[str]:
    if not wanted["snapshot_id"]:
        return []
    known = {raw["SnapshotId"]: raw for raw in case.facts.snapshots}
    snapshot = known.get(wanted["snapshot_id"])
    if snapshot is None:
        return [f"{key}.snapshot_id: there is no snapshot {wanted['snapshot_id']} in {case.facts.region}; check the id"]
    if snapshot.get("State") not in (None, "completed"):
        how = f"{snapshot['State']} ({snapshot.get('Progress') or 'no progress known'})"
        return [f"{key}.snapshot_id: {wanted['snapshot_id']} is {how}; wait until it is completed, or name another"]
    least = snapshot.get("VolumeSize") or 0
    if not data_sets.is_data_set(wanted) and wanted["size"] < least:
        return [f"{key}.size: {wanted['size']} GiB is smaller than the snapshot ({least} GiB); set at least {least}"]
    return []


def _attached(case: Case) -> list[str]:
    """Volumes that another instance holds. Source: EC2 error VolumeInUse.

    The running instances may; those that AWS takes and those that shut down give their volumes back by themselves.
    """
    states = {raw["InstanceId"]: raw["State"]["Name"] for raw in case.facts.instances}
    leaving = crew.leaving(case.facts.instances, case.facts.spot_requests)
    running = {one["instance_id"] for one in [*plan.members(case.facts), *leaving]}
    found = []
    for entry in plan.wanted_volumes(case.profile, case.facts):
        for holder in entry["instance_ids"]:
            if holder in running or states.get(holder) in ("shutting-down", "terminated"):
                continue
            if holder in states:
                why = (
                    f"an instance of this experiment that is {states[holder]} and not used; close the experiment first"
                )
            else:
                why = "which does not belong to this experiment; detach it there first"
            found.append(f"volumes.{entry['volume']}: {entry['volume_id']} is attached to {holder}, {why}")
    return found


def volume_zones(case: Case) -> list[str]:
    """Volumes in different zones, or in a zone that is not allowed. Source: EC2 error InvalidVolume.ZoneMismatch."""
    entries = [one for one in plan.wanted_volumes(case.profile, case.facts) if one["zone"]]
    if elsewhere.target(case.profile, case.facts):
        return []  # an earlier run was cut off before the volumes had followed its instances
    where = ", ".join(f"{one['name']} ({one['volume_id']}) in {one['zone']}" for one in entries)
    if len({one["zone"] for one in entries}) > 1:
        return [
            f"volumes: they are in different zones: {where}; an instance can use only volumes of its own zone: "
            f"move them into one zone: {move_command(entries, '')}"
        ]
    allowed = case.capacity["zones"]
    if entries and allowed and entries[0]["zone"] not in allowed:
        if plan.may_move(case.profile, case.facts):
            return []
        return [
            f"volumes: {where}, which capacity.zones ({', '.join(allowed)}) does not allow; add the zone, "
            f"or move the volume: {move_command(entries, allowed[0])}"
        ]
    return _other_zone(case, entries)


def move_command(entries: list[Resource], zone: str) -> str:
    """What to type to move volumes of the plan."""
    ids = ",".join(one["volume_id"] for one in entries)
    return f"ansible-playbook volumes.yml -e do=move -e volume={ids} -e zone={zone or 'ZONE'}"


def _other_zone(case: Case, entries: list[Resource]) -> list[str]:
    zone = entries[0]["zone"] if entries else None
    return [
        f"volumes: {entries[0]['name']} ({entries[0]['volume_id']}) is in {zone}, the running instance "
        f"{one['instance_id']} in {one['zone']}; close the experiment, the next launch goes to {zone}"
        for one in plan.members(case.facts)
        if zone and one["zone"] != zone
    ]


def file_systems(case: Case) -> list[str]:
    """File systems that do not exist, lie in another VPC, or are not as they have to be. Source: EFS API errors."""
    subnets = plan.usable_subnets(case.profile, case.facts)
    return [
        f"file_systems.{one['name']}: {line}"
        for one, read in zip(case.profile.get("file_systems") or [], case.facts.file_systems)
        for line in efs_plan.problems(efs_plan.from_keys(one, {}), replace(read, subnets=subnets))
    ]


# Tags


def tags(case: Case) -> list[str]:
    """Tags over EC2's limits. Source: EC2 user guide, tag restrictions and instance tags in instance metadata."""
    extra = case.profile["tags"]
    wanted = plan.tags(case.profile, case.experiment, case.facts, {})
    found = []
    if len(wanted) + 2 > MAX_TAGS:  # Volumes have spot:volume and spot:rank too.
        room = MAX_TAGS - (len(wanted) + 2 - len(extra))
        found.append(f"tags: {len(extra)} extra tags are too many; a resource has at most {MAX_TAGS}, {room} are free")
    for key, value in extra.items():
        found += _tag(key, str(value))
    owner = wanted["spot:owner"]
    if not TAG_VALUE.match(owner) or len(owner) > MAX_TAG_VALUE:
        found.append(f"owner: {owner!r} cannot be a tag value; use letters, digits, spaces and + - = . _ : / @")
    return found


def _tag(key: str, value: str) -> list[str]:
    where = f"tags.{key[:40]}"
    if len(key) > MAX_TAG_KEY or len(value) > MAX_TAG_VALUE:
        return [f"{where}: too long; a key has at most {MAX_TAG_KEY} characters, a value {MAX_TAG_VALUE}"]
    if key.lower().startswith("aws:") or key.startswith("spot:") or key == "Name":
        return [f"{where}: this key is reserved; choose another"]
    if not METADATA_TAG_KEY.match(key) or key in (".", ".."):
        return [f"{where}: not allowed in a key; use letters, digits and + - = . , _ : @ (no space, no /)"]
    if not TAG_VALUE.match(value):
        return [f"{where}: the value has characters that EC2 refuses; use letters, digits, spaces and + - = . _ : / @"]
    return []


def keeping_fleets(case: Case) -> list[str]:
    """A fleet that replaces instances by itself and a machine that launches them would be two to do so."""
    if plan.is_self(case.profile):
        return []
    return [
        f"{raw['FleetId']} keeps an instance of this experiment by itself (launched with recovery.mode self); close the"
        " experiment first, or go on with recovery.mode self"
        for raw in plan.keeping_fleets(case.facts)
    ]


def instance_endpoint(case: Case) -> list[str]:
    """Instances that set themselves up, or send results, must reach an API that is not AWS's."""
    url = case.facts.instance_endpoint
    if not (plan.is_self(case.profile) or case.profile.get("results")) or not userdata.is_loopback(url):
        return []
    key = "recovery.mode self" if plan.is_self(case.profile) else "results"
    return [
        f"{key}: instances cannot reach {url}, which means this machine; set "
        f"{userdata.ENDPOINT_VARIABLE} to the address under which they reach it"
    ]


def results_bucket(case: Case) -> list[str]:
    """A bucket of results that is missing, or that is forbidden to who is to pull from it."""
    wanted, found = case.profile.get("results"), case.facts.results_bucket
    if not wanted or not found or found["state"] == "there":
        return []
    if found["state"] == "missing":
        name = wanted["bucket"][len("s3://") :].partition("/")[0]
        return [f"results.bucket: there is no bucket {name}; make it with `aws s3 mb s3://{name}`, or correct the name"]
    if not wanted["pull"]:
        return []
    return [
        f"results.bucket: your credentials may not read {wanted['bucket']} (s3:ListBucket), or it is somebody else's; "
        "allow it, or leave results.pull out when only the instances are to use it"
    ]


# Where one region cannot be used, another one may do.
PLACE_CHECKS = (types, zones, subnets, public_address, pools, quotas)
LAUNCH_CHECKS = (*PLACE_CHECKS, type_abilities, image, key_pair, key_file)
ALWAYS_CHECKS = (
    security_groups,
    instance_profile,
    volumes,
    volume_zones,
    file_systems,
    tags,
    instance_endpoint,
    keeping_fleets,
)
RESULTS_CHECKS = (results_bucket,)


def find(case: Case) -> list[str]:
    """All problems, in the order of the profile's sections, each once.

    Capacity and image are judged only when instances are to be launched: they do not matter to those that run.
    """
    checks = LAUNCH_CHECKS if case.launching else (key_pair, key_file)
    return _lines((*checks, *ALWAYS_CHECKS, *RESULTS_CHECKS), case)


def of_place(case: Case) -> list[str]:
    """Why nothing can be launched in a region, where another one may be used instead."""
    return _lines(PLACE_CHECKS, case) if case.launching else []


def besides_place(case: Case) -> list[str]:
    """All problems that are the user's to solve, whatever the region."""
    left_out = set(of_place(case))
    return [line for line in find(case) if line not in left_out]


def _lines(checks: Iterable[Callable[[Case], list[str]]], case: Case) -> list[str]:
    return list(dict.fromkeys(line for check in checks for line in check(case)))
