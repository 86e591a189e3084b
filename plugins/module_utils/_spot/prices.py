# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Spot prices by type and zone out of their changes: pure functions.

Note that this module util is private to the collection and may change at any time.

Source: EC2 API DescribeSpotPriceHistory: prices are strings in USD per hour; the answer holds changes, among them the
last one before the start of the period, which is the price at its start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

from .._experiment.cost import saving

Resource = dict[str, Any]

# Source: EC2 API DescribeSpotPriceHistory, "up to the past 90 days".
MAX_HOURS = 90 * 24
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
ZONE = re.compile(r"[a-z]{2}(?:-[a-z0-9]+)+[a-z]")
# What accounts from before 2014 call the product is taken only where there is no other.
PRODUCT = "Linux/UNIX"


class Change(NamedTuple):
    """One change of a price: when, and USD per hour since then."""

    at: datetime
    price: Decimal


class Pool(NamedTuple):
    """An instance type in a zone."""

    instance_type: str
    zone: str


def problems(params: Mapping[str, Any]) -> list[str]:
    """What is wrong with the options of spot_price_info, a line each."""
    found = type_problems(params["instance_types"])
    found += [
        f"zones[{place}]: {zone!r} is not the name of a zone, which looks like us-east-1a"
        for place, zone in enumerate(params["zones"])
        if not ZONE.fullmatch(zone)
    ]
    for name, most in (("hours", MAX_HOURS), ("days", MAX_HOURS // 24)):
        if params[name] is not None and not 1 <= params[name] <= most:
            found.append(f"{name}: {params[name]} is not between 1 and {most}, which is how far AWS looks back")
    return found + seconds_problems(params)


def type_problems(names: list[str]) -> list[str]:
    """What is wrong with names of instance types, a line each."""
    empty = [] if names else ["instance_types: at least one is needed"]
    return empty + [
        f"instance_types[{place}]: {name!r} is not an instance type, which looks like g5.xlarge"
        for place, name in enumerate(names)
        if not INSTANCE_TYPE.fullmatch(name)
    ]


def seconds_problems(params: Mapping[str, Any]) -> list[str]:
    """What is wrong with the option ``cache_seconds``."""
    seconds = params["cache_seconds"]
    return [f"cache_seconds: {seconds} is negative"] if seconds < 0 else []


def period(params: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """Start and end of what is asked; the same moment for the price of now."""
    back = timedelta(hours=params["hours"] or 0, days=params["days"] or 0)
    return now - back, now


def rows(history: Iterable[Resource]) -> list[list[str]]:
    """The entries of an answer as JSON data: ``[type, zone, product, ISO time, price]``."""
    return [
        [
            entry["InstanceType"],
            entry["AvailabilityZone"],
            entry.get("ProductDescription") or PRODUCT,
            entry["Timestamp"].astimezone(timezone.utc).isoformat(),
            entry["SpotPrice"],
        ]
        for entry in history
    ]


def changes(found: Iterable[list[str]]) -> dict[Pool, list[Change]]:
    """The changes of each pool, oldest first, out of ``rows``."""
    by_product: dict[Pool, dict[str, set[Change]]] = {}
    for name, zone, product, at, price in found:
        products = by_product.setdefault(Pool(name, zone), {})
        products.setdefault(product, set()).add(Change(datetime.fromisoformat(at), Decimal(price)))
    return {
        pool: sorted(products[PRODUCT] if PRODUCT in products else next(iter(products.values())))
        for pool, products in by_product.items()
    }


def mean(found: list[Change], start: datetime, end: datetime) -> Decimal:
    """The mean over the time between start and end, as far as the price is known; the last price for no time."""
    total, seconds = Decimal(0), Decimal(0)
    ends = [change.at for change in found[1:]] + [end]
    for change, until in zip(found, ends):
        length = Decimal(str(max(0.0, (min(until, end) - max(change.at, start)).total_seconds())))
        total, seconds = total + change.price * length, seconds + length
    return total / seconds if seconds else found[-1].price


def within(found: list[Change], start: datetime) -> list[Change]:
    """The changes that hold in the period: those after its start, and the last one before it."""
    before = [change for change in found if change.at <= start]
    return before[-1:] + [change for change in found if change.at > start]


def entry(pool: Pool, found: list[Change], start: datetime, end: datetime, on_demand: float | None) -> Resource:
    """The prices of one pool as the module returns them."""
    held = within(found, start)
    current = held[-1]
    prices = [change.price for change in held]
    price = float(current.price)
    return {
        "instance_type": pool.instance_type,
        "zone": pool.zone,
        "price": price,
        "since": current.at.isoformat(),
        "on_demand_price": on_demand,
        "saving": saving(price, on_demand),
        "lowest": float(min(prices)),
        "highest": float(max(prices)),
        "mean": float(round(mean(held, start, end), 6)),
        "changes": [{"time": change.at.isoformat(), "price": float(change.price)} for change in reversed(held)],
    }


def table(
    found: dict[Pool, list[Change]],
    start: datetime,
    end: datetime,
    on_demand: Mapping[str, float | None],
    zone_ids: Mapping[str, str],
) -> list[Resource]:
    """All pools, the cheapest of now first.

    Args:
        found: changes of each pool.
        start: start of the period.
        end: its end.
        on_demand: instance type -> USD per hour on demand.
        zone_ids: zone name -> zone id.
    """
    entries = [
        {**entry(pool, held, start, end, on_demand.get(pool.instance_type)), "zone_id": zone_ids.get(pool.zone)}
        for pool, held in found.items()
    ]
    return sorted(entries, key=lambda one: (one["price"], one["instance_type"], one["zone"]))


def unpriced(names: Iterable[str], found: Iterable[Pool]) -> list[str]:
    """Types for which no pool has a price."""
    priced = {pool.instance_type for pool in found}
    return [name for name in dict.fromkeys(names) if name not in priced]


def zone_problems(wanted: list[str], known: Iterable[str], region: str) -> list[str]:
    """Zones that the region does not have for this account, a line each."""
    names = sorted(known)
    return [
        f"zones: {zone} is no zone of {region} for this account; there are {', '.join(names)}"
        for zone in dict.fromkeys(wanted)
        if zone not in names
    ]


def why_unpriced(name: str, zones: list[str], offered: Iterable[str], region: str) -> str:
    """Why there is no Spot price for a type that the region offers, one line.

    Args:
        name: the type.
        zones: the zones that were asked for; empty for all.
        offered: the zones that offer the type.
        region: the region.
    """
    places = sorted(offered)
    if zones and not set(zones) & set(places):
        return f"{name} is not offered in {', '.join(zones)}, but in {', '.join(places)}"
    return f"{name} has no Spot price in {', '.join(zones) or region}: it is sold only on demand there"
