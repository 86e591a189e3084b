#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: tell what the job of an instance does and did."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job_info
short_description: Tell what the job of an instance does and did
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance. Joins ledger, unit and journal of the job that M(experiments.spot.job) started.
  - An instance on which no job was ever started is no error; then RV(state) is null.
options:
  log_lines:
    description: Lines of the end of the job's log to return. V(0) does not ask for the log.
    type: int
    default: 20
  state_dir:
    description: Where to look for the ledger when no job was started on this instance yet.
    type: path
extends_documentation_fragment:
  - experiments.spot.attributes.looks
"""

EXAMPLES = r"""
- name: Look at the job
  experiments.spot.job_info:
    log_lines: 50
  register: job
"""

RETURN = r"""
job:
  description: Name of the job, null when none was started on this instance.
  type: str
  returned: success
experiment:
  description: Name of the experiment.
  type: str
  returned: success
state:
  description:
    - V(starting), V(pulling), V(building), V(loading), V(running), V(succeeded), V(failed), V(stopped),
      V(interrupted), or null.
  type: str
  returned: success
  sample: running
exit_code:
  description: Exit code of the container, or of the runner when it ended without a word. Null before the end.
  type: int
  returned: success
message:
  description: One line that explains a failure.
  type: str
  returned: success
started:
  description: Begin of the last run, ISO 8601 UTC.
  type: str
  returned: success
  sample: "2026-01-02T03:04:05Z"
finished:
  description: End of the last run, null before it.
  type: str
  returned: success
image:
  description: Image of the last run.
  type: str
  returned: success
code:
  description: Repository, version and commit of the code of the last run; null without code from git.
  type: dict
  returned: success
matrix:
  description:
    - How far the matrix of the job is on this instance - C(of) (its combinations), C(done) (those that have ended),
      C(failed), C(now) (the one that runs) and C(total) (of all instances); null without a matrix.
  type: dict
  returned: success
  sample: {"of": 4, "done": 1, "failed": 0, "total": 8, "now": "lr=0.1,seed=2"}
attempt:
  description: Number of the attempt after failures, see O(experiments.spot.job#module:spec.retries); null in the first.
  type: int
  returned: success
machine:
  description:
    - What the last run ran on, as it was known at its start - C(type), C(zone), C(region), C(lifecycle) (V(spot) or
      V(on-demand)), C(image_id), C(launch_time), C(spot_price) and C(on_demand_price) (USD per hour).
    - Null when that was not told, as in ledgers of older versions.
  type: dict
  returned: success
  sample: {"type": "g5.xlarge", "zone": "us-east-1a", "lifecycle": "spot", "spot_price": 0.42, "on_demand_price": 1.006}
progress:
  description:
    - How far the run is, as the job told in C(progress.json) of its state directory - C(start) (the step it went on
      after), C(step), C(of) and C(unit); null when it tells nothing.
  type: dict
  returned: success
  sample: {"start": 0, "step": 45, "of": 100, "unit": "steps"}
layers:
  description:
    - How many layers of the image are here while it is pulled, C(done), and how many are known, C(of); null otherwise.
  type: dict
  returned: success
  sample: {"done": 3, "of": 8}
usage:
  description:
    - Use of the machine over the last minute of the run in percent - C(cpu), C(gpu) and C(gpu_memory) (means of all
      GPUs, only where there are some), C(mean) (the same over the run), C(samples) and C(time); null at first.
  type: dict
  returned: success
  sample: {"cpu": 31.5, "gpu": 92.0, "gpu_memory": 71.3, "mean": {"cpu": 30.1, "gpu": 88.4}, "samples": 9}
results:
  description:
    - What M(experiments.spot.results_pusher) did last - C(time), C(pushed) (the last time that all was sent), C(url),
      C(files), C(bytes), C(total), C(left), C(failed) and C(message); null where no results are sent.
  type: dict
  returned: success
generation:
  description: Generation of the last run.
  type: int
  returned: success
rank:
  description: Rank of this instance.
  type: int
  returned: success
instance_id:
  description: This instance, as the job was told.
  type: str
  returned: success
runs:
  description: All runs of the ledger, oldest first.
  type: list
  elements: dict
  returned: success
notice:
  description:
    - What M(experiments.spot.notice_watcher) saw and did, empty when there is no notice.
    - C(kind) is V(interruption), V(rebalance), V(expired) or V(ended). C(time) is when AWS acts. C(phase) goes from
      V(noticed) to V(done). C(job) is what became of the job, C(volumes) what became of the volumes, C(messages) what
      was notable.
  type: dict
  returned: success
storage_silent:
  description: Whether the file system of the ledger does not answer, since the server that has it is gone.
  type: bool
  returned: success
unit_active:
  description: Whether the runner is running.
  type: bool
  returned: success
ledger_path:
  description: Path of the ledger.
  type: str
  returned: success
log_tail:
  description: Last lines of the last run's log.
  type: list
  elements: str
  returned: success
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._commands import commands
from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._job.spec import UNIT
from ansible_collections.experiments.spot.plugins.module_utils._job.state import Current, summary


def log_argv(lines: int, unit: dict[str, str], started: str | None) -> list[str]:
    """The journalctl command for what the job itself said in its last run.

    systemd forgets a unit that ended well, and with it the id of its run; then the ledger says when that began.
    """
    argv = ["journalctl", "--no-pager", "--quiet", "--output", "cat", "--lines", str(lines)]
    if unit.get("InvocationID"):
        return [*argv, f"_SYSTEMD_INVOCATION_ID={unit['InvocationID']}"]
    # With --since, --lines counts from there on, unless it goes backwards.
    since = ["--reverse", "--since", started.replace("T", " ").replace("Z", " UTC")] if started else []
    return [*argv, *since, f"_SYSTEMD_UNIT={UNIT}"]


def read_log(run: remote.Run, argv: list[str]) -> list[str]:
    """End of the log, [] where there is no journal."""
    rc, out, _err = run(argv)
    lines = out.splitlines() if rc == 0 else []
    return lines[::-1] if "--reverse" in argv else lines


def gather(params: dict[str, Any], run: remote.Run) -> dict[str, Any]:
    """Everything about the job; a damaged ledger becomes the message."""
    document = remote.read_document()
    folder = params["state_dir"]
    ledger = document.get("ledger") or (os.path.join(folder, "ledger.json") if folder else None)
    unit = remote.show_unit(run)
    problem, silent = "", False
    try:
        runs = remote.read_runs(ledger)
    except remote.RemoteError as error:
        runs, problem, silent = [], str(error), isinstance(error, remote.SilentError)
    notice = remote.read_notice()
    found = summary(Current(unit, document, True, runs, notice))
    found["message"] = problem or found["message"]
    lines = params["log_lines"]
    log = read_log(run, log_argv(lines, unit, found["started"])) if document and lines > 0 else []
    found["storage_silent"] = silent
    return {**found, "runs": runs, "ledger_path": ledger, "log_tail": log, "notice": notice}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"log_lines": {"type": "int", "default": 20}, "state_dir": {"type": "path"}},
        supports_check_mode=True,
    )

    run = commands(module, optional=True)
    try:
        module.exit_json(changed=False, **gather(module.params, run))
    except OSError as error:
        module.fail_json(msg=f"job_info: {error}")


if __name__ == "__main__":
    main()
