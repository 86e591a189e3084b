# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that turns experiments and what their hosts said into rows of the status table."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status_rows
short_description: Experiments and what their hosts said, as rows of the status table
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Gives one row an instance, and one for an experiment of which only volumes remain.
positional: jobs
options:
  _input:
    description: The return value C(experiments) of M(experiments.spot.experiment_info).
    type: list
    elements: dict
    required: true
  jobs:
    description:
      - What M(experiments.spot.job_info) said, by ID of the instance that was asked, because a host where no job was
        ever started cannot tell its ID.
      - One that did not answer has V(unreachable=true), or is not there.
    type: dict
    required: true
  channels:
    description: The return value C(processes) of M(experiments.spot.channels_info).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show what runs
  experiments.spot.show:
    msg: "{{ rows | experiments.spot.table(['experiment', 'job_state']) }}"
  vars:
    rows: "{{ read.experiments | experiments.spot.status_rows({}) }}"
"""

RETURN = r"""
_value:
  description:
    - Rows with experiment, profile, job_state, exit_code, matrix (how far it is) and usage (of the machine, see
      M(experiments.spot.job_info)), commit (of the code from git), instance_id, instance_type,
      zone, address, rank, generation, age (in seconds), price (in USD an hour), cost_so_far (in USD), volumes and
      channels (those that keep going, see M(experiments.spot.channels_info), with the C(process) that moves them),
      sorted by experiment and rank.
    - Where AWS does not tell the price it is that of the ledger, of when the job began.
    - An experiment without an instance has only experiment, profile, job_state and volumes.
  type: list
  elements: dict
"""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

# The end that an instance brings about itself, as its notice watcher calls it.
LIMITS = {"expired": "time limit", "idle": "idle limit"}


def _age(launch_time: str | None, now: datetime) -> float | None:
    if not launch_time:
        return None
    started = datetime.fromisoformat(str(launch_time).replace("Z", "+00:00"))
    return max(0.0, (now - started).total_seconds())


def _job_state(instance: dict[str, Any], job: dict[str, Any] | None) -> str:
    from ansible_collections.experiments.spot.plugins.module_utils._job.state import layers_progress, matrix_progress

    if instance["state"] != "running":
        return f"({instance['state']})"
    if job is None or job.get("unreachable"):
        return "(unreachable)"
    state = job.get("state") or "none"
    if state == "failed" and job.get("exit_code") is not None:
        state = f"{state} ({job['exit_code']})"
    running = state == "running"
    notes = [
        matrix_progress(job) if running else "",
        layers_progress(job) if state == "pulling" else "",
        f"attempt {job['attempt']}" if running and job.get("attempt") else "",
        _progress(job) if running else "",
        _usage(job) if running else "",
        "AWS takes it" if instance.get("leaving") else "",
        LIMITS.get(str((job.get("notice") or {}).get("kind")), ""),
    ]
    notes.append("its file system does not answer" if job.get("storage_silent") else "")
    notes.append("results not sent" if (job.get("results") or {}).get("message") else "")
    return ", ".join(filter(None, [state, *notes]))


def _progress(job: dict[str, Any]) -> str:
    """How far a job is that tells it, in percent."""
    told = job.get("progress") or {}
    step, total = told.get("step"), told.get("of")
    if not isinstance(step, (int, float)) or not isinstance(total, (int, float)) or total <= 0:
        return ""
    return f"{100 * step / total:.0f} %"


def _usage(job: dict[str, Any]) -> str:
    """How busy the GPUs are, so that an idle one is seen."""
    gpu = (job.get("usage") or {}).get("gpu")
    return f"GPU {gpu:.0f} %" if isinstance(gpu, (int, float)) else ""


def _volumes(volumes: list[dict[str, Any]]) -> str:
    return ", ".join(f"{volume['name'] or volume['volume_id']} {volume['size']} GiB" for volume in volumes)


def _file_systems(file_systems: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['name']} EFS" for one in file_systems)


def _channels(processes: Sequence[dict[str, Any]], experiment: str, rank: int | None) -> list[dict[str, Any]]:
    """The channels that keep going for an instance, each with its process."""
    mine = [process for process in processes if process["experiment"] == experiment]
    facts = ("state", "pid", "host", "since", "at")
    return [
        {**line, "process": {key: process[key] for key in facts}}
        for process in mine
        for line in process["lines"]
        if line["rank"] == (rank or 0)
    ]


def _costs(instance: dict[str, Any], job: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    """Price and cost so far (USD); a price that AWS does not tell may stand in the ledger."""
    price, cost = instance.get("price"), instance.get("cost_so_far")
    machine = (job or {}).get("machine") or {}
    told = machine.get("spot_price" if machine.get("lifecycle") == "spot" else "on_demand_price")
    age = _age(instance.get("launch_time"), now)
    if price is None and isinstance(told, (int, float)):
        price, cost = told, None if age is None else round(told * age / 3600, 6)
    return {"price": price, "cost_so_far": cost}


def status_rows(
    experiments: list[dict[str, Any]],
    jobs: dict[str, dict[str, Any]],
    now: datetime | None = None,
    channels: Sequence[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """See the documentation of the filter; `now` (UTC) is for tests."""
    now = now or datetime.now(timezone.utc)
    rows: list[dict[str, Any]] = []
    for experiment in sorted(experiments, key=lambda item: item["experiment"]):
        kept = (_volumes(experiment.get("volumes", [])), _file_systems(experiment.get("file_systems", [])))
        volumes = ", ".join(filter(None, kept))
        base = {"experiment": experiment["experiment"], "profile": experiment.get("profile"), "volumes": volumes}
        for instance in sorted(experiment.get("instances", []), key=lambda item: item.get("rank") or 0):
            job = jobs.get(instance["instance_id"])
            rows.append(
                base
                | {key: instance.get(key) for key in ("instance_id", "instance_type", "zone", "address", "rank")}
                | {
                    "job_state": _job_state(instance, job),
                    "exit_code": (job or {}).get("exit_code"),
                    "matrix": (job or {}).get("matrix"),
                    "usage": (job or {}).get("usage"),
                    "commit": ((job or {}).get("code") or {}).get("commit"),
                    "age": _age(instance.get("launch_time"), now),
                    **_costs(instance, job, now),
                    "generation": instance.get("generation") or experiment.get("generation"),
                    "channels": _channels(channels, experiment["experiment"], instance.get("rank")),
                }
            )
        if not experiment.get("instances"):
            rows.append(base | {"job_state": "(no instance)"})
    return rows


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names as Jinja sees them."""
        return {"status_rows": status_rows}
