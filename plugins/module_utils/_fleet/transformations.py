# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From module options to the request of CreateFleet, and from answers of AWS to our values: pure functions.

Source: EC2 API CreateFleet, DescribeInstances, DescribeFleets.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from .._aws_errors import plain_message
from . import requirements
from .index import index_from
from .plan import kind_of
from .values import LIVE_STATES, SPOT, Instance, Pool, Refusal, Request, Wish

FLEET_TAG = "aws:ec2:fleet-id"
TOKEN_LENGTH = 40
# The Date of an answer has whole seconds, and AWS's own clocks differ a little.
DATE_TOLERANCE_S = 4.0
GONE_FLEET_STATES = frozenset({"deleted", "deleted_running", "deleted_terminating"})


def pool_from_override(override: Mapping[str, Any]) -> Pool:
    """Return the pool of one entry of the module option ``overrides``."""
    wanted = override.get("instance_requirements") or {}
    return Pool(
        instance_type=override.get("instance_type") or "",
        subnet_id=override.get("subnet_id") or "",
        zone=override.get("availability_zone") or "",
        weight=override.get("weighted_capacity") or 1,
        max_price=override.get("max_price"),
        priority=override.get("priority"),
        requirements=json.dumps(requirements.to_api(wanted), sort_keys=True) if wanted else "",
        words=requirements.label(wanted) if wanted else "",
        cooling=bool(override.get("cooling")),
    )


def wish_from_params(params: Mapping[str, Any]) -> Wish:
    """Return what is wanted from the module's options, which must be free of problems (see ``plan.problems``)."""
    template = params["launch_template"]
    target, minimum = params["target_capacity"], params["min_target_capacity"]
    tags = {str(key): str(value) for key, value in params["tags"].items()}
    return Wish(
        experiment=tags["spot:experiment"],
        generation=tags["spot:generation"],
        launch_template=template_reference(template),
        pools=tuple(pool_from_override(override) for override in params["overrides"]),
        target=target,
        required=minimum or (target if params["all_or_nothing"] else 1),
        market=params["default_target_capacity_type"],
        on_demand=params["on_demand_target_capacity"],
        fallback=params["on_demand_fallback"],
        allocation_strategy=params["allocation_strategy"],
        on_demand_allocation_strategy=params["on_demand_allocation_strategy"],
        interruption_behavior=params["interruption_behavior"],
        single_instance_type=params["single_instance_type"],
        single_zone=params["single_availability_zone"],
        max_total_price=params["max_total_price"],
        tags=tags,
        client_token=params["client_token"] or "",
        wait=float(params["wait_timeout"] if params["wait"] else 0),
        cooldown=float(params["cooldown"]),
        all_generations=params["scope"] == "experiment",
        excluded=frozenset(params["exclude_instance_ids"]),
        index_tag=params["index_tag"] or "",
        kind=params["type"],
    )


def template_reference(template: Mapping[str, Any]) -> dict[str, str]:
    """Return ``LaunchTemplateSpecification`` from the module option ``launch_template``."""
    key = "LaunchTemplateId" if template.get("id") else "LaunchTemplateName"
    return {key: template.get("id") or template["name"], "Version": str(template["version"])}


def create_fleet_request(wish: Wish, request: Request) -> dict[str, Any]:
    """Return the parameters of CreateFleet.

    ``Type`` and the allocation strategy are always sent: AWS's defaults (``maintain``, ``lowest-price``) are not ours.
    The order of the pools does not depend on how the user or the prices ordered them, so that two runs at once send
    the same request under the same token.
    """
    params = {
        "Type": wish.kind,
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": request.capacity,
            "DefaultTargetCapacityType": request.market,
        },
        ("SpotOptions" if request.market == SPOT else "OnDemandOptions"): _options(wish, request),
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": dict(wish.launch_template),
                "Overrides": overrides(request.pools, request.market),
            }
        ],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": ansible_dict_to_boto3_tag_list(dict(sorted(tags.items())))}
            for kind, tags in (("fleet", wish.tags), ("instance", _instance_tags(wish, request)))
        ],
    }
    return {**params, "ClientToken": client_token(wish, request, params)}


def _instance_tags(wish: Wish, request: Request) -> Mapping[str, str]:
    return wish.tags if request.index is None else {**wish.tags, wish.index_tag: str(request.index)}


def _options(wish: Wish, request: Request) -> dict[str, Any]:
    options: dict[str, Any] = {"AllocationStrategy": wish.on_demand_allocation_strategy}
    if request.market == SPOT:
        options = {
            "AllocationStrategy": wish.allocation_strategy,
            "InstanceInterruptionBehavior": wish.interruption_behavior,
        }
    if wish.single_instance_type:
        options["SingleInstanceType"] = True
    if wish.single_zone:
        options["SingleAvailabilityZone"] = True
    # AWS accepts a minimum only together with one of the two; without them the caller enforces it.
    minimum = request.capacity - (wish.target - wish.required)
    if minimum > 1 and (wish.single_instance_type or wish.single_zone):
        options["MinTargetCapacity"] = minimum
    if wish.max_total_price is not None:
        options["MaxTotalPrice"] = decimal(wish.max_total_price)
    return options


def overrides(pools: Iterable[Pool], market: str) -> list[dict[str, Any]]:
    """Return ``Overrides`` of the API, in an order of their own."""
    return [_override(pool, market) for pool in sorted(pools, key=_pool_order)]


def _override(pool: Pool, market: str) -> dict[str, Any]:
    override: dict[str, Any] = {"InstanceType": pool.instance_type}
    if pool.requirements:
        override = {"InstanceRequirements": json.loads(pool.requirements)}
    if pool.subnet_id:
        # The subnet decides the zone; AWS refuses a zone that disagrees.
        override["SubnetId"] = pool.subnet_id
    elif pool.zone:
        override["AvailabilityZone"] = pool.zone
    if pool.max_price is not None and market == SPOT:
        override["MaxPrice"] = decimal(pool.max_price)
    if pool.priority is not None:
        override["Priority"] = float(pool.priority)
    if pool.weight != 1:
        override["WeightedCapacity"] = float(pool.weight)
    return override


def client_token(wish: Wish, request: Request, params: Mapping[str, Any]) -> str:
    """Return the token of a request: the same for the same experiment, generation, parameters and attempt.

    At most 64 ASCII characters. A token the user gave is used as it is for the first attempt.
    """
    if wish.client_token:
        suffix = f"-{request.attempt}" if request.attempt else ""
        return wish.client_token[: 64 - len(suffix)] + suffix
    return derived_token([wish.experiment, wish.generation, "fleet", request.attempt, params])


def derived_token(identity: Any) -> str:
    """Return a client token for what JSON can say."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()[:TOKEN_LENGTH]


def instance_from_boto(instance: Mapping[str, Any], index_tag: str = "") -> Instance:
    """Return an instance from an entry of DescribeInstances.

    Args:
        instance: The entry.
        index_tag: The tag that holds its number.
    """
    tags = boto3_tag_list_to_ansible_dict(instance.get("Tags"))
    launched = instance.get("LaunchTime")
    reason = instance.get("StateReason") or {}
    return Instance(
        instance_id=instance["InstanceId"],
        instance_type=instance.get("InstanceType", ""),
        zone=(instance.get("Placement") or {}).get("AvailabilityZone", ""),
        subnet_id=instance.get("SubnetId", ""),
        lifecycle=instance.get("InstanceLifecycle", "on-demand"),
        state=(instance.get("State") or {}).get("Name", "pending"),
        launch_time=launched.astimezone(timezone.utc).isoformat() if isinstance(launched, datetime) else "",
        fleet_id=tags.get(FLEET_TAG, ""),
        reason=str(reason.get("Message") or reason.get("Code") or ""),
        generation=tags.get("spot:generation", ""),
        index=index_from(tags.get(index_tag), instance["InstanceId"]) if index_tag else None,
    )


def instances_from_answer(answer: Mapping[str, Any]) -> tuple[Instance, ...]:
    """Return the instances an answer of CreateFleet names."""
    found = []
    for group in answer.get("Instances") or []:
        override = (group.get("LaunchTemplateAndOverrides") or {}).get("Overrides") or {}
        found += [
            Instance(
                instance_id=instance_id,
                instance_type=group.get("InstanceType") or override.get("InstanceType", ""),
                zone=override.get("AvailabilityZone") or group.get("AvailabilityZone", ""),
                subnet_id=override.get("SubnetId") or group.get("SubnetId", ""),
                lifecycle=group.get("Lifecycle", "on-demand"),
                fleet_id=answer.get("FleetId", ""),
            )
            for instance_id in group.get("InstanceIds") or []
        ]
    return tuple(found)


def refusals_from_answer(answer: Mapping[str, Any], request: Request) -> tuple[Refusal, ...]:
    """Return the refusals in an answer of CreateFleet: HTTP 200 may say no in ``Errors``, even for lack of rights.

    AWS repeats an error for each override it tried; the same words about the same pool come once here.
    """
    found: dict[Refusal, None] = {}
    for error in answer.get("Errors") or []:
        code, message = error.get("ErrorCode", "UnknownError"), plain_message(error.get("ErrorMessage", ""))
        override = (error.get("LaunchTemplateAndOverrides") or {}).get("Overrides") or {}
        pool = pool_of(override, request.pools)
        market = error.get("Lifecycle") or request.market
        refusal = Refusal(pool, code, message, kind_of(code, message), market=market)
        found[refusal] = None
    return tuple(found)


def pool_of(override: Mapping[str, Any], pools: Iterable[Pool]) -> Pool | None:
    """Return the pool an override in an answer means, or None when none or several fit."""
    fitting = [pool for pool in pools if _is_meant(override, pool)]
    return fitting[0] if len(fitting) == 1 else None


def _is_meant(override: Mapping[str, Any], pool: Pool) -> bool:
    if not _is_of_type(override, pool):
        return False
    subnet, zone = override.get("SubnetId"), override.get("AvailabilityZone")
    if subnet and pool.subnet_id:
        return bool(subnet == pool.subnet_id)
    return not (zone and pool.zone) or bool(zone == pool.zone)


def _is_of_type(override: Mapping[str, Any], pool: Pool) -> bool:
    if pool.requirements:
        # AWS may name the requirements, or the type that it found for them.
        return bool(override)
    return bool(override.get("InstanceType")) and pool.instance_type == override["InstanceType"]


def is_stale(fleet: Mapping[str, Any], answer: Mapping[str, Any], elapsed: float = 0.0) -> bool:
    """Say whether a fleet was made for a former request: AWS repeats its answer for the same client token.

    Both times are of AWS's clock, the fleet's ``CreateTime`` and the ``Date`` of the answer; ours may be off.

    Args:
        fleet: An entry of DescribeFleets.
        answer: The answer of CreateFleet, with ``ResponseMetadata``.
        elapsed: Seconds from sending the request to having the answer.
    """
    created = fleet.get("CreateTime")
    headers = (answer.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    try:
        answered = email.utils.parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return False
    if not isinstance(created, datetime):
        return False
    return (answered - created).total_seconds() > elapsed + DATE_TOLERANCE_S


def experiment_filters(experiment: str, generation: str = "") -> dict[str, Any]:
    """Return the filters of DescribeInstances for the live instances of an experiment."""
    filters: dict[str, Any] = {"tag:spot:experiment": experiment, "instance-state-name": list(LIVE_STATES)}
    return {**filters, "tag:spot:generation": generation} if generation else filters


def fleets_of(fleets: Iterable[Mapping[str, Any]], generation: str = "") -> list[Mapping[str, Any]]:
    """Return the fleets of one generation or of all, by id.

    Args:
        fleets: Entries of DescribeFleets.
        generation: Fleets tagged with another one are left out; empty for all.
    """
    return sorted((fleet for fleet in fleets if _is_of(fleet, generation)), key=lambda fleet: str(fleet["FleetId"]))


def _is_of(fleet: Mapping[str, Any], generation: str) -> bool:
    tagged = boto3_tag_list_to_ansible_dict(fleet.get("Tags")).get("spot:generation", generation)
    return not generation or tagged == generation


def _pool_order(pool: Pool) -> tuple[str, str, str, str]:
    return (pool.instance_type, pool.requirements, pool.subnet_id, pool.zone)


def decimal(value: float) -> str:
    """USD as AWS wants them: a plain decimal string."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
