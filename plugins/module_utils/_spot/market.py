# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pools of several regions side by side, those that fit a need and are cheapest: pure functions.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._experiment.transformations import instance_type
from . import prices
from .scores import MAX_CAPACITY, MAX_REGIONS, REGION

Resource = dict[str, Any]

NEEDS = ("gpus", "gpu_memory", "vcpus", "memory")
# What a container with the NVIDIA toolkit can use.
MAKER = "NVIDIA"
# EC2 tells 22.35 GiB of what makers sell as 24 GB.
GB_PER_GIB = 2**30 / 10**9


class Offer(NamedTuple):
    """What a pool costs now: USD per hour."""

    price: float
    instance_type: str
    zone: str
    region: str


def problems(params: Mapping[str, Any]) -> list[str]:
    """What is wrong with the options of spot_pool_info, a line each."""
    names, regions = params["instance_types"], params["regions"]
    found = prices.type_problems(names) if names else []
    if not names and not any(params[name] for name in NEEDS):
        found.append("say what for: instance_types, or a need: gpus, gpu_memory (GB), vcpus, memory (GiB)")
    found += [
        f"regions[{place}]: {region!r} is not a region, which looks like us-east-1"
        for place, region in enumerate(regions)
        if not REGION.fullmatch(region)
    ]
    if len(set(regions)) > MAX_REGIONS:
        found.append(f"regions: {len(set(regions))} are too many, AWS compares at most {MAX_REGIONS}")
    found += [f"{name}: {params[name]:g} is negative" for name in NEEDS if params[name] < 0]
    limits = {"days": prices.MAX_HOURS // 24, "pools": 1000, "target_capacity": MAX_CAPACITY}
    found += [
        f"{name}: {params[name]} is not between 1 and {most}"
        for name, most in limits.items()
        if not 1 <= params[name] <= most
    ]
    return found + prices.seconds_problems(params)


def type_row(raw: Resource) -> Resource:
    """One instance type as JSON data; memory in GiB, ``gpu`` is the model. Source: EC2 API InstanceTypeInfo."""
    data = instance_type(raw)
    cards = raw.get("GpuInfo", {}).get("Gpus") or []
    first = cards[0] if cards else {}
    return {
        "instance_type": data["instance_type"],
        "vcpus": data["vcpus"],
        "memory": _gib(data["memory_mib"]),
        "gpus": data["gpus"],
        "gpu": first.get("Name"),
        "gpu_memory": _gib(first.get("MemoryInfo", {}).get("SizeInMiB")),
        "maker": first.get("Manufacturer"),
        "architectures": data["architectures"],
        "spot": data["spot"],
        "metal": bool(raw.get("BareMetal")),
    }


def _gib(mib: int | None) -> float | None:
    if mib is None:
        return None
    return mib // 1024 if mib % 1024 == 0 else round(mib / 1024, 2)


def fits(row: Resource, params: Mapping[str, Any]) -> bool:
    """Whether a type has at least what is needed. Types that are named need no certain processor.

    Bare metal takes many minutes to start, so it must be named.
    """
    if any((row[name] or 0) < params[name] for name in NEEDS if name != "gpu_memory"):
        return False
    if round((row["gpu_memory"] or 0) * GB_PER_GIB, 1) < params["gpu_memory"]:
        return False
    if (params["gpus"] or params["gpu_memory"]) and row["maker"] != MAKER:
        return False
    named = bool(params["instance_types"])
    return named or (row["spot"] and not row["metal"] and params["architecture"] in row["architectures"])


def need(params: Mapping[str, Any]) -> str:
    """The need as it is typed, empty for none."""
    return ", ".join(f"{name}={params[name]:g}" for name in NEEDS if params[name])


def offers(table: Mapping[tuple[str, str], float], region: str) -> list[Offer]:
    """The pools of a region out of ``(type, zone)`` -> price."""
    return [Offer(price, name, zone, region) for (name, zone), price in table.items()]


def cheapest(found: Iterable[Offer], count: int) -> list[Offer]:
    """The cheapest pools of all regions, the cheapest first."""
    return sorted(found)[:count]


def row(
    entry: Resource, region: str, types: Mapping[str, Resource], scored: Mapping[tuple[str, str | None], int]
) -> Resource:
    """One pool as the module returns it.

    Args:
        entry: of ``prices.table``.
        region: where it is.
        types: type -> what ``type_row`` gave.
        scored: region and zone id -> placement score.
    """
    about = types.get(entry["instance_type"], {})
    return {
        "region": region,
        **{key: about.get(key) for key in ("vcpus", "memory", "gpus", "gpu", "gpu_memory")},
        **entry,
        "score": scored.get((region, entry["zone_id"])),
    }
