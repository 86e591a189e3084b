"""An instance for tests."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from lab.aws.machines import InstanceView

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


def view(**changes: Any) -> InstanceView:
    """A running Spot Instance with a key pair; keyword arguments change it."""
    values: dict[str, Any] = {
        "instance_id": "i-0123456789abcdef0",
        "state": "running",
        "image_id": "ami-0abc",
        "instance_type": "t3.medium",
        "architecture": "x86_64",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "zone_id": "use1-az1",
        "subnet_id": "subnet-1",
        "subnet_cidr": "172.31.0.0/20",
        "vpc_id": "vpc-1",
        "vpc_cidr": "172.31.0.0/16",
        "private_ip": "172.31.0.4",
        "public_ip": "198.18.0.1",
        "private_dns_name": "ip-172-31-0-4.ec2.internal",
        "public_dns_name": "ec2-198-18-0-1.compute-1.amazonaws.com",
        "mac_address": "02:00:00:00:00:01",
        "network_interface_id": "eni-1",
        "reservation_id": "r-1",
        "account_id": "123456789012",
        "launch_index": 0,
        "launch_time": NOW,
        "lifecycle": "spot",
        "spot_request_id": "sir-1",
        "fleet_id": "",
        "key_name": "spot-demo",
        "public_key": "ssh-ed25519 AAAA demo",
        "user_data": b"",
        "shutdown_behavior": "terminate",
        "instance_profile_arn": "",
        "instance_profile_id": "",
        "role_name": "",
        "root_device_name": "/dev/xvda",
        "root_volume_id": "vol-root",
        "root_volume_gib": 8,
        "security_group_ids": ("sg-1",),
        "security_group_names": ("spot-demo",),
    }
    return InstanceView(**{**values, **changes})
