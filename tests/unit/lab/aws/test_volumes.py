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


def test_a_snapshot_has_progress_and_its_own_size(ec2: Any, volume: Any, machines: Any, app: Any, refused: Any) -> None:
    """[API Snapshot] Progress, VolumeSize; [ERR] IncorrectState for a snapshot that is not complete"""
    disk = volume()
    machines.hold = True
    made = ec2.create_snapshot(VolumeId=disk)["SnapshotId"]
    show = lambda: ec2.describe_snapshots(SnapshotIds=[made])["Snapshots"][0]  # noqa: E731
    assert (show()["State"], show()["Progress"]) == ("pending", "0%")
    app.cloud.snapshot_progress(made, 40)
    assert show()["Progress"] == "40%"
    with refused("IncorrectState"):
        ec2.create_volume(AvailabilityZone="us-east-1b", SnapshotId=made)
    app.cloud.snapshot_completed(made)
    machines.hold = False
    ec2.modify_volume(VolumeId=disk, Size=9)
    ec2.delete_volume(VolumeId=disk)
    assert (show()["Progress"], show()["VolumeSize"]) == ("100%", 5)
    with refused("InvalidParameterValue", text="smaller than snapshot"):
        ec2.create_volume(AvailabilityZone="us-east-1b", SnapshotId=made, Size=4)


def test_snapshots_in_quick_succession_are_refused(ec2: Any, volume: Any, machines: Any, refused: Any) -> None:
    """[ERR] SnapshotCreationPerVolumeRateExceeded, ConcurrentSnapshotLimitExceeded"""
    disk = volume()
    machines.hold = True
    first = ec2.create_snapshot(VolumeId=disk)["SnapshotId"]
    with refused("SnapshotCreationPerVolumeRateExceeded"):
        ec2.create_snapshot(VolumeId=disk)
    ec2.delete_snapshot(SnapshotId=first)
    assert ec2.create_snapshot(VolumeId=disk)


def test_a_volume_of_a_snapshot_is_creating_until_it_has_the_data(
    *, ec2: Any, placed: Any, volume: Any, machines: Any, app: Any, seen: Any, refused: Any
) -> None:
    """[API Volume] State; [ERR] IncorrectState"""
    snapshot, one = ec2.create_snapshot(VolumeId=volume(Encrypted=True))["SnapshotId"], placed()
    machines.hold = True
    copy = volume(SnapshotId=snapshot)
    assert (seen(copy)["State"], seen(copy)["Encrypted"]) == ("creating", True)
    with refused("IncorrectState"):
        ec2.attach_volume(VolumeId=copy, InstanceId=one, Device="/dev/sdf")
    app.cloud.created(copy)
    assert seen(copy)["State"] == "available"


def test_a_key_that_may_not_be_used_is_found_out_later(
    *, client: Any, ec2: Any, volume: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[API CreateVolume] KmsKeyId: "authenticates the KMS key asynchronously … eventually fails" """
    good = client("kms").create_key()["KeyMetadata"]["KeyId"]
    assert seen(volume(Encrypted=True, KmsKeyId=good))["State"] == "available"
    assert seen(volume(Encrypted=True, KmsKeyId="alias/aws/ebs"))["State"] == "available"
    later: list[Any] = []
    monkeypatch.setattr("lab.aws.cloud.later", lambda _seconds, act, *args: later.append((act, args)))
    bad = volume(Encrypted=True, KmsKeyId="alias/nobody")
    assert seen(bad)["State"] == "creating"
    for act, args in later:
        act(*args)
    assert bad not in [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"Size": 70000},
        {"VolumeType": "st1", "Size": 100},
        {"Size": 5, "Iops": 3500},
        {"Size": 100, "Iops": 90000},
        {"Size": 100, "Throughput": 1000},
        {"Size": 5, "Throughput": 100},
    ],
)
def test_sizes_and_speeds_that_ebs_does_not_have(volume: Any, refused: Any, wrong: dict[str, Any]) -> None:
    """[API CreateVolume] Size, Iops, Throughput"""
    with refused("InvalidParameterValue"):
        volume(**wrong)
    volume(Size=100, Iops=4000, Throughput=1000)


def test_modification(
    *, ec2: Any, volume: Any, machines: Any, app: Any, seen: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[API ModifyVolume], [API VolumeModification]; [ERR] IncorrectModificationState"""
    monkeypatch.setattr("lab.aws.modifications.OPTIMIZING", 3600)
    disk = volume()
    with refused("InvalidVolumeModification.NotFound"):
        ec2.describe_volumes_modifications(VolumeIds=[disk])
    machines.hold = True
    made = ec2.modify_volume(VolumeId=disk, Size=9)["VolumeModification"]
    assert (made["ModificationState"], made["OriginalSize"], made["TargetSize"]) == ("modifying", 5, 9)
    assert ("resize_volume", disk, "9") in machines.calls
    assert seen(disk)["Size"] == 5
    app.cloud.resized(disk)
    state = lambda: ec2.describe_volumes_modifications(VolumeIds=[disk])["VolumesModifications"][0]  # noqa: E731
    assert (state()["ModificationState"], seen(disk)["Size"]) == ("optimizing", 9)
    with refused("IncorrectModificationState"):
        ec2.modify_volume(VolumeId=disk, Size=10)
    monkeypatch.setattr("lab.aws.modifications.OPTIMIZING", 0)
    assert (state()["ModificationState"], state()["Progress"]) == ("completed", 100)
    with refused("InvalidParameterValue", text="smaller"):
        ec2.modify_volume(VolumeId=disk, Size=8)
    with refused("InvalidParameterValue"):
        ec2.modify_volume(VolumeId=disk)


def test_four_modifications_a_day(ec2: Any, volume: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[API ModifyVolume]: four in 24 hours, the error says when the next one may come"""
    monkeypatch.setattr("lab.aws.modifications.OPTIMIZING", 0)
    disk = volume()
    for size in range(6, 10):
        ec2.modify_volume(VolumeId=disk, Size=size)
    with refused("VolumeModificationRateExceeded", text="again at"):
        ec2.modify_volume(VolumeId=disk, Size=10)


def test_another_type_brings_its_own_speed(ec2: Any, volume: Any, seen: Any) -> None:
    disk = volume(VolumeType="gp2", Size=100)
    ec2.modify_volume(VolumeId=disk, VolumeType="gp3", Throughput=250)
    assert (seen(disk)["VolumeType"], seen(disk)["Iops"], seen(disk)["Throughput"]) == ("gp3", 3000, 250)


def test_deleted_volumes_leave_nothing(ec2: Any, volume: Any, machines: Any) -> None:
    disk = volume(TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}])
    ec2.delete_volume(VolumeId=disk)
    assert not ec2.describe_volumes()["Volumes"]
    assert not ec2.describe_tags()["Tags"]
    assert ("delete_volume", disk) in machines.calls
