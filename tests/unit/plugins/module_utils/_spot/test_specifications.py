"""Launch specifications as users have them."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import specifications

TAGS = {"spot:experiment": "lab"}
INSTANCE_TAGS = [{"ResourceType": "instance", "Tags": [{"Key": "spot:experiment", "Value": "lab"}]}]
MINIMAL = {"ImageId": "ami-1", "InstanceType": "g5.xlarge"}
PORTAL_GUN = {
    "instance_type": "g5.xlarge",
    "image_id": "ami-1",
    "key_pair_name": "key",
    "identity_file": "~/.ssh/key.pem",
    "security_group_id": "sg-1",
    "availability_zone": "us-east-1a",
    "ebs_optimized": True,
    "remote_group": "ubuntu",
    "remote_user": "ubuntu",
    "python_virtual_env": "",
    "extra_python_packages": ["scipy"],
}


def problems(**more: Any) -> list[str]:
    return specifications.problems("x", specifications.normal({**MINIMAL, **more}, TAGS))


def test_portal_gun() -> None:
    given = copy.deepcopy(PORTAL_GUN)
    found = specifications.normal(given, TAGS)
    assert found == {
        "InstanceType": "g5.xlarge",
        "ImageId": "ami-1",
        "KeyName": "key",
        "SecurityGroups": [{"GroupId": "sg-1"}],
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "EbsOptimized": True,
        "TagSpecifications": INSTANCE_TAGS,
    }
    assert given == PORTAL_GUN
    assert specifications.problems("x", found) == []


def test_subnet_of_portal_gun_decides_the_zone() -> None:
    found = specifications.normal({**PORTAL_GUN, "subnet_id": "subnet-1"}, TAGS)
    assert found["SubnetId"] == "subnet-1"
    assert "Placement" not in found


def test_what_aws_answers() -> None:
    answer = {
        "ImageId": "ami-1",
        "InstanceType": "p2.xlarge",
        "KernelId": None,
        "AddressingType": "public",
        "SecurityGroups": [{"GroupName": "mine", "GroupId": "sg-1"}],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-1", "Encrypted": False, "VolumeSize": 80}},
            {"DeviceName": "/dev/sdb", "Ebs": {"Encrypted": True, "VolumeSize": 8}},
        ],
        "Placement": {"AvailabilityZone": "eu-west-1a", "GroupName": None},
        "SubnetId": "subnet-1",
    }
    assert specifications.normal(answer, {}) == {
        "ImageId": "ami-1",
        "InstanceType": "p2.xlarge",
        "SecurityGroups": [{"GroupId": "sg-1"}],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-1", "VolumeSize": 80}},
            {"DeviceName": "/dev/sdb", "Ebs": {"Encrypted": True, "VolumeSize": 8}},
        ],
        "Placement": {"AvailabilityZone": "eu-west-1a"},
        "SubnetId": "subnet-1",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": []}],
    }


def test_snake_case_at_every_depth_and_group_ids() -> None:
    given = {
        "image_id": "ami-1",
        "instance_type": "g5.xlarge",
        "security_group_ids": ["sg-1", "sg-2"],
        "block_device_mappings": [{"device_name": "/dev/xvda", "ebs": {"volume_size": 8, "volume_type": "gp3"}}],
        "iam_instance_profile": {"name": "p"},
        "spot_price": 0.5,
        "weighted_capacity": 2,
    }
    found = specifications.normal(given, {})
    assert found["BlockDeviceMappings"] == [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}]
    assert found["SecurityGroups"] == [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}]
    assert (found["IamInstanceProfile"], found["SpotPrice"]) == ({"Name": "p"}, "0.5")


def test_tags_of_the_module_are_stronger() -> None:
    own = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "spot:experiment", "Value": "x"}]}]
    (found,) = specifications.normal({**MINIMAL, "TagSpecifications": own}, TAGS)["TagSpecifications"]
    assert found["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "spot:experiment", "Value": "lab"}]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho ü\n", "#cloud-config\n{}", "Content-Type: multipart/mixed"])
def test_scripts_are_encoded(script: str) -> None:
    found = specifications.normal({**MINIMAL, "user_data": script}, {})["UserData"]
    assert base64.b64decode(found).decode() == script
    assert specifications.encoded(found) == found
    assert problems(user_data=script) == []


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"ImageId": None}, "ImageId (image_id) is missing"),
        ({"InstanceType": None}, "exactly one of InstanceType"),
        ({"InstanceRequirements": {"VCpuCount": {"Min": 1}}}, "exactly one of InstanceType"),
        ({"InstanceType": "g5"}, "'g5' is not an instance type"),
        ({"SecurityGroups": [{"GroupName": "mine"}]}, "give the id of a group"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-1"}, "belong into it"),
        ({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]}, "no existing NetworkInterfaceId"),
        ({"NetworkInterfaces": [{"InterfaceType": "efa"}]}, "EFA needs a launch template"),
        ({"Placement": {"Tenancy": "host"}}, "no dedicated hosts"),
        ({"UserData": "echo hello"}, "neither base64 nor a script"),
        ({"UserData": "#!" + "x" * 16384}, "16386 bytes, AWS takes 16384"),
    ],
)
def test_problems(more: dict[str, Any], part: str) -> None:
    (line,) = problems(**more)
    assert line.startswith("x: ") and part in line


@pytest.mark.parametrize(
    "more",
    [
        {"SecurityGroups": "sg-1"},
        {"SecurityGroups": ["sg-1"]},
        {"security_group_ids": "sg-1"},
        {"Placement": "us-east-1a", "availability_zone": "us-east-1a"},
        {"BlockDeviceMappings": {"DeviceName": "x"}},
        {"NetworkInterfaces": "eni-1"},
        {"TagSpecifications": "x"},
        {"UserData": 5},
        {"Placement": None, "": 1},
    ],
)
def test_wrong_shapes_do_not_raise(more: dict[str, Any]) -> None:
    problems(**more)
