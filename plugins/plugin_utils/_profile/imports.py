# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the file of another tool to the data of a profile. Pure: data in, profile and what was not carried over out.

Each format is a table, field → what becomes of it, so that no field is lost without a word: what a table does not know
is named too. Sources: the documentation of Portal Gun 0.2.0 and of spot_connect 1.0.7, EC2 API SpotInstanceRequest,
LaunchSpecification and RequestSpotInstances, and the parameters of a CloudFormation stack.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from .load import MAX_NODES
from .problem import show
from .resolve import MARKS
from .schema import SCHEMA
from .suggest import GONE

KINDS = {
    "portal_gun": "a Portal Gun specification",
    "launch_specification": "an EC2 launch specification or Spot request",
    "spot_connect": "a profile of spot_connect",
    "stack_config": "a stack-config.json, the parameters of a CloudFormation stack",
}
KNOWN = "known: " + ", ".join(f"{text} ({kind})" for kind, text in KINDS.items())
# Draft files of Portal Gun say this where nobody has filled anything in.
PLACEHOLDER = re.compile(r"\w+ \((required|optional)\)")
# Source: EC2 user guide, "Device names for volumes".
ROOT_DEVICES = ("/dev/xvda", "/dev/sda", "/dev/sda1")

MAX_DEPTH = 50

Target = tuple[Any, ...]
Rule = Callable[["Import", str, Any], None]


class ImportFailed(Exception):
    """Nothing can be made of the file; the text says why and what to do."""


@dataclass
class Import:
    """What came out of a file.

    Attributes:
        name: Name of the new profile.
        up: Path from the directory of the new profile to the one where relative paths of the file start.
        profile: Data of the profile.
        carried: Field of the file and the path in the profile where it went.
        left: Field of the file and why it was not carried over.
        remarks: What else one should know.
    """

    name: str
    up: str = ".."
    profile: dict[str, Any] = field(default_factory=dict)
    carried: list[tuple[str, Target]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def put(self, source: str, target: Target, value: Any) -> None:
        """Carry a value over, unless it is empty or would be filled in as a template at the next launch."""
        reason = _unfit(value)
        if reason:
            self.leave(source, reason)
            return
        at: Any = self.profile
        for part in target[:-1]:
            at = at[part] if isinstance(part, int) else at.setdefault(part, {})
        if isinstance(at.get(target[-1]), list) and isinstance(value, list):
            value = [*at[target[-1]], *(one for one in value if one not in at[target[-1]])]
        at[target[-1]] = value
        self.carried.append((source, target))

    def leave(self, source: str, why: str) -> None:
        """Name a field that is not carried over."""
        self.left.append((source, why))

    def item(self, section: str, given: Mapping[str, Any]) -> int:
        """Begin an entry of a list such as volumes; returns its index."""
        entries: list[dict[str, Any]] = self.profile.setdefault(section, [])
        entries.append(dict(given))
        return len(entries) - 1


def read(text: str) -> Any:
    """The data of a file: JSON, the Python dictionary that spot_connect knows, or YAML.

    Raises:
        ImportFailed: When it is empty or none of them.
    """
    if not text.strip():
        raise ImportFailed(f"it is empty; {KNOWN}")
    data = _parsed(text)
    if not isinstance(data, (Mapping, list)):
        raise ImportFailed(f"it holds {show(data)}, not a mapping of fields to values; {KNOWN}")
    _limited(data)
    return data


def _limited(data: Any) -> None:
    """Refuse what no such file holds, aliases of aliases among it, before anything walks through all of it."""
    waiting = [(data, 1)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise ImportFailed(f"it holds more than {MAX_NODES} values or {MAX_DEPTH} levels; is this the right file?")
        inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
        waiting += [(one, depth + 1) for one in inside]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        broken = f"{error}"
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        said = (
            broken if text.lstrip().startswith(("{", "[")) else f"{getattr(error, 'problem', '') or 'not read'}{where}"
        )
        raise ImportFailed(f"it is neither JSON nor YAML: {said}; repair it first") from error


def recognise(data: Any) -> str:
    """The kind of a file by what it holds.

    Raises:
        ImportFailed: When it is none of the kinds known.
    """
    names = _names(data)
    if names & {"spot_instance", "spot_fleet", "persistent_volumes"}:
        return "portal_gun"
    if names & {"SSHLocation", "Timeout", "ParameterKey", "Parameters"}:
        return "stack_config"
    if names & {"SpotInstanceRequests", "LaunchSpecification", "ImageId", "InstanceType", "BlockDeviceMappings"}:
        return "launch_specification"
    if _spot_connect_like(data) or _several(data):
        return "spot_connect"
    if names & {"capacity", "extends"}:
        raise ImportFailed("it is a profile of experiments.spot already; copy it to profiles/")
    raise ImportFailed(f"nothing in it tells what it is; {KNOWN}. Say -e from_kind=KIND when it is one of them")


def convert(data: Any, kind: str, name: str, up: str = "..") -> Import:
    """Make a profile of the data of a file.

    Args:
        data: What the file holds.
        kind: One of `KINDS`.
        name: Name of the new profile.
        up: Path from its directory to the one where relative paths of the file start.

    Raises:
        ImportFailed: When nothing of it can be carried over.
    """
    found = Import(name, up)
    _CONVERTERS[kind](found, data)
    if not found.carried:
        raise ImportFailed(f"as {KINDS[kind]} it holds nothing that could be carried over; {KNOWN}")
    _finish(found)
    return found


def _names(data: Any) -> set[Any]:
    first = data[0] if isinstance(data, list) and data else data
    return set(first) if isinstance(first, Mapping) else set()


def _spot_connect_like(data: Any) -> bool:
    names = _names(data)
    return bool(names & {"firewall_ingress", "efs_mount"}) or len(names & set(_SPOT_CONNECT)) > 1


def _several(data: Any) -> bool:
    inside = list(data.values()) if isinstance(data, Mapping) else []
    return bool(inside) and all(_spot_connect_like(one) for one in inside)


def _unfit(value: Any) -> str:
    """Why a value of a foreign file must not stand in a profile, "" when it may."""
    if value is None or value in ("", [], {}):
        return "it is empty"
    for text in _texts(value):
        if any(mark in text for mark in MARKS):
            return "it holds a template, which a launch would fill in; write it yourself if you want that"
        if PLACEHOLDER.fullmatch(text):
            return "nobody has filled it in yet"
    return ""


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from (text for one in pair for text in _texts(one))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


# The rules of which the tables are made.


def _to(*target: str, listed: bool = False) -> Rule:
    """The value goes to a path of the profile; where `listed` says so it is text with commas, which becomes a list."""

    def rule(found: Import, source: str, value: Any) -> None:
        several = listed and isinstance(value, str)
        found.put(source, target, [part.strip() for part in value.split(",") if part.strip()] if several else value)

    return rule


def _number_to(*target: str, factor: int = 1, whole: bool = False) -> Rule:
    """A number, or one written as text, goes to a path of the profile."""

    def rule(found: Import, source: str, value: Any) -> None:
        number = _number(value)
        if number is None:
            found.leave(source, f"{show(value)} is not a number")
            return
        found.put(source, target, int(number * factor) if whole else number * factor)

    return rule


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None  # false for NaN too


def _left(why: str) -> Rule:
    """The value is not carried over."""

    def rule(found: Import, source: str, _value: Any) -> None:
        found.leave(source, why)

    return rule


def _inside(rules: Mapping[str, Rule]) -> Rule:
    """The value is a mapping with rules of its own."""

    def rule(found: Import, source: str, value: Any) -> None:
        _fields(found, value, rules, source)

    return rule


def _each(rule: Rule) -> Rule:
    """The value is a list, each entry of which the rule takes."""

    def each(found: Import, source: str, value: Any) -> None:
        if not isinstance(value, (list, tuple)):
            found.leave(source, f"{show(value)} is not a list")
            return
        if not value:
            found.leave(source, "it is empty")
            return
        for index, one in enumerate(value):
            rule(found, f"{source}[{index}]", one)

    return each


def _fields(found: Import, given: Any, rules: Mapping[str, Rule], at: str = "") -> None:
    if not isinstance(given, Mapping):
        found.leave(at or "the file", f"{show(given)} is not a mapping of fields to values")
        return
    if not given and at:
        found.leave(at, "it is empty")
        return
    for name, value in given.items():
        source = f"{at}.{name}" if at else f"{name}"
        rules.get(name, _unknown)(found, source, value)


def _unknown(found: Import, source: str, _value: Any) -> None:
    found.leave(source, "no field of this name is known")


def _key_name(found: Import, source: str, value: Any) -> None:
    found.leave(
        source,
        f"its private half is not named; to use the key {show(value)} set access.key_name and access.private_key_file, "
        "otherwise one is made",
    )


def _local(*target: str) -> Rule:
    """A path of the user's machine, which started from where the command was typed."""

    def rule(found: Import, source: str, value: Any) -> None:
        found.put(source, target, _moved(value, found.up))

    return rule


def _moved(value: Any, up: str) -> Any:
    if not isinstance(value, str) or _unfit(value) or value.startswith(("/", "~")):
        return value
    return posixpath.normpath(posixpath.join(up, value)) + ("/" if value.endswith("/") else "")


def _volume(found: Import, source: str, value: Any) -> None:
    if not isinstance(value, Mapping) or _unfit(value.get("mount_point")):
        found.leave(source, "it does not say where to mount the volume, volumes[].mount_point")
        return
    used = {one["name"] for one in found.profile.get("volumes", [])}
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", posixpath.basename(f"{value['mount_point']}".rstrip("/"))).strip("-._")[:80]
    names = (name for name in (stem or "data", *(f"{stem or 'data'}-disk{count}" for count in range(2, 10_000))))
    index = found.item("volumes", {"name": next(name for name in names if name not in used)})
    rules = {name: _to_item("volumes", index, name) for name in ("volume_id", "device", "mount_point")}
    _fields(found, value, rules, source)


def _to_item(section: str, index: int, name: str) -> Rule:
    return lambda found, source, value: found.put(source, (section, index, name), value)


def _channel(found: Import, source: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        found.leave(source, f"{show(value)} is not a mapping of fields to values")
        return
    needed = [name for name in ("direction", "local_path", "remote_path") if _unfit(value.get(name))]
    if needed:
        found.leave(source, f"a channel needs {', '.join(needed)}")
        return
    index = found.item("channels", {})
    given = dict(value)
    if given["direction"] == "out":  # ours start from the profile's file; those that come in from where one types
        given["local_path"] = _moved(given["local_path"], found.up)
    if isinstance(given["remote_path"], str) and not given["remote_path"].startswith(("/", "~")):
        given["remote_path"] = f"~/{given['remote_path']}"
    names = ("direction", "local_path", "remote_path", "recursive", "delay")
    _fields(found, given, {name: _to_item("channels", index, name) for name in names}, source)


_PORTAL_GUN: dict[str, Rule] = {
    "spot_instance": _inside(
        {
            "instance_type": _to("capacity", "instance_types", listed=True),
            "image_id": _to("image", "id"),
            "key_pair_name": _to("access", "key_name"),
            "identity_file": _local("access", "private_key_file"),
            "security_group_id": _to("access", "security_group_ids", listed=True),
            "availability_zone": _to("capacity", "zones", listed=True),
            "subnet_id": _to("capacity", "subnet_ids", listed=True),
            "ebs_optimized": _left(GONE["ebs_optimized"]),
            "remote_group": _to("access", "remote_group"),
            "remote_user": _to("access", "remote_user"),
            "python_virtual_env": _to("runtime", "python_virtual_env"),
            "extra_python_packages": _to("runtime", "extra_python_packages", listed=True),
        }
    ),
    "spot_fleet": _inside({"iam_fleet_role": _to("capacity", "iam_fleet_role")}),
    "persistent_volumes": _each(_volume),
    "channels": _each(_channel),
}


def _portal_gun(found: Import, data: Any) -> None:
    _fields(found, data, _PORTAL_GUN)
    if found.profile.get("channels"):
        found.remarks.append(
            "Portal Gun 0.2.0 took sub-directories whatever recursive said, and deleted at the destination what the "
            "source did not have; here recursive and delete of the channel say so."
        )


def _groups(found: Import, source: str, value: Any) -> None:
    for index, one in enumerate(value if isinstance(value, (list, tuple)) else [value]):
        at = f"{source}[{index}]" if isinstance(value, (list, tuple)) else source
        group = one.get("GroupId") if isinstance(one, Mapping) else one
        if isinstance(group, str) and group.startswith("sg-"):
            found.put(at, ("access", "security_group_ids"), [group])
        else:
            found.leave(at, "it is a name; write the id of the group, sg-…, to access.security_group_ids")
    if value in ([], ()):
        found.leave(source, "it is empty")


def _disk(found: Import, source: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not isinstance(value.get("Ebs"), Mapping):
        found.leave(source, "only EBS disks can be asked for; disks of the instance are there anyway")
        return
    if value.get("DeviceName") not in ROOT_DEVICES:
        size = show(value["Ebs"].get("VolumeSize"))
        found.leave(source, f"write it to volumes with a name, mount_point and size: {size}")
        return
    _fields(found, value, _SYSTEM_DISK, source)


def _tag(found: Import, source: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not isinstance(value.get("Key"), str):
        found.leave(source, "it is no tag")
        return
    if not re.fullmatch(SCHEMA["tags"].pattern, value["Key"]):
        found.leave(source, f"the tag {show(value['Key'])} is not yours to set here")
        return
    found.put(source, ("tags", value["Key"]), value.get("Value"))


_SYSTEM_DISK: dict[str, Rule] = {
    "DeviceName": _left("the image says it"),
    "Ebs": _inside(
        {
            "VolumeSize": _number_to("image", "root_volume_size", whole=True),
            "VolumeType": _to("image", "root_volume_type"),
            "DeleteOnTermination": _left("the system disk always ends with its instance; what stays goes to volumes"),
            "SnapshotId": _left("the image says it"),
            "Encrypted": _left("the system disk is encrypted as the image and your account say"),
            "KmsKeyId": _left("the system disk is encrypted as the image and your account say"),
            "Iops": _left("the system disk has those of its type; a fast one goes to volumes"),
            "Throughput": _left("the system disk has that of its type; a fast one goes to volumes"),
        }
    ),
    "NoDevice": _left("the image says it"),
    "VirtualName": _left("the image says it"),
}
_NETWORK: dict[str, Rule] = {
    "SubnetId": _to("capacity", "subnet_ids", listed=True),
    "Groups": _groups,
    "DeviceIndex": _left("the first one is the only one"),
    "AssociatePublicIpAddress": _left("the subnet says it; access.address chooses the address to log in at"),
    "DeleteOnTermination": _left("a network interface always ends with its instance"),
}
_ABOUT = "it tells of that request, not of what to launch"
_RECOVERY = "use recovery: what AWS takes is asked for again, by recovery.mode"
_LAUNCH: dict[str, Rule] = {
    "ImageId": _to("image", "id"),
    "InstanceType": _to("capacity", "instance_types", listed=True),
    "KeyName": _key_name,
    "SecurityGroups": _groups,
    "SecurityGroupIds": _groups,
    "SubnetId": _to("capacity", "subnet_ids", listed=True),
    "Placement": _inside(
        {
            "AvailabilityZone": _to("capacity", "zones", listed=True),
            "GroupName": _left("placement groups are not used"),
            "Tenancy": _left("Spot capacity has the default tenancy"),
        }
    ),
    "IamInstanceProfile": _inside(
        {"Arn": _to("access", "instance_profile"), "Name": _to("access", "instance_profile")}
    ),
    "BlockDeviceMappings": _each(_disk),
    "NetworkInterfaces": _each(_inside(_NETWORK)),
    "EbsOptimized": _left(GONE["ebs_optimized"]),
    "Monitoring": _left(GONE["monitoring"]),
    "UserData": _left("what runs on the instance is job.command; its text is not shown, as it may hold secrets"),
    "AddressingType": _left("it is of networks before VPC"),
    "KernelId": _left("the image says it"),
    "RamdiskId": _left("the image says it"),
}
_REQUEST: dict[str, Rule] = {
    **_LAUNCH,
    "LaunchSpecification": _inside(_LAUNCH),
    "SpotPrice": _number_to("capacity", "max_price"),
    "InstanceCount": _number_to("capacity", "count", whole=True),
    "Type": _left(_RECOVERY),
    "InstanceInterruptionBehavior": _to("capacity", "interruption_behavior"),
    "Tags": _each(_tag),
    "TagSpecifications": _left("use tags"),
    "BlockDurationMinutes": _left("AWS no longer sells Spot blocks"),
    "ActualBlockHourlyPrice": _left("AWS no longer sells Spot blocks"),
    "LaunchGroup": _left("all instances of an experiment are asked for together anyway"),
    "AvailabilityZoneGroup": _left("use capacity.zones"),
    "ValidFrom": _left("a launch begins when you type it"),
    "ValidUntil": _left("use capacity.wait for how long to ask, recovery.deadline and capacity.time_limit"),
    **dict.fromkeys(
        (
            *("CreateTime", "Fault", "InstanceId", "LaunchedAvailabilityZone", "ProductDescription"),
            *("SpotInstanceRequestId", "State", "Status", "ClientToken", "DryRun"),
        ),
        _left(_ABOUT),
    ),
}


def _launch_specification(found: Import, data: Any) -> None:
    requests = data.get("SpotInstanceRequests") if isinstance(data, Mapping) else data
    if isinstance(requests, list):
        if len(requests) != 1:
            raise ImportFailed(f"it holds {len(requests)} Spot requests; keep one of them")
        _fields(found, requests[0], _REQUEST)
        return
    _fields(found, data, _REQUEST)


def _firewall(found: Import, source: str, value: Any) -> None:
    several = isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple))
    for index, one in enumerate(value if several else [value]):
        _opening(found, f"{source}[{index}]" if several else source, one)


def _opening(found: Import, source: str, value: Any) -> None:
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        found.leave(source, "it is not (protocol, from port, to port, addresses)")
        return
    protocol, first, last, addresses = value
    if (protocol, f"{first}", f"{last}") != ("tcp", "22", "22"):
        why = "only ssh is opened; reach other ports through it, or name a group in access.security_group_ids"
        found.leave(source, why)
        return
    if addresses == "0.0.0.0/0":
        why = "it lets the whole Internet knock; only your own address may log in, access.ssh_cidr auto"
        found.leave(source, why)
        return
    found.put(source, ("access", "ssh_cidr"), addresses)


def _efs(found: Import, source: str, value: Any) -> None:
    if value is True or value in ("True", "true"):
        index = found.item("file_systems", {"name": found.name})
        found.put(source, ("file_systems", index, "mount_point"), "/home/ec2-user/efs")
        found.remarks.append(
            f"The file system is the one of the creation token {found.name}; with another name of the instance (-n) or "
            "file system (-f) until now, change file_systems[0].name."
        )
    else:
        found.leave(source, "no file system is mounted without file_systems")


_SPOT_CONNECT: dict[str, Rule] = {
    "firewall_ingress": _firewall,
    "image_id": _to("image", "id"),
    "instance_type": _to("capacity", "instance_types", listed=True),
    "price": _number_to("capacity", "max_price"),
    "min_price": _left("it is what somebody read once; a launch asks for the prices of now"),
    "region": _to("region"),
    "scripts": _left("a job runs in a container: job.image and job.command; a channel sends the script"),
    "username": _to("access", "remote_user"),
    "efs_mount": _efs,
}


def _spot_connect(found: Import, data: Any) -> None:
    if _several(data):
        names = [f"{name}" for name in data]
        if found.name not in names and len(names) > 1:
            raise ImportFailed(f"it holds several profiles; name yours like one of them: {show(', '.join(names), 400)}")
        data = data[found.name] if found.name in data else next(iter(data.values()))
    _fields(found, data, _SPOT_CONNECT)
    user = found.profile.get("access", {}).get("remote_user")
    for one in found.profile.get("file_systems", []) if isinstance(user, str) else []:
        one["mount_point"] = "/root/efs" if user == "root" else f"/home/{user}/efs"


_STACK_CONFIG: dict[str, Rule] = {
    "KeyName": _key_name,
    "InstanceType": _to("capacity", "instance_types", listed=True),
    "SSHLocation": _to("access", "ssh_cidr"),
    "Timeout": _number_to("capacity", "time_limit", factor=60, whole=True),
}


def _stack_config(found: Import, data: Any) -> None:
    if isinstance(data, Mapping) and set(data) == {"Parameters"}:
        data = data["Parameters"]
    for index, one in enumerate(data if isinstance(data, list) else []):
        if isinstance(one, Mapping) and isinstance(one.get("ParameterKey"), str):
            _fields(found, {one["ParameterKey"]: one.get("ParameterValue")}, _STACK_CONFIG)
            more = {name: value for name, value in one.items() if name not in ("ParameterKey", "ParameterValue")}
            _fields(found, more, {}, f"[{index}]") if more else None
        else:
            found.leave(f"[{index}]", "it has no ParameterKey")
    if not isinstance(data, list):
        _fields(found, data, _STACK_CONFIG)
    found.remarks.append("The stack's notebook server and its bucket do not come with the parameters: job and results.")


_CONVERTERS: dict[str, Callable[[Import, Any], None]] = {
    "portal_gun": _portal_gun,
    "launch_specification": _launch_specification,
    "spot_connect": _spot_connect,
    "stack_config": _stack_config,
}


def _finish(found: Import) -> None:
    """The region of the zones, and a word on images, which hold for one region only."""
    zones = found.profile.get("capacity", {}).get("zones")
    zone = zones[0] if zones and isinstance(zones, list) and isinstance(zones[0], str) else ""
    region = re.match(r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}(?=[a-z-])", zone)
    if region and "region" not in found.profile:
        found.profile["region"] = region[0]
        found.remarks.append(f"The region {region[0]} is that of the zone.")
    elif "id" in found.profile.get("image", {}) and "region" not in found.profile:
        found.remarks.append("An image.id holds for one region only: set region, if it is not the one you have anyway.")
