#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: set up or remove the pusher of results on an instance, and bring earlier results back to it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: results_pusher
short_description: Set up or remove the pusher of results on an instance
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance. Writes a small program, its configuration and systemd units that send what is new and complete
    in some directories to a bucket, with the rights of the role of the instance. The controller may vanish.
  - It sends every O(interval) seconds, when the job has ended and when AWS announces to take the instance. Files that
    are being written are left for later. The manifest C(LATEST) is written last, so a reader never sees half a
    checkpoint.
  - Setting it up makes this instance the owner of the results, which also proves that its role may write there, and
    fills directories that are empty with what C(LATEST) names.
  - The AWS SDK must be there, the instance's own (boto3 1.36 or newer) or in C(/usr/local/lib/experiments-spot/sdk),
    where the role P(experiments.spot.results#role) puts it; with Python 3.10 or newer.
options:
  bucket:
    description:
      - Bucket and prefix, V(s3://BUCKET/PREFIX). The experiment's name is added. Required for O(state=started).
    type: str
  experiment:
    description: Name of the experiment. Required for O(state=started).
    type: str
  instance_id:
    description: ID of the instance. Required for O(state=started).
    type: str
  generation:
    description: Generation of the instance.
    type: int
    default: 1
  rank:
    description: Rank of the instance within its experiment.
    type: int
    default: 0
  count:
    description: Number of instances of the experiment; with more than one each has a prefix of its own.
    type: int
    default: 1
  paths:
    description: Directories whose files are results.
    type: list
    elements: path
    default: []
  state_dir:
    description: State directory of the job, with its ledger and what it tells of its progress.
    type: path
  exclude:
    description: Patterns of files that are not sent.
    type: list
    elements: str
    default: []
  checkpoints:
    description: Patterns of directories, or of files, that are only sent when they are whole.
    type: list
    elements: str
    default: []
  interval:
    description: Seconds between two pushes while the job runs, V(0) for none.
    type: int
    default: 60
  storage_class:
    description: Storage class of the objects.
    type: str
  kms_key_id:
    description: KMS key to encrypt the objects with.
    type: str
  region:
    description: Region of the bucket, as far as it is known.
    type: str
  endpoint:
    description: Address of an S3 that is not AWS's.
    type: str
  restore:
    description: Whether empty directories are filled.
    type: bool
    default: true
  owner:
    description: User (name or number) to whom a new directory belongs.
    type: str
  group:
    description: Group (name or number) to which a new directory belongs.
    type: str
  state:
    description: V(started) as described. V(absent) stops the pusher, also a push that runs, and removes all its
      files, on the instance only.
    type: str
    choices: [started, absent]
    default: started
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: partial
    details: [What would be restored is not predicted.]
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Send results to a bucket
  experiments.spot.results_pusher:
    bucket: s3://my-bucket/runs
    experiment: mnist
    instance_id: i-0123456789abcdef0
    paths: [/home/ubuntu/mnist]
    state_dir: /home/ubuntu/mnist
    checkpoints: [checkpoints/*]

- name: Send no more
  experiments.spot.results_pusher:
    state: absent
"""

RETURN = r"""
written:
  description: Files that were written or removed.
  type: list
  elements: str
  returned: success
  sample: [/etc/experiments-spot/results.json]
url:
  description: Where the results go.
  type: str
  returned: success and state=started
  sample: s3://my-bucket/runs/mnist/
restored:
  description:
    - What was brought back - C(files), C(bytes) and, of the manifest, C(from_generation), C(from_step) and
      C(from_time).
    - Empty in check mode.
  type: dict
  returned: success and state=started
"""

import grp
import json
import os
import pwd
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._commands import commands
from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._job.state import is_active, parse_show
from ansible_collections.experiments.spot.plugins.module_utils._results import fetch, files, plan, pusher, spec, store
from ansible_collections.experiments.spot.plugins.module_utils._sources import source_of

PARTS = (fetch, files, plan, pusher, store)
INIT = '"""Results in a bucket, written by experiments.spot."""\n'
UNITS = (spec.SERVICE_PATH, spec.TIMER_PATH)


def find_python(run: remote.Run) -> str:
    """The instance's Python that the SDK runs on.

    Raises:
        RemoteError: none is new enough.
    """
    least = ".".join(map(str, spec.LEAST_PYTHON))
    test = f"import sys; raise SystemExit(sys.version_info < {spec.LEAST_PYTHON})"
    for path in spec.PYTHONS:
        if os.path.exists(path) and run([path, "-c", test])[0] == 0:
            return path
    raise remote.RemoteError(f"results need Python {least} or newer on the instance; install it, or use a newer image")


def wanted_files(params: dict[str, Any], python: str) -> dict[str, tuple[str, int]]:
    """Path to text and permissions of everything that the pusher consists of."""
    texts = {f"{spec.PACKAGE_DIR}/{part.__name__.rpartition('.')[2]}.py": source_of(part) for part in PARTS}
    texts[f"{spec.PACKAGE_DIR}/__init__.py"] = INIT
    document = {**spec.config_document(params), **ids_of(params)}
    texts[spec.CONFIG_PATH] = spec.json_text(document)
    texts[spec.SERVICE_PATH] = spec.service_text(python)
    if params["interval"]:
        texts[spec.TIMER_PATH] = spec.timer_text(params["interval"])
    return {path: (text, 0o644) for path, text in texts.items()}


def ids_of(params: dict[str, Any]) -> dict[str, int]:
    """Numbers of the owner of new directories.

    Raises:
        RemoteError: there is no such user or group.
    """
    owner, group = params["owner"] or "0", params["group"] or "0"
    try:
        uid = int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise remote.RemoteError(f"owner or group: {error.args[0]}") from error
    return {"uid": uid, "gid": gid}


def show_timer(run: remote.Run) -> dict[str, str]:
    """Properties of the timer, {} where systemd does not answer."""
    rc, out, _err = run(["systemctl", "show", spec.TIMER, "--property", "LoadState,ActiveState,UnitFileState"])
    return parse_show(out) if rc == 0 else {}


def start(params: dict[str, Any], check_mode: bool, run: remote.Run) -> dict[str, Any]:
    """state=started.

    Raises:
        RemoteError: an option cannot be used, the role may not, or not everything was restored.
    """
    errors = spec.check_params(params)
    if errors:
        raise remote.RemoteError("; ".join(errors))
    python = find_python(run)
    wanted = wanted_files(params, python)
    before = pusher.read_json(spec.CONFIG_PATH)
    written = sorted(path for path, (text, mode) in wanted.items() if remote.file_differs(path, text, mode))
    gone = [spec.TIMER_PATH] if not params["interval"] and os.path.exists(spec.TIMER_PATH) else []
    idle = bool(params["interval"]) and not is_active(show_timer(run))
    restored: dict[str, Any] = {}
    if not check_mode:
        for path in written:
            remote.write_file(path, *wanted[path])
        if gone:
            remote.systemctl(run, "disable", "--now", spec.TIMER)
            os.unlink(spec.TIMER_PATH)
        if gone or set(written) & set(UNITS):
            remote.systemctl(run, "daemon-reload")
        restored = restore(python)
        if params["interval"] and (idle or spec.TIMER_PATH in written):
            remote.systemctl(run, "enable", spec.TIMER)
            remote.systemctl(run, "restart", spec.TIMER)
    after = json.loads(wanted[spec.CONFIG_PATH][0])
    return {
        "changed": bool(written or gone or idle or restored.get("files")),
        "written": [*written, *gone],
        "url": plan.Place(after["bucket"], after["prefix"]).url,
        "restored": restored,
        "diff": {"before": before, "after": after},
    }


def restore(python: str) -> dict[str, Any]:
    """Take the results over and fill what is empty, by the pusher itself: with the Python that its SDK needs.

    Raises:
        RemoteError: why it did not work.
    """
    done = subprocess.run(
        [python, "-B", "-m", "results.pusher", "restore"],
        cwd=spec.BASE_DIR, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    try:
        answer = dict(json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError) as error:
        said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise remote.RemoteError(f"the pusher does not run: {said}") from error
    if answer.get("error"):
        raise remote.RemoteError(str(answer["error"]))
    return answer


def stop(check_mode: bool, run: remote.Run) -> dict[str, Any]:
    """state=absent."""
    names = os.listdir(spec.PACKAGE_DIR) if os.path.isdir(spec.PACKAGE_DIR) else []
    package = [f"{spec.PACKAGE_DIR}/{name}" for name in sorted(names)]
    paths = [path for path in (*UNITS, spec.CONFIG_PATH, pusher.STATUS, pusher.CACHE) if os.path.exists(path)] + package
    before = pusher.read_json(spec.CONFIG_PATH)
    if paths and not check_mode:
        if spec.TIMER_PATH in paths:
            remote.systemctl(run, "disable", "--now", spec.TIMER)
        remote.systemctl(run, "stop", spec.SERVICES)  # a push that runs would write its notes again
        for path in paths:
            os.unlink(path)
        if package:
            os.rmdir(spec.PACKAGE_DIR)
        remote.systemctl(run, "daemon-reload")
        remote.systemctl(run, "reset-failed", spec.SERVICES)  # systemd remembers a unit that failed, also without file
    return {"changed": bool(paths), "written": paths, "diff": {"before": before, "after": {}}}


def main() -> None:
    """Entry point."""
    texts: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "bucket": {"type": "str"},
            "experiment": {"type": "str"},
            "instance_id": {"type": "str"},
            "generation": {"type": "int", "default": 1},
            "rank": {"type": "int", "default": 0},
            "count": {"type": "int", "default": 1},
            "paths": {"type": "list", "elements": "path", "default": []},
            "state_dir": {"type": "path"},
            "exclude": texts,
            "checkpoints": texts,
            "interval": {"type": "int", "default": 60},
            "storage_class": {"type": "str"},
            "kms_key_id": {"type": "str", "no_log": False},
            "region": {"type": "str"},
            "endpoint": {"type": "str"},
            "restore": {"type": "bool", "default": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "state": {"type": "str", "choices": ["started", "absent"], "default": "started"},
        },
        required_if=[("state", "started", ("bucket", "experiment", "instance_id"))],
        supports_check_mode=True,
    )

    run = commands(module)
    params = module.params
    try:
        if params["state"] == "started":
            module.exit_json(**start(params, module.check_mode, run))
        module.exit_json(**stop(module.check_mode, run))
    except (remote.RemoteError, OSError) as error:
        module.fail_json(msg=f"results_pusher: {error}")


if __name__ == "__main__":
    main()
