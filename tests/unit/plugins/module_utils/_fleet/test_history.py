"""Events of a fleet's history: what they mean."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet import history
from ansible_collections.experiments.spot.plugins.module_utils._fleet.values import Pool

WHEN = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
A = Pool("g5.xlarge", "subnet-1", "us-east-1a")
B = Pool("g5.xlarge", "subnet-2", "us-east-1b")
C = Pool("m5.large", "subnet-1", "us-east-1a")


def event(sub_type: str, text: str = "", kind: str = "error") -> dict[str, Any]:
    return {
        "EventType": kind,
        "Timestamp": WHEN,
        "EventInformation": {"EventSubType": sub_type, "EventDescription": text},
    }


@pytest.mark.parametrize(
    ("given", "code", "lasting"),
    [
        (event("spotInstanceCountLimitExceeded"), "MaxSpotInstanceCountExceeded", True),
        (event("iamFleetRoleInvalid"), "UnauthorizedOperation", True),
        (event("spotFleetRequestConfigurationInvalid"), "InvalidFleetConfiguration", True),
        (event("allLaunchSpecsTemporarilyBlacklisted"), "UnfulfillableCapacity", False),
        (event("launchSpecUnusable", "", "information"), "SpotMaxPriceTooLow", False),
        (event("neverSeenBefore"), "neverSeenBefore", False),
        (
            event(
                "launchSpecTemporarilyBlacklisted", "no (Service: AmazonEC2; Error Code: InsufficientInstanceCapacity)"
            ),
            "InsufficientInstanceCapacity",
            False,
        ),
    ],
)
def test_events_that_tell_of_a_refusal(given: dict[str, Any], code: str, lasting: bool) -> None:
    (refusal,) = history.refusals([given])
    assert refusal.code == code
    assert history.lasting([given]) is lasting


@pytest.mark.parametrize(
    "given",
    [
        event("active", "", "fleetRequestChange"),
        event("launched", "", "instanceChange"),
        {},
        {"EventInformation": None},
    ],
)
def test_other_events(given: dict[str, Any]) -> None:
    assert history.refusals([given]) == ()
    assert history.lasting([given]) is False


def test_sub_types_are_those_of_the_api() -> None:
    model = botocore.session.get_session().get_service_model("ec2").shape_for("EventInformation")
    text = model.members["EventSubType"].documentation
    assert all(f"<code>{name}</code>" in text for name in history.MEANINGS)


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("g5.xlarge, ami-1, Linux/UNIX, us-east-1b, refused", B),
        ("g5.xlarge, ami-1, Linux/UNIX, us-east-1c, refused", None),
        ("m5.large, ami-1, Linux/UNIX, refused", C),
        ("m5.large.x, ami-1, refused", None),
        ("", None),
    ],
)
def test_event_names_its_pool(text: str, pool: Pool | None) -> None:
    (refusal,) = history.refusals([event("launchSpecUnusable", text, "information")], [A, B, C])
    assert refusal.pool == pool


def test_repeated_events_come_once() -> None:
    later = {**event("iamFleetRoleInvalid", "no"), "Timestamp": WHEN.replace(hour=13)}
    assert len(history.refusals([event("iamFleetRoleInvalid", "no"), later])) == 1
    assert history.identity(event("iamFleetRoleInvalid", "no")) != history.identity(later)


def test_event_result() -> None:
    given = {**event("launched", "x", "instanceChange")}
    given["EventInformation"]["InstanceId"] = "i-1"
    assert history.event_result(given) == {
        "time": "2026-01-01T12:00:00+00:00",
        "type": "instanceChange",
        "event": "launched",
        "description": "x",
        "instance_id": "i-1",
    }
    assert history.event_result({})["time"] == ""
