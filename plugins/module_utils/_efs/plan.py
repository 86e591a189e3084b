# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide what a file system lacks: pure functions over what AWS answered.

PRIVATE to the collection. File systems, mount targets (with ``SecurityGroups``), groups and subnets are dicts of boto3.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

Resource = dict[str, Any]

NFS_PORT = 2049
MAX_GROUPS = 5  # Source: EFS API CreateMountTarget, SecurityGroups
# Tag of what belongs to a file system: its name, or its id where it was named by id.
MARK = "spot:file-system"
GONE = ("deleting", "deleted")


@dataclass(frozen=True)
class Wanted:
    """The options of the module.

    Attributes:
        name: creation token of a file system of ours, else only a name.
        file_system_id: one that exists; then its throughput and life cycle are left alone.
        subnet_ids: where the clients are; one mount target a zone.
        client_group_ids: security groups of the clients.
        access_point: ``path``, ``uid``, ``gid``, ``permissions``; None for none.
        transition_to_ia: days without use until a file becomes cheaper to keep, None to leave it alone.
    """

    name: str
    file_system_id: str = ""
    throughput_mode: str = "elastic"
    provisioned_throughput: float | None = None
    performance_mode: str = "generalPurpose"
    encrypted: bool = True
    kms_key_id: str = ""
    transition_to_ia: int | None = None
    access_point: Resource | None = None
    access_point_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    client_group_ids: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "present"

    @property
    def group_name(self) -> str:
        """Name of the security group of the mount targets that are made here."""
        return f"spot-efs-{self.file_system_id or self.name}"

    def tag_list(self, name: str) -> list[dict[str, str]]:
        """Tags of what is made for the file system, in the shape of EC2 and EFS."""
        tags = {**self.tags, "Name": name, MARK: self.file_system_id or self.name}
        return [{"Key": key, "Value": str(tags[key])} for key in sorted(tags)]


@dataclass
class Facts:
    """What AWS says of one file system (None: there is none yet)."""

    file_system: Resource | None = None
    mount_targets: list[Resource] = field(default_factory=list)
    access_points: list[Resource] = field(default_factory=list)
    lifecycle: list[Resource] = field(default_factory=list)
    groups: list[Resource] = field(default_factory=list)
    named_groups: list[Resource] = field(default_factory=list)
    subnets: list[Resource] = field(default_factory=list)


@dataclass
class Plan:
    """What is missing. `targets` are subnets without a mount target in their zone, `closed` mount targets that let the
    clients not in; `group` says that the group of our own is needed, `admits` which clients its rules lack."""

    create: bool = False
    update: Resource = field(default_factory=dict)
    lifecycle: list[Resource] = field(default_factory=list)
    access_point: bool = False
    targets: list[Resource] = field(default_factory=list)
    closed: list[Resource] = field(default_factory=list)
    group: bool = False
    admits: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return any(
            (self.create, self.update, self.lifecycle, self.access_point, self.targets, self.closed, self.admits)
        )


def from_keys(keys: Resource, tags: dict[str, str]) -> Wanted:
    """An entry of a profile, or the options of the module, which have the same names."""
    same = ("name", "throughput_mode", "provisioned_throughput", "performance_mode", "encrypted", "transition_to_ia")
    texts = ("file_system_id", "kms_key_id", "access_point_id")
    given: Resource = {key: keys[key] for key in (*same, "access_point")} | {key: keys[key] or "" for key in texts}
    return Wanted(**given, tags=tags)


def with_clients(wanted: Wanted, instances: list[Resource]) -> Wanted:
    """The same for these instances, too: where they are, and one group of each."""
    alive = [one for one in instances if one.get("SubnetId")]
    groups = [min(group["GroupId"] for group in one["SecurityGroups"]) for one in alive if one.get("SecurityGroups")]
    return replace(
        wanted,
        subnet_ids=tuple(dict.fromkeys([*wanted.subnet_ids, *sorted(one["SubnetId"] for one in alive)])),
        client_group_ids=tuple(dict.fromkeys([*wanted.client_group_ids, *sorted(groups)])),
    )


def vpc_of(facts: Facts) -> str:
    """The VPC of the clients, else that of the mount targets, '' where neither is known."""
    vpcs = [one["VpcId"] for one in (*facts.subnets, *facts.mount_targets) if one.get("VpcId")]
    return vpcs[0] if vpcs else ""


def own_group(facts: Facts) -> Resource | None:
    """The group that was made for the mount targets in the VPC of the clients."""
    vpc = vpc_of(facts)
    return next((one for one in facts.named_groups if one.get("VpcId") == vpc), None)


def zone_of(raw: Resource) -> str:
    """Zone of a subnet or of a mount target."""
    return str(raw.get("AvailabilityZone") or raw.get("AvailabilityZoneName") or "")


# What cannot work


def problems(wanted: Wanted, facts: Facts) -> list[str]:
    """Everything that would make AWS refuse, each with what to do."""
    return [*_file_system(wanted, facts), *_places(wanted, facts), *_access_point(wanted, facts)]


def _file_system(wanted: Wanted, facts: Facts) -> list[str]:
    found = facts.file_system
    if found is None:
        if not wanted.file_system_id:
            return []
        return [
            f"there is no file system {wanted.file_system_id} in this region; check the id and the region, or leave "
            "file_system_id out and one is made"
        ]
    label = f"{wanted.name} ({found['FileSystemId']})"
    if found["LifeCycleState"] == "error":
        return [f"{label} is in the state error; look at it in the EFS console, delete it, or choose another name"]
    if wanted.file_system_id:
        return []
    lines = []
    if wanted.encrypted and not found.get("Encrypted"):
        lines.append(
            f"{label} exists and is not encrypted, which cannot be changed; set encrypted to false to use it as it is, "
            "or choose another name"
        )
    if found.get("PerformanceMode", wanted.performance_mode) != wanted.performance_mode:
        lines.append(
            f"{label} exists with performance_mode {found['PerformanceMode']}, which cannot be changed; set it so, or "
            "choose another name"
        )
    return lines


def _places(wanted: Wanted, facts: Facts) -> list[str]:
    known = {one["SubnetId"] for one in facts.subnets}
    lines = [f"there is no subnet {one} in this region; check the id" for one in wanted.subnet_ids if one not in known]
    vpcs = sorted({one["VpcId"] for one in facts.subnets})
    if len(vpcs) > 1:
        lines.append(f"the subnets lie in {', '.join(vpcs)}; all mount targets of a file system lie in one VPC")
    targets = sorted({one["VpcId"] for one in facts.mount_targets if one.get("VpcId")})
    if vpcs and targets and targets[0] not in vpcs and facts.file_system:
        lines.append(
            f"{wanted.name} ({facts.file_system['FileSystemId']}) has its mount targets in {targets[0]}, the subnets "
            f"are in {vpcs[0]}; all mount targets of a file system lie in one VPC: use subnets of {targets[0]}, or "
            "another file system"
        )
    full = [
        one["MountTargetId"]
        for one in _closed(wanted, facts)
        if len(one["SecurityGroups"]) >= MAX_GROUPS and _missing_group(facts, one)
    ]
    if full:
        lines.append(
            f"{', '.join(full)} lets nobody in from {', '.join(wanted.client_group_ids)} on port {NFS_PORT} and has "
            f"{MAX_GROUPS} security groups already, the most there may be; add a rule to one of them"
        )
    return lines


def _missing_group(facts: Facts, target: Resource) -> bool:
    group = own_group(facts)
    return group is None or group["GroupId"] not in target["SecurityGroups"]


def _access_point(wanted: Wanted, facts: Facts) -> list[str]:
    if not wanted.access_point_id or facts.file_system is None:
        return []
    if any(one["AccessPointId"] == wanted.access_point_id for one in facts.access_points):
        return []
    return [
        f"{facts.file_system['FileSystemId']} has no access point {wanted.access_point_id}; check the id, or describe "
        "the access point with access_point and it is made"
    ]


# What is missing


def plan(wanted: Wanted, facts: Facts) -> Plan:
    """What is to be done so that the file system is as wanted and its clients reach it."""
    zones = {zone_of(one) for one in facts.mount_targets if one["LifeCycleState"] not in GONE}
    closed = _closed(wanted, facts)
    # Storage of one zone has its mount target there, and clients of other zones use it.
    one_zone = (facts.file_system or {}).get("AvailabilityZoneName")
    targets = [
        one for one in one_a_zone(facts.subnets) if zone_of(one) not in zones and one_zone in (None, zone_of(one))
    ]
    group = own_group(facts)
    needed = bool(targets or closed)
    clients = wanted.client_group_ids
    return Plan(
        create=facts.file_system is None,
        update=_update(wanted, facts.file_system),
        lifecycle=_lifecycle(wanted, facts),
        access_point=wanted.access_point is not None and find_access_point(wanted, facts) is None,
        targets=targets,
        closed=[one for one in closed if _missing_group(facts, one)],
        group=needed and group is None,
        admits=[one for one in clients if group is None or not _from_group(group, one)] if needed else [],
    )


def one_a_zone(subnets: Iterable[Resource]) -> list[Resource]:
    """One subnet a zone, the first by id, so that two runs choose the same."""
    chosen: dict[str, Resource] = {}
    for one in sorted(subnets, key=lambda raw: str(raw["SubnetId"])):
        chosen.setdefault(zone_of(one), one)
    return [chosen[zone] for zone in sorted(chosen)]


def _update(wanted: Wanted, found: Resource | None) -> Resource:
    """Arguments of UpdateFileSystem, {} where the throughput is as wanted or not ours to change."""
    if found is None or wanted.file_system_id:
        return {}
    mibps = wanted.provisioned_throughput if wanted.throughput_mode == "provisioned" else None
    same_rate = mibps is None or float(found.get("ProvisionedThroughputInMibps") or 0) == mibps
    if found.get("ThroughputMode", "bursting") == wanted.throughput_mode and same_rate:
        return {}
    return {
        "FileSystemId": found["FileSystemId"],
        "ThroughputMode": wanted.throughput_mode,
        **({"ProvisionedThroughputInMibps": mibps} if mibps is not None else {}),
    }


def _lifecycle(wanted: Wanted, facts: Facts) -> list[Resource]:
    """Policies to be set, [] where they are so already, or are not ours to change."""
    if wanted.transition_to_ia is None or wanted.file_system_id:
        return []
    days = wanted.transition_to_ia
    mine = {"TransitionToIA": f"AFTER_{days}_DAY{'S' if days > 1 else ''}"}
    if mine in facts.lifecycle:
        return []
    return [mine, *(one for one in facts.lifecycle if "TransitionToIA" not in one)]


def _closed(wanted: Wanted, facts: Facts) -> list[Resource]:
    """Mount targets in the clients' zones that do not let them in."""
    zones = {zone_of(one) for one in facts.subnets}
    return [
        one
        for one in facts.mount_targets
        if wanted.client_group_ids
        and zone_of(one) in zones
        and one["LifeCycleState"] not in GONE
        and not reachable(one, wanted.client_group_ids, facts)
    ]


def reachable(target: Resource, clients: Iterable[str], facts: Facts) -> bool:
    """Whether a group of a mount target lets clients of these groups, in these subnets, reach NFS."""
    groups = [one for one in facts.groups if one["GroupId"] in target["SecurityGroups"]]
    nets = [ipaddress.ip_network(one["CidrBlock"]) for one in facts.subnets if one.get("CidrBlock")]
    return any(any(_from_group(group, client) for client in clients) or _from_nets(group, nets) for group in groups)


def _nfs_rules(group: Resource) -> list[Resource]:
    return [
        rule
        for rule in group.get("IpPermissions") or []
        if rule.get("IpProtocol") == "-1"
        or (rule.get("IpProtocol") == "tcp" and rule.get("FromPort", 0) <= NFS_PORT <= rule.get("ToPort", 65535))
    ]


def _from_group(group: Resource, client: str) -> bool:
    return any(client in [one["GroupId"] for one in rule.get("UserIdGroupPairs") or []] for rule in _nfs_rules(group))


def _from_nets(group: Resource, nets: list[Any]) -> bool:
    allowed = [ipaddress.ip_network(one["CidrIp"]) for rule in _nfs_rules(group) for one in rule.get("IpRanges") or []]
    return bool(nets) and all(any(net.subnet_of(one) for one in allowed) for net in nets)


# Arguments of AWS


def creation(wanted: Wanted) -> Resource:
    """Arguments of CreateFileSystem; the throughput mode is always named, its default is bursting."""
    args: Resource = {
        "CreationToken": wanted.name,
        "PerformanceMode": wanted.performance_mode,
        "Encrypted": wanted.encrypted,
        "ThroughputMode": wanted.throughput_mode,
        "Tags": wanted.tag_list(wanted.name),
    }
    if wanted.kms_key_id:
        args["KmsKeyId"] = wanted.kms_key_id
    if wanted.throughput_mode == "provisioned":
        args["ProvisionedThroughputInMibps"] = wanted.provisioned_throughput
    return args


def access_point_creation(wanted: Wanted, file_system_id: str) -> Resource:
    """Arguments of CreateAccessPoint: everybody who comes through it is this user, below this directory."""
    point = wanted.access_point or {}
    owner = {"OwnerUid": point["uid"], "OwnerGid": point["gid"], "Permissions": point["permissions"]}
    return {
        "ClientToken": access_point_token(wanted, file_system_id),
        "FileSystemId": file_system_id,
        "PosixUser": {"Uid": point["uid"], "Gid": point["gid"]},
        "RootDirectory": {"Path": point["path"], "CreationInfo": owner},
        "Tags": wanted.tag_list(f"{wanted.name}{point['path']}"),
    }


def access_point_token(wanted: Wanted, file_system_id: str) -> str:
    """The same for the same directory and user of the same file system."""
    point = wanted.access_point or {}
    text = "\0".join([file_system_id, *(str(point[key]) for key in ("path", "uid", "gid", "permissions"))])
    return "spot-" + hashlib.sha256(text.encode()).hexdigest()[:40]


def find_access_point(wanted: Wanted, facts: Facts) -> Resource | None:
    """The access point that is wanted, by id or by what it does."""
    if wanted.access_point_id:
        return next((one for one in facts.access_points if one["AccessPointId"] == wanted.access_point_id), None)
    if wanted.access_point is None or facts.file_system is None:
        return None
    token = access_point_token(wanted, facts.file_system["FileSystemId"])
    return next((one for one in facts.access_points if one.get("ClientToken") == token), None)


# What is shown


def answer(wanted: Wanted, facts: Facts, region: str) -> Resource:
    """The file system as the module returns it; what does not exist yet is None or missing."""
    found = facts.file_system
    identity = found["FileSystemId"] if found else None
    point = find_access_point(wanted, facts)
    group = own_group(facts)
    return {
        "name": wanted.name,
        "file_system_id": identity,
        "state": found["LifeCycleState"] if found else None,
        "throughput_mode": found.get("ThroughputMode") if found else wanted.throughput_mode,
        "encrypted": found.get("Encrypted") if found else wanted.encrypted,
        "size_bytes": (found.get("SizeInBytes") or {}).get("Value") if found else None,
        "dns_name": f"{identity}.efs.{region}.{dns_suffix(region)}" if identity else None,
        "access_point_id": point["AccessPointId"] if point else None,
        "security_group_id": group["GroupId"] if group else None,
        "ready": bool(found)
        and all(one["LifeCycleState"] == "available" for one in (found or {}, *facts.mount_targets) if one),
        "mount_targets": {
            zone_of(one): one["IpAddress"]
            for one in sorted(facts.mount_targets, key=zone_of)
            if one.get("IpAddress") and one["LifeCycleState"] not in GONE
        },
    }


def dns_suffix(region: str) -> str:
    """Domain of AWS in a region. Source: EFS user guide, "Mounting on Amazon EC2 with a DNS name"."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def lines(wanted: Wanted, facts: Facts, todo: Plan | None = None) -> list[str]:
    """What exists, one line each, or what will after `todo`. For the diff."""
    found = facts.file_system
    if found is None and todo is None:
        return []
    mode = wanted.throughput_mode if todo and (todo.create or todo.update) else (found or {}).get("ThroughputMode")
    shown = [f"file system {wanted.name} {mode}"]
    shown += [f"mount target in {zone_of(one)}" for one in facts.mount_targets if one["LifeCycleState"] not in GONE]
    group = own_group(facts)
    admitted = [one for one in wanted.client_group_ids if group and _from_group(group, one)]
    days = [one["TransitionToIA"] for one in facts.lifecycle if "TransitionToIA" in one]
    if todo:
        shown += [f"mount target in {zone_of(one)}" for one in todo.targets]
        admitted = sorted({*admitted, *todo.admits})
        days = [one["TransitionToIA"] for one in todo.lifecycle if "TransitionToIA" in one] or days
    shown += [f"port {NFS_PORT} open for {one}" for one in admitted]
    shown += [f"life cycle to Infrequent Access {one}" for one in days]
    if find_access_point(wanted, facts) or (todo and todo.access_point):
        shown.append(f"access point {(wanted.access_point or {}).get('path') or wanted.access_point_id}")
    return sorted(shown)
