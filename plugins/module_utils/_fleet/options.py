# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of the module as data: their types, and which goes with which type of fleet.

Source: EC2 API CreateFleet, SpotOptionsRequest, FleetSpotCapacityRebalanceRequest, TargetCapacitySpecificationRequest.
"""

from __future__ import annotations

from typing import Any

INSTANT, REQUEST, MAINTAIN = "instant", "request", "maintain"
KINDS = (INSTANT, REQUEST, MAINTAIN)
SPOT_STRATEGIES = (
    "price-capacity-optimized",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "diversified",
    "lowest-price",
)
# Options with state present that do not go with every type, and the types they go with.
TYPES_OF_OPTION: dict[str, tuple[str, ...]] = {
    "single_availability_zone": (INSTANT,),
    "single_instance_type": (INSTANT,),
    "min_target_capacity": (INSTANT,),
    "on_demand_fallback": (INSTANT,),
    "scope": (INSTANT,),
    "exclude_instance_ids": (INSTANT,),
    "index_tag": (INSTANT,),
    "claim_tag": (INSTANT,),
    "other_regions": (INSTANT,),
    "assume_absent": (INSTANT,),
    "cooldown": (INSTANT,),
    "target_capacity_unit_type": (REQUEST, MAINTAIN),
    "terminate_instances_with_expiration": (REQUEST, MAINTAIN),
    "valid_until": (REQUEST, MAINTAIN),
    "excess_capacity_termination_policy": (MAINTAIN,),
    "replace_unhealthy_instances": (MAINTAIN,),
    "capacity_rebalance": (MAINTAIN,),
}
# Values that do not go with every type.
TYPES_OF_VALUE: dict[tuple[str, str], tuple[str, ...]] = {
    ("interruption_behavior", "stop"): (MAINTAIN,),
    ("interruption_behavior", "hibernate"): (MAINTAIN,),
}


def argument_spec() -> dict[str, Any]:
    """Return the options of the module, without the common ones of amazon.aws."""
    return {
        "state": {"choices": ["present", "absent"], "default": "present"},
        "type": {"choices": list(KINDS), "default": INSTANT},
        "tags": {"type": "dict", "required": True},
        **_what_spec(),
        **_how_spec(),
        **_maintenance_spec(),
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 300},
        "cooldown": {"type": "int", "default": 60},
        "client_token": {"no_log": False},
        "fleet_ids": {"type": "list", "elements": "str", "default": []},
        "terminate_instances": {"type": "bool", "default": True},
        "progress_file": {"type": "path"},
        # For the action plugin of the same name.
        "quiet": {"type": "bool"},
    }


def _what_spec() -> dict[str, Any]:
    return {
        "launch_template": {
            "type": "dict",
            "options": {"id": {}, "name": {}, "version": {"default": "$Default"}, "data": {"type": "dict"}},
        },
        "overrides": {
            "type": "list",
            "elements": "dict",
            "options": {
                "instance_type": {},
                "instance_requirements": {"type": "dict"},
                "subnet_id": {},
                "availability_zone": {},
                "max_price": {"type": "float"},
                "priority": {"type": "float"},
                "weighted_capacity": {"type": "int"},
                "cooling": {"type": "bool", "default": False},
            },
        },
        "target_capacity": {"type": "int", "default": 1},
        "target_capacity_unit_type": {"choices": ["units", "vcpu", "memory-mib"]},
        "default_target_capacity_type": {"choices": ["spot", "on-demand"], "default": "spot"},
        "on_demand_target_capacity": {"type": "int", "default": 0},
        "on_demand_fallback": {"type": "bool", "default": False},
        "scope": {"choices": ["generation", "experiment"], "default": "generation"},
        "exclude_instance_ids": {"type": "list", "elements": "str", "default": []},
        "index_tag": {"no_log": False},
        "claim_tag": {"no_log": False},
        "other_regions": {"type": "list", "elements": "str", "default": []},
        "assume_absent": {"type": "bool", "default": False},
    }


def _how_spec() -> dict[str, Any]:
    return {
        "allocation_strategy": {"choices": list(SPOT_STRATEGIES), "default": SPOT_STRATEGIES[0]},
        "on_demand_allocation_strategy": {"choices": ["lowest-price", "prioritized"], "default": "lowest-price"},
        "interruption_behavior": {"choices": ["terminate", "stop", "hibernate"], "default": "terminate"},
        "single_availability_zone": {"type": "bool", "default": False},
        "single_instance_type": {"type": "bool", "default": False},
        "min_target_capacity": {"type": "int"},
        "all_or_nothing": {"type": "bool", "default": True},
        "max_total_price": {"type": "float"},
    }


def _maintenance_spec() -> dict[str, Any]:
    return {
        "excess_capacity_termination_policy": {"choices": ["termination", "no-termination"]},
        "replace_unhealthy_instances": {"type": "bool"},
        "capacity_rebalance": {
            "type": "dict",
            "options": {
                "replacement_strategy": {"choices": ["launch", "launch-before-terminate"], "required": True},
                "termination_delay": {"type": "int"},
            },
        },
        "terminate_instances_with_expiration": {"type": "bool"},
        "valid_until": {},
    }


DEFAULTS: dict[str, Any] = {name: entry.get("default") for name, entry in argument_spec().items()}
