"""One entry an instance about its end."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import ends

MOMENT = datetime(2026, 1, 31, 12, 0, tzinfo=timezone(timedelta(hours=1)))


def instance(instance_id: str = "i-1", state: str = "terminated", **more: Any) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "InstanceType": "t3.medium",
        "InstanceLifecycle": "spot",
        "State": {"Name": state},
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "SpotInstanceRequestId": "sir-1",
        **more,
    }


def request(code: str, instance_id: str = "i-1", at: Any = MOMENT, **more: Any) -> dict[str, Any]:
    status = {"Code": code, "UpdateTime": at}
    return {"SpotInstanceRequestId": "sir-1", "InstanceId": instance_id, "State": "closed", "Status": status, **more}


def test_entry_has_everything() -> None:
    raw = instance(
        StateReason={"Code": "Server.SpotInstanceTermination"},
        StateTransitionReason="Server.SpotInstanceTermination: x (2026-01-31 11:02:00 GMT)",
        Tags=[{"Key": "spot:experiment", "Value": "digits"}, {"Key": "spot:generation", "Value": "3"}],
    )
    found = ends.entry("i-1", raw, request("marked-for-termination"))
    text = found.pop("text")
    assert text.startswith("EC2 took")
    assert found == {
        "instance_id": "i-1",
        "kind": "interrupted",
        "retry": True,
        "code": "Server.SpotInstanceTermination",
        "when": "2026-01-31T11:02:00+00:00",
        "state": "terminated",
        "instance_type": "t3.medium",
        "zone": "us-east-1a",
        "lifecycle": "spot",
        "experiment": "digits",
        "generation": 3,
        "state_reason": "Server.SpotInstanceTermination",
        "spot_instance_request_id": "sir-1",
        "spot_request_state": "closed",
        "spot_request_status": "marked-for-termination",
    }


def test_forgotten_instance_is_told_by_its_request() -> None:
    told = request(
        "instance-terminated-no-capacity",
        LaunchedAvailabilityZone="us-east-1b",
        LaunchSpecification={"InstanceType": "m5.large"},
    )
    (found,) = ends.entries(["i-1"], [], [told])
    assert (found["kind"], found["state"], found["lifecycle"]) == ("interrupted", None, "spot")
    assert (found["zone"], found["instance_type"]) == ("us-east-1b", "m5.large")
    assert found["when"] == "2026-01-31T11:00:00+00:00"


def test_instance_that_nobody_knows() -> None:
    (found,) = ends.entries(["i-9"], [instance()], [request("fulfilled")])
    assert (found["instance_id"], found["kind"], found["retry"]) == ("i-9", "unknown", False)
    assert found["lifecycle"] is found["when"] is found["generation"] is None


@pytest.mark.parametrize(
    ("raw", "told", "expected"),
    [
        (instance(state="running"), request("fulfilled"), None),
        (instance(state="running"), request("marked-for-termination"), "2026-01-31T11:00:00+00:00"),
        (instance(StateReason={"Code": "Client.UserInitiatedShutdown"}), request("fulfilled"),
         "2026-01-31T11:00:00+00:00"),
        (instance(StateTransitionReason="User initiated (2026-01-31 10:59:00 GMT)"), None,
         "2026-01-31T10:59:00+00:00"),
        (instance(), None, None),
        (instance(), request("fulfilled"), None),
    ],
)  # fmt: skip
def test_when(raw: dict[str, Any], told: dict[str, Any] | None, expected: str | None) -> None:
    assert ends.entry("i-1", raw, told)["when"] == expected


def test_order_and_repetition_of_ids() -> None:
    found = ends.entries(["i-2", "i-1", "i-2"], [instance("i-1"), instance("i-2")], [])
    assert [one["instance_id"] for one in found] == ["i-2", "i-1"]


def test_of_several_requests_the_newest_counts() -> None:
    old, new = (
        request("instance-terminated-by-user", at=MOMENT - timedelta(1)),
        request("instance-terminated-no-capacity"),
    )
    for both in ([old, new], [new, old]):
        assert ends.entries(["i-1"], [], both)[0]["kind"] == "interrupted"


def test_only_spot_instances_are_asked_for() -> None:
    plain = {**instance("i-2"), "InstanceLifecycle": None}
    assert ends.spot_ids([instance("i-1"), plain]) == ["i-1"]
    assert ends.entry("i-2", plain, None)["lifecycle"] == "on-demand"


def test_all_bad_ids_at_once() -> None:
    found = ends.problems(["i-0123456789abcdef0", "i-01234567", "fleet-1", "i-012345678", "I-01234567", "i-01234567\n"])
    assert [line.split(":", 1)[0] for line in found] == [f"instance_ids[{place}]" for place in (2, 3, 4, 5)]
