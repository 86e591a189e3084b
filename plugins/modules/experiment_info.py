#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the experiments of a region have and cost."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: experiment_info
version_added: 1.0.0
short_description: Gather what experiments have in AWS and what that costs
description:
  - Lists everything that carries the tag C(spot:experiment), grouped by experiment, with prices and costs.
  - State comes from AWS alone, so every machine with the credentials sees the same.
author:
  - experiments.spot authors (@experiments-spot)
options:
  experiment:
    description:
      - Name of the experiment. Without it all experiments of the region are listed.
    type: str
  include_terminated:
    description:
      - Whether to list terminated instances too. AWS forgets them after about an hour.
    type: bool
    default: false
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - experiments.spot.regions
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - Costs are estimates. That of an instance is its time since the launch at the price of now, that of a volume
    follows the list prices of us-east-1.
  - C(pricing:GetProducts) and C(ec2:DescribeSpotPriceHistory) are not needed; without them prices are null, and
    RV(notes) says so.
seealso:
  - module: experiments.spot.experiment
"""

EXAMPLES = r"""
- name: List all experiments
  experiments.spot.experiment_info:
  register: all_experiments

- name: List those of two regions
  experiments.spot.experiment_info:
    regions: [us-east-1, us-west-2]

- name: Look at one of them
  experiments.spot.experiment_info:
    experiment: digits
    include_terminated: true
"""

RETURN = r"""
region:
  description: The region that was asked, the first of them when there are several.
  returned: success
  type: str
  sample: us-east-1
regions:
  description: The regions that answered.
  returned: success
  type: list
  elements: str
  sample: [us-east-1]
left_out:
  description: Why regions could not be looked in.
  returned: success
  type: list
  elements: str
  sample: ["eu-south-1 cannot be used: it is not enabled for this account (AuthFailure)"]
notes:
  description: What could not be read for want of an optional permission.
  returned: success
  type: list
  elements: str
experiments:
  description: The experiments that have anything left, by name. One that has left something in another region is
    listed for each.
  returned: success
  type: list
  elements: dict
  contains:
    experiment:
      description: Its name.
      type: str
      sample: digits
    region:
      description: Its region.
      type: str
      sample: us-east-1
    profile:
      description: Name of the profile it was launched from.
      type: str
      sample: p2
    owner:
      description: Who launched it.
      type: str
      sample: alice
    generation:
      description: Generation of the running instances, else the last one known.
      type: int
      sample: 1
    expires:
      description: When it ends at the latest (ISO 8601, UTC), empty for never.
      type: str
      sample: ""
    job:
      description: Name of its job, empty without one.
      type: str
      sample: train
    instances:
      description: Its instances, those with a rank first and in this order.
      type: list
      elements: dict
      contains:
        instance_id:
          description: Id of the instance.
          type: str
          sample: i-0123456789abcdef0
        state:
          description: State of the instance.
          type: str
          sample: running
        type:
          description: Instance type.
          type: str
          sample: g5.xlarge
        instance_type:
          description: Instance type.
          type: str
          sample: g5.xlarge
        region:
          description: Its region.
          type: str
          sample: us-east-1
        zone:
          description: Availability Zone.
          type: str
          sample: us-east-1a
        address:
          description: Public address, else the private one.
          type: str
          sample: 198.51.100.7
        public_ip:
          description: Public address, null for none.
          type: str
          sample: 198.51.100.7
        private_ip:
          description: Private address, null for none.
          type: str
          sample: 172.31.0.7
        launch_time:
          description: When it was launched.
          type: str
          sample: "2026-01-31T12:34:56+00:00"
        price:
          description: USD per hour now, null when not known.
          type: float
          sample: 0.42
        on_demand_price:
          description: USD per hour on demand, null when not known.
          type: float
          sample: 1.006
        cost_so_far:
          description: USD since the launch at the price of now, null when not known.
          type: float
          sample: 0.84
        lifecycle:
          description: C(spot) or C(on-demand).
          type: str
          sample: spot
        generation:
          description: Its generation.
          type: int
          sample: 1
        rank:
          description: Its rank, which it keeps for life; null for one that does not work for the experiment (any more).
          type: int
          sample: 0
        leaving:
          description: Whether AWS has announced to take it.
          type: bool
        key_name:
          description: Name of its key pair.
          type: str
          sample: spot-digits
        fleet_id:
          description: The fleet that launched it, null for none.
          type: str
        subnet_id:
          description: Its subnet.
          type: str
        tags:
          description: Its tags.
          type: dict
    volumes:
      description: Data volumes, those that it made and those of the user that its instances hold.
      type: list
      elements: dict
      contains:
        volume_id:
          description: Id of the volume.
          type: str
          sample: vol-0123456789abcdef0
        name:
          description: Its name.
          type: str
          sample: data
        volume:
          description: Its name in the profile.
          type: str
          sample: data
        rank:
          description: Rank of the instance it belongs to.
          type: int
          sample: 0
        size:
          description: Size in GiB.
          type: int
          sample: 50
        type:
          description: Volume type.
          type: str
          sample: gp3
        zone:
          description: Availability Zone.
          type: str
          sample: us-east-1a
        state:
          description: State of the volume.
          type: str
          sample: in-use
        attached_to:
          description: The instance that holds it, null for none.
          type: str
        ours:
          description: Whether the experiment made it.
          type: bool
        cost_per_month:
          description: Estimated USD a month.
          type: float
          sample: 4.0
    file_systems:
      description: EFS file systems that it made, and those of the user that it was let in to.
      type: list
      elements: dict
      contains:
        file_system_id:
          description: Id of the file system.
          type: str
          sample: fs-0123456789abcdef0
        name:
          description: Its name, the creation token of one that an experiment made.
          type: str
          sample: team-data
        state:
          description: Its life cycle state.
          type: str
          sample: available
        size_bytes:
          description: What it holds, as AWS counts it.
          type: int
          sample: 6144
        throughput_mode:
          description: Its throughput mode.
          type: str
          sample: elastic
        mount_targets:
          description: Number of its mount targets.
          type: int
          sample: 1
        ours:
          description: Whether the experiment made it.
          type: bool
        cost_per_month:
          description: Estimated USD a month for what it holds, without what elastic throughput costs.
          type: float
          sample: 0.3
    security_groups:
      description: Its security groups without those of file systems, each with C(group_id), C(name), C(vpc_id).
      type: list
      elements: dict
    key_pairs:
      description: Its key pairs, each with C(name), C(id).
      type: list
      elements: dict
    launch_templates:
      description: Its launch templates, each with C(name), C(id).
      type: list
      elements: dict
    fleets:
      description: Its fleet records that are not deleted, each with C(fleet_id), C(state).
      type: list
      elements: dict
    others:
      description: Any other resource with its tag, each with C(type), C(id).
      type: list
      elements: dict
    cost_per_hour:
      description: USD per hour of the running instances, null when a price is not known.
      type: float
      sample: 0.42
    cost_so_far:
      description: USD of the listed instances since their launch, null when one is not known.
      type: float
      sample: 0.84
    storage_cost_per_month:
      description: Estimated USD a month of the volumes that it made.
      type: float
      sample: 4.0
"""

from datetime import datetime, timezone
from functools import partial
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment import reads, summary, survey
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients

ARGUMENT_SPEC: dict[str, Any] = {
    "experiment": {"type": "str"},
    "regions": {"type": "list", "elements": "str", "default": []},
    "include_terminated": {"type": "bool", "default": False},
}


def gather(clients: Clients, params: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Read all regions at the same time and summarise.

    Raises:
        ReadError: a call failed.
    """
    names = params["regions"] or [clients.region]
    asked = {name: partial(_of_region, clients.in_region(name), params, now) for name in names}
    answers, closed = survey.at_once(asked)
    notes = [note for one in answers.values() for note in one["notes"]]
    experiments = [one for answer in answers.values() for one in answer["experiments"]]
    return {
        "region": names[0],
        "regions": list(answers),
        "left_out": list(closed.values()),
        "notes": list(dict.fromkeys(notes)),
        "experiments": sorted(experiments, key=lambda one: one["experiment"]),
    }


def _of_region(clients: Clients, params: dict[str, Any], now: datetime) -> dict[str, Any]:
    found = reads.found(clients, params["experiment"] or None)
    prices, notes = reads.prices(clients, found.instances)
    experiments = summary.experiments(found, prices, now, params["include_terminated"])
    for one in experiments:
        one["region"] = clients.region
        one["instances"] = [{**instance, "region": clients.region} for instance in one["instances"]]
    return {"notes": notes, "experiments": experiments}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        gathered = gather(Clients(module), module.params, datetime.now(timezone.utc))
    except reads.ReadError as error:
        module.fail_json(msg=str(error))
    return {"changed": False, **gathered}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
