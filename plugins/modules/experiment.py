#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove what an experiment made."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: experiment
version_added: 1.0.0
short_description: Remove everything that an experiment made in AWS
description:
  - Terminates the instances of an experiment and deletes its fleet records, key pair, launch templates and security
    group. Only what carries the tag C(spot:experiment) of this experiment is touched.
  - Volumes are kept, except those that O(delete_volumes) names. EFS file systems are never deleted here.
  - Never waits. What can only be removed when the instances are gone is returned in RV(pending); wait for the
    instances with M(experiments.spot.instances_wait), then run the same task again.
  - What fails does not stop the rest. All failures are reported in one error at the end.
author:
  - experiments.spot authors (@experiments-spot)
options:
  experiment:
    description:
      - Name of the experiment.
    type: str
    required: true
  state:
    description:
      - Whether the experiment may exist.
    type: str
    choices: [absent]
    default: absent
  delete_volumes:
    description:
      - Names or ids of volumes to delete, or V(all). A name from the profile means the volumes of all ranks.
      - A volume that the experiment did not make is refused, and then nothing is removed.
    type: list
    elements: str
    default: []
  idle_only:
    description:
      - Whether to remove nothing when an instance of the experiment is pending, running, stopping or stopped.
    type: bool
    default: false
  delete_file_systems:
    description:
      - Names or ids of EFS file systems to delete with their data, or V(all). They are returned in RV(file_systems),
        for M(experiments.spot.efs_file_system) to delete when the instances are gone.
      - One that the experiment did not make is refused, and then nothing is removed.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode and return what it would do outside of it.
    support: full
  diff_mode:
    description: Returns what exists before and after.
    support: full
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: partial
    details: A second run removes what was pending in the first one.
seealso:
  - module: experiments.spot.experiment_info
"""

EXAMPLES = r"""
- name: Remove an experiment and keep its volumes
  experiments.spot.experiment:
    experiment: digits
    state: absent
  register: removed

- name: Wait until its instances are gone
  experiments.spot.instances_wait:
    instance_ids: "{{ removed.terminating }}"
    experiment: digits
    state: terminated

- name: Remove the rest, the volume data too
  experiments.spot.experiment:
    experiment: digits
    state: absent
    delete_volumes: [data]
"""

RETURN = r"""
deleted:
  description: Ids of what was removed, instances that are being terminated included. In check mode what would be.
  returned: always
  type: list
  elements: str
  sample: ["i-0123456789abcdef0", "key-0123456789abcdef0"]
terminating:
  description: Ids of the instances to wait for.
  returned: always
  type: list
  elements: str
  sample: ["i-0123456789abcdef0"]
pending:
  description: Ids of what is still there and goes when the instances are gone. Empty when nothing more is to be done.
  returned: always
  type: list
  elements: str
  sample: ["i-0123456789abcdef0", "sg-0123456789abcdef0"]
bucket:
  description: The bucket from which instances of the recovery mode C(self) set themselves up, empty for none.
  returned: always
  type: str
  sample: s3://my-bucket/experiments
file_systems:
  description: File systems that O(delete_file_systems) means, as in RV(kept_file_systems).
  returned: always
  type: list
  elements: dict
kept_file_systems:
  description: File systems that stay, as in RV(experiments.spot.experiment_info#module:experiments[].file_systems).
  returned: always
  type: list
  elements: dict
kept:
  description: Volumes that stay, as in RV(experiments.spot.experiment_info#module:experiments[].volumes).
  returned: always
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment import reads, removal, teardown
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.summary import Found

ARGUMENT_SPEC: dict[str, Any] = {
    "experiment": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["absent"], "default": "absent"},
    "delete_volumes": {"type": "list", "elements": "str", "default": []},
    "idle_only": {"type": "bool", "default": False},
    "delete_file_systems": {"type": "list", "elements": "str", "default": []},
}


class Refused(Exception):
    """Nothing was removed, since something that may not be was named."""


def remove(clients: Clients, params: dict[str, Any], check_mode: bool) -> tuple[dict[str, Any], teardown.Removal]:
    """Read, decide and (outside of check mode) remove.

    Returns:
        The result of the module with ``failures`` (one line each), and what was decided.

    Raises:
        ReadError: a call that reads failed.
        Refused: a volume was named that the experiment did not make, or that another instance holds.
    """
    found = reads.found(clients, params["experiment"])
    if params["idle_only"] and teardown.is_in_use(found):
        found = Found()
    ids = [name for name in params["delete_volumes"] if name.startswith("vol-")]
    named = reads.volumes_named(clients, ids)
    users: dict[str, str] = {}
    if params["delete_file_systems"]:
        users = reads.experiments_of_groups(
            clients, [one for raw in found.file_systems for one in teardown.let_in(raw, found)]
        )
    shared = {"delete_file_systems": params["delete_file_systems"], "users": users}
    decided = teardown.decide(params["experiment"], found, params["delete_volumes"], named, **shared)
    if decided.problems:
        raise Refused("\n".join(decided.problems))
    done = removal.predict(decided) if check_mode else removal.carry_out(clients, decided)
    before, after = teardown.lines(found, []), teardown.lines(found, done.deleted)
    return {
        "changed": bool(done.deleted),
        "deleted": done.deleted,
        "terminating": decided.terminating,
        "pending": done.pending,
        "kept": decided.kept,
        "file_systems": decided.file_systems,
        "kept_file_systems": decided.kept_file_systems,
        "bucket": teardown.bucket(found),
        "failures": done.failures,
        "diff": {"before": "".join(f"{one}\n" for one in before), "after": "".join(f"{one}\n" for one in after)},
    }, decided


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        result, decided = remove(Clients(module), module.params, module.check_mode)
    except (reads.ReadError, Refused) as error:
        module.fail_json(msg=str(error))
    for note in decided.notes:
        module.warn(note)
    failures = result.pop("failures")
    if failures:
        head = f"Could not remove all of experiment {module.params['experiment']}; the rest is removed"
        module.fail_json(msg="\n".join([f"{head}:", *(f"  - {line}" for line in failures)]), **result)
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
