"""The plan over several regions, over the wire: real boto3, the lab's API with a region of its own for each."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet import regions
from ansible_collections.experiments.spot.plugins.modules import (
    ec2_fleet,
    experiment,
    experiment_info,
    launch_plan_info,
)
from tests.unit.plugins.module_utils._experiment.builders import merge, profile, volume_of_profile
from tests.unit.plugins.module_utils._experiment.wire import DEBIAN, Aws, aws, run  # noqa: F401

pytestmark = pytest.mark.slow

EAST, WEST, MILAN, NOWHERE = "us-east-1", "us-west-2", "eu-south-1", "us-east-9"
CIDR = "198.51.100.7/32"


class Regions:
    """The API seen from several regions."""

    def __init__(self, aws: Aws) -> None:  # noqa: F811
        self.aws = aws

    def there(self, region: str) -> Aws:
        """The same API in another region: its clients are made there."""
        other = Aws(self.aws.app, self.aws.url)
        other.ec2 = boto3.client("ec2", region_name=region)
        other.image = lambda: image(region)  # type: ignore[method-assign]
        return other

    def no_capacity(self, region: str) -> None:
        """All pools of a region refuse."""
        self.aws.control("capacity", type="*", zone=region, count=0)


def image(region: str) -> str:
    return str(boto3.client("ssm", region_name=region).get_parameter(Name=DEBIAN)["Parameter"]["Value"])


@pytest.fixture
def far(aws: Aws) -> Regions:  # noqa: F811
    return Regions(aws)


@pytest.fixture
def plan(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    def run_module(args: dict[str, Any] | None = None, names: tuple[str, ...] = (EAST, WEST), **changes: Any) -> Any:
        base = profile(image={"id": None, "ssm_parameter": DEBIAN}, capacity={"regions": list(names)})
        wanted = merge(base, changes)
        return run(launch_plan_info.main, capsys, profile=wanted, caller_cidr=CIDR, **(args or {}))

    return run_module


def test_the_region_of_the_cheapest_pool_is_chosen(aws: Aws, plan: Any) -> None:  # noqa: F811
    done = plan()
    assert done.rc == 0, done.msg
    assert {pool["region"] for pool in done.all_pools} == {EAST, WEST}
    assert done.region == done.all_pools[0]["region"] == done.regions[0]
    assert set(done.regions) == {EAST, WEST}
    assert all(pool["zone"].startswith(done.region) for pool in done.pools)
    assert done.image["id"] == image(done.region)
    assert [turn["region"] for turn in done.turns[:2]] == done.regions
    assert (done.left_out, done.abandoned_regions) == ([], [])
    assert aws.calls(mutating=True) == []


def test_another_region_than_the_cheapest(plan: Any) -> None:
    second = plan().regions[1]
    done = plan({"try_region": second})
    assert (done.region, done.regions) == (second, [second])
    assert all(pool["zone"].startswith(second) for pool in done.pools)


def test_pools_that_just_refused_make_the_region_the_last(far: Regions, plan: Any) -> None:
    first, second = plan().regions
    aws_there = far.there(first)
    template = aws_there.ec2.create_launch_template(
        LaunchTemplateName="temp", LaunchTemplateData={"ImageId": image(first), "InstanceType": "t3.medium"}
    )["LaunchTemplate"]
    zones = {pool["zone"]: pool["subnet_id"] for pool in plan({"try_region": first}).pools}
    aws_there.app.world.regions[first].capacity.append(no_places())
    aws_there.ec2.create_fleet(
        Type="instant",
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"},
                "Overrides": [
                    {"InstanceType": kind, "SubnetId": subnet}
                    for kind in ("t3.medium", "m5.large")
                    for subnet in zones.values()
                ],
            }
        ],
        TagSpecifications=aws_there.tag_specification("fleet"),
    )
    done = plan()
    assert done.regions == [second, first]
    assert {pool["last_refusal"] is not None for pool in done.all_pools if pool["region"] == first} == {True}


def no_places() -> Any:
    from lab.aws.world import Capacity

    return Capacity(count=0)


# Where it is already


def test_it_stays_where_it_runs(far: Regions, plan: Any) -> None:
    instance = far.there(WEST).instance("us-west-2b")
    for tried in ("", EAST):  # another region is of no use any more
        done = plan({"try_region": tried})
        assert (done.region, done.regions, done.turns) == (WEST, [WEST], [])
        assert [one["instance_id"] for one in done.instances] == [instance]
        assert done.todo["fleet"] is False


def test_it_stays_where_its_volume_is(far: Regions, plan: Any) -> None:
    volume = far.there(WEST).volume("us-west-2c")
    done = plan(volumes=[volume_of_profile()])
    assert (done.region, done.zone, done.turns) == (WEST, "us-west-2c", [])
    assert [one["volume_id"] for one in done.volumes] == [volume]
    assert done.todo["fleet"] is True


def test_without_volumes_the_next_generation_may_go_elsewhere(far: Regions, plan: Any) -> None:
    west = far.there(WEST)
    instance = west.instance("us-west-2b")
    far.aws.interrupt(instance)
    done = plan({"try_region": EAST})
    assert (done.region, done.generation) == (EAST, 2)
    assert (done.recovery["do"], done.recovery["ranks"]) == ("resume", [0])
    assert done.abandoned_regions == [WEST]


def test_two_regions_are_one_mistake(far: Regions, plan: Any) -> None:
    here, there = far.aws.instance(), far.there(WEST).instance("us-west-2b")
    done = plan()
    assert done.rc == 1
    assert len(done.problems) == 1
    assert here in done.msg
    assert there in done.msg
    assert "close.yml -e experiment=lab -e region=REGION" in done.msg


# Regions that cannot be used


def test_a_region_that_is_not_enabled_is_left_out(plan: Any) -> None:
    done = plan(names=(EAST, MILAN))
    assert done.rc == 0, done.msg
    assert (done.region, done.regions) == (EAST, [EAST])
    assert done.left_out == ["eu-south-1 cannot be used: it is not enabled for this account (AuthFailure)"]


def test_a_region_that_does_not_exist_is_left_out(plan: Any) -> None:
    done = plan(names=(EAST, NOWHERE))
    assert (done.rc, done.regions) == (0, [EAST]), done.msg
    assert done.left_out[0].startswith("us-east-9 cannot be used: ")


def test_a_region_that_a_policy_closes_is_left_out(aws: Aws, plan: Any) -> None:  # noqa: F811
    aws.control("fail", action="DescribeInstances", code="UnauthorizedOperation", http=403, region=WEST, times=None)
    done = plan()
    assert done.regions == [EAST]
    assert done.left_out == [
        "us-west-2 cannot be used: no permission there (ec2:DescribeInstances: UnauthorizedOperation)"
    ]


def test_a_fault_of_one_region_is_no_reason_to_go_elsewhere(aws: Aws, plan: Any) -> None:  # noqa: F811
    """The experiment may be there"""
    aws.control("fail", action="DescribeVolumes", code="InternalError", http=500, region=WEST, times=None)
    done = plan()
    assert done.rc == 1
    assert done.msg.startswith("us-west-2: ")
    assert "ec2:DescribeVolumes" in done.msg


def test_no_region_is_open(plan: Any) -> None:
    """Then it is the credentials: told once"""
    done = plan(names=(MILAN, "af-south-1"))
    assert done.rc == 1
    assert done.msg.startswith("eu-south-1, af-south-1: ")
    assert "credentials" in done.msg


def test_a_quota_of_one_region(aws: Aws, plan: Any) -> None:  # noqa: F811
    aws.control("quota", group="Standard", vcpus=0, region=WEST)
    done = plan()
    assert done.regions == [EAST]
    assert len(done.left_out) == 1
    assert done.left_out[0].startswith("us-west-2 is left out: ")
    assert "L-34B43A08" in done.left_out[0]
    aws.control("quota", group="Standard", vcpus=0)
    done = plan({"cache": False})
    assert done.rc == 1
    assert [line.split(" do not allow")[0][-9:] for line in done.problems] == [EAST, WEST]


def test_a_type_that_one_region_offers(plan: Any) -> None:
    only_there = "p4de.24xlarge"
    done = plan(capacity={"instance_types": ["t3.medium", only_there], "on_demand": "never"})
    assert done.rc == 0, done.msg
    offering = {pool["region"] for pool in done.all_pools if pool["instance_type"] == only_there}
    assert {pool["region"] for pool in done.all_pools} == {EAST, WEST}
    assert offering <= {EAST, WEST}


def test_a_type_that_no_region_offers(plan: Any) -> None:
    done = plan(capacity={"instance_types": ["t3.medium", "p2.xlarge"]})
    assert done.rc == 1
    assert len(done.problems) == 1
    assert done.problems[0].startswith("capacity.instance_types: p2.xlarge is not offered in us-east-1, us-west-2; ")


# Images


def test_an_image_for_each_region(plan: Any) -> None:
    ids = {EAST: image(EAST), WEST: image(WEST)}
    done = plan(image={"ssm_parameter": None, "ids": ids})
    assert done.rc == 0, done.msg
    assert done.image["id"] == ids[done.region]
    other = plan({"try_region": done.regions[1]}, image={"ssm_parameter": None, "ids": ids})
    assert other.image["id"] == ids[done.regions[1]]


def test_an_image_that_is_not_in_its_region(plan: Any) -> None:
    done = plan(image={"ssm_parameter": None, "ids": {EAST: image(EAST), WEST: image(EAST)}})
    assert done.rc == 1
    assert len(done.problems) == 1
    assert "in us-west-2; correct image.ids.us-west-2" in done.problems[0]


def test_a_region_without_the_image_says_how_to_name_one(plan: Any) -> None:
    name = {"ssm_parameter": None, "name": "nothing-*", "owner": "self"}
    done = plan(image=name)
    assert done.rc == 1
    assert [line.partition("; ")[0][-9:] for line in done.problems] == [EAST, WEST]
    assert all("image.ids: {us-east-1: ami-…, us-west-2: ami-…}" in line for line in done.problems)


# What others ask of several regions


def test_experiments_of_several_regions(far: Regions, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = far.aws.instance(), far.there(WEST).instance("us-west-2a")
    done = run(experiment_info.main, capsys, regions=[EAST, WEST, MILAN])
    assert [(one["experiment"], one["region"]) for one in done.experiments] == [("lab", EAST), ("lab", WEST)]
    found = {one["instance_id"]: one["region"] for entry in done.experiments for one in entry["instances"]}
    assert found == {here: EAST, there: WEST}
    assert done.regions == [EAST, WEST]
    assert done.left_out == ["eu-south-1 cannot be used: it is not enabled for this account (AuthFailure)"]
    assert done.experiments[1]["instances"][0]["price"] > 0


def test_what_is_left_in_a_region_goes_but_no_instance(far: Regions, capsys: pytest.CaptureFixture[str]) -> None:
    west = far.there(WEST)
    west.ec2.create_key_pair(KeyName="spot-lab", TagSpecifications=west.tag_specification("key-pair"))
    instance = west.instance("us-west-2a")
    args = {"experiment": "lab", "region": WEST, "idle_only": True}
    assert run(experiment.main, capsys, **args).changed is False
    assert len(west.ec2.describe_key_pairs()["KeyPairs"]) == 1
    west.ec2.terminate_instances(InstanceIds=[instance])
    assert run(experiment.main, capsys, **args).changed is True
    assert west.ec2.describe_key_pairs()["KeyPairs"] == []


@pytest.mark.parametrize(
    ("code", "elsewhere"),
    [
        ("InsufficientInstanceCapacity", True),
        ("MaxSpotInstanceCountExceeded", True),
        ("UnauthorizedOperation", True),
        ("OptInRequired", True),
        ("InvalidParameterValue", False),
        ("RequestExpired", False),
    ],
)
def test_which_refusal_another_region_may_help(
    aws: Aws,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    code: str,
    elsewhere: bool,
) -> None:
    subnet = aws.ec2.describe_subnets()["Subnets"][0]
    aws.ec2.create_launch_template(
        LaunchTemplateName="temp", LaunchTemplateData={"ImageId": aws.image(), "InstanceType": "t3.medium"}
    )
    aws.control("fail", action="CreateFleet", code=code, times=None)
    done = run(
        ec2_fleet.main,
        capsys,
        launch_template={"name": "temp", "version": "1"},
        overrides=[{"instance_type": "t3.medium", "subnet_id": subnet["SubnetId"]}],
        tags={"spot:experiment": "lab", "spot:generation": "1"},
        wait_timeout=0,
        region=EAST,
    )
    assert done.rc == 1
    assert done.fleet["another_region"] is elsewhere


# Two runs at the same moment


@pytest.fixture
def fleet(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    """Launch one instance of generation 1 in a region; both regions know each other."""

    def launch(region: str) -> Any:
        ec2 = boto3.client("ec2", region_name=region)
        data: Any = {"ImageId": image(region), "InstanceType": "t3.medium"}
        ec2.create_launch_template(LaunchTemplateName="temp", LaunchTemplateData=data)
        return run(
            ec2_fleet.main,
            capsys,
            launch_template={"name": "temp", "version": "1"},
            overrides=[
                {"instance_type": "t3.medium", "subnet_id": one["SubnetId"]}
                for one in ec2.describe_subnets()["Subnets"]
            ],
            tags={"spot:experiment": "lab", "spot:generation": "1"},
            wait_timeout=0,
            region=region,
            other_regions=[one for one in (EAST, WEST) if one != region],
        )

    return launch


def alive(aws: Aws) -> list[str]:  # noqa: F811
    return [one["InstanceId"] for one in aws.instances() if one["State"]["Name"] in ("pending", "running")]


def test_of_two_runs_in_two_regions_the_later_gives_way(far: Regions, fleet: Any) -> None:
    first = fleet(EAST)
    assert first.rc == 0, first.msg
    second = fleet(WEST)
    assert second.rc == 1
    assert f"meanwhile: {first.fleet['launched'][0]} in us-east-1" in second.msg
    assert (second.fleet["another_region"], second.fleet["launched"]) == (True, [])
    assert (alive(far.aws), alive(far.there(WEST))) == (first.fleet["launched"], [])


def test_a_run_that_was_done_before_stays(far: Regions, fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region first by name waits for the other to give way; that one has looked already"""
    monkeypatch.setattr(regions, "SETTLE_PAUSE_S", 0.01)
    first = fleet(WEST)
    second = fleet(EAST)
    assert (first.rc, second.rc) == (0, 1)
    assert (alive(far.aws), alive(far.there(WEST))) == ([], first.fleet["launched"])


def test_an_older_generation_elsewhere_is_no_other_run(far: Regions, fleet: Any) -> None:
    """AWS is taking it, which is why this one is launched"""
    west = far.there(WEST)
    old = west.instance("us-west-2a")
    west.ec2.create_tags(Resources=[old], Tags=[{"Key": "spot:generation", "Value": "0"}])
    assert fleet(EAST).rc == 0
