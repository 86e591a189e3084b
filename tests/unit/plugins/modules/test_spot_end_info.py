"""Why instances ended, over the wire: real botocore, the lab's API and a stub."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import spot_end_info
from lab.aws import cloud
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401
from tests.unit.plugins.module_utils._spot.stub import wire  # noqa: F401
from tests.unit.wire import Wire, error, xml


@pytest.fixture
def info(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(spot_end_info.main, capsys, **args)


def mark(aws: Aws, instance: str, code: str, state: str = "active") -> None:  # noqa: F811
    """Give the instance's Spot request another status, as an interruption does."""
    request = next(one for one in aws.app.world.spot_requests.values() if one["InstanceId"] == instance)
    request["State"] = state
    cloud.set_status(request, code, "")


def test_alive_and_terminated_by_a_user(aws: Aws, info: Any) -> None:  # noqa: F811
    first, second = aws.instance(), aws.instance()
    aws.ec2.terminate_instances(InstanceIds=[second])
    aws.forget_calls()
    done = info(experiment="lab")
    assert (done.rc, done.changed, done.region, done.notes) == (0, False, "us-east-1", [])
    found = {one["instance_id"]: one for one in done.instances}
    assert (found[first]["kind"], found[first]["retry"], found[first]["when"]) == ("alive", False, None)
    assert (found[second]["kind"], found[second]["retry"]) == ("user", False)
    assert found[second]["when"]
    assert (found[second]["experiment"], found[second]["generation"]) == ("lab", 1)
    assert aws.calls() == ["DescribeInstances", "DescribeSpotInstanceRequests"]


def test_doomed(aws: Aws, info: Any) -> None:  # noqa: F811
    instance = aws.instance()
    mark(aws, instance, "marked-for-termination")
    (found,) = info(instance_ids=[instance]).instances
    assert (found["kind"], found["retry"], found["state"]) == ("doomed", True, "running")
    assert found["when"]


def test_lab_interruptions(aws: Aws, info: Any) -> None:  # noqa: F811
    warned, taken = aws.instance(), aws.instance()
    interrupt(aws, instance_id=warned, notice=120)
    interrupt(aws, instance_id=taken, notice=None)
    found = {one["instance_id"]: one for one in info(experiment="lab").instances}
    assert [(found[one]["kind"], found[one]["retry"]) for one in (warned, taken)] == [
        ("doomed", True),
        ("interrupted", True),
    ]
    assert found[warned]["code"] == "marked-for-termination"
    assert found[taken]["state_reason"] == "Server.SpotInstanceTermination"
    assert found[taken]["spot_request_status"] == "instance-terminated-no-capacity"
    assert all(found[one]["when"] for one in (warned, taken))


def interrupt(aws: Aws, **what: Any) -> None:  # noqa: F811
    body = json.dumps(what).encode()
    urllib.request.urlopen(urllib.request.Request(f"{aws.url}/lab/interrupt", data=body), timeout=30).close()


def test_forgotten_instance(aws: Aws, info: Any) -> None:  # noqa: F811
    (found,) = info(instance_ids=["i-0123456789abcdef0"]).instances
    assert (found["kind"], found["state"]) == ("unknown", None)


def test_experiment_without_instances(aws: Aws, info: Any) -> None:  # noqa: F811
    assert info(experiment="nobody").instances == []
    assert aws.calls() == ["DescribeInstances"]


def test_without_the_permission_for_spot_requests(aws: Aws, info: Any) -> None:  # noqa: F811
    instance = aws.instance()
    mark(aws, instance, "marked-for-termination")
    aws.deny("DescribeSpotInstanceRequests")
    done = info(instance_ids=[instance])
    assert [one["kind"] for one in done.instances] == ["alive"]
    assert "ec2:DescribeSpotInstanceRequests: no permission" in done.notes[0]


def test_permission_that_is_needed_is_named(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("DescribeInstances")
    done = info(experiment="lab")
    assert done.rc == 1
    assert "ec2:DescribeInstances is not allowed" in done.msg


@pytest.mark.parametrize("given", [{}, {"instance_ids": ["i-01234567"], "experiment": "lab"}])
def test_exactly_one_of_ids_and_experiment(info: Any, given: dict[str, Any]) -> None:
    assert info(**given).rc == 1


def test_bad_ids_before_any_call(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(instance_ids=["x", "y"])
    assert done.rc == 1
    assert "instance_ids[0]" in done.msg and "instance_ids[1]" in done.msg
    assert aws.calls() == []


# The stub


def requests(*items: tuple[str, str, str], token: str = "") -> Any:
    rows = "".join(
        f"<item><spotInstanceRequestId>sir-{name}</spotInstanceRequestId><instanceId>{name}</instanceId>"
        f"<state>{state}</state><status><code>{code}</code><updateTime>2026-01-31T12:00:00.000Z</updateTime></status>"
        "</item>"
        for name, state, code in items
    )
    return xml(f"<spotInstanceRequestSet>{rows}</spotInstanceRequestSet><nextToken>{token}</nextToken>")


def test_all_pages_are_read(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    ids = [f"i-{number:017x}" for number in range(2)]
    wire.script(
        "DescribeSpotInstanceRequests",
        requests((ids[0], "closed", "instance-terminated-by-price"), token="more"),
        requests((ids[1], "closed", "brand-new-code")),
    )
    done = run(spot_end_info.main, capsys, instance_ids=ids)
    assert [(one["kind"], one["retry"], one["when"]) for one in done.instances] == [
        ("interrupted", True, "2026-01-31T12:00:00+00:00"),
        ("unknown", True, "2026-01-31T12:00:00+00:00"),
    ]
    assert [one.get("NextToken") for one in wire.of("DescribeSpotInstanceRequests")] == [None, "more"]


def test_at_most_200_ids_in_a_call(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    ids = [f"i-{number:017x}" for number in range(201)]
    assert len(run(spot_end_info.main, capsys, instance_ids=ids).instances) == 201
    for action in ("DescribeInstances", "DescribeSpotInstanceRequests"):
        assert ["Filter.1.Value.200" in one for one in wire.of(action)] == [True, False]


def test_expired_credentials(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    wire.script("DescribeInstances", error("RequestExpired", "Request has expired."))
    done = run(spot_end_info.main, capsys, instance_ids=["i-01234567"])
    assert done.rc == 1
    assert "RequestExpired" in done.msg and "clock" in done.msg
