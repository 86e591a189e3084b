"""What a Spot Fleet request is and does."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import fleet_state
from ansible_collections.experiments.spot.plugins.module_utils._spot.fleet_state import Progress

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
PARAMS: dict[str, Any] = {
    "type": "maintain",
    "target_capacity": 2,
    "on_demand_target_capacity": 0,
    "launch_template_configs": None,
    "excess_capacity_termination_policy": None,
    "allocation_strategy": "diversified",
    "interruption_behavior": "terminate",
    "iam_fleet_role": "arn",
}


def fleet(fleet_id: str = "sfr-1", state: str = "active", activity: str | None = "fulfilled", **config: Any) -> Any:
    return {
        "SpotFleetRequestId": fleet_id,
        "SpotFleetRequestState": state,
        "ActivityStatus": activity,
        "CreateTime": NOW,
        "SpotFleetRequestConfig": {"TargetCapacity": 2, "FulfilledCapacity": 2.0, "Type": "maintain", **config},
        "Tags": [{"Key": "spot:experiment", "Value": "lab"}, {"Key": "spot:generation", "Value": "1"}],
    }


def event(code: str, text: str = "x", kind: str = "error", second: int = 0) -> dict[str, Any]:
    return {"time": f"12:00:{second:02}", "type": kind, "code": code, "text": text, "instance_id": None}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, Progress.WAITING),
        (fleet(), Progress.DONE),
        (fleet(FulfilledCapacity=3.0), Progress.DONE),
        (fleet(activity=None), Progress.WAITING),
        (fleet(activity="pending_fulfillment"), Progress.WAITING),
        (fleet(activity="pending_termination"), Progress.WAITING),
        (fleet(state="submitted"), Progress.WAITING),
        (fleet(state="modifying"), Progress.WAITING),
        (fleet(FulfilledCapacity=1.0), Progress.WAITING),
        (fleet(TargetCapacity=1), Progress.WAITING),  # a change is not seen yet
        (fleet(activity="error"), Progress.TROUBLED),
        (fleet(state="failed"), Progress.OVER),
        (fleet(state="cancelled"), Progress.OVER),
        (fleet(state="cancelled_running", activity="error"), Progress.OVER),
        (fleet(state="cancelled_terminating"), Progress.OVER),
    ],
)
def test_progress(found: Any, expected: Progress) -> None:
    assert fleet_state.progress(found, 2) is expected


def test_progress_when_aws_gives_no_number() -> None:
    found = fleet()
    del found["SpotFleetRequestConfig"]["FulfilledCapacity"]
    assert fleet_state.progress(found, 2) is Progress.DONE


@pytest.mark.parametrize(
    ("config", "more", "expected"),
    [
        ({}, {}, {}),
        ({"ExcessCapacityTerminationPolicy": "noTermination"}, {}, {}),
        ({}, {"target_capacity": 3}, {"TargetCapacity": 3}),
        # The policy goes with a change: left out, AWS takes its default.
        ({"ExcessCapacityTerminationPolicy": "noTermination"}, {"target_capacity": 1},
         {"TargetCapacity": 1, "ExcessCapacityTerminationPolicy": "noTermination"}),
        ({"ExcessCapacityTerminationPolicy": "noTermination"}, {"excess_capacity_termination_policy": "default"},
         {"ExcessCapacityTerminationPolicy": "default"}),
        ({}, {"excess_capacity_termination_policy": "default"}, {}),
        ({}, {"on_demand_target_capacity": 1}, {}),
        ({"OnDemandTargetCapacity": 1}, {"on_demand_target_capacity": 0, "launch_template_configs": [1]},
         {"OnDemandTargetCapacity": 0}),
        ({}, {"on_demand_target_capacity": 0, "launch_template_configs": [1]}, {}),
        ({}, {"target_capacity": 0}, {"TargetCapacity": 0}),
    ],
)  # fmt: skip
def test_changes(config: dict[str, Any], more: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fleet_state.changes(fleet(**config), {**PARAMS, **more}) == expected


def test_what_cannot_be_changed_is_told() -> None:
    config = {"AllocationStrategy": "diversified", "InstanceInterruptionBehavior": "terminate", "IamFleetRole": "arn"}
    assert fleet_state.fixed_differences(fleet(**config), PARAMS) == []
    other = {**PARAMS, "type": "request", "iam_fleet_role": "other", "allocation_strategy": "lowest-price"}
    assert fleet_state.fixed_differences(fleet(**config), other) == [
        "type is maintain, not request",
        "iam_fleet_role is arn, not other",
        "allocation_strategy is diversified, not lowestPrice",
    ]


def test_own_requests_by_tags_oldest_first() -> None:
    young, old = fleet("sfr-2"), {**fleet("sfr-9"), "CreateTime": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    second = {**fleet("sfr-3"), "Tags": [{"Key": "spot:experiment", "Value": "lab"}]}
    other = {**fleet("sfr-4"), "Tags": [{"Key": "spot:experiment", "Value": "x"}]}
    nobody = {**fleet("sfr-5"), "Tags": []}
    every = [young, old, second, other, nobody]
    ids = [one["SpotFleetRequestId"] for one in fleet_state.own(every, "lab", "1")]
    assert ids == ["sfr-9", "sfr-2"]
    assert [one["SpotFleetRequestId"] for one in fleet_state.own(every, "lab", None)] == ["sfr-9", "sfr-2", "sfr-3"]


def test_selection_of_the_info_module() -> None:
    every = [fleet("sfr-2", state="cancelled"), fleet("sfr-1"), {**fleet("sfr-3"), "Tags": []}]

    def ids(**more: Any) -> list[str]:
        options = {"experiment": None, "spot_fleet_request_ids": None, "include_over": False, **more}
        return [one["SpotFleetRequestId"] for one in fleet_state.selected(every, options)]

    assert ids() == ["sfr-1", "sfr-3"]
    assert ids(experiment="lab") == ["sfr-1"]
    assert ids(experiment="lab", include_over=True) == ["sfr-1", "sfr-2"]
    assert ids(spot_fleet_request_ids=["sfr-2", "sfr-9"]) == ["sfr-2"]


def test_same_words_come_once_and_late() -> None:
    told = [
        event("launchSpecTemporarilyBlacklisted", "a", "information", 1),
        event("active", "b", "fleetRequestChange", 2),
        event("somethingNew", "c", "error", 3),
        event("launchSpecTemporarilyBlacklisted", "a", "information", 4),
    ]
    assert [one["time"] for one in fleet_state.bad_events(told)] == ["12:00:03", "12:00:04"]


@pytest.mark.parametrize(
    ("code", "kind", "hopeless"),
    [
        ("iamFleetRoleInvalid", "error", True),
        ("spotInstanceCountLimitExceeded", "error", True),
        ("spotFleetRequestConfigurationInvalid", "error", True),
        ("allLaunchSpecsTemporarilyBlacklisted", "error", False),
        ("somethingNew", "error", False),
        ("iamFleetRoleInvalid", "information", False),
    ],
)
def test_hopeless_events(code: str, kind: str, hopeless: bool) -> None:
    assert fleet_state.is_hopeless([event("active", kind="fleetRequestChange"), event(code, kind=kind)]) is hopeless


@pytest.mark.parametrize(
    ("codes", "advice"),
    [
        (["allLaunchSpecsTemporarilyBlacklisted", "iamFleetRoleInvalid"], "trust spotfleet.amazonaws.com"),
        (["spotInstanceCountLimitExceeded"], "Spot quota: G and VT L-3819A6DF"),
        (["launchSpecUnusable"], "remove the maximum prices"),
        (["allLaunchSpecsTemporarilyBlacklisted"], "use more instance types or zones"),
    ],
)
def test_failure_message(codes: list[str], advice: str) -> None:
    events = [event(code, f"text of {code}", second=place) for place, code in enumerate(codes)]
    text = fleet_state.failure_message("lab", fleet(FulfilledCapacity=1.0), "why", events, ["g5.xlarge"])
    lines = text.splitlines()
    assert lines[0] == "Could not fulfil the Spot Fleet request sfr-1 of experiment lab: why, with 1 of 2 units."
    assert lines[1].startswith("What to do: ") and advice in lines[1]
    assert lines[3:] == [f"  12:00:{place:02} {code}: text of {code}" for place, code in enumerate(codes)]


def test_failure_message_without_events() -> None:
    text = fleet_state.failure_message("lab", fleet(), "why", [event("somethingNew")])
    assert "What to do" not in text and "somethingNew: x" in text
    assert fleet_state.failure_message("lab", fleet(), "why", []).count("\n") == 0


def test_result_in_our_words() -> None:
    config = {
        "AllocationStrategy": "priceCapacityOptimized",
        "ExcessCapacityTerminationPolicy": "noTermination",
        "OnDemandAllocationStrategy": "brandNew",
    }
    found = fleet_state.result(fleet(**config), [])
    assert found["allocation_strategy"] == "price-capacity-optimized"
    assert found["excess_capacity_termination_policy"] == "no-termination"
    assert found["on_demand_allocation_strategy"] == "brandNew"
    assert found["create_time"] == "2026-01-31T12:00:00+00:00"
    nothing = fleet_state.result(None, [])
    assert set(nothing) == set(found)
    assert nothing["spot_fleet_request_id"] is None


def test_events_in_order() -> None:
    records = [
        {"Timestamp": NOW, "EventType": "error", "EventInformation": {"EventSubType": "a", "EventDescription": "x\ny"}},
        {"Timestamp": datetime(2026, 1, 1, tzinfo=timezone.utc), "EventType": "instanceChange"},
    ]
    first, second = fleet_state.events_result(records)
    assert (first["type"], first["code"]) == ("instanceChange", None)
    assert (second["code"], second["text"], second["time"]) == ("a", "x y", "2026-01-31T12:00:00+00:00")
