#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A snapshot of an EBS volume, waited for; or deleted."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volume_snapshot
version_added: 1.0.0
short_description: Take a snapshot of an EBS volume and wait for it, or delete one
description:
  - Takes a snapshot and waits until it is complete, which takes hours for the first one of a large volume. One that is
    under way already is waited for; a second one is not begun.
  - It holds what was written to the disk at the call. Of a mounted volume that may be less than the files show.
author:
  - experiments.spot authors (@experiments-spot)
options:
  state:
    description: V(present) takes one. V(absent) deletes the one that O(snapshot) means.
    type: str
    choices: [present, absent]
    default: present
  volume:
    description: Name or id of the volume. Required for O(state=present).
    type: str
  snapshot:
    description:
      - A name for the snapshot, by default that of the volume. When there is one of this name already, none is taken.
      - For O(state=absent) its id or its name.
    type: str
  experiment:
    description: Experiment of the volume, to tell volumes of the same name apart.
    type: str
  description:
    description: What the snapshot is, for AWS's console.
    type: str
    default: ""
  tags:
    description: Tags, in addition to those of the volume.
    type: dict
    default: {}
  force:
    description: Deletes a snapshot that this collection did not make.
    type: bool
    default: false
  timeout:
    description: Seconds to wait until it is complete. The same task goes on waiting afterwards.
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
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: partial
    details: [With a name for the snapshot. Without one each run takes another.]
seealso:
  - module: experiments.spot.volume
  - module: amazon.aws.ec2_snapshot
"""

EXAMPLES = r"""
- name: Take a snapshot
  experiments.spot.volume_snapshot:
    region: eu-west-1
    volume: data
    snapshot: data-before-cleanup
"""

RETURN = r"""
snapshot:
  description: The snapshot as it is afterwards, empty when it is gone.
  returned: success
  type: dict
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
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError, filters
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._fleet import progress
from ansible_collections.experiments.spot.plugins.module_utils._volumes import api, plan, rows, work
from ansible_collections.experiments.spot.plugins.module_utils._volumes.rows import VolumeError

Resource = dict[str, Any]

ARGUMENT_SPEC: Resource = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "volume": {"type": "str"},
    "snapshot": {"type": "str"},
    "experiment": {"type": "str"},
    "description": {"type": "str", "default": ""},
    "tags": {"type": "dict", "default": {}},
    "force": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 7200},
    "progress_file": {"type": "path"},
    "quiet": {"type": "bool"},
}


def source_of(ec2: Any, params: Resource) -> Resource:
    """The volume that is meant.

    Raises:
        VolumeError: there is none, several, or one that has no data yet.
    """
    volume = rows.only(params["volume"], rows.named(params["volume"], params["experiment"] or "", api.volumes(ec2)))
    if volume is None:
        raise VolumeError(f"there is no volume {params['volume']} in this region; `-e do=list` shows those there are")
    if volume["State"] not in ("available", "in-use"):
        raise VolumeError(f"{rows.label(volume)} is {volume['State']}; no snapshot can be taken of it")
    return volume


def known(snapshots: list[Resource], name: str | None) -> Resource | None:
    """The snapshot that is to be used instead of a new one: one of this name, or one that is under way."""
    named = [one for one in snapshots if name and rows.name_of(one) == name and one["State"] != "error"]
    pending = [one for one in snapshots if one["State"] == "pending" and rows.MOVE_OF not in rows.tags_of(one)]
    return next(iter([*named, *([] if name else pending)]), None)


def present(ec2: Any, params: Resource, check_mode: bool) -> Resource:
    """Take one, or wait for the one that is under way.

    Raises:
        VolumeError, ApiError: what is wrong, for the user.
    """
    source = source_of(ec2, params)
    found = known(api.snapshots(ec2, filters(volume_id=source["VolumeId"])), params["snapshot"])
    tags = plan.inherited({**rows.tags_of(source), **params["tags"]})
    tags["Name"] = params["snapshot"] or rows.name_of(source) or source["VolumeId"]
    tags.setdefault(rows.NAME, rows.name_of(source) or source["VolumeId"])
    if check_mode:
        return answer(found is None, found, found or predicted(source, tags))
    text = params["description"] or f"{rows.label(source)}, taken by experiments.spot"
    made = found["SnapshotId"] if found else api.create_snapshot(ec2, source["VolumeId"], text, tags)
    waiter = work.Waiter(params["timeout"], progress.File(params["progress_file"] or ""))
    (complete,) = work.Snapshots(ec2, waiter).wait([made])
    return answer(found is None, found, complete)


def absent(ec2: Any, params: Resource, check_mode: bool) -> Resource:
    """Delete one.

    Raises:
        VolumeError, ApiError: what is wrong, for the user.
    """
    name = params["snapshot"]
    fitting = [one for one in api.snapshots(ec2) if name in (one["SnapshotId"], rows.name_of(one))]
    if len(fitting) > 1:
        ids = ", ".join(f"{one['SnapshotId']} of {one.get('StartTime')}" for one in fitting)
        raise VolumeError(f"several snapshots are named {name}: {ids}; say which one by its id")
    found = next(iter(fitting), None)
    if found and not ({rows.NAME, "spot:experiment"} & set(rows.tags_of(found)) or params["force"]):
        raise VolumeError(f"{rows.label(found)} was not made by this collection; add -e force=true to delete it")
    if found and not check_mode:
        api.delete_snapshot(ec2, found["SnapshotId"])
    return answer(found is not None, found, None)


def predicted(source: Resource, tags: dict[str, str]) -> Resource:
    """A snapshot as it would be."""
    return {
        "SnapshotId": "",
        "VolumeId": source["VolumeId"],
        "VolumeSize": source["Size"],
        "State": "completed",
        "Encrypted": source.get("Encrypted"),
        "Tags": api.tag_list(tags),
    }


def answer(changed: bool, before: Resource | None, after: Resource | None) -> Resource:
    """The module's result."""
    old, new = [rows.snapshot_row(one) if one else {} for one in (before, after)]
    return {"changed": changed, "snapshot": new, "diff": {"before": old, "after": new}}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_if=[("state", "present", ["volume"]), ("state", "absent", ["snapshot"])],
    )
    params, wanted = module.params, module.params["state"] == "present"
    what = f"take a snapshot of {params['volume']}" if wanted else f"delete the snapshot {params['snapshot']}"
    try:
        result = (present if wanted else absent)(Clients(module)("ec2"), params, module.check_mode)
    except VolumeError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        module.fail_json(msg=_aws_errors.explain(error.error, f"{what} ({error.action})"))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
