"""Tags are the proof that nothing is left, so they must tell the truth."""

from __future__ import annotations

from typing import Any


def specification(*kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": k, "Tags": [{"Key": "spot:experiment", "Value": "e"}]} for k in kinds]


def left(ec2: Any) -> dict[str, str]:
    """Resource type -> id of all that carries the tag."""
    found = ec2.describe_tags(Filters=[{"Name": "tag:spot:experiment", "Values": ["e"]}])["Tags"]
    return {t["ResourceType"]: t["ResourceId"] for t in found}


def test_every_kind_of_resource(ec2: Any, fleet: Any, app: Any, machines: Any) -> None:
    ec2.create_key_pair(KeyName="k", KeyType="ed25519", TagSpecifications=specification("key-pair"))
    ec2.create_security_group(GroupName="g", Description="g", TagSpecifications=specification("security-group"))
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=specification("volume"))[
        "VolumeId"
    ]
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=specification("snapshot"))["SnapshotId"]
    made = fleet(zones="a", TagSpecifications=specification("fleet", "instance"))
    template = ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    ec2.create_tags(Resources=[template], Tags=[{"Key": "spot:experiment", "Value": "e"}])
    assert sorted(left(ec2)) == [
        "fleet", "instance", "key-pair", "launch-template", "security-group", "snapshot", "volume",
    ]  # fmt: skip
    ec2.delete_key_pair(KeyName="k")
    ec2.delete_security_group(GroupName="g")
    ec2.delete_snapshot(SnapshotId=snapshot)
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_launch_template(LaunchTemplateId=template)
    ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
    # AWS goes on describing both for a while; their states tell that they are over
    assert sorted(left(ec2)) == ["fleet", "instance"]


def test_filters(ec2: Any, run: Any) -> None:
    one = run()["InstanceId"]
    ec2.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])

    def keys(**wanted: str) -> list[str]:
        filters = [{"Name": k.replace("_", "-"), "Values": [v]} for k, v in wanted.items()]
        return [t["Key"] for t in ec2.describe_tags(Filters=filters)["Tags"]]

    assert keys(resource_id=one) == ["a", "b"]
    assert keys(resource_type="instance", key="a") == ["a"]
    assert keys(value="2") == ["b"]
    assert keys(resource_type="volume") == []


def test_delete_tags(ec2: Any, run: Any) -> None:
    one = run()["InstanceId"]
    ec2.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ec2.delete_tags(Resources=[one], Tags=[{"Key": "a"}, {"Key": "b", "Value": "other"}])
    assert [t["Key"] for t in ec2.describe_tags()["Tags"]] == ["b"]
