#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plan the launch of an experiment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: launch_plan_info
version_added: 1.0.0
short_description: Plan the launch of an experiment and report everything that would make it fail
description:
  - Reads from AWS, in parallel, all that the launch of an experiment depends on, and changes nothing.
  - Decides what would be launched and where, what it costs per hour, what exists already and what is missing.
  - Everything that would make the launch fail is reported in one error before anything is created, each problem with
    the key of the profile, what is wrong and what to do.
  - Runs on the controller, since it looks at the private key file there.
  - Where the profile names several regions (C(capacity.regions)) all are read, and the plan is for the one in which the
    experiment is already, else for the one with the cheapest pool.
author:
  - experiments.spot authors (@experiments-spot)
options:
  profile:
    description:
      - The normalised profile, as M(experiments.spot.profile) returns it.
      - In this module the named profile of the AWS credentials is O(aws_profile).
    type: dict
    required: true
    aliases: []
  aws_profile:
    description:
      - A named AWS profile to use for the credentials, the option C(profile) of the modules of amazon.aws.
      - The E(AWS_PROFILE) environment variable may also be used.
    type: str
  experiment:
    description:
      - Name of the experiment. The default is the profile's own.
    type: str
  caller_cidr:
    description:
      - The addresses that are to reach the instances by ssh, for instance V(198.51.100.7/32).
      - Without it the profile's C(access.ssh_cidr) counts, and where that is V(auto) the rule is not checked.
    type: str
  leaving_instance_ids:
    description:
      - Instances that are to be left although AWS has not marked them, such as after a rebalance recommendation.
    type: list
    elements: str
    default: []
  try_region:
    description:
      - Region to plan for although another one is cheaper, because that one has refused. It is not regarded when the
        experiment is in another region by now.
    type: str
    default: ""
  tags:
    description:
      - Tags that the caller knows already. They win over the profile's extra tags; those that the plan decides
        (C(Name), C(spot:experiment), C(spot:profile), C(spot:owner), C(spot:generation), C(spot:job), C(spot:user))
        win over these.
    type: dict
    default: {}
  cache:
    description:
      - Whether answers that hardly ever change may come from earlier runs with the same access key in the same region,
        at most a day old - where instance types are offered and what they are, On-Demand prices, the identity of the
        caller - or an hour - quotas, images by id or by a public parameter of AWS.
      - They lie in C(~/.cache/experiments.spot) and hold no secret. When something seems wrong, everything is asked
        again before it is told.
    type: bool
    default: true
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - C(pricing:GetProducts), C(servicequotas:GetServiceQuota), C(iam:GetInstanceProfile) and
    C(ec2:DescribeSpotPriceHistory) are not needed; without one of them less is known, and RV(notes) says so.
seealso:
  - module: experiments.spot.ec2_fleet
  - module: experiments.spot.experiment_info
"""

EXAMPLES = r"""
- name: Read the profile
  experiments.spot.profile:
    name: p2
  register: spot

- name: Plan the launch
  experiments.spot.launch_plan_info:
    profile: "{{ spot.profile }}"
    caller_cidr: 198.51.100.7/32
  register: plan

- name: Show the cheapest pool
  ansible.builtin.debug:
    msg: "{{ plan.pools[0].instance_type }} in {{ plan.pools[0].zone }} at {{ plan.pools[0].price }} USD/h"
"""

RETURN = r"""
problems:
  description: Each problem as C(profile key, what is wrong, what to do). The message holds them all.
  returned: on failure because of problems
  type: list
  elements: str
  sample: ["access.key_name: there is no key pair mine in us-east-1; key pairs belong to one region: import it there"]
owner:
  description: The profile's owner, else the user part of the caller's ARN.
  returned: success
  type: str
  sample: alice
account:
  description: Id of the AWS account.
  returned: success
  type: str
  sample: "123456789012"
generation:
  description: Generation of the running instances, or the next one when none runs.
  returned: success
  type: int
  sample: 1
image:
  description:
    - The image with C(id), C(name), C(architecture), C(root_device_name), C(root_snapshot_size) (GiB), C(state).
  returned: success
  type: dict
region:
  description: The region that the plan is for, that of the experiment or else the one with the cheapest pool.
  returned: success
  type: str
  sample: us-east-1
regions:
  description: The regions that can be asked, the best one first.
  returned: success
  type: list
  elements: str
  sample: [us-east-1, us-west-2]
turns:
  description:
    - In which order the regions are asked until one gives what is missing, each with C(region), C(wait) (seconds) and
      C(on_demand) (as in the profile). Empty where there is no choice.
  returned: success
  type: list
  elements: dict
  sample: [{"region": us-east-1, "wait": 0, "on_demand": never}, {"region": us-west-2, "wait": 0, "on_demand": never}]
all_pools:
  description: The pools of all these regions, with the keys of RV(pools) and C(region).
  returned: success
  type: list
  elements: dict
left_out:
  description: Why regions of the profile cannot be used.
  returned: success
  type: list
  elements: str
  sample: ["eu-south-1 cannot be used: it is not enabled for this account (AuthFailure)"]
abandoned_regions:
  description: Other regions in which something of the experiment is left, but no working instance.
  returned: success
  type: list
  elements: str
zone:
  description: The zone that the volumes fix, null when they fix none.
  returned: success
  type: str
  sample: us-east-1a
single_zone:
  description: Whether all instances must be asked for in one zone, so that their new volumes lie together.
  returned: success
  type: bool
vpc_id:
  description: The VPC of the subnets.
  returned: success
  type: str
  sample: vpc-0123456789abcdef0
pools:
  description: Pools that can be asked for, cheapest first.
  returned: success
  type: list
  elements: dict
  contains:
    instance_type:
      description: Instance type.
      type: str
      sample: g5.xlarge
    zone:
      description: Availability Zone.
      type: str
      sample: us-east-1a
    subnet_id:
      description: Subnet of the zone.
      type: str
      sample: subnet-0123456789abcdef0
    price:
      description: USD per hour now in the profile's market, null when not known.
      type: float
      sample: 0.42
    on_demand_price:
      description: USD per hour on demand, null when not known.
      type: float
      sample: 1.006
    saving:
      description: Part of the on-demand price that is saved, 0 to 1.
      type: float
      sample: 0.58
    vcpus:
      description: Number of virtual CPUs.
      type: int
      sample: 4
    memory_mib:
      description: Memory in MiB.
      type: int
      sample: 16384
    gpus:
      description: Number of GPUs.
      type: int
      sample: 1
    cooling:
      description: Whether it refused, or lost an instance, so recently that it is asked last.
      type: bool
    last_refusal:
      description: What it refused with and when, null when AWS remembers no refusal.
      type: str
      sample: InsufficientInstanceCapacity, 2 min ago
instances:
  description:
    - Pending and running instances by rank, without those that AWS is taking, each with C(instance_id), C(state),
      C(type), C(zone), C(public_ip), C(private_ip), C(launch_time), C(generation), C(lifecycle), C(subnet_id), C(rank).
  returned: success
  type: list
  elements: dict
vacant:
  description:
    - Whether the experiment has no instance, stopped ones included, but those of RV(leaving) and those that have ended.
  returned: success
  type: bool
leaving:
  description: Instances that still run and that AWS has announced to take, with the keys of RV(instances).
  returned: success
  type: list
  elements: dict
former_instance_ids:
  description: Instances that AWS takes or that have ended. They give their volumes back.
  returned: success
  type: list
  elements: str
recovery:
  description: Whether instances that are missing may be asked for again without the user.
  returned: success
  type: dict
  contains:
    do:
      description: V(resume) to ask for them, V(nothing) when none is missing, V(stop) when the user has to decide.
      type: str
    text:
      description: Why.
      type: str
      sample: "rank 0: i-0598c7d356eba48d7: EC2 took the Spot Instance back"
    ranks:
      description: The ranks without an instance.
      type: list
      elements: int
    generation:
      description: The generation of the next launch, or of what runs.
      type: int
key_name:
  description: Name of the key pair of the instances.
  returned: success
  type: str
  sample: spot-digits
fleet_lasts:
  description:
    - Seconds after which a fleet that keeps an instance (recovery mode C(self)) launches no other one, null for no end.
  returned: success
  type: int
  sample: 86400
keeping_fleet_ids:
  description: Ids of the experiment's fleets that replace what is lost (recovery mode C(self)).
  returned: success
  type: list
  elements: str
security_group_ids:
  description: Ids of the security groups; empty while the experiment's own one is still to be made.
  returned: success
  type: list
  elements: str
volumes:
  description:
    - The wanted volumes, one entry for each volume of the profile and each rank, with the keys of the profile and
      C(volume) (name in the profile), C(name) (with the rank), C(rank), C(volume_id), C(zone), C(state),
      C(instance_ids).
  returned: success
  type: list
  elements: dict
file_systems:
  description:
    - The file systems of the profile with its keys and those of
      RV(experiments.spot.efs_file_system#module:file_system). One that is still to be made has no C(file_system_id).
  returned: success
  type: list
  elements: dict
elsewhere:
  description: What a launch can do when the zone of its volumes has no capacity.
  returned: success
  type: dict
  contains:
    move:
      description: Whether it may take the volumes to another zone.
      type: bool
    why_not:
      description: Why it may not, empty when it may.
      type: str
    pools:
      description: The pools of all zones, with the keys of RV(pools); empty without volumes.
      type: list
      elements: dict
    zones:
      description: The zones of these pools but that of the volumes, cheapest first.
      type: list
      elements: str
    zone:
      description: Where the instances are already and the volumes are not, else null.
      type: str
    volume_ids:
      description: The volumes that exist.
      type: list
      elements: str
launch_template:
  description: The launch template.
  returned: success
  type: dict
  contains:
    name:
      description: Its name, which holds a hash of the data.
      type: str
      sample: spot-digits-1a2b3c4d
    data:
      description:
        - C(LaunchTemplateData) of the EC2 API. C(SecurityGroupIds) is empty while the group is still to be made.
      type: dict
    exists:
      description: Whether it exists and fits.
      type: bool
    id:
      description: Its id, null when it does not exist.
      type: str
    version:
      description: Its default version, null when it does not exist.
      type: str
tags:
  description: Tags for all that is made.
  returned: success
  type: dict
todo:
  description: What is missing, by C(key_pair), C(security_group), C(launch_template), C(fleet).
  returned: success
  type: dict
  sample: {"key_pair": true, "security_group": true, "launch_template": true, "fleet": true}
cost:
  description: USD per hour of the whole experiment, C(per_hour) and C(on_demand_per_hour), null when not known.
  returned: success
  type: dict
  sample: {"per_hour": 0.42, "on_demand_per_hour": 1.006}
notes:
  description:
    - What could not be read for want of an optional permission.
    - Instances of the experiment that the launch does not use.
  returned: success
  type: list
  elements: str
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import env_fallback
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment import reads, survey
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients

if TYPE_CHECKING:
    Params = dict[str, Any]

ARGUMENT_SPEC: Params = {
    # Takes the place of amazon.aws' option of this name, which is `aws_profile` here.
    "profile": {"type": "dict", "required": True},
    "aws_profile": {"type": "str", "fallback": (env_fallback, ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])},
    "experiment": {"type": "str"},
    "caller_cidr": {"type": "str"},
    "leaving_instance_ids": {"type": "list", "elements": "str", "default": []},
    "try_region": {"type": "str", "default": ""},
    "tags": {"type": "dict", "default": {}},
    "cache": {"type": "bool", "default": True},
}


def run(module: Any) -> Params:
    """What the module answers; fails through it."""
    profile = module.params["profile"]
    module.params["profile"] = module.params["aws_profile"]
    try:
        planned = survey.make(Clients(module, profile.get("region")), profile, module.params)
    except reads.ReadError as error:
        module.fail_json(msg=str(error))
    except survey.ProblemsFound as error:
        module.fail_json(msg=str(error), problems=error.problems)
    return {"changed": False, **planned}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
