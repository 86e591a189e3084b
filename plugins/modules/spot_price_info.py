#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Spot prices of now and of the past."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: spot_price_info
version_added: 1.0.0
short_description: Gather Spot prices of now and of the past
description:
  - Tells what instance types cost as Spot Instances in each zone (Linux), now and over some hours or days, with the
    on-demand price and what is saved.
  - Makes one paginated C(DescribeSpotPriceHistory) for all types and zones, one C(DescribeAvailabilityZones), and one
    C(GetProducts) a type, all at the same time.
author:
  - experiments.spot authors (@experiments-spot)
options:
  instance_types:
    description:
      - The instance types.
    type: list
    elements: str
    required: true
  zones:
    description:
      - Names of Availability Zones. Without any, all zones of the region are listed.
    type: list
    elements: str
    default: []
  hours:
    description:
      - How many hours to look back, at most 2160.
      - Without this and O(days) only the prices of now are read.
    type: int
  days:
    description:
      - How many days to look back, at most 90.
    type: int
  on_demand:
    description:
      - Whether to ask for the on-demand prices too.
    type: bool
    default: true
  cache_seconds:
    description:
      - For how many seconds an answer of AWS is kept and used again, for the same credentials, region and endpoint.
      - V(0) keeps and uses nothing.
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
  - C(pricing:GetProducts) and C(ec2:DescribeAvailabilityZones) are not needed; without them RV(notes) says what is not
    known.
  - The price list answers in C(us-east-1) whatever the region is.
seealso:
  - module: experiments.spot.spot_placement_score_info
  - module: experiments.spot.launch_plan_info
"""

EXAMPLES = r"""
- name: Prices of now
  experiments.spot.spot_price_info:
    instance_types: [g5.xlarge, g6.xlarge, g4dn.xlarge]
  register: prices

- name: The cheapest pool
  ansible.builtin.debug:
    msg: "{{ now.prices[0].instance_type }} in {{ now.prices[0].zone }} for {{ now.prices[0].price }} USD/h"

- name: How prices moved in two zones during a week
  experiments.spot.spot_price_info:
    instance_types: [g5.xlarge]
    zones: [us-east-1a, us-east-1b]
    days: 7
"""

RETURN = r"""
region:
  description: The region that was asked.
  returned: success
  type: str
  sample: us-east-1
asked_at:
  description: When AWS gave the answer, the oldest one if several are used again (ISO 8601, UTC).
  returned: success
  type: str
  sample: "2026-01-31T12:34:56+00:00"
cached:
  description: Whether all answers are former ones that were used again, so that nothing was asked of AWS.
  returned: success
  type: bool
  sample: false
notes:
  description: What could not be read for want of an optional permission, and types without a Spot price in the zones.
  returned: success
  type: list
  elements: str
unknown:
  description: What could not be read, C(on_demand) or C(zones), and why.
  returned: success
  type: dict
  sample: {on_demand: no permission}
period:
  description: The time that was looked at, from C(start) to C(end) (ISO 8601, UTC).
  returned: success
  type: dict
  contains:
    start:
      description: Its start; the same as the end for the prices of now.
      type: str
      sample: "2026-01-24T12:34:56+00:00"
    end:
      description: Its end, which is now.
      type: str
      sample: "2026-01-31T12:34:56+00:00"
prices:
  description: One entry for each type and zone that sells it as Spot, the cheapest first.
  returned: success
  type: list
  elements: dict
  contains:
    instance_type:
      description: The instance type.
      type: str
      sample: g5.xlarge
    zone:
      description: Name of the Availability Zone, which differs between accounts.
      type: str
      sample: us-east-1a
    zone_id:
      description: Id of the zone, which is the same for all accounts, null when not known.
      type: str
      sample: use1-az4
    price:
      description: USD per hour now.
      type: float
      sample: 0.4326
    since:
      description: When this price began (ISO 8601, UTC).
      type: str
      sample: "2026-01-31T08:00:00+00:00"
    on_demand_price:
      description: USD per hour on demand, null when not known.
      type: float
      sample: 1.006
    saving:
      description: Part of the on-demand price that is saved now, from 0 to 1, null when not known.
      type: float
      sample: 0.57
    lowest:
      description: Lowest price in the period.
      type: float
      sample: 0.4121
    highest:
      description: Highest price in the period.
      type: float
      sample: 0.4502
    mean:
      description: Mean over the time of the period.
      type: float
      sample: 0.4298
    changes:
      description: The prices in the period, the newest first and that at its start last.
      type: list
      elements: dict
      contains:
        time:
          description: When the price began (ISO 8601, UTC).
          type: str
          sample: "2026-01-31T08:00:00+00:00"
        price:
          description: USD per hour.
          type: float
          sample: 0.4326
"""

from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._spot import prices, reads

ARGUMENT_SPEC: dict[str, Any] = {
    "instance_types": {"type": "list", "elements": "str", "required": True},
    "zones": {"type": "list", "elements": "str", "default": []},
    "hours": {"type": "int"},
    "days": {"type": "int"},
    "on_demand": {"type": "bool", "default": True},
    "cache_seconds": {"type": "int", "default": 300},
}


def gather(module: Any, now: datetime) -> dict[str, Any]:
    """Validate and read.

    Raises:
        ApiError, ReadError: AWS cannot be asked, or refused.
        WrongInput: the options are wrong, or name what does not exist.
    """
    mistakes = prices.problems(module.params)
    if mistakes:
        raise reads.WrongInput(mistakes)
    asked = reads.source(module, Clients(module))
    found = reads.price_table(asked, module.params, now)
    return {"region": asked.region, "asked_at": asked.asked_at(now), "cached": asked.cached, **found}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec=ARGUMENT_SPEC, mutually_exclusive=[("hours", "days")], supports_check_mode=True
    )
    module.exit_json(**reads.answer(module, gather))


if __name__ == "__main__":
    main()
