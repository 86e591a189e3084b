#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Spot Fleet requests with their instances and history."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: spot_fleet_info
version_added: 1.0.0
short_description: Gather Spot Fleet requests with their instances and history
description:
  - Lists Spot Fleet requests, those of one experiment, those named by id, or all of the region.
  - Makes one C(DescribeSpotFleetRequests), one C(DescribeSpotFleetInstances) a request, one C(DescribeInstances) for
    all, and one C(DescribeSpotFleetRequestHistory) a request if asked for.
author:
  - experiments.spot authors (@experiments-spot)
options:
  experiment:
    description:
      - Name of an experiment, whose requests of all generations are listed.
    type: str
  spot_fleet_request_ids:
    description:
      - Ids of requests. Those that AWS does not know are left out.
    type: list
    elements: str
  include_over:
    description:
      - Whether to list requests that have ended too, which AWS shows for 48 hours.
      - Requests named by id are listed in any state.
    type: bool
    default: false
  history:
    description:
      - Whether to read the events of the requests. AWS keeps them for 48 hours.
    type: bool
    default: false
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: experiments.spot.spot_fleet
"""

EXAMPLES = r"""
- name: What a Spot Fleet has, and what happened to it
  experiments.spot.spot_fleet_info:
    experiment: mnist
    history: true
  register: fleets

- name: The last thing that went wrong
  ansible.builtin.debug:
    msg: "{{ fleets.spot_fleets[0].history | selectattr('type', 'eq', 'error') | last | default('nothing') }}"
"""

RETURN = r"""
region:
  description: The region that was asked.
  returned: success
  type: str
  sample: us-east-1
spot_fleets:
  description: The requests, the oldest first.
  returned: success
  type: list
  elements: dict
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
      description:
        - Its live instances by id, each with C(instance_id), C(instance_type), C(zone), C(subnet_id), C(lifecycle),
          C(state), C(health), C(spot_instance_request_id), C(public_ip), C(private_ip).
      type: list
      elements: dict
    history:
      description:
        - Its events, the oldest first, each with C(time) (ISO 8601, UTC), C(type), C(code), C(text), C(instance_id).
          Null when they were not asked for.
      type: list
      elements: dict
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.reads import ReadError, failures
from ansible_collections.experiments.spot.plugins.module_utils._spot import fleet_request, spot_fleet

ARGUMENT_SPEC: dict[str, Any] = {
    "experiment": {"type": "str"},
    "spot_fleet_request_ids": {"type": "list", "elements": "str"},
    "include_over": {"type": "bool", "default": False},
    "history": {"type": "bool", "default": False},
}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("experiment", "spot_fleet_request_ids")],
        supports_check_mode=True,
    )
    mistakes = fleet_request.id_problems(module.params["spot_fleet_request_ids"] or [])
    if mistakes:
        module.fail_json(msg="Invalid options: " + "; ".join(mistakes))
    try:
        clients = Clients(module)
        found = spot_fleet.describe(clients("ec2"), module.params)
    except ReadError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        module.fail_json(msg="\n".join(failures([error])))
    module.exit_json(changed=False, region=clients.region, spot_fleets=found)


if __name__ == "__main__":
    main()
