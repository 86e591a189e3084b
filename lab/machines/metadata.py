"""The instance metadata tree as data.

Source: EC2 User Guide "Instance metadata categories". Without a notice its paths answer 404.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from lab.aws.machines import InstanceView, Notices

VERSIONS = ("1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2019-10-01", "2020-10-27", "2021-03-23", "latest")
Node = Any  # a dict is a directory, str or bytes a file


class Labelled(dict[str, Node]):
    """A directory whose listing says `key=label` (public-keys)."""

    def __init__(self, items: dict[str, Node], labels: dict[str, str]) -> None:
        super().__init__(items)
        self.labels = labels


def stamp(moment: datetime) -> str:
    """A time as the metadata service writes it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def tree(view: InstanceView, notices: Notices, now: datetime) -> dict[str, Node]:
    """All that one version shows: `meta-data`, `dynamic` and, where there is some, `user-data`."""
    top: dict[str, Node] = {
        "dynamic": {"instance-identity": {"document": json.dumps(identity(view), indent=2)}},
        "meta-data": meta_data(view, notices, now),
    }
    if view.user_data:
        top["user-data"] = view.user_data
    return top


def meta_data(view: InstanceView, notices: Notices, now: datetime) -> dict[str, Node]:
    """The directory `meta-data`; keys without a value are left out, as in EC2."""
    found: dict[str, Node] = {
        "ami-id": view.image_id,
        "ami-launch-index": str(view.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": block_devices(view),
        "hostname": view.private_dns_name,
        "instance-action": "none",
        "instance-id": view.instance_id,
        "instance-life-cycle": view.lifecycle,
        "instance-type": view.instance_type,
        "local-hostname": view.private_dns_name,
        "local-ipv4": view.private_ip,
        "mac": view.mac_address,
        "network": {"interfaces": {"macs": {view.mac_address: interface(view)}}},
        "placement": {
            "availability-zone": view.zone,
            "availability-zone-id": view.zone_id,
            "region": view.region,
        },
        "profile": "default-hvm",
        "public-hostname": view.public_dns_name,
        "public-ipv4": view.public_ip,
        "reservation-id": view.reservation_id,
        "security-groups": "\n".join(view.security_group_names),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        "public-keys": public_keys(view),
        "tags": tags(view),
        "iam": iam(view, now),
        "spot": spot(view, notices),
        "events": events(notices),
    }
    return {key: node for key, node in found.items() if node != "" and node is not None}


def interface(view: InstanceView) -> dict[str, Node]:
    """One network interface."""
    found = {
        "device-number": "0",
        "interface-id": view.network_interface_id,
        "local-hostname": view.private_dns_name,
        "local-ipv4s": view.private_ip,
        "mac": view.mac_address,
        "owner-id": view.account_id,
        "public-hostname": view.public_dns_name,
        "public-ipv4s": view.public_ip,
        "security-group-ids": "\n".join(view.security_group_ids),
        "security-groups": "\n".join(view.security_group_names),
        "subnet-id": view.subnet_id,
        "subnet-ipv4-cidr-block": view.subnet_cidr,
        "vpc-id": view.vpc_id,
        "vpc-ipv4-cidr-block": view.vpc_cidr,
        "vpc-ipv4-cidr-blocks": view.vpc_cidr,
    }
    return {key: value for key, value in found.items() if value}


def block_devices(view: InstanceView) -> dict[str, str]:
    """Names given at launch; volumes attached later are not listed by EC2 either."""
    return {"ami": view.root_device_name, "root": view.root_device_name}


def public_keys(view: InstanceView) -> Node:
    """The key pair, listed as `0=name`."""
    if not view.public_key:
        return None
    return Labelled({"0": {"openssh-key": view.public_key.strip() + "\n"}}, {"0": view.key_name})


def tags(view: InstanceView) -> Node:
    """Tags, only where the instance's options allow it."""
    if view.metadata_options.instance_metadata_tags != "enabled":
        return None
    return {"instance": dict(view.tags)}


def iam(view: InstanceView, now: datetime) -> Node:
    """Instance profile and the credentials of its role."""
    if not view.instance_profile_arn:
        return None
    info = {
        "Code": "Success",
        "LastUpdated": stamp(now),
        "InstanceProfileArn": view.instance_profile_arn,
        "InstanceProfileId": view.instance_profile_id,
    }
    found: dict[str, Node] = {"info": json.dumps(info, indent=2)}
    if view.role_name:
        found["security-credentials"] = {view.role_name: json.dumps(credentials(view, now), indent=2)}
    return found


def credentials(view: InstanceView, now: datetime) -> dict[str, str]:
    """Temporary credentials in the service's shape; dummies that belong to this instance."""
    return {
        "Code": "Success",
        "LastUpdated": stamp(now),
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIA" + view.instance_id[-16:].upper(),
        "SecretAccessKey": f"lab+secret/key+of/role+{view.instance_id}",
        "Token": f"lab-session-of-{view.instance_id}",
        "Expiration": stamp(now + timedelta(hours=6)),
    }


def spot(view: InstanceView, notices: Notices) -> Node:
    """The interruption notice of a Spot Instance; the legacy path is for terminations alone."""
    if view.lifecycle != "spot" or not notices.instance_action:
        return None
    found = {"instance-action": json.dumps(notices.instance_action)}
    if notices.instance_action.get("action") == "terminate":
        found["termination-time"] = notices.instance_action.get("time", "")
    return found


def events(notices: Notices) -> Node:
    """The rebalance recommendation; the directory exists always."""
    found: dict[str, Node] = {"maintenance": {"history": "[]", "scheduled": "[]"}}
    if notices.rebalance:
        found["recommendations"] = {"rebalance": json.dumps(notices.rebalance)}
    return found


def identity(view: InstanceView) -> dict[str, Any]:
    """The instance identity document, unsigned."""
    return {
        "accountId": view.account_id,
        "architecture": view.architecture,
        "availabilityZone": view.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": view.image_id,
        "instanceId": view.instance_id,
        "instanceType": view.instance_type,
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": stamp(view.launch_time),
        "privateIp": view.private_ip,
        "ramdiskId": None,
        "region": view.region,
        "version": "2017-09-30",
    }


def listing(directory: dict[str, Node]) -> str:
    """A directory as the service shows it: one name a line, directories with a slash."""
    labels = getattr(directory, "labels", {})
    return "\n".join(entry(name, node, labels) for name, node in sorted(directory.items()))


def entry(name: str, node: Node, labels: dict[str, str]) -> str:
    """One line of a listing."""
    if name in labels:
        return f"{name}={labels[name]}"
    return f"{name}/" if isinstance(node, dict) else name


def lookup(path: str, top: dict[str, Node]) -> bytes | None:
    """What a GET of this path answers, None for 404. `top` is the tree below the version."""
    parts = [part for part in path.split("?", maxsplit=1)[0].split("/") if part]
    if not parts:
        return "\n".join(VERSIONS).encode()
    if parts[0] not in VERSIONS:
        return None
    node: Node = top
    for part in parts[1:]:
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    text = listing(node) if isinstance(node, dict) else node
    return text if isinstance(text, bytes) else str(text).encode()
