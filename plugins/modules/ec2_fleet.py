#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the EC2 Fleet of an experiment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_fleet
version_added: 1.0.0
short_description: Launch the instances of an experiment with an EC2 Fleet
description:
  - Brings an experiment to its target capacity with C(CreateFleet), from any of several instance types and subnets
    (pools). The identity of a fleet is the pair of tags C(spot:experiment) and C(spot:generation).
  - With O(type=instant), instances that carry both tags and are pending, running, stopping or stopped count towards
    O(target_capacity). When there are enough nothing is asked of AWS, when there are fewer only the missing ones are.
    When a pool has no capacity the other ones are asked at once; pools that refused are left alone for O(cooldown)
    seconds and asked again until O(wait_timeout) is over. An exhausted quota, a missing permission and the like end
    the task at once.
  - With O(type=request) and O(type=maintain) there is one fleet for each generation, which AWS fills. It is made, its
    target, O(excess_capacity_termination_policy), launch template and pools are changed when they differ (only
    V(maintain)), and it is waited for. What AWS cannot change is an error.
  - A launch that fails ends what it started, so that nothing is left that costs money.
author:
  - experiments.spot authors (@experiments-spot)
options:
  state:
    description:
      - V(present) launches what is missing.
      - V(absent) deletes the fleets of the experiment, of any type, terminates its instances and waits until they have
        ended. Without the tag C(spot:generation) it does so for all generations.
    type: str
    choices: [present, absent]
    default: present
  type:
    description:
      - The type of the fleet. V(instant) launches once and answers at once what it could not launch. V(request) places
        requests once and lets AWS fill them. V(maintain) also replaces what AWS takes back or what is terminated.
    type: str
    choices: [instant, request, maintain]
    default: instant
  launch_template:
    description:
      - The launch template; required with O(state=present).
      - It must not have a subnet or market options.
      - The instances of a fleet of types V(request) and V(maintain) have no other tags than those that it gives.
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
      data:
        description:
          - What is to be in the template, V(LaunchTemplateData) of the EC2 API. Where capacity is missing, the template
            is made from it under O(launch_template.name), with O(tags).
          - A template of this name that is there already is used as it is, so give the name a hash of the data.
        type: dict
  overrides:
    description:
      - The pools; at least one is required with O(state=present), and ten or more give a better chance of capacity.
    type: list
    elements: dict
    suboptions:
      instance_type:
        description: The instance type, such as V(g5.xlarge); exactly one of this and
          O(overrides[].instance_requirements).
        type: str
      instance_requirements:
        description:
          - Attributes instead of a type, as in the EC2 API V(InstanceRequirements) but in lower case with underscores.
            C(vcpu_count) and C(memory_mib) are required, each with C(min) and, if wanted, C(max).
          - There are also accelerator_count, accelerator_total_memory_mib, baseline_ebs_bandwidth_mbps,
            memory_gib_per_vcpu, network_bandwidth_gbps, network_interface_count and total_local_storage_gb with
            C(min) and C(max); the lists accelerator_manufacturers, accelerator_names, accelerator_types,
            allowed_instance_types, cpu_manufacturers, excluded_instance_types, instance_generations and
            local_storage_types; bare_metal, burstable_performance and local_storage with V(included), V(required) or
            V(excluded); require_encryption_in_transit and require_hibernate_support; and the price limits
            max_spot_price_as_percentage_of_optimal_on_demand_price, on_demand_max_price_percentage_over_lowest_price
            and spot_max_price_percentage_over_lowest_price.
          - AWS leaves out types that are dear compared with common ones, which are nearly all with accelerators, unless
            C(spot_max_price_percentage_over_lowest_price) is V(999999).
        type: dict
      subnet_id:
        description: One subnet, or several with commas for types V(request) and V(maintain); without it AWS chooses
          one of the default VPC.
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
      cooling:
        description:
          - It has refused, or lost an instance, just now. With O(type=instant) it is asked only when the others have
            refused.
        type: bool
        default: false
  target_capacity:
    description:
      - How many instances (or units of capacity, with weights) the experiment should have.
      - V(0) lets a fleet of type V(maintain) rest.
    type: int
    default: 1
  target_capacity_unit_type:
    description: What a unit is, with O(overrides[].instance_requirements) and types V(request) and V(maintain).
    type: str
    choices: [units, vcpu, memory-mib]
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
      - One instance that is asked for by itself has it from its creation, as a plain number. Of several the tag is
        written with one call for some 50 of them, as a table by the ends of their ids; V(0=2f9c.b01e 7=90ac) means 0
        and 1 for the ids that end in 2f9c and b01e, 7 for the one that ends in 90ac. RV(fleet.instances[].rank) says
        it plainly.
    type: str
  claim_tag:
    description:
      - Key of a tag, without a value, that says of the instances of this generation that this run uses them.
      - Two runs at the same moment get the same instances, as their requests have the same client token. By this tag
        the one that fails sees that another one uses them.
    type: str
  other_regions:
    description:
      - Regions in which another run may launch the same experiment at the same moment. After a launch they are looked
        at, and of two runs one takes back what it has launched and fails.
    type: list
    elements: str
    default: []
  assume_absent:
    description:
      - The caller has just seen that nothing counts towards O(target_capacity), so capacity is asked for without
        looking first. What another run launches at the same time is found right after, as ever.
    type: bool
    default: false
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
    description: What AWS does with a Spot Instance that it takes back; all but V(terminate) only with V(maintain).
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
      - A fleet of type V(request) or V(maintain) that this task made and that is short when the time is over is
        deleted; one that was there before stays.
    type: bool
    default: true
  max_total_price:
    description: The highest price of the whole fleet in USD per hour; AWS stops launching before it is exceeded.
    type: float
  excess_capacity_termination_policy:
    description: Whether AWS ends instances when the target of a fleet of type V(maintain) becomes lower.
    type: str
    choices: [termination, no-termination]
  replace_unhealthy_instances:
    description: Whether a fleet of type V(maintain) replaces instances that fail their status checks.
    type: bool
  capacity_rebalance:
    description:
      - What a fleet of type V(maintain) does when AWS says that a Spot Instance is likely to be taken back soon. The
        fleet may grow to twice its target meanwhile.
    type: dict
    suboptions:
      replacement_strategy:
        description: V(launch) leaves it to you to terminate the old instance.
        type: str
        choices: [launch, launch-before-terminate]
        required: true
      termination_delay:
        description: Seconds until the old instance ends, 120 to 7200; for V(launch-before-terminate), which needs it.
        type: int
  valid_until:
    description:
      - When a fleet of type V(request) or V(maintain) stops to launch, such as V(2026-12-31T18:00:00Z). Without a
        zone it is UTC.
    type: str
  terminate_instances_with_expiration:
    description: Whether the instances end at O(valid_until).
    type: bool
  tags:
    description:
      - Tags of the fleet and, with O(type=instant), its instances, set at creation.
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
    description:
      - Whether to keep trying when no pool has capacity, to wait until the fleet has its capacity (types V(request) and
        V(maintain)), or until all instances have ended (O(state=absent)).
    type: bool
    default: true
  wait_timeout:
    description: For how many seconds O(wait) does so.
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
  terminate_instances:
    description:
      - Whether the instances end with their fleet, with O(state=absent). V(false) only with type V(request) or
        V(maintain); it leaves instances that cost money.
    type: bool
    default: true
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
    description: Predicts what would be launched, changed or ended, without changes.
    support: full
  diff_mode:
    description: Shows the instances, or the parameters of a fleet of type V(request) or V(maintain), before and after.
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
    launch_template: {id: lt-0a1b2c3d4e5f6a7b8, version: "3"}
    overrides:
      - {instance_type: c7i.4xlarge, subnet_id: subnet-0a1b2c3d}
      - {instance_type: c7i.4xlarge, subnet_id: subnet-4e5f6a7b}
    target_capacity: 4
    single_availability_zone: true
    tags:
      spot:experiment: sweep
      spot:generation: "2"

- name: Keep two instances for as long as it takes, replaced before AWS takes them back
  experiments.spot.ec2_fleet:
    type: maintain
    launch_template: {name: spot-mnist-1a2b3c4d, version: "1"}
    overrides:
      - {instance_type: g5.xlarge, subnet_id: "subnet-0a1b2c3d,subnet-4e5f6a7b"}
    target_capacity: 2
    capacity_rebalance:
      replacement_strategy: launch-before-terminate
      termination_delay: 300
    tags:
      spot:experiment: mnist
      spot:generation: "1"

- name: Replace what is gone or about to be taken back, each under the number it had
  experiments.spot.ec2_fleet:
    launch_template: {name: spot-mnist-1a2b3c4d, version: "1"}
    overrides:
      - {instance_type: g5.xlarge, subnet_id: subnet-0a1b2c3d}
    target_capacity: 4
    scope: experiment
    exclude_instance_ids: [i-0598c7d356eba48d7]
    index_tag: spot:rank
    on_demand_fallback: true
    tags:
      spot:experiment: mnist
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
    type:
      description: The type of the fleet.
      type: str
      sample: instant
    state:
      description: The state of a fleet of type V(request) or V(maintain), otherwise null.
      type: str
      sample: active
    activity_status:
      description: How far such a fleet is, V(error), V(pending_fulfillment), V(pending_termination) or V(fulfilled).
      type: str
      sample: fulfilled
    instances:
      description: The instances that count, oldest first.
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
      description:
        - Every refusal on the way, in the order they came, also when the launch succeeded.
        - For types V(request) and V(maintain) these are the events of the fleet's history that tell of one.
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
    another_region:
      description: Whether the launch failed for a reason that need not hold in another region.
      type: bool
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
from ..module_utils._fleet import api, instant, kept, removal
from ..module_utils._fleet.errors import AnsibleFleetError, action_of
from ..module_utils._fleet.launch import SystemClock
from ..module_utils._fleet.options import INSTANT, argument_spec
from ..module_utils._fleet.rules import problems


def do(module: Any) -> dict[str, Any]:
    """Validate, then bring the fleet to the wanted state."""
    mistakes = problems(module.params)
    if mistakes:
        module.fail_json(msg="Invalid options: " + "; ".join(mistakes))
    reader = api.connect(module, attempts=api.READ_ATTEMPTS)
    if module.params["state"] == "absent":
        return removal.ensure_absent(module, reader, SystemClock())
    present = instant.ensure_present if module.params["type"] == INSTANT else kept.ensure_present
    return present(module, reader, SystemClock())


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        return do(module)
    except AnsibleFleetError as error:
        module.fail_json(msg=explain(error, action_of(error)))
    raise AssertionError("fail_json does not come back")


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
