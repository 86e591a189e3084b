"""Spot prices over the wire: real botocore, the lab's API and a stub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import spot_price_info
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401
from tests.unit.plugins.module_utils._spot.stub import wire  # noqa: F401
from tests.unit.wire import Wire, error, xml

TYPES = ["t3.medium", "m5.large"]


@pytest.fixture(autouse=True)
def no_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def info(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(spot_price_info.main, capsys, **{"instance_types": TYPES, **args})


def test_prices_of_now(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info()
    assert (done.rc, done.changed, done.region, done.notes, done.cached) == (0, False, "us-east-1", [], False)
    amounts = [one["price"] for one in done.prices]
    assert amounts == sorted(amounts)
    assert {one["instance_type"] for one in done.prices} == set(TYPES)
    for one in done.prices:
        assert 0 < one["price"] < one["on_demand_price"]
        assert 0 < one["saving"] < 1
        assert one["lowest"] == one["highest"] == one["mean"] == one["price"]
        assert one["zone"].startswith("us-east-1") and one["zone_id"].startswith("use1-az")
    assert sorted(aws.calls()) == [
        "DescribeAvailabilityZones",
        "DescribeSpotPriceHistory",
        "GetProducts",
    ]


def test_prices_of_three_days_in_one_zone(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(instance_types=["t3.medium"], zones=["us-east-1a"], days=3)
    (one,) = done.prices
    assert one["zone"] == "us-east-1a"
    assert len(one["changes"]) == 13  # one every six hours, and the one that held at the start
    assert [change["time"] for change in one["changes"]] == sorted((c["time"] for c in one["changes"]), reverse=True)
    assert one["changes"][-1]["time"] <= done.period["start"] < one["changes"][-2]["time"]
    assert one["lowest"] < one["mean"] < one["highest"]
    assert one["changes"][0]["price"] == one["price"]


def test_second_task_asks_nothing(aws: Aws, info: Any) -> None:  # noqa: F811
    first = info()
    aws.forget_calls()
    second = info(instance_types=TYPES[::-1])
    assert (second.prices, second.cached, aws.calls()) == (first.prices, True, [])
    assert second.asked_at == info().asked_at
    assert info(cache_seconds=0).cached is False


def test_another_question_asks_only_for_what_is_new(aws: Aws, info: Any) -> None:  # noqa: F811
    info()
    aws.forget_calls()
    assert info(hours=6).cached is False
    assert aws.calls() == ["DescribeSpotPriceHistory"]


def test_without_permission_for_the_price_list(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("GetProducts")
    aws.deny("DescribeAvailabilityZones")
    done = info()
    assert done.rc == 0
    assert {one["on_demand_price"] for one in done.prices} == {one["zone_id"] for one in done.prices} == {None}
    assert sorted(note.rsplit("(", 1)[1] for note in done.notes) == [
        "ec2:DescribeAvailabilityZones: no permission)",
        "pricing:GetProducts: no permission)",
    ]
    aws.app.world.denied.clear()
    assert info().prices[0]["on_demand_price"], "the refusal was kept"


def test_on_demand_prices_are_not_asked_for(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(on_demand=False)
    assert "GetProducts" not in aws.calls()
    assert (done.notes, done.prices[0]["on_demand_price"]) == ([], None)


def test_what_does_not_exist_is_told_at_once(info: Any) -> None:
    done = info(instance_types=["t3.medium", "p2.xlarge", "t3.mediun"], zones=["us-east-1a", "us-east-1z"])
    assert done.rc == 1
    for part in (
        "Invalid options: instance_types: p2.xlarge is not offered in us-east-1; AWS has taken it out of service",
        "t3.mediun is not offered in us-east-1; the nearest that are: t3.medium",
        "us-east-1z is no zone of us-east-1 for this account; there are us-east-1a",
    ):
        assert part in done.msg


def test_a_zone_that_is_wrong_hides_no_type(info: Any) -> None:
    done = info(instance_types=["p2.xlarge"], zones=["us-east-1z"])
    assert "p2.xlarge is not offered" in done.msg and "us-east-1z is no zone" in done.msg


def test_type_that_the_zone_does_not_sell(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(instance_types=["g6.xlarge"], zones=["us-east-1e"])
    assert (done.rc, done.prices) == (0, [])
    (note,) = done.notes
    assert note.startswith("g6.xlarge is not offered in us-east-1e, but in us-east-1a")


def test_bad_options_before_any_call(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(instance_types=["g5"], zones=["a"], hours=0, cache_seconds=-1)
    assert all(part in done.msg for part in ("instance_types[0]", "zones[0]", "hours", "cache_seconds"))
    assert info(hours=1, days=1).rc == 1
    assert aws.calls() == []


def test_permission_that_is_needed_is_named(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("DescribeSpotPriceHistory")
    done = info()
    assert done.rc == 1
    assert "ec2:DescribeSpotPriceHistory is not allowed" in done.msg
    aws.app.world.denied.clear()
    assert info().rc == 0


# The stub


def history(*items: tuple[str, str, str], token: str = "") -> Any:
    rows = "".join(
        f"<item><instanceType>g5.xlarge</instanceType><availabilityZone>{zone}</availabilityZone><productDescription>"
        f"Linux/UNIX</productDescription><spotPrice>{price}</spotPrice><timestamp>{at}</timestamp></item>"
        for zone, price, at in items
    )
    return xml(f"<spotPriceHistorySet>{rows}</spotPriceHistorySet><nextToken>{token}</nextToken>")


def test_all_pages_are_read_and_empty_ones_are_no_end(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    wire.script(
        "DescribeSpotPriceHistory",
        history(("us-east-1a", "0.400000", "2026-01-31T12:00:00.000Z"), token="1"),
        history(token="2"),
        history(("us-east-1b", "0.300000", "2026-01-31T12:00:00.000Z")),
    )
    wire.script("DescribeAvailabilityZones", xml("<availabilityZoneInfo/>"))
    done = run(spot_price_info.main, capsys, instance_types=["g5.xlarge"], on_demand=False, hours=1)
    assert [(one["zone"], one["price"]) for one in done.prices] == [("us-east-1b", 0.3), ("us-east-1a", 0.4)]
    first, *more = wire.of("DescribeSpotPriceHistory")
    assert first["InstanceType.1"] == "g5.xlarge"
    assert {first["ProductDescription.1"], first["ProductDescription.2"]} == {"Linux/UNIX", "Linux/UNIX (Amazon VPC)"}
    assert first["StartTime"] < first["EndTime"]
    assert [one["NextToken"] for one in more] == ["1", "2"]


def test_expired_credentials_are_said_once(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    for action in ("DescribeSpotPriceHistory", "DescribeAvailabilityZones"):
        wire.script(action, error("ExpiredToken", "The security token included in the request is expired"))
    done = run(spot_price_info.main, capsys, instance_types=["g5.xlarge"], on_demand=False)
    assert done.rc == 1
    assert done.msg.count("expired") == 1 or "have expired" in done.msg
    assert not any(files for _path, _dirs, files in os.walk(os.environ["XDG_CACHE_HOME"]))
