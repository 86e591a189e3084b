"""The cheapest pools over the wire: real botocore, the lab's API with several regions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.modules import spot_pool_info
from lab.aws import prices as lab_prices
from lab.aws.world import Fault
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401

pytestmark = pytest.mark.slow

TYPES = ["t3.medium", "t3.large", "m5.large"]
EAST, WEST = "us-east-1", "us-west-2"


@pytest.fixture(autouse=True)
def no_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def info(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(spot_pool_info.main, capsys, **args)


def always(aws: Aws, action: str, code: str, region: str = "") -> None:  # noqa: F811
    aws.app.world.faults.append(Fault(action, code, times=None, region=region))


def history(aws: Aws, region: str) -> dict[tuple[str, str], list[float]]:  # noqa: F811
    """Prices of the last 30 days as AWS tells them, by type and zone."""
    client = boto3.client("ec2", region_name=region)
    start = datetime.now(timezone.utc) - timedelta(days=30)
    found: dict[tuple[str, str], list[float]] = {}
    for page in client.get_paginator("describe_spot_price_history").paginate(InstanceTypes=TYPES, StartTime=start):
        for one in page["SpotPriceHistory"]:
            found.setdefault((one["InstanceType"], one["AvailabilityZone"]), []).append(float(one["SpotPrice"]))
    return found


def test_named_types_in_two_regions(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(instance_types=TYPES, regions=[EAST, WEST], pools=8)
    assert (done.rc, done.changed, done.left_out, done.unknown) == (0, False, [], {})
    expected = {**history(aws, EAST), **history(aws, WEST)}
    assert done.fitting == len(expected)
    cheapest = sorted((held[0], name, zone) for (name, zone), held in expected.items())[:8]
    assert [(one["price"], one["instance_type"], one["zone"]) for one in done.pools] == cheapest
    for one in done.pools:
        held = expected[one["instance_type"], one["zone"]]
        assert (one["lowest"], one["highest"]) == (min(held), max(held))
        assert one["on_demand_price"] == lab_prices.on_demand(one["instance_type"])
        assert one["zone"].startswith(one["region"]) and one["changes"][0]["price"] == one["price"]
        assert (one["vcpus"], one["gpus"]) == (2, 0) and one["memory"] in (4, 8)
        assert one["score"] is None or 1 <= one["score"] <= 10
    assert any(one["score"] for one in done.pools)


def test_calls_are_few_and_only_about_what_is_shown(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.forget_calls()
    info(instance_types=TYPES, pools=3)
    assert sorted(aws.calls()) == [
        "DescribeAvailabilityZones",
        "DescribeInstanceTypes",
        "DescribeSpotPriceHistory",
        "DescribeSpotPriceHistory",
        "GetProducts",
        "GetSpotPlacementScores",
    ]
    aws.forget_calls()
    info(instance_types=TYPES, pools=3)
    assert aws.calls() == ["DescribeSpotPriceHistory"]


def test_need_of_gpus(info: Any) -> None:
    done = info(gpus=1, memory=30, gpu_memory=24, pools=12, scores=False)
    assert len(done.pools) == 12 and done.need == "gpus=1, gpu_memory=24, memory=30"
    for one in done.pools:
        assert one["gpus"] >= 1 and one["memory"] >= 30 and one["gpu_memory"] >= 22
        assert one["score"] is None


def test_need_of_another_processor(info: Any, aws: Aws) -> None:  # noqa: F811
    done = info(vcpus=2, memory=8, architecture="arm64", pools=5, scores=False)
    names = {one["instance_type"] for one in done.pools}
    found = aws.ec2.describe_instance_types(InstanceTypes=sorted(names))["InstanceTypes"]
    assert {tuple(one["ProcessorInfo"]["SupportedArchitectures"]) for one in found} == {("arm64",)}


def test_nothing_fits(info: Any) -> None:
    done = info(gpus=1000)
    assert (done.rc, done.pools, done.fitting, done.need) == (0, [], 0, "gpus=1000")


@pytest.mark.parametrize(
    ("action", "column", "values"),
    [
        ("GetProducts", "on_demand_price", {"on_demand_price", "saving"}),
        ("GetSpotPlacementScores", "score", {"score"}),
        ("DescribeAvailabilityZones", "score", {"score", "zone_id"}),
        ("DescribeInstanceTypes", "types", {"vcpus", "memory", "gpus"}),
    ],
)
def test_without_a_permission_the_rest_is_told(
    aws: Aws,  # noqa: F811
    info: Any,
    action: str,
    column: str,
    values: set[str],
) -> None:
    aws.deny(action)
    done = info(instance_types=TYPES, pools=3)
    assert (done.rc, len(done.pools), done.unknown) == (0, 3, {column: "no permission"})
    never = {"gpu", "gpu_memory"}  # these types have none
    for one in done.pools:
        assert {key for key, value in one.items() if value is None} - never == values


@pytest.mark.parametrize(
    ("action", "args"),
    [("DescribeSpotPriceHistory", {"instance_types": TYPES}), ("DescribeInstanceTypes", {"gpus": 1})],
)
def test_permission_that_is_needed_is_named(aws: Aws, info: Any, action: str, args: dict[str, Any]) -> None:  # noqa: F811
    aws.deny(action)
    done = info(**args)
    assert done.rc == 1 and f"ec2:{action} is not allowed" in done.msg


def test_limit_on_scores(aws: Aws, info: Any) -> None:  # noqa: F811
    always(aws, "GetSpotPlacementScores", "MaxConfigLimitExceededException")
    done = info(instance_types=TYPES, pools=2)
    assert done.unknown == {"score": "limit"} and "used them up" in "".join(done.notes)


def test_region_that_is_not_enabled(aws: Aws, info: Any) -> None:  # noqa: F811
    always(aws, "DescribeInstanceTypes", "AuthFailure", WEST)
    always(aws, "DescribeSpotPriceHistory", "AuthFailure", WEST)
    done = info(instance_types=TYPES, regions=[EAST, WEST])
    assert {one["region"] for one in done.pools} == {EAST}
    assert done.left_out == [f"{WEST} cannot be used: it is not enabled for this account (AuthFailure)"]


def test_expired_credentials_are_said_once(aws: Aws, info: Any) -> None:  # noqa: F811
    for action in ("DescribeInstanceTypes", "DescribeSpotPriceHistory"):
        always(aws, action, "ExpiredToken")
    done = info(instance_types=TYPES, regions=[EAST, WEST])
    assert done.rc == 1 and done.msg.count("have expired") == 1
    assert f"{EAST}, {WEST}" in done.msg


def test_credentials_that_expire_in_the_middle(aws: Aws, info: Any) -> None:  # noqa: F811
    always(aws, "GetSpotPlacementScores", "ExpiredToken")
    done = info(instance_types=TYPES)
    assert done.rc == 1 and "have expired" in done.msg


def test_type_that_one_region_does_not_offer(info: Any) -> None:
    done = info(instance_types=["g6.xlarge", "g5.xlarge"], regions=[EAST, "eu-west-1"], scores=False)
    assert "g6.xlarge is not offered in eu-west-1" in done.notes
    assert ("g6.xlarge", "eu-west-1") not in {(one["instance_type"], one["region"]) for one in done.pools}
    assert {one["region"] for one in done.pools} == {EAST, "eu-west-1"}


def test_types_that_no_region_offers_are_refused_together(info: Any) -> None:
    done = info(instance_types=["p2.xlarge", "g5.xlarg", "g5.xlarge"], regions=[EAST, WEST])
    assert done.rc == 1
    assert f"p2.xlarge is not offered in {EAST}, {WEST}; AWS has taken it out of service" in done.msg
    assert "g5.xlarg is not offered" in done.msg and "the nearest that are: g5.xlarge" in done.msg


def test_type_that_is_not_sold_as_spot(aws: Aws, info: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("lab.aws.prices.history", lambda name, *_rest: iter(()))
    done = info(instance_types=["t3.medium"])
    assert (done.rc, done.pools) == (0, []) and "t3.medium has no Spot price in us-east-1" in done.notes


def test_all_mistakes_before_any_call(aws: Aws, info: Any) -> None:  # noqa: F811
    done = info(instance_types=["g5"], regions=["moon"], gpus=-1, days=91, pools=0, target_capacity=0, cache_seconds=-1)
    wrong = (
        "instance_types[0]",
        "regions[0]",
        "gpus: -1",
        "days: 91",
        "pools: 0",
        "target_capacity: 0",
        "cache_seconds",
    )
    assert done.rc == 1 and all(part in done.msg for part in wrong)
    assert "say what for" in info().msg
    assert "at most 10" in info(gpus=1, regions=[f"us-east-{number}" for number in range(11)]).msg
    assert aws.calls() == []
