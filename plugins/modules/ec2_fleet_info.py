#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what EC2 Fleets there are, and what they have."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_fleet_info
version_added: 1.0.0
short_description: Gather EC2 Fleets with their instances, errors and history
description:
  - Finds fleets of all types by id, by tag, or by both, also those of type V(instant), which AWS lists only by id.
  - Without O(fleet_ids) and O(tags) it finds all fleets that carry the tag C(spot:experiment).
author:
  - experiments.spot authors (@experiments-spot)
options:
  fleet_ids:
    description: Only these fleets, in any state; ids that do not exist are left out.
    type: list
    elements: str
    default: []
  tags:
    description: Only fleets that have all of these tags.
    type: dict
    default: {}
  include_deleted:
    description: Whether to list fleets that have ended without O(fleet_ids), which AWS remembers for two days.
    type: bool
    default: false
  include_terminated:
    description: Whether to list instances that have ended, which AWS remembers for about an hour.
    type: bool
    default: false
  history:
    description:
      - Whether to read the history of fleets of types V(request) and V(maintain), with one more call for each of them.
      - The errors of these fleets are known only with it.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode and return what it would outside of it.
    support: full
  diff_mode:
    description: Changes nothing, so it has no difference to show.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: experiments.spot.ec2_fleet
"""

EXAMPLES = r"""
- name: Look at the fleets of an experiment
  experiments.spot.ec2_fleet_info:
    tags:
      spot:experiment: mnist
  register: found

- name: Ask a fleet why it is not filled
  experiments.spot.ec2_fleet_info:
    fleet_ids: [fleet-12a34b55-67cd-8ef9-ba9b-9208dEXAMPLE]
    history: true
"""

RETURN = r"""
fleets:
  description: The fleets, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    fleet_id:
      description: The id.
      type: str
      sample: fleet-12a34b55-67cd-8ef9-ba9b-9208dEXAMPLE
    type:
      description: V(instant), V(request) or V(maintain).
      type: str
      sample: maintain
    state:
      description: The state, such as V(active), V(modifying), V(deleted_terminating), V(failed).
      type: str
      sample: active
    activity_status:
      description:
        - V(error), V(pending_fulfillment), V(pending_termination) or V(fulfilled).
        - An instant fleet is V(fulfilled) also when it has less than its target.
      type: str
      sample: fulfilled
    created:
      description: When it was made (ISO 8601, UTC).
      type: str
      sample: "2026-01-31T12:34:56+00:00"
    valid_until:
      description: When it stops to launch, empty for never.
      type: str
      sample: ""
    target_capacity:
      description: Units of capacity it shall have.
      type: int
      sample: 2
    on_demand_target_capacity:
      description: How many of these are On-Demand.
      type: int
      sample: 0
    target_capacity_unit_type:
      description: What a unit is, V(units), V(vcpu) or V(memory-mib).
      type: str
      sample: units
    fulfilled_capacity:
      description: Units of capacity it has; for an instant fleet those it launched.
      type: float
      sample: 2.0
    fulfilled_on_demand_capacity:
      description: How many of these are On-Demand.
      type: float
      sample: 0.0
    allocation_strategy:
      description: How AWS chooses among Spot pools, as AWS writes it.
      type: str
      sample: price-capacity-optimized
    excess_capacity_termination_policy:
      description: What happens to instances above the target, V(termination) or V(no-termination).
      type: str
      sample: termination
    pools:
      description: The pools in words.
      type: list
      elements: str
      sample: [g5.xlarge in subnet-0a1b2c3d]
    tags:
      description: Its tags.
      type: dict
      sample: {"spot:experiment": mnist, "spot:generation": "1"}
    instances:
      description: Its instances, oldest first.
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
          description: The state.
          type: str
          sample: running
        rank:
          description: The number in its tag C(spot:rank), null without one.
          type: int
          sample: 0
        reason:
          description: Why its state last changed, as AWS says it; often empty.
          type: str
          sample: ""
    errors:
      description:
        - What went wrong when it launched; for types V(request) and V(maintain) only with O(history=true).
        - The keys are those of RV(experiments.spot.ec2_fleet#module:fleet.errors).
      type: list
      elements: dict
      sample: []
    history:
      description: The events of its history with O(history=true), oldest first.
      type: list
      elements: dict
      contains:
        time:
          description: When (ISO 8601, UTC).
          type: str
          sample: "2026-01-31T12:34:56+00:00"
        type:
          description: V(instanceChange), V(fleetRequestChange), V(error) or V(information).
          type: str
          sample: error
        event:
          description: What happened, as the EC2 API names it.
          type: str
          sample: spotInstanceCountLimitExceeded
        description:
          description: AWS's words.
          type: str
          sample: ""
        instance_id:
          description: The instance, if it is about one.
          type: str
          sample: ""
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ..module_utils._aws_errors import explain
from ..module_utils._fleet import api, info
from ..module_utils._fleet.errors import AnsibleFleetError, action_of

SPEC: dict[str, Any] = {
    "fleet_ids": {"type": "list", "elements": "str", "default": []},
    "tags": {"type": "dict", "default": {}},
    "include_deleted": {"type": "bool", "default": False},
    "include_terminated": {"type": "bool", "default": False},
    "history": {"type": "bool", "default": False},
}


def do(module: Any) -> dict[str, Any]:
    """Find the fleets and what they have."""
    params = module.params
    client = api.connect(module, attempts=api.READ_ATTEMPTS)
    tags = {str(key): str(value) for key, value in params["tags"].items()}
    fleets = info.find(client, params["fleet_ids"], tags, include_deleted=params["include_deleted"])
    instances = info.members(client, fleets, include_terminated=params["include_terminated"])
    return {
        "fleets": [
            info.fleet_result(
                fleet, instances[fleet["FleetId"]], info.events(client, fleet) if params["history"] else []
            )
            for fleet in fleets
        ]
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = do(module)
    except AnsibleFleetError as error:
        module.fail_json(msg=explain(error, action_of(error)))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
