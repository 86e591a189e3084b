"""What nobody uses, found and removed over the wire: real boto3, the lab's API."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.module_utils._orphans import life
from ansible_collections.experiments.spot.plugins.modules import orphans, orphans_info
from tests.unit.plugins.module_utils._experiment.wire import REGION, Aws, aws, run  # noqa: F401

pytestmark = pytest.mark.slow

IDLE = {"state": "failed", "exit_code": 1, "finished": "2026-01-01T00:00:00Z"}
RUNNING = {"state": "running"}


class Bench:
    """The two modules, and the leftovers of an experiment."""

    def __init__(self, aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
        self.aws = aws
        self.capsys = capsys

    def info(self, **args: Any) -> SimpleNamespace:
        return run(orphans_info.main, self.capsys, **{"grace": 0, **args})

    def remove(self, **args: Any) -> SimpleNamespace:
        return run(orphans.main, self.capsys, **{"grace": 0, **args})

    def leftovers(self, experiment: str = "lab") -> dict[str, str]:
        """Group, key pair and launch template of an experiment."""
        ec2, more = self.aws.ec2, {"spot:experiment": experiment, "spot:owner": "alice"}
        specification = partial(self.aws.tag_specification, **more)
        name = f"spot-{experiment}"
        return {
            "security_groups": ec2.create_security_group(
                GroupName=name, Description="x", TagSpecifications=specification("security-group")
            )["GroupId"],
            "key_pairs": ec2.create_key_pair(KeyName=name, TagSpecifications=specification("key-pair"))["KeyPairId"],
            "launch_templates": ec2.create_launch_template(
                LaunchTemplateName=name,
                LaunchTemplateData={
                    "ImageId": self.aws.image(),
                    "InstanceType": "t3.medium",
                    "TagSpecifications": specification("instance"),
                },
                TagSpecifications=specification("launch-template"),
            )["LaunchTemplate"]["LaunchTemplateId"],
        }

    def instance(self, **tags: str) -> str:
        """An instance of the experiment ``lab`` with a job."""
        identity = self.aws.instance()
        given = {"spot:job": "train", **tags}
        self.aws.ec2.create_tags(Resources=[identity], Tags=[{"Key": k, "Value": v} for k, v in given.items()])
        return identity

    def states(self) -> dict[str, str]:
        return {one["InstanceId"]: one["State"]["Name"] for one in self.aws.instances()}

    def fleet(self, **more: Any) -> str:
        """A fleet of type maintain of the experiment ``lab``, from its launch template."""
        made = self.aws.ec2.create_fleet(
            **{
                "Type": "maintain",
                "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
                "LaunchTemplateConfigs": [
                    {
                        "LaunchTemplateSpecification": {"LaunchTemplateName": "spot-lab", "Version": "1"},
                        "Overrides": [{"InstanceType": "t3.medium"}],
                    }
                ],
                "TagSpecifications": self.aws.tag_specification("fleet"),
                **more,
            }
        )
        return str(made["FleetId"])


@pytest.fixture
def bench(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Bench:  # noqa: F811
    return Bench(aws, capsys)


def kinds(found: SimpleNamespace) -> list[tuple[str, str]]:
    return [(row["kind"], row["id"]) for row in found.rows]


def test_empty_account(bench: Bench) -> None:
    found = bench.info()
    assert (found.rc, found.rows, found.in_use, found.ask, found.regions) == (0, [], [], [], [REGION])
    gone = bench.remove()
    assert (gone.rc, gone.changed, gone.deleted, bench.aws.calls(mutating=True)) == (0, False, [], [])


def test_leftovers_of_an_experiment_that_is_over(bench: Bench) -> None:
    left = bench.leftovers()
    volume = bench.aws.volume()
    snapshot = bench.aws.ec2.create_snapshot(
        VolumeId=volume, TagSpecifications=bench.aws.tag_specification("snapshot")
    )["SnapshotId"]
    foreign = bench.aws.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    bench.aws.forget_calls()
    found = bench.info()
    assert found.rc == 0, found.msg
    assert sorted(kinds(found)) == sorted([*left.items(), ("volumes", volume), ("snapshots", snapshot)])
    assert foreign not in str(found.rows)
    assert len(bench.aws.calls()) == 10 and not bench.aws.calls(mutating=True), "one read"
    rows = {row["kind"]: row for row in found.rows}
    assert rows["volumes"]["cost_per_month"] == 0.16 and rows["snapshots"]["cost_per_month"] == 0.1
    assert rows["volumes"]["cost_per_hour"] == pytest.approx(0.16 / 730, rel=0.01)
    assert rows["volumes"]["remove"].startswith(f"ansible-playbook volumes.yml -e do=delete -e volume={volume}")
    assert rows["key_pairs"]["remove"] == "ansible-playbook close.yml -e experiment=lab -e region=us-east-1"
    assert rows["key_pairs"]["owner"] == "alice" and rows["key_pairs"]["age"] >= 0


def test_data_is_removed_only_by_name(bench: Bench) -> None:
    left, volume = bench.leftovers(), bench.aws.volume()
    predicted = bench.remove(_ansible_check_mode=True)
    assert sorted(predicted.deleted) == sorted(left.values()) and len(bench.info().rows) == 4
    gone = bench.remove()
    assert sorted(gone.deleted) == sorted(left.values()) and gone.pending == [], gone.msg
    assert kinds(bench.info()) == [("volumes", volume)]
    assert bench.remove(kinds=[], named=["volumes"]).deleted == [volume]
    assert bench.info().rows == [] and not bench.remove(named=["volumes", "snapshots"]).changed
    assert not bench.aws.ec2.describe_volumes()["Volumes"]


def test_something_young_counts_as_used(bench: Bench) -> None:
    bench.leftovers()
    bench.aws.volume(**{"spot:experiment": "other"})
    found = bench.info(grace=3600)
    assert found.rows == [] and [one["experiment"] for one in found.in_use] == ["lab"]
    assert not bench.remove(grace=3600, named=["volumes"]).changed


def test_an_experiment_with_a_job_is_never_touched(bench: Bench) -> None:
    bench.leftovers()
    identity, volume = bench.instance(), bench.aws.volume()
    found = bench.info()
    assert [one["instance_id"] for one in found.ask] == [identity] and found.ask[0]["region"] == REGION
    assert all(row["if_idle"] == [identity] for row in found.rows)
    bench.aws.forget_calls()
    for jobs in ({identity: RUNNING}, {identity: {"unreachable": True}}, {identity: {"failed": True}}, {}):
        assert not bench.remove(jobs=jobs, named=["volumes", "instances"]).changed, jobs
    assert bench.aws.calls(mutating=True) == [] and volume


def test_an_instance_without_a_job_that_lives(bench: Bench) -> None:
    left, identity = bench.leftovers(), bench.instance()
    volume = bench.aws.volume()
    bench.aws.ec2.attach_volume(VolumeId=volume, InstanceId=identity, Device="/dev/sdf")
    (row,) = [row for row in bench.info().rows if row["kind"] == "instances"]
    assert row["cost_per_hour"] > 0 and row["cost_per_month"] == pytest.approx(730 * row["cost_per_hour"], rel=1e-4)
    args = {"jobs": {identity: IDLE}, "named": ["volumes"]}
    first = bench.remove(**args)
    assert identity in first.deleted and left["security_groups"] in first.pending and volume in first.pending
    assert [one["id"] for one in first.terminating] == [identity]
    assert bench.states() == {identity: "terminated"}
    second = bench.remove(**args)
    assert sorted(second.deleted) == sorted([left["security_groups"], volume]) and second.pending == []
    assert bench.info().rows == [] and not bench.remove(**args).changed


def test_what_an_instance_that_stays_holds_is_no_failure(bench: Bench) -> None:
    bench.leftovers()
    identity = bench.instance()
    gone = bench.remove(kinds=["security_groups"], jobs={identity: IDLE})
    assert (gone.rc, gone.changed, gone.pending) == (0, False, [])


def test_past_its_time(bench: Bench) -> None:
    identity = bench.instance(**{"spot:expires": "2026-01-01T00:00:00Z"})
    later = bench.instance(**{"spot:expires": "nonsense", "spot:experiment": "other"})
    found = bench.info()
    (row,) = [row for row in found.rows if row["id"] == identity]
    assert "2026-01-01" in row["why"] and row["if_idle"] == []
    assert bench.remove().deleted == [identity]
    assert [one["State"]["Name"] for one in bench.aws.instances()] == ["terminated"] and later


def test_without_a_job_in_the_profile_it_is_in_use(bench: Bench) -> None:
    bench.instance(**{"spot:job": ""})
    found = bench.info()
    assert found.rows == [] and "close.yml" in found.in_use[0]["why"] and found.in_use[0]["cost_per_hour"] > 0


def test_a_stopped_instance_is_data(bench: Bench) -> None:
    bench.leftovers()
    identity = bench.aws.ec2.run_instances(
        ImageId=bench.aws.image(),
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=bench.aws.tag_specification("instance", **{"spot:job": "train"}),
    )["Instances"][0]["InstanceId"]
    bench.aws.ec2.stop_instances(InstanceIds=[identity])
    (row,) = bench.info().rows
    assert (row["id"], row["holds_data"], row["state"]) == (identity, True, "stopped") and row["cost_per_month"] > 0
    assert not bench.remove().changed
    assert bench.remove(named=["instances"]).deleted == [identity]


def test_a_fleet_goes_before_its_instances(bench: Bench) -> None:
    bench.leftovers()
    fleet = bench.fleet()
    (identity,) = bench.states()
    bench.aws.ec2.create_tags(Resources=[identity], Tags=[{"Key": "spot:job", "Value": "train"}])
    assert ("fleets", fleet) in kinds(bench.info())
    bench.aws.forget_calls()
    gone = bench.remove(jobs={identity: IDLE})
    assert gone.rc == 0, gone.msg
    calls = bench.aws.calls(mutating=True)
    assert calls.index("DeleteFleets") < calls.index("TerminateInstances")
    assert set(bench.states().values()) == {"terminated"}


def test_a_fleet_that_asks_for_capacity_is_alive(bench: Bench) -> None:
    bench.leftovers()
    bench.aws.control("capacity", type="t3.medium", zone="*", count=0)
    fleet = bench.fleet()
    found = bench.info()
    assert found.rows == [] and fleet in found.in_use[0]["why"]
    bench.aws.ec2.modify_fleet(FleetId=fleet, TargetCapacitySpecification={"TotalTargetCapacity": 0})
    assert ("fleets", fleet) in kinds(bench.info())


def test_a_spot_request_that_may_still_launch(bench: Bench) -> None:
    bench.aws.control("capacity", type="t3.medium", zone="*", count=0)
    made = bench.aws.ec2.request_spot_instances(
        InstanceCount=1,
        Type="persistent",
        LaunchSpecification={"ImageId": bench.aws.image(), "InstanceType": "t3.medium"},
        TagSpecifications=bench.aws.tag_specification("spot-instances-request"),
    )["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    assert kinds(bench.info()) == [("spot_requests", made)]
    assert bench.remove().deleted == [made]
    (left,) = bench.aws.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert left["State"] == "cancelled" and bench.info().rows == []


def test_a_lost_instance_may_come_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.aws.interrupt(bench.instance())
    bench.aws.volume()
    assert [row["kind"] for row in bench.info().rows] == ["volumes"]
    monkeypatch.setattr(life, "_made", lambda _found: [])
    found = bench.info(grace=3600)
    assert found.rows == [] and "lost" in found.in_use[0]["why"]


def test_file_systems(bench: Bench) -> None:
    efs: Any = boto3.client("efs", region_name=REGION)
    tags = [{"Key": "spot:file-system", "Value": "team"}, {"Key": "spot:experiment", "Value": "lab"}]
    identity = efs.create_file_system(CreationToken="team", Tags=tags)["FileSystemId"]
    efs.create_file_system(CreationToken="foreign")
    group = bench.aws.ec2.create_security_group(
        GroupName="nfs", Description="x", TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}]
    )["GroupId"]
    found = bench.info()
    assert kinds(found) == [("file_systems", identity)] and found.rows[0]["name"] == "team"
    assert not bench.remove().changed
    assert [one["id"] for one in bench.remove(named=["file_systems"]).file_systems] == [identity]
    efs.delete_file_system(FileSystemId=identity)
    assert kinds(bench.info()) == [("security_groups", group)]


def test_two_regions_and_one_that_is_closed(bench: Bench) -> None:
    west: Any = boto3.client("ec2", region_name="us-west-2")
    tags = bench.aws.tag_specification("volume")
    there = west.create_volume(Size=1, AvailabilityZone="us-west-2a", TagSpecifications=tags)["VolumeId"]
    here = bench.aws.volume(**{"spot:experiment": "other"})
    found = bench.info(regions=["us-east-1", "us-west-2", "eu-south-1"])
    assert {(row["id"], row["region"]) for row in found.rows} == {(here, "us-east-1"), (there, "us-west-2")}
    assert found.left_out[0].startswith("eu-south-1 cannot be used")
    gone = bench.remove(regions=["us-east-1", "us-west-2"], named=["volumes"], experiment="lab")
    assert gone.deleted == [there] and [row["id"] for row in bench.info().rows] == [here]


def test_owner(bench: Bench) -> None:
    bench.leftovers()
    assert bench.info(owner="bob").rows == [] and len(bench.info(owner="alice").rows) == 3
    assert not bench.remove(owner="bob").changed


def test_permissions(bench: Bench) -> None:
    left = bench.leftovers()
    for action in ("DescribeSnapshots", "DescribeFileSystems", "DeleteLaunchTemplate"):
        bench.aws.deny(action)
    found = bench.info()
    assert found.rc == 0 and len(found.rows) == 3 and len(found.notes) == 2
    gone = bench.remove()
    assert gone.rc == 1 and "ec2:DeleteLaunchTemplate" in gone.msg and left["key_pairs"] in gone.deleted
    bench.aws.deny("DescribeInstances")
    assert "ec2:DescribeInstances" in bench.info().msg


def test_cut_off_half_way_the_same_again_goes_on(bench: Bench) -> None:
    bench.leftovers()
    bench.aws.fail("DeleteKeyPair", "InternalError", after=True)
    bench.aws.fail("DeleteSecurityGroup", "OperationNotPermitted")
    assert bench.remove().rc == 1
    gone = bench.remove()
    assert gone.rc == 0 and bench.info().rows == []


def test_no_credentials(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = bench.info()
    assert found.rc == 1 and "no AWS credentials found" in found.msg
