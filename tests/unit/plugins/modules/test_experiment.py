"""Removing an experiment, over the wire: real boto3, the lab's API."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import experiment
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401


class Made:
    """An experiment with one of everything, and things that are not its own."""

    def __init__(self, aws: Aws) -> None:  # noqa: F811
        ec2 = aws.ec2
        self.group = ec2.create_security_group(
            GroupName="spot-lab", Description="x", TagSpecifications=aws.tag_specification("security-group")
        )["GroupId"]
        self.key = ec2.create_key_pair(KeyName="spot-lab", TagSpecifications=aws.tag_specification("key-pair"))[
            "KeyPairId"
        ]
        self.templates = [
            ec2.create_launch_template(
                LaunchTemplateName=name,
                LaunchTemplateData={
                    "ImageId": aws.image(),
                    "InstanceType": "t3.medium",
                    "SecurityGroupIds": [self.group],
                },
                TagSpecifications=aws.tag_specification("launch-template"),
            )["LaunchTemplate"]["LaunchTemplateId"]
            for name in ("spot-lab-1", "spot-lab-2")
        ]
        self.fleet = aws.fleet("spot-lab-1")
        (instance,) = aws.instances()
        self.instance = instance["InstanceId"]
        self.volume = aws.volume(instance["Placement"]["AvailabilityZone"])
        ec2.attach_volume(VolumeId=self.volume, InstanceId=self.instance, Device="/dev/sdf")
        ec2.create_key_pair(KeyName="mine")
        self.theirs = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a", VolumeType="gp3")["VolumeId"]


@pytest.fixture
def made(aws: Aws) -> Made:  # noqa: F811
    return Made(aws)


@pytest.fixture
def absent(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(experiment.main, capsys, **{"experiment": "lab", **args})


def remaining(aws: Aws) -> dict[str, list[str]]:  # noqa: F811
    ec2 = aws.ec2
    return {
        "keys": [one["KeyName"] for one in ec2.describe_key_pairs()["KeyPairs"]],
        "templates": [one["LaunchTemplateName"] for one in ec2.describe_launch_templates()["LaunchTemplates"]],
        "groups": [
            one["GroupName"]
            for one in ec2.describe_security_groups()["SecurityGroups"]
            if one["GroupName"] != "default"
        ],
        "alive": [one["InstanceId"] for one in aws.instances() if one["State"]["Name"] != "terminated"],
    }


@pytest.mark.slow
def test_two_runs_remove_all_and_a_third_changes_nothing(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    first = absent()
    assert first.rc == 0, first.msg
    assert first.changed is True
    assert set(first.deleted) == {made.instance, made.fleet, made.key, *made.templates}
    assert (first.terminating, first.pending) == ([made.instance], [made.instance, made.group])
    assert [one["volume_id"] for one in first.kept] == [made.volume]
    second = absent()
    assert (second.changed, second.deleted, second.pending) == (True, [made.group], [])
    assert remaining(aws) == {"keys": ["mine"], "templates": [], "groups": [], "alive": []}
    aws.forget_calls()
    third = absent()
    assert (third.changed, third.deleted, third.pending, third.terminating) == (False, [], [], [])
    assert [one["volume_id"] for one in third.kept] == [made.volume]
    assert aws.calls(mutating=True) == []


def test_check_mode_predicts_and_changes_nothing(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    before = remaining(aws)
    aws.forget_calls()
    predicted = absent(_ansible_check_mode=True, delete_volumes=["data"])
    assert aws.calls(mutating=True) == []
    assert remaining(aws) == before
    done = absent(delete_volumes=["data"])
    assert (predicted.changed, sorted(predicted.deleted)) == (True, sorted(done.deleted))
    assert (predicted.pending, predicted.diff) == (done.pending, done.diff)
    assert f"instance {made.instance} running" in done.diff["before"]
    assert made.instance not in done.diff["after"]


def test_named_volumes_go_when_their_instance_is_gone(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    first = absent(delete_volumes=["data"])
    assert made.volume in first.pending
    assert absent(delete_volumes=["data"]).deleted == [made.group, made.volume]
    last = absent(delete_volumes=["data"])
    assert (last.rc, last.changed, last.kept) == (0, False, [])
    assert [one["VolumeId"] for one in aws.ec2.describe_volumes()["Volumes"]] == [made.theirs]


def test_volumes_that_are_not_ours_are_refused_before_anything_is_removed(
    aws: Aws,  # noqa: F811
    made: Made,
    absent: Any,
) -> None:
    before = remaining(aws)
    done = absent(delete_volumes=["data", made.theirs])
    assert done.rc == 1
    assert f"{made.theirs} was not made by experiment lab" in done.msg
    assert remaining(aws) == before


def test_all_volumes_means_all_of_ours(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    absent(delete_volumes=["all"])
    absent(delete_volumes=["all"])
    assert [one["VolumeId"] for one in aws.ec2.describe_volumes()["Volumes"]] == [made.theirs]


def test_a_denied_removal_does_not_stop_the_rest(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    aws.deny("DeleteKeyPair")
    aws.deny("DeleteLaunchTemplate")
    done = absent()
    assert done.rc == 1
    assert "ec2:DeleteKeyPair" in done.msg
    assert "ec2:DeleteLaunchTemplate" in done.msg
    assert all(template in done.msg for template in made.templates)
    assert set(done.deleted) == {made.instance, made.fleet}
    assert done.changed is True
    assert remaining(aws)["alive"] == []


def test_a_group_that_something_else_uses_stays_pending(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    absent()
    aws.ec2.run_instances(
        ImageId=aws.image(), InstanceType="t3.medium", MinCount=1, MaxCount=1, SecurityGroupIds=[made.group]
    )
    done = absent()
    assert (done.rc, done.changed, done.pending) == (0, False, [made.group])


def test_an_experiment_that_never_was(aws: Aws, absent: Any) -> None:  # noqa: F811
    done = absent(experiment="nobody", delete_volumes=["data"])
    assert (done.rc, done.changed, done.deleted, done.pending) == (0, False, [], [])


def test_another_experiment_is_not_touched(aws: Aws, made: Made, absent: Any) -> None:  # noqa: F811
    other = aws.volume(**{"spot:experiment": "digits"})
    absent(delete_volumes=["all"])
    absent(delete_volumes=["all"])
    assert other in [one["VolumeId"] for one in aws.ec2.describe_volumes()["Volumes"]]
