"""EBS as the API shows it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def volume(ec2: Any) -> Any:
    def make(zone: str = "a", **changes: Any) -> str:
        args = {"AvailabilityZone": f"us-east-1{zone}", "Size": 5, "VolumeType": "gp3", **changes}
        return str(ec2.create_volume(**args)["VolumeId"])

    return make


@pytest.fixture
def placed(run: Any, subnets: dict[str, str]) -> Any:
    """An instance in us-east-1a."""
    return lambda **changes: run(SubnetId=subnets["a"], **changes)["InstanceId"]


@pytest.fixture
def seen(ec2: Any) -> Any:
    return lambda volume_id: ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]


def test_attach_and_detach_follow_the_machine(ec2: Any, placed: Any, volume: Any, seen: Any, app: Any) -> None:
    one, disk = placed(), volume()
    assert seen(disk)["State"] == "available"
    app.world.machines.hold = True
    assert ec2.attach_volume(VolumeId=disk, InstanceId=one, Device="/dev/sdf")["State"] == "attaching"
    assert seen(disk)["State"] == "in-use"
    assert seen(disk)["Attachments"][0]["State"] == "attaching"
    app.cloud.attached(disk, one)
    held = seen(disk)["Attachments"][0]
    assert (held["State"], held["Device"], held["DeleteOnTermination"]) == ("attached", "/dev/sdf", False)
    view = app.cloud.view(one).volumes[0]
    assert (view.volume_id, view.size_gib, view.device) == (disk, 5, "/dev/sdf")
    assert ec2.detach_volume(VolumeId=disk)["State"] == "detaching"  # without InstanceId, as AWS allows
    assert seen(disk)["Attachments"][0]["State"] == "detaching"
    app.cloud.detached(disk, one)
    assert (seen(disk)["State"], seen(disk)["Attachments"]) == ("available", [])
    assert app.cloud.view(one).volumes == ()


def test_volumes_at_the_end_of_their_instance(ec2: Any, placed: Any, volume: Any, seen: Any, app: Any) -> None:
    """[EBS]: attached later they stay; from the launch they go by DeleteOnTermination; the root volume goes"""
    extra = [
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": True}},
        {"DeviceName": "/dev/sdc", "Ebs": {"VolumeSize": 2, "DeleteOnTermination": False}},
    ]
    one, disk, machines = placed(BlockDeviceMappings=extra), volume(), app.world.machines
    ec2.attach_volume(VolumeId=disk, InstanceId=one, Device="/dev/sdf")
    assert {v.device for v in app.cloud.view(one).volumes} == {"/dev/sdb", "/dev/sdc", "/dev/sdf"}
    machines.hold = True
    ec2.terminate_instances(InstanceIds=[one])
    assert seen(disk)["State"] == "in-use"
    app.cloud.terminated(one)
    left = {v["Size"]: v["State"] for v in ec2.describe_volumes()["Volumes"]}
    assert left == {2: "available", 5: "available"}
    assert len([c for c in machines.calls if c[0] == "delete_volume"]) == 2  # root and /dev/sdb


def test_attached_volumes_stay_over_a_stop(ec2: Any, placed: Any, volume: Any, app: Any) -> None:
    one, disk = placed(), volume()
    ec2.attach_volume(VolumeId=disk, InstanceId=one, Device="/dev/sdf")
    ec2.stop_instances(InstanceIds=[one])
    other = volume()
    ec2.attach_volume(VolumeId=other, InstanceId=one, Device="/dev/sdg")  # a stopped instance takes volumes too
    ec2.start_instances(InstanceIds=[one])
    assert {v.volume_id for v in app.cloud.view(one).volumes} == {disk, other}


def test_members_that_modules_read(volume: Any, seen: Any) -> None:
    """amazon.aws.ec2_vol and ec2_vol_info read these without asking"""
    one = seen(volume())
    assert (one["MultiAttachEnabled"], one["SnapshotId"], one["Encrypted"]) == (False, "", False)
    assert (one["Iops"], one["Throughput"]) == (3000, 125)
    assert seen(volume(Encrypted=True))["Encrypted"]


def test_client_token(volume: Any, ec2: Any, refused: Any) -> None:
    """[API CreateVolume] ClientToken"""
    assert volume(ClientToken="v1") == volume(ClientToken="v1")
    assert len(ec2.describe_volumes()["Volumes"]) == 1
    with refused("IdempotentParameterMismatch"):
        volume(ClientToken="v1", Size=6)


def test_filters(ec2: Any, placed: Any, volume: Any) -> None:
    one = placed()
    tagged = volume("b", TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}])
    held = volume("a", Size=7)
    ec2.attach_volume(VolumeId=held, InstanceId=one, Device="/dev/sdf")
    wanted = {
        "tag:a": ("b", tagged),
        "availability-zone": ("us-east-1b", tagged),
        "status": ("available", tagged),
        "size": ("7", held),
        "attachment.device": ("/dev/sdf", held),
        "volume-id": (held, held),
    }
    for name, (value, volume_id) in wanted.items():
        found = ec2.describe_volumes(Filters=[{"Name": name, "Values": [value]}])["Volumes"]
        assert [v["VolumeId"] for v in found] == [volume_id], name
    assert len(ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [one]}])["Volumes"]) == 2


def test_snapshots(ec2: Any, volume: Any, machines: Any, app: Any, seen: Any) -> None:
    disk = volume()
    machines.hold = True
    made = ec2.create_snapshot(VolumeId=disk, Description="d")
    assert (made["State"], made["VolumeSize"]) == ("pending", 5)
    app.cloud.snapshot_completed(made["SnapshotId"])
    (one,) = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert (one["State"], one["SnapshotId"], one["Description"]) == ("completed", made["SnapshotId"], "d")
    copy = ec2.create_volume(AvailabilityZone="us-east-1b", SnapshotId=made["SnapshotId"])["VolumeId"]
    assert (seen(copy)["Size"], seen(copy)["SnapshotId"]) == (5, made["SnapshotId"])
    ec2.delete_snapshot(SnapshotId=made["SnapshotId"])
    assert ("delete_snapshot", made["SnapshotId"]) in machines.calls


def test_resize_reaches_the_machine(ec2: Any, volume: Any, machines: Any, seen: Any) -> None:
    disk = volume()
    ec2.modify_volume(VolumeId=disk, Size=9)
    assert ("resize_volume", disk, "9") in machines.calls
    assert seen(disk)["Size"] == 9


def test_deleted_volumes_leave_nothing(ec2: Any, volume: Any, machines: Any) -> None:
    disk = volume(TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}])
    ec2.delete_volume(VolumeId=disk)
    assert not ec2.describe_volumes()["Volumes"]
    assert not ec2.describe_tags()["Tags"]
    assert ("delete_volume", disk) in machines.calls
