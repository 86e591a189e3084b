"""From the options of spot_fleet to RequestSpotFleet."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import fleet_request
from ansible_collections.experiments.spot.plugins.modules import spot_fleet

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
ROLE = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
TAGS = {"spot:experiment": "lab", "spot:generation": 1}
SPECIFICATION = {"ImageId": "ami-1", "InstanceType": "g5.xlarge"}
OVERRIDE = dict.fromkeys(
    ("instance_type", "instance_requirements", "subnet_id", "availability_zone", "max_price", "weighted_capacity",
     "priority")
)  # fmt: skip
TEMPLATE = {
    "launch_template": {"id": None, "name": "t", "version": "1"},
    "overrides": [
        {**OVERRIDE, "instance_type": "g5.xlarge", "subnet_id": "subnet-1", "availability_zone": "us-east-1a"}
    ],
}
DEFAULTS = {key: spec.get("default") for key, spec in spot_fleet.argument_spec().items()}


def params(**more: Any) -> dict[str, Any]:
    pools = {} if "launch_template_configs" in more else {"launch_specifications": [SPECIFICATION]}
    return {**DEFAULTS, "tags": TAGS, "iam_fleet_role": ROLE, **pools, **more}


def problems(**more: Any) -> list[str]:
    return fleet_request.problems(params(**more), NOW)


def test_request_always_says_type_and_strategy() -> None:
    assert fleet_request.config(params()) == {
        "IamFleetRole": ROLE,
        "Type": "request",
        "TargetCapacity": 1,
        "AllocationStrategy": "priceCapacityOptimized",
        "InstanceInterruptionBehavior": "terminate",
        "TerminateInstancesWithExpiration": True,
        "TagSpecifications": [
            {
                "ResourceType": "spot-fleet-request",
                "Tags": [{"Key": "spot:experiment", "Value": "lab"}, {"Key": "spot:generation", "Value": "1"}],
            }
        ],
        "LaunchSpecifications": [
            {
                **SPECIFICATION,
                "TagSpecifications": [
                    {
                        "ResourceType": "instance",
                        "Tags": [{"Key": "spot:experiment", "Value": "lab"}, {"Key": "spot:generation", "Value": "1"}],
                    }
                ],
            }
        ],
    }


def test_maintain_and_templates() -> None:
    wanted = params(
        launch_template_configs=[TEMPLATE, {"launch_template": {"id": "lt-1", "version": "$Latest"}, "overrides": []}],
        type="maintain",
        on_demand_target_capacity=1,
        target_capacity=3,
        capacity_rebalance={"replacement_strategy": "launch-before-terminate", "termination_delay": 120},
        excess_capacity_termination_policy="no-termination",
        max_total_price=1.5,
        valid_until="2026-02-01T00:00:00Z",
    )
    found = fleet_request.config(wanted)
    assert found["LaunchTemplateConfigs"] == [
        {
            "LaunchTemplateSpecification": {"LaunchTemplateName": "t", "Version": "1"},
            "Overrides": [{"InstanceType": "g5.xlarge", "SubnetId": "subnet-1"}],
        },
        {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "$Latest"}},
    ]
    assert found["SpotMaintenanceStrategies"] == {
        "CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 120}
    }
    assert (found["ExcessCapacityTerminationPolicy"], found["ReplaceUnhealthyInstances"]) == ("noTermination", False)
    assert (found["OnDemandTargetCapacity"], found["OnDemandAllocationStrategy"]) == (1, "lowestPrice")
    assert (found["SpotMaxTotalPrice"], found["ValidUntil"]) == ("1.5", datetime(2026, 2, 1, tzinfo=timezone.utc))
    assert "LaunchSpecifications" not in found
    assert fleet_request.types(wanted) == ["g5.xlarge"]


def test_token_depends_on_all_that_is_asked_and_on_what_is_over() -> None:
    def token(over: Any = (), **more: Any) -> str:
        wanted = params(**more)
        return fleet_request.client_token(wanted, fleet_request.config(wanted), over)

    assert token() == token(tags=dict(reversed(TAGS.items())))
    assert token(over=["sfr-1", "sfr-2"]) == token(over=["sfr-2", "sfr-1"])
    different = [token(), token(["sfr-1"]), token(target_capacity=2), token(tags={**TAGS, "spot:generation": 2})]
    assert len(set(different)) == 4
    assert all(len(one) == 40 and one.isascii() for one in different)
    assert (token(client_token="mine"), token(["sfr-1"], client_token="mine")) == ("mine", "mine-1")
    assert len(token(["sfr-1"], client_token="x" * 64)) == 64


def test_good_options_have_no_problems() -> None:
    assert problems() == []
    assert problems(launch_template_configs=[TEMPLATE], type="maintain", target_capacity=0) == []
    assert fleet_request.problems({**DEFAULTS, "state": "absent", "tags": {"spot:experiment": "lab"}}, NOW) == []


@pytest.mark.parametrize(
    "role",
    [
        "arn:aws:iam::123456789012:role/x",
        "arn:aws-cn:iam::123456789012:role/x",
        "arn:aws-us-gov:iam::123456789012:role/a/b/x+=,.@-_",
        "arn:aws:iam::123456789012:role/aws-service-role/spotfleet.amazonaws.com/AWSServiceRoleForEC2SpotFleet",
    ],
)
def test_good_roles(role: str) -> None:
    assert problems(iam_fleet_role=role) == []


@pytest.mark.parametrize(
    "role",
    [
        None,
        "",
        "aws-ec2-spot-fleet-tagging-role",
        "arn:aws:iam::12345:role/x",
        "arn:aws:iam::123456789012:user/x",
        "arn:aws:iam::123456789012:instance-profile/x",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/x\n",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:iam::123456789012:role/" + "x" * 65,
    ],
)
def test_bad_roles(role: str | None) -> None:
    (line,) = problems(iam_fleet_role=role)
    assert (
        line.startswith("iam_fleet_role") and "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role" in line
    )


def override(**more: Any) -> dict[str, Any]:
    return {"launch_template_configs": [{**TEMPLATE, "overrides": [{**OVERRIDE, **more}]}]}


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ({"tags": {"spot:generation": "1"}}, "tags: the tag spot:experiment is missing"),
        ({"tags": {"spot:experiment": "x"}}, "tags: the tag spot:generation is missing"),
        ({"tags": {**TAGS, "aws:x": "1"}}, "tags: aws:x: AWS reserves"),
        ({"tags": {**TAGS, **{str(n): "" for n in range(49)}}}, "tags: 51 tags"),
        ({"wait_timeout": -1}, "wait_timeout: -1"),
        ({"spot_fleet_request_ids": ["sfr-1"]}, "spot_fleet_request_ids[0]: 'sfr-1'"),
        ({"launch_specifications": []}, "give exactly one of launch_spec"),
        ({"launch_template_configs": [TEMPLATE], "launch_specifications": [SPECIFICATION]}, "give exactly one of launch_"),
        ({"launch_specifications": [SPECIFICATION, {"InstanceType": "g5.xlarge"}]}, "launch_specifications[1]: ImageId"),
        ({"launch_template_configs": [{**TEMPLATE, "launch_template": {"version": "1"}}]},
         "launch_template_configs[0].launch_template: give exactly one of id and name"),
        (override(instance_type="g5"), "launch_template_configs[0].overrides[0].instance_type: 'g5'"),
        (override(max_price=0.001), "launch_template_configs[0].overrides[0].max_price: 0.001"),
        (override(weighted_capacity=0), "launch_template_configs[0].overrides[0].weighted_capacity: 0"),
        (override(instance_type="g5.x", instance_requirements={"a": 1}),
         "launch_template_configs[0].overrides[0].instance_type: not together"),
        ({"target_capacity": 0}, "target_capacity: 0 is not between 1 and 10000 for type request"),
        ({"target_capacity": 10001}, "target_capacity: 10001"),
        ({"instance_pools_to_use_count": 0, "allocation_strategy": "lowest-price"}, "instance_pools_to_use_count: 0"),
        ({"instance_pools_to_use_count": 2}, "instance_pools_to_use_count needs allocation_strategy lowest-price"),
        ({"client_token": "x" * 65}, "client_token"),
        ({"client_token": "ü"}, "client_token"),
        ({"replace_unhealthy_instances": True}, "replace_unhealthy_instances needs type maintain"),
        ({"excess_capacity_termination_policy": "default"}, "excess_capacity_termination_policy needs type maintain"),
        ({"capacity_rebalance": {"replacement_strategy": "launch"}}, "capacity_rebalance needs type maintain"),
        ({"interruption_behavior": "stop"}, "interruption_behavior: stop needs type maintain"),
        ({"allocation_strategy": "capacity-optimized-prioritized"}, "allocation_strategy: the prioritized one needs"),
        ({"on_demand_target_capacity": 1}, "on_demand_target_capacity needs launch_template_configs"),
        ({"launch_template_configs": [TEMPLATE], "on_demand_target_capacity": 2}, "on_demand_target_capacity: 2 is not"),
        ({"type": "maintain", "capacity_rebalance": {"replacement_strategy": "launch-before-terminate"}},
         "capacity_rebalance.termination_delay is required"),
        ({"type": "maintain", "capacity_rebalance": {"replacement_strategy": "launch", "termination_delay": 120}},
         "capacity_rebalance.termination_delay needs"),
        ({"type": "maintain",
          "capacity_rebalance": {"replacement_strategy": "launch-before-terminate", "termination_delay": 60}},
         "capacity_rebalance.termination_delay: 60 is not between 120 and 7200"),
        ({"max_price": 0.0}, "max_price: 0.0"),
        ({"max_total_price": -1.0}, "max_total_price: -1.0"),
        ({"valid_from": "tomorrow"}, "valid_from: 'tomorrow' is not a time"),
        ({"valid_until": "2026-01-31T11:00:00Z"}, "valid_until: 2026-01-31T11:00:00Z is not after now"),
        ({"valid_from": "2026-03-01T00:00:00", "valid_until": "2026-02-01T00:00:00"}, "valid_until: 2026-02-01T00:00:00"),
    ],
)  # fmt: skip
def test_each_problem(more: dict[str, Any], start: str) -> None:
    (line,) = problems(**more)
    assert line.startswith(start)


def test_all_problems_at_once() -> None:
    found = problems(tags={}, iam_fleet_role="x", launch_specifications=[{}], target_capacity=-1, max_price=0.0)
    assert len(found) == 7


def test_moment() -> None:
    assert fleet_request.moment("2026-01-31T12:00:00") == NOW
    assert fleet_request.moment("2026-01-31T13:00:00+01:00") == NOW
    assert fleet_request.moment("2026-01-31T12:00:00z") == NOW
    assert fleet_request.moment(None) is None
