#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EBS volumes and snapshots with what they cost."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volume_info
version_added: 1.0.0
short_description: Gather EBS volumes and snapshots and what they cost
description:
  - Lists the volumes and snapshots that this collection made, or all of the region.
  - Root volumes, which end with their instance, are listed only with O(all=true).
author:
  - experiments.spot authors (@experiments-spot)
options:
  all:
    description: Also what this collection did not make.
    type: bool
    default: false
  experiment:
    description: Only those of this experiment.
    type: str
  volume:
    description: Only volumes of this name or id, and their snapshots.
    type: str
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Changes nothing, so it has no difference to show.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: experiments.spot.volume
  - module: amazon.aws.ec2_vol_info
"""

EXAMPLES = r"""
- name: List my volumes
  experiments.spot.volume_info:
    region: eu-west-1
  register: mine
"""

RETURN = r"""
volumes:
  description: The volumes, by name.
  returned: success
  type: list
  elements: dict
  contains: &volume
    volume_id:
      description: Id, empty for one that check mode would make.
      type: str
      sample: vol-0123456789abcdef0
    name:
      description: The tag C(Name).
      type: str
      sample: data
    experiment:
      description: The experiment it belongs to, empty for none.
      type: str
    rank:
      description: The rank of the instance that it is for.
      type: int
    size:
      description: GiB.
      type: int
      sample: 50
    type:
      description: Volume type.
      type: str
      sample: gp3
    iops:
      description: IOPS, null where the type has none.
      type: int
      sample: 3000
    throughput:
      description: MiB/s, null where the type has none.
      type: int
      sample: 125
    zone:
      description: Availability Zone.
      type: str
      sample: eu-west-1a
    state:
      description: State.
      type: str
      sample: available
    attached_to:
      description: Ids of the instances that hold it.
      type: list
      elements: str
    snapshot_id:
      description: Snapshot of which it was made, empty for none.
      type: str
    encrypted:
      description: Whether it is encrypted.
      type: bool
    ours:
      description: Whether this collection made it.
      type: bool
    cost_per_month:
      description: USD a month at the list prices of us-east-1.
      type: float
      sample: 4.0
    note:
      description: What is going on with it, in words.
      type: str
      sample: optimizing, 40 %
    tags:
      description: All tags.
      type: dict
snapshots:
  description: The snapshots, by name, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    snapshot_id:
      description: Id, empty for one that check mode would make.
      type: str
      sample: snap-0123456789abcdef0
    name:
      description: The tag C(Name).
      type: str
      sample: data
    experiment:
      description: The experiment it belongs to, empty for none.
      type: str
    volume_id:
      description: The volume of which it was taken.
      type: str
    size:
      description: GiB of the volume.
      type: int
    state:
      description: State.
      type: str
      sample: completed
    progress:
      description: How much of it is stored.
      type: str
      sample: 100%
    started:
      description: When it was begun.
      type: str
    encrypted:
      description: Whether it is encrypted.
      type: bool
    cost_per_month:
      description: USD a month at most; AWS stores only what changed since the snapshot before.
      type: float
    tags:
      description: All tags.
      type: dict
cost_per_month:
  description: USD a month of all that is listed.
  returned: success
  type: float
  sample: 12.5
notes:
  description: What could not be read for want of a permission that is not needed.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment import api as experiment_api
from ansible_collections.experiments.spot.plugins.module_utils._experiment import cost, reads
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._volumes import api, rows

Resource = dict[str, Any]


def read(ec2: Any, everything: bool) -> tuple[dict[str, list[Resource]], list[str]]:
    """Volumes, snapshots and what is being modified, in parallel; and notes on what could not be read.

    Raises:
        ReadError: volumes or snapshots may not be read.
    """
    # A volume that a move left behind has no name for a launch any more, but still the tags of its experiment.
    wanted = None if everything else api.MINE
    answers, errors = experiment_api.gather(
        {
            "volumes": lambda: api.volumes(ec2, wanted),
            "snapshots": lambda: api.snapshots(ec2, wanted),
            "modifications": lambda: api.modifications(ec2),
        }
    )
    needed = {name: error for name, error in errors.items() if name != "modifications"}
    if needed:
        raise reads.ReadError(reads.failures(needed.values()))
    notes = [f"No answer about changes under way ({error.action}: {error.reason})" for error in errors.values()]
    return {"modifications": [], **answers}, notes


def volumes_of(found: dict[str, list[Resource]], params: Resource) -> list[Resource]:
    """Rows of the volumes that are asked for."""
    volumes = [one for one in found["volumes"] if params["all"] or rows.is_ours(one)]
    if params["volume"]:
        volumes = rows.named(params["volume"], params["experiment"] or "", volumes)
    changes = {one["VolumeId"]: one for one in found["modifications"]}
    listed = [rows.volume_row(one, changes.get(one["VolumeId"])) for one in volumes]
    return sorted(wanted_of(listed, params), key=lambda one: (one["name"], one["rank"], one["volume_id"]))


def wanted_of(listed: list[Resource], params: Resource) -> list[Resource]:
    """Rows of the experiment that is asked for."""
    return [one for one in listed if not params["experiment"] or one["experiment"] == params["experiment"]]


def snapshots_of(found: dict[str, list[Resource]], params: Resource, volumes: list[Resource]) -> list[Resource]:
    """Rows of the snapshots that are asked for."""
    ids = {one["volume_id"] for one in volumes}
    listed = [
        rows.snapshot_row(one)
        for one in found["snapshots"]
        if not params["volume"] or one.get("VolumeId") in ids or rows.name_of(one) == params["volume"]
    ]
    return sorted(wanted_of(listed, params), key=lambda one: (one["name"], one["started"], one["snapshot_id"]))


ARGUMENT_SPEC: dict[str, Any] = {
    "all": {"type": "bool", "default": False},
    "experiment": {"type": "str"},
    "volume": {"type": "str"},
}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        found, notes = read(Clients(module)("ec2"), module.params["all"])
    except (reads.ReadError, experiment_api.ApiError) as error:
        module.fail_json(msg=str(error))
    volumes = volumes_of(found, module.params)
    snapshots = snapshots_of(found, module.params, volumes)
    amounts = [one["cost_per_month"] for one in [*volumes, *snapshots]]
    return {
        "changed": False, "volumes": volumes, "snapshots": snapshots, "cost_per_month": cost.total(amounts),
        "notes": notes,
    }  # fmt: skip


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
