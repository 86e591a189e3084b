"""What experiments have, over the wire: real boto3, the lab's API."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import experiment_info
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401


@pytest.fixture
def info(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(experiment_info.main, capsys, **args)


def test_nothing_is_there(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info()
    assert (done.rc, done.changed, done.region, done.experiments) == (0, False, "us-east-1", [])


def test_an_experiment_with_everything(aws: Aws, info: Any) -> None:  # noqa: F811
    group = aws.ec2.create_security_group(
        GroupName="spot-lab", Description="x", TagSpecifications=aws.tag_specification("security-group")
    )["GroupId"]
    aws.ec2.create_key_pair(KeyName="spot-lab", TagSpecifications=aws.tag_specification("key-pair"))
    aws.ec2.create_launch_template(
        LaunchTemplateName="spot-lab-1",
        LaunchTemplateData={"ImageId": aws.image(), "InstanceType": "t3.medium"},
        TagSpecifications=aws.tag_specification("launch-template"),
    )
    fleet = aws.fleet("spot-lab-1")
    (instance,) = [one["InstanceId"] for one in aws.instances()]
    zone = aws.instances()[0]["Placement"]["AvailabilityZone"]
    volume = aws.volume(zone)
    aws.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    done = info(experiment="lab")
    assert done.rc == 0, done.msg
    (lab,) = done.experiments
    assert (lab["experiment"], lab["profile"], lab["generation"]) == ("lab", "lab", 1)
    assert [(one["instance_id"], one["rank"], one["lifecycle"]) for one in lab["instances"]] == [(instance, 0, "spot")]
    assert lab["instances"][0]["fleet_id"] == fleet
    assert 0 < lab["instances"][0]["price"] < lab["instances"][0]["on_demand_price"]
    assert lab["instances"][0]["address"]
    assert lab["cost_per_hour"] == lab["instances"][0]["price"]
    assert lab["cost_so_far"] > 0
    assert [(one["volume_id"], one["attached_to"], one["ours"]) for one in lab["volumes"]] == [(volume, instance, True)]
    assert lab["storage_cost_per_month"] == 0.16
    assert [one["group_id"] for one in lab["security_groups"]] == [group]
    assert [one["name"] for one in lab["key_pairs"]] == ["spot-lab"]
    assert [one["name"] for one in lab["launch_templates"]] == ["spot-lab-1"]
    assert [one["fleet_id"] for one in lab["fleets"]] == [fleet]
    assert lab["others"] == []


def test_all_experiments_or_one(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.volume()
    aws.volume(**{"spot:experiment": "digits"})
    assert [one["experiment"] for one in info().experiments] == ["digits", "lab"]
    assert [one["experiment"] for one in info(experiment="digits").experiments] == ["digits"]
    assert info(experiment="nobody").experiments == []


def test_terminated_instances_only_when_asked_for(aws: Aws, info: Any) -> None:  # noqa: F811
    instance = aws.instance()
    aws.ec2.terminate_instances(InstanceIds=[instance])
    assert info().experiments == []
    (lab,) = info(include_terminated=True).experiments
    assert [(one["instance_id"], one["state"]) for one in lab["instances"]] == [(instance, "terminated")]
    assert lab["cost_per_hour"] == 0


def test_volume_of_the_user_that_an_instance_holds(aws: Aws, info: Any) -> None:  # noqa: F811
    instance = aws.instance()
    theirs = aws.ec2.create_volume(Size=3, AvailabilityZone="us-east-1a", VolumeType="gp3")["VolumeId"]
    aws.ec2.attach_volume(VolumeId=theirs, InstanceId=instance, Device="/dev/sdf")
    (lab,) = info().experiments
    assert [(one["volume_id"], one["ours"]) for one in lab["volumes"]] == [(theirs, False)]


def test_without_the_permission_for_prices(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.instance()
    for action in ("GetProducts", "DescribeSpotPriceHistory"):
        aws.deny(action)
    done = info()
    assert done.rc == 0
    assert done.experiments[0]["cost_per_hour"] is None
    assert len(done.notes) == 2


def test_a_permission_that_is_needed_is_named(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("DescribeKeyPairs")
    done = info()
    assert done.rc == 1
    assert "ec2:DescribeKeyPairs" in done.msg
