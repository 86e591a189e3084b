"""File systems of an experiment, over the wire: planned, made, shown, kept, deleted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.module_utils._efs import waiters
from ansible_collections.experiments.spot.plugins.modules import (
    efs_file_system,
    experiment,
    experiment_info,
    launch_plan_info,
)
from tests.unit.plugins.module_utils._experiment.builders import file_system_of_profile, merge, profile
from tests.unit.plugins.module_utils._experiment.wire import DEBIAN, REGION, Aws, aws, run  # noqa: F401

TAGS = {"Name": "lab", "spot:experiment": "lab", "spot:generation": "1", "spot:profile": "lab"}


class Bench:
    """The modules in a row."""

    def __init__(self, aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
        self.aws = aws
        self.capsys = capsys
        self.efs: Any = boto3.client("efs", region_name=REGION)

    def plan(self, *file_systems: dict[str, Any], **changes: Any) -> SimpleNamespace:
        base = profile(image={"id": None, "ssm_parameter": DEBIAN}, file_systems=list(file_systems))
        return run(launch_plan_info.main, self.capsys, profile=merge(base, changes), caller_cidr="198.51.100.7/32")

    def group(self, name: str = "lab") -> str:
        tags = [{"Key": "spot:experiment", "Value": name}]
        made = self.aws.ec2.create_security_group(
            GroupName=f"spot-{name}",
            Description="x",
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )
        return str(made["GroupId"])

    def instance(self, group: str) -> str:
        return self.aws.instance(SecurityGroupIds=[group])

    def make(self, instance_id: str, **args: Any) -> SimpleNamespace:
        given = {"name": "team", "instance_ids": [instance_id], "tags": TAGS, **args}
        return run(efs_file_system.main, self.capsys, **given)

    def info(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = run(experiment_info.main, self.capsys).experiments
        return found

    def close(self, **args: Any) -> SimpleNamespace:
        return run(experiment.main, self.capsys, **{"experiment": "lab", **args})


@pytest.fixture
def bench(aws: Aws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:  # noqa: F811
    monkeypatch.setattr(waiters, "POLL", 0.01)
    return Bench(aws, capsys)


@pytest.mark.slow
def test_a_launch_without_file_systems_asks_efs_nothing(bench: Bench) -> None:
    assert bench.plan().rc == 0
    bench.info()
    assert not [call for call in bench.aws.app.world.calls if call["service"] == "elasticfilesystem"]


def test_the_plan_knows_what_is_new_and_what_is_there(bench: Bench) -> None:
    (new,) = bench.plan(file_system_of_profile()).file_systems
    assert (new["file_system_id"], new["mount_point"], new["throughput_mode"]) == (None, "/team", "elastic")
    made = bench.make(bench.instance(bench.group())).file_system
    (known,) = bench.plan(file_system_of_profile()).file_systems
    assert (known["file_system_id"], known["mount_targets"]) == (made["file_system_id"], made["mount_targets"])


def test_every_mistake_about_file_systems_is_in_the_plans_one_error(bench: Bench) -> None:
    vpc = bench.aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    there = bench.aws.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1a")["Subnet"]
    theirs = bench.efs.create_file_system(CreationToken="x")["FileSystemId"]
    bench.efs.create_mount_target(FileSystemId=theirs, SubnetId=there["SubnetId"])
    done = bench.plan(
        file_system_of_profile(name="a", file_system_id="fs-0123456789abcdef0"),
        file_system_of_profile(name="b", file_system_id=theirs),
    )
    assert done.rc == 1
    assert [line.partition(": ")[0] for line in done.problems] == ["file_systems.a", "file_systems.b"]
    assert "there is no file system fs-0123456789abcdef0" in done.problems[0]
    assert f"has its mount targets in {vpc}" in done.problems[1]
    assert not [call for call in bench.aws.calls(mutating=True) if "FileSystem" in call and call != "CreateFileSystem"]


def test_without_the_permission_it_is_named_before_anything_is_made(bench: Bench) -> None:
    bench.aws.deny("DescribeFileSystems")
    done = bench.plan(file_system_of_profile())
    assert done.rc == 1
    assert "elasticfilesystem:DescribeFileSystems" in done.msg


@pytest.mark.slow
def test_it_is_shown_kept_and_only_deleted_by_name(bench: Bench) -> None:
    instance = bench.instance(bench.group())
    made = bench.make(instance).file_system
    (one,) = bench.info()
    (shown,) = one["file_systems"]
    assert (shown["name"], shown["file_system_id"], shown["ours"]) == ("team", made["file_system_id"], True)
    assert shown["cost_per_month"] >= 0
    assert [group["name"] for group in one["security_groups"]] == ["spot-lab"]

    assert bench.close().pending
    second = bench.close()
    assert second.rc == 0, second.msg
    assert (second.pending, [kept["name"] for kept in second.kept_file_systems]) == ([], ["team"])
    groups = {one["GroupName"]: one for one in bench.aws.ec2.describe_security_groups()["SecurityGroups"]}
    assert "spot-lab" not in groups  # although the mount target's group let it in
    assert groups["spot-efs-team"]["IpPermissions"] == []
    (left,) = bench.info()
    assert (left["instances"], [kept["name"] for kept in left["file_systems"]]) == ([], ["team"])
    third = bench.close()
    assert (third.changed, third.deleted) == (False, [])

    named = bench.close(delete_file_systems=["team"])
    assert [one["file_system_id"] for one in named.file_systems] == [made["file_system_id"]]
    gone = run(efs_file_system.main, bench.capsys, name="team", state="absent")
    assert (gone.rc, gone.changed) == (0, True), gone.msg
    assert bench.info() == []


@pytest.mark.slow
def test_the_next_generation_finds_the_same_data(bench: Bench) -> None:
    first = bench.make(bench.instance(bench.group())).file_system
    bench.close()
    bench.close()
    again = bench.make(bench.instance(bench.group()))
    assert again.changed is True  # only its new group is let in
    assert again.file_system["file_system_id"] == first["file_system_id"]
    assert again.file_system["mount_targets"] == first["mount_targets"]


@pytest.mark.slow
def test_what_is_not_ours_and_what_others_use_is_refused(bench: Bench) -> None:
    theirs = bench.efs.create_file_system(CreationToken="console")["FileSystemId"]
    instance = bench.instance(bench.group())
    bench.make(instance, name="archive", file_system_id=theirs)
    bench.make(instance)
    bench.make(bench.instance(bench.group("other")))
    done = bench.close(delete_file_systems=[theirs, "team"])
    assert done.rc == 1
    assert f"({theirs}) was not made by experiment lab" in done.msg
    assert "is used by experiment other; close that first" in done.msg
    assert [one["State"]["Name"] for one in bench.aws.instances()] == ["running", "running"]
