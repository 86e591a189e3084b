"""InstanceRequirements: which types have the attributes that were asked for.

Source: EC2 API InstanceRequirementsRequest. Attributes about network and EBS bandwidth, hibernation and baseline
performance are not looked at.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from lab.aws import prices, rules
from lab.aws.errors import Refusal
from lab.aws.world import World

CHEAPEST = 40  # types that are kept; AWS has no such limit, every type is a pool in every zone here
OFF = 999999  # Source: "include one of these parameters and specify a high value, such as 999999"
SPOT_PERCENT = 100  # over the lowest price, when nothing is said
ACCELERATORS = {"gpu": "GpuInfo", "fpga": "FpgaInfo", "inference": "InferenceAcceleratorInfo", "media": "MediaInfo"}


def check(wanted: dict[str, Any]) -> None:
    """What cannot be asked for together. Source: EC2 API InstanceRequirementsRequest."""
    for name in ("VCpuCount", "MemoryMiB"):
        if wanted.get(name, {}).get("Min") is None:
            raise Refusal("MissingParameter", f"The request must contain the parameter InstanceRequirements.{name}.Min")
    for one, other in (
        ("AllowedInstanceTypes", "ExcludedInstanceTypes"),
        ("SpotMaxPricePercentageOverLowestPrice", "MaxSpotPriceAsPercentageOfOptimalOnDemandPrice"),
    ):
        if wanted.get(one) and wanted.get(other):
            raise Refusal("InvalidParameterCombination", f"InstanceRequirements: specify {one} or {other}, not both.")


def types(world: World, wanted: dict[str, Any], architectures: Sequence[str] = ()) -> list[str]:
    """Names of the types that fit, speak one of the architectures and are not too dear, cheapest first."""
    check(wanted)
    spoken = [name for name, data in INSTANCE_TYPES.items() if speaks(data, architectures)]
    fitting = [name for name in spoken if fits(name, wanted) and rules.offered_zones(world, name)]
    kept = [name for name in fitting if prices.on_demand(name) <= limit(fitting, wanted)]
    return sorted(kept, key=lambda name: (prices.on_demand(name), name))[:CHEAPEST]


def limit(fitting: list[str], wanted: dict[str, Any]) -> float:
    """Price protection as a price. Source: SpotMaxPricePercentageOverLowestPrice and its sibling.

    The lowest price is that of a current C, M or R type that fits, else of any current one, else of any. The lab's
    Spot prices are shares of On-Demand prices, so one comparison serves both parameters.
    """
    over = wanted.get("SpotMaxPricePercentageOverLowestPrice")
    share = wanted.get("MaxSpotPriceAsPercentageOfOptimalOnDemandPrice")
    if max(int(over or 0), int(share or 0)) >= OFF or not fitting:
        return float("inf")
    current = [name for name in fitting if INSTANCE_TYPES[name].get("CurrentGeneration")]
    usual = [name for name in current if name[0] in "cmr"]
    lowest = min(prices.on_demand(name) for name in usual or current or fitting)
    if share is not None:
        return lowest * int(share) / 100 / 0.42
    return lowest * (1 + int(SPOT_PERCENT if over is None else over) / 100)


def speaks(data: dict[str, Any], architectures: Sequence[str]) -> bool:
    """Source: EC2 User Guide, attribute-based instance type selection: the image decides about the architecture."""
    return not architectures or bool(set(architectures) & set(data["ProcessorInfo"]["SupportedArchitectures"]))


def fits(name: str, wanted: dict[str, Any]) -> bool:
    """Whether a type has all attributes."""
    data = INSTANCE_TYPES[name]
    return all(test(data, wanted) for test in _TESTS)


def _between(value: float, limits: dict[str, Any] | None) -> bool:
    if not limits:
        return True
    return float(limits.get("Min") or 0) <= value <= float("inf" if limits.get("Max") is None else limits["Max"])


def _size(data: dict[str, Any], wanted: dict[str, Any]) -> bool:
    cpus, memory = data["VCpuInfo"]["DefaultVCpus"], data["MemoryInfo"]["SizeInMiB"]
    return (
        _between(cpus, wanted.get("VCpuCount"))
        and _between(memory, wanted.get("MemoryMiB"))
        and _between(memory / 1024 / cpus, wanted.get("MemoryGiBPerVCpu"))
    )


def _names(data: dict[str, Any], wanted: dict[str, Any]) -> bool:
    def listed(patterns: list[str]) -> bool:
        return any(fnmatch.fnmatch(data["InstanceType"], p) for p in patterns)

    allowed, excluded = wanted.get("AllowedInstanceTypes"), wanted.get("ExcludedInstanceTypes")
    return (not allowed or listed(allowed)) and not (excluded and listed(excluded))


def _kinds(data: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """`included`, `excluded` or `required`; bare metal and burstable types are excluded unless said."""
    for key, attribute, default in (
        ("BareMetal", "BareMetal", "excluded"),
        ("BurstablePerformance", "BurstablePerformanceSupported", "excluded"),
        ("LocalStorage", "InstanceStorageSupported", "included"),
    ):
        rule = wanted.get(key) or default
        if rule != "included" and bool(data.get(attribute)) != (rule == "required"):
            return False
    return True


def _generation(data: dict[str, Any], wanted: dict[str, Any]) -> bool:
    known = wanted.get("InstanceGenerations")
    return not known or ("current" if data.get("CurrentGeneration") else "previous") in known


def _maker(data: dict[str, Any], wanted: dict[str, Any]) -> bool:
    makers = wanted.get("CpuManufacturers")
    maker = str(data.get("ProcessorInfo", {}).get("Manufacturer", "")).lower().replace("aws", "amazon-web-services")
    return not makers or maker in makers


def _accelerators(data: dict[str, Any], wanted: dict[str, Any]) -> bool:
    gpus = data.get("GpuInfo", {}).get("Gpus", [])
    kinds = wanted.get("AcceleratorTypes") or []
    return (
        _between(sum(g["Count"] for g in gpus), wanted.get("AcceleratorCount"))
        and _between(data.get("GpuInfo", {}).get("TotalGpuMemoryInMiB", 0), wanted.get("AcceleratorTotalMemoryMiB"))
        and (not kinds or any(data.get(ACCELERATORS[k]) for k in kinds))
        and _one_of(wanted.get("AcceleratorManufacturers"), [g["Manufacturer"] for g in gpus])
        and _one_of(wanted.get("AcceleratorNames"), [g["Name"] for g in gpus])
    )


def _one_of(asked: list[str] | None, present: list[str]) -> bool:
    return not asked or any(p.lower().replace(" ", "-") in asked for p in present)


_TESTS: tuple[Callable[[dict[str, Any], dict[str, Any]], bool], ...] = (
    _size,
    _names,
    _kinds,
    _generation,
    _maker,
    _accelerators,
)
