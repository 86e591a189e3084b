#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What happened in experiments."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: report_info
version_added: 1.0.0
short_description: Gather what happened in experiments
description:
  - Tells which instances experiments had, how each ended, what was refused, and the prices of the time in which they
    ran.
  - Reads the ledgers that came to the controller with the results, too, because AWS forgets an instance about an hour
    after its end.
author:
  - experiments.spot authors (@experiments-spot)
options:
  experiment:
    description:
      - Name of the experiment. Without it all experiments of the region are listed.
    type: str
  results:
    description:
      - Folders in which results of experiments lie, each in a folder of its own. Every file C(ledger.json) in them is
        read.
      - A folder that is not there counts as empty.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - experiments.spot.regions
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - C(pricing:GetProducts) and C(ec2:DescribeSpotPriceHistory) are not needed; without them prices are not known, and
    RV(notes) says so.
seealso:
  - module: experiments.spot.experiment_info
  - module: experiments.spot.job_info
"""

EXAMPLES = r"""
- name: Read what happened to an experiment
  experiments.spot.report_info:
    experiment: digits
    results: [results]
  register: past

- name: Write it as a page
  ansible.builtin.copy:
    content: "{{ past | experiments.spot.report({}) | experiments.spot.report_html }}"
    dest: report.html
    mode: "0644"
"""

RETURN = r"""
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
notes:
  description: What could not be read for want of an optional permission, and files that are no ledgers.
  returned: success
  type: list
  elements: str
experiments:
  description:
    - The experiments that have an instance, a volume or a fleet, by name. One of several regions is listed for each.
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
      sample: 2
    expires:
      description: When it ends at the latest (ISO 8601, UTC), empty for never.
      type: str
      sample: ""
    job:
      description: Name of its job, empty without one.
      type: str
      sample: train
    instances:
      description: All instances that AWS still shows, the oldest first.
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
          sample: terminated
        type:
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
        image_id:
          description: Image that it was launched from.
          type: str
          sample: ami-0123456789abcdef0
        lifecycle:
          description: C(spot) or C(on-demand).
          type: str
          sample: spot
        generation:
          description: Its generation.
          type: int
          sample: 1
        rank:
          description: Its rank, null for none.
          type: int
          sample: 0
        launch_time:
          description: When it was launched (ISO 8601, UTC).
          type: str
          sample: "2026-01-31T12:34:56+00:00"
        end_time:
          description: When it ended (ISO 8601, UTC), null when it runs or AWS does not say.
          type: str
          sample: "2026-01-31T13:04:56+00:00"
        end:
          description:
            - C(alive), C(doomed) (AWS has announced to take it), C(interrupted) (AWS took it), C(shutdown) (from
              inside), C(user), C(failed) or C(unknown).
          type: str
          sample: interrupted
        end_code:
          description: The code that decided, empty for none.
          type: str
          sample: instance-terminated-no-capacity
        end_reason:
          description: What happened, one line.
          type: str
        on_demand_price:
          description: USD per hour on demand, null when not known.
          type: float
          sample: 1.006
        changes:
          description:
            - The Spot prices of its time, the oldest first, that at its start among them; each C(time), C(price).
          type: list
          elements: dict
        address:
          description: Public address, else the private one.
          type: str
          sample: 198.51.100.7
        public_ip:
          description: Public address, null for none.
          type: str
        private_ip:
          description: Private address, null for none.
          type: str
        subnet_id:
          description: Its subnet.
          type: str
        tags:
          description: Its tags.
          type: dict
    refusals:
      description: What its fleets could not launch, each C(time), C(type), C(zone), C(code), C(text).
      type: list
      elements: dict
ledgers:
  description: The ledgers that were found in O(results), each C(path), C(experiment), C(job), C(runs), C(notices).
  returned: success
  type: list
  elements: dict
"""

from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.reads import ReadError
from ansible_collections.experiments.spot.plugins.module_utils._report import reads

ARGUMENT_SPEC: dict[str, Any] = {
    "experiment": {"type": "str"},
    "regions": {"type": "list", "elements": "str", "default": []},
    "results": {"type": "list", "elements": "path", "default": []},
}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        gathered = reads.gather(Clients(module), module.params, datetime.now(timezone.utc))
    except ReadError as error:
        module.fail_json(msg=str(error))
    return {"changed": False, **gathered}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
