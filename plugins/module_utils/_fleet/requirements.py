# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes of instance types instead of their names: from module options to the API, as data.

Source: EC2 API InstanceRequirementsRequest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Source: AWS's own message, "more than the maximum allowed number of InstanceRequirements (4)".
MOST = 4


def _range_problem(value: Any) -> str:
    if not isinstance(value, Mapping) or not value or set(value) - {"min", "max"}:
        return "give min, max or both"
    if not all(_is_number(part) and part >= 0 for part in value.values()):
        return "min and max are numbers from 0"
    return "min is more than max" if value.get("min", 0) > value.get("max", float("inf")) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _list_problem(value: Any) -> str:
    good = isinstance(value, list) and value and all(isinstance(part, str) and part for part in value)
    return "" if good else "give a list of texts"


def _count_problem(value: Any) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "give a whole number from 0"


def _rule_problem(value: Any) -> str:
    return "" if value in ("included", "required", "excluded") else "give included, required or excluded"


def _bool_problem(value: Any) -> str:
    return "" if isinstance(value, bool) else "give true or false"


def _range_to_api(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key.capitalize(): value[key] for key in ("min", "max") if key in value}


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Attribute:
    """One attribute: its name in the API, what is wrong with a value (empty for nothing), and the value for the API."""

    name: str
    problem: Callable[[Any], str]
    to_api: Callable[[Any], Any] = _same


def _range(name: str) -> Attribute:
    return Attribute(name, _range_problem, _range_to_api)


ATTRIBUTES: dict[str, Attribute] = {
    "vcpu_count": _range("VCpuCount"),
    "memory_mib": _range("MemoryMiB"),
    "memory_gib_per_vcpu": _range("MemoryGiBPerVCpu"),
    "cpu_manufacturers": Attribute("CpuManufacturers", _list_problem),
    "instance_generations": Attribute("InstanceGenerations", _list_problem),
    "allowed_instance_types": Attribute("AllowedInstanceTypes", _list_problem),
    "excluded_instance_types": Attribute("ExcludedInstanceTypes", _list_problem),
    "accelerator_count": _range("AcceleratorCount"),
    "accelerator_manufacturers": Attribute("AcceleratorManufacturers", _list_problem),
    "accelerator_names": Attribute("AcceleratorNames", _list_problem),
    "accelerator_total_memory_mib": _range("AcceleratorTotalMemoryMiB"),
    "accelerator_types": Attribute("AcceleratorTypes", _list_problem),
    "bare_metal": Attribute("BareMetal", _rule_problem),
    "burstable_performance": Attribute("BurstablePerformance", _rule_problem),
    "local_storage": Attribute("LocalStorage", _rule_problem),
    "local_storage_types": Attribute("LocalStorageTypes", _list_problem),
    "total_local_storage_gb": _range("TotalLocalStorageGB"),
    "baseline_ebs_bandwidth_mbps": _range("BaselineEbsBandwidthMbps"),
    "network_bandwidth_gbps": _range("NetworkBandwidthGbps"),
    "network_interface_count": _range("NetworkInterfaceCount"),
    "require_encryption_in_transit": Attribute("RequireEncryptionInTransit", _bool_problem),
    "require_hibernate_support": Attribute("RequireHibernateSupport", _bool_problem),
    "spot_max_price_percentage_over_lowest_price": Attribute("SpotMaxPricePercentageOverLowestPrice", _count_problem),
    "max_spot_price_as_percentage_of_optimal_on_demand_price": Attribute(
        "MaxSpotPriceAsPercentageOfOptimalOnDemandPrice", _count_problem
    ),
    "on_demand_max_price_percentage_over_lowest_price": Attribute(
        "OnDemandMaxPricePercentageOverLowestPrice", _count_problem
    ),
}
EXCLUSIVE = (
    ("allowed_instance_types", "excluded_instance_types"),
    ("spot_max_price_percentage_over_lowest_price", "max_spot_price_as_percentage_of_optimal_on_demand_price"),
)


def problems(given: Mapping[str, Any]) -> list[str]:
    """Return every mistake in ``instance_requirements``, each beginning with the attribute's name."""
    found = [f"{key}: there is no such attribute" for key in given if key not in ATTRIBUTES]
    found += [f"{key}: min is missing" for key in ("vcpu_count", "memory_mib") if not _has_min(given.get(key))]
    texts = {key: ATTRIBUTES[key].problem(value) for key, value in given.items() if key in ATTRIBUTES}
    found += [f"{key}: {text}" for key, text in texts.items() if text]
    found += [f"{one}: not together with {other}" for one, other in EXCLUSIVE if one in given and other in given]
    return found


def _has_min(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("min") is not None


def to_api(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``InstanceRequirements`` of the API; the options must be free of problems."""
    return {ATTRIBUTES[key].name: ATTRIBUTES[key].to_api(value) for key, value in sorted(given.items())}


def label(given: Mapping[str, Any]) -> str:
    """Return the requirements in few words, such as ``any type with 4 or more vCPUs, 16 GiB or more``."""
    cpus, memory = given.get("vcpu_count") or {}, given.get("memory_mib") or {}
    words = f"any type with {cpus.get('min', 0)} or more vCPUs, {memory.get('min', 0) / 1024:g} GiB or more"
    accelerators = (given.get("accelerator_count") or {}).get("min")
    return f"{words}, {accelerators} or more accelerators" if accelerators else words
