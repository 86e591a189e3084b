#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cheapest Spot pools of several regions."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: spot_pool_info
version_added: 1.0.0
short_description: Gather the cheapest Spot pools of several regions
description:
  - Lists pools, which are instance types in zones, of all given regions side by side, the cheapest first, with the
    Spot price of now, its lowest and highest in some days, the on-demand price, what is saved, and the placement score
    (Linux).
  - The types are named, or all that have at least the given GPUs, vCPUs and memory.
  - The regions are asked at the same time. The history, the on-demand prices and the scores are read only for the
    pools that are listed.
author:
  - experiments.spot authors (@experiments-spot)
options:
  instance_types:
    description:
      - The instance types. Without any, all types of O(architecture) that AWS sells as Spot and that are no bare metal.
    type: list
    elements: str
    default: []
  gpus:
    description: How many NVIDIA GPUs a type must have at least.
    type: int
    default: 0
  gpu_memory:
    description: How many GB (10^9 bytes, as makers count) of memory each of its GPUs must have at least.
    type: float
    default: 0
  vcpus:
    description: How many vCPUs a type must have at least.
    type: int
    default: 0
  memory:
    description: How many GiB of memory a type must have at least.
    type: float
    default: 0
  architecture:
    description: Processor of types that are not named.
    type: str
    choices: [x86_64, arm64]
    default: x86_64
  regions:
    description:
      - The regions, at most 10. Those that are not enabled for the account are passed over, and RV(left_out) says so.
      - Empty for O(region) alone.
    type: list
    elements: str
    default: []
  pools:
    description: How many pools are listed at most, the cheapest of all regions.
    type: int
    default: 20
  days:
    description: How many days to look back, at most 90.
    type: int
    default: 30
  scores:
    description:
      - Whether to ask for placement scores. AWS limits how many new combinations of types, capacity and regions an
        account may ask for in 24 hours.
    type: bool
    default: true
  target_capacity:
    description: For how many instances the placement score is.
    type: int
    default: 1
  cache_seconds:
    description:
      - For how many seconds histories, on-demand prices and scores are kept and used again, for the same credentials,
        region and endpoint. Spot prices of now are always asked for, what types are is kept for a day.
      - V(0) keeps and uses none of them.
    type: int
    default: 300
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - Only C(ec2:DescribeSpotPriceHistory) is needed for types that are named, C(ec2:DescribeInstanceTypes) too for a
    need. Without C(pricing:GetProducts), C(ec2:GetSpotPlacementScores) and C(ec2:DescribeAvailabilityZones) the values
    are null, and RV(unknown) and RV(notes) say why.
  - A placement score is for all of O(instance_types) together, without them for all listed types, and AWS gives it only
    to the best ten zones.
seealso:
  - module: experiments.spot.spot_price_info
  - module: experiments.spot.spot_placement_score_info
  - plugin: experiments.spot.price_table
    plugin_type: filter
  - plugin: experiments.spot.price_plot
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The five cheapest pools with a GPU of 24 GB
  experiments.spot.spot_pool_info:
    gpus: 1
    gpu_memory: 24
    regions: [us-east-1, us-west-2, eu-west-1]
    pools: 5
  register: found

- name: Show them
  experiments.spot.show:
    msg: "{{ found | experiments.spot.price_table }}"

- name: Named types in one region
  experiments.spot.spot_pool_info:
    instance_types: [g5.xlarge, g6.xlarge, g4dn.xlarge]
    region: us-east-1
"""

RETURN = r"""
regions:
  description: The regions that were asked.
  returned: success
  type: list
  elements: str
  sample: [us-east-1, eu-west-1]
left_out:
  description: Regions that cannot be used, and why, a line each.
  returned: success
  type: list
  elements: str
  sample: ["eu-south-1 cannot be used: it is not enabled for this account (AuthFailure)"]
notes:
  description: What to know about the answer - types that a region does not offer, what could not be read.
  returned: success
  type: list
  elements: str
unknown:
  description: Column to why it is not known - C(types) (vCPUs, memory and GPUs), C(on_demand_price) or C(score).
  returned: success
  type: dict
  sample: {score: no permission}
need:
  description: The need, empty for none.
  returned: success
  type: str
  sample: gpus=1, memory=16
fitting:
  description: How many pools fit, listed or not.
  returned: success
  type: int
  sample: 57
period:
  description: The time that was looked at, from C(start) to C(end) (ISO 8601, UTC).
  returned: success
  type: dict
  contains:
    start:
      description: Its start.
      type: str
      sample: "2026-01-01T12:34:56+00:00"
    end:
      description: Its end, which is now.
      type: str
      sample: "2026-01-31T12:34:56+00:00"
pools:
  description: The pools, the cheapest first.
  returned: success
  type: list
  elements: dict
  contains:
    instance_type:
      description: The instance type.
      type: str
      sample: g5.xlarge
    region:
      description: The region.
      type: str
      sample: us-east-1
    zone:
      description: Name of the Availability Zone, which differs between accounts.
      type: str
      sample: us-east-1a
    zone_id:
      description: Id of the zone, which is the same for all accounts, null when not known.
      type: str
      sample: use1-az4
    vcpus:
      description: Its vCPUs.
      type: int
      sample: 4
    memory:
      description: Its memory in GiB.
      type: float
      sample: 16
    gpus:
      description: How many GPUs it has.
      type: int
      sample: 1
    gpu:
      description: Model of the GPUs, null for none.
      type: str
      sample: A10G
    gpu_memory:
      description: Memory of each GPU in GiB, null for none.
      type: float
      sample: 22.35
    price:
      description: USD per hour now.
      type: float
      sample: 0.4326
    since:
      description: When this price began (ISO 8601, UTC).
      type: str
      sample: "2026-01-31T08:00:00+00:00"
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
    on_demand_price:
      description: USD per hour on demand, null when not known.
      type: float
      sample: 1.006
    saving:
      description: Part of the on-demand price that is saved now, from 0 to 1, null when not known.
      type: float
      sample: 0.57
    score:
      description: Placement score of the zone, from 1 (not likely) to 10 (highly likely), null when not known.
      type: int
      sample: 7
    changes:
      description: The prices in the period, the newest first, that at its start last, each with C(time) and C(price).
      type: list
      elements: dict
"""

from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._spot import market, market_reads, reads

ARGUMENT_SPEC: dict[str, Any] = {
    "instance_types": {"type": "list", "elements": "str", "default": []},
    "gpus": {"type": "int", "default": 0},
    "gpu_memory": {"type": "float", "default": 0},
    "vcpus": {"type": "int", "default": 0},
    "memory": {"type": "float", "default": 0},
    "architecture": {"type": "str", "choices": ["x86_64", "arm64"], "default": "x86_64"},
    "regions": {"type": "list", "elements": "str", "default": []},
    "pools": {"type": "int", "default": 20},
    "days": {"type": "int", "default": 30},
    "scores": {"type": "bool", "default": True},
    "target_capacity": {"type": "int", "default": 1},
    "cache_seconds": {"type": "int", "default": 300},
}


def gather(module: Any, now: datetime) -> dict[str, Any]:
    """Validate and read.

    Raises:
        ApiError, ReadError: AWS cannot be asked, or refused.
        WrongInput: the options are wrong, or name what does not exist.
    """
    mistakes = market.problems(module.params)
    if mistakes:
        raise reads.WrongInput(mistakes)
    clients = Clients(module)
    names = list(dict.fromkeys(module.params["regions"])) or [clients.region]
    sources = {name: reads.source(module, clients.in_region(name)) for name in names}
    return {"regions": names, **market_reads.pools(sources, module.params, now)}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    return reads.answer(module, gather)


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
