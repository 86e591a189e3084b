#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How likely regions or zones can give Spot capacity."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: spot_placement_score_info
version_added: 1.0.0
short_description: Gather how likely regions or zones can give Spot capacity
description:
  - Tells the Spot placement scores of up to 10 regions, or of their zones, for a number of instances of given types.
  - A score from 1 to 10 holds at the moment and promises nothing. Use it as advice, not as a condition.
author:
  - experiments.spot authors (@experiments-spot)
options:
  instance_types:
    description:
      - The instance types, at most 1000. AWS gives a low score to fewer than three by design.
    type: list
    elements: str
    required: true
  target_capacity:
    description:
      - How much capacity is wanted, in units of O(target_capacity_unit).
    type: int
    default: 1
  target_capacity_unit:
    description:
      - The unit of O(target_capacity). V(units) are instances.
    type: str
    choices: [units, vcpu, memory-mib]
    default: units
  regions:
    description:
      - The regions to compare, at most 10. Without any, only the region that is asked.
    type: list
    elements: str
    default: []
  single_zone:
    description:
      - Whether all capacity is wanted in one zone. Then zones get scores, else regions.
    type: bool
    default: false
  cache_seconds:
    description:
      - For how many seconds an answer of AWS is kept and used again, for the same credentials, region and endpoint.
      - V(0) keeps and uses nothing. AWS limits how many new combinations of types, capacity and regions an account may
        ask for in 24 hours.
      - Answers are kept in C(~/.cache/experiments.spot/answers), or below E(XDG_CACHE_HOME), in files that only the
        user can read. Errors are never kept.
    type: int
    default: 300
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - When AWS gives no score because of one of its limits on asking, the task does not fail. RV(scores) is empty then,
    RV(limit) holds the code, and RV(notes) what it means.
  - C(ec2:DescribeAvailabilityZones) is not needed; without it zones have no names.
seealso:
  - module: experiments.spot.spot_price_info
"""

EXAMPLES = r"""
- name: Which of three regions can most likely give eight GPUs
  experiments.spot.spot_placement_score_info:
    instance_types: [g5.xlarge, g6.xlarge, g4dn.xlarge]
    target_capacity: 8
    regions: [us-east-1, us-east-2, us-west-2]
  register: advice

- name: The best one, or the usual one when AWS does not say
  ansible.builtin.debug:
    msg: "{{ (advice.scores | first | default({'region': 'us-east-1'})).region }}"

- name: Scores of zones for instances that must be side by side
  experiments.spot.spot_placement_score_info:
    instance_types: [c7i.4xlarge, c6i.4xlarge, m7i.4xlarge]
    target_capacity: 4
    single_zone: true
"""

RETURN = r"""
region:
  description: The region that was asked.
  returned: success
  type: str
  sample: us-east-1
asked_at:
  description: When AWS gave the answer (ISO 8601, UTC).
  returned: success
  type: str
  sample: "2026-01-31T12:34:56+00:00"
cached:
  description: Whether all answers are former ones that were used again, so that nothing was asked of AWS.
  returned: success
  type: bool
  sample: false
notes:
  description: What to know about the scores, and why there are none.
  returned: success
  type: list
  elements: str
limit:
  description: The code of AWS when it gave no score because of a limit on asking, else null.
  returned: success
  type: str
  sample: MaxConfigLimitExceededException
scores:
  description: The best ten regions, or zones with O(single_zone), the best first.
  returned: success
  type: list
  elements: dict
  contains:
    region:
      description: The region.
      type: str
      sample: us-east-1
    zone_id:
      description: Id of the zone, null for a score of a region.
      type: str
      sample: use1-az4
    zone:
      description: Name of the zone for this account, null for a score of a region and for zones of other regions.
      type: str
      sample: us-east-1a
    score:
      description: From 1 (not likely) to 10 (highly likely).
      type: int
      sample: 7
"""

from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._spot import reads, scores

ARGUMENT_SPEC: dict[str, Any] = {
    "instance_types": {"type": "list", "elements": "str", "required": True},
    "target_capacity": {"type": "int", "default": 1},
    "target_capacity_unit": {"type": "str", "choices": ["units", "vcpu", "memory-mib"], "default": "units"},
    "regions": {"type": "list", "elements": "str", "default": []},
    "single_zone": {"type": "bool", "default": False},
    "cache_seconds": {"type": "int", "default": 300},
}


def gather(module: Any, now: datetime) -> dict[str, Any]:
    """Validate and read.

    Raises:
        ApiError, ReadError: AWS cannot be asked, or refused.
        WrongInput: the options are wrong.
    """
    mistakes = scores.problems(module.params)
    if mistakes:
        raise reads.WrongInput(mistakes)
    asked = reads.source(module, Clients(module))
    found = reads.placement_scores(asked, module.params)
    return {"region": asked.region, "asked_at": asked.asked_at(now), "cached": asked.cached, **found}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**reads.answer(module, gather))


if __name__ == "__main__":
    main()
