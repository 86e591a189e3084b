#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tags say is ours and nobody uses, with what it costs."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: orphans_info
version_added: 1.0.0
short_description: Gather what experiments left behind and what that costs
description:
  - Lists what carries a tag of this collection and nobody uses, from one parallel read of each region.
  - Of an experiment that is alive nothing is listed. It is alive while an instance of it was launched in the last
    O(grace) seconds, has no job that could end, or is about to be replaced, while its fleet without an instance asks
    for capacity, and while something of it was made in the last O(grace) seconds.
  - An instance whose time is over (tag C(spot:expires), or C(spot:time-limit) seconds after its launch) is of no use.
    For the others their job decides, which AWS does not know. RV(ask) names them; give what
    M(experiments.spot.job_info) says there to P(experiments.spot.orphan_rows#filter) with RV(rows).
author:
  - experiments.spot authors (@experiments-spot)
options:
  experiment:
    description: Only what belongs to this experiment.
    type: str
  owner:
    description: Only what has this tag C(spot:owner).
    type: str
  grace:
    description: Seconds for which something new counts as used.
    type: int
    default: 3600
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - experiments.spot.regions
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - Costs are estimates, see M(experiments.spot.experiment_info). A month has 730 hours.
  - Snapshots, EFS file systems and prices are not needed; without the permission for them RV(notes) says so.
seealso:
  - module: experiments.spot.orphans
"""

EXAMPLES = r"""
- name: See what is left in two regions
  experiments.spot.orphans_info:
    regions: [us-east-1, eu-west-1]
  register: left
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
  description: What could not be read for want of an optional permission.
  returned: success
  type: list
  elements: str
rows:
  description: What is of no use, provided that the jobs of its instances do not live.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - C(instances), C(fleets), C(spot_requests), C(key_pairs), C(launch_templates), C(security_groups), C(volumes),
          C(snapshots) or C(file_systems).
      type: str
      sample: volumes
    id:
      description: Its id.
      type: str
      sample: vol-0123456789abcdef0
    name:
      description: Its name.
      type: str
      sample: data
    experiment:
      description: Its experiment, empty for none.
      type: str
      sample: digits
    owner:
      description: Who made it.
      type: str
      sample: alice
    region:
      description: Its region.
      type: str
      sample: us-east-1
    state:
      description: Its state, empty where the kind has none.
      type: str
      sample: available
    age:
      description: Seconds since it was made, null where AWS does not tell.
      type: float
      sample: 86400
    cost_per_hour:
      description: USD an hour, null when not known.
      type: float
      sample: 0.011
    cost_per_month:
      description: USD a month, null when not known.
      type: float
      sample: 8.0
    why:
      description: Why it is of no use.
      type: str
      sample: its experiment has no instance
    if_idle:
      description: Instances whose jobs must not live for that.
      type: list
      elements: str
    holds_data:
      description: Whether it is removed only when its kind is named.
      type: bool
    sure:
      description: Whether it may be removed at all.
      type: bool
    remove:
      description: What to type to remove it.
      type: str
      sample: ansible-playbook close.yml -e experiment=digits -e region=us-east-1
in_use:
  description: Experiments that are alive whatever their jobs say, each with C(experiment), C(region), C(why),
    C(cost_per_hour).
  returned: success
  type: list
  elements: dict
ask:
  description: Instances whose job decides, as in RV(experiments.spot.experiment_info#module:experiments[].instances).
  returned: success
  type: list
  elements: dict
"""

from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.reads import ReadError
from ansible_collections.experiments.spot.plugins.module_utils._orphans import reads

ARGUMENT_SPEC: dict[str, Any] = {
    "regions": {"type": "list", "elements": "str", "default": []},
    "experiment": {"type": "str"},
    "owner": {"type": "str"},
    "grace": {"type": "int", "default": 3600},
}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        found = reads.everywhere(Clients(module), module.params, datetime.now(timezone.utc))
    except ReadError as error:
        module.fail_json(msg=str(error))
    return {"changed": False, **found}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
