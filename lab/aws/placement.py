"""GetSpotPlacementScores: how likely Spot capacity is, as far as the lab's capacity controls say.

Source: EC2 API GetSpotPlacementScores; EC2 User Guide "Spot placement score" (calculation, limitations).
"""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

from lab.aws import filters, prices, rules
from lab.aws.errors import Refusal
from lab.aws.fleet import requirements
from lab.aws.response import LabResponse
from lab.aws.world import World

TOP = 10  # "the top 10 Regions or Availability Zones"
BEST, FEW_TYPES, NONE = 9, 3, 1  # scores: everything is there; fewer than three types; no capacity at all
ENOUGH_TYPES = 3
MOST_REGIONS, MOST_TYPES = 10, 1000
MOST_CAPACITY = 2_000_000_000
MOST_CONFIGURATIONS = 50  # new ones in 24 hours; AWS does not document the number


def check(args: dict[str, Any]) -> None:
    """Source: EC2 API GetSpotPlacementScores; ranges from its model."""
    types, wanted = args.get("InstanceTypes"), args.get("InstanceRequirementsWithMetadata")
    if types and wanted:
        raise Refusal(
            "InvalidParameterCombination", "Specify InstanceTypes or InstanceRequirementsWithMetadata, not both."
        )
    if not types and not wanted:
        raise Refusal("MissingParameter", "Specify InstanceTypes or InstanceRequirementsWithMetadata.")
    limits = {
        "RegionNames": (len(args.get("RegionNames") or []), 0, MOST_REGIONS),
        "InstanceTypes": (len(types or []), 0, MOST_TYPES),
        "TargetCapacity": (int(args.get("TargetCapacity") or 0), 1, MOST_CAPACITY),
        "MaxResults": (int(args.get("MaxResults") or 10), 10, 1000),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise Refusal("InvalidParameterValue", f"{name} is {value}; it must be between {low} and {high}.")
    if args.get("TargetCapacityUnitType") not in (None, "units", "vcpu", "memory-mib"):
        raise Refusal("InvalidParameterValue", f"Invalid value '{args['TargetCapacityUnitType']}'.")


def configuration(args: dict[str, Any]) -> str:
    """What makes a configuration new."""
    kept = {k: v for k, v in args.items() if k not in ("MaxResults", "NextToken", "DryRun")}
    return json.dumps(kept, sort_keys=True, default=str)


def types(world: World, args: dict[str, Any]) -> list[str]:
    """The types to score; unknown ones are refused."""
    asked = args.get("InstanceRequirementsWithMetadata") or {}
    if asked:
        wanted = asked.get("InstanceRequirements") or {}
        return requirements.types(world, wanted, asked.get("ArchitectureTypes") or [])
    names = list(dict.fromkeys(args["InstanceTypes"]))
    unknown = [n for n in names if n not in rules.INSTANCE_TYPES]
    if unknown:
        raise Refusal("InvalidParameterValue", f"Invalid value '{unknown[0]}' for InstanceType.")
    return names


def units(type_name: str, unit: str | None) -> float:
    """Capacity of one instance in the unit that was asked for."""
    data = rules.INSTANCE_TYPES[type_name]
    if unit == "vcpu":
        return float(data["VCpuInfo"]["DefaultVCpus"])
    return float(data["MemoryInfo"]["SizeInMiB"]) if unit == "memory-mib" else 1.0


def attainable(world: World, names: list[str], zone: str, region: str, unit: str | None) -> float:
    """Capacity that the zone has for these types; only regions with machines know limits."""
    place = world.regions.get(region)
    total = 0.0
    for name in names:
        if zone in prices.offered_zones(name, region, world.config.not_offered):
            free = rules.free_places(place, name, zone, "spot") if place else None
            total += float("inf") if free is None else free * units(name, unit)
    return total


def score(got: float, wanted: int, kinds: int) -> int:
    """1 to 10. Source: fewer than three types score low; 10 is never a promise, so the lab's best is less."""
    best = BEST if kinds >= ENOUGH_TYPES else FEW_TYPES
    return max(NONE, round(best * min(1.0, got / wanted)))


def regions(world: World) -> list[str]:
    """All regions, the lab's own first. Source: without RegionNames every region is scored."""
    others = [r for r in RegionsAndZonesBackend.zones if r != world.config.region and r.count("-") == 2]
    return [world.config.region, *(r for r in others if not r.startswith("cn-"))]


def scores(world: World, args: dict[str, Any]) -> list[dict[str, Any]]:
    """EC2 API SpotPlacementScore, best first."""
    names, unit, wanted = types(world, args), args.get("TargetCapacityUnitType"), int(args["TargetCapacity"])
    found: list[dict[str, Any]] = []
    for region in args.get("RegionNames") or regions(world):
        zones = RegionsAndZonesBackend.zones.get(region)
        if not zones:
            raise Refusal("InvalidParameterValue", f"Invalid region: [{region}]")
        got = {z.zone_id: attainable(world, names, z.name, region, unit) for z in zones}
        if args.get("SingleAvailabilityZone"):
            found += [
                {"Region": region, "AvailabilityZoneId": i, "Score": score(n, wanted, len(names))}
                for i, n in got.items()
            ]
        else:
            found.append({"Region": region, "Score": score(sum(got.values()), wanted, len(names))})
    return sorted(found, key=lambda s: -s["Score"])[:TOP]


class Placement(LabResponse):
    """Spot placement scores."""

    def get_spot_placement_scores(self) -> ActionResult:
        """EC2 API GetSpotPlacementScores."""
        args = self.args
        check(args)
        self.dry_run()
        found = scores(self.world, args)
        known = self.world.placements
        known.add(configuration(args))
        if len(known) > MOST_CONFIGURATIONS:
            known.discard(configuration(args))
            raise Refusal(
                "MaxConfigLimitExceededException",
                "You have exceeded your maximum allowed Spot placement configurations. You can retry configurations "
                "that you used within the last 24 hours, or wait for 24 hours before specifying a new configuration.",
            )
        page, token = filters.page(found, args)
        return ActionResult({"SpotPlacementScores": page, "NextToken": token})
