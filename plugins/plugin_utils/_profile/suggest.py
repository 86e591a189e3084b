# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was meant: the nearest key or value for a typo, and today's key for the name of an older tool."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from .schema import Key, walk

_GONE_DEVICE = "remove it; every current type is optimised for EBS by default"

# Name in older tools' files (their own case) -> key of today, or what to do when there is none.
# Sources: the profile formats that users come from, LaunchSpecification of EC2 RequestSpotInstances among them.
REPLACED: dict[str, str] = {
    "image_id": "image.id",
    "imageid": "image.id",
    "ami": "image.id",
    "ami_id": "image.id",
    "instance_type": "capacity.instance_types",
    "instancetype": "capacity.instance_types",
    "availability_zone": "capacity.zones",
    "availabilityzone": "capacity.zones",
    "subnet_id": "capacity.subnet_ids",
    "subnetid": "capacity.subnet_ids",
    "iamfleetrole": "capacity.iam_fleet_role",
    "price": "capacity.max_price",
    "bid_price": "capacity.max_price",
    "bidprice": "capacity.max_price",
    "spot_price": "capacity.max_price",
    "spotprice": "capacity.max_price",
    "target_capacity": "capacity.count",
    "targetcapacity": "capacity.count",
    "instance_count": "capacity.count",
    "instancecount": "capacity.count",
    "key_pair_name": "access.key_name",
    "key_pair": "access.key_name",
    "keyname": "access.key_name",
    "identity_file": "access.private_key_file",
    "security_group_id": "access.security_group_ids",
    "security_groups": "access.security_group_ids",
    "securitygroups": "access.security_group_ids",
    "securitygroupids": "access.security_group_ids",
    "firewall_ingress": "access.ssh_cidr",
    "username": "access.remote_user",
    "user_name": "access.remote_user",
    "iaminstanceprofile": "access.instance_profile",
    "iam_instance_profile": "access.instance_profile",
    "persistent_volumes": "volumes",
    "blockdevicemappings": "image.root_volume_size",
    "mount_dir": "volumes[].mount_point",
    "mountdir": "volumes[].mount_point",
    "scripts": "job.scripts",
    "python_virtual_env": "runtime.python_virtual_env",
    "extra_python_packages": "runtime.extra_python_packages",
    "git": "code.repository",
    "branch": "code.version",
    "docker_image": "job.image",
}
GONE: dict[str, str] = {
    "spot_instance": "its keys now stand in capacity, image and access",
    "launchspecification": "its keys now stand in capacity, image and access",
    "placement": "use capacity.zones",
    "spot_fleet": "its iam_fleet_role is capacity.iam_fleet_role now",
    "ebs_optimized": _GONE_DEVICE,
    "ebsoptimized": _GONE_DEVICE,
    "monitoring": "remove it; the basic monitoring of EC2 is always on",
    "efs_mount": "use file_systems, whose name is the creation token",
    "userdata": "remove it; what runs on the instance is job.command",
    "user_data": "remove it; what runs on the instance is job.command",
    "block_duration_minutes": "remove it; AWS no longer sells Spot blocks",
    "blockdurationminutes": "remove it; AWS no longer sells Spot blocks",
}


def replacement(name: str) -> tuple[str | None, str | None]:
    """Today's key for the name of an older tool, or what to do when there is none.

    Returns:
        (key, None), (None, sentence) or (None, None) for a name that no older tool uses.
    """
    folded = name.lower().replace("-", "_")
    return REPLACED.get(folded), GONE.get(folded)


def nearest_key(name: str, keys: Mapping[str, Key], path: str) -> str | None:
    """The valid key that an unknown one most likely means, as a dotted path.

    Args:
        name: The unknown key.
        keys: The keys that are valid where it stands.
        path: Dotted path of that place, "" at the top.
    """
    here = {key: f"{path}.{key}" if path else key for key in keys}
    everywhere = dict(walk())
    leaf = _snake(name)
    if leaf in here:
        return here[leaf]
    elsewhere = [full for full in everywhere if full == leaf or full.endswith(f".{leaf}")]
    if elsewhere:
        return elsewhere[0]
    close = nearest(leaf, here)
    if close:
        return here[close]
    leaves = {full.rpartition(".")[2]: full for full in everywhere}
    close = nearest(leaf, leaves, 0.75)
    return leaves[close] if close else None


def nearest(given: str, allowed: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The allowed text most like the one given."""
    found = difflib.get_close_matches(given, list(allowed), n=1, cutoff=cutoff)
    return found[0] if found else None


def _snake(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\s-]+", "_", words.strip()).lower()
