"""Spot Fleet requests over the wire: real botocore and a stub of EC2; test_spot_fleet asks the lab too."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import spot_fleet_info
from tests.unit.plugins.module_utils._experiment.wire import run
from tests.unit.plugins.module_utils._spot.stub import wire  # noqa: F401
from tests.unit.plugins.modules.test_spot_fleet import ONE, TAGS, TWO, active, described, history, item
from tests.unit.wire import Wire, error, xml


@pytest.fixture
def info(wire: Wire, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(spot_fleet_info.main, capsys, **args)


def test_requests_instances_and_history(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item(), item(TWO, tags={"a": "b"})))
    wire.script("DescribeSpotFleetInstances", active("i-1"))
    wire.script(
        "DescribeInstances",
        xml(
            "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceLifecycle>spot</instanceLifecycle>"
            "<instanceState><name>running</name></instanceState><placement><availabilityZone>us-east-1a</availabilityZone>"
            "</placement></item></instancesSet></item></reservationSet>"
        ),
    )
    wire.script(
        "DescribeSpotFleetRequestHistory",
        xml(history(("error", "a", "first")).body + "<nextToken>more</nextToken>"),
        history(("error", "b", "second")),
    )
    done = info(experiment="lab", history=True)
    assert (done.rc, done.changed, done.region) == (0, False, "us-east-1"), done.msg
    (found,) = done.spot_fleets
    assert (found["spot_fleet_request_id"], found["tags"]) == (ONE, TAGS)
    (instance,) = found["instances"]
    assert (instance["instance_id"], instance["zone"], instance["state"]) == ("i-1", "us-east-1a", "running")
    assert [one["code"] for one in found["history"]] == ["a", "b"]
    assert [one.get("NextToken") for one in wire.of("DescribeSpotFleetRequestHistory")] == [None, "more"]
    assert len(wire.of("DescribeInstances")) == 1


def test_all_or_by_id(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item(), item(TWO, state="cancelled", tags={"a": "b"})))
    assert [one["spot_fleet_request_id"] for one in info().spot_fleets] == [ONE]
    assert [one["spot_fleet_request_id"] for one in info(include_over=True).spot_fleets] == [ONE, TWO]
    (found,) = info(spot_fleet_request_ids=[TWO]).spot_fleets
    assert (found["spot_fleet_request_id"], found["history"]) == (TWO, None)
    assert wire.of("DescribeInstances") == wire.of("DescribeSpotFleetRequestHistory") == []


def test_mistakes_and_refusals(wire: Wire, info: Any) -> None:  # noqa: F811
    assert "spot_fleet_request_ids[0]: 'x' is not the id" in info(spot_fleet_request_ids=["x"]).msg
    assert info(spot_fleet_request_ids=[ONE], experiment="lab").rc == 1
    assert wire.calls == []
    wire.script("DescribeSpotFleetRequests", described(item()))
    wire.script("DescribeSpotFleetInstances", error("UnauthorizedOperation", "You are not authorized", 403))
    assert "ec2:DescribeSpotFleetInstances is not allowed" in info().msg
    wire.script("DescribeSpotFleetRequests", error("UnauthorizedOperation", "You are not authorized", 403))
    assert "ec2:DescribeSpotFleetRequests is not allowed" in info().msg
