#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the EC2 Fleet of an experiment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_fleet
version_added: 0.1.0
short_description: Launch the instances of an experiment with an EC2 Fleet
description:
  - Brings an experiment to its target capacity with C(CreateFleet) of type V(instant), from any of several instance
    types and subnets (pools).
  - The identity of a fleet is the pair of tags C(spot:experiment) and C(spot:generation). Instances that carry both
    and are pending, running, stopping or stopped count towards O(target_capacity). When there are enough nothing is
    asked of AWS, when there are fewer only the missing ones are asked for.
  - When a pool has no capacity the other ones are asked at once; pools that refused are left alone for O(cooldown)
    seconds and asked again until O(wait_timeout) is over. An exhausted quota, a missing permission and the like end
    the task at once.
  - A launch that fails terminates what it started, so that nothing is left that costs money.
author:
  - experiments.spot authors (@experiments-spot)
options:
  state:
    description:
      - V(present) launches what is missing.
      - V(absent) terminates the instances of the experiment and deletes its fleets. Without the tag
        C(spot:generation) it does so for all generations.
    type: str
    choices: [present, absent]
    default: present
  type:
    description:
      - The type of the fleet. V(instant) launches once and does not replace what AWS takes back.
    type: str
    choices: [instant]
    default: instant
  launch_template:
    description:
      - The launch template; required with O(state=present).
      - It must not have a subnet or market options.
    type: dict
    suboptions:
      id:
        description: The id of the launch template; exactly one of this and O(launch_template.name).
        type: str
      name:
        description: The name of the launch template; exactly one of this and O(launch_template.id).
        type: str
      version:
        description:
          - The version. Give a number, so that somebody else's new version does not change this launch.
        type: str
        default: $Default
  overrides:
    description:
      - The pools; at least one is required with O(state=present), and ten or more give a better chance of capacity.
    type: list
    elements: dict
    suboptions:
      instance_type:
        description: The instance type, such as V(g5.xlarge).
        type: str
        required: true
      subnet_id:
        description: One subnet; without it AWS chooses one of the default VPC.
        type: str
      availability_zone:
        description: The Availability Zone; with O(overrides[].subnet_id) it only makes messages clearer.
        type: str
      max_price:
        description:
          - The highest Spot price in USD per hour. Without it the On-Demand price is the limit, which is what AWS
            recommends.
        type: float
      priority:
        description: The lower goes first, for the allocation strategies that use priorities.
        type: float
      weighted_capacity:
        description: Units of capacity that one instance of this type provides; the same for all pools of a type.
        type: int
  target_capacity:
    description: How many instances (or units of capacity, with weights) the experiment should have.
    type: int
    default: 1
  on_demand_target_capacity:
    description:
      - How many units of O(target_capacity) are On-Demand though O(default_target_capacity_type) is V(spot). They are
        asked for first.
    type: int
    default: 0
  on_demand_fallback:
    description:
      - Whether to ask for On-Demand Instances in the same pools when Spot has refused everywhere until O(wait_timeout)
        is over, or will not give any, for instance because of a quota of 0.
    type: bool
    default: false
  scope:
    description:
      - Which live instances count towards O(target_capacity). V(experiment) counts those of all generations, so that
        a next generation only replaces what is gone.
    type: str
    choices: [generation, experiment]
    default: generation
  exclude_instance_ids:
    description:
      - Live instances that do not count, for instance as AWS is about to take them back. They are left alone.
    type: list
    elements: str
    default: []
  index_tag:
    description:
      - A tag that numbers the instances that count, such as C(spot:rank).
      - An instance that has a number keeps it, each other one gets the lowest whole number from 0 that is free. The
        numbers of instances that are gone or excluded are free.
    type: str
  default_target_capacity_type:
    description: Whether to launch Spot or On-Demand Instances.
    type: str
    choices: [spot, on-demand]
    default: spot
  allocation_strategy:
    description: How AWS chooses among Spot pools.
    type: str
    choices:
      - price-capacity-optimized
      - capacity-optimized
      - capacity-optimized-prioritized
      - diversified
      - lowest-price
    default: price-capacity-optimized
  on_demand_allocation_strategy:
    description: How AWS chooses among On-Demand pools.
    type: str
    choices: [lowest-price, prioritized]
    default: lowest-price
  interruption_behavior:
    description: What AWS does with a Spot Instance that it takes back.
    type: str
    choices: [terminate, stop, hibernate]
    default: terminate
  single_availability_zone:
    description: Launch all instances in one Availability Zone, that of the instances that are there already.
    type: bool
    default: false
  single_instance_type:
    description: Launch all instances with one instance type, that of the instances that are there already.
    type: bool
    default: false
  min_target_capacity:
    description:
      - With fewer units than this the launch has failed; with more, but fewer than O(target_capacity), it gives a
        warning. It takes the place of O(all_or_nothing).
    type: int
  all_or_nothing:
    description:
      - Whether fewer than O(target_capacity) is a failure, which terminates what was launched.
      - With V(false) one instance is enough.
    type: bool
    default: true
  max_total_price:
    description: The highest price of the whole fleet in USD per hour; AWS stops launching before it is exceeded.
    type: float
  tags:
    description:
      - Tags of the fleet and its instances, set at creation.
      - C(spot:experiment) is required, C(spot:generation) is required with O(state=present).
      - Tags of volumes and network interfaces belong in the launch template.
    type: dict
    required: true
  client_token:
    description:
      - Makes a repeated request harmless, at most 64 ASCII characters.
      - By default it is derived from experiment, generation and all parameters, so that the same task run twice at
        once launches once. When the fleet of a token is dead a new token is derived from it.
    type: str
  wait:
    description: Whether to keep trying when no pool has capacity.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to keep trying when no pool has capacity.
    type: int
    default: 300
  cooldown:
    description: How many seconds a pool without capacity is left alone.
    type: int
    default: 60
  fleet_ids:
    description: More fleets to delete with O(state=absent), with all their instances.
    type: list
    elements: str
    default: []
  progress_file:
    description:
      - A file to which a line is appended for each refusal, wait and launch as it happens.
      - With a local connection these lines are shown while the task runs, also without this option.
    type: path
  quiet:
    description: Shows no progress. Without it the environment variable E(EXPERIMENTS_SPOT_QUIET) decides.
    type: bool
attributes:
  check_mode:
    description: Predicts how many instances would be launched, or which would be terminated, without changes.
    support: full
  diff_mode:
    description: Shows the fleet's instances before and after.
    support: full
  idempotent:
    description: Nothing is asked of AWS when there is enough capacity.
    support: full
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Launch one Spot Instance from any of four pools
  experiments.spot.ec2_fleet:
    launch_template:
      name: spot-mnist-1a2b3c4d
      version: "1"
    overrides:
      - {instance_type: g5.xlarge, subnet_id: subnet-0a1b2c3d}
      - {instance_type: g5.xlarge, subnet_id: subnet-4e5f6a7b}
      - {instance_type: g4dn.xlarge, subnet_id: subnet-0a1b2c3d}
      - {instance_type: g4dn.xlarge, subnet_id: subnet-4e5f6a7b}
    tags:
      spot:experiment: mnist
      spot:generation: "1"
    wait_timeout: 600
  register: launched

- name: Launch four instances side by side in one zone, or none
  experiments.spot.ec2_fleet:
    launch_template:
      id: lt-0a1b2c3d4e5f6a7b8
      version: "3"
    overrides:
      - {instance_type: c7i.4xlarge, subnet_id: subnet-0a1b2c3d}
      - {instance_type: c7i.4xlarge, subnet_id: subnet-4e5f6a7b}
    target_capacity: 4
    single_availability_zone: true
    tags:
      spot:experiment: sweep
      spot:generation: "2"

- name: Terminate all generations of an experiment
  experiments.spot.ec2_fleet:
    state: absent
    tags:
      spot:experiment: mnist
"""

RETURN = r"""
fleet:
  description: What the experiment has now, or would have in check mode.
  returned: always, also with a failure to launch
  type: dict
  contains:
    fleet_id:
      description: The fleet that launched last, or the one the instances belong to.
      type: str
      sample: fleet-12a34b55-67cd-8ef9-ba9b-9208dEXAMPLE
    fleet_ids:
      description: All fleets that this task made, or deleted.
      type: list
      elements: str
    instances:
      description: The instances of the experiment's generation, oldest first.
      type: list
      elements: dict
      contains:
        instance_id:
          description: The id.
          type: str
          sample: i-0598c7d356eba48d7
        instance_type:
          description: The instance type.
          type: str
          sample: g5.xlarge
        zone:
          description: The Availability Zone.
          type: str
          sample: us-east-1a
        lifecycle:
          description: V(spot) or V(on-demand).
          type: str
          sample: spot
        subnet_id:
          description: The subnet.
          type: str
          sample: subnet-0a1b2c3d
        state:
          description: The state when last seen.
          type: str
          sample: pending
        rank:
          description: The number in the tag O(index_tag), null without one.
          type: int
          sample: 0
    launched:
      description: Ids of the instances that this task launched.
      type: list
      elements: str
    terminated:
      description: Ids of the instances that this task terminated.
      type: list
      elements: str
    errors:
      description: Every refusal on the way, in the order they came, also when the launch succeeded.
      type: list
      elements: dict
      contains:
        pool:
          description: The pool in words.
          type: str
          sample: g5.xlarge in us-east-1a (subnet-0a1b2c3d)
        instance_type:
          description: The instance type, empty when the error is not about one pool.
          type: str
        zone:
          description: The Availability Zone, if it was given.
          type: str
        subnet_id:
          description: The subnet, if it was given.
          type: str
        code:
          description: The error code of AWS.
          type: str
          sample: InsufficientInstanceCapacity
        message:
          description: The message of AWS.
          type: str
        class:
          description: How the module reacts to it, one of RETRY, POOL, AZ, REGION, WAIT, NEWTOKEN, FATAL.
          type: str
          sample: POOL
        market:
          description: What was asked for, V(spot) or V(on-demand).
          type: str
          sample: spot
    missing:
      description: How many units of capacity are missing from O(target_capacity).
      type: int
      sample: 0
    pools:
      description: The pools that would be asked, in check mode.
      type: list
      elements: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws_errors import explain
from ..module_utils._fleet import api, instant, removal
from ..module_utils._fleet.errors import AnsibleFleetError, action_of
from ..module_utils._fleet.launch import SystemClock
from ..module_utils._fleet.rules import problems


def argument_spec() -> dict[str, Any]:
    """Return the options of the module, without the common ones of amazon.aws."""
    return {
        "state": {"choices": ["present", "absent"], "default": "present"},
        "type": {"choices": ["instant"], "default": "instant"},
        "launch_template": {
            "type": "dict",
            "options": {"id": {}, "name": {}, "version": {"default": "$Default"}},
        },
        "overrides": {"type": "list", "elements": "dict", "options": _override_spec()},
        "target_capacity": {"type": "int", "default": 1},
        "on_demand_target_capacity": {"type": "int", "default": 0},
        "on_demand_fallback": {"type": "bool", "default": False},
        "scope": {"choices": ["generation", "experiment"], "default": "generation"},
        "exclude_instance_ids": {"type": "list", "elements": "str", "default": []},
        "index_tag": {"no_log": False},
        "default_target_capacity_type": {"choices": ["spot", "on-demand"], "default": "spot"},
        "allocation_strategy": {
            "choices": [
                "price-capacity-optimized",
                "capacity-optimized",
                "capacity-optimized-prioritized",
                "diversified",
                "lowest-price",
            ],
            "default": "price-capacity-optimized",
        },
        "on_demand_allocation_strategy": {"choices": ["lowest-price", "prioritized"], "default": "lowest-price"},
        "interruption_behavior": {"choices": ["terminate", "stop", "hibernate"], "default": "terminate"},
        "single_availability_zone": {"type": "bool", "default": False},
        "single_instance_type": {"type": "bool", "default": False},
        "min_target_capacity": {"type": "int"},
        "all_or_nothing": {"type": "bool", "default": True},
        "max_total_price": {"type": "float"},
        "tags": {"type": "dict", "required": True},
        "client_token": {"no_log": False},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 300},
        "cooldown": {"type": "int", "default": 60},
        "fleet_ids": {"type": "list", "elements": "str", "default": []},
        "progress_file": {"type": "path"},
        # For the action plugin of the same name.
        "quiet": {"type": "bool"},
    }


def _override_spec() -> dict[str, Any]:
    return {
        "instance_type": {"required": True},
        "subnet_id": {},
        "availability_zone": {},
        "max_price": {"type": "float"},
        "priority": {"type": "float"},
        "weighted_capacity": {"type": "int"},
    }


def do(module: Any) -> dict[str, Any]:
    """Validate, then bring the fleet to the wanted state."""
    mistakes = problems(module.params)
    if mistakes:
        module.fail_json(msg="Invalid options: " + "; ".join(mistakes))
    reader = api.connect(module, attempts=api.READ_ATTEMPTS)
    if module.params["state"] == "absent":
        return removal.ensure_absent(module, reader)
    return instant.ensure_present(module, reader, SystemClock())


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = do(module)
    except AnsibleFleetError as error:
        module.fail_json(msg=explain(error, action_of(error)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
