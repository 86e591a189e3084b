# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is waited for, as data: botocore has no waiters for EFS.

PRIVATE to the collection. Source: EFS API, LifeCycleState of file systems and mount targets; botocore waiter model 2.
"""

from __future__ import annotations

import contextlib
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    from botocore.exceptions import WaiterError
    from botocore.waiter import WaiterModel, create_waiter_with_client

POLL = 2  # seconds between two looks; a file system takes some 5 s, a mount target one to two minutes


def _becomes(state: str, operation: str, kind: str, bad: tuple[str, ...]) -> dict[str, Any]:
    path = f"{kind}[].LifeCycleState"
    failing = [{"state": "failure", "matcher": "pathAny", "argument": path, "expected": one} for one in bad]
    good = {"state": "success", "matcher": "pathAll", "argument": path, "expected": state}
    return {"operation": operation, "delay": POLL, "maxAttempts": 60, "acceptors": [*failing, good]}


def _gone(operation: str, kind: str) -> dict[str, Any]:
    absent = {"state": "success", "matcher": "error", "expected": "FileSystemNotFound"}
    empty = {"state": "success", "matcher": "path", "argument": f"length({kind}) == `0`", "expected": True}
    return {"operation": operation, "delay": POLL, "maxAttempts": 60, "acceptors": [absent, empty]}


SYSTEMS, TARGETS = "DescribeFileSystems", "DescribeMountTargets"
MODEL: dict[str, Any] = {
    "version": 2,
    "waiters": {
        "FileSystemAvailable": _becomes("available", SYSTEMS, "FileSystems", ("error", "deleting", "deleted")),
        "MountTargetsAvailable": _becomes("available", TARGETS, "MountTargets", ("error", "deleted")),
        "MountTargetsGone": _gone(TARGETS, "MountTargets"),
        "FileSystemGone": _gone(SYSTEMS, "FileSystems"),
    },
}
WORDS = {
    "FileSystemAvailable": "is not available",
    "MountTargetsAvailable": "has no mount targets that are available",
    "MountTargetsGone": "still has mount targets",
    "FileSystemGone": "is still there",
}


class WaitError(Exception):
    """What was waited for did not come; the text is for the user."""


def wait(efs: Any, name: str, file_system_id: str, timeout: float, poll: float = POLL) -> None:
    """Wait for one of `MODEL`.

    Args:
        efs: client.
        name: which.
        file_system_id: of which file system.
        timeout: seconds.
        poll: seconds between two looks.

    Raises:
        WaitError: the time is over, or it can never come.
    """
    waiter: Any = create_waiter_with_client(name, WaiterModel(MODEL), efs)
    attempts = max(1, int(timeout / poll) if poll else 60)
    try:
        waiter.wait(FileSystemId=file_system_id, WaiterConfig={"Delay": poll, "MaxAttempts": attempts})
    except WaiterError as error:
        answer: Any = error.last_response or {}
        states = [
            str(one["LifeCycleState"]) for kind in ("MountTargets", "FileSystems") for one in answer.get(kind) or []
        ]
        seen = ", ".join(sorted(set(states))) or str((answer.get("Error") or {}).get("Code") or "nothing")
        over = f" after {timeout:g} s" if "Max attempts" in str(error) else ""
        raise WaitError(f"{file_system_id} {WORDS[name]}{over} (AWS says: {seen})") from error
