# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a job does now, from its unit and its ledger, and whether it must be started. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._job.runner import (
    EX_CANTCREAT,
    EX_CONFIG,
    OPEN_STATES,
    end_by_notice,
)

PROPERTIES = ("LoadState", "ActiveState", "SubState", "ExecMainStatus", "Result", "NeedDaemonReload", "InvocationID")
ACTIVE = ("active", "activating", "reloading")


@dataclass(frozen=True)
class Current:
    """What is on the instance.

    Attributes:
        unit: properties of the unit (systemctl show).
        document: content of job.json, {} when there is none.
        same_env: the environment file is the wanted one.
        runs: the runs of the ledger.
        notice: what the notice watcher wrote, {} when there is no notice.
    """

    unit: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    same_env: bool = True
    runs: list[dict[str, Any]] = field(default_factory=list)
    notice: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """`action` is none, start or restart; `error` forbids all."""

    action: str = "none"
    reason: str = ""
    error: str = ""


def parse_show(text: str) -> dict[str, str]:
    """Output of systemctl show."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def is_active(unit: dict[str, str]) -> bool:
    """Whether the runner runs."""
    return unit.get("ActiveState") in ACTIVE


def is_finished(run: dict[str, Any]) -> bool:
    """Whether the job itself came to its end: a run that never reached its container, or was stopped, has not."""
    state = run.get("state")
    return state == "succeeded" or (state == "failed" and run.get("exit_code") is not None)


def is_of(run: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a run is one of this spec on this instance in this generation."""
    keys = ("spec_sha256", "instance_id", "generation")
    return all(run.get(key) == document.get(key) for key in keys)


def asked_last(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What was asked for instead of the profile's job, where that ran last and has not come to its end; else {}."""
    last = runs[-1] if runs else {}
    asked = last.get("asked")
    return asked if isinstance(asked, dict) and not is_finished(last) else {}


def has_ended_here(runs: list[dict[str, Any]], instance_id: str | None) -> bool:
    """Whether a job that was asked for instead of the profile's ran last on this instance, to its end."""
    last = runs[-1] if runs else {}
    return bool(last.get("asked")) and is_finished(last) and last.get("instance_id") == instance_id


def changed_keys(old: dict[str, Any], new: dict[str, Any], same_env: bool) -> list[str]:
    """What differs between two job documents, for the user; where they run and at which price is no difference."""
    told = {*old, *new} - {"spec_sha256", "schema", "machine"}
    keys = sorted(key for key in told if old.get(key) != new.get(key))
    return keys if same_env else [*keys, "env"]


def decide(
    document: dict[str, Any], current: Current, rerun: bool, replace: bool = False, failed_only: bool = False
) -> Decision:
    """Whether the job must be started; never on an instance that has a notice: its volumes are being taken away.

    Args:
        document: the wanted job.json.
        current: what is there.
        rerun: the user asked for another run.
        replace: the user asked to end the job that runs, if another one does.
        failed_only: with `rerun`, what runs or has succeeded is left alone.
    """
    decision = _decide(document, current, rerun and not (failed_only and _is_well(document, current)), replace)
    _state, notice = end_by_notice(current.notice)
    if decision.action == "none" or not notice:
        return decision
    return Decision(error=f"no job is started here, this instance has a notice ({notice})")


def _is_well(document: dict[str, Any], current: Current) -> bool:
    """Whether this job runs here, or has succeeded here."""
    if current.document.get("spec_sha256") != document["spec_sha256"] or not current.same_env:
        return False
    last = last_run(current)
    return is_active(current.unit) or (is_of(last, document) and last.get("state") == "succeeded")


def _decide(document: dict[str, Any], current: Current, rerun: bool, replace: bool) -> Decision:
    same = current.document.get("spec_sha256") == document["spec_sha256"] and current.same_env
    if is_active(current.unit):
        return _decide_running(document, current, same, rerun, replace)
    last = last_run(current)
    if rerun or not same or not is_of(last, document) or not is_finished(last):
        return Decision("start", "asked for" if rerun else "not run yet")
    outcome = f"{last['state']}, exit code {last.get('exit_code')}"
    return Decision("none", f"this job has run here already ({outcome}); -e rerun=true runs it again")


def _decide_running(document: dict[str, Any], current: Current, same: bool, rerun: bool, replace: bool) -> Decision:
    if rerun or (replace and not same):
        return Decision("restart", "asked for")
    if same:
        return Decision("none", "running")
    keys = ", ".join(changed_keys(current.document, document, current.same_env)) or "spec"
    running = current.document.get("job", "a job")
    return Decision(
        error=f"{running} is running with another spec (changed: {keys}). Wait for it, or end it and start the new one"
        " with -e replace=true (or -e rerun=true)"
    )


def summary(current: Current) -> dict[str, Any]:
    """The job's state for people and programs, wherever ledger and unit disagree settled by what really runs.

    Returns:
        job, experiment, state, exit_code, message, started, finished, image, code, generation, rank, instance_id,
        machine (type, zone, prices …), matrix (of, done, failed, total, now), attempt, progress (start, step, of,
        unit), layers (done, of: of the image that is pulled), usage (of the machine), results (what the pusher did
        last), unit_active; every value None when nothing was ever started here.
    """
    document, unit = current.document, current.unit
    active = is_active(unit)
    last = last_run(current)
    if not is_of(last, document):
        last = {}
    keys = (
        "state",
        "exit_code",
        "message",
        "started",
        "finished",
        "image",
        "code",
        "generation",
        "rank",
        "instance_id",
        "machine",
        "matrix",
        "attempt",
        "progress",
        "layers",
        "usage",
        "results",
    )
    found = {key: last.get(key, document.get(key)) for key in keys}
    found["matrix"] = last.get("matrix")  # that of the document is what is to be run
    found.update(_settle(current, last, active))
    return {
        "job": document.get("job"),
        "experiment": document.get("experiment"),
        **found,
        "unit_active": active,
    }


def matrix_progress(facts: dict[str, Any]) -> str:
    """How far the matrix of a job is for people, such as `3/8`; "" without one."""
    matrix = facts.get("matrix")
    if not isinstance(matrix, dict) or not matrix.get("of"):
        return ""
    failed = f" ({matrix['failed']} failed)" if matrix.get("failed") else ""
    return f"{matrix.get('done')}/{matrix['of']}{failed}"


def layers_progress(facts: dict[str, Any]) -> str:
    """How far a pull is for people, such as `3/8 layers`; "" while that is not known."""
    layers = facts.get("layers")
    return f"{layers.get('done')}/{layers['of']} layers" if isinstance(layers, dict) and layers.get("of") else ""


def last_run(current: Current) -> dict[str, Any]:
    """The last run; after a notice the ledger may be unmounted, then the watcher has kept its last entry."""
    kept = current.notice.get("run")
    runs = current.runs or ([kept] if isinstance(kept, dict) else [])
    return dict(runs[-1]) if runs else {}


def _taken(notice: dict[str, Any], is_open: bool, last: dict[str, Any]) -> dict[str, Any]:
    """How a notice ended a run whose end no ledger tells."""
    state, message = end_by_notice(notice)
    if not state or notice.get("job") in ("none", "ended") or (last and not is_open):
        return {}
    return {"state": state, "message": message}


def _settle(current: Current, last: dict[str, Any], active: bool) -> dict[str, Any]:
    """What unit and notice know better than the last entry of the ledger."""
    unit = current.unit
    known = bool(current.document)
    is_open = last.get("state") in OPEN_STATES
    status = int(unit.get("ExecMainStatus") or 0)
    if active:
        fresh = {"state": "starting", "exit_code": None, "message": "", "started": None, "finished": None}
        saving = {"state": "saving", "exit_code": None, "finished": None}
        return {} if is_open else saving if last.get("saving") else fresh
    taken = _taken(current.notice, is_open, last) if known else {}
    if taken:
        return taken
    if is_open:
        return {
            "state": "failed",
            "exit_code": status or None,
            "message": "ended without a word (runner or engine lost)",
        }
    if status in (EX_CANTCREAT, EX_CONFIG) and last.get("exit_code") != status:
        what = "the ledger cannot be written" if status == EX_CANTCREAT else "the job's file is not usable"
        return {"state": "failed", "exit_code": status, "message": f"{what}; the log says why"}
    if known and not last and unit.get("Result") not in (None, "success"):
        return {"state": "failed", "exit_code": status or None, "message": f"the unit failed: {unit['Result']}"}
    return {}
