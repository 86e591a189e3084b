# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Launch specifications of a Spot Fleet request, from what users have to what AWS takes: pure functions.

Note that this module util is private to the collection and may change at any time.

Users come with the JSON of the AWS CLI, with what DescribeSpotInstanceRequests or DescribeSpotFleetRequests answers, or
with the instance of a Portal Gun specification. Their words differ a little.

Source: EC2 API SpotFleetLaunchSpecification, and LaunchSpecification for the output of AWS.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from .prices import INSTANCE_TYPE

Resource = dict[str, Any]

# Source: EC2 API SpotFleetLaunchSpecification; user data has at most 16 KiB before base64.
USER_DATA_BYTES = 16384
# How user data begins that are not base64 yet. Source: cloud-init, "User-data formats"; none of it is base64.
PLAIN_STARTS = ("#", "Content-Type:", "MIME-Version:", "<powershell>", "<script>")
# Words of Portal Gun, and of the request for a single Spot Instance -> of a Spot Fleet.
RENAMED = {"key_pair_name": "KeyName"}
# What Portal Gun says about the login on the machine, which AWS does not need to know.
FOR_THE_LOGIN = frozenset(
    {"identity_file", "remote_group", "remote_user", "python_virtual_env", "extra_python_packages"}
)
# What AWS answers but no longer takes.
OUTPUT_ONLY = frozenset({"AddressingType"})


def normal(raw: Mapping[str, Any], tags: Mapping[str, str]) -> Resource:
    """One launch specification as RequestSpotFleet takes it; the argument is not changed.

    Args:
        raw: what the user gave, with the keys of AWS (``ImageId``) or in snake case (``image_id``).
        tags: tags that the instances get.
    """
    found = _without_nulls(_camel({key: value for key, value in raw.items() if key not in FOR_THE_LOGIN}))
    for name in OUTPUT_ONLY:
        found.pop(name, None)
    _groups(found)
    _zone(found)
    for mapping in _dicts(found.get("BlockDeviceMappings")):
        # "You can't specify both a snapshot ID and an encryption value."
        ebs = mapping.get("Ebs")
        if isinstance(ebs, dict) and ebs.get("SnapshotId"):
            ebs.pop("Encrypted", None)
    for name in ("SpotPrice", "UserData"):
        if name in found:
            found[name] = _price(found[name]) if name == "SpotPrice" else encoded(found[name])
    found["TagSpecifications"] = [{"ResourceType": "instance", "Tags": _tags(found.get("TagSpecifications"), tags)}]
    return found


def problems(place: str, found: Mapping[str, Any]) -> list[str]:
    """What is wrong with a launch specification that ``normal`` made, a line each; shapes are checked elsewhere."""
    lines = [] if found.get("ImageId") else ["ImageId (image_id) is missing"]
    kind = found.get("InstanceType")
    if bool(kind) == bool(found.get("InstanceRequirements")):
        lines.append("give exactly one of InstanceType (instance_type) and InstanceRequirements")
    elif kind and not INSTANCE_TYPE.fullmatch(str(kind)):
        lines.append(f"InstanceType: {kind!r} is not an instance type, which looks like g5.xlarge")
    lines += _network_problems(found)
    placement = found.get("Placement")
    if isinstance(placement, dict) and placement.get("Tenancy") == "host":
        lines.append("Placement.Tenancy: Spot Instances run on no dedicated hosts")
    return [f"{place}: {line}" for line in lines + _user_data_problems(found.get("UserData"))]


def _network_problems(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "SecurityGroups: give the id of a group (GroupId); names went with EC2-Classic"
        for group in _dicts(found.get("SecurityGroups"))
        if not group.get("GroupId")
    ][:1]
    cards = _dicts(found.get("NetworkInterfaces"))
    if cards and (found.get("SecurityGroups") or found.get("SubnetId")):
        lines.append("with NetworkInterfaces the security groups and the subnet belong into it (Groups, SubnetId)")
    if any(card.get("NetworkInterfaceId") for card in cards):
        lines.append("NetworkInterfaces: a Spot Fleet takes no existing NetworkInterfaceId")
    if any(str(card.get("InterfaceType", "")).startswith("efa") for card in cards):
        lines.append("NetworkInterfaces: EFA needs a launch template")
    return lines


def encoded(text: Any) -> Any:
    """User data as base64, which AWS takes; text that already is base64 stays."""
    if isinstance(text, str) and text.startswith(PLAIN_STARTS):
        return base64.b64encode(text.encode()).decode()
    return text


def _user_data_problems(text: Any) -> list[str]:
    if not isinstance(text, str):
        return []
    try:
        size = len(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError):
        return ["UserData (user_data) is neither base64 nor a script that begins with #! or #cloud-config"]
    return [] if size <= USER_DATA_BYTES else [f"UserData (user_data): {size} bytes, AWS takes {USER_DATA_BYTES}"]


def _camel(value: Any) -> Any:
    """Keys in snake case as AWS writes them, at every depth; keys of AWS stay."""
    if isinstance(value, Mapping):
        return {_camel_key(str(key)): _camel(one) for key, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list) else value


def _camel_key(key: str) -> str:
    if key in RENAMED:
        return RENAMED[key]
    return "".join(part[:1].upper() + part[1:] for part in key.split("_"))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _groups(found: Resource) -> None:
    """Security groups by id, in the one form that a Spot Fleet takes; the name that AWS answers with is left out."""
    single, several = found.pop("SecurityGroupId", None), found.pop("SecurityGroupIds", None)
    given = found.pop("SecurityGroups", None) or []
    ids = ([single] if single else []) + (several if isinstance(several, list) else [several] if several else [])
    if isinstance(given, list):
        named = [{"GroupId": one["GroupId"]} if isinstance(one, dict) and one.get("GroupId") else one for one in given]
        given = [{"GroupId": one} for one in ids] + named
    if given:
        found["SecurityGroups"] = given


def _zone(found: Resource) -> None:
    """Portal Gun names the zone beside the subnet; the subnet decides."""
    zone, placement = found.pop("AvailabilityZone", None), found.get("Placement") or {}
    if zone and not found.get("SubnetId") and isinstance(placement, dict):
        found["Placement"] = {"AvailabilityZone": zone, **placement}


def _price(price: Any) -> Any:
    """USD as AWS wants them: a plain decimal string."""
    return f"{price:.6f}".rstrip("0").rstrip(".") if isinstance(price, (int, float)) else price


def _tags(given: Any, tags: Mapping[str, str]) -> list[Resource]:
    """Tags of the instances: those of the specification and, stronger, those of the module."""
    own: dict[str, Any] = {
        str(tag.get("Key")): tag.get("Value") for one in _dicts(given) for tag in _dicts(one.get("Tags"))
    }
    own.update(tags)
    return [{"Key": key, "Value": own[key]} for key in sorted(own)]


def _dicts(value: Any) -> list[Resource]:
    """The dicts of a list; wrong shapes are told elsewhere."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
