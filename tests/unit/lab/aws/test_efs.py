"""EFS in the lab: states, elastic throughput, what AWS refuses. Source: EFS API, errors of each action."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def efs(client: Any) -> Any:
    return client("efs")


@pytest.fixture
def slow(app: Any, client: Any) -> Any:
    """Nothing becomes available by itself until `pass_time`."""
    before = app.world.config

    class Slow:
        def __enter__(self) -> None:
            object.__setattr__(before, "efs_delay", 3600.0)

        def __exit__(self, *_error: object) -> None:
            object.__setattr__(before, "efs_delay", 0.0)
            for key, (state, _until) in list(app.world.lives.items()):
                app.world.lives[key] = (state, 0.0)

    return Slow()


def test_a_file_system_lives_and_ends(efs: Any, subnets: Any, slow: Any, refused: Any, machines: Any) -> None:
    with slow:
        made = efs.create_file_system(CreationToken="data", ThroughputMode="elastic", Encrypted=True)
        assert (made["LifeCycleState"], made["ThroughputMode"], made["Encrypted"]) == ("creating", "elastic", True)
        assert made["KmsKeyId"].startswith("arn:aws:kms:")
        with refused("IncorrectFileSystemLifeCycleState", 409):
            efs.create_mount_target(FileSystemId=made["FileSystemId"], SubnetId=subnets["a"])
    (now,) = efs.describe_file_systems(CreationToken="data")["FileSystems"]
    assert (now["LifeCycleState"], now["SizeInBytes"]["Value"]) == ("available", 6144)
    with slow:
        target = efs.create_mount_target(FileSystemId=now["FileSystemId"], SubnetId=subnets["a"])
        assert target["LifeCycleState"] == "creating"
        with refused("IncorrectMountTargetState", 409):
            efs.modify_mount_target_security_groups(MountTargetId=target["MountTargetId"], SecurityGroups=[])
    assert ("add_mount_target", now["FileSystemId"], target["IpAddress"]) in machines.calls
    with refused("FileSystemInUse", 409):
        efs.delete_file_system(FileSystemId=now["FileSystemId"])
    with slow:
        efs.delete_mount_target(MountTargetId=target["MountTargetId"])
        (going,) = efs.describe_mount_targets(FileSystemId=now["FileSystemId"])["MountTargets"]
        assert going["LifeCycleState"] == "deleting"
    assert efs.describe_mount_targets(FileSystemId=now["FileSystemId"])["MountTargets"] == []
    efs.delete_file_system(FileSystemId=now["FileSystemId"])
    assert efs.describe_file_systems(CreationToken="data")["FileSystems"] == []
    assert ("delete_file_system", now["FileSystemId"]) in machines.calls


def test_a_token_is_used_once_and_the_error_names_the_file_system(efs: Any) -> None:
    made = efs.create_file_system(CreationToken="data")
    with pytest.raises(efs.exceptions.FileSystemAlreadyExists) as error:
        efs.create_file_system(CreationToken="data")
    assert error.value.response["FileSystemId"] == made["FileSystemId"]


def test_what_does_not_go_together_is_refused(efs: Any, control: Any, refused: Any) -> None:
    with refused("BadRequest"):
        efs.create_file_system(CreationToken="a", ThroughputMode="elastic", PerformanceMode="maxIO")
    with refused("BadRequest"):
        efs.create_file_system(CreationToken="a", ThroughputMode="provisioned")
    with refused("BadRequest"):
        efs.create_file_system(CreationToken="a", ThroughputMode="elastic", ProvisionedThroughputInMibps=5)
    with refused("UnsupportedAvailabilityZone"):
        efs.create_file_system(CreationToken="a", AvailabilityZoneName="us-east-1z")
    control("quota", group="EFS", vcpus=0)
    with refused("FileSystemLimitExceeded", 403):
        efs.create_file_system(CreationToken="a")


def test_one_mount_target_a_zone_and_its_group_stays(efs: Any, ec2: Any, subnets: Any, refused: Any) -> None:
    made = efs.create_file_system(CreationToken="data")["FileSystemId"]
    group = ec2.create_security_group(GroupName="nfs", Description="x")["GroupId"]
    target = efs.create_mount_target(FileSystemId=made, SubnetId=subnets["a"], SecurityGroups=[group])
    with refused("MountTargetConflict", 409):
        efs.create_mount_target(FileSystemId=made, SubnetId=subnets["a"])
    with refused("IpAddressInUse", 409):
        efs.create_mount_target(FileSystemId=made, SubnetId=subnets["b"], IpAddress=target["IpAddress"])
    with refused("SecurityGroupNotFound"):
        efs.create_mount_target(FileSystemId=made, SubnetId=subnets["b"], SecurityGroups=["sg-0123456789abcdef0"])
    with refused("SubnetNotFound"):
        efs.create_mount_target(FileSystemId=made, SubnetId="subnet-0123456789abcdef0")
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    efs.delete_mount_target(MountTargetId=target["MountTargetId"])
    assert efs.describe_mount_targets(FileSystemId=made)["MountTargets"] == []
    ec2.delete_security_group(GroupId=group)


def test_throughput_and_life_cycle_are_changed(efs: Any, refused: Any) -> None:
    made = efs.create_file_system(CreationToken="data")["FileSystemId"]
    efs.update_file_system(FileSystemId=made, ThroughputMode="provisioned", ProvisionedThroughputInMibps=10)
    (seen,) = efs.describe_file_systems(FileSystemId=made)["FileSystems"]
    assert (seen["ThroughputMode"], seen["ProvisionedThroughputInMibps"]) == ("provisioned", 10)
    efs.put_lifecycle_configuration(FileSystemId=made, LifecyclePolicies=[{"TransitionToIA": "AFTER_30_DAYS"}])
    policies = efs.describe_lifecycle_configuration(FileSystemId=made)["LifecyclePolicies"]
    assert policies == [{"TransitionToIA": "AFTER_30_DAYS"}]
    with refused("BadRequest"):
        efs.put_lifecycle_configuration(FileSystemId=made, LifecyclePolicies=[{"TransitionToIA": "AFTER_31_DAYS"}])
    with refused("FileSystemNotFound", 404):
        efs.update_file_system(FileSystemId="fs-0123456789abcdef0", ThroughputMode="elastic")


def test_access_points(efs: Any, refused: Any) -> None:
    made = efs.create_file_system(CreationToken="data")["FileSystemId"]
    args = {"ClientToken": "t", "FileSystemId": made, "PosixUser": {"Uid": 1000, "Gid": 1000}}
    point = efs.create_access_point(**args, RootDirectory={"Path": "/team"})
    with refused("AccessPointAlreadyExists", 409):
        efs.create_access_point(**args)
    with refused("BadRequest"):
        efs.create_access_point(**{**args, "ClientToken": "u"}, RootDirectory={"Path": "/a/b/c/d/e"})
    assert [one["AccessPointId"] for one in efs.describe_access_points(FileSystemId=made)["AccessPoints"]] == [
        point["AccessPointId"]
    ]
    efs.delete_access_point(AccessPointId=point["AccessPointId"])
    assert efs.describe_access_points(FileSystemId=made)["AccessPoints"] == []


def test_faults_and_permissions_name_the_actions(efs: Any, control: Any, refused: Any) -> None:
    control("fail", action="CreateFileSystem", code="InternalServerError", http=500)
    with refused("InternalServerError", 500):
        efs.create_file_system(CreationToken="data")
    control("deny", action="DescribeFileSystems")
    with refused("AccessDeniedException"):
        efs.describe_file_systems()
    assert [call["action"] for call in control("calls")] == ["CreateFileSystem", "DescribeFileSystems"]
