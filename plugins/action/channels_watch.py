# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Keeps channels going on the controller; documentation in modules/channels_watch.py."""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.action import channel as once
from ansible_collections.experiments.spot.plugins.action.instances_wait import AwsAndSsh, access_of, check_key
from ansible_collections.experiments.spot.plugins.module_utils._experiment import api, crew
from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _narrow
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import ec2_client
from ansible_collections.experiments.spot.plugins.plugin_utils._channel import ChannelError
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines as rules
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import state
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import Line
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.session import Event, Host, Session
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.supervisor import (
    BLIND_PASS_S,
    HERE,
    LOCAL,
    LocalWatch,
    Supervisor,
    sees_files,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import KnownHosts
from ansible_collections.experiments.spot.plugins.plugin_utils._instances import Settings, Waiter, Watched, view_of
from ansible_collections.experiments.spot.plugins.plugin_utils._parent import end_with_parent
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Clock,
    Finished,
    duration,
    is_quiet,
    size,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import (
    CODES,
    FATAL,
    NO_SOURCE,
    OK,
    WARN,
    Report,
    Transfer,
    Verdict,
    verdict,
)

display = Display()


SPEC: dict[str, Any] = {
    "experiment": {"type": "str", "required": True},
    "channels": {"type": "list", "elements": "dict", "required": True},
    "count": {"type": "int", "default": 1},
    "mount_points": {"type": "list", "elements": "str", "default": []},
    "access": {"type": "dict", "default": {}},
    "confirm": {"type": "bool", "default": False},
    "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
    "known_hosts_file": {"type": "path", "default": "~/.ssh/experiments.spot/known_hosts"},
    "quiet": {"type": "bool"},
}


class Hosts:
    """Where the ranks of an experiment are: one DescribeInstances and one DescribeSpotInstanceRequests a question.

    Args:
        client: of EC2.
        args: the options of the task.
        say: shows a line.
    """

    def __init__(self, client: Any, region: str, args: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self.client, self.region, self.say = client, region, say
        self.experiment = args["experiment"]
        self.mount_points = needed(args["mount_points"], args["channels"])
        self.access = access_of(args["access"], self.experiment)
        self.known_hosts = KnownHosts(args["known_hosts_file"])
        self.ports = AwsAndSsh(client, self.access, str(self.known_hosts.path))
        self.lock = threading.Lock()

    def members(self) -> dict[int, str]:
        """The instance of each rank, those left out that AWS takes."""
        instances = api.marked_instances(self.client, self.experiment)
        requests = api.marked_spot_requests(self.client, self.experiment)
        return {one["rank"]: one["instance_id"] for one in crew.crew(instances, requests)}

    def reach(self, instance_ids: list[str]) -> list[Watched]:
        """Waits until instances let us in, their host keys verified as by a launch.

        Raises:
            RuntimeError: one does not; with why.
        """
        settings = Settings(
            "ssh", self.access["wait"], self.access["address"], self.access["host_keys"], f"[{self.experiment}] "
        )
        with ThreadPoolExecutor(len(instance_ids)) as executor:
            waiter = Waiter(settings, self.ports, self.known_hosts, say=self.say, executor=executor, region=self.region)
            fleet = waiter.run(instance_ids)
        failed = [f"{one.instance_id}: {one.error}" for one in fleet if one.error]
        if failed:
            raise RuntimeError("; ".join(failed))
        return fleet

    def all(self) -> dict[int, Host]:
        """All hosts of the experiment by rank; they let us in."""
        members = self.members()
        if not members:
            return {}
        views = {one.instance_id: one.view for one in self.reach(sorted(members.values()))}
        return {rank: Host(name, self.ports.target(views[name])) for rank, name in members.items()}

    def find(self, rank: int, known: str) -> Host | None:
        """Where a rank is now; one that is where it was is only described, one that moved is waited for."""
        with self.lock:  # the hosts of one experiment are lost together, and one question serves the next
            name = self.members().get(rank)
        if name is None:
            return None
        if name != known:
            return Host(name, self.ports.target(self.reach([name])[0].view))
        view: dict[str, Any] = next((view_of(raw, self.access["address"]) for raw in self.ports.describe([name])), {})
        # A stop and a start change its address.
        return Host(name, self.ports.target(view)) if view.get("address") else None


class Moves:
    """Runs one channel on one host once, and shows what it moved.

    Args:
        count: number of hosts.
        say: shows a line.
        confirm: large deletions are wanted.
    """

    def __init__(
        self, channels: list[dict[str, Any]], count: int, say: Callable[[str], None], *, quiet: bool, confirm: bool
    ) -> None:
        self.channels, self.count, self.say, self.quiet, self.confirm = channels, count, say, quiet, confirm

    def transfer(self, line: Line) -> Transfer:
        """The transfer of a line, and the directory that it needs here.

        Raises:
            ChannelError: it cannot work.
        """
        wanted = {
            **{name: spec.get("default") for name, spec in _channel.OPTIONS.items()},
            **self.channels[line.channel],
        }
        transfer = _channel.transfer_of(wanted, _channel.compression(wanted["compress"]), line.rank, self.count)
        transfer = replace(transfer, only=line.only)
        problems = _channel.path_problems(transfer)
        if problems:
            raise ChannelError("; ".join(problems))
        if transfer.direction == "in":
            _channel.make_local_directory(transfer)
        return transfer

    def held_back(self, transfer: Transfer, line: Line, host: Host) -> Verdict | None:
        """Why nothing is moved: it would delete more than it may, or that cannot be told; None when it may."""
        if not transfer.delete or self.confirm or _channel.Confirmed().has(transfer, line.rank):
            return None
        deletion, finished = _channel.foresee(transfer, host.target)
        end = judged(transfer, finished)
        if end.kind not in (OK, WARN):
            return end
        if transfer.only is not None:  # how much it is of everything, only everything tells
            return Verdict(WARN, "something is to be deleted") if deletion.deleted else None
        return _channel.refused(deletion, transfer) if deletion.large else None

    def __call__(self, line: Line, host: Host) -> tuple[Verdict, Report]:
        """See `supervisor.Move`."""
        clock = Clock()
        try:
            transfer = self.transfer(line)
        except ChannelError as error:
            return Verdict(FATAL, str(error)), Report()
        held_back = self.held_back(transfer, line, host)
        if held_back:
            return held_back, Report()
        started = clock.now()
        label = f"{line.name}, rank {line.rank}"
        shown = once.Shown(label, clock, (lambda _line: None) if self.quiet else self.say)
        report, finished = _channel.run_rsync(transfer, host.target, shown.tick)
        end = judged(transfer, finished)
        if end.kind not in (OK, WARN):
            return end, report
        if report.files and not self.quiet:
            took = duration(clock.now() - started)
            self.say(f"{label}: {report.files} files, {size(report.bytes)} in {took}{first_names(report)}")
        return end, report


def judged(transfer: Transfer, finished: Finished) -> Verdict:
    """What the end of rsync means to a channel that goes on.

    A source there that does not exist yet is made by the job; a file that changed on the way comes with the next run.
    """
    end = verdict(finished.code, finished.stderr)
    if transfer.direction == "in" and end.text == NO_SOURCE:
        return Verdict(rules.ABSENT, "nothing is there yet")
    if finished.code == 23 and end.text == CODES[23][1]:
        return Verdict(WARN, end.text)
    return end if end.kind in (OK, WARN) else Verdict(end.kind, _channel.why(end, finished))


def first_names(report: Report, limit: int = 3) -> str:
    """The first files that were moved, for a line."""
    names = [change.path for change in report.changes if not change.path.endswith("/")]
    more = ", …" if len(names) > limit else ""
    return f" ({', '.join(names[:limit])}{more})" if names else ""


def lines_of(channels: list[dict[str, Any]], ranks: list[int]) -> list[Line]:
    """A line for each channel and each of its hosts."""
    every = rules.FULL_PASS_S if sees_files() else BLIND_PASS_S
    return [
        Line(
            number,
            rank,
            _channel.name_of(channel),
            delay=float(channel.get("delay") or 1.0),
            every=every if channel["direction"] == "out" else rules.FULL_PASS_S,
            narrow=_narrow.possible(channel),
        )
        for number, channel in enumerate(channels)
        for rank in ranks
        if _channel.is_for(channel, rank)
    ]


class Signals:
    """Ctrl-C, SIGTERM, the death of ansible-playbook: one ends after the transfers in hand, the second at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.stop, self.say = threading.Event(), say
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.on_signal)
        end_with_parent()

    def on_signal(self, _number: int, _frame: Any) -> None:
        """Takes one."""
        if self.stop.is_set():
            os._exit(1)
        self.stop.set()


class ActionModule(ActionBase):
    """Keeps channels going."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        if self._task.check_mode:
            raise AnsibleActionFail(
                "nothing is kept going in check mode; leave out -e continuous=true to see what differs"
            )
        if not args["channels"]:
            raise AnsibleActionFail("the profile has no channels; nothing to keep going")
        quiet = is_quiet(args["quiet"], os.environ)
        label = f"[{args['experiment']}] "

        def say(text: str) -> None:
            display.display(text if text.startswith(label) else label + text)

        signals = Signals(say)
        client, region = ec2_client("experiments.spot.channels_watch", args)
        hosts = Hosts(client, region, args, say)
        check_key(hosts.access["private_key_file"])
        found = self._all(hosts)
        count = max(args["count"], 1 + max(found))
        supervisor = supervise(
            args["channels"],
            hosts,
            {rank: found.get(rank) for rank in range(count)},
            Moves(args["channels"], count, say, quiet=quiet, confirm=args["confirm"]),
            signals,
        )
        say(f"{len(supervisor.lines)} channels keep going; Ctrl-C ends after the transfer in hand")
        if not sees_files():
            say(f"the Python library watchfiles is missing here: looking for changes every {BLIND_PASS_S:.0f} s")
        told = Told(supervisor, state.StateFile(args["experiment"]))
        supervisor.run()
        answer = outcome(supervisor)
        told.end(failed=bool(answer.get("failed")))
        display.display(json.dumps(answer["lines"]) if args["format"] == "json" else rules.table(answer["lines"]))
        return {**result, **answer}

    @staticmethod
    def _all(hosts: Hosts) -> dict[int, Host]:
        try:
            found = hosts.all()
        except (api.ApiError, RuntimeError) as error:
            raise AnsibleActionFail(str(error)) from None
        if not found:
            raise AnsibleActionFail(f"experiment {hosts.experiment} has no running instance; launch it first")
        return found


class Told:
    """Keeps the file that tells others how the channels are (see `state`)."""

    def __init__(self, supervisor: Supervisor, file: state.StateFile) -> None:
        self.supervisor, self.file = supervisor, file
        file.start()
        supervisor.note = self.note

    def now(self) -> state.Now:
        """The moment on both clocks."""
        return state.Now(self.supervisor.clock.now(), datetime.now(timezone.utc))

    def lines(self, now: state.Now) -> list[dict[str, Any]]:
        """How each line is."""
        hosts = {rank: session.host for rank, session in self.supervisor.sessions.items()}
        names = {rank: host.instance_id if host else None for rank, host in hosts.items()}
        return [
            state.line_row(line, now, line.rank in self.supervisor.up, names.get(line.rank))
            for line in self.supervisor.lines
        ]

    def note(self) -> None:
        """Something may have happened."""
        now = self.now()
        self.file.tell(self.lines(now), now)

    def end(self, *, failed: bool) -> None:
        """All is over."""
        now = self.now()
        self.file.end(self.lines(now), now, failed=failed)


def needed(mount_points: Iterable[str], channels: list[dict[str, Any]]) -> list[str]:
    """The mount points that a channel's remote path lies on."""
    paths = [f"{str(one['remote_path']).rstrip('/')}/" for one in channels]
    return [one for one in mount_points if any(path.startswith(f"{one.rstrip('/')}/") for path in paths)]


def supervise(
    channels: list[dict[str, Any]], hosts: Hosts, found: Mapping[int, Host | None], moves: Moves, signals: Signals
) -> Supervisor:
    """The supervisor with its sessions and watches.

    Args:
        found: the host of each rank, None for one that does not run yet.
    """
    sessions: dict[int, Session] = {}
    watches: dict[int, LocalWatch] = {}
    lines = lines_of(channels, sorted(found))
    supervisor = Supervisor(lines, sessions, watches, move=moves, say=moves.say, stop=signals.stop)
    inbound = [number for number, one in enumerate(channels) if one["direction"] == "in"]
    for rank, host in sorted(found.items()):
        paths = [(str(channels[number]["remote_path"]), bool(channels[number].get("recursive"))) for number in inbound]
        supervisor.inbound[rank] = inbound
        tell = supervisor.events.put
        sessions[rank] = Session(rank, host, paths, tell=tell, find=hosts.find, mount_points=hosts.mount_points)
    for number, one in enumerate(channels):
        path = _channel.absolute(str(one["local_path"]))
        if one["direction"] == "out" and sees_files() and os.path.exists(path):
            watches[number] = LocalWatch(path, bool(one.get("recursive")), functools.partial(heard, supervisor, number))
    return supervisor


def heard(supervisor: Supervisor, channel: int, paths: tuple[str, ...] | None) -> None:
    """Something has changed below the local path of a channel."""
    supervisor.events.put(Event(HERE, LOCAL, (channel,), paths=paths))


def outcome(supervisor: Supervisor) -> dict[str, Any]:
    """The result of the task: a row a line; failed when a line has stopped."""
    now = supervisor.clock.now()
    rows = [rules.row(line, now, line.rank in supervisor.up) for line in supervisor.lines]
    stopped = [line for line in supervisor.lines if line.state == rules.STOPPED]
    answer: dict[str, Any] = {
        "changed": any(line.files for line in supervisor.lines),
        "lines": rows,
    }
    if stopped:
        answer["failed"] = True
        answer["msg"] = "; ".join(f"{line.name}, rank {line.rank}: {line.reason}" for line in stopped)
    return answer
