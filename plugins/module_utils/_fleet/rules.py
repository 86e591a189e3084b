# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the module's options: pure functions, all mistakes at once, before any call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def problems(params: Mapping[str, Any]) -> list[str]:
    """Return every mistake in the module's options, as one sentence each.

    Args:
        params: The options after the argument spec was applied.
    """
    found = _tag_problems(params["tags"] or {}, needs_generation=params["state"] == "present")
    if params["state"] == "present":
        found += _template_problems(params["launch_template"] or {})
        found += _pool_problems(params["overrides"] or [])
        found += _number_problems(params)
        found += _market_problems(params)
        found += _index_problems(params["index_tag"], params["tags"] or {})
    elif params["exclude_instance_ids"]:
        found.append("exclude_instance_ids: state absent terminates all instances; no one can be left out")
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
    return []


def _pool_problems(overrides: list[Mapping[str, Any]]) -> list[str]:
    if not overrides:
        return ["overrides: give at least one instance type"]
    found = [f"overrides: {len(overrides)} entries, AWS allows 300"] if len(overrides) > 300 else []
    keys = [(item["instance_type"], item.get("subnet_id"), item.get("availability_zone")) for item in overrides]
    weights: dict[str, set[int]] = {}
    for index, item in enumerate(overrides):
        found += [f"overrides[{index}].{text}" for text in _override_problems(item)]
        if keys[index] in keys[:index]:
            found.append(f"overrides[{index}]: the same pool as overrides[{keys.index(keys[index])}]")
        weights.setdefault(item["instance_type"], set()).add(item.get("weighted_capacity") or 1)
    found += [f"overrides: {name} has different weights" for name, values in weights.items() if len(values) > 1]
    return found


def _override_problems(item: Mapping[str, Any]) -> list[str]:
    found = []
    if "." not in item["instance_type"]:
        found.append(f"instance_type: {item['instance_type']!r} is not an instance type such as g5.xlarge")
    if "," in (item.get("subnet_id") or ""):
        found.append("subnet_id: type instant takes one subnet for each override")
    price, weight = item.get("max_price"), item.get("weighted_capacity")
    if price is not None and price <= 0.001:
        found.append(f"max_price: {price} is not more than 0.001 USD per hour")
    if weight is not None and weight < 1:
        found.append(f"weighted_capacity: {weight} is less than 1")
    return found


def _number_problems(params: Mapping[str, Any]) -> list[str]:
    target, minimum, token = params["target_capacity"], params["min_target_capacity"], params["client_token"] or ""
    found = []
    if not 1 <= target <= 10000:
        found.append(f"target_capacity: {target} is not between 1 and 10000")
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
            found.append("max_total_price: not together with on_demand_target_capacity, which is asked for by itself")
        return found
    only = "is for default_target_capacity_type spot; without it all instances are On-Demand"
    found += [f"{key}: {only}" for key in ("on_demand_target_capacity", "on_demand_fallback") if params[key]]
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
