"""Profiles, facts and AWS resources for the tests of the experiment modules."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._experiment.facts import Facts

Resource = dict[str, Any]

VOLUME: Resource = {
    "name": "data",
    "volume_id": None,
    "size": 50,
    "type": "gp3",
    "iops": None,
    "throughput": None,
    "snapshot_id": None,
    "encrypted": True,
    "device": None,
    "mount_point": "/data",
    "fs_type": "ext4",
    "owner": "admin",
    "group": "admin",
    "mode": "0755",
    "options": "defaults,nofail",
}

PROFILE: Resource = {
    "name": "lab",
    "description": "",
    "region": "us-east-1",
    "experiment": "lab",
    "owner": "",
    "capacity": {
        "instance_types": ["t3.medium", "m5.large"],
        "count": 1,
        "market": "spot",
        "regions": [],
        "zones": [],
        "subnet_ids": [],
        "max_price": None,
        "allocation_strategy": "price-capacity-optimized",
        "interruption_behavior": "terminate",
        "wait": 300,
        "on_demand": "never",
        "on_demand_base": 0,
        "time_limit": None,
        "idle_limit": None,
        "iam_fleet_role": None,
    },
    "recovery": {
        "mode": "controller",
        "max_generations": 20,
        "deadline": None,
        "move_volumes": False,
        "rebalance": "ignore",
        "notice_period": 5,
        "webhook": None,
    },
    "image": {
        "id": "ami-1",
        "ids": {},
        "ssm_parameter": None,
        "name": None,
        "owner": None,
        "root_volume_size": None,
        "root_volume_type": "gp3",
    },
    "access": {
        "key_name": None,
        "private_key_file": None,
        "security_group_ids": [],
        "ssh_cidr": "auto",
        "remote_user": "admin",
        "remote_group": "admin",
        "address": "public",
        "port": 22,
        "instance_profile": None,
        "http_put_response_hop_limit": 1,
        "host_keys": "console",
        "wait": 300,
    },
    "volumes": [],
    "file_systems": [],
    "channels": [],
    "runtime": {"docker": True, "gpu": "auto"},
    "job": {"name": "train", "time_limit": None},
    "tags": {},
}


def merge(base: Resource, changes: Resource) -> Resource:
    """A deep copy of base with changes put in, section by section."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        merged[key] = (
            merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def profile(**changes: Any) -> Resource:
    """The normalised profile of the tests, with changes by section."""
    return merge(PROFILE, changes)


def volume_of_profile(**changes: Any) -> Resource:
    """One entry of the profile's volumes."""
    return {**VOLUME, **changes}


FILE_SYSTEM: Resource = {
    "name": "team",
    "file_system_id": None,
    "mount_point": "/team",
    "path": "/",
    "access_point": None,
    "access_point_id": None,
    "throughput_mode": "elastic",
    "provisioned_throughput": None,
    "performance_mode": "generalPurpose",
    "encrypted": True,
    "kms_key_id": None,
    "transition_to_ia": None,
    "transit_encryption": "auto",
    "owner": "admin",
    "group": "admin",
    "mode": "0755",
    "read_only": False,
    "options": "",
}


def file_system_of_profile(**changes: Any) -> Resource:
    """One entry of the profile's file systems."""
    return {**FILE_SYSTEM, **changes}


def tags(**ours: str) -> list[Resource]:
    """``Tags`` of boto3: ``tags(experiment="lab", Name="x")``; lower-case keys get the prefix ``spot:``."""
    return [{"Key": key if key[0].isupper() else f"spot:{key}", "Value": value} for key, value in ours.items()]


def instance(
    instance_id: str, state: str = "running", generation: int = 1, zone: str = "us-east-1a", **more: Any
) -> Resource:
    """An instance of the experiment ``lab``."""
    return {
        "InstanceId": instance_id,
        "State": {"Name": state},
        "InstanceType": "t3.medium",
        "Placement": {"AvailabilityZone": zone},
        "InstanceLifecycle": "spot",
        "Tags": tags(experiment="lab", generation=str(generation), profile="lab", owner="alice", job="train"),
        **more,
    }


def volume(volume_id: str, zone: str = "us-east-1a", holder: str | None = None, **more: Any) -> Resource:
    """A data volume of the experiment ``lab``, rank 0, attached to ``holder`` when given."""
    return {
        "VolumeId": volume_id,
        "Size": 50,
        "VolumeType": "gp3",
        "AvailabilityZone": zone,
        "State": "in-use" if holder else "available",
        "Attachments": [{"InstanceId": holder, "State": "attached", "DeleteOnTermination": False}] if holder else [],
        "Tags": tags(experiment="lab", generation="1", volume="data", rank="0", Name="data"),
        **more,
    }


def subnet(letter: str, free: int = 4000, **more: Any) -> Resource:
    """The default subnet of a zone."""
    return {
        "SubnetId": f"subnet-{letter}",
        "AvailabilityZone": f"us-east-1{letter}",
        "VpcId": "vpc-1",
        "AvailableIpAddressCount": free,
        "MapPublicIpOnLaunch": True,
        **more,
    }


def type_data(name: str, vcpus: int = 2, gpus: int = 0, arch: str = "x86_64", spot: bool = True) -> Resource:
    """What DescribeInstanceTypes says of a type."""
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": vcpus},
        "MemoryInfo": {"SizeInMiB": 4096},
        "ProcessorInfo": {"SupportedArchitectures": [arch]},
        "SupportedUsageClasses": ["on-demand", "spot"] if spot else ["on-demand"],
        **({"GpuInfo": {"Gpus": [{"Count": gpus}]}} if gpus else {}),
    }


IMAGE: Resource = {
    "ImageId": "ami-1",
    "Name": "debian-12",
    "Architecture": "x86_64",
    "RootDeviceName": "/dev/xvda",
    "State": "available",
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}],
}


def facts(**changes: Any) -> Facts:
    """A region in which the profile of the tests can be launched: two types in the zones a and b."""
    zones = ["us-east-1a", "us-east-1b"]
    types = ["t3.medium", "m5.large"]
    values: Resource = {
        "region": "us-east-1",
        "account": "123456789012",
        "arn": "arn:aws:iam::123456789012:user/alice",
        "image": IMAGE,
        "types": [type_data(name) for name in types],
        "offered": [(name, zone) for name in types for zone in zones],
        "zones": zones,
        "subnets": [subnet("a"), subnet("b")],
        "spot_prices": {
            ("t3.medium", "us-east-1a"): 0.0125,
            ("t3.medium", "us-east-1b"): 0.0119,
            ("m5.large", "us-east-1a"): 0.03,
            ("m5.large", "us-east-1b"): 0.05,
        },
        "on_demand": {"t3.medium": 0.0416, "m5.large": 0.096},
        **changes,
    }
    return Facts(**values)
