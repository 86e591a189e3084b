#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the Spot Fleet request of an experiment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: spot_fleet
version_added: 1.0.0
short_description: Launch the instances of an experiment with a Spot Fleet request
description:
  - Makes, changes and cancels Spot Fleet requests (C(RequestSpotFleet)), for those who have a role for them.
  - AWS calls this API legacy. Prefer M(experiments.spot.ec2_fleet), which needs no role.
  - The identity of a request is the pair of tags C(spot:experiment) and C(spot:generation). While a request with both
    is there none is made.
  - A request that this task makes and that is not fulfilled in time is cancelled with its instances, so that nothing
    is left that costs money.
author:
  - experiments.spot authors (@experiments-spot)
options:
  state:
    description:
      - V(present) makes the request, or changes its capacity.
      - V(absent) cancels the requests of the experiment. Without the tag C(spot:generation) it does so for all
        generations.
    type: str
    choices: [present, absent]
    default: present
  tags:
    description:
      - Tags of the request, and of the instances of O(launch_specifications). Instances of launch templates have the
        tags of their template.
      - C(spot:experiment) is required, C(spot:generation) with O(state=present).
    type: dict
    required: true
  iam_fleet_role:
    description:
      - ARN of the role with which EC2 launches and terminates the instances; required with O(state=present).
      - It must trust C(spotfleet.amazonaws.com) and have the policy C(AmazonEC2SpotFleetTaggingRole). The caller needs
        C(iam:PassRole) on it.
    type: str
  type:
    description:
      - V(request) asks once and does not replace what AWS takes back.
      - V(maintain) replaces whatever ends, until the request is cancelled.
    type: str
    choices: [request, maintain]
    default: request
  launch_specifications:
    description:
      - What to launch, one entry a pool. Exactly one of this and O(launch_template_configs) is needed.
      - The keys are those of the AWS API, such as C(ImageId), or the same in snake case, such as C(image_id), at every
        depth. What C(DescribeSpotInstanceRequests) and C(DescribeSpotFleetRequests) answer as launch specification is
        accepted as it is, and so is the C(spot_instance) of a Portal Gun specification.
      - C(UserData) is base64, or a script, which is then encoded.
      - Launch specifications cannot demand version 2 of the metadata service; launch templates can.
    type: list
    elements: dict
  launch_template_configs:
    description:
      - What to launch, by launch templates. Exactly one of this and O(launch_specifications) is needed.
    type: list
    elements: dict
    suboptions:
      launch_template:
        description: The launch template. It must not name a network interface that exists.
        type: dict
        required: true
        suboptions:
          id:
            description: The id of the launch template; exactly one of this and the name.
            type: str
          name:
            description: The name of the launch template; exactly one of this and the id.
            type: str
          version:
            description: The version. Give a number, so that somebody else's new version does not change this launch.
            type: str
            default: $Default
      overrides:
        description: The pools. Without any, the type and subnet of the template are the only one.
        type: list
        elements: dict
        default: []
        suboptions:
          instance_type:
            description: The instance type, such as V(g5.xlarge).
            type: str
          instance_requirements:
            description: What instance types must have, with the keys of the AWS API, instead of a type.
            type: dict
          subnet_id:
            description: The subnet.
            type: str
          availability_zone:
            description: The Availability Zone; not used when there is a subnet.
            type: str
          max_price:
            description: The highest Spot price in USD per hour. Without it the On-Demand price is the limit.
            type: float
          weighted_capacity:
            description: Units of capacity that one instance provides.
            type: float
          priority:
            description: The lower goes first, for the allocation strategies that use priorities.
            type: float
  target_capacity:
    description:
      - How many instances (or units of capacity, with weights) the request should have. V(0) keeps a request of
        O(type=maintain) without instances.
      - Can be changed in a request of O(type=maintain).
    type: int
    default: 1
  on_demand_target_capacity:
    description: How much of O(target_capacity) is On-Demand. Needs O(launch_template_configs).
    type: int
    default: 0
  allocation_strategy:
    description: How Spot pools are chosen. Always sent, as the default of AWS is V(lowest-price).
    type: str
    choices: [price-capacity-optimized, capacity-optimized, capacity-optimized-prioritized, diversified, lowest-price]
    default: price-capacity-optimized
  on_demand_allocation_strategy:
    description: How pools are chosen for the On-Demand part.
    type: str
    choices: [lowest-price, prioritized]
    default: lowest-price
  instance_pools_to_use_count:
    description: Over how many of the cheapest pools to spread, with O(allocation_strategy=lowest-price).
    type: int
  interruption_behavior:
    description: What AWS does to an instance that it takes back. Other values than V(terminate) need O(type=maintain).
    type: str
    choices: [terminate, stop, hibernate]
    default: terminate
  excess_capacity_termination_policy:
    description:
      - Whether instances are terminated when O(target_capacity) becomes less than there are. V(default) terminates.
      - Needs O(type=maintain). When not set, a new request gets V(default) and one that exists keeps what it has.
    type: str
    choices: [default, no-termination]
  capacity_rebalance:
    description: Replace instances with a high risk of interruption before AWS takes them. Needs O(type=maintain).
    type: dict
    suboptions:
      replacement_strategy:
        description: Whether the old instance is terminated after the new one was launched.
        type: str
        choices: [launch, launch-before-terminate]
        required: true
      termination_delay:
        description: Seconds to wait before the old one is terminated, 120 to 7200; with V(launch-before-terminate).
        type: int
  replace_unhealthy_instances:
    description: Whether to replace instances whose status checks fail. Needs O(type=maintain).
    type: bool
    default: false
  max_price:
    description: The highest Spot price in USD per unit and hour. It only adds interruptions; leave it out.
    type: float
  max_total_price:
    description: The most that the Spot part may cost in USD per hour.
    type: float
  on_demand_max_total_price:
    description: The most that the On-Demand part may cost in USD per hour. Needs O(launch_template_configs).
    type: float
  valid_from:
    description: When the request begins (ISO 8601, UTC unless it says otherwise). It is then not waited for.
    type: str
  valid_until:
    description: When the request ends (ISO 8601, UTC unless it says otherwise).
    type: str
  terminate_instances_with_expiration:
    description: Whether instances are terminated at O(valid_until).
    type: bool
    default: true
  client_token:
    description:
      - Makes a repeated request harmless, at most 64 ASCII characters.
      - By default it is derived from tags and all parameters, so that the same task run twice at once makes one
        request.
    type: str
  terminate_instances:
    description: Whether O(state=absent) terminates the instances too. Without that they run on and cost money.
    type: bool
    default: true
  spot_fleet_request_ids:
    description: More requests to cancel with O(state=absent).
    type: list
    elements: str
    default: []
  wait:
    description: Whether to wait until the request is fulfilled, or until its instances have ended.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 300
attributes:
  check_mode:
    description: Predicts what would be made, changed or cancelled, without changes.
    support: full
  diff_mode:
    description: Shows the request before and after.
    support: full
  idempotent:
    description: Nothing is asked of AWS when the request is there with the same capacity.
    support: full
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - AWS can change only the capacity and its policy. A warning tells which other options differ from those that the
    request was made with.
seealso:
  - module: experiments.spot.ec2_fleet
  - module: experiments.spot.spot_fleet_info
"""

EXAMPLES = r"""
- name: Launch one instance with the words of a Portal Gun specification
  experiments.spot.spot_fleet:
    iam_fleet_role: arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role
    launch_specifications:
      - instance_type: g4dn.xlarge
        image_id: ami-0123456789abcdef0
        key_pair_name: my-key
        security_group_id: sg-0123456789abcdef0
        availability_zone: us-east-1a
        ebs_optimized: true
    tags:
      spot:experiment: mnist
      spot:generation: "1"
  register: launched

- name: Keep four instances of either type in two subnets
  experiments.spot.spot_fleet:
    iam_fleet_role: arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role
    type: maintain
    target_capacity: 4
    launch_template_configs:
      - launch_template: {name: spot-sweep-1a2b3c4d, version: "1"}
        overrides:
          - {instance_type: c7i.4xlarge, subnet_id: subnet-0a1b2c3d}
          - {instance_type: c6i.4xlarge, subnet_id: subnet-4e5f6a7b}
    tags:
      spot:experiment: sweep
      spot:generation: "1"

- name: Cancel the requests of all generations and terminate their instances
  experiments.spot.spot_fleet:
    state: absent
    tags:
      spot:experiment: mnist
"""

RETURN = r"""
spot_fleet:
  description: The request, with nulls for one that would be made in check mode. Not with O(state=absent).
  returned: with O(state=present)
  type: dict
  contains:
    spot_fleet_request_id:
      description: Id of the request.
      type: str
      sample: sfr-73fbd2ce-aa30-494c-8788-1cee4EXAMPLE
    state:
      description: State of the request.
      type: str
      sample: active
    activity_status:
      description: How far it is, V(pending_fulfillment), V(fulfilled), V(pending_termination) or V(error).
      type: str
      sample: fulfilled
    type:
      description: V(request) or V(maintain).
      type: str
      sample: request
    target_capacity:
      description: The wanted capacity.
      type: int
      sample: 1
    fulfilled_capacity:
      description: The capacity that is there.
      type: float
      sample: 1.0
    on_demand_target_capacity:
      description: How much of it is to be On-Demand.
      type: int
      sample: 0
    on_demand_fulfilled_capacity:
      description: How much On-Demand capacity is there.
      type: float
      sample: 0.0
    allocation_strategy:
      description: How Spot pools are chosen.
      type: str
      sample: price-capacity-optimized
    on_demand_allocation_strategy:
      description: How pools are chosen for the On-Demand part.
      type: str
      sample: lowest-price
    excess_capacity_termination_policy:
      description: Whether instances beyond the target are terminated.
      type: str
      sample: default
    interruption_behavior:
      description: What AWS does to an instance that it takes back.
      type: str
      sample: terminate
    iam_fleet_role:
      description: ARN of the role.
      type: str
      sample: arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role
    valid_until:
      description: When the request ends (ISO 8601, UTC), null for never.
      type: str
    create_time:
      description: When it was made (ISO 8601, UTC).
      type: str
      sample: "2026-01-31T12:34:56+00:00"
    tags:
      description: Its tags.
      type: dict
    instances:
      description: Its live instances by id.
      type: list
      elements: dict
      contains:
        instance_id:
          description: Id of the instance.
          type: str
          sample: i-0123456789abcdef0
        instance_type:
          description: Instance type.
          type: str
          sample: g4dn.xlarge
        zone:
          description: Availability Zone.
          type: str
          sample: us-east-1a
        subnet_id:
          description: Subnet.
          type: str
          sample: subnet-0a1b2c3d
        lifecycle:
          description: V(spot) or V(on-demand).
          type: str
          sample: spot
        state:
          description: State of the instance.
          type: str
          sample: running
        health:
          description: V(healthy) or V(unhealthy).
          type: str
          sample: healthy
        spot_instance_request_id:
          description: Id of its Spot request, null for On-Demand.
          type: str
          sample: sir-0123abcd
        public_ip:
          description: Public address, null for none.
          type: str
        private_ip:
          description: Private address, null for none.
          type: str
cancelled:
  description: Ids of the requests that were cancelled, or would be in check mode.
  returned: with O(state=absent)
  type: list
  elements: str
terminated:
  description: Ids of the instances that were terminated, or would be in check mode.
  returned: with O(state=absent)
  type: list
  elements: str
left_running:
  description: Ids of the instances that run on because of O(terminate_instances=false).
  returned: with O(state=absent)
  type: list
  elements: str
"""

import contextlib
from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.reads import failures
from ansible_collections.experiments.spot.plugins.module_utils._fleet.launch import SystemClock
from ansible_collections.experiments.spot.plugins.module_utils._spot import fleet_request, fleet_state, spot_fleet


def argument_spec() -> dict[str, Any]:
    """Return the options of the module, without the common ones of amazon.aws."""
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "tags": {"type": "dict", "required": True},
        "iam_fleet_role": {"type": "str"},
        "type": {"type": "str", "choices": ["request", "maintain"], "default": "request"},
        "launch_specifications": {"type": "list", "elements": "dict"},
        "launch_template_configs": {"type": "list", "elements": "dict", "options": _template_spec()},
        "target_capacity": {"type": "int", "default": 1},
        "on_demand_target_capacity": {"type": "int", "default": 0},
        "allocation_strategy": {
            "type": "str",
            "choices": list(fleet_request.STRATEGIES),
            "default": "price-capacity-optimized",
        },
        "on_demand_allocation_strategy": {
            "type": "str",
            "choices": list(fleet_request.ON_DEMAND_STRATEGIES),
            "default": "lowest-price",
        },
        "instance_pools_to_use_count": {"type": "int"},
        "interruption_behavior": {"type": "str", "choices": ["terminate", "stop", "hibernate"], "default": "terminate"},
        "excess_capacity_termination_policy": {"type": "str", "choices": list(fleet_request.POLICIES)},
        "capacity_rebalance": {"type": "dict", "options": _rebalance_spec()},
        "replace_unhealthy_instances": {"type": "bool", "default": False},
        "max_price": {"type": "float"},
        "max_total_price": {"type": "float"},
        "on_demand_max_total_price": {"type": "float"},
        "valid_from": {"type": "str"},
        "valid_until": {"type": "str"},
        "terminate_instances_with_expiration": {"type": "bool", "default": True},
        "client_token": {"type": "str", "no_log": False},
        "terminate_instances": {"type": "bool", "default": True},
        "spot_fleet_request_ids": {"type": "list", "elements": "str", "default": []},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 300},
    }


def _template_spec() -> dict[str, Any]:
    overrides = {
        "instance_type": {"type": "str"},
        "instance_requirements": {"type": "dict"},
        "subnet_id": {"type": "str"},
        "availability_zone": {"type": "str"},
        "max_price": {"type": "float"},
        "weighted_capacity": {"type": "float"},
        "priority": {"type": "float"},
    }
    template = {
        "id": {"type": "str"},
        "name": {"type": "str"},
        "version": {"type": "str", "default": "$Default"},
    }
    return {
        "launch_template": {"type": "dict", "required": True, "options": template},
        "overrides": {"type": "list", "elements": "dict", "default": [], "options": overrides},
    }


def _rebalance_spec() -> dict[str, Any]:
    return {
        "replacement_strategy": {"type": "str", "choices": ["launch", "launch-before-terminate"], "required": True},
        "termination_delay": {"type": "int"},
    }


def do(module: Any) -> dict[str, Any]:
    """Validate, then make AWS agree.

    Raises:
        ApiError: a call failed.
        FleetError: the options are wrong, or the request is not fulfilled.
    """
    now = datetime.now(timezone.utc)
    mistakes = fleet_request.problems(module.params, now)
    if module.params["state"] == "absent":
        _refuse(mistakes)
        return ensure_absent(module, Clients(module)("ec2"))
    clients = Clients(module)
    config = None
    with contextlib.suppress(ValueError):  # A time that is none is one of the mistakes.
        config = fleet_request.config(module.params)
    if config is not None:
        mistakes += spot_fleet.shape_problems(clients("ec2"), config)
    _refuse(mistakes)
    return ensure_present(module, clients("ec2"), spot_fleet.Wish(module.params, config or {}), now)


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise spot_fleet.FleetError("Invalid options: " + "; ".join(mistakes))


def ensure_present(module: Any, ec2: Any, wish: spot_fleet.Wish, now: datetime) -> dict[str, Any]:
    """Make the request, or change its capacity, or predict it."""
    found = spot_fleet.find(ec2, module.params)
    if found.twins:
        module.warn(f"There are more Spot Fleet requests with these tags: {', '.join(found.twins)}")
    if found.alive is None:
        return _create(module, ec2, wish, found.over)
    for line in fleet_state.fixed_differences(found.alive, module.params):
        module.warn(f"{found.alive['SpotFleetRequestId']}: {line}; AWS cannot change that")
    return _keep(module, ec2, wish, found.alive, now)


def _create(module: Any, ec2: Any, wish: spot_fleet.Wish, over: list[str]) -> dict[str, Any]:
    if module.check_mode:
        after = fleet_state.diff_entry(None, type=module.params["type"], target_capacity=wish.target)
        return _with_diff(module, {"changed": True, "spot_fleet": fleet_state.result(None, [])}, {}, after)
    fleet_id, clock = spot_fleet.create(ec2, wish, over), SystemClock()
    seconds = _wait_seconds(module.params)
    fleet = spot_fleet.wait_or_cancel(ec2, wish, fleet_id, seconds, clock) if seconds is not None else None
    shown = _shown(ec2, fleet or {"SpotFleetRequestId": fleet_id, "SpotFleetRequestConfig": wish.config}, bool(fleet))
    return _with_diff(module, {"changed": True, "spot_fleet": shown}, {}, fleet_state.diff_entry(shown))


def _keep(module: Any, ec2: Any, wish: spot_fleet.Wish, fleet: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A request that is there: change it where it differs, and wait for it."""
    before, changes = _shown(ec2, fleet), fleet_state.changes(fleet, module.params)
    if changes and before["type"] != fleet_request.MAINTAIN:
        raise spot_fleet.FleetError(fleet_state.no_change_message(fleet, changes))
    if module.check_mode:
        after = fleet_state.diff_entry(before, **_predicted(module.params, changes))
        return _with_diff(
            module, {"changed": bool(changes), "spot_fleet": before}, fleet_state.diff_entry(before), after
        )
    if changes:
        fleet = spot_fleet.modify(ec2, fleet, changes, float(module.params["wait_timeout"]), SystemClock())
    seconds = _wait_seconds(module.params)
    left = None if seconds is None else seconds if changes else spot_fleet.seconds_left(fleet, seconds, now)
    done = not changes and fleet_state.progress(fleet, wish.target) is fleet_state.Progress.DONE
    # Nothing to wait for when it is fulfilled, and no sense in it when AWS will not fill it up again.
    waited = _waited(ec2, wish, fleet, left, bool(changes)) if left and not done else fleet
    shown = _shown(ec2, waited) if changes or waited is not fleet else before
    result = {"changed": bool(changes), "spot_fleet": shown}
    return _with_diff(module, result, fleet_state.diff_entry(before), fleet_state.diff_entry(shown))


def _waited(ec2: Any, wish: spot_fleet.Wish, fleet: dict[str, Any], seconds: float, changed: bool) -> dict[str, Any]:
    try:
        return spot_fleet.wait(ec2, wish, fleet["SpotFleetRequestId"], seconds, SystemClock())
    except spot_fleet.FleetError as error:
        raise spot_fleet.FleetError(f"{error}\nIt stays as it is; state absent removes it.", changed) from error


def _wait_seconds(params: dict[str, Any]) -> float | None:
    """How long to wait, None for not at all."""
    start = fleet_request.moment(params["valid_from"])
    later = start is not None and start > datetime.now(timezone.utc)
    return None if later or not params["wait"] else float(params["wait_timeout"])


def _predicted(params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    names = {
        "TargetCapacity": "target_capacity",
        "OnDemandTargetCapacity": "on_demand_target_capacity",
        "ExcessCapacityTerminationPolicy": "excess_capacity_termination_policy",
    }
    return {names[key]: params[names[key]] for key in changes if params[names[key]] is not None}


def _shown(ec2: Any, fleet: dict[str, Any], read: bool = True) -> dict[str, Any]:
    found = spot_fleet.instances(ec2, fleet["SpotFleetRequestId"]) if read else []
    return fleet_state.result(fleet, found)


def ensure_absent(module: Any, ec2: Any) -> dict[str, Any]:
    """Cancel the requests of the experiment, or predict it."""
    remains, terminate = spot_fleet.find_remains(ec2, module.params), module.params["terminate_instances"]
    terminated = remains.all_instances if terminate else []
    result = {
        "changed": bool(remains.fleets or (terminate and remains.forsaken)),
        "cancelled": remains.fleets,
        "terminated": terminated,
        "left_running": [] if terminate else remains.all_instances,
    }
    if not module.check_mode:
        spot_fleet.cancel(ec2, remains, terminate)
        if terminate and module.params["wait"]:
            ids = remains.fleets + remains.leaving
            spot_fleet.wait_gone(ec2, ids, float(module.params["wait_timeout"]), SystemClock())
    before = {"spot_fleet_requests": remains.fleets, "instances": remains.all_instances}
    return _with_diff(module, result, before, {"spot_fleet_requests": [], "instances": result["left_running"]})


def _with_diff(module: Any, result: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {**result, "diff": {"before": before, "after": after}} if module._diff else result


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = do(module)
    except spot_fleet.FleetError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    except ApiError as error:
        module.fail_json(msg="\n".join(failures([error])))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
