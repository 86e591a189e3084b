"""Money."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import cost

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("volume", "usd"),
    [
        (("gp3", 100, 3000, 125), 8.0),
        (("gp3", 100, 4000, 225), 8.0 + 5.0 + 4.0),
        (("gp2", 100, None, None), 10.0),
        (("io2", 100, 1000, None), 12.5 + 65.0),
        ((None, None, None, None), 0.0),
    ],
)
def test_storage_per_month(volume: tuple[str, int, int, int], usd: float) -> None:
    assert cost.storage_per_month(*volume) == pytest.approx(usd)


def test_unknown_prices_are_not_zero() -> None:
    assert cost.total([0.1, None]) is None
    assert cost.total([]) == 0
    assert cost.saving(None, 1.0) is None
    assert cost.saving(0.5, None) is None
    assert cost.so_far(None, NOW, NOW) is None
    assert cost.so_far(1.0, None, NOW) is None


def test_saving_is_never_negative() -> None:
    assert cost.saving(0.25, 1.0) == 0.75
    assert cost.saving(2.0, 1.0) == 0


def test_so_far_counts_hours_and_at_least_a_minute() -> None:
    assert cost.so_far(0.5, NOW - timedelta(hours=3), NOW) == 1.5
    assert cost.so_far(0.6, NOW + timedelta(hours=1), NOW) == 0.01


def test_a_file_system_costs_what_it_holds_and_what_is_provisioned() -> None:
    gib = 2**30
    size = {"Value": 12 * gib, "ValueInStandard": 10 * gib, "ValueInIA": 2 * gib, "ValueInArchive": 0}
    assert cost.file_system_per_month({"SizeInBytes": size}) == round(10 * 0.30 + 2 * 0.016, 4)
    assert cost.file_system_per_month({"SizeInBytes": {"Value": gib}}) == 0.30
    one_zone = {"SizeInBytes": {"Value": gib}, "AvailabilityZoneName": "a", "ProvisionedThroughputInMibps": 2.0}
    assert cost.file_system_per_month(one_zone) == 12.16
