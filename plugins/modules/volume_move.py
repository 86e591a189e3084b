#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EBS volumes into another Availability Zone."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volume_move
version_added: 1.0.0
short_description: Move EBS volumes into another Availability Zone
description:
  - Takes a snapshot of each volume, waits for it, makes a volume of it in the other zone, and proves that one
    (available, as large and as fast, of this snapshot, with the same tags). Only when all are proven do the new ones
    get the names, so that a launch finds them, and the old ones lose theirs.
  - The old volumes are kept unless O(delete_old=true). Where they are kept, the snapshots are deleted; where they are
    deleted, the snapshots are kept.
  - A move that was cut off goes on where it was, unless somebody has attached the volume meanwhile.
author:
  - experiments.spot authors (@experiments-spot)
options:
  volumes:
    description: Names or ids of the volumes.
    type: list
    elements: str
    required: true
  zone:
    description:
      - The Availability Zone. A volume that is there already is left alone.
      - Without it only the snapshots are taken, which is what takes long. A later move uses them.
    type: str
  experiment:
    description: Experiment of the volumes, to tell volumes of the same name apart.
    type: str
  delete_old:
    description: Deletes the old volumes when the new ones are proven.
    type: bool
    default: false
  leaving_instance_ids:
    description: Instances that give their volumes back by themselves; that is waited for.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for each of the waits.
    type: int
    default: 7200
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
seealso:
  - module: experiments.spot.volume
"""

EXAMPLES = r"""
- name: Move a volume
  experiments.spot.volume_move:
    region: eu-west-1
    volumes: [data]
    zone: eu-west-1b
"""

RETURN = r"""
volumes:
  description: The volumes as they are afterwards, in the order of the option, with C(old_volume_id) (the old one where
    it is kept, else empty) in addition.
  returned: success
  type: list
  elements: dict
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
    old_volume_id:
      description: The volume of which it was made, where that is still there, else empty.
      type: str
snapshot_ids:
  description: Snapshots that are kept.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._fleet import progress
from ansible_collections.experiments.spot.plugins.module_utils._volumes import api, move, plan, rows, work
from ansible_collections.experiments.spot.plugins.module_utils._volumes.rows import VolumeError

Resource = dict[str, Any]

ARGUMENT_SPEC: Resource = {
    "volumes": {"type": "list", "elements": "str", "required": True},
    "zone": {"type": "str"},
    "experiment": {"type": "str"},
    "delete_old": {"type": "bool", "default": False},
    "leaving_instance_ids": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 7200},
    "progress_file": {"type": "path"},
    "quiet": {"type": "bool"},
}


class Job:
    """What one run does."""

    def __init__(self, ec2: Any, params: Resource, check_mode: bool) -> None:
        self.ec2 = ec2
        self.params = params
        self.check_mode = check_mode
        self.before: dict[str, str] = {}
        self.mover = work.Mover(ec2, work.Waiter(params["timeout"], progress.File(params["progress_file"] or "")))

    def read(self) -> tuple[list[move.Trace], list[Resource]]:
        """The volumes that are meant with what earlier runs left, and all volumes.

        Raises:
            VolumeError: all that is wrong, in one text.
        """
        known = api.volumes(self.ec2)
        sources, wrong = [], []
        for name in self.params["volumes"]:
            found = rows.only(name, rows.named(name, self.params["experiment"] or "", known))
            if found is None:
                wrong.append(f"there is no volume {name} in this region; `-e do=list` shows those there are")
            else:
                sources.append(found)
        wrong += self._problems(sources)
        if wrong:
            raise VolumeError("; ".join(wrong))
        self.before = {rows.label(one): one["AvailabilityZone"] for one in sources}
        marks = [{"Name": "tag-key", "Values": [rows.MOVE_OF]}]
        return move.traces(sources, known, api.snapshots(self.ec2, marks)), known

    def _problems(self, sources: list[Resource]) -> list[str]:
        zone = self.params["zone"]
        wrong = plan.zone_problems(zone, plan.Seen(zones=api.zone_names(self.ec2))) if zone else []
        away = [one for one in sources if not zone or not move.is_there(one, zone)]
        names = work.names_of_holders(self.ec2, away)
        return wrong + [text for one in away for text in move.held(one, self.params["leaving_instance_ids"], names)]

    def run(self) -> Resource:
        """Move what is not there yet.

        Raises:
            VolumeError, ApiError: what is wrong, for the user.
        """
        traces, known = self.read()
        zone = self.params["zone"]
        away = [one for one in traces if not zone or not move.is_there(one.source, zone)]
        there = [one for one in traces if one not in away]
        if self.check_mode:
            return self._predicted(traces, away, known)
        left = self._finish(there, known)
        if not away:
            return self._answer(left, [one.source for one in traces], known)
        self.mover.wait_free([one.source for one in away])
        snapshots = self.mover.snapshot(away)
        ids = [one["SnapshotId"] for one in snapshots]
        if not zone:
            return self._answer(True, [one.source for one in traces], known, ids)
        copies = dict(zip((one.source["VolumeId"] for one in away), self.mover.copy(away, snapshots, zone)))
        for trace, snapshot in zip(away, snapshots):
            copy = copies[trace.source["VolumeId"]]
            self.mover.switch(trace, copy)
            self.mover.clean(trace, snapshot["SnapshotId"], copy["VolumeId"], self.params["delete_old"])
        moved = [copies.get(one.source["VolumeId"], one.source) for one in traces]
        fresh = [self.mover.volumes.see(one["VolumeId"]) or one for one in moved]
        return self._answer(True, fresh, api.volumes(self.ec2), ids if self.params["delete_old"] else [])

    def _finish(self, there: list[move.Trace], known: list[Resource]) -> bool:
        """What is left to do for volumes that are in the zone: unneeded snapshots go, the old volume where wished."""
        done = []
        for one in there:
            doomed = kept_sources(one.source, known) if self.params["delete_old"] else []
            done.append(self.mover.forget(one, one.source.get("SnapshotId") or "" if doomed else ""))
            for old in doomed:
                api.delete_volume(self.ec2, old["VolumeId"])
                done.append(True)
        return any(done)

    def _predicted(self, traces: list[move.Trace], away: list[move.Trace], known: list[Resource]) -> Resource:
        zone = self.params["zone"]
        volumes = [
            {**one.source, "AvailabilityZone": zone, "VolumeId": ""} if one in away and zone else one.source
            for one in traces
        ]
        prepared = all(one.snapshot for one in away)
        doomed = [old for one in traces for old in kept_sources(one.source, known) if self.params["delete_old"]]
        changed = bool(away and (zone or not prepared)) or bool(doomed)
        return self._answer(changed, volumes, known)

    def _answer(
        self, changed: bool, volumes: list[Resource], known: list[Resource], snapshot_ids: list[str] | None = None
    ) -> Resource:
        listed = [
            {**rows.volume_row(one), "old_volume_id": next((old["VolumeId"] for old in kept_sources(one, known)), "")}
            for one in volumes
        ]
        after = dict(zip(self.before, (row["zone"] for row in listed)))
        return {
            "changed": changed,
            "volumes": listed,
            "snapshot_ids": snapshot_ids or [],
            "diff": {"before": self.before, "after": after},
        }


def kept_sources(volume: Resource, known: list[Resource]) -> list[Resource]:
    """The old volume of a moved one, where it is still there and nobody uses it."""
    origin = rows.tags_of(volume).get(rows.MOVED_FROM)
    return [
        one
        for one in known
        if one["VolumeId"] == origin and one["State"] == "available" and rows.MOVED_TO in rows.tags_of(one)
    ]


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = Job(Clients(module)("ec2"), module.params, module.check_mode).run()
    except VolumeError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        what = f"move {', '.join(module.params['volumes'])} ({error.action})"
        module.fail_json(msg=_aws_errors.explain(error.error, what))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
