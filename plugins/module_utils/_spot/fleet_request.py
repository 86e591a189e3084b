# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of spot_fleet to the parameters of RequestSpotFleet, and what is wrong with them: pure functions.

Note that this module util is private to the collection and may change at any time.

Source: EC2 API SpotFleetRequestConfigData.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from . import specifications
from .prices import INSTANCE_TYPE

Resource = dict[str, Any]

REQUEST, MAINTAIN = "request", "maintain"
# Our words (those of CreateFleet) -> of RequestSpotFleet. Source: EC2 API AllocationStrategy and others.
STRATEGIES = {
    "price-capacity-optimized": "priceCapacityOptimized",
    "capacity-optimized": "capacityOptimized",
    "capacity-optimized-prioritized": "capacityOptimizedPrioritized",
    "diversified": "diversified",
    "lowest-price": "lowestPrice",
}
ON_DEMAND_STRATEGIES = {"lowest-price": "lowestPrice", "prioritized": "prioritized"}
POLICIES = {"default": "default", "no-termination": "noTermination"}
# Source: IAM user guide, "IAM ARNs"; a role's name has up to 64 characters, its path may have several parts.
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:[\w+=,.@/-]+/)?[\w+=,.@-]{1,64}", re.ASCII)
REQUEST_ID = re.compile(r"sfr-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Source: EC2 user guide, "Quotas for EC2 Fleet and Spot Fleet".
MAX_CAPACITY = 10000
MIN_PRICE = 0.001
TERMINATION_DELAY_S = (120, 7200)
TOKEN_LENGTH = 40
# Options that only a fleet which is maintained can have.
MAINTAIN_ONLY = ("capacity_rebalance", "excess_capacity_termination_policy", "replace_unhealthy_instances")
PRICES = ("max_price", "max_total_price", "on_demand_max_total_price")


def config(params: Mapping[str, Any]) -> Resource:
    """Parameters of the request without its client token. ``Type`` and strategies are always sent, as AWS's own
    defaults (maintain, lowestPrice) are not ours.
    """
    tags = tags_of(params)
    found: Resource = {
        "IamFleetRole": params["iam_fleet_role"],
        "Type": params["type"],
        "TargetCapacity": params["target_capacity"],
        "AllocationStrategy": STRATEGIES[params["allocation_strategy"]],
        "InstanceInterruptionBehavior": params["interruption_behavior"],
        "TerminateInstancesWithExpiration": params["terminate_instances_with_expiration"],
        "InstancePoolsToUseCount": params["instance_pools_to_use_count"],
        "SpotPrice": _price(params["max_price"]),
        "SpotMaxTotalPrice": _price(params["max_total_price"]),
        "ValidFrom": moment(params["valid_from"]),
        "ValidUntil": moment(params["valid_until"]),
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": _tag_list(tags)}],
        **_maintained(params),
        **_pools(params, tags),
    }
    return {key: value for key, value in found.items() if value is not None}


def _maintained(params: Mapping[str, Any]) -> Resource:
    if params["type"] != MAINTAIN:
        return {}
    rebalance = params["capacity_rebalance"]
    policy = params["excess_capacity_termination_policy"]
    strategies = None
    if rebalance:
        delay = rebalance.get("termination_delay")
        strategies = {"ReplacementStrategy": rebalance["replacement_strategy"], "TerminationDelay": delay}
        strategies = {"CapacityRebalance": {key: value for key, value in strategies.items() if value is not None}}
    return {
        "ExcessCapacityTerminationPolicy": POLICIES[policy or "default"],
        "ReplaceUnhealthyInstances": params["replace_unhealthy_instances"],
        "SpotMaintenanceStrategies": strategies,
    }


def _pools(params: Mapping[str, Any], tags: Mapping[str, str]) -> Resource:
    if params["launch_specifications"]:
        return {"LaunchSpecifications": [specifications.normal(one, tags) for one in params["launch_specifications"]]}
    return {
        "LaunchTemplateConfigs": [_template(one) for one in params["launch_template_configs"] or []],
        "OnDemandTargetCapacity": params["on_demand_target_capacity"],
        "OnDemandAllocationStrategy": ON_DEMAND_STRATEGIES[params["on_demand_allocation_strategy"]],
        "OnDemandMaxTotalPrice": _price(params["on_demand_max_total_price"]),
    }


def _template(given: Mapping[str, Any]) -> Resource:
    template = given["launch_template"] or {}
    key = "LaunchTemplateId" if template.get("id") else "LaunchTemplateName"
    found: Resource = {
        "LaunchTemplateSpecification": {
            key: template.get("id") or template.get("name"),
            "Version": str(template.get("version")),
        }
    }
    overrides = [_override(one) for one in given["overrides"] or []]
    return {**found, "Overrides": overrides} if overrides else found


def _override(given: Mapping[str, Any]) -> Resource:
    found = {
        "InstanceType": given["instance_type"],
        "SubnetId": given["subnet_id"],
        # The subnet decides the zone.
        "AvailabilityZone": None if given["subnet_id"] else given["availability_zone"],
        "SpotPrice": _price(given["max_price"]),
        "WeightedCapacity": _number(given["weighted_capacity"]),
        "Priority": _number(given["priority"]),
        "InstanceRequirements": given["instance_requirements"],
    }
    return {key: value for key, value in found.items() if value is not None}


def client_token(params: Mapping[str, Any], wanted: Mapping[str, Any], over: Iterable[str]) -> str:
    """The token of a request: the same for the same tags and parameters, so that two tasks at once make one request.

    Args:
        params: options of the module; a token of the user is taken as it is for the first request.
        wanted: what ``config`` gave.
        over: ids of the requests of the same tags that are over: AWS answers a token that it knows with the id of
            then, so a request that follows one of them needs another one.
    """
    former = sorted(over)
    if params["client_token"]:
        suffix = f"-{len(former)}" if former else ""
        return params["client_token"][: 64 - len(suffix)] + suffix
    text = json.dumps([wanted, former], sort_keys=True, default=str)
    digest = base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()
    return digest.rstrip("=").lower()[:TOKEN_LENGTH]


def types(params: Mapping[str, Any]) -> list[str]:
    """The instance types that are named, for messages about quotas."""
    named = [specifications.normal(one, {}).get("InstanceType") for one in params["launch_specifications"] or []] + [
        one["instance_type"] for given in params["launch_template_configs"] or [] for one in given["overrides"] or []
    ]
    return sorted({str(one) for one in named if one})


def tags_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The tags as text, sorted by key so that equal tags give equal requests."""
    return {str(key): str(value) for key, value in sorted((params["tags"] or {}).items())}


def moment(text: str | None) -> datetime | None:
    """A time of the options, in UTC when it names no zone; None for none.

    Raises:
        ValueError: it is no ISO 8601 time.
    """
    if text is None:
        return None
    found = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


# What is wrong


def problems(params: Mapping[str, Any], now: datetime) -> list[str]:
    """Every mistake in the options, a line each; the shapes inside launch specifications are checked elsewhere."""
    present = params["state"] == "present"
    found = _tag_problems(params["tags"] or {}, present)
    found += [f"wait_timeout: {params['wait_timeout']} is negative"] if params["wait_timeout"] < 0 else []
    found += id_problems(params["spot_fleet_request_ids"])
    if present:
        for check in (_role_problems, _pool_problems, _capacity_problems, _kind_problems, _price_problems):
            found += check(params)
        found += _time_problems(params, now)
    return found


def id_problems(ids: Iterable[str]) -> list[str]:
    """What is wrong with ids of requests, a line each."""
    return [
        f"spot_fleet_request_ids[{place}]: {one!r} is not the id of a Spot Fleet request"
        for place, one in enumerate(ids)
        if not REQUEST_ID.fullmatch(one)
    ]


def _tag_problems(tags: Mapping[str, Any], present: bool) -> list[str]:
    needed = ["spot:experiment"] + (["spot:generation"] if present else [])
    found = [f"tags: the tag {key} is missing; it is the identity of the fleet" for key in needed if not tags.get(key)]
    found += [f"tags: {key}: AWS reserves the prefix aws:" for key in tags if str(key).lower().startswith("aws:")]
    return found + ([f"tags: {len(tags)} tags, AWS allows 50"] if len(tags) > 50 else [])


def _role_problems(params: Mapping[str, Any]) -> list[str]:
    role, looks = params["iam_fleet_role"], "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
    if not role:
        return [f"iam_fleet_role is missing; it looks like {looks}, and RequestSpotFleet cannot do without"]
    if not ROLE.fullmatch(role):
        return [f"iam_fleet_role: {role!r} is not the ARN of a role, which looks like {looks}"]
    return []


def _pool_problems(params: Mapping[str, Any]) -> list[str]:
    given, templates = params["launch_specifications"] or [], params["launch_template_configs"] or []
    if bool(given) == bool(templates):
        return ["give exactly one of launch_specifications and launch_template_configs"]
    found = []
    for place, one in enumerate(given):
        found += specifications.problems(f"launch_specifications[{place}]", specifications.normal(one, {}))
    for place, config_ in enumerate(templates):
        found += [f"launch_template_configs[{place}].{line}" for line in _template_problems(config_)]
    return found


def _template_problems(given: Mapping[str, Any]) -> list[str]:
    template = given["launch_template"] or {}
    found = []
    if bool(template.get("id")) == bool(template.get("name")):
        found.append("launch_template: give exactly one of id and name")
    for place, one in enumerate(given["overrides"] or []):
        found += [f"overrides[{place}].{line}" for line in _override_problems(one)]
    return found


def _override_problems(one: Mapping[str, Any]) -> list[str]:
    kind, price, weight = one["instance_type"], one["max_price"], one["weighted_capacity"]
    found = []
    if bool(kind) and bool(one["instance_requirements"]):
        found.append("instance_type: not together with instance_requirements")
    if kind and not INSTANCE_TYPE.fullmatch(kind):
        found.append(f"instance_type: {kind!r} is not an instance type, which looks like g5.xlarge")
    if price is not None and price <= MIN_PRICE:
        found.append(f"max_price: {price} is not more than {MIN_PRICE} USD per hour")
    if weight is not None and weight <= 0:
        found.append(f"weighted_capacity: {weight} is not more than 0")
    return found


def _capacity_problems(params: Mapping[str, Any]) -> list[str]:
    target, base, pools = (
        params["target_capacity"],
        params["on_demand_target_capacity"],
        params["instance_pools_to_use_count"],
    )
    least, token = (0 if params["type"] == MAINTAIN else 1), params["client_token"] or ""
    found = []
    if not least <= target <= MAX_CAPACITY:
        found.append(f"target_capacity: {target} is not between {least} and {MAX_CAPACITY} for type {params['type']}")
    if not 0 <= base <= max(target, 0):
        found.append(f"on_demand_target_capacity: {base} is not between 0 and target_capacity ({target})")
    if pools is not None and pools < 1:
        found.append(f"instance_pools_to_use_count: {pools} is less than 1")
    if len(token) > 64 or not token.isascii():
        found.append("client_token: at most 64 ASCII characters")
    return found


def _kind_problems(params: Mapping[str, Any]) -> list[str]:
    """Options that contradict each other."""
    found = []
    if params["type"] != MAINTAIN:
        found += [f"{name} needs type maintain" for name in MAINTAIN_ONLY if params[name]]
        if params["interruption_behavior"] != "terminate":
            found.append(f"interruption_behavior: {params['interruption_behavior']} needs type maintain")
    if params["launch_specifications"]:
        prioritized = params["allocation_strategy"] == "capacity-optimized-prioritized"
        found += ["allocation_strategy: the prioritized one needs launch_template_configs"] if prioritized else []
        names = ("on_demand_target_capacity", "on_demand_max_total_price")
        found += [f"{name} needs launch_template_configs" for name in names if params[name]]
    if params["instance_pools_to_use_count"] is not None and params["allocation_strategy"] != "lowest-price":
        found.append("instance_pools_to_use_count needs allocation_strategy lowest-price")
    return found + _rebalance_problems(params["capacity_rebalance"] or {})


def _rebalance_problems(rebalance: Mapping[str, Any]) -> list[str]:
    delay, (least, most) = rebalance.get("termination_delay"), TERMINATION_DELAY_S
    before = rebalance.get("replacement_strategy") == "launch-before-terminate"
    if before and delay is None:
        return ["capacity_rebalance.termination_delay is required with launch-before-terminate"]
    if delay is not None and not before:
        return ["capacity_rebalance.termination_delay needs replacement_strategy launch-before-terminate"]
    if delay is not None and not least <= delay <= most:
        return [f"capacity_rebalance.termination_delay: {delay} is not between {least} and {most} seconds"]
    return []


def _price_problems(params: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {params[name]} is not more than {MIN_PRICE} USD per hour"
        for name in PRICES
        if params[name] is not None and params[name] <= MIN_PRICE
    ]


def _time_problems(params: Mapping[str, Any], now: datetime) -> list[str]:
    found, times = [], {}
    for name in ("valid_from", "valid_until"):
        try:
            times[name] = moment(params[name])
        except ValueError:
            found.append(f"{name}: {params[name]!r} is not a time such as 2026-01-31T12:34:56Z")
    start, end = times.get("valid_from"), times.get("valid_until")
    if end and end <= max(now, start or now):
        found.append(f"valid_until: {params['valid_until']} is not after {'valid_from' if start else 'now'}")
    return found


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _price(price: float | None) -> str | None:
    """USD as AWS wants them: a plain decimal string."""
    return None if price is None else f"{price:.6f}".rstrip("0").rstrip(".")


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
