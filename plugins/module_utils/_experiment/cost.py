# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Money as pure functions. All amounts are USD; unknown prices are None and never counted as zero."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Resource = dict[str, Any]

# USD per GiB and month in us-east-1, list prices of 2026, an estimate elsewhere: what a kept volume costs has no
# API that answers as cheaply as this table. Source: "Amazon EBS pricing" page.
STORAGE_PER_GIB_MONTH = {
    "gp3": 0.08,
    "gp2": 0.10,
    "io1": 0.125,
    "io2": 0.125,
    "st1": 0.045,
    "sc1": 0.015,
    "standard": 0.05,
    "snapshot": 0.05,
}
# What gp3 includes, and the price of more: USD per IOPS and per MiB/s and month.
GP3_IOPS, GP3_IOPS_PRICE = 3000, 0.005
GP3_THROUGHPUT, GP3_THROUGHPUT_PRICE = 125, 0.04
IO_IOPS_PRICE = 0.065


# USD per GiB and month of EFS in us-east-1, regional storage, and of storage in one zone. Source: "Amazon EFS pricing".
EFS_PER_GIB_MONTH = {"ValueInStandard": 0.30, "ValueInIA": 0.016, "ValueInArchive": 0.008}
EFS_ONE_ZONE_PER_GIB_MONTH = {"ValueInStandard": 0.16, "ValueInIA": 0.0133, "ValueInArchive": 0.008}
EFS_PROVISIONED_PRICE = 6.0  # per MiB/s and month


def total(amounts: list[float | None]) -> float | None:
    """Sum; None as soon as one amount is unknown. Rounded, since binary sums of prices are not pretty."""
    known = [amount for amount in amounts if amount is not None]
    return round(sum(known), 6) if len(known) == len(amounts) else None


def saving(price: float | None, on_demand: float | None) -> float | None:
    """Part of the on-demand price that is saved, 0 to 1."""
    if price is None or not on_demand:
        return None
    return round(max(0.0, 1 - price / on_demand), 4)


def storage_per_month(volume_type: str | None, size: int | None, iops: int | None, throughput: int | None) -> float:
    """Estimated USD a month of one volume (size in GiB, throughput in MiB/s) at us-east-1 list prices."""
    kind = volume_type or "gp3"
    amount = (size or 0) * STORAGE_PER_GIB_MONTH.get(kind, STORAGE_PER_GIB_MONTH["gp3"])
    if kind == "gp3":
        amount += max(0, (iops or 0) - GP3_IOPS) * GP3_IOPS_PRICE
        amount += max(0, (throughput or 0) - GP3_THROUGHPUT) * GP3_THROUGHPUT_PRICE
    elif kind in ("io1", "io2"):
        amount += (iops or 0) * IO_IOPS_PRICE
    return round(amount, 4)


def file_system_per_month(raw: Resource) -> float:
    """Estimated USD a month of what a file system holds, and of provisioned throughput. Source: EFS API SizeInBytes.

    What elastic throughput costs depends on what is read and written, and is not in it.
    """
    size = raw.get("SizeInBytes") or {}
    prices = EFS_ONE_ZONE_PER_GIB_MONTH if raw.get("AvailabilityZoneName") else EFS_PER_GIB_MONTH
    parts = {kind: size.get(kind) or 0 for kind in prices}
    parts["ValueInStandard"] += max(0, (size.get("Value") or 0) - sum(parts.values()))
    amount = sum(prices[kind] * parts[kind] / 2**30 for kind in prices)
    return round(amount + (raw.get("ProvisionedThroughputInMibps") or 0) * EFS_PROVISIONED_PRICE, 4)


def hours(start: datetime | None, end: datetime) -> float | None:
    """Hours between two moments, never negative. EC2 Linux is billed per second, at least 60 of them."""
    if start is None:
        return None
    return max((end - start).total_seconds(), 60) / 3600


def so_far(price: float | None, start: datetime | None, end: datetime) -> float | None:
    """Estimated USD since the launch, at the price of now."""
    ran = hours(start, end)
    return None if price is None or ran is None else round(price * ran, 6)


def per_hour(running: list[float | None], candidates: list[float | None], count: int) -> float | None:
    """USD per hour of the whole experiment: what runs, and what is missing at the cheapest pool.

    Args:
        running: prices of the running instances.
        candidates: prices of the pools that can be asked for.
        count: wanted number of instances.
    """
    cheapest = min((price for price in candidates if price is not None), default=None)
    return total(running + [cheapest] * max(0, count - len(running)))
