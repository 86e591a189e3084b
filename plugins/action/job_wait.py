# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Waits for the job of an instance, or follows its log; documentation in modules/job_wait.py."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.module_utils._spot import status
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import BotoCoreError, ClientError, ec2_client
from ansible_collections.experiments.spot.plugins.plugin_utils._follow import (
    JobView,
    failure_text,
    follow_command,
    job_failed,
    journal_entry,
    parse_poll,
    plain_lines,
    poll_command,
    run_seconds,
    tail_command,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._parent import end_with_parent
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Clock,
    Heartbeat,
    backoff,
    duration,
    is_quiet,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._remote import LostConnection, Remote
from ansible_collections.experiments.spot.plugins.plugin_utils._tunnel import Tunnel

display = Display()

NOTE = "Ctrl-C leaves it running; the same command with -e follow=true comes back to it"
# After the end the journal may still hold lines that have not come through: wait for this many silent seconds.
SILENCE = 1.0
# Seconds between two answers about a job that runs; its end is told at once.
WINDOW = 5
# A unit that is neither running nor has run: not a job that is about to start, after this many looks.
NEVER_STARTED = 3
# Notices after which the job is not waited for here: it goes on somewhere else.
TAKEN = ("interruption", "rebalance")
INTERRUPTED = "interrupted"
LEFT = "left"
# An instance that does not answer may be gone: AWS is asked at once, then ever more rarely (first, longest, factor).
ASKS = (1.0, 15.0, 2.0)

SPEC: dict[str, Any] = {
    "follow": {"type": "bool", "default": False},
    "fail_on_error": {"type": "bool", "default": True},
    "timeout": {"type": "float"},
    "log_lines": {"type": "int", "default": 20},
    "reconnect": {"type": "float", "default": 120},
    "instance_id": {"type": "str"},
    "together": {"type": "path"},
    "persistent": {"type": "bool", "default": False},
    "forward": {
        "type": "dict",
        "options": {"port": {"type": "int"}, "file": {"type": "str", "default": ""}},
    },
    "quiet": {"type": "bool"},
}


@dataclass
class Options:
    """What is waited for and how; durations in seconds, timeout None for as long as it takes."""

    follow: bool
    timeout: float | None
    reconnect: float
    log_lines: int
    host: str
    prefix: bool
    instance_id: str = ""
    together: str = ""
    persistent: bool = False


@dataclass(frozen=True)
class Left:
    """Why the wait ended before the job did: its instance is taken (``interrupted``), or another one is (``left``)."""

    state: str
    text: str


class Watcher:
    """The loop around one job."""

    def __init__(
        self,
        remote: Any,
        options: Options,
        say: Callable[[str], None],
        clock: Clock | None = None,
        fate: Callable[[], status.End | None] = lambda: None,
        *,
        tunnel: Tunnel | None = None,
    ) -> None:
        self.remote = remote
        self.options = options
        self.say = say
        self.clock = clock or Clock()
        self.started = self.clock.now()
        self.heartbeat = Heartbeat(self.started)
        self.view = JobView()
        self.unstarted = 0
        self.noted = False
        self.cursor: str | None = None
        self.child: Any = None
        self.shown = 0
        self.last_line = self.started
        self.fate = fate
        self.tunnel = tunnel
        self.asks = backoff(*ASKS)
        self.ask_at = 0.0
        self.left: Left | None = None

    # ------------------------------------------------------------------------------------------------------- waiting

    def run(self) -> JobView:
        """Waits until the run is over, or until its instance (or, with ``together``, another one) is taken.

        Raises:
            AnsibleActionFail: there is no job, the time is over, or the connection is lost for good.
        """
        pauses = backoff(0.5, 2)
        try:
            while not self._ends():
                self._check_time()
                self._spend(0.0 if self._window() else next(pauses))
            self._drain()
        finally:
            self._close()
            if self.tunnel is not None:
                self.tunnel.stop()
        return self.view

    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self.clock.now() - self.started

    def look(self) -> bool:
        """One poll; says whether the run is over."""
        self.view = self._poll()
        if self.view.known and self.view.state is not None:
            self.unstarted = 0
        else:
            self.unstarted += 1
        if self.unstarted >= NEVER_STARTED:
            raise AnsibleActionFail(f"no job was started on {self.options.host}; the role job starts it")
        return self.view.over

    def _ends(self) -> bool:
        """One poll; says whether the run is over, or there is no point in waiting any longer."""
        over = self.look()
        return self._leaves() or over

    def _leaves(self) -> bool:
        """Whether there is no point in waiting here any longer; a job that came to its own end is none's business."""
        notice, together = self.view.notice, self.options.together
        if self.view.over and self.view.state != INTERRUPTED:
            return False
        if self.left is None and notice.get("kind") in TAKEN:
            when = f" at {notice['time']}" if notice.get("time") else ""
            self.left = Left(INTERRUPTED, f"AWS takes the instance{when} ({notice['kind']} notice)")
        if self.left is None and together and os.path.exists(together):
            self.left = Left(LEFT, "another instance of the experiment is taken; the job goes on here")
        if self.left is not None and self.left.state == INTERRUPTED and together:
            with open(together, "a", encoding="utf-8") as file:
                file.write(f"{self.options.instance_id} {notice.get('kind', '')}\n")
        return self.left is not None

    def _ask_fate(self) -> bool:
        """Asks AWS about an instance that does not answer; says whether it is lost."""
        if self.clock.now() < self.ask_at:
            return False
        self.ask_at = self.clock.now() + next(self.asks)
        end = self.fate()
        if end is None or end.kind == "alive":
            return False
        self.left = Left(INTERRUPTED if end.retry else "ended", end.text)
        return True

    def _poll(self) -> JobView:
        lost_since: float | None = None
        pauses = backoff(1, 15, 2)
        while True:
            try:
                view = parse_poll(
                    self.remote.read(poll_command(self.view.ledger, self._window(), bool(self.view.notice)))
                )
                if view.known and self.view.ledger != view.ledger:
                    view = parse_poll(self.remote.read(poll_command(view.ledger)))
                return view
            except LostConnection as error:
                if lost_since is None:
                    lost_since, self.asks, self.ask_at = self.clock.now(), backoff(*ASKS), 0.0
                lost = self.clock.now() - lost_since
                if self._ask_fate() or self._leaves():
                    return self.view
                self._lost(str(error), lost)
                self.clock.wait(next(pauses))

    def _window(self) -> int:
        """How long the instance may wait before it answers: not when there is something to show meanwhile."""
        waits = self.options.follow or (self.tunnel is not None and not self.tunnel.told)
        return 0 if waits or not self.view.facts.get("unit_active") else WINDOW

    def _lost(self, reason: str, seconds: float) -> None:
        host = self.options.host
        if seconds >= self.options.reconnect and not self.options.persistent:
            raise AnsibleActionFail(
                f"lost the connection to {host} for {duration(seconds)} ({reason}). The job does not need it and"
                " goes on unless AWS took the instance; ansible-playbook status.yml tells"
            )
        if seconds == 0:
            self.say(f"[{host}] connection lost ({reason}), trying again; the job goes on without it")
        self._close()
        self.remote.reset()

    def _check_time(self) -> None:
        limit = self.options.timeout
        if limit is not None and self.elapsed() >= limit:
            name, phase = self.view.facts.get("job"), self.view.phase()
            raise AnsibleActionFail(
                f"job {name} on {self.options.host} is not over after {duration(limit)} ({phase}); it goes on there"
            )

    def _spend(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        if self.options.follow:
            self._read_log(until)
        else:
            self.clock.wait(seconds)
        if self.tunnel is not None and self.view.state == "running":
            self.tunnel.look()
        self._show_life()

    def _show_life(self) -> None:
        now = self.clock.now()
        if self.shown and now - self.last_line < self.heartbeat.every:
            return
        if self.heartbeat.due(now):
            note = "" if self.noted else f" ({NOTE})"
            self.noted = True
            self.say(f"[{self.options.host}] job {self.view.facts.get('job')}: {self.view.phase()}{note}")

    # ---------------------------------------------------------------------------------------------------- following

    def _read_log(self, until: float) -> None:
        while self.clock.now() < until:
            if self.child is None and self.view.invocation:
                self.child = self.remote.stream(follow_command(self.view.invocation, self.cursor))
            if self.child is None or not self.child.open:
                self._close()
                self.clock.wait(until - self.clock.now())
                return
            self._show_lines(self.child.read(max(0.0, until - self.clock.now())))

    def _show_lines(self, entries: list[str]) -> None:
        prefix = f"[{self.options.host}] " if self.options.prefix else ""
        for entry in entries:
            cursor, lines = journal_entry(entry)
            self.cursor = cursor or self.cursor
            for line in lines:
                self.say(prefix + line)
        if entries:
            self.shown += len(entries)
            self.last_line = self.clock.now()

    def _drain(self) -> None:
        """Shows what the job said last, also when it was over before its log could be followed."""
        if not self.options.follow or self.left is not None:
            return
        if self.child is None:
            prefix = f"[{self.options.host}] " if self.options.prefix else ""
            for line in self.tail() if not self.shown else []:
                self.say(prefix + line)
            return
        while self.child.open:
            entries = self.child.read(SILENCE)
            if not entries:
                break
            self._show_lines(entries)

    def tail(self) -> list[str]:
        """The end of the log; none when the instance does not answer any more."""
        if not self.view.invocation or self.options.log_lines <= 0:
            return []
        try:
            text = self.remote.read(tail_command(self.view.invocation, self.options.log_lines))
        except LostConnection:
            return []
        return plain_lines(text.split("\n"))

    def _close(self) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None


class ActionModule(ActionBase):
    """Waits for the job of a host."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        if self._task.check_mode:
            return {**result, "changed": False, "skipped": True, "msg": "check mode waits for no job"}
        if self._connection.transport != "ssh":
            raise AnsibleActionFail(f"waiting needs a host reached by ssh, not by {self._connection.transport}")
        variables = task_vars or {}
        options = Options(
            follow=args["follow"],
            timeout=args["timeout"],
            reconnect=args["reconnect"],
            log_lines=args["log_lines"],
            host=variables.get("inventory_hostname", "host"),
            prefix=len(variables.get("ansible_play_hosts", [])) > 1,
            instance_id=args["instance_id"] or "",
            together=args["together"] or "",
            persistent=args["persistent"],
        )
        say = (lambda _line: None) if is_quiet(args["quiet"], os.environ) else display.display
        remote = Remote(_ssh.connection_target(self._connection.get_option))
        watcher = Watcher(
            remote, options, say, fate=lambda: fate_of(args), tunnel=tunnel_of(remote, args, options.host)
        )
        end_with_parent()
        view = watcher.run()
        return {**result, **answer(watcher, view, args["fail_on_error"])}


def tunnel_of(remote: Remote, args: dict[str, Any], host: str) -> Tunnel | None:
    """The tunnel that is asked for."""
    wanted = args["forward"] or {}
    if not wanted.get("port"):
        return None

    def tell(address: str) -> None:
        # Not to a log file of Ansible: who has the address has the server.
        display.display(f"[{host}] Open {address}", screen_only=True)
        display.display(f"[{host}] as long as this command runs; Ctrl-C closes the way there, not the server")

    return Tunnel(remote, wanted["port"], wanted["file"], tell)


def fate_of(args: dict[str, Any]) -> status.End | None:
    """What AWS says has become of the instance; None when it is not known, or AWS cannot be asked now."""
    if not args["instance_id"]:
        return None
    with contextlib.suppress(ClientError, BotoCoreError):
        client, _region = ec2_client("experiments.spot.job_wait", args)
        return status.end_of(*described(client, args["instance_id"]))
    return None


def described(client: Any, instance_id: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The instance ({} when AWS has forgotten it) and its Spot request (None for an On-Demand one).

    Source: EC2 API DescribeInstances, DescribeSpotInstanceRequests; by filter, which leaves out what is not there.
    """
    wanted = [{"Name": "instance-id", "Values": [instance_id]}]
    reservations = client.describe_instances(Filters=wanted)["Reservations"]
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    requests = client.describe_spot_instance_requests(Filters=wanted)["SpotInstanceRequests"]
    return next(iter(found), {}), next(iter(requests), None)


def leave(watcher: Watcher, left: Left, view: JobView, fail_on_error: bool) -> dict[str, Any]:
    """The result of a wait that ended before the job did."""
    text = f"[{watcher.options.host}] {left.text}"
    watcher.say(text)
    facts = {**view.facts, "state": left.state, "exit_code": None, "message": left.text}
    result = {"changed": False, **facts, "waited": round(watcher.elapsed(), 1), "log_tail": []}
    return {**result, "failed": True, "msg": text} if fail_on_error else result


def answer(watcher: Watcher, view: JobView, fail_on_error: bool) -> dict[str, Any]:
    """The result of the task."""
    if watcher.left is not None:
        return leave(watcher, watcher.left, view, fail_on_error)
    tail = watcher.tail()
    host = watcher.options.host
    code = view.facts.get("exit_code")
    end = f"{view.state}" + (f", exit code {code}" if code else "")
    watcher.say(f"[{host}] job {view.facts.get('job')}: {end}{_took(view)}")
    result = {"changed": False, **view.facts, "waited": round(watcher.elapsed(), 1)}
    if job_failed(view) and fail_on_error:
        return {**result, "failed": True, "msg": failure_text(view, host, tail)}
    return {**result, "log_tail": tail}


def _took(view: JobView) -> str:
    seconds = run_seconds(view.facts)
    return "" if seconds is None else f" after {duration(seconds)}"
