"""A fleet of type maintain has real machines, gets a new one for each that goes, and takes them all with it."""

from __future__ import annotations

import pytest
from lab_driver import Machine, until


@pytest.fixture
def template(lab):
    """A launch template for one small machine that can be logged into."""
    assert lab.key
    data = {"ImageId": lab.image(), "InstanceType": "t3.medium", "KeyName": "it"}
    made = lab.ec2.create_launch_template(LaunchTemplateName="fleets", LaunchTemplateData=data)
    yield {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"}
    lab.ec2.delete_launch_template(LaunchTemplateName="fleets")


@pytest.fixture
def fleet(lab, template):
    """A maintain fleet of one Spot Instance in one zone; deleted afterwards."""
    made = lab.ec2.create_fleet(
        Type="maintain",
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
        SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
        LaunchTemplateConfigs=[
            {"LaunchTemplateSpecification": template, "Overrides": [{"AvailabilityZone": "us-east-1a"}]}
        ],
    )["FleetId"]
    yield made
    lab.ec2.delete_fleets(FleetIds=[made], TerminateInstances=True)
    until(lambda: state(lab, made) == "deleted", "the fleet is deleted")


def state(lab, fleet_id):
    return lab.ec2.describe_fleets(FleetIds=[fleet_id])["Fleets"][0]["FleetState"]


def members(lab, fleet_id):
    """DescribeFleetInstances."""
    found = lab.ec2.describe_fleet_instances(FleetId=fleet_id)["ActiveInstances"]
    return [Machine(lab, i["InstanceId"]) for i in found]


def test_a_fleet_replaces_a_terminated_instance_and_ends_with_its_deletion(lab, fleet):
    # Source: EC2 API CreateFleet, Type maintain; DeleteFleets, TerminateInstances
    first = until(lambda: members(lab, fleet), "the first machine")[0].up()
    assert first.run("hostname") == "ip-" + first.private.replace(".", "-")

    lab.terminate(first)
    second = until(lambda: members(lab, fleet), "the second machine")[0].up()
    assert second.instance_id != first.instance_id

    lab.ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=True)
    second.until("terminated")
    until(lambda: state(lab, fleet) == "deleted", "the fleet is deleted")
    assert members(lab, fleet) == []
