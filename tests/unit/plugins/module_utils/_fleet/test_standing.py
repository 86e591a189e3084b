"""Fleets of types request and maintain: what is asked for, and what differs from what is there."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._fleet import standing
from ansible_collections.experiments.spot.plugins.module_utils._fleet.options import DEFAULTS

PARAMS: dict[str, Any] = {
    **DEFAULTS,
    "type": "maintain",
    "tags": {"spot:experiment": "x", "spot:generation": 1},
    "launch_template": {"name": "spot-x", "id": None, "version": "1"},
    "overrides": [
        {"instance_type": "g5.xlarge", "subnet_id": "subnet-1", "availability_zone": "us-east-1a"},
        {"instance_type": "g4dn.xlarge", "subnet_id": "subnet-2", "max_price": 0.5, "weighted_capacity": 2},
    ],
    "target_capacity": 3,
}
SIZE = {"vcpu_count": {"min": 4}, "memory_mib": {"min": 8192}}


def request(**change: Any) -> dict[str, Any]:
    return standing.request({**PARAMS, **change})


def answered(**change: Any) -> dict[str, Any]:
    """FleetData as AWS gives it back: with more keys, other forms and in another order."""
    wanted = request(**change)
    (config,) = wanted["LaunchTemplateConfigs"]
    template = {**config["LaunchTemplateSpecification"], "LaunchTemplateId": "lt-1"}
    overrides = [
        {
            **item,
            **({"AvailabilityZone": "us-east-1a"} if "SubnetId" in item else {}),
            "WeightedCapacity": item.get("WeightedCapacity", 1.0),
        }
        for item in reversed(config["Overrides"])
    ]
    for item in overrides:
        if "MaxPrice" in item:
            item["MaxPrice"] = "0.5000"
        if "InstanceRequirements" in item:
            item["InstanceRequirements"] = {**item["InstanceRequirements"], "BareMetal": "excluded"}
    spot = wanted.get("SpotOptions", {})
    return {
        "FleetId": "fleet-1",
        "FleetState": "active",
        **wanted,
        "SpotOptions": {**spot, "AllocationStrategy": camel(spot.get("AllocationStrategy", "lowest-price"))},
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": template, "Overrides": overrides}],
        "ExcessCapacityTerminationPolicy": wanted.get("ExcessCapacityTerminationPolicy", "termination"),
        "ReplaceUnhealthyInstances": wanted.get("ReplaceUnhealthyInstances", False),
        "TerminateInstancesWithExpiration": wanted.get("TerminateInstancesWithExpiration", False),
    }


def camel(words: str) -> str:
    first, *rest = words.split("-")
    return first + "".join(word.capitalize() for word in rest)


def test_request() -> None:
    assert request() == {
        "Type": "maintain",
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 3,
            "DefaultTargetCapacityType": "spot",
            "OnDemandTargetCapacity": 0,
            "SpotTargetCapacity": 3,
        },
        "SpotOptions": {
            "AllocationStrategy": "price-capacity-optimized",
            "InstanceInterruptionBehavior": "terminate",
        },
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "spot-x", "Version": "1"},
                "Overrides": [
                    {
                        "InstanceType": "g4dn.xlarge",
                        "SubnetId": "subnet-2",
                        "MaxPrice": "0.5",
                        "WeightedCapacity": 2.0,
                    },
                    {"InstanceType": "g5.xlarge", "SubnetId": "subnet-1"},
                ],
            }
        ],
        "TagSpecifications": [
            {
                "ResourceType": "fleet",
                "Tags": [{"Key": "spot:experiment", "Value": "x"}, {"Key": "spot:generation", "Value": "1"}],
            }
        ],
    }


def test_request_with_everything() -> None:
    wanted = request(
        on_demand_target_capacity=1,
        excess_capacity_termination_policy="no-termination",
        replace_unhealthy_instances=False,
        terminate_instances_with_expiration=True,
        valid_until="2999-01-01T00:00:00Z",
        capacity_rebalance={"replacement_strategy": "launch", "termination_delay": None},
        overrides=[{"instance_requirements": SIZE}],
        target_capacity_unit_type="vcpu",
    )
    assert wanted["TargetCapacitySpecification"]["OnDemandTargetCapacity"] == 1
    assert wanted["TargetCapacitySpecification"]["SpotTargetCapacity"] == 2
    assert wanted["TargetCapacitySpecification"]["TargetCapacityUnitType"] == "vcpu"
    assert wanted["OnDemandOptions"] == {"AllocationStrategy": "lowest-price"}
    assert wanted["ExcessCapacityTerminationPolicy"] == "no-termination"
    assert wanted["ReplaceUnhealthyInstances"] is False
    assert wanted["TerminateInstancesWithExpiration"] is True
    assert wanted["ValidUntil"] == datetime(2999, 1, 1, tzinfo=timezone.utc)
    assert wanted["SpotOptions"]["MaintenanceStrategies"] == {"CapacityRebalance": {"ReplacementStrategy": "launch"}}
    assert "InstanceRequirements" in str(wanted["LaunchTemplateConfigs"])


def test_on_demand_only() -> None:
    wanted = request(default_target_capacity_type="on-demand", max_total_price=2.0)
    assert wanted["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 3,
        "DefaultTargetCapacityType": "on-demand",
    }
    assert wanted["OnDemandOptions"] == {"AllocationStrategy": "lowest-price", "MaxTotalPrice": "2"}
    assert "SpotOptions" not in wanted
    assert "MaxPrice" not in str(wanted["LaunchTemplateConfigs"])


SAME: list[dict[str, Any]] = [
    {},
    {"allocation_strategy": "lowest-price"},
    {"allocation_strategy": "capacity-optimized-prioritized"},
    {"overrides": [{"instance_requirements": SIZE}]},
    {"on_demand_target_capacity": 1},
    {"valid_until": "2999-01-01T00:00:00Z"},
    {"default_target_capacity_type": "on-demand"},
]


@pytest.mark.parametrize("options", SAME)
def test_what_aws_gives_back_is_the_same(options: dict[str, Any]) -> None:
    assert standing.compare(answered(**options), request(**options)) == standing.Comparison()


@pytest.mark.parametrize(
    "given",
    [
        {"excess_capacity_termination_policy": "no-termination"},
        {"replace_unhealthy_instances": True},
        {"valid_until": "2999-01-01T00:00:00Z"},
        {"capacity_rebalance": {"replacement_strategy": "launch", "termination_delay": None}},
        {"max_total_price": 2.0},
        {"target_capacity_unit_type": "units"},
    ],
)
def test_what_is_not_given_stays(given: dict[str, Any]) -> None:
    assert standing.compare(answered(**given), request()) == standing.Comparison()


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"target_capacity": 4}, ["TargetCapacitySpecification"]),
        ({"on_demand_target_capacity": 1}, ["TargetCapacitySpecification"]),
        ({"excess_capacity_termination_policy": "no-termination"}, ["ExcessCapacityTerminationPolicy"]),
        ({"overrides": PARAMS["overrides"][:1]}, ["LaunchTemplateConfigs"]),
        ({"overrides": [{**PARAMS["overrides"][0], "priority": 1}, PARAMS["overrides"][1]]}, ["LaunchTemplateConfigs"]),
        ({"launch_template": {**PARAMS["launch_template"], "version": "2"}}, ["LaunchTemplateConfigs"]),
        ({"launch_template": {"name": "other", "id": None, "version": "1"}}, ["LaunchTemplateConfigs"]),
        ({"launch_template": {"name": None, "id": "lt-2", "version": "1"}}, ["LaunchTemplateConfigs"]),
        (
            {"target_capacity": 1, "excess_capacity_termination_policy": "no-termination"},
            ["ExcessCapacityTerminationPolicy", "TargetCapacitySpecification"],
        ),
    ],
)
def test_what_can_be_changed(change: dict[str, Any], keys: list[str]) -> None:
    wanted = request(**change)
    comparison = standing.compare(answered(), wanted)
    assert comparison == standing.Comparison({key: wanted[key] for key in keys})
    # A fleet of type request can never be changed.
    fixed = standing.compare({**answered(), "Type": "request"}, {**wanted, "Type": "request"})
    assert fixed.modify == {}
    assert len(fixed.fixed) == (2 if len(keys) == 2 else 1)


def test_template_by_id_or_of_the_default_version_is_not_taken_for_another() -> None:
    by_id = request(launch_template={"name": None, "id": "lt-1", "version": "1"})
    default = request(launch_template={"name": "spot-x", "id": None, "version": "$Default"})
    assert standing.compare(answered(), by_id) == standing.compare(answered(), default) == standing.Comparison()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"type": "request"}, "type: request is wanted, the fleet has maintain"),
        ({"allocation_strategy": "diversified"}, "allocation_strategy: diversified is wanted, the fleet has price"),
        ({"interruption_behavior": "stop"}, "interruption_behavior: stop is wanted, the fleet has terminate"),
        ({"max_total_price": 1.0}, "max_total_price: 1 is wanted, the fleet has none"),
        ({"replace_unhealthy_instances": True}, "replace_unhealthy_instances: True is wanted, the fleet has False"),
        (
            {"valid_until": "2999-01-01T00:00:00Z"},
            "valid_until: 2999-01-01T00:00:00+00:00 is wanted, the fleet has none",
        ),
        (
            {"capacity_rebalance": {"replacement_strategy": "launch", "termination_delay": None}},
            "capacity_rebalance.replacement_strategy: launch is wanted, the fleet has none",
        ),
        ({"target_capacity_unit_type": "vcpu"}, "target_capacity_unit_type: vcpu is wanted, the fleet has units"),
    ],
)
def test_what_cannot_be_changed(change: dict[str, Any], text: str) -> None:
    comparison = standing.compare(answered(), request(**change))
    assert len(comparison.fixed) == 1
    assert comparison.fixed[0].startswith(text)
    assert comparison.modify == {}


def test_token() -> None:
    wanted = request(valid_until="2999-01-01T00:00:00Z")
    first = standing.token(PARAMS, wanted, 0)
    assert first == standing.token(PARAMS, wanted, 0)
    assert len({first, standing.token(PARAMS, wanted, 1), standing.token(PARAMS, request(), 0)}) == 3
    other = {**PARAMS, "tags": {"spot:experiment": "x", "spot:generation": 2}}
    assert standing.token(other, wanted, 0) != first


@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64), st.integers(1, 99)
)
def test_given_token_stays_within_the_limit(token: str, attempt: int) -> None:
    params = {**PARAMS, "client_token": token}
    assert standing.token(params, {}, 0) == token
    assert len(standing.token(params, {}, attempt)) <= 64


@pytest.mark.parametrize(
    ("fleet", "done"),
    [
        ({"FleetState": "active", "FulfilledCapacity": 2.0}, True),
        ({"FleetState": "active", "FulfilledCapacity": 3.0}, True),
        ({"FleetState": "active", "FulfilledCapacity": 1.0, "ActivityStatus": "fulfilled"}, False),
        ({"FleetState": "modifying", "FulfilledCapacity": 2.0}, False),
        ({"FleetState": "active"}, False),
        ({}, False),
    ],
)
def test_is_fulfilled(fleet: dict[str, Any], done: bool) -> None:
    assert standing.is_fulfilled({"TargetCapacitySpecification": {"TotalTargetCapacity": 2}, **fleet}) is done


def test_elder() -> None:
    early, late = (datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2))
    fleets = [
        {"FleetId": "fleet-c", "CreateTime": late},
        {"FleetId": "fleet-b", "CreateTime": early},
        {"FleetId": "fleet-a", "CreateTime": early},
    ]
    assert [fleet["FleetId"] for fleet in standing.elder(fleets)] == ["fleet-a", "fleet-b", "fleet-c"]


def test_summary_is_that_of_the_request_once_the_fleet_is_so() -> None:
    assert standing.summary({}) == {}
    after = {key: value for key, value in standing.summary(request()).items() if key != "overrides"}
    assert {key: value for key, value in standing.summary(answered()).items() if key != "overrides"} == after
