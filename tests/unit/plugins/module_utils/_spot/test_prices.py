"""Spot prices out of their changes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import prices
from ansible_collections.experiments.spot.plugins.module_utils._spot.prices import Change, Pool

END = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
POOL = Pool("g5.xlarge", "us-east-1a")
PARAMS: dict[str, Any] = {
    "instance_types": ["g5.xlarge"],
    "zones": [],
    "hours": None,
    "days": None,
    "cache_seconds": 300,
}


def at(hours: float) -> datetime:
    return END - timedelta(hours=hours)


def held(*items: tuple[float, str]) -> list[Change]:
    return [Change(at(hours), Decimal(price)) for hours, price in items]


def item(kind: str = "g5.xlarge", zone: str = "us-east-1a", hours: float = 1, price: str = "0.4", **more: Any) -> Any:
    return {
        "InstanceType": kind,
        "AvailabilityZone": zone,
        "Timestamp": at(hours),
        "SpotPrice": price,
        "ProductDescription": "Linux/UNIX",
        **more,
    }


def test_changes_of_each_pool_oldest_first_and_once() -> None:
    answer = [item(hours=1), item(hours=9, price="0.3"), item(hours=1), item("m5.large", "us-east-1b", 2, "0.05")]
    assert prices.changes(prices.rows(answer)) == {
        POOL: held((9, "0.3"), (1, "0.4")),
        Pool("m5.large", "us-east-1b"): held((2, "0.05")),
    }


@pytest.mark.parametrize("both", [True, False])
def test_the_name_of_old_accounts_counts_only_where_there_is_no_other(both: bool) -> None:
    old = item(hours=1, price="9", ProductDescription="Linux/UNIX (Amazon VPC)")
    answer = [old, item(hours=5)] if both else [old]
    assert prices.changes(prices.rows(answer))[POOL] == held((5, "0.4") if both else (1, "9"))


@pytest.mark.parametrize(
    ("changes", "hours", "expected"),
    [
        (held((30, "0.4")), 0, "0.4"),
        (held((30, "0.4")), 24, "0.4"),
        (held((30, "0.1"), (6, "0.5")), 24, "0.2"),  # 18 hours of 0.1 and 6 of 0.5
        (held((12, "0.1"), (6, "0.5")), 24, "0.3"),  # known for 12 hours only
        (held((30, "9"), (24, "0.1"), (0, "5")), 24, "0.1"),
    ],
)
def test_mean_is_over_time(changes: list[Change], hours: float, expected: str) -> None:
    assert prices.mean(prices.within(changes, at(hours)), at(hours), END) == Decimal(expected)


def test_entry() -> None:
    changes = held((99, "7"), (30, "0.1"), (6, "0.5"), (2, "0.4"))
    found = prices.entry(POOL, changes, at(24), END, 1.0)
    assert found == {
        "instance_type": "g5.xlarge",
        "zone": "us-east-1a",
        "price": 0.4,
        "since": "2026-01-31T10:00:00+00:00",
        "on_demand_price": 1.0,
        "saving": 0.6,
        "lowest": 0.1,
        "highest": 0.5,
        "mean": 0.191667,
        "changes": [
            {"time": "2026-01-31T10:00:00+00:00", "price": 0.4},
            {"time": "2026-01-31T06:00:00+00:00", "price": 0.5},
            {"time": "2026-01-30T06:00:00+00:00", "price": 0.1},
        ],
    }


def test_unknown_on_demand_price() -> None:
    found = prices.entry(POOL, held((1, "0.4")), END, END, None)
    assert found["on_demand_price"] is found["saving"] is None
    assert (found["lowest"], found["highest"], found["mean"], len(found["changes"])) == (0.4, 0.4, 0.4, 1)


def test_table_is_sorted_by_price() -> None:
    other = Pool("g6.xlarge", "us-east-1b")
    found = {POOL: held((1, "0.4")), other: held((1, "0.3"))}
    table = prices.table(found, END, END, {"g6.xlarge": 0.8}, {"us-east-1b": "use1-az2"})
    assert [(one["instance_type"], one["zone_id"], one["on_demand_price"]) for one in table] == [
        ("g6.xlarge", "use1-az2", 0.8),
        ("g5.xlarge", None, None),
    ]


def test_all_mistakes_at_once() -> None:
    wrong = {
        **PARAMS,
        "instance_types": ["g5", "g5.xlarge", "G5.xlarge"],
        "zones": ["use1-az1", "us-east-1", "us-east-1a", "us-west-2-lax-1a"],
        "hours": 0,
        "days": 91,
        "cache_seconds": -1,
    }
    assert [line.split(":", 1)[0] for line in prices.problems(wrong)] == [
        "instance_types[0]",
        "instance_types[2]",
        "zones[0]",
        "zones[1]",
        "hours",
        "days",
        "cache_seconds",
    ]
    assert prices.problems({**PARAMS, "instance_types": []}) == ["instance_types: at least one is needed"]


@pytest.mark.parametrize("more", [{"hours": 1}, {"hours": 2160}, {"days": 90}, {"cache_seconds": 0}])
def test_limits(more: dict[str, Any]) -> None:
    assert prices.problems({**PARAMS, **more}) == []


def test_period() -> None:
    assert prices.period(PARAMS, END) == (END, END)
    assert prices.period({**PARAMS, "hours": 24}, END) == prices.period({**PARAMS, "days": 1}, END) == (at(24), END)


def test_zone_that_does_not_exist() -> None:
    (line,) = prices.zone_problems(
        ["us-east-1a", "us-east-1z", "us-east-1z"], ["us-east-1b", "us-east-1a"], "us-east-1"
    )
    assert line == "zones: us-east-1z is no zone of us-east-1 for this account; there are us-east-1a, us-east-1b"


def test_why_there_is_no_price() -> None:
    assert prices.unpriced(["m5.large", "g5.xlarge", "m5.large"], [POOL]) == ["m5.large"]
    assert prices.why_unpriced("m5.large", ["a"], ["b", "c"], "r") == "m5.large is not offered in a, but in b, c"
    assert "only on demand" in prices.why_unpriced("m5.large", [], ["b"], "r")
    assert "only on demand" in prices.why_unpriced("m5.large", ["b"], ["b"], "r")
