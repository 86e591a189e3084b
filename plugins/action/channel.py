# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Moves files between the controller and an instance with rsync; documentation in modules/channel.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._channel import ChannelError
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Clock,
    Finished,
    Heartbeat,
    backoff,
    duration,
    is_quiet,
    size,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import (
    OK,
    RETRY,
    WARN,
    Report,
    Transfer,
    Verdict,
    diff_text,
    verdict,
)

display = Display()

T = TypeVar("T")
TRIES = 3

SPEC: dict[str, Any] = {
    **_channel.OPTIONS,
    "rank": {"type": "int", "default": 0},
    "count": {"type": "int", "default": 1},
    "confirm": {"type": "bool", "default": False},
    "quiet": {"type": "bool"},
}


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
        host = (task_vars or {}).get("inventory_hostname", "")
        try:
            transfer = prepared(args, dry_run=self._task.check_mode)
        except ChannelError as error:
            raise AnsibleActionFail(f"channel {args['direction']}: {error}") from None
        target = self._target()
        if transfer.delete and not transfer.dry_run:
            self._ask_before_deleting(transfer, target, host, args)
        say = (lambda _line: None) if is_quiet(args["quiet"], os.environ) else display.display
        clock = Clock()
        shown = Shown(f"[{host}] channel {transfer.direction} {transfer.local_path}", clock, say)
        return {**result, **self._move(transfer, target, shown, clock)}

    def _ask_before_deleting(self, transfer: Transfer, target: _ssh.Target, host: str, args: dict[str, Any]) -> None:
        confirmed = _channel.Confirmed()
        if not args["confirm"] and not confirmed.has(transfer, args["rank"]):
            deletion, finished = tried(lambda: _channel.foresee(transfer, target), target, Clock())[:2]
            end = verdict(finished.code, finished.stderr)
            if end.kind not in (OK, WARN):
                raise AnsibleActionFail(failure_text(transfer, _channel.why(end, finished)))
            if not deletion.large:
                return
            if not self._says_yes(f"[{host}] {deletion.text(transfer)}. Continue? [y/N] "):
                raise AnsibleActionFail(f"channel {transfer.direction}: {_channel.refused(deletion, transfer).text}")
        confirmed.add(transfer, args["rank"])

    def _says_yes(self, question: str) -> bool:
        try:
            return display.prompt_until(question).strip().lower() in (b"y", b"yes")
        except (AnsiblePromptNoninteractive, AnsiblePromptInterrupt):
            return False

    def _move(self, transfer: Transfer, target: _ssh.Target, shown: Shown, clock: Clock) -> dict[str, Any]:
        started = clock.now()
        report, finished, tries = tried(lambda: _channel.run_rsync(transfer, target, shown.tick), target, clock)
        end = verdict(finished.code, finished.stderr)
        shown.end(report)
        seconds = clock.now() - started
        return answer(transfer, report, end, finished, tries=tries, seconds=seconds, diff=self._task.diff)

    def _target(self) -> _ssh.Target:
        if self._connection.transport != "ssh":
            raise AnsibleActionFail(f"a channel needs a host reached by ssh, not by {self._connection.transport}")
        return _ssh.connection_target(self._connection.get_option)


def prepared(args: dict[str, Any], *, dry_run: bool) -> Transfer:
    """The transfer, with the directory that files come into.

    Raises:
        ChannelError: what is wrong with it, all at once.
    """
    compress = _channel.compression(args["compress"])
    transfer = replace(_channel.transfer_of(args, compress, args["rank"], args["count"]), dry_run=dry_run)
    problems = _channel.path_problems(transfer)
    if problems:
        raise ChannelError("; ".join(problems))
    if transfer.direction == "in" and not dry_run:
        _channel.make_local_directory(transfer)
    return transfer


def tried(
    run: Callable[[], tuple[T, Finished]], target: _ssh.Target, clock: Clock, tries: int = TRIES
) -> tuple[T, Finished, int]:
    """Runs rsync until the connection holds; returns what it left and how often it was started."""
    pauses = backoff(1, 10, 2)
    for attempt in range(1, tries + 1):
        report, finished = run()
        end = verdict(finished.code, finished.stderr)
        if end.kind != RETRY:
            break
        if attempt < tries:
            display.vv(f"rsync: {_channel.why(end, finished)}, try {attempt} of {tries}")
            _ssh.close_master(target)
            clock.wait(next(pauses))
    return report, finished, attempt


def failure_text(transfer: Transfer, reason: str) -> str:
    """Why a channel failed, with its paths."""
    arrow = "→" if transfer.direction == "out" else "←"
    return f"channel {transfer.direction}: {transfer.local_path} {arrow} {transfer.remote_path}: {reason}"


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
    notes = filter(None, [end.text if end.kind == WARN else "", _channel.left_out(transfer, report)])
    result["warnings"] = [f"channel {transfer.direction} {transfer.local_path}: {note}" for note in notes]
    if end.kind not in (OK, WARN):
        again = f", after {tries} tries" if tries > 1 else ""
        result.update(failed=True, msg=failure_text(transfer, _channel.why(end, finished)) + again)
    return result
