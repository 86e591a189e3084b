# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The job as files: job.json, the environment file and the unit. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._job import matrix

UNIT = "experiments-spot-job.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
CONF_DIR = "/etc/experiments-spot"
JOB_JSON = f"{CONF_DIR}/job.json"
JOB_ENV = f"{CONF_DIR}/job.env"
RUNNER_DIR = "/usr/local/lib/experiments-spot"
RUNNER_PATH = f"{RUNNER_DIR}/job.py"
# The unit waits this much longer than the container's grace, for the engine and the ledger.
STOP_SLACK = 15
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def sha256_of(spec: dict[str, Any]) -> str:
    """Hash of what a run is made of: keys that are not set do not count, nor does their order."""
    given = {key: value for key, value in spec.items() if value not in (None, [], {})}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def check_spec(spec: dict[str, Any], env: list[str]) -> list[str]:
    """All mistakes that the types of the options cannot tell. Values of the environment never stand in a message."""
    errors = []
    if not any(spec.get(key) for key in ("image", "command", "scripts")):
        errors.append(
            "spec.image is missing: name the container image of the job, or a command or scripts to run without"
        )
    state_dir = spec.get("state_dir") or ""
    if not os.path.isabs(state_dir) or os.path.normpath(state_dir) == "/":
        errors.append(f"spec.state_dir {state_dir!r} is not an absolute path of a directory of its own")
    for mount in spec.get("mounts") or []:
        parts = mount.split(":")
        if len(parts) not in (2, 3) or not all(part.startswith("/") for part in parts[:2]):
            errors.append(f"spec.mounts {mount!r} is not /path/on/the/host:/path/in/the/container[:ro]")
    errors += [f"spec.matrix: {text}" for text in matrix.problems(spec.get("matrix") or {})]
    if spec.get("build") and spec.get("archive"):
        errors.append("spec.build and spec.archive exclude each other")
    if (spec.get("build") or spec.get("archive")) and not spec.get("image"):
        errors.append("spec.image is missing: it names what is built or loaded")
    if (spec.get("retries") or 0) < 0:
        errors.append(f"spec.retries {spec['retries']} is below 0")
    for number, pair in enumerate(env):
        errors += check_env(number, pair)
    return errors


def check_env(number: int, pair: str) -> list[str]:
    """Mistakes of one KEY=value: what an environment file of docker cannot carry.

    Source: docker run reference, --env-file: one variable a line, no quoting.
    """
    name, found, value = pair.partition("=")
    if not found or not ENV_NAME.fullmatch(name):
        return [f"env entry {number + 1} is not NAME=value with a name of letters, digits and underscores"]
    if "\n" in value or "\r" in value:
        return [f"env {name} has a line break, which an environment file cannot carry; put it in a file and mount that"]
    return []


def env_text(env: list[str]) -> str:
    """Text of the environment file, sorted by name so that order is no change."""
    return "".join(f"{pair}\n" for pair in sorted(env))


def job_document(params: dict[str, Any]) -> dict[str, Any]:
    """Content of job.json: the spec, who runs it and where its ledger is.

    Args:
        params: the module's options experiment, name, generation, rank, count, instance_id, machine and spec.
    """
    spec = {key: value for key, value in params["spec"].items() if value is not None}
    identity = {key: params[key] for key in ("experiment", "generation", "rank", "count", "instance_id")}
    lists = spec.pop("matrix", None)
    if lists:
        own = matrix.share({**spec, "matrix": lists}, params["rank"], params["count"])
        spec.update(matrix=own, matrix_total=matrix.size_of(lists))
    asked = {"asked": params["asked"]} if params.get("asked") else {}
    machine = {key: value for key, value in (params.get("machine") or {}).items() if value not in (None, "")}
    return {
        "schema": 1,
        **identity,
        **asked,
        "job": params["name"],
        **spec,
        "container": f"spot-{params['experiment']}-{params['name']}",
        "env_file": JOB_ENV,
        "ledger": os.path.join(spec["state_dir"], "ledger.json"),
        "spec_sha256": sha256_of(params["spec"]),
        **({"machine": machine} if machine else {}),
    }


def with_asked(params: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The module's options for a job that was asked for instead of that of the profile.

    Args:
        params: see `job_document`, and env.
        asked: command, image and params (names and values of the environment), each where it was asked for.
    """
    changes = {key: asked[key] for key in ("command", "image") if asked.get(key) is not None}
    if "image" in changes:
        changes.update(build=None, archive=None)  # it is pulled
    own = {str(name): str(value) for name, value in (asked.get("params") or {}).items()}
    env = [pair for pair in params["env"] if pair.partition("=")[0] not in own]
    env += [f"{name}={value}" for name, value in own.items()]
    return {**params, "asked": asked, "spec": {**params["spec"], **changes}, "env": env}


def json_text(document: dict[str, Any]) -> str:
    """A document as text that does not change by itself."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def unit_text(document: dict[str, Any]) -> str:
    """The systemd unit that owns the job.

    SIGTERM goes to the runner alone (mixed): it ends the container in order, then the whole group is killed.
    Source: systemd.unit(5), systemd.service(5), systemd.kill(5).
    """
    grace = document.get("stop_grace")
    stop = (60 if grace is None else int(grace)) + STOP_SLACK
    needs = "network-online.target docker.service" if document.get("image") else "network-online.target"
    mounts = " ".join(_quoted(path) for path in [document["state_dir"]])
    return f"""# Written by experiments.spot; changes here are lost at the next start of the job.
[Unit]
Description=Job {document["job"]} of experiment {document["experiment"]}
After={needs}
Wants={needs}
RequiresMountsFor={mounts}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/bin/python3 -u {RUNNER_PATH} {JOB_JSON}
KillMode=mixed
TimeoutStopSec={stop}
SuccessExitStatus=143
Restart=no
OOMPolicy=continue
"""


def _quoted(path: str) -> str:
    """A path for a list of paths in a unit: % is a specifier, blanks part."""
    path = path.replace("%", "%%")
    return f'"{path}"' if " " in path else path
