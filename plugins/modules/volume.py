#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One EBS volume by its name: made, changed or deleted."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volume
version_added: 1.0.0
short_description: Make, change or delete an EBS volume by its name
description:
  - Makes a volume (empty, or from a snapshot), changes its size, type, speed, name or tags, or deletes it.
  - Waits until the volume can be used, and says what AWS does meanwhile.
  - A volume that is grown keeps its file system as it was. M(experiments.spot.volume_grow) grows that, too.
author:
  - experiments.spot authors (@experiments-spot)
options:
  state:
    description:
      - V(created) makes it unless there is one of this name, which must then be as wished.
      - V(updated) changes one that exists.
      - V(absent) deletes it. One that is attached, or that this collection did not make, is not deleted.
    type: str
    choices: [created, updated, absent]
    default: created
  volume:
    description: Name or id of the volume. A new one gets it as its tags C(Name) and C(spot:volume).
    type: str
    required: true
  experiment:
    description:
      - Experiment that a new volume is for. A launch of it finds the volume by its name.
      - Tells volumes of the same name apart.
    type: str
  rank:
    description: Rank of the instance that a new volume of an experiment is for.
    type: int
    default: 0
  size:
    description: Size in GiB. Required for a new volume without O(snapshot). Volumes never shrink.
    type: int
  type:
    description: Volume type, V(gp3) for a new one.
    type: str
    choices: [gp2, gp3, io1, io2, sc1, st1, standard]
  iops:
    description: IOPS.
    type: int
  throughput:
    description: Throughput in MiB/s (V(gp3) only).
    type: int
  zone:
    description:
      - Availability Zone of a new volume. By default that of the experiment's other volumes, else the first one of the
        region.
    type: str
  snapshot:
    description: Id of the snapshot, or name of the newest one, of which a new volume is made.
    type: str
  encrypted:
    description: Whether a new volume is encrypted, V(true) unless said otherwise.
    type: bool
  kms_key_id:
    description: Id, alias or ARN of the KMS key, by default that of the account for EBS.
    type: str
  new_name:
    description: Another name for an existing volume.
    type: str
  tags:
    description: Tags to set. Others stay.
    type: dict
    default: {}
  force:
    description: Deletes a volume that this collection did not make.
    type: bool
    default: false
  timeout:
    description: Seconds to wait until the volume can be used.
    type: int
    default: 600
  progress_file:
    description:
      - A file to which a line is appended for each wait as it happens.
      - With a local connection these lines are shown while the task runs, also without this option.
    type: path
  quiet:
    description: Shows no progress. Without it the environment variable E(EXPERIMENTS_SPOT_QUIET) decides.
    type: bool
extends_documentation_fragment:
  - experiments.spot.attributes.changes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - AWS takes a change of a volume only when the one before is completed, which takes hours after the volume can be
    used, and at most four in 24 hours.
seealso:
  - module: experiments.spot.volume_info
  - module: experiments.spot.volume_move
  - module: experiments.spot.volume_snapshot
  - module: amazon.aws.ec2_vol
"""

EXAMPLES = r"""
- name: Make a volume
  experiments.spot.volume:
    region: eu-west-1
    volume: data
    size: 50
    throughput: 250

- name: Let it grow
  experiments.spot.volume:
    region: eu-west-1
    volume: data
    size: 100
    state: updated

- name: Restore a snapshot
  experiments.spot.volume:
    region: eu-west-1
    volume: data-again
    snapshot: snap-0123456789abcdef0
    zone: eu-west-1b
"""

RETURN = r"""
volume:
  description: The volume as it is afterwards, empty when it is gone.
  returned: success
  type: dict
  contains:
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
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError, volumes_by_id
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._fleet import progress
from ansible_collections.experiments.spot.plugins.module_utils._volumes import api, plan, rows, work
from ansible_collections.experiments.spot.plugins.module_utils._volumes.rows import VolumeError

Resource = dict[str, Any]

ARGUMENT_SPEC: Resource = {
    "state": {"type": "str", "choices": ["created", "updated", "absent"], "default": "created"},
    "volume": {"type": "str", "required": True},
    "experiment": {"type": "str"},
    "rank": {"type": "int", "default": 0},
    "size": {"type": "int"},
    "type": {"type": "str", "choices": ["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"]},
    "iops": {"type": "int"},
    "throughput": {"type": "int"},
    "zone": {"type": "str"},
    "snapshot": {"type": "str"},
    "encrypted": {"type": "bool"},
    # An id, not a key: it may be shown.
    "kms_key_id": {"type": "str", "no_log": False},
    "new_name": {"type": "str"},
    "tags": {"type": "dict", "default": {}},
    "force": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 600},
    "progress_file": {"type": "path"},
    "quiet": {"type": "bool"},
}


def wanted_of(params: Resource) -> plan.Wanted:
    """The options as what the user asks for."""
    names = ("volume", "rank", "size", "type", "iops", "throughput", "zone", "snapshot", "encrypted")
    return plan.Wanted(
        **{name: params[name] for name in names},
        experiment=params["experiment"] or "",
        kms_key_id=params["kms_key_id"],
        new_name=params["new_name"],
        tags={key: str(value) for key, value in params["tags"].items()},
    )


class Job:
    """What one run does."""

    def __init__(self, clients: Any, params: Resource, check_mode: bool) -> None:
        self.clients = clients
        self.ec2 = clients("ec2")
        self.params = params
        self.check_mode = check_mode
        self.wanted = wanted_of(params)
        teller = progress.File(params["progress_file"] or "")
        self.volumes = work.Volumes(self.ec2, work.Waiter(params["timeout"], teller))

    def found(self) -> tuple[Resource | None, list[Resource]]:
        """The volume that is meant, None for none, and all volumes that were read."""
        name = self.wanted.volume
        by_id = bool(rows.VOLUME_ID.match(name))
        known = volumes_by_id(self.ec2, [name]) if by_id else api.volumes(self.ec2)
        if self.params["state"] == "created" and not by_id:
            mine = [one for one in known if rows.tags_of(one).get("spot:experiment", "") == self.wanted.experiment]
            ours = [one for one in rows.named(name, "", mine) if rows.is_ours(one) and self._of_rank(one)]
            return rows.only(name, ours), known
        return rows.only(name, rows.named(name, self.wanted.experiment, known)), known

    def _of_rank(self, volume: Resource) -> bool:
        return not self.wanted.experiment or rows.tags_of(volume).get("spot:rank", "0") == str(self.wanted.rank)

    def created(self) -> Resource:
        """Make it unless it is there."""
        volume, known = self.found()
        if volume is not None:
            wrong = plan.differences(self.wanted, volume)
            if wrong:
                raise VolumeError(
                    f"there is a volume {rows.label(volume)} already: {'; '.join(wrong)}; `-e do=update` changes one,"
                    " another name makes another"
                )
            return answer(False, volume, volume)
        args = plan.creation(self.wanted, self._seen(known))
        if self.check_mode:
            return answer(True, None, predicted(args, self.wanted))
        return answer(True, None, self.volumes.create(args))

    def _seen(self, known: list[Resource]) -> plan.Seen:
        name = self.wanted.snapshot or ""
        shared = bool(rows.SNAPSHOT_ID.match(name))
        found = api.shared_snapshots(self.ec2, [name]) if shared else api.snapshots(self.ec2) if name else []
        owner = work.owner(self.clients("sts"))
        return plan.Seen(known, found, zones=api.zone_names(self.ec2), owner=owner)

    def updated(self) -> Resource:
        """Change it."""
        volume, _known = self.found()
        if volume is None:
            raise VolumeError(f"there is no volume {self.wanted.volume} in this region; `-e do=create` makes one")
        newest = self._modification(volume)
        todo = plan.changes(self.wanted, volume, plan.Seen(modification=newest))
        if self.check_mode or not (todo or todo.under_way):
            return answer(bool(todo), volume, plan.after(volume, todo))
        changed = self.volumes.modify(volume, todo)
        return answer(bool(todo), volume, changed, self._modification(volume))

    def _modification(self, volume: Resource) -> Resource | None:
        return next(iter(api.modifications(self.ec2, [volume["VolumeId"]])), None)

    def absent(self) -> Resource:
        """Delete it."""
        volume, _known = self.found()
        if volume is None:
            return answer(False, None, None)
        names = work.names_of_holders(self.ec2, [volume])
        wrong = plan.deletion_problems(volume, self.params["force"], names)
        if wrong:
            raise VolumeError("; ".join(wrong))
        if not self.check_mode:
            api.delete_volume(self.ec2, volume["VolumeId"])
        return answer(True, volume, None)


def predicted(args: Resource, wanted: plan.Wanted) -> Resource:
    """A volume as it would be made."""
    return {
        "VolumeId": "",
        "State": "available",
        "Size": wanted.size,
        "Tags": args["TagSpecifications"][0]["Tags"],
        **{key: value for key, value in args.items() if key != "TagSpecifications"},
    }


def answer(
    changed: bool, before: Resource | None, after: Resource | None, modification: Resource | None = None
) -> Resource:
    """The module's result."""
    old = rows.volume_row(before) if before else {}
    new = rows.volume_row(after, modification) if after else {}
    return {"changed": changed, "volume": new, "diff": {"before": old, "after": new}}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    state, name = module.params["state"], module.params["volume"]
    verb = {"created": "make", "updated": "change", "absent": "delete"}[state]
    try:
        result = getattr(Job(Clients(module), module.params, module.check_mode), state)()
    except VolumeError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        module.fail_json(msg=_aws_errors.explain(error.error, f"{verb} the volume {name} ({error.action})"))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
