"""From the shapes of boto3 to ours."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import transformations
from tests.unit.plugins.module_utils._experiment.builders import type_data, volume


@pytest.mark.parametrize(
    ("arn", "owner"),
    [
        ("arn:aws:iam::123456789012:user/alice", "alice"),
        ("arn:aws:iam::123456789012:user/team/alice", "alice"),
        ("arn:aws:sts::123456789012:assumed-role/Admin/alice@example.org", "alice@example.org"),
    ],
)
def test_owner_is_the_user_part(arn: str, owner: str) -> None:
    assert transformations.owner_of(arn) == owner


def test_root_has_no_user_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformations.getpass, "getuser", lambda: "bob")
    assert transformations.owner_of("arn:aws:iam::123456789012:root") == "bob"


def test_gpus_of_all_cards_are_added() -> None:
    raw = type_data("g4dn.metal", gpus=4)
    raw["GpuInfo"]["Gpus"].append({"Count": 4})
    assert transformations.instance_type(raw)["gpus"] == 8


def test_image_without_a_root_mapping_has_no_size() -> None:
    assert transformations.image({"ImageId": "ami-1"})["root_snapshot_size"] is None


def test_newest_image() -> None:
    old, new = {"ImageId": "ami-2", "CreationDate": "2025-01-01"}, {"ImageId": "ami-1", "CreationDate": "2026-01-01"}
    assert transformations.newest_image([new, old]) == new
    assert transformations.newest_image([]) is None


def test_newest_price_wins() -> None:
    entry = {"InstanceType": "t3.medium", "AvailabilityZone": "us-east-1a"}
    history = [
        {**entry, "SpotPrice": "0.02", "Timestamp": datetime(2026, 1, 2, tzinfo=timezone.utc)},
        {**entry, "SpotPrice": "0.01", "Timestamp": datetime(2026, 1, 1, tzinfo=timezone.utc)},
    ]
    assert transformations.price_table(history) == {("t3.medium", "us-east-1a"): 0.02}


def product(*prices: str) -> dict[str, Any]:
    dimensions = {str(place): {"pricePerUnit": {"USD": price}} for place, price in enumerate(prices)}
    return {"terms": {"OnDemand": {"offer": {"priceDimensions": dimensions}}}}


@pytest.mark.parametrize(
    ("products", "price"),
    [
        ([product("0.0416000000")], 0.0416),
        ([product("0.0416"), product("0.0416", "0.0000000000")], 0.0416),
        ([product("0.0416"), product("0.09")], None),
        ([], None),
        ([{"terms": {}}], None),
    ],
)
def test_on_demand_price_must_be_one(products: list[dict[str, Any]], price: float | None) -> None:
    assert transformations.on_demand_price(products) == price


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("User initiated (2026-01-31 12:34:56 GMT)", datetime(2026, 1, 31, 12, 34, 56, tzinfo=timezone.utc)),
        ("Server.SpotInstanceTermination", None),
        ("", None),
    ],
)
def test_end_of_an_instance(reason: str, expected: datetime | None) -> None:
    assert transformations.ended({"StateTransitionReason": reason}) == expected


def test_detached_instances_do_not_hold_a_volume() -> None:
    raw = volume("vol-1", Attachments=[{"InstanceId": "i-1", "State": "detached"}])
    assert transformations.volume(raw)["instance_ids"] == []
