"""The data mover: bucket, file system, volume and back into the bucket, each by an instance that ends itself."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

BUCKET = "spot-mover-tests"
BASE = """
extends: datasync
region: us-east-1
capacity: {instance_types: [t3.medium]}
image: {ssm_parameter: /aws/service/debian/release/12/latest/amd64, root_volume_size: 8}
access: {remote_user: admin, instance_profile: spot-mover}
job: {image: "registry.lab:5000/experiments/python:1"}
"""


@pytest.fixture(scope="module")
def bucket(user: User) -> Any:
    iam = user.client("iam")
    iam.create_role(RoleName="spot-mover", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    iam.create_instance_profile(InstanceProfileName="spot-mover")
    iam.add_role_to_instance_profile(InstanceProfileName="spot-mover", RoleName="spot-mover")
    s3 = user.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for number in range(30):
        s3.put_object(Bucket=BUCKET, Key=f"in/{number % 3}/file {number}", Body=f"{number}".encode() * number)
    (user.folder / "profiles/carrier.yml").write_text(BASE)
    return s3


def move(user: User, source: str, target: str, *args: str) -> str:
    return user.play("mover", "-e", "profile=carrier", "-e", f"source={source}", "-e", f"target={target}", *args)


def objects(s3: Any, prefix: str) -> dict[str, bytes]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {one["Key"][len(prefix) :]: s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in found}


def running(user: User) -> list[str]:
    pages = user.client().describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )["Reservations"]
    return [one["InstanceId"] for page in pages for one in page["Instances"]]


def test_by_way_of_a_file_system_and_a_volume_back_into_the_bucket(user: User, bucket: Any) -> None:
    user.play("volumes", "-e", "do=create", "-e", "volume=kept", "-e", "size=1", "-e", "zone=us-east-1c")
    before = user.changing_calls()
    text = move(user, f"s3://{BUCKET}/in", "efs:carried/deep", "--check")
    assert "File system carried: new" in text and user.changing_calls() == before
    for source, target in (
        (f"s3://{BUCKET}/in", "efs:carried/deep"),
        ("efs:carried", "ebs:kept/here"),
        ("ebs:kept/here", f"s3://{BUCKET}/out"),
    ):
        assert "copied 30 files" in move(user, source, target)
        assert running(user) == []
    assert objects(bucket, "out/deep/") == objects(bucket, "in/")
    (volume,) = user.client().describe_volumes(Filters=[{"Name": "tag:spot:volume", "Values": ["kept"]}])["Volumes"]
    assert (volume["State"], volume["AvailabilityZone"]) == ("available", "us-east-1c")
    user.play("volumes", "-e", "do=delete", "-e", "volume=kept")
