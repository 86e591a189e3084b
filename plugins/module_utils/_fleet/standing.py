# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fleets that stay: types request and maintain. What is asked of AWS and what may be changed later: pure functions.

Source: EC2 API CreateFleet, ModifyFleet, DescribeFleets (FleetData), DescribeFleetHistory (EventInformation).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from .options import MAINTAIN
from .rules import moment
from .transformations import decimal, derived_token, overrides, pool_from_override, template_reference
from .values import ON_DEMAND, SPOT

# DescribeFleets takes these as filter values; all others are those of fleets that end or have ended.
LIVE_STATES = ("submitted", "active", "modifying")
FAILED_STATE = "failed"
CAPACITY = "TargetCapacitySpecification"
CONFIGS = "LaunchTemplateConfigs"
POLICY = "ExcessCapacityTerminationPolicy"


class Unset(Enum):
    """The one value that says an entry is not there."""

    UNSET = "unset"


def request(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of CreateFleet without the token; the options must be free of problems.

    Options that are not given are left out: AWS's default holds at the creation, and what is there stays later.
    """
    tags = {str(key): str(value) for key, value in sorted(params["tags"].items())}
    optional = {
        POLICY: params["excess_capacity_termination_policy"],
        "ReplaceUnhealthyInstances": params["replace_unhealthy_instances"],
        "TerminateInstancesWithExpiration": params["terminate_instances_with_expiration"],
        "ValidUntil": moment(params["valid_until"]) if params["valid_until"] else None,
    }
    return {
        "Type": params["type"],
        CAPACITY: _capacity(params),
        **_market_options(params),
        CONFIGS: [
            {
                "LaunchTemplateSpecification": template_reference(params["launch_template"]),
                "Overrides": overrides(
                    map(pool_from_override, params["overrides"]), params["default_target_capacity_type"]
                ),
            }
        ],
        **{key: value for key, value in optional.items() if value is not None},
        # Instances get their tags from the launch template: AWS takes none for them with these types.
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": ansible_dict_to_boto3_tag_list(tags)}],
    }


def _capacity(params: Mapping[str, Any]) -> dict[str, Any]:
    total, base = params["target_capacity"], params["on_demand_target_capacity"]
    spec = {"TotalTargetCapacity": total, "DefaultTargetCapacityType": params["default_target_capacity_type"]}
    if params["default_target_capacity_type"] == SPOT:
        spec |= {"OnDemandTargetCapacity": base, "SpotTargetCapacity": total - base}
    if params["target_capacity_unit_type"]:
        spec["TargetCapacityUnitType"] = params["target_capacity_unit_type"]
    return spec


def _market_options(params: Mapping[str, Any]) -> dict[str, Any]:
    spot = params["default_target_capacity_type"] == SPOT
    price = params["max_total_price"]
    limit = {} if price is None else {"MaxTotalPrice": decimal(price)}
    found = {}
    if spot:
        found["SpotOptions"] = {
            "AllocationStrategy": params["allocation_strategy"],
            "InstanceInterruptionBehavior": params["interruption_behavior"],
            **_rebalance(params["capacity_rebalance"]),
            **limit,
        }
    if not spot or params["on_demand_target_capacity"]:
        found["OnDemandOptions"] = {
            "AllocationStrategy": params["on_demand_allocation_strategy"],
            **({} if spot else limit),
        }
    return found


def _rebalance(given: Mapping[str, Any] | None) -> dict[str, Any]:
    if not given:
        return {}
    rebalance: dict[str, Any] = {"ReplacementStrategy": given["replacement_strategy"]}
    if given.get("termination_delay") is not None:
        rebalance["TerminationDelay"] = given["termination_delay"]
    return {"MaintenanceStrategies": {"CapacityRebalance": rebalance}}


def token(params: Mapping[str, Any], wanted: Mapping[str, Any], attempt: int) -> str:
    """Return the client token of a creation: the same for the same experiment, generation, parameters and attempt.

    Args:
        params: The module's options.
        wanted: What ``request`` made of them.
        attempt: Grows when AWS still knows the token of a fleet that has ended.
    """
    given = params["client_token"]
    if given:
        suffix = f"-{attempt}" if attempt else ""
        return given[: 64 - len(suffix)] + suffix
    tags = params["tags"]
    return derived_token([tags["spot:experiment"], tags["spot:generation"], "standing fleet", attempt, wanted])


def belongs(fleet: Mapping[str, Any], experiment: str, generation: str) -> bool:
    """Say whether a fleet is that of a generation of an experiment."""
    tags = boto3_tag_list_to_ansible_dict(fleet.get("Tags"))
    return tags.get("spot:experiment") == experiment and tags.get("spot:generation") == generation


@dataclass(frozen=True)
class Comparison:
    """What differs between a fleet and what is wanted.

    Attributes:
        modify: Parameters of ModifyFleet, without the id; empty for none.
        fixed: One line for each difference that AWS cannot take away, beginning with the option's name.
    """

    modify: Mapping[str, Any] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()


# Option -> where it stands in the request and in FleetData; ModifyFleet has no parameter for these.
FIXED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("type", ("Type",)),
    ("default_target_capacity_type", (CAPACITY, "DefaultTargetCapacityType")),
    ("target_capacity_unit_type", (CAPACITY, "TargetCapacityUnitType")),
    ("allocation_strategy", ("SpotOptions", "AllocationStrategy")),
    ("interruption_behavior", ("SpotOptions", "InstanceInterruptionBehavior")),
    (
        "capacity_rebalance.replacement_strategy",
        ("SpotOptions", "MaintenanceStrategies", "CapacityRebalance", "ReplacementStrategy"),
    ),
    (
        "capacity_rebalance.termination_delay",
        ("SpotOptions", "MaintenanceStrategies", "CapacityRebalance", "TerminationDelay"),
    ),
    ("max_total_price", ("SpotOptions", "MaxTotalPrice")),
    ("on_demand_allocation_strategy", ("OnDemandOptions", "AllocationStrategy")),
    ("max_total_price", ("OnDemandOptions", "MaxTotalPrice")),
    ("replace_unhealthy_instances", ("ReplaceUnhealthyInstances",)),
    ("terminate_instances_with_expiration", ("TerminateInstancesWithExpiration",)),
    ("valid_until", ("ValidUntil",)),
)
# Option -> parts of what ModifyFleet takes, for type maintain.
CHANGEABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("target_capacity", (CAPACITY, "TotalTargetCapacity")),
    ("on_demand_target_capacity", (CAPACITY, "OnDemandTargetCapacity")),
    ("excess_capacity_termination_policy", (POLICY,)),
    ("overrides", (CONFIGS,)),
)
# What FleetData leaves out or fills in when nothing was given.
ABSENT = {
    "AllocationStrategy": "lowest-price",
    "TargetCapacityUnitType": "units",
    "OnDemandTargetCapacity": 0,
    "ReplaceUnhealthyInstances": False,
    "TerminateInstancesWithExpiration": False,
    POLICY: "termination",
}


def compare(fleet: Mapping[str, Any], wanted: Mapping[str, Any]) -> Comparison:
    """Compare a fleet with what is wanted; only what the request says is compared.

    Args:
        fleet: An entry of DescribeFleets.
        wanted: What ``request`` made of the options.
    """
    fixed = _differences(FIXED, fleet, wanted)
    changed = _differences(CHANGEABLE, fleet, wanted)
    if fleet.get("Type") != MAINTAIN:
        return Comparison(fixed=(*fixed.values(), *changed.values()))
    keys = {path[0] for option, path in CHANGEABLE if option in changed}
    return Comparison({key: wanted[key] for key in sorted(keys)}, tuple(fixed.values()))


def _differences(
    table: Iterable[tuple[str, tuple[str, ...]]], fleet: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, str]:
    found = {}
    for option, path in table:
        want, have = _at(wanted, path), _at(fleet, path)
        have = ABSENT.get(path[-1], have) if have is Unset.UNSET else have
        if want is not Unset.UNSET and not _same(path[-1], have, want):
            found[option] = f"{option}: {_words(path[-1], want)} is wanted, the fleet has {_words(path[-1], have)}"
    return found


def _at(data: Any, path: Iterable[str]) -> Any:
    for key in path:
        data = data.get(key, Unset.UNSET) if isinstance(data, Mapping) else Unset.UNSET
    return data


def _same(key: str, have: Any, want: Any) -> bool:
    if have is Unset.UNSET:
        return False
    if key == "AllocationStrategy":
        # AWS answers lowestPrice and the like for what it takes as lowest-price.
        return _plain(have) == _plain(want)
    if key == "MaxTotalPrice":
        return _price(have) == _price(want)
    if key == "ValidUntil":
        return isinstance(have, datetime) and abs((have - want).total_seconds()) < 1
    if key == CONFIGS:
        return _same_configs(have, want)
    return bool(have == want)


def _plain(strategy: Any) -> str:
    return re.sub("[^a-z]", "", str(strategy).lower())


def _price(text: Any) -> float | None:
    return float(text) if text not in (None, "") else None


def _same_configs(have: list[Mapping[str, Any]], want: list[Mapping[str, Any]]) -> bool:
    if len(have) != 1 or not _same_template(have[0].get("LaunchTemplateSpecification") or {}, want[0]):
        return False
    wanted, present = want[0]["Overrides"], have[0].get("Overrides") or []
    # AWS may answer with attributes that nobody gave.
    given = {key for item in wanted for key in item.get("InstanceRequirements") or {}}
    return sorted(_override_key(item, given) for item in wanted) == sorted(
        _override_key(item, given) for item in present
    )


def _same_template(have: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Compare what both name: AWS may answer with the id for a name, and with a number for $Default."""
    want = wanted["LaunchTemplateSpecification"]
    keys = [key for key in ("LaunchTemplateId", "LaunchTemplateName") if have.get(key) and want.get(key)]
    if any(have[key] != want[key] for key in keys):
        return False
    versions = (str(have.get("Version", "")), str(want["Version"]))
    return versions[0] == versions[1] or not all(version.isdecimal() for version in versions)


def _override_key(item: Mapping[str, Any], given: set[str]) -> str:
    """An override as text, without the differences between what is sent and what is answered."""
    place = item.get("SubnetId") or item.get("AvailabilityZone") or ""
    attributes = {key: value for key, value in (item.get("InstanceRequirements") or {}).items() if key in given}
    priority = item.get("Priority")
    key = {
        "what": attributes or item.get("InstanceType"),
        "place": ",".join(sorted(part.strip() for part in place.split(","))),
        "price": _price(item.get("MaxPrice")),
        "weight": float(item.get("WeightedCapacity") or 1),
        "priority": None if priority is None else float(priority),
    }
    return json.dumps(key, sort_keys=True, default=str)


def _words(key: str, value: Any) -> str:
    if value is Unset.UNSET or value is None:
        return "none"
    if key == CONFIGS:
        return _config_words(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _config_words(configs: list[Mapping[str, Any]]) -> str:
    spec = (configs[0].get("LaunchTemplateSpecification") if configs else None) or {}
    name = spec.get("LaunchTemplateName") or spec.get("LaunchTemplateId")
    return (
        f"{name} version {spec.get('Version')} with {sum(len(part.get('Overrides') or []) for part in configs)} pools"
    )


def target_of(fleet: Mapping[str, Any]) -> float:
    """Return the units of capacity a fleet shall have."""
    return float((fleet.get(CAPACITY) or {}).get("TotalTargetCapacity") or 0)


def is_fulfilled(fleet: Mapping[str, Any]) -> bool:
    """Say whether a fleet is at work and has what it shall have."""
    return fleet.get("FleetState") == "active" and float(fleet.get("FulfilledCapacity") or 0) >= target_of(fleet)


def elder(fleets: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return fleets by age: two runs at once that made one each agree on which one stays."""
    start = datetime.min.replace(tzinfo=timezone.utc)
    return sorted(fleets, key=lambda fleet: (fleet.get("CreateTime") or start, fleet["FleetId"]))


def summary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be seen of a fleet in a diff, from FleetData or from a request."""
    if not config:
        return {}
    capacity = config.get(CAPACITY) or {}
    market = capacity.get("DefaultTargetCapacityType", ON_DEMAND)
    configs = config.get(CONFIGS) or []
    return {
        "type": config.get("Type"),
        "target_capacity": capacity.get("TotalTargetCapacity"),
        "on_demand_target_capacity": (capacity.get("OnDemandTargetCapacity") or 0) if market == SPOT else None,
        "excess_capacity_termination_policy": config.get(POLICY, ABSENT[POLICY]),
        "launch_template": _config_words(configs) if configs else None,
        "overrides": sorted(_override_words(item) for part in configs for item in part.get("Overrides") or []),
    }


def _override_words(item: Mapping[str, Any]) -> str:
    what = item.get("InstanceType") or "instance_requirements"
    place = item.get("SubnetId") or item.get("AvailabilityZone") or ""
    more = {"max_price": item.get("MaxPrice"), "weight": item.get("WeightedCapacity"), "priority": item.get("Priority")}
    return " ".join([what, place, *(f"{key} {value}" for key, value in more.items() if value is not None)]).strip()
