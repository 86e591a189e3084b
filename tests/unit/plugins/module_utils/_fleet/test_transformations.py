"""Shapes of AWS to ours and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._fleet import transformations as shapes
from ansible_collections.experiments.spot.plugins.module_utils._fleet.values import Instance, Pool, Request, Wish

A = Pool("g5.xlarge", "subnet-1", "us-east-1a", max_price=0.5)
B = Pool("g4dn.xlarge", "subnet-2", "us-east-1b", weight=2, priority=1)
WISH = Wish("mnist", "1", {"LaunchTemplateId": "lt-1", "Version": "3"}, (A, B), tags={"spot:experiment": "mnist"})
REQUEST = Request((A, B), 1)


def params(wish: Wish = WISH, request: Request = REQUEST) -> dict[str, Any]:
    return shapes.create_fleet_request(wish, request)


def test_type_and_strategy_are_always_sent() -> None:
    assert params()["Type"] == "instant"
    assert params()["SpotOptions"]["AllocationStrategy"] == "price-capacity-optimized"


def test_overrides() -> None:
    assert params()["LaunchTemplateConfigs"][0]["Overrides"] == [
        {"InstanceType": "g4dn.xlarge", "SubnetId": "subnet-2", "Priority": 1.0, "WeightedCapacity": 2.0},
        {"InstanceType": "g5.xlarge", "SubnetId": "subnet-1", "MaxPrice": "0.5"},
    ]


def test_zone_is_sent_only_without_a_subnet() -> None:
    request = Request((Pool("g5.xlarge", zone="us-east-1a"), Pool("g5.xlarge")), 1)
    assert params(request=request)["LaunchTemplateConfigs"][0]["Overrides"] == [
        {"InstanceType": "g5.xlarge"},
        {"InstanceType": "g5.xlarge", "AvailabilityZone": "us-east-1a"},
    ]


def test_on_demand_has_no_spot_options_and_no_spot_price() -> None:
    wish = replace(WISH, market="on-demand", on_demand_allocation_strategy="prioritized")
    result = params(wish, replace(REQUEST, market="on-demand"))
    assert result["OnDemandOptions"] == {"AllocationStrategy": "prioritized"}
    assert "SpotOptions" not in result
    assert "MaxPrice" not in str(result)


def test_on_demand_part_of_a_spot_fleet_is_asked_for_by_itself() -> None:
    result = params(replace(WISH, on_demand=1), replace(REQUEST, market="on-demand"))
    assert result["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 1,
        "DefaultTargetCapacityType": "on-demand",
    }
    assert result["OnDemandOptions"] == {"AllocationStrategy": "lowest-price"}
    assert "SpotOptions" not in result
    assert result["ClientToken"] != params()["ClientToken"]


def test_number_of_the_only_instance_is_a_tag_of_the_instance_alone() -> None:
    fleet, instance = params(replace(WISH, index_tag="spot:rank"), replace(REQUEST, index=3))["TagSpecifications"]
    assert {"Key": "spot:rank", "Value": "3"} in instance["Tags"]
    assert "spot:rank" not in str(fleet)


@pytest.mark.parametrize(
    ("options", "capacity", "minimum"),
    [
        ({"single_zone": True, "target": 3, "required": 3}, 3, 3),
        # Two are there already: the two missing ones must come together.
        ({"single_zone": True, "target": 4, "required": 4}, 2, 2),
        ({"single_instance_type": True, "target": 4, "required": 3}, 4, 3),
        ({"single_zone": True, "target": 4, "required": 1}, 4, None),
        ({"single_zone": True}, 1, None),
        # AWS takes the minimum only with one of the two options.
        ({"target": 3, "required": 3}, 3, None),
    ],
)
def test_minimum(options: dict[str, Any], capacity: int, minimum: int | None) -> None:
    result = params(replace(WISH, **options), Request((A, B), capacity))
    assert result["SpotOptions"].get("MinTargetCapacity") == minimum


def test_token_does_not_depend_on_the_order_of_pools() -> None:
    assert params()["ClientToken"] == params(request=Request((B, A), 1))["ClientToken"]


@pytest.mark.parametrize(
    ("wish", "request_"),
    [
        (replace(WISH, experiment="other"), REQUEST),
        (replace(WISH, generation="2"), REQUEST),
        (replace(WISH, launch_template={"LaunchTemplateId": "lt-1", "Version": "4"}), REQUEST),
        (WISH, replace(REQUEST, attempt=1)),
        (WISH, replace(REQUEST, capacity=2)),
        (WISH, replace(REQUEST, pools=(A,))),
    ],
)
def test_token_differs(wish: Wish, request_: Request) -> None:
    assert params(wish, request_)["ClientToken"] != params()["ClientToken"]


@given(st.text(alphabet=st.characters(max_codepoint=127), min_size=1, max_size=64), st.integers(0, 9999))
def test_given_token_stays_within_the_limit_and_differs_by_attempt(token: str, attempt: int) -> None:
    wish = replace(WISH, client_token=token)
    made = params(wish, replace(REQUEST, attempt=attempt))["ClientToken"]
    assert len(made) <= 64
    assert (made == token) == (attempt == 0) or len(token) == 64


def test_instances_from_answer() -> None:
    answer = {
        "FleetId": "fleet-1",
        "Instances": [
            {
                "LaunchTemplateAndOverrides": {"Overrides": {"InstanceType": "g5.xlarge", "SubnetId": "subnet-1"}},
                "Lifecycle": "spot",
                "InstanceIds": ["i-1", "i-2"],
                "InstanceType": "g5.xlarge",
            }
        ],
    }
    one, two = shapes.instances_from_answer(answer)
    assert one == Instance("i-1", "g5.xlarge", "", "subnet-1", "spot", "pending", "", "fleet-1")
    assert two.instance_id == "i-2"


@pytest.mark.parametrize("answer", [{}, {"Instances": None, "Errors": None}, {"Instances": [{}], "Errors": [{}]}])
def test_sparse_answers_do_no_harm(answer: dict[str, Any]) -> None:
    assert shapes.instances_from_answer(answer) == ()
    assert len(shapes.refusals_from_answer(answer, REQUEST)) == len(answer.get("Errors") or [])


def errors(*entries: tuple[dict[str, str], str]) -> dict[str, Any]:
    return {
        "Errors": [
            {"LaunchTemplateAndOverrides": {"Overrides": override}, "ErrorCode": code, "ErrorMessage": "no"}
            for override, code in entries
        ]
    }


@pytest.mark.parametrize(
    ("override", "pool"),
    [
        ({"InstanceType": "g5.xlarge", "SubnetId": "subnet-1"}, A),
        ({"InstanceType": "g5.xlarge", "SubnetId": "subnet-1", "AvailabilityZone": "us-east-1a"}, A),
        ({"InstanceType": "g5.xlarge", "AvailabilityZone": "us-east-1a"}, A),
        ({"InstanceType": "g5.xlarge"}, A),
        ({"InstanceType": "g5.xlarge", "SubnetId": "subnet-9"}, None),
        ({"InstanceType": "g5.xlarge", "AvailabilityZone": "us-east-1f"}, None),
        ({"InstanceType": "p2.xlarge"}, None),
        ({}, None),
    ],
)
def test_refusal_names_its_pool(override: dict[str, str], pool: Pool | None) -> None:
    (refusal,) = shapes.refusals_from_answer(errors((override, "InsufficientInstanceCapacity")), REQUEST)
    assert refusal.pool == pool


def test_ambiguous_override_means_no_single_pool() -> None:
    request = Request((A, replace(A, subnet_id="subnet-3", zone="us-east-1c")), 1)
    (refusal,) = shapes.refusals_from_answer(errors(({"InstanceType": "g5.xlarge"}, "X")), request)
    assert refusal.pool is None


def test_repeated_errors_come_once() -> None:
    entry = ({"InstanceType": "g5.xlarge"}, "InsufficientInstanceCapacity")
    assert len(shapes.refusals_from_answer(errors(entry, entry), REQUEST)) == 1


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=timezone.utc)
DATE = {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 12:00:00 GMT"}}}


@pytest.mark.parametrize(
    ("fleet", "answer", "stale"),
    [
        # The request took 10 s.
        ({"CreateTime": NOW}, DATE, False),
        ({"CreateTime": NOW - timedelta(seconds=13)}, DATE, False),
        ({"CreateTime": NOW - timedelta(seconds=15)}, DATE, True),
        ({}, DATE, False),
        ({"CreateTime": NOW - timedelta(days=1)}, {}, False),
        ({"CreateTime": NOW - timedelta(days=1)}, {"ResponseMetadata": {"HTTPHeaders": {"date": "today"}}}, False),
    ],
)
def test_is_stale(fleet: dict[str, Any], answer: dict[str, Any], stale: bool) -> None:
    assert shapes.is_stale(fleet, answer, 10.0) is stale


def test_instance_from_boto() -> None:
    found = shapes.instance_from_boto(
        {
            "InstanceId": "i-1",
            "InstanceType": "g5.xlarge",
            "Placement": {"AvailabilityZone": "us-east-1a"},
            "SubnetId": "subnet-1",
            "InstanceLifecycle": "spot",
            "State": {"Name": "terminated"},
            "StateReason": {"Code": "Server.SpotInstanceTermination", "Message": "taken back"},
            "LaunchTime": NOW,
            "Tags": [{"Key": "aws:ec2:fleet-id", "Value": "fleet-1"}],
        }
    )
    assert found == Instance(
        "i-1",
        "g5.xlarge",
        "us-east-1a",
        "subnet-1",
        "spot",
        "terminated",
        "2026-01-01T12:00:00+00:00",
        "fleet-1",
        "taken back",
    )


@pytest.mark.parametrize(("key", "index"), [("spot:rank", 3), ("", None), ("other", None), ("Name", None)])
def test_number_of_an_instance(key: str, index: int | None) -> None:
    tags = [{"Key": "spot:rank", "Value": "3"}, {"Key": "Name", "Value": "x"}]
    assert shapes.instance_from_boto({"InstanceId": "i-1", "Tags": tags}, key).index == index


@pytest.mark.parametrize(
    ("generation", "ids"),
    [("", ["fleet-1", "fleet-2", "fleet-4"]), ("1", ["fleet-1", "fleet-4"]), ("2", ["fleet-2", "fleet-4"])],
)
def test_fleets_of(generation: str, ids: list[str]) -> None:
    def tags(number: str) -> list[dict[str, str]]:
        return [{"Key": "spot:generation", "Value": number}]

    fleets = [
        {"FleetId": "fleet-2", "Tags": tags("2")},
        {"FleetId": "fleet-1", "Tags": tags("1")},
        {"FleetId": "fleet-4"},
    ]
    assert [fleet["FleetId"] for fleet in shapes.fleets_of(fleets, generation)] == ids
