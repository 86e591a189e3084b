"""Spot placement scores over the wire: real botocore and a stub of EC2."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import spot_placement_score_info
from tests.unit.plugins.module_utils._experiment.wire import run
from tests.unit.plugins.module_utils._spot.stub import wire  # noqa: F401
from tests.unit.wire import Reply, Wire, error, xml

TYPES = ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"]
ZONES = xml(
    "<availabilityZoneInfo><item><zoneName>us-east-1a</zoneName><zoneId>use1-az4</zoneId></item></availabilityZoneInfo>"
)


@pytest.fixture
def info(wire: Wire, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(spot_placement_score_info.main, capsys, **{"instance_types": TYPES, **args})


def answer(*items: tuple[str, str, int], token: str = "") -> Reply:
    rows = "".join(
        f"<item><region>{region}</region>{f'<availabilityZoneId>{zone}</availabilityZoneId>' if zone else ''}"
        f"<score>{score}</score></item>"
        for region, zone, score in items
    )
    return xml(f"<spotPlacementScoreSet>{rows}</spotPlacementScoreSet><nextToken>{token}</nextToken>")


def test_regions(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", answer(("us-east-1", "", 3), token="1"), answer(("eu-west-1", "", 9)))
    done = info(target_capacity=8, regions=["us-east-1", "eu-west-1"])
    assert (done.rc, done.changed, done.region, done.limit, done.notes) == (0, False, "us-east-1", None, [])
    assert done.scores == [
        {"region": "eu-west-1", "zone_id": None, "zone": None, "score": 9},
        {"region": "us-east-1", "zone_id": None, "zone": None, "score": 3},
    ]
    request, second = wire.of("GetSpotPlacementScores")
    assert second["NextToken"] == "1"
    assert request == {
        "Version": "2016-11-15",
        "InstanceType.1": "g4dn.xlarge",
        "InstanceType.2": "g5.xlarge",
        "InstanceType.3": "g6.xlarge",
        "RegionName.1": "eu-west-1",
        "RegionName.2": "us-east-1",
        "SingleAvailabilityZone": "false",
        "TargetCapacity": "8",
        "TargetCapacityUnitType": "units",
    }
    assert wire.of("DescribeAvailabilityZones") == []


def test_zones_get_their_names(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", answer(("us-east-1", "use1-az4", 5), ("us-west-2", "usw2-az1", 7)))
    wire.script("DescribeAvailabilityZones", ZONES)
    done = info(single_zone=True)
    assert [(one["zone_id"], one["zone"], one["score"]) for one in done.scores] == [
        ("usw2-az1", None, 7),
        ("use1-az4", "us-east-1a", 5),
    ]
    (request,) = wire.of("GetSpotPlacementScores")
    assert (request["SingleAvailabilityZone"], request["RegionName.1"]) == ("true", "us-east-1")


def test_zones_without_the_permission_for_their_names(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", answer(("us-east-1", "use1-az4", 5)))
    wire.script("DescribeAvailabilityZones", error("UnauthorizedOperation", status=403))
    done = info(single_zone=True)
    assert done.scores == [{"region": "us-east-1", "zone_id": "use1-az4", "zone": None, "score": 5}]
    assert "ec2:DescribeAvailabilityZones: no permission" in done.notes[0]


def test_the_same_question_is_asked_once(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", answer(("us-east-1", "", 3)))
    first, second = info(), info(instance_types=TYPES[::-1])
    assert (first.cached, second.cached, second.scores) == (False, True, first.scores)
    assert len(wire.of("GetSpotPlacementScores")) == 1
    info(target_capacity=2)
    info(cache_seconds=0)
    assert len(wire.of("GetSpotPlacementScores")) == 3


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("MaxConfigLimitExceededException", "new combinations of types, capacity and regions in 24 hours"),
        ("MaxConfigLimitExceeded", "new combinations"),
        ("TargetCapacityLimitExceededException", "ask for less"),
    ],
)
@pytest.mark.slow
def test_limits_are_told_and_not_kept(wire: Wire, info: Any, code: str, part: str) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", error(code), answer(("us-east-1", "", 3)))
    done = info()
    assert (done.rc, done.scores, done.limit, done.cached) == (0, [], code, False)
    assert part in done.notes[0] and code in done.notes[0]
    assert (info().limit, info().scores[0]["score"]) == (None, 3)


def test_few_types_are_told(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", answer(("us-east-1", "", 1)))
    (note,) = info(instance_types=["g5.xlarge", "g5.xlarge"]).notes
    assert note == "AWS gives a low score to fewer than 3 instance types by design, and 1 were given"


def test_refusal(wire: Wire, info: Any) -> None:  # noqa: F811
    wire.script("GetSpotPlacementScores", error("UnauthorizedOperation", "You are not authorized", status=403))
    done = info()
    assert done.rc == 1
    assert "ec2:GetSpotPlacementScores is not allowed" in done.msg
    wire.script("GetSpotPlacementScores", error("InvalidParameterValue", "The instance type 'g9.x' is not valid"))
    assert "InvalidParameterValue: The instance type 'g9.x' is not valid" in info().msg


def test_all_mistakes_at_once_before_any_call(wire: Wire, info: Any) -> None:  # noqa: F811
    done = info(
        instance_types=["g5"],
        target_capacity=0,
        regions=["us-east-1a"] + [f"us-a-{n}" for n in range(10)],
        cache_seconds=-1,
    )
    parts = ("instance_types[0]", "regions[0]", "regions: 11 are too many", "target_capacity: 0", "cache_seconds")
    assert all(part in done.msg for part in parts), done.msg
    assert "1001 are too many" in info(instance_types=[f"g5.{n}x" for n in range(1001)]).msg
    assert wire.calls == []
