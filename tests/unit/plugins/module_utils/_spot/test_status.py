"""What the status codes of Spot requests and the state reasons of instances mean."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import status
from ansible_collections.experiments.spot.plugins.module_utils._spot.status import Verdict

WAIT, RUNNING, DOOMED = Verdict.WAIT, Verdict.RUNNING, Verdict.DOOMED
RETRY, USER, FATAL = Verdict.RETRY, Verdict.USER, Verdict.FATAL

# Every code of the user guide: (code, state, what to do about the request, kind of end, whether to launch again).
TABLE = [
    ("pending-evaluation", "open", WAIT, "unknown", False),
    ("pending-fulfillment", "open", WAIT, "unknown", False),
    ("fulfilled", "active", RUNNING, "alive", False),
    ("bad-parameters", "closed", FATAL, "failed", False),
    ("bad-parameters", "failed", FATAL, "failed", False),
    ("schedule-expired", "cancelled", RETRY, "failed", True),
    ("canceled-before-fulfillment", "cancelled", USER, "user", False),
    ("system-error", "closed", RETRY, "failed", True),
    ("not-scheduled-yet", "open", WAIT, "unknown", False),
    ("capacity-not-available", "open", RETRY, "unknown", False),
    ("price-too-low", "open", RETRY, "unknown", False),
    ("launch-group-constraint", "open", RETRY, "unknown", False),
    ("az-group-constraint", "open", RETRY, "unknown", False),
    ("placement-group-constraint", "open", RETRY, "unknown", False),
    ("constraint-not-fulfillable", "open", FATAL, "unknown", False),
    ("limit-exceeded", "", FATAL, "unknown", False),
    ("marked-for-stop", "active", DOOMED, "doomed", False),
    ("marked-for-termination", "active", DOOMED, "doomed", True),
    ("instance-stopped-by-price", "disabled", WAIT, "interrupted", False),
    ("instance-stopped-no-capacity", "disabled", WAIT, "interrupted", False),
    ("instance-stopped-by-user", "disabled", USER, "user", False),
    ("instance-stopped-by-user", "cancelled", USER, "user", False),
    ("instance-terminated-by-price", "closed", RETRY, "interrupted", True),
    ("instance-terminated-by-price", "open", RETRY, "interrupted", True),
    ("instance-terminated-no-capacity", "closed", RETRY, "interrupted", True),
    ("instance-terminated-no-capacity", "open", RETRY, "interrupted", True),
    ("instance-terminated-by-schedule", "closed", RETRY, "interrupted", True),
    ("instance-terminated-by-service", "cancelled", RETRY, "interrupted", True),
    ("instance-terminated-by-user", "closed", USER, "user", False),
    ("instance-terminated-by-user", "cancelled", USER, "user", False),
    ("spot-instance-terminated-by-user", "closed", USER, "user", False),
    ("instance-terminated-launch-group-constraint", "closed", RETRY, "interrupted", True),
    ("request-canceled-and-instance-running", "cancelled", RUNNING, "alive", False),
    ("marked-for-stop-by-experiment", "active", DOOMED, "doomed", False),
    ("instance-stopped-by-experiment", "disabled", USER, "interrupted", False),
    ("instance-terminated-by-experiment", "closed", RETRY, "interrupted", True),
]
REASONS = [
    ("Server.SpotInstanceTermination", "interrupted", True),
    ("Server.SpotInstanceShutdown", "interrupted", True),
    ("Server.InsufficientInstanceCapacity", "failed", True),
    ("Server.InternalError", "failed", True),
    ("Server.ScheduledStop", "failed", True),
    ("Client.UserInitiatedShutdown", "user", False),
    ("Client.UserInitiatedHibernate", "user", False),
    ("Client.InstanceInitiatedShutdown", "shutdown", False),
    ("Client.InstanceTerminated", "user", False),
    ("Client.VolumeLimitExceeded", "failed", False),
    ("Client.InternalError", "failed", False),
    ("Client.InvalidSnapshot.NotFound", "failed", False),
]


def instance(state: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"InstanceId": "i-1", "State": {"Name": state}, "StateReason": {"Code": reason, "Message": message}}


def request(code: str, state: str = "closed") -> dict[str, Any]:
    return {"SpotInstanceRequestId": "sir-1", "State": state, "Status": {"Code": code}}


@pytest.mark.parametrize(("code", "state", "verdict"), [row[:3] for row in TABLE])
def test_every_status(code: str, state: str, verdict: Verdict) -> None:
    found = status.of(code, state)
    assert (found.code, found.verdict) == (code, verdict)
    assert status.of(code).verdict is verdict
    assert found.text and "\n" not in found.text and not found.text.endswith(".")


def test_the_tables_here_are_complete() -> None:
    assert {row[0] for row in TABLE} == set(status.STATUSES)
    assert {row[0] for row in REASONS} == set(status.REASONS)
    assert all(state in status.STATUSES[code].states for code, state, *_rest in TABLE if state)
    assert {row.end for row in status.STATUSES.values()} | {r.kind for r in status.REASONS.values()} <= set(
        status.KINDS
    )


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("open", WAIT),
        ("active", RUNNING),
        ("disabled", WAIT),
        ("closed", RETRY),
        ("cancelled", RETRY),
        ("failed", RETRY),
        ("", WAIT),
        ("brand-new", WAIT),
    ],
)
@pytest.mark.parametrize("code", ["brand-new-code", ""])
def test_an_unknown_status_is_judged_by_its_state(code: str, state: str, verdict: Verdict) -> None:
    found = status.of(code, state)
    assert (found.code, found.verdict) == (code, verdict)
    assert (code or "empty") in found.text


def test_an_unknown_mark_dooms_an_active_request() -> None:
    assert status.of("marked-for-something", "active").verdict is DOOMED
    assert status.of("marked-for-something", "closed").verdict is RETRY


def test_holding_requests_are_those_that_ec2_still_serves() -> None:
    assert status.of("capacity-not-available").holding
    assert status.of("capacity-not-available", "open").holding
    assert not status.of("capacity-not-available", "cancelled").holding
    assert status.of("instance-terminated-no-capacity", "open").holding
    assert not status.of("instance-terminated-no-capacity").holding
    assert status.of("brand-new-code", "open").holding


@pytest.mark.parametrize(("code", "kind", "retry"), REASONS)
def test_every_state_reason(code: str, kind: str, retry: bool) -> None:
    for state in ("shutting-down", "terminated"):
        end = status.end_of(instance(state, code))
        assert (end.kind, end.retry, end.code) == (kind, retry, code)
        assert end.text and "\n" not in end.text and not end.text.endswith(".")


@pytest.mark.parametrize(
    ("reason", "kind", "retry"),
    [
        ("Server.SpotInstanceSomething", "interrupted", True),
        ("Server.Strange", "failed", True),
        ("Client.Strange", "failed", False),
        ("Strange", "unknown", False),
        ("", "unknown", False),
    ],
)
def test_an_unknown_state_reason_never_raises(reason: str, kind: str, retry: bool) -> None:
    end = status.end_of(instance("terminated", reason, "Strange things\nhappened."))
    assert (end.kind, end.retry, end.code) == (kind, retry, reason)
    assert "Strange things happened" in end.text


@pytest.mark.parametrize(("code", "state", "kind", "retry"), [(c, s, k, r) for c, s, _v, k, r in TABLE])
def test_an_instance_that_aws_has_forgotten_is_judged_by_its_request(
    code: str, state: str, kind: str, retry: bool
) -> None:
    end = status.end_of({}, request(code, state))
    assert (end.kind, end.retry, end.code) == (kind, retry, code)


@pytest.mark.parametrize(("code", "state", "kind", "retry"), [(c, s, k, r) for c, s, _v, k, r in TABLE])
def test_a_running_instance_is_alive_or_doomed(code: str, state: str, kind: str, retry: bool) -> None:
    end = status.end_of(instance("running"), request(code, state))
    if kind in {"doomed", "interrupted"}:
        assert (end.kind, end.retry, end.code) == ("doomed", retry, code)
    else:
        assert (end.kind, end.retry) == ("alive", False)


def test_alive_without_a_request() -> None:
    for state in ("pending", "running"):
        assert status.end_of(instance(state)).kind == "alive"


def test_nothing_known_is_unknown() -> None:
    assert status.end_of({}) == status.End("unknown", False, "", "AWS does not know the instance any more")
    assert status.end_of({}, request("strange", "closed")).kind == "unknown"
    assert status.end_of({}, {"State": "failed"}).kind == "unknown"


# The instance and its request do not always agree: kind, retry and the deciding code.
@pytest.mark.parametrize(
    ("state", "reason", "code", "expected"),
    [
        # The reason is late, or never comes: the request knows.
        ("terminated", "", "instance-terminated-no-capacity", ("interrupted", True, "instance-terminated-no-capacity")),
        ("terminated", "", "instance-terminated-by-user", ("user", False, "instance-terminated-by-user")),
        (
            "shutting-down",
            "Strange",
            "instance-terminated-by-experiment",
            ("interrupted", True, "instance-terminated-by-experiment"),
        ),
        (
            "terminated",
            "Client.UserInitiatedShutdown",
            "instance-terminated-by-price",
            ("interrupted", True, "instance-terminated-by-price"),
        ),
        # The request is late: the reason knows.
        (
            "terminated",
            "Server.SpotInstanceTermination",
            "fulfilled",
            ("interrupted", True, "Server.SpotInstanceTermination"),
        ),
        (
            "terminated",
            "Server.SpotInstanceTermination",
            "marked-for-termination",
            ("interrupted", True, "Server.SpotInstanceTermination"),
        ),
        ("terminated", "", "fulfilled", ("unknown", False, "")),
        # The request calls the machine's own shutdown one by the user.
        (
            "terminated",
            "Client.InstanceInitiatedShutdown",
            "instance-terminated-by-user",
            ("shutdown", False, "Client.InstanceInitiatedShutdown"),
        ),
        # Shut down because of the notice, or terminated by us because of it.
        (
            "terminated",
            "Client.InstanceInitiatedShutdown",
            "marked-for-termination",
            ("interrupted", True, "marked-for-termination"),
        ),
        (
            "terminated",
            "Client.UserInitiatedShutdown",
            "marked-for-termination",
            ("user", False, "Client.UserInitiatedShutdown"),
        ),
        # Stopped ones: EC2 starts again what it stopped.
        ("stopping", "Server.SpotInstanceShutdown", "marked-for-stop", ("doomed", False, "marked-for-stop")),
        (
            "stopped",
            "Server.SpotInstanceShutdown",
            "marked-for-stop",
            ("interrupted", False, "Server.SpotInstanceShutdown"),
        ),
        (
            "stopped",
            "Server.SpotInstanceShutdown",
            "instance-stopped-no-capacity",
            ("interrupted", False, "instance-stopped-no-capacity"),
        ),
        (
            "stopped",
            "Client.UserInitiatedShutdown",
            "instance-stopped-by-user",
            ("user", False, "Client.UserInitiatedShutdown"),
        ),
    ],
)
def test_instance_and_request_together(state: str, reason: str, code: str, expected: tuple[str, bool, str]) -> None:
    end = status.end_of(instance(state, reason), request(code))
    assert (end.kind, end.retry, end.code) == expected
