"""efs_file_system over the wire: real boto3, the lab's API."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.module_utils._efs import waiters
from ansible_collections.experiments.spot.plugins.modules import efs_file_system
from lab.aws.world import Fault
from tests.unit.plugins.module_utils._experiment.wire import REGION, Aws, aws, run  # noqa: F401

pytestmark = pytest.mark.slow

Resource = dict[str, Any]
TAGS = {"spot:experiment": "lab", "spot:owner": "alice"}


@pytest.fixture
def efs(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    monkeypatch.setattr(waiters, "POLL", 0.01)
    return boto3.client("efs", region_name=REGION)


@pytest.fixture
def subnets(aws: Aws) -> dict[str, str]:  # noqa: F811
    return {one["AvailabilityZone"][-1]: one["SubnetId"] for one in aws.ec2.describe_subnets()["Subnets"]}


@pytest.fixture
def client_group(aws: Aws) -> str:  # noqa: F811
    made = aws.ec2.create_security_group(
        GroupName="spot-lab", Description="x", TagSpecifications=aws.tag_specification("security-group")
    )
    return str(made["GroupId"])


@pytest.fixture
def module(efs: Any, subnets: dict[str, str], client_group: str, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(zones: str = "a", **args: Any) -> Any:
        given: Resource = {
            "name": "data",
            "subnet_ids": [subnets[zone] for zone in zones],
            "client_security_group_ids": [client_group],
            "tags": TAGS,
            **args,
        }
        return run(efs_file_system.main, capsys, **given)

    return call


def tags_of(raw: Resource) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw["Tags"]}


def test_it_is_made_once_with_all_that_a_mount_needs(aws: Aws, efs: Any, module: Any, client_group: str) -> None:  # noqa: F811
    done = module("ab")
    assert done.rc == 0, done.msg
    assert done.changed is True
    (made,) = efs.describe_file_systems()["FileSystems"]
    assert (made["ThroughputMode"], made["Encrypted"], made["CreationToken"]) == ("elastic", True, "data")
    assert tags_of(made) == {**TAGS, "Name": "data", "spot:file-system": "data"}
    targets = efs.describe_mount_targets(FileSystemId=made["FileSystemId"])["MountTargets"]
    assert sorted(one["AvailabilityZoneName"] for one in targets) == ["us-east-1a", "us-east-1b"]
    assert done.file_system["mount_targets"] == {one["AvailabilityZoneName"]: one["IpAddress"] for one in targets}
    assert done.file_system["dns_name"] == f"{made['FileSystemId']}.efs.us-east-1.amazonaws.com"
    group = done.file_system["security_group_id"]
    for one in targets:
        groups = efs.describe_mount_target_security_groups(MountTargetId=one["MountTargetId"])["SecurityGroups"]
        assert groups == [group]
    (seen,) = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert tags_of(seen)["spot:experiment"] == "lab"
    (rule,) = seen["IpPermissions"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == ("tcp", 2049, 2049, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [client_group]

    aws.forget_calls()
    again = module("ab")
    assert (again.rc, again.changed, again.diff["before"]) == (0, False, again.diff["after"])
    assert again.file_system == done.file_system
    assert aws.calls(mutating=True) == []


def test_check_mode_predicts_and_makes_nothing(aws: Aws, efs: Any, module: Any) -> None:  # noqa: F811
    predicted = module("ab", _ansible_check_mode=True, transition_to_ia=30, access_point={"path": "/x"})
    assert (predicted.changed, aws.calls(mutating=True)) == (True, ["CreateSecurityGroup"])  # the test's own
    assert efs.describe_file_systems()["FileSystems"] == []
    done = module("ab", transition_to_ia=30, access_point={"path": "/x"})
    assert predicted.diff == done.diff
    assert "mount target in us-east-1b" in done.diff["after"]
    assert module("ab", _ansible_check_mode=True, transition_to_ia=30, access_point={"path": "/x"}).changed is False


def test_another_zone_and_another_experiment_only_add(aws: Aws, efs: Any, module: Any) -> None:  # noqa: F811
    module("a")
    other = aws.ec2.create_security_group(GroupName="spot-b", Description="x")["GroupId"]
    aws.forget_calls()
    done = module("ab", client_security_group_ids=[other])
    assert done.rc == 0, done.msg
    assert aws.calls(mutating=True) == ["AuthorizeSecurityGroupIngress", "CreateMountTarget"]
    assert sorted(done.file_system["mount_targets"]) == ["us-east-1a", "us-east-1b"]


def test_throughput_and_life_cycle_are_brought_up_to_date(efs: Any, module: Any) -> None:
    made = module(throughput_mode="bursting").file_system["file_system_id"]
    done = module(throughput_mode="provisioned", provisioned_throughput=12, transition_to_ia=7)
    assert (done.rc, done.changed) == (0, True), done.msg
    (seen,) = efs.describe_file_systems(FileSystemId=made)["FileSystems"]
    assert (seen["ThroughputMode"], seen["ProvisionedThroughputInMibps"]) == ("provisioned", 12)
    policies = efs.describe_lifecycle_configuration(FileSystemId=made)["LifecyclePolicies"]
    assert policies == [{"TransitionToIA": "AFTER_7_DAYS"}]
    assert module(throughput_mode="provisioned", provisioned_throughput=12, transition_to_ia=7).changed is False


def test_an_access_point_is_made_once(efs: Any, module: Any) -> None:
    point = {"path": "/team", "uid": 1001, "gid": 1002, "permissions": "0770"}
    done = module(access_point=point)
    (seen,) = efs.describe_access_points()["AccessPoints"]
    assert done.file_system["access_point_id"] == seen["AccessPointId"]
    assert seen["PosixUser"] == {"Uid": 1001, "Gid": 1002}
    assert seen["RootDirectory"]["Path"] == "/team"
    assert module(access_point=point).changed is False
    assert module(access_point_id=seen["AccessPointId"]).file_system["access_point_id"] == seen["AccessPointId"]
    wrong = module(access_point_id="fsap-0123456789abcdef0")
    assert wrong.rc == 1
    assert "has no access point fsap-0123456789abcdef0" in wrong.msg


def test_a_file_system_of_the_user_keeps_its_settings_and_groups(
    aws: Aws,  # noqa: F811
    efs: Any,
    module: Any,
    subnets: dict[str, str],
) -> None:
    theirs = efs.create_file_system(CreationToken="console-1")["FileSystemId"]
    closed = aws.ec2.create_security_group(GroupName="theirs", Description="x")["GroupId"]
    target = efs.create_mount_target(FileSystemId=theirs, SubnetId=subnets["a"], SecurityGroups=[closed])
    done = module(file_system_id=theirs, name="archive")
    assert done.rc == 0, done.msg
    (seen,) = efs.describe_file_systems()["FileSystems"]
    assert (seen["ThroughputMode"], seen["Encrypted"]) == ("bursting", False)
    groups = efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])["SecurityGroups"]
    assert groups == [closed, done.file_system["security_group_id"]]
    assert module(file_system_id=theirs, name="archive").changed is False


def test_a_mount_target_that_lets_the_subnet_in_is_left_alone(
    aws: Aws,  # noqa: F811
    efs: Any,
    module: Any,
    subnets: dict[str, str],
) -> None:
    theirs = efs.create_file_system(CreationToken="console-1")["FileSystemId"]
    opened = aws.ec2.create_security_group(GroupName="theirs", Description="x")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "IpRanges": [{"CidrIp": "172.16.0.0/12"}]}
    aws.ec2.authorize_security_group_ingress(GroupId=opened, IpPermissions=[rule])
    efs.create_mount_target(FileSystemId=theirs, SubnetId=subnets["a"], SecurityGroups=[opened])
    done = module(file_system_id=theirs, name="archive")
    assert (done.rc, done.changed, done.file_system["security_group_id"]) == (0, False, None)


def test_two_mistakes_are_one_error_and_nothing_is_made(aws: Aws, module: Any) -> None:  # noqa: F811
    done = module(file_system_id="fs-0123456789abcdef0", subnet_ids=["subnet-0123456789abcdef0"])
    assert done.rc == 1
    assert "there is no file system fs-0123456789abcdef0 in this region" in done.msg
    assert "there is no subnet subnet-0123456789abcdef0" in done.msg
    assert aws.calls(mutating=True) == ["CreateSecurityGroup"]


def test_another_vpc_and_what_cannot_be_changed_are_refused(aws: Aws, efs: Any, module: Any) -> None:  # noqa: F811
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    there = aws.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1a")
    theirs = efs.create_file_system(CreationToken="data")["FileSystemId"]
    efs.create_mount_target(FileSystemId=theirs, SubnetId=there["Subnet"]["SubnetId"])
    done = module()
    assert done.rc == 1
    assert f"has its mount targets in {vpc}" in done.msg
    assert "is not encrypted, which cannot be changed; set encrypted to false" in done.msg


@pytest.mark.parametrize(
    ("action", "code", "http"),
    [
        ("CreateMountTarget", "IncorrectFileSystemLifeCycleState", 409),
        ("CreateMountTarget", "IpAddressInUse", 409),
        ("CreateMountTarget", "SecurityGroupNotFound", 400),
        ("CreateFileSystem", "InternalServerError", 500),
    ],
)
def test_what_passes_is_asked_again(aws: Aws, efs: Any, module: Any, *, action: str, code: str, http: int) -> None:  # noqa: F811
    fault(aws, action, code, http)
    done = module()
    assert done.rc == 0, done.msg
    assert aws.calls().count(action) == 2
    assert len(efs.describe_file_systems()["FileSystems"]) == 1


@pytest.mark.parametrize(
    ("action", "code", "http", "hint"),
    [
        ("CreateFileSystem", "FileSystemLimitExceeded", 403, "ask for a larger quota"),
        ("CreateMountTarget", "UnsupportedAvailabilityZone", 400, "not to be had in this zone"),
        ("CreateMountTarget", "SecurityGroupLimitExceeded", 400, "at most 5 security groups"),
        ("CreateMountTarget", "NoFreeAddressesInSubnet", 409, "no free address"),
    ],
)
def test_what_does_not_pass_says_what_to_do(
    aws: Aws,  # noqa: F811
    efs: Any,
    module: Any,
    *,
    action: str,
    code: str,
    http: int,
    hint: str,
) -> None:
    fault(aws, action, code, http)
    done = module()
    assert done.rc == 1
    assert code in done.msg
    assert hint in done.msg
    assert f"elasticfilesystem:{action}" in done.msg
    assert module().rc == 0  # goes on from there


def test_a_permission_that_is_missing_is_named(aws: Aws, efs: Any, module: Any) -> None:  # noqa: F811
    aws.deny("CreateMountTarget")
    done = module()
    assert done.rc == 1
    assert "elasticfilesystem:CreateMountTarget" in done.msg


def test_a_mount_target_that_another_run_makes_is_as_good(aws: Aws, efs: Any, module: Any) -> None:  # noqa: F811
    fault(
        aws,
        "CreateMountTarget",
        "MountTargetConflict",
        409,
        message="mount target already exists in this AZ",
        after=True,
    )
    done = module()
    assert done.rc == 0, done.msg
    assert sorted(done.file_system["mount_targets"]) == ["us-east-1a"]


def test_waiting_is_over_in_time(aws: Aws, efs: Any, module: Any) -> None:  # noqa: F811
    object.__setattr__(aws.app.world.config, "efs_delay", 3600.0)
    done = module(wait_timeout=1)
    assert done.rc == 1
    assert "is not available after" in done.msg
    assert "(AWS says: creating)" in done.msg


def test_absent_removes_all_of_it(aws: Aws, efs: Any, module: Any, client_group: str) -> None:  # noqa: F811
    made = module("ab", access_point={"path": "/x"}).file_system
    predicted = module("", state="absent", _ansible_check_mode=True)
    done = module("", state="absent")
    assert (done.rc, done.changed, sorted(done.deleted)) == (0, True, sorted(predicted.deleted)), done.msg
    assert {made["file_system_id"], made["security_group_id"], made["access_point_id"]} <= set(done.deleted)
    assert efs.describe_file_systems()["FileSystems"] == []
    assert "spot-efs-data" not in [one["GroupName"] for one in aws.ec2.describe_security_groups()["SecurityGroups"]]
    assert module("", state="absent").changed is False


def test_progress_is_told(efs: Any, module: Any, tmp_path: Any) -> None:
    module("b", progress_file=str(tmp_path / "progress"))
    told = (tmp_path / "progress").read_text().splitlines()
    assert told == [
        "file system data: security group for NFS",
        "file system data: is made",
        "file system data: mount target in us-east-1b; AWS needs a minute or two",
    ]


def fault(aws: Aws, action: str, code: str, http: int, **more: Any) -> None:  # noqa: F811
    aws.app.world.faults.append(Fault(action, code, http=http, **more))
