# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Spot placement scores: pure functions.

Note that this module util is private to the collection and may change at any time.

Source: EC2 API GetSpotPlacementScores; EC2 user guide, "Spot placement score".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .prices import seconds_problems, type_problems

Resource = dict[str, Any]

REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
MAX_REGIONS = 10
MAX_TYPES = 1000
MAX_CAPACITY = 2_000_000_000
# With fewer types AWS gives low scores by design.
ENOUGH_TYPES = 3

# What these answers mean. They are limits of AWS on asking, not faults.
LIMITS = {
    "MaxConfigLimitExceeded": (
        "AWS scores a limited number of new combinations of types, capacity and regions in 24 hours, and this account "
        "has used them up; those that it has asked for before still get a score"
    ),
    "TargetCapacityLimitExceeded": (
        "AWS scores no more capacity than fits the recent use of Spot by this account; ask for less"
    ),
}


def problems(params: Mapping[str, Any]) -> list[str]:
    """What is wrong with the options of spot_placement_score_info, a line each."""
    names, regions, capacity = params["instance_types"], params["regions"], params["target_capacity"]
    found = type_problems(names) + [
        f"regions[{place}]: {region!r} is not a region, which looks like us-east-1"
        for place, region in enumerate(regions)
        if not REGION.fullmatch(region)
    ]
    if len(set(names)) > MAX_TYPES:
        found.append(f"instance_types: {len(set(names))} are too many, AWS scores at most {MAX_TYPES}")
    if len(set(regions)) > MAX_REGIONS:
        found.append(f"regions: {len(set(regions))} are too many, AWS scores at most {MAX_REGIONS}")
    if not 1 <= capacity <= MAX_CAPACITY:
        found.append(f"target_capacity: {capacity} is not between 1 and {MAX_CAPACITY}")
    return found + seconds_problems(params)


def request(params: Mapping[str, Any], region: str) -> Resource:
    """Parameters of the call, sorted: the same question in another order is no new combination."""
    return {
        "InstanceTypes": sorted(set(params["instance_types"])),
        "RegionNames": sorted(set(params["regions"])) or [region],
        "SingleAvailabilityZone": params["single_zone"],
        "TargetCapacity": params["target_capacity"],
        "TargetCapacityUnitType": params["target_capacity_unit"],
    }


def rows(found: Iterable[Resource]) -> list[Resource]:
    """The entries of an answer as JSON data."""
    return [
        {"region": one.get("Region"), "zone_id": one.get("AvailabilityZoneId"), "score": one["Score"]} for one in found
    ]


def table(found: Iterable[Resource], zone_ids: Mapping[str, str]) -> list[Resource]:
    """Scores with the names of zones, the best first.

    Args:
        found: what ``rows`` gave.
        zone_ids: zone name -> zone id of the region that is asked; zones of other regions have no name here, since it
            differs between accounts.
    """
    names = {zone_id: name for name, zone_id in zone_ids.items()}
    entries = [{**one, "zone": names.get(one["zone_id"])} for one in found]
    return sorted(entries, key=lambda one: (-one["score"], one["region"] or "", one["zone_id"] or ""))


def limit(code: str) -> str | None:
    """What an error code means when it is a limit on asking for scores, else None."""
    return next((text for name, text in LIMITS.items() if code.startswith(name)), None)


def notes(names: Iterable[str]) -> list[str]:
    """What to know about a score for these types."""
    count = len(set(names))
    if count >= ENOUGH_TYPES:
        return []
    return [f"AWS gives a low score to fewer than {ENOUGH_TYPES} instance types by design, and {count} were given"]
