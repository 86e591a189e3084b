#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove what experiments left behind."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: orphans
version_added: 1.0.0
short_description: Remove what experiments left behind
description:
  - Reads anew what carries a tag of this collection and nobody uses, as M(experiments.spot.orphans_info) does, and
    removes it. Fleets and Spot requests go first, since they would replace what is terminated.
  - An experiment that is alive is never touched, nor is an instance whose job is not known.
  - Never waits. What can only be removed when the instances are gone is returned in RV(pending); wait for
    RV(terminating) with M(experiments.spot.instances_wait), then run the same task again.
  - What fails does not stop the rest. All failures are reported in one error at the end.
author:
  - experiments.spot authors (@experiments-spot)
options:
  state:
    description: Whether they may exist.
    type: str
    choices: [absent]
    default: absent
  kinds:
    description:
      - What to remove, unless it holds data. A stopped instance does.
    type: list
    elements: str
    choices: [fleets, spot_requests, instances, key_pairs, launch_templates, security_groups]
    default: [fleets, spot_requests, instances, key_pairs, launch_templates, security_groups]
  named:
    description:
      - What to remove even if it holds data.
      - File systems are not removed here but returned in RV(file_systems), for M(experiments.spot.efs_file_system).
    type: list
    elements: str
    choices:
      - fleets
      - spot_requests
      - instances
      - key_pairs
      - launch_templates
      - security_groups
      - volumes
      - snapshots
      - file_systems
    default: []
  jobs:
    description: What M(experiments.spot.job_info) said, by id of the instance that was asked.
    type: dict
    default: {}
  regions:
    description: Regions to look in, all at the same time. Empty for O(region) alone.
    type: list
    elements: str
    default: []
  experiment:
    description: Only what belongs to this experiment.
    type: str
  owner:
    description: Only what has this tag C(spot:owner).
    type: str
  grace:
    description: Seconds for which something new, or a job that has ended, counts as used.
    type: int
    default: 3600
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
  - module: experiments.spot.orphans_info
  - module: experiments.spot.experiment
"""

EXAMPLES = r"""
- name: Remove what is of no use, and its volumes
  experiments.spot.orphans:
    regions: [us-east-1, eu-west-1]
    named: [volumes]
  register: removed
"""

RETURN = r"""
deleted:
  description: Ids of what was removed, instances that are being terminated included. In check mode what would be.
  returned: always
  type: list
  elements: str
  sample: ["i-0123456789abcdef0", "key-0123456789abcdef0"]
terminating:
  description: Instances to wait for, each with C(id), C(region) and C(experiment).
  returned: always
  type: list
  elements: dict
pending:
  description: Ids of what is still there and goes when the instances are gone.
  returned: always
  type: list
  elements: str
  sample: ["sg-0123456789abcdef0"]
file_systems:
  description: File systems to remove, as in RV(experiments.spot.orphans_info#module:rows).
  returned: always
  type: list
  elements: dict
"""

from datetime import datetime, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.reads import ReadError
from ansible_collections.experiments.spot.plugins.module_utils._orphans import find, reads, sweep

Resource = dict[str, Any]

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["absent"], "default": "absent"},
    "kinds": {"type": "list", "elements": "str", "choices": list(find.PLAIN), "default": list(find.PLAIN)},
    "named": {"type": "list", "elements": "str", "choices": list(find.KINDS), "default": []},
    "jobs": {"type": "dict", "default": {}},
    "regions": {"type": "list", "elements": "str", "default": []},
    "experiment": {"type": "str"},
    "owner": {"type": "str"},
    "grace": {"type": "int", "default": 3600},
}


def remove(clients: Clients, params: Resource, check_mode: bool, now: datetime) -> Resource:
    """Read, decide and (outside of check mode) remove.

    Returns:
        The result of the module with ``failures`` (one line each).

    Raises:
        ReadError: a call that reads failed.
    """
    found = reads.everywhere(clients, params, now)
    rows, _in_use = find.settle(found["rows"], params["jobs"], now, params["grace"])
    wanted = sweep.chosen(rows, params["kinds"], params["named"])
    result: Resource = {"deleted": [], "pending": [], "failures": []}
    for region in found["regions"]:
        here = [row for row in wanted if row["region"] == region]
        done = sweep.carry_out(clients.in_region(region), sweep.decide(here), check_mode)
        for key in result:
            result[key] += getattr(done, key)
    lines = {row["id"]: f"{row['kind']} {row['id']} {row['name']}".rstrip() + "\n" for row in rows}
    left = {key: line for key, line in lines.items() if key not in result["deleted"]}
    return {
        **result,
        "changed": bool(result["deleted"]),
        "terminating": [
            {key: row[key] for key in ("id", "region", "experiment")} for row in wanted if row["kind"] == "instances"
        ],
        "file_systems": [row for row in wanted if row["kind"] == "file_systems"],
        "diff": {"before": "".join(lines.values()), "after": "".join(left.values())},
    }


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        result = remove(Clients(module), module.params, module.check_mode, datetime.now(timezone.utc))
    except ReadError as error:
        module.fail_json(msg=str(error))
    failures = result.pop("failures")
    if failures:
        lines = [f"  - {line}" for line in failures]
        module.fail_json(msg="\n".join(["Could not remove everything; the rest is removed:", *lines]), **result)
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
