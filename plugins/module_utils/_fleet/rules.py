# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the module's options: pure functions, all mistakes at once, before any call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from . import requirements
from .options import DEFAULTS, INSTANT, MAINTAIN, TYPES_OF_OPTION, TYPES_OF_VALUE

# Source: EC2 API FleetSpotCapacityRebalanceRequest, in seconds.
SHORTEST_DELAY, LONGEST_DELAY = 120, 7200


def problems(params: Mapping[str, Any]) -> list[str]:
    """Return every mistake in the module's options, as one sentence each.

    Args:
        params: The options after the argument spec was applied.
    """
    tags = params["tags"] or {}
    found = _tag_problems(tags, needs_generation=params["state"] == "present")
    if params["state"] == "absent":
        return found + _absent_problems(params)
    overrides = params["overrides"] or []
    found += _type_problems(params)
    found += _template_problems(params["launch_template"] or {})
    found += _pool_problems(overrides, params["type"])
    found += _number_problems(params)
    found += _market_problems(params)
    found += _unit_problems(params["target_capacity_unit_type"], overrides, params["type"])
    found += _index_problems(params["index_tag"], tags)
    found += _rebalance_problems(params["capacity_rebalance"])
    return found + _time_problems(params["valid_until"])


def _absent_problems(params: Mapping[str, Any]) -> list[str]:
    found = []
    if params["exclude_instance_ids"]:
        found.append("exclude_instance_ids: state absent terminates all instances; no one can be left out")
    if not params["terminate_instances"] and params["type"] == INSTANT:
        found.append(
            "terminate_instances: false is for type request or maintain; AWS ends the instances of an instant fleet "
            "with it"
        )
    return found


def _type_problems(params: Mapping[str, Any]) -> list[str]:
    kind = params["type"]
    found = [
        f"{option}: not with type {kind}, only with {' or '.join(kinds)}"
        for option, kinds in TYPES_OF_OPTION.items()
        if kind not in kinds and params[option] != DEFAULTS[option]
    ]
    found += [
        f"{option}: {value} not with type {kind}, only with {' or '.join(kinds)}"
        for (option, value), kinds in TYPES_OF_VALUE.items()
        if kind not in kinds and params[option] == value
    ]
    if not params["terminate_instances"]:
        found.append("terminate_instances: is for state absent")
    return found


def _tag_problems(tags: Mapping[str, Any], *, needs_generation: bool) -> list[str]:
    needed = ["spot:experiment"] + (["spot:generation"] if needs_generation else [])
    found = [f"tags: the tag {key} is missing; it is the identity of the fleet" for key in needed if not tags.get(key)]
    found += [f"tags: {key}: AWS reserves the prefix aws:" for key in tags if str(key).lower().startswith("aws:")]
    found += [f"tags: {key}: a key has at most 128 characters" for key in tags if len(str(key)) > 128]
    found += [f"tags: {key}: a value has at most 256 characters" for key in tags if len(str(tags[key])) > 256]
    if len(tags) > 50:
        found.append(f"tags: {len(tags)} tags, AWS allows 50")
    return found


def _template_problems(template: Mapping[str, Any]) -> list[str]:
    if bool(template.get("id")) == bool(template.get("name")):
        return ["launch_template: give exactly one of id and name"]
    if template.get("data") and template.get("id"):
        return ["launch_template.data: is for a template that is named; one with an id exists already"]
    return []


def _pool_problems(overrides: list[Mapping[str, Any]], kind: str) -> list[str]:
    if not overrides:
        return ["overrides: give at least one instance type"]
    found = [f"overrides: {len(overrides)} entries, AWS allows 300"] if len(overrides) > 300 else []
    keys = [_pool_key(item) for item in overrides]
    for index, item in enumerate(overrides):
        found += [f"overrides[{index}].{text}" for text in _override_problems(item, kind)]
        if keys[index] in keys[:index]:
            found.append(f"overrides[{index}]: the same pool as overrides[{keys.index(keys[index])}]")
    return found + _weight_problems(overrides) + _place_problems(overrides)


def _pool_key(item: Mapping[str, Any]) -> tuple[Any, ...]:
    wanted = item.get("instance_type") or repr(item.get("instance_requirements"))
    return (wanted, item.get("subnet_id"), item.get("availability_zone"))


def _weight_problems(overrides: list[Mapping[str, Any]]) -> list[str]:
    weights: dict[str, set[int]] = {}
    for item in overrides:
        weights.setdefault(item.get("instance_type") or "", set()).add(item.get("weighted_capacity") or 1)
    return [f"overrides: {name} has different weights" for name, values in weights.items() if name and len(values) > 1]


def _place_problems(overrides: list[Mapping[str, Any]]) -> list[str]:
    """A fleet does not span two subnets of a zone. Source: EC2 user guide, EC2 Fleet quotas and limits."""
    subnets: dict[str, dict[str, None]] = {}
    for item in overrides:
        if item.get("availability_zone") and item.get("subnet_id"):
            subnets.setdefault(item["availability_zone"], {})[item["subnet_id"]] = None
    return [
        f"overrides: {zone} has more than one subnet ({', '.join(names)}); AWS allows one for each zone"
        for zone, names in subnets.items()
        if len(names) > 1
    ]


def _override_problems(item: Mapping[str, Any], kind: str) -> list[str]:
    found = _kind_problems(item)
    if kind == INSTANT and "," in (item.get("subnet_id") or ""):
        found.append("subnet_id: type instant takes one subnet for each override")
    price, weight = item.get("max_price"), item.get("weighted_capacity")
    if price is not None and price <= 0.001:
        found.append(f"max_price: {price} is not more than 0.001 USD per hour")
    if weight is not None and weight < 1:
        found.append(f"weighted_capacity: {weight} is less than 1")
    return found


def _kind_problems(item: Mapping[str, Any]) -> list[str]:
    name, wanted = item.get("instance_type"), item.get("instance_requirements")
    if bool(name) == bool(wanted):
        return ["instance_type: give exactly one of instance_type and instance_requirements"]
    if wanted:
        return [f"instance_requirements.{text}" for text in requirements.problems(wanted)]
    return [] if "." in str(name) else [f"instance_type: {name!r} is not an instance type such as g5.xlarge"]


def _unit_problems(unit: str | None, overrides: list[Mapping[str, Any]], kind: str) -> list[str]:
    found = []
    by_attributes = [item for item in overrides if item.get("instance_requirements")]
    if unit not in (None, "units") and not by_attributes:
        found.append("target_capacity_unit_type: needs overrides with instance_requirements")
    if len(by_attributes) > requirements.MOST:
        found.append(f"overrides: {len(by_attributes)} instance_requirements, AWS allows {requirements.MOST}")
    if kind == INSTANT and any((item.get("weighted_capacity") or 1) != 1 for item in by_attributes):
        found.append("overrides: type instant counts instances of instance_requirements as one; leave their weight out")
    return found


def _number_problems(params: Mapping[str, Any]) -> list[str]:
    target, minimum, token = params["target_capacity"], params["min_target_capacity"], params["client_token"] or ""
    lowest = 0 if params["type"] == MAINTAIN else 1
    found = []
    if not lowest <= target <= 10000:
        found.append(f"target_capacity: {target} is not between {lowest} and 10000")
    if minimum is not None and not 1 <= minimum <= target:
        found.append(f"min_target_capacity: {minimum} is not between 1 and target_capacity ({target})")
    found += [f"{key}: {params[key]} is negative" for key in ("wait_timeout", "cooldown") if params[key] < 0]
    if params["max_total_price"] is not None and params["max_total_price"] <= 0:
        found.append(f"max_total_price: {params['max_total_price']} is not more than 0")
    if len(token) > 64 or not token.isascii():
        found.append("client_token: at most 64 ASCII characters")
    return found


def _market_problems(params: Mapping[str, Any]) -> list[str]:
    base, target, found = params["on_demand_target_capacity"], params["target_capacity"], []
    if not 0 <= base <= max(target, 0):
        found.append(f"on_demand_target_capacity: {base} is not between 0 and target_capacity ({target})")
    if params["default_target_capacity_type"] == "spot":
        if base > 0 and params["max_total_price"] is not None:
            found.append("max_total_price: not together with on_demand_target_capacity; it is for one market")
        return found
    only = "is for default_target_capacity_type spot; without it all instances are On-Demand"
    found += [f"{key}: {only}" for key in ("on_demand_target_capacity", "on_demand_fallback") if params[key]]
    if params["capacity_rebalance"]:
        found.append("capacity_rebalance: is for Spot Instances")
    return found


def _index_problems(key: str | None, tags: Mapping[str, Any]) -> list[str]:
    if key is None:
        return []
    found = [] if key and len(key) <= 128 else ["index_tag: a key has 1 to 128 characters"]
    if key.lower().startswith("aws:"):
        found.append("index_tag: AWS reserves the prefix aws:")
    if key in tags:
        found.append(f"index_tag: {key} is one of tags too; the module sets it")
    elif len(tags) == 50:
        found.append("index_tag: with it the instances have 51 tags, AWS allows 50")
    return found


def _rebalance_problems(rebalance: Mapping[str, Any] | None) -> list[str]:
    if not rebalance:
        return []
    delay = rebalance.get("termination_delay")
    if rebalance["replacement_strategy"] == "launch":
        only = "capacity_rebalance.termination_delay: is for replacement_strategy launch-before-terminate"
        return [] if delay is None else [only]
    if delay is None:
        return ["capacity_rebalance.termination_delay: is required with replacement_strategy launch-before-terminate"]
    if not SHORTEST_DELAY <= delay <= LONGEST_DELAY:
        limits = f"{SHORTEST_DELAY} and {LONGEST_DELAY} seconds"
        return [f"capacity_rebalance.termination_delay: {delay} is not between {limits}"]
    return []


def _time_problems(text: str | None) -> list[str]:
    if text is None:
        return []
    try:
        when = moment(text)
    except ValueError:
        return [f"valid_until: {text!r} is not a time such as 2026-12-31T18:00:00Z"]
    return [] if when > datetime.now(timezone.utc) else [f"valid_until: {text} is over"]


def moment(text: str) -> datetime:
    """Return a time in UTC, in whole seconds; without a zone it is UTC.

    Raises:
        ValueError: It is not ISO 8601.
    """
    plain = text.strip()
    when = datetime.fromisoformat(f"{plain[:-1]}+00:00" if plain[-1:] in ("Z", "z") else plain)
    when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
    return when.astimezone(timezone.utc).replace(microsecond=0)
