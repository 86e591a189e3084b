#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: set up or remove the watcher for AWS's notices on an instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: notice_watcher
short_description: Set up or remove the watcher for AWS's notices on an instance
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance. Writes a small program of Python's standard library, its configuration and the systemd unit
    C(experiments-spot-notice.service), and starts it. It asks the instance metadata service (IMDSv2) every few seconds
    whether AWS takes the instance, and listens on no port.
  - On a notice it stops the job with SIGTERM and the grace that the time allows, flushes and unmounts the volumes,
    detaches them if the role of the instance may do that, and calls a webhook if one is given.
    C(/run/experiments-spot/notice.json) says at every moment what was seen and done; M(experiments.spot.job_info)
    returns it.
  - It also ends the instance at O(expires), the time limit, and at O(idle_limit).
  - A metadata service that fails is never taken for a notice.
options:
  period:
    description: Seconds between two questions. AWS recommends 5.
    type: float
    default: 5
  rebalance:
    description:
      - What a rebalance recommendation does. V(ignore) only logs it. V(act) takes the same steps as for an
        interruption; what runs the experiment then ends the instance.
    type: str
    choices: [ignore, act]
    default: ignore
  expires:
    description:
      - When the instance must end, ISO 8601 in UTC. At that moment the job is stopped, the volumes are flushed and the
        machine is powered off, which ends an instance whose shutdown behaviour is V(terminate).
      - Two clocks must agree on it, of AWS's (as the metadata service tells it), the machine's and the uptime, so that
        no single wrong clock ends a job early.
    type: str
  end_after:
    description:
      - How long the instance stays after its job has ended, at least 30 seconds, so that whoever waits for the job
        hears of its end. Then the same is done as at O(expires). Without it the instance stays.
      - It stays as long as the file C(/run/experiments-spot/stay) is there, and while another job runs.
    type: dict
    suboptions:
      succeeded:
        description: Seconds after a job that succeeded.
        type: float
      failed:
        description: Seconds after a job that failed.
        type: float
  idle_limit:
    description:
      - For how many seconds nobody and nothing must have used the instance for it to end, as at O(expires); 0 for
        never.
      - Used means that the unit of the job runs (a notebook is a job), that somebody is logged in (ssh, Session
        Manager) or has left a tmux or screen, that more than half a processor was busy over the last minute, or that a
        GPU is busy by more than 5 percent.
      - It stays as long as the file C(/run/experiments-spot/stay) is there.
    type: float
    default: 0
  webhook:
    description:
      - Address that gets a POST of a JSON document when the steps are done, and when the job starts and ends. It may
        take 5 seconds.
    type: str
  volumes:
    description: Volumes to flush, unmount and detach.
    type: list
    elements: dict
    default: []
    suboptions:
      volume_id:
        description: ID of the volume.
        type: str
        required: true
      mount_point:
        description: Where it is mounted.
        type: path
        required: true
  job_unit:
    description: Unit to stop.
    type: str
    default: experiments-spot-job.service
  grace:
    description: Most seconds between SIGTERM and SIGKILL. A notice that leaves less gives less.
    type: int
    default: 60
  reserve:
    description: Seconds of a notice that are kept for the volumes, at most a third of it.
    type: int
    default: 20
  ledger:
    description: Path of the ledger. By default the one of the job.
    type: path
  detach:
    description:
      - Detach the volumes after they are unmounted, with the rights of the instance's role (C(ec2:DetachVolume)).
      - Without a role AWS detaches them when the instance has ended.
    type: bool
    default: true
  experiment:
    description: Name of the experiment, for the webhook and the unit's description.
    type: str
  generation:
    description: Generation of the instance, for the webhook.
    type: int
  rank:
    description: Rank of the instance, for the webhook.
    type: int
  instance_id:
    description: ID of the instance, for the webhook, the ledger and the detach.
    type: str
  region:
    description: Region of the instance. By default what the metadata service says.
    type: str
  imds_endpoint:
    description: Address of the metadata service, for those who do not use the usual one.
    type: str
  ec2_endpoint:
    description: Address of the EC2 API as the instance reaches it. By default that of the region.
    type: str
  state:
    description: V(started) as described. V(absent) stops the watcher and removes all its files.
    type: str
    choices: [started, absent]
    default: started
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
    details: [The path of the webhook is not part of it.]
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Watch for notices
  experiments.spot.notice_watcher:
    experiment: mnist
    instance_id: i-0123456789abcdef0
    expires: "2026-01-02T03:04:05Z"
    volumes:
      - {volume_id: vol-0123456789abcdef0, mount_point: /mnt/data}

- name: Watch no more
  experiments.spot.notice_watcher:
    state: absent
"""

RETURN = r"""
action:
  description: What was done, or would be done in check mode. V(none), V(start), V(restart) or V(remove).
  type: str
  returned: success
  sample: start
written:
  description: Files that were written or removed.
  type: list
  elements: str
  returned: success
  sample: [/etc/experiments-spot/notice.json]
notice:
  description: The notice that the watcher has seen, empty when there is none. See M(experiments.spot.job_info).
  type: dict
  returned: success
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._commands import commands
from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._job.state import is_active, parse_show
from ansible_collections.experiments.spot.plugins.module_utils._notice import (
    clocks,
    ec2,
    ended,
    idle,
    imds,
    news,
    steps,
    system,
    watcher,
)
from ansible_collections.experiments.spot.plugins.module_utils._notice.spec import (
    BASE_DIR,
    CONF_DIR,
    CONFIG_PATH,
    PACKAGE_DIR,
    UNIT,
    UNIT_PATH,
    check_params,
    config_document,
    json_text,
    shown,
    unit_text,
)
from ansible_collections.experiments.spot.plugins.module_utils._sources import source_of

PARTS = (clocks, ec2, ended, idle, imds, news, steps, system, watcher)
INIT = '"""The notice watcher, written by experiments.spot."""\n'
PROPERTIES = "LoadState,ActiveState,UnitFileState,NeedDaemonReload"


def wanted_files(params: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Path to text and permissions of everything that the watcher consists of."""
    package = {f"{PACKAGE_DIR}/{part.__name__.rpartition('.')[2]}.py": source_of(part) for part in PARTS}
    package[f"{PACKAGE_DIR}/__init__.py"] = INIT
    files = {path: (text, 0o644) for path, text in package.items()}
    # The address of a webhook may be all that protects it.
    files[CONFIG_PATH] = (json_text(config_document(params)), 0o600)
    files[UNIT_PATH] = (unit_text(params["experiment"]), 0o644)
    return files


def show_unit(run: remote.Run) -> dict[str, str]:
    """Properties of the unit, {} where systemd does not answer."""
    rc, out, _err = run(["systemctl", "show", UNIT, "--property", PROPERTIES])
    return parse_show(out) if rc == 0 else {}


def installed() -> dict[str, Any]:
    """The configuration that is there, without secrets."""
    return shown(system.read_json(CONFIG_PATH))


def decide(unit: dict[str, str], written: list[str]) -> str:
    """What must be done with the unit: none, start or restart."""
    if not is_active(unit) or unit.get("UnitFileState") != "enabled":
        return "start"
    return "restart" if written or unit.get("NeedDaemonReload") == "yes" else "none"


def start(params: dict[str, Any], check_mode: bool, run: remote.Run) -> dict[str, Any]:
    """state=started.

    Raises:
        RemoteError: an option cannot be used, or systemd refuses.
    """
    errors = check_params(params)
    if errors:
        raise remote.RemoteError("; ".join(errors))
    files = wanted_files(params)
    written = sorted(path for path, (text, mode) in files.items() if remote.file_differs(path, text, mode))
    unit, before = show_unit(run), installed()
    action = decide(unit, written)
    if action != "none" and not check_mode:
        for path in written:
            remote.write_file(path, *files[path])
        if UNIT_PATH in written or unit.get("NeedDaemonReload") == "yes":
            remote.systemctl(run, "daemon-reload")
        remote.systemctl(run, "enable", UNIT)
        remote.systemctl(run, "restart", UNIT)
    return result(action, written, (before, is_active(unit)), (shown(config_document(params)), True))


def stop(check_mode: bool, run: remote.Run) -> dict[str, Any]:
    """state=absent."""
    unit, before = show_unit(run), installed()
    names = os.listdir(PACKAGE_DIR) if os.path.isdir(PACKAGE_DIR) else []
    package = [f"{PACKAGE_DIR}/{name}" for name in sorted(names) if name.endswith(".py")]
    paths = [path for path in (UNIT_PATH, CONFIG_PATH) if os.path.exists(path)] + package
    here = bool(paths) or is_active(unit)
    if here and not check_mode:
        if unit.get("LoadState") == "loaded":
            remote.systemctl(run, "disable", "--now", UNIT)
        remove(paths)
        remote.systemctl(run, "daemon-reload")
    return result("remove" if here else "none", paths, (before, is_active(unit)), ({}, False))


def remove(paths: list[str]) -> None:
    """Remove files, and their directories once empty."""
    for path in paths:
        os.unlink(path)
    for folder in (PACKAGE_DIR, BASE_DIR, CONF_DIR):
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def result(
    action: str, written: list[str], before: tuple[dict[str, Any], bool], after: tuple[dict[str, Any], bool]
) -> dict[str, Any]:
    """The module's answer."""
    keys = ("config", "running")
    return {
        "changed": action != "none",
        "action": action,
        "written": written,
        "notice": remote.read_notice(),
        "diff": {"before": dict(zip(keys, before)), "after": dict(zip(keys, after))},
    }


ARGUMENTS: dict[str, Any] = {
    "period": {"type": "float", "default": 5},
    "rebalance": {"type": "str", "choices": ["ignore", "act"], "default": "ignore"},
    "expires": {"type": "str"},
    "webhook": {"type": "str", "no_log": True},
    "end_after": {
        "type": "dict",
        "options": {"succeeded": {"type": "float"}, "failed": {"type": "float"}},
    },
    "idle_limit": {"type": "float", "default": 0},
    "volumes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "volume_id": {"type": "str", "required": True},
            "mount_point": {"type": "path", "required": True},
        },
    },
    "job_unit": {"type": "str", "default": "experiments-spot-job.service"},
    "grace": {"type": "int", "default": 60},
    "reserve": {"type": "int", "default": 20},
    "ledger": {"type": "path"},
    "detach": {"type": "bool", "default": True},
    "experiment": {"type": "str"},
    "generation": {"type": "int"},
    "rank": {"type": "int"},
    "instance_id": {"type": "str"},
    "region": {"type": "str"},
    "imds_endpoint": {"type": "str"},
    "ec2_endpoint": {"type": "str"},
    "state": {"type": "str", "choices": ["started", "absent"], "default": "started"},
}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    run = commands(module)
    params = module.params
    try:
        if params["state"] == "started":
            module.exit_json(**start(params, module.check_mode, run))
        module.exit_json(**stop(module.check_mode, run))
    except (remote.RemoteError, OSError) as error:
        module.fail_json(msg=f"notice_watcher: {error}")


if __name__ == "__main__":
    main()
