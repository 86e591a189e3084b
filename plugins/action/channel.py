# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Moves files between the controller and an instance with rsync; documentation in modules/channel.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Clock,
    Finished,
    Heartbeat,
    backoff,
    duration,
    is_quiet,
    run_watched,
    size,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import (
    OK,
    RETRY,
    WARN,
    Report,
    Transfer,
    Verdict,
    complaint,
    deletion_problem,
    diff_text,
    knows_zstd,
    rank_path,
    remote_path,
    rsync_argv,
    verdict,
)

display = Display()

TRIES = 3

SPEC: dict[str, Any] = {
    "direction": {"type": "str", "choices": ["in", "out"], "required": True},
    "local_path": {"type": "str", "required": True},
    "remote_path": {"type": "str", "required": True},
    "recursive": {"type": "bool", "default": True},
    "delete": {"type": "bool", "default": False},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "compress": {"type": "str", "choices": ["auto", "none", "zstd", "zlib"], "default": "auto"},
    "rank": {"type": "int", "default": 0},
    "count": {"type": "int", "default": 1},
    "quiet": {"type": "bool"},
}


def absolute(path: str) -> str:
    """An absolute local path that keeps its trailing slash, which means something to rsync."""
    full = os.path.abspath(os.path.expanduser(path))
    return full + "/" if path.endswith("/") and full != "/" else full


def transfer_of(args: dict[str, Any], compress: str, dry_run: bool) -> Transfer:
    """The transfer that the arguments ask for."""
    local = absolute(args["local_path"])
    if args["direction"] == "in":
        local = rank_path(local, args["rank"], args["count"])
    return Transfer(
        direction=args["direction"],
        local_path=local,
        remote_path=args["remote_path"],
        local_is_dir=os.path.isdir(local),
        recursive=args["recursive"],
        delete=args["delete"],
        exclude=tuple(args["exclude"]),
        compress=compress,
        dry_run=dry_run,
    )


def path_problems(transfer: Transfer) -> list[str]:
    """All that is wrong with the paths, before anything is moved."""
    problems = []
    if transfer.direction == "out" and not os.path.lexists(transfer.local_path.rstrip("/") or "/"):
        problems.append(f"local_path {transfer.local_path}: does not exist on this machine")
    elif transfer.direction == "out" and transfer.local_path.endswith("/") and not transfer.local_is_dir:
        problems.append(f"local_path {transfer.local_path}: ends with a slash but is no directory")
    for name, path in (("local_path", transfer.local_path), ("remote_path", transfer.remote_path)):
        if "\n" in path or "\0" in path:
            problems.append(f"{name} {path!r}: has a line end in it")
    try:
        remote_path(transfer.remote_path)
        problems += filter(None, [deletion_problem(transfer, os.path.expanduser("~"))])
    except ValueError as error:
        problems.append(f"remote_path {error}")
    if not transfer.remote_path:
        problems.append("remote_path: is empty; ~ is the home directory of the login user")
    return problems


def make_local_directory(transfer: Transfer) -> None:
    """Makes the directories that files come into; rsync itself makes the last one only."""
    path = transfer.local_path if transfer.local_path.endswith("/") else os.path.dirname(transfer.local_path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise AnsibleActionFail(f"local_path {path}: cannot be created ({error.strerror})") from None


class Shown:
    """Progress lines of one transfer."""

    def __init__(self, label: str, clock: Clock, say: Callable[[str], None]) -> None:
        self.label = label
        self.clock = clock
        self.say = say
        self.heartbeat = Heartbeat(clock.now())
        self.spoken = False

    def tick(self, report: Report) -> None:
        """Shows a sign of life when one is due."""
        now = self.clock.now()
        if self.heartbeat.due(now):
            self.spoken = True
            self.say(f"{self.label}: {progress_text(report)} {duration(self.heartbeat.elapsed(now))}")

    def end(self, report: Report) -> None:
        """Closes a transfer of which something was shown."""
        if self.spoken:
            elapsed = duration(self.heartbeat.elapsed(self.clock.now()))
            self.say(f"{self.label}: done, {report.files} files, {size(report.bytes)} {elapsed}")


def progress_text(report: Report) -> str:
    """How far a transfer is, for people."""
    if not report.bytes:
        return "comparing files"
    return f"{size(report.bytes)} ({report.percent} %) {size(report.rate)}/s"


class ActionModule(ActionBase):
    """Runs one channel once."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(SPEC)
        transfer = transfer_of(args, compression(args["compress"]), self._task.check_mode)
        problems = path_problems(transfer)
        if problems:
            raise AnsibleActionFail(f"channel {args['direction']}: " + "; ".join(problems))
        if transfer.direction == "in" and not transfer.dry_run:
            make_local_directory(transfer)
        host = (task_vars or {}).get("inventory_hostname", "")
        say = (lambda _line: None) if is_quiet(args["quiet"], os.environ) else display.display
        clock = Clock()
        shown = Shown(f"[{host}] channel {transfer.direction} {transfer.local_path}", clock, say)
        return {**result, **self._move(transfer, shown, clock)}

    def _move(self, transfer: Transfer, shown: Shown, clock: Clock) -> dict[str, Any]:
        target = self._target()
        started = clock.now()
        pauses = backoff(1, 10, 2)
        for attempt in range(1, TRIES + 1):
            report, finished = run_rsync(transfer, target, shown)
            end = verdict(finished.code, finished.stderr)
            if end.kind != RETRY or attempt == TRIES:
                break
            display.vv(f"rsync: {end.text} ({complaint(finished.stderr)}), try {attempt} of {TRIES}")
            _ssh.close_master(target)
            clock.wait(next(pauses))
        shown.end(report)
        seconds = clock.now() - started
        return answer(transfer, report, end, finished, tries=attempt, seconds=seconds, diff=self._task.diff)

    def _target(self) -> _ssh.Target:
        if self._connection.transport != "ssh":
            raise AnsibleActionFail(f"a channel needs a host reached by ssh, not by {self._connection.transport}")
        return _ssh.connection_target(self._connection.get_option)


def compression(wanted: str) -> str:
    """What ``auto`` means here: let both sides agree when this side knows zstd, else none (zlib is slower than a LAN).

    Raises:
        AnsibleActionFail: rsync is not installed.
    """
    version = _ssh.run(["rsync", "--version"], 10)
    if version.returncode:
        raise AnsibleActionFail("rsync is missing on this machine; install it (Debian, Ubuntu: apt-get install rsync)")
    if wanted != "auto":
        return wanted
    return "negotiate" if knows_zstd(version.stdout) else "none"


def run_rsync(transfer: Transfer, target: _ssh.Target, shown: Shown) -> tuple[Report, Finished]:
    """Runs rsync once, showing how far it is."""
    report = Report()
    environ = {**os.environ, "LC_ALL": "C"}
    finished = run_watched(rsync_argv(transfer, target), report.take, lambda: shown.tick(report), environ)
    return report, finished


def answer(
    transfer: Transfer, report: Report, end: Verdict, finished: Finished, *, tries: int, seconds: float, diff: bool
) -> dict[str, Any]:
    """The result of the task."""
    result: dict[str, Any] = {
        "changed": bool(report.changes),
        "bytes": report.bytes,
        "files": report.files,
        "deleted": report.deleted,
        "changes": len(report.changes),
        "duration": round(seconds, 2),
        "tries": tries,
        "local_path": transfer.local_path,
        "remote_path": transfer.remote_path,
    }
    if diff and report.changes:
        result["diff"] = {"prepared": diff_text(report.changes)}
    if end.kind == WARN:
        result["warnings"] = [f"channel {transfer.direction} {transfer.local_path}: {end.text}"]
    elif end.kind != OK:
        arrow = "→" if transfer.direction == "out" else "←"
        result.update(
            failed=True,
            msg=f"channel {transfer.direction}: {transfer.local_path} {arrow} {transfer.remote_path}: {end.text}"
            f" ({complaint(finished.stderr)})" + (f", after {tries} tries" if tries > 1 else ""),
        )
    return result
