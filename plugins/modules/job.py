#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: start, stop or remove the job of an instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job
short_description: Start, stop or remove the job of an instance
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance. Writes the runner, the job's file, its environment and a systemd unit, and starts the unit.
    The unit owns the container from then on, so that the controller may vanish at any moment.
  - The module returns as soon as the job runs. M(experiments.spot.job_info) tells what became of it.
  - A job that runs with the same spec, or has come to its end with it on this instance, is left alone.
    A run that was stopped or interrupted, or never reached its container, is started again.
  - On an instance that has a notice of AWS (see M(experiments.spot.notice_watcher)) no job is started.
options:
  experiment:
    description: Name of the experiment. Required for O(state=started).
    type: str
  name:
    description: Name of the job.
    type: str
    default: job
  generation:
    description: Generation of the instance.
    type: int
    default: 1
  rank:
    description: Rank of the instance within its experiment.
    type: int
    default: 0
  count:
    description: Number of instances of the experiment.
    type: int
    default: 1
  instance_id:
    description: ID of the instance, written into the ledger.
    type: str
  machine:
    description:
      - What the job runs on, written into the ledger, since AWS forgets an instance about an hour after its end.
      - What is not known is left out. A change of it is no change of the job.
    type: dict
    suboptions:
      type:
        description: Instance type.
        type: str
      zone:
        description: Availability Zone.
        type: str
      region:
        description: Its region.
        type: str
      lifecycle:
        description: V(spot) or V(on-demand).
        type: str
      image_id:
        description: Image that it was launched from.
        type: str
      launch_time:
        description: When it was launched, ISO 8601 with the offset of UTC.
        type: str
      spot_price:
        description: USD per hour of a Spot Instance when the job starts.
        type: float
      on_demand_price:
        description: USD per hour on demand.
        type: float
  spec:
    description: The container and its limits. Required for O(state=started).
    type: dict
    suboptions:
      image:
        description:
          - Image, with a tag or a digest. Without it O(spec.command) or O(spec.scripts) run on the instance itself.
        type: str
      command:
        description: Arguments of the container, or the command on the instance. None runs the image's own.
        type: list
        elements: str
      scripts:
        description:
          - Scripts with their arguments, run on the instance one after the other until one fails. A relative path
            starts from O(spec.workdir).
        type: list
        elements: str
      python:
        description: Script that activates a Python environment, and its argument, for a job without image.
        type: list
        elements: str
      code:
        description: Repository, version and commit of the code, for the ledger. Another commit is another job.
        type: dict
      workdir:
        description: Working directory in the container or, without image, on the instance.
        type: str
      mounts:
        description: Further mounts, V(/on/the/host:/in/the/container[:ro]). O(spec.state_dir) is always mounted.
        type: list
        elements: str
      user:
        description: User in the container, as V(uid:gid) or a name of the image; without image a user of the instance.
        type: str
      shm_size:
        description: Size of C(/dev/shm), such as V(8g).
        type: str
      gpus:
        description: V(auto) gives all GPUs to the container where there are any, V(all) insists on them.
        type: str
        choices: [auto, none, all]
        default: auto
      state_dir:
        description: Directory of checkpoints and ledger, mounted in the container at the same path.
        type: path
      stop_grace:
        description: Seconds between SIGTERM and SIGKILL.
        type: int
        default: 60
      time_limit:
        description:
          - Seconds after which a run is stopped and counts as failed. What a run used that AWS or a fault has cut off
            counts for the next one.
        type: int
      network:
        description: Network of the container.
        type: str
        choices: [bridge, host]
        default: bridge
      secrets:
        description:
          - Names of O(env) that the job gets as files, in the directory of its variable C(SPOT_SECRETS_DIR), which is
            C(/run/secrets) in a container, and not in its environment.
        type: list
        elements: str
      extra_args:
        description: Further arguments of C(docker run).
        type: list
        elements: str
      pull:
        description:
          - V(always) asks the registry at each run, except for an image that is named by its digest and is there.
          - V(missing) asks only for an image that is not there.
        type: str
        choices: [always, missing]
        default: always
      build:
        description:
          - Build O(spec.image) on the instance before each run, with docker's own cache, instead of pulling it -
            C(context) (a directory), C(dockerfile) (starting from there), C(args) and C(target).
        type: dict
        suboptions:
          context:
            description: Directory on the instance.
            type: path
            required: true
          dockerfile:
            description: Path, from the context.
            type: str
            default: Dockerfile
          args:
            description: Names and values for C(ARG). They are no secrets.
            type: dict
          target:
            description: Stage to stop at.
            type: str
      archive:
        description:
          - Load O(spec.image) from this file on the instance, which C(docker save) has made, instead of pulling it.
          - It is loaded again only when it has changed.
        type: path
      retries:
        description:
          - Start a job that failed again so many times, on the same instance, after 10 seconds and then ever longer, at
            most 5 minutes. Not after a stop, the time limit, a kill (137) or a command that cannot be run (125 to 127).
        type: int
        default: 0
      matrix:
        description:
          - Names with lists of values. Every combination is run, those of this instance one after the other, which are
            number O(rank), O(rank) + O(count) and so on. Each has its values in its environment and instead of
            C($(NAME)) in O(spec.command) or O(spec.scripts), and a state directory of its own below
            O(spec.state_dir)C(/matrix).
          - Combinations that have ended are not run again. One that fails does not stop the others.
          - At most 256 combinations.
        type: dict
  env:
    description:
      - Environment of the container as V(NAME=value). Written to a file that only root can read, and never shown.
    type: list
    elements: str
    default: []
  owner:
    description: User (name or number) to whom a new O(spec.state_dir) belongs.
    type: str
  group:
    description: Group (name or number) to which a new O(spec.state_dir) belongs.
    type: str
  rerun:
    description: Run the job once more, even if it has come to its end; stop it first if it runs.
    type: bool
    default: false
  asked:
    description:
      - What was asked for instead of the job of the profile - C(command), C(image) and C(params) (names and values of
        the environment) - and is in O(spec) and O(env) already. It is kept in the ledger, for O(resume).
    type: dict
  resume:
    description:
      - Go on with what ran last, by the ledger - a job that was O(asked) for and has not come to its end is taken
        instead of O(spec); one that has ended on this instance is not followed by that of O(spec).
    type: bool
    default: false
  failed_only:
    description:
      - With O(rerun=true), leave alone what runs or has succeeded; of a O(spec.matrix) run those combinations once
        more that have not succeeded.
    type: bool
    default: false
  replace:
    description: End a job that runs with another spec and start this one. Without it, such a job is an error.
    type: bool
    default: false
  state:
    description:
      - V(prepared) only begins to pull the image in the background, where docker is there and the image is not, so that
        it comes while volumes and data are put in place. What goes wrong with it is told when the job is started.
      - V(started) as described. V(stopped) ends a running job with its grace, and waits until its results are sent
        where M(experiments.spot.results_pusher) was set up.
      - V(absent) also removes unit, runner and files. The ledger stays.
    type: str
    choices: [prepared, started, stopped, absent]
    default: started
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
    details: [The environment is not part of it.]
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: partial
    details: [Not with O(rerun=true).]
"""

EXAMPLES = r"""
- name: Start the job
  experiments.spot.job:
    experiment: mnist
    instance_id: i-0123456789abcdef0
    machine: {type: g5.xlarge, zone: us-east-1a, region: us-east-1, lifecycle: spot, spot_price: 0.42}
    spec:
      image: ghcr.io/alice/train:3
      command: [python, train.py, --epochs, "10"]
      mounts: ["/home/ubuntu/code:/code:ro"]
      state_dir: /mnt/data/mnist
      time_limit: 36000
    env: ["SPOT_STATE_DIR=/mnt/data/mnist", "WANDB_API_KEY={{ lookup('env', 'WANDB_API_KEY') }}"]

- name: Stop it
  experiments.spot.job:
    state: stopped
"""

RETURN = r"""
action:
  description: What was done, or would be done in check mode.
  type: str
  returned: success
  sample: start
reason:
  description: Why.
  type: str
  returned: success
  sample: not run yet
state_dir:
  description: Directory of checkpoints and ledger.
  type: str
  returned: success and state=started
  sample: /mnt/data/mnist
ledger_path:
  description: Path of the ledger.
  type: str
  returned: success and state=started
  sample: /mnt/data/mnist/ledger.json
unit_active:
  description: Whether the job runs.
  type: bool
  returned: success and state=prepared
code:
  description: Repository, version and commit of the job that was started here last.
  type: dict
  returned: success and state=prepared
written:
  description: Files that were written.
  type: list
  elements: str
  returned: success
  sample: [/etc/experiments-spot/job.json]
"""

import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._commands import commands
from ansible_collections.experiments.spot.plugins.module_utils._job import remote, runner
from ansible_collections.experiments.spot.plugins.module_utils._job.runner import (
    RESULTS_CONFIG,
    RESULTS_UNIT,
    pull_argv,
    read_results,
)
from ansible_collections.experiments.spot.plugins.module_utils._job.spec import (
    CONF_DIR,
    JOB_ENV,
    JOB_JSON,
    RUNNER_DIR,
    RUNNER_PATH,
    UNIT,
    UNIT_PATH,
    check_spec,
    env_text,
    job_document,
    json_text,
    unit_text,
    with_asked,
)
from ansible_collections.experiments.spot.plugins.module_utils._job.state import (
    Current,
    Decision,
    asked_last,
    decide,
    has_ended_here,
    is_active,
)

PULL_UNIT = "experiments-spot-pull.service"
SPEC_OPTIONS: dict[str, Any] = {
    "image": {"type": "str"},
    "command": {"type": "list", "elements": "str"},
    "scripts": {"type": "list", "elements": "str"},
    "python": {"type": "list", "elements": "str"},
    "code": {"type": "dict"},
    "workdir": {"type": "str"},
    "mounts": {"type": "list", "elements": "str"},
    "user": {"type": "str"},
    "shm_size": {"type": "str"},
    "gpus": {"type": "str", "choices": ["auto", "none", "all"], "default": "auto"},
    "state_dir": {"type": "path"},
    "stop_grace": {"type": "int", "default": 60},
    "time_limit": {"type": "int"},
    "network": {"type": "str", "choices": ["bridge", "host"], "default": "bridge"},
    # Names, not values.
    "secrets": {"type": "list", "elements": "str", "no_log": False},
    "extra_args": {"type": "list", "elements": "str"},
    "pull": {"type": "str", "choices": ["always", "missing"], "default": "always"},
    "build": {
        "type": "dict",
        "options": {
            "context": {"type": "path", "required": True},
            "dockerfile": {"type": "str", "default": "Dockerfile"},
            "args": {"type": "dict"},
            "target": {"type": "str"},
        },
    },
    "archive": {"type": "path"},
    "retries": {"type": "int", "default": 0},
    "matrix": {"type": "dict"},
}

MACHINE_OPTIONS: dict[str, Any] = {
    **{key: {"type": "str"} for key in ("type", "zone", "region", "lifecycle", "image_id", "launch_time")},
    **{key: {"type": "float"} for key in ("spot_price", "on_demand_price")},
}


def wanted_files(params: dict[str, Any], document: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Path to text and permissions of everything that a job consists of."""
    return {
        RUNNER_PATH: (remote.runner_source(), 0o644),
        JOB_JSON: (json_text(document), 0o644),
        JOB_ENV: (env_text(params["env"]), 0o600),
        UNIT_PATH: (unit_text(document), 0o644),
    }


def make_state_dir(module: AnsibleModule, path: str) -> bool:
    """Make the state directory; one that exists keeps its owner."""
    if os.path.isdir(path):
        return False
    if not module.check_mode:
        os.makedirs(path, mode=0o755)
        owner, group = (int(v) if v and v.isdigit() else v for v in (module.params["owner"], module.params["group"]))
        if owner or group:
            shutil.chown(path, owner or None, group or None)  # type: ignore[arg-type]
    return True


def to_start(params: dict[str, Any], run: remote.Run) -> tuple[dict[str, Any], dict[str, Any], Current, Decision]:
    """The options with what is gone on with instead, their document, what is there, and what to do.

    Raises:
        RemoteError: wrong options, or nothing may be done.
    """
    errors = check_spec(params["spec"], params["env"])
    if errors:
        raise remote.RemoteError("; ".join(errors))
    document = job_document(params)
    runs = remote.read_runs(document["ledger"]) if params["resume"] else []
    if asked_last(runs):
        params = with_asked(params, asked_last(runs))
        document = job_document(params)
    current = remote.read_current(run, document["ledger"], env_text(params["env"]))
    if has_ended_here(runs, params["instance_id"]) and not params["rerun"]:
        decision = Decision("none", "another job was started here last, and it has ended")
    else:
        decision = decide(document, current, params["rerun"], params["replace"], params["failed_only"])
    if decision.error:
        raise remote.RemoteError(decision.error)
    return params, document, current, decision


def start(module: AnsibleModule, run: remote.Run) -> dict[str, Any]:
    """state=started."""
    params, document, current, decision = to_start(module.params, run)
    known = {"state_dir": document["state_dir"], "ledger_path": document["ledger"]}
    if decision.action == "none":
        return result(decision, [], {}, {}) | known
    if params["rerun"] and "matrix" in document:
        document["rerun"] = {"id": runner.now(), "failed_only": params["failed_only"]}
    files = wanted_files(params, document)
    written = sorted(path for path, (text, mode) in files.items() if remote.file_differs(path, text, mode))
    if not module.check_mode:
        if decision.action == "restart":
            remote.systemctl(run, "stop", UNIT)
        make_state_dir(module, document["state_dir"])
        for path in written:
            remote.write_file(path, *files[path])
        if UNIT_PATH in written or current.unit.get("NeedDaemonReload") == "yes":
            remote.systemctl(run, "daemon-reload")
        remote.systemctl(run, "start", UNIT)
    before = {"job": current.document, "running": is_active(current.unit)}
    return result(decision, written, before, {"job": document, "running": True}) | known


def prepare(module: AnsibleModule, run: remote.Run) -> dict[str, Any]:
    """state=prepared: the image comes while other things are done; what becomes of that is seen when the job starts."""
    image = str((module.params["spec"] or {}).get("image") or "")
    active = is_active(remote.show_unit(run))
    pull = bool(image) and not active and shutil.which("docker") is not None and not has_image(run, image)
    if pull and not module.check_mode:
        # Where one is pulled already the unit exists; the engine joins pulls of the same image anyway.
        run(["systemd-run", "--unit", PULL_UNIT, "--collect", "--quiet", *pull_argv(image)])
    decision = Decision("pull" if pull else "none", "the image is not there" if pull else "nothing to pull")
    return result(decision, [], {}, {}) | {"unit_active": active, "code": remote.read_document().get("code") or {}}


def has_image(run: remote.Run, image: str) -> bool:
    """Whether the engine has an image."""
    return run(["docker", "image", "inspect", "--format", "ok", image])[0] == 0


def stop(module: AnsibleModule, run: remote.Run) -> dict[str, Any]:
    """state=stopped and state=absent."""
    current = Current(remote.show_unit(run), remote.read_document())
    active = is_active(current.unit) or current.unit.get("ActiveState") == "deactivating"
    absent = module.params["state"] == "absent"
    paths = [path for path in (UNIT_PATH, JOB_JSON, JOB_ENV, RUNNER_PATH) if absent and os.path.exists(path)]
    if not module.check_mode:
        if active:
            remote.systemctl(run, "stop", UNIT)
        send_results(module, run, active)
        remove(run, paths)
    action = "remove" if paths else "stop" if active else "none"
    before = {"job": current.document, "running": active}
    after = {"job": {} if absent else current.document, "running": False}
    return result(Decision(action, "asked for" if action != "none" else "not running"), paths, before, after)


def send_results(module: AnsibleModule, run: remote.Run, active: bool) -> None:
    """Send what a job that was stopped has left, or what could not be sent when it ended; who closes must know."""
    if not os.path.exists(RESULTS_CONFIG) or not (active or read_results({}).get("message")):
        return
    if run(["systemctl", "start", RESULTS_UNIT])[0]:
        module.warn(f"the results were not sent: {read_results({}).get('message') or RESULTS_UNIT}")


def remove(run: remote.Run, paths: list[str]) -> None:
    """Remove files, their directories once empty, and the unit from systemd's memory."""
    for path in paths:
        os.unlink(path)
    for folder in (CONF_DIR, RUNNER_DIR):
        if paths and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
    if UNIT_PATH in paths:
        remote.systemctl(run, "daemon-reload")


def result(decision: Decision, written: list[str], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The module's answer."""
    return {
        "changed": decision.action != "none",
        "action": decision.action,
        "reason": decision.reason,
        "written": written,
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "experiment": {"type": "str"},
            "name": {"type": "str", "default": "job"},
            "generation": {"type": "int", "default": 1},
            "rank": {"type": "int", "default": 0},
            "count": {"type": "int", "default": 1},
            "instance_id": {"type": "str"},
            "machine": {"type": "dict", "options": MACHINE_OPTIONS},
            "spec": {"type": "dict", "options": SPEC_OPTIONS},
            # A list of NAME=value, because Ansible hides each hidden string wherever it occurs: a hidden "0" or "1"
            # would make every other output unreadable.
            "env": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "rerun": {"type": "bool", "default": False},
            "asked": {"type": "dict"},
            "resume": {"type": "bool", "default": False},
            "failed_only": {"type": "bool", "default": False},
            "replace": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["prepared", "started", "stopped", "absent"], "default": "started"},
        },
        required_if=[("state", "started", ("experiment", "spec"))],
        supports_check_mode=True,
    )

    run = commands(module)
    try:
        act = {"prepared": prepare, "started": start}.get(module.params["state"], stop)
        module.exit_json(**act(module, run))
    except (remote.RemoteError, OSError, LookupError) as error:
        module.fail_json(msg=f"job: {error}")


if __name__ == "__main__":
    main()
