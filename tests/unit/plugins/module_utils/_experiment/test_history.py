"""Pools that have just refused or lost an instance."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._experiment import history
from tests.unit.plugins.module_utils._experiment.builders import instance

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


def fleet(seconds: float, *errors: tuple[str, str, str]) -> dict[str, Any]:
    """A fleet made so long ago; errors are (code, type, subnet)."""
    return {
        "FleetId": "fleet-1",
        "CreateTime": NOW - timedelta(seconds=seconds),
        "Errors": [
            {
                "ErrorCode": code,
                "LaunchTemplateAndOverrides": {"Overrides": {"InstanceType": kind, "SubnetId": subnet}},
            }
            for code, kind, subnet in errors
        ],
    }


NO_CAPACITY = ("InsufficientInstanceCapacity", "t3.medium", "subnet-1")


def test_nothing_happened() -> None:
    assert history.past([], [], [], NOW) == {}


def test_a_recent_refusal_cools_and_an_old_one_does_not() -> None:
    recent = history.past([fleet(60, NO_CAPACITY)], [], [], NOW)
    old = history.past([fleet(3600, NO_CAPACITY)], [], [], NOW)
    assert recent == {("t3.medium", "subnet-1"): history.Past("InsufficientInstanceCapacity", 60.0, True)}
    assert not old["t3.medium", "subnet-1"].cooling


def test_the_newest_refusal_of_a_pool_counts() -> None:
    found = history.past([fleet(10, NO_CAPACITY), fleet(3600, NO_CAPACITY)], [], [], NOW)
    assert found["t3.medium", "subnet-1"].seconds == 10.0


def test_a_quota_or_a_permission_is_not_the_fault_of_a_pool() -> None:
    errors = [(code, "t3.medium", "subnet-1") for code in ("MaxSpotInstanceCountExceeded", "UnauthorizedOperation")]
    assert history.past([fleet(1, *errors)], [], [], NOW) == {}


def test_a_pool_whose_instance_was_taken_cools_longer() -> None:
    raw = instance("i-1")
    request = {
        "InstanceId": "i-1",
        "State": "active",
        "Status": {"Code": "marked-for-termination", "UpdateTime": NOW - timedelta(seconds=300)},
    }
    found = history.past([], [raw], [request], NOW)
    assert found == {("t3.medium", "us-east-1a"): history.Past("marked-for-termination", 300.0, True)}
