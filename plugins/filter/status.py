# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that turns experiments and what their hosts said into rows of the status table."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def _age(launch_time: str | None, now: datetime) -> float | None:
    if not launch_time:
        return None
    started = datetime.fromisoformat(str(launch_time).replace("Z", "+00:00"))
    return max(0.0, (now - started).total_seconds())


def _job_state(instance: dict[str, Any], job: dict[str, Any] | None) -> str:
    if instance["state"] != "running":
        return f"({instance['state']})"
    if job is None or job.get("unreachable"):
        return "(unreachable)"
    state = job.get("state") or "none"
    return f"{state} ({job['exit_code']})" if state == "failed" and job.get("exit_code") is not None else state


def _volumes(volumes: list[dict[str, Any]]) -> str:
    return ", ".join(f"{volume['name'] or volume['volume_id']} {volume['size']} GiB" for volume in volumes)


def status_rows(
    experiments: list[dict[str, Any]], jobs: dict[str, dict[str, Any]], now: datetime | None = None
) -> list[dict[str, Any]]:
    """One row an instance, and one for an experiment of which only volumes remain.

    Args:
        experiments: RV(experiments) of M(experiments.spot.experiment_info).
        jobs: What M(experiments.spot.job_info) said, by ID of the instance that was asked (a host where no job was ever
            started cannot tell its ID); one that did not answer has C(unreachable) or is not there.
        now: The present time (UTC), for the age in seconds.

    Returns:
        Rows with experiment, job_state, instance_type, zone, age (s), cost_so_far (USD), address, volumes and the
        ids, sorted by experiment and rank. Nothing a terminal or JSON cannot show.
    """
    now = now or datetime.now(timezone.utc)
    rows: list[dict[str, Any]] = []
    for experiment in sorted(experiments, key=lambda item: item["experiment"]):
        volumes = _volumes(experiment.get("volumes", []))
        base = {"experiment": experiment["experiment"], "profile": experiment.get("profile"), "volumes": volumes}
        for instance in sorted(experiment.get("instances", []), key=lambda item: item.get("rank") or 0):
            job = jobs.get(instance["instance_id"])
            rows.append(
                base
                | {key: instance.get(key) for key in ("instance_id", "instance_type", "zone", "address", "rank")}
                | {
                    "job_state": _job_state(instance, job),
                    "exit_code": (job or {}).get("exit_code"),
                    "age": _age(instance.get("launch_time"), now),
                    "price": instance.get("price"),
                    "cost_so_far": instance.get("cost_so_far"),
                    "generation": experiment.get("generation"),
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
