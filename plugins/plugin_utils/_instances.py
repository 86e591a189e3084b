# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Waiting for instances: what DescribeInstances says, what to do next about each of them, and the loop that does it.

The loop knows neither AWS nor ssh: both come in through `Ports`, so the rules can be tested without either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future
from concurrent.futures import wait as wait_futures
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.experiments.spot.plugins.module_utils._experiment.transformations import tags_of
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import (
    HostKey,
    KnownHosts,
    confirmed,
    console_fingerprints,
    console_keys,
    dead_names,
    names_of_scope,
    verified_how,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock, Heartbeat, backoff, duration

GOING = ("shutting-down", "terminated")
STOPPED = ("stopping", "stopped")
# sshd may answer before cloud-init has written the user's key: a refusal counts only when it lasts.
REFUSALS = 5
REFUSED_FOR = 20.0
# A new instance may be invisible, and without its public address, for some seconds (EC2 is eventually consistent).
SETTLING = 30.0
# The console is asked for host keys once sshd answers, since AWS has no call for many consoles at once. cloud-init may
# write the keys some seconds later. Behind a jump host nothing answers here, so after a while it is asked all the same.
SILENCE = 20.0
CONSOLE_PAUSES = (1.0, 10.0, 2.0)
CONSOLE_LINES = 20
FACTOR = 1.25
# Once all have an address, AWS is asked whether one of them goes again only when none has come any further for so long.
STANDSTILL = 20.0

Raw = Mapping[str, Any]


class ClockWithFutures(Clock):
    """A clock that can also wait for the first of several futures."""

    def wait_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        """Lets seconds pass, or less when one of the futures is ready before."""
        if not futures:
            self.wait(seconds)
        elif seconds > 0:
            wait_futures(futures, timeout=seconds, return_when=FIRST_COMPLETED)


class Ports(Protocol):
    """What the loop asks of the world. Each may take some seconds and runs in a thread, except `describe`."""

    def describe(self, instance_ids: Collection[str]) -> list[Raw]:
        """Returns the instances (as DescribeInstances does, plus ``OwnerId``) that exist; no error for missing ones."""

    def console(self, instance_id: str) -> str:
        """Returns the console output, empty when there is none yet."""

    def knock(self, view: Raw) -> bool:
        """Says whether something answers at the port of sshd."""

    def scan(self, view: Raw) -> list[HostKey]:
        """Returns the host keys that the machine offers, empty when it does not answer yet."""

    def login(self, view: Raw) -> _ssh.Attempt:
        """Tries to log in."""

    def forget_connection(self, view: Raw) -> None:
        """Closes a master connection that may have been opened without a verified host key."""

    def key_problem(self, view: Raw) -> str | None:
        """Says, after a refused login, why the key cannot fit; None when that cannot be told."""


def view_of(raw: Raw, address: str) -> dict[str, Any]:
    """The part of a described instance that we hand on.

    Args:
        raw: an element of Reservations[].Instances[] of DescribeInstances.
        address: ``public`` or ``private``: which address ``address`` is.
    Returns:
        instance_id, state, state_reason, type (also as instance_type), zone, public_ip, private_ip, address,
        launch_time (ISO 8601), generation, lifecycle (spot | on-demand), subnet_id, key_name, image_id; None where
        there is nothing.
    """
    launch_time: Any = raw.get("LaunchTime")
    public, private = raw.get("PublicIpAddress"), raw.get("PrivateIpAddress")
    return {
        "instance_id": raw["InstanceId"],
        "state": raw.get("State", {}).get("Name", "pending"),
        "state_reason": state_reason(raw),
        "type": raw.get("InstanceType"),
        "instance_type": raw.get("InstanceType"),
        "zone": raw.get("Placement", {}).get("AvailabilityZone"),
        "public_ip": public,
        "private_ip": private,
        "address": private if address == "private" else public,
        "launch_time": launch_time.isoformat() if hasattr(launch_time, "isoformat") else launch_time,
        "generation": _integer(tags_of(raw).get("spot:generation")),
        "lifecycle": raw.get("InstanceLifecycle") or "on-demand",
        "subnet_id": raw.get("SubnetId"),
        "key_name": raw.get("KeyName"),
        "image_id": raw.get("ImageId"),
    }


def state_reason(raw: Raw) -> str:
    """Why an instance is in its state: ``code: message``, or what older APIs put in its place."""
    reason = raw.get("StateReason") or {}
    parts = [reason.get("Code"), reason.get("Message")]
    text = ": ".join(dict.fromkeys(part for part in parts if part))
    return text or raw.get("StateTransitionReason") or ""


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


@dataclass
class Settings:
    """What is waited for and how.

    Attributes:
        state: ``running``, ``ssh`` or ``terminated``.
        timeout: seconds for all instances together.
        address: ``public`` or ``private``.
        host_keys: ``console`` (only keys that the console names) or ``accept-new``.
        label: what progress lines start with.
    """

    state: str
    timeout: float
    address: str = "public"
    host_keys: str = "console"
    label: str = ""

    @property
    def checks_keys(self) -> bool:
        """Whether logins need a key that the console has shown."""
        return self.state == "ssh" and self.host_keys == "console"


@dataclass
class Watched:
    """An instance that is waited for."""

    instance_id: str
    view: dict[str, Any] = field(default_factory=dict)
    verified: str | None = None
    fresh_key: bool = False
    silent_since: float | None = None
    answers: bool = False
    ask_console: bool = False
    fingerprints: set[str] = field(default_factory=set)
    note: str = ""
    console_text: str = ""
    refusals: int = 0
    refused_since: float | None = None
    done: bool = False
    error: str = ""
    future: Future[Any] | None = None
    step: str = ""
    pauses: Iterator[float] = field(default_factory=lambda: backoff(0.3, 3, FACTOR))
    next_at: float = 0.0

    @property
    def settled(self) -> bool:
        """True when there is nothing more to wait for, well or ill."""
        return self.done or bool(self.error)

    @property
    def name(self) -> str:
        """Id, type and zone, as far as they are known."""
        return " ".join(str(part) for part in (self.instance_id, self.view.get("type"), self.view.get("zone")) if part)


def next_step(watched: Watched, settings: Settings) -> str:
    """Decides what to do next about a running instance.

    Returns:
        ``describe`` (only more news from AWS helps), ``knock``, ``console``, ``scan``, ``login`` or ``done``.
    """
    reachable = watched.view.get("state") == "running" and watched.view.get("address")
    if settings.state == "terminated" or not reachable:
        return "describe"
    if settings.state == "running":
        return "done"
    if watched.verified or settings.host_keys == "accept-new":
        return "login"
    if watched.fingerprints:
        return "scan"
    return "console" if watched.ask_console else "knock"


def judge_state(view: Raw, settings: Settings, age: float) -> str:
    """Says why waiting for an instance is hopeless, from what AWS shows; an empty string when it is not.

    Args:
        view: see `view_of`; empty when AWS does not know the instance.
        age: seconds since the wait began.
    """
    if settings.state == "terminated":
        return ""
    if not view:
        return "AWS does not know it (any more)" if age > SETTLING else ""
    state, reason = view["state"], view.get("state_reason")
    if state in GOING or state in STOPPED:
        return f"is {state}" + (f" ({reason})" if reason else "")
    if state == "running" and not view.get("address") and age > SETTLING:
        return NO_ADDRESS[settings.address]
    return ""


NO_ADDRESS = {
    "public": "has no public address; use a subnet that assigns one, or access.address: private",
    "private": "has no private address",
}


class Waiter:
    """The loop: one DescribeInstances for all, consoles and logins in parallel, a sign of life now and then."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        known_hosts: KnownHosts,
        *,
        say: Callable[[str], None],
        executor: Executor,
        region: str = "",
        clock: ClockWithFutures | None = None,
    ) -> None:
        self.settings = settings
        self.ports = ports
        self.known_hosts = known_hosts
        self.say = say
        self.executor = executor
        self.region = region
        self.clock = clock or ClockWithFutures()
        self.started = self.clock.now()
        self.heartbeat = Heartbeat(self.started)
        self.pauses = backoff(0.5, 5)
        self.next_look = 0.0
        self.addressed = False
        self.scope = ""
        self.changed = False

    # ------------------------------------------------------------------------------------------------------ the loop

    def run(self, instance_ids: Iterable[str]) -> list[Watched]:
        """Waits until each instance is settled, or one has failed, or the time is over; returns them by id."""
        fleet = [Watched(instance_id) for instance_id in sorted(set(instance_ids))]
        self._first_look(fleet)
        while not self._over(fleet):
            self._start_steps(fleet)
            self._pause(fleet)
            self._take_results(fleet)
            self._look_if_due(fleet)
            self._show_life(fleet)
        return fleet

    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self.clock.now() - self.started

    def _over(self, fleet: list[Watched]) -> bool:
        if all(watched.settled for watched in fleet) or any(watched.error for watched in fleet):
            return True
        if self.elapsed() < self.settings.timeout:
            return False
        for watched in fleet:
            if not watched.settled:
                watched.error = f"timed out after {duration(self.settings.timeout)} {self._phase(watched)}"
        return True

    def _pause(self, fleet: list[Watched]) -> None:
        now = self.clock.now()
        waiting = [w for w in fleet if not w.settled]
        if not waiting:
            return
        times = [self.next_look, self.heartbeat.next_at, self.started + self.settings.timeout]
        times += [w.next_at for w in waiting if w.future is None and next_step(w, self.settings) != "describe"]
        futures = [w.future for w in waiting if w.future is not None]
        self.clock.wait_any(futures, max(0.0, min(times) - now))

    # ----------------------------------------------------------------------------------------------- looking at AWS

    def _first_look(self, fleet: list[Watched]) -> None:
        stored = names_of_scope(self.known_hosts.read(), self.region) if self.settings.state == "ssh" else []
        wanted = [watched.instance_id for watched in fleet]
        # Asking about the instances of former runs costs nothing here and tells which of their keys can go.
        others = [name for name in stored if name not in wanted][: max(0, 200 - len(wanted))]
        raws = self._look(fleet, [*wanted, *others])
        alive = {raw["InstanceId"] for raw in raws if raw.get("State", {}).get("Name") != "terminated"}
        if self.scope:
            asked = set(wanted) | set(others)
            dead = [
                name for name in dead_names(self.known_hosts.read(), self.scope, alive) if name in asked - set(wanted)
            ]
            self.known_hosts.remove(dead)
        self._recognise(fleet)

    def _recognise(self, fleet: list[Watched]) -> None:
        text = self.known_hosts.read()
        for watched in fleet:
            watched.verified = verified_how(text, watched.instance_id)
            # A connection that somebody opened without a verified key would never be asked for one again.
            if watched.verified is None and watched.view.get("address") and self.settings.checks_keys:
                self.ports.forget_connection(watched.view)

    def _look(self, fleet: list[Watched], names: list[str]) -> list[Raw]:
        raws = self.ports.describe(names)
        by_id = {raw["InstanceId"]: raw for raw in raws}
        for watched in fleet:
            raw = by_id.get(watched.instance_id)
            before = watched.view.get("state")
            watched.view = view_of(raw, self.settings.address) if raw else {}
            self._judge(watched, before)
            if raw and raw.get("OwnerId"):
                self.scope = f"{raw['OwnerId']}/{self.region}"
        self.addressed = all(next_step(w, self.settings) != "describe" for w in fleet if not w.settled)
        self.next_look = self.clock.now() + (STANDSTILL if self.addressed else next(self.pauses))
        return raws

    def _judge(self, watched: Watched, before: str | None) -> None:
        if watched.settled:
            return
        if self.settings.state == "terminated":
            if watched.view.get("state", "terminated") == "terminated":
                self._finish(watched, "terminated")
            return
        watched.error = judge_state(watched.view, self.settings, self.elapsed())
        if before not in (None, "running") and watched.view.get("state") == "running":
            watched.pauses = backoff(0.3, 3, FACTOR)
        if not watched.error and next_step(watched, self.settings) == "done":
            self._finish(watched, f"running at {watched.view['address']}")

    def _look_if_due(self, fleet: list[Watched]) -> None:
        waiting = [watched for watched in fleet if not watched.settled]
        if waiting and self.clock.now() >= self.next_look:
            had_address = {w.instance_id for w in waiting if w.view.get("address")}
            self._look(waiting, [watched.instance_id for watched in waiting])
            self._recognise([w for w in waiting if w.instance_id not in had_address])

    # ------------------------------------------------------------------------------------------------ console and ssh

    def _start_steps(self, fleet: list[Watched]) -> None:
        now = self.clock.now()
        for watched in fleet:
            if watched.settled or watched.future is not None or now < watched.next_at:
                continue
            step = next_step(watched, self.settings)
            if step in self._steps:
                call, _take = self._steps[step]
                watched.step = step
                watched.future = self.executor.submit(call, self, dict(watched.view))

    def _take_results(self, fleet: list[Watched]) -> None:
        for watched in fleet:
            if watched.future is not None and watched.future.done():
                future, watched.future = watched.future, None
                watched.next_at = self.clock.now() + next(watched.pauses)
                _call, take = self._steps[watched.step]
                take(self, watched, future.result())
                if self.addressed and (watched.settled or next_step(watched, self.settings) != watched.step):
                    self.next_look = self.clock.now() + STANDSTILL

    def _call_knock(self, view: Raw) -> bool:
        return self.ports.knock(view)

    def _call_console(self, view: Raw) -> str:
        return self.ports.console(view["instance_id"])

    def _call_scan(self, view: Raw) -> list[HostKey]:
        return self.ports.scan(view)

    def _call_login(self, view: Raw) -> _ssh.Attempt:
        return self.ports.login(view)

    def _take_knock(self, watched: Watched, answers: bool) -> None:
        now = self.clock.now()
        watched.silent_since = now if watched.silent_since is None else watched.silent_since
        watched.answers = answers
        if answers or now - watched.silent_since >= SILENCE:
            watched.ask_console = True
            watched.pauses, watched.next_at = backoff(*CONSOLE_PAUSES), 0.0

    def _take_console(self, watched: Watched, text: str) -> None:
        watched.console_text = text
        keys = console_keys(text)
        if keys:
            self._store(watched, keys)
        else:
            watched.fingerprints = console_fingerprints(text)
            watched.note = "console: fingerprints seen" if watched.fingerprints else CONSOLE_NOTES[bool(text)]

    def _take_scan(self, watched: Watched, scanned: list[HostKey]) -> None:
        keys = confirmed(scanned, watched.fingerprints)
        if keys:
            self._store(watched, keys)
        elif scanned:
            watched.error = (
                "the host keys that it offers are not those whose fingerprints its console shows; not trusted"
            )

    def _store(self, watched: Watched, keys: list[HostKey]) -> None:
        self.changed |= self.known_hosts.set_keys(watched.instance_id, keys, self.scope, "console")
        watched.verified, watched.fresh_key, watched.note = "console", True, "console: host keys seen"
        watched.pauses, watched.next_at = backoff(0.3, 3, FACTOR), 0.0

    def _take_login(self, watched: Watched, attempt: _ssh.Attempt) -> None:
        if attempt.meaning == _ssh.READY:
            how = watched.verified or "accept-new"
            watched.verified = how
            self._finish(watched, f"ssh ready at {watched.view['address']} (host key: {HOW.get(how, how)})")
        elif attempt.meaning == _ssh.REFUSED:
            self._refused(watched, attempt)
        elif attempt.meaning == _ssh.MISMATCH and watched.verified and not watched.fresh_key:
            # The stored key may be outdated; the console has the last word.
            watched.verified, watched.note = None, "host key differs from the stored one, asking the console"
        elif attempt.meaning != _ssh.WAIT:
            watched.error = f"{FATAL[attempt.meaning]} ({attempt.message})"
        else:
            watched.refusals, watched.refused_since = 0, None
            watched.note = attempt.message[:80]

    def _refused(self, watched: Watched, attempt: _ssh.Attempt) -> None:
        now = self.clock.now()
        watched.note = attempt.message[:80]
        if watched.refused_since is None:
            watched.refused_since = now
            problem = self.ports.key_problem(watched.view)
            if problem:
                watched.error = f"login refused: {problem}"
        watched.refusals += 1
        if watched.refusals >= REFUSALS and now - watched.refused_since >= REFUSED_FOR:
            watched.error = f"login refused {watched.refusals} times ({attempt.message})"

    _steps: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
        "knock": (_call_knock, _take_knock),
        "console": (_call_console, _take_console),
        "scan": (_call_scan, _take_scan),
        "login": (_call_login, _take_login),
    }

    # -------------------------------------------------------------------------------------------------- what is shown

    def _finish(self, watched: Watched, text: str) -> None:
        watched.done = True
        self.say(f"{self.settings.label}{watched.name}: {text} {duration(self.elapsed())}")

    def _phase(self, watched: Watched) -> str:
        if self.settings.state == "terminated":
            return f"waiting for the end (is {watched.view.get('state', 'unknown')})"
        if next_step(watched, self.settings) == "describe":
            return f"waiting for running (is {watched.view.get('state', 'not visible yet')})"
        what = {"console": "host keys", "scan": "sshd", "knock": "sshd"}.get(next_step(watched, self.settings), "ssh")
        return f"waiting for {what}" + (f" ({watched.note})" if watched.note else "")

    def _show_life(self, fleet: list[Watched]) -> None:
        if not self.heartbeat.due(self.clock.now()):
            return
        for watched in fleet:
            if not watched.settled:
                line = f"{watched.name}: {self._phase(watched)} {duration(self.elapsed())}"
                self.say(self.settings.label + line)


CONSOLE_NOTES = {True: "console: no host keys yet", False: "console: empty"}
HOW = {"console": "verified by the console", "accept-new": "accepted unseen"}
FATAL = {
    _ssh.MISMATCH: "the host key is not the one its console shows; the address may not be its own, do not trust it",
    _ssh.WRONG_USER: "the image wants another login user; set access.remote_user",
    _ssh.BAD_KEY: "ssh cannot use the private key",
    _ssh.BAD_ADDRESS: "its address cannot be resolved",
    _ssh.BAD_CONTROL_PATH: "the path of your home directory is too long for ssh's shared connection",
}


def console_tail(text: str, lines: int = CONSOLE_LINES) -> list[str]:
    """The last lines of a console output that say something, without control characters."""
    plain = ("".join(c for c in line if c.isprintable() or c == "\t").rstrip() for line in text.splitlines())
    return [line for line in plain if line][-lines:]


def failure_message(watched: Watched, settings: Settings, access: Mapping[str, Any], console: str) -> str:
    """The whole error text for one instance: what, what to check, and the end of its console."""
    text = f"{watched.name}: {watched.error}"
    if settings.state != "ssh":
        return text
    hints = hints_for(watched, access)
    if hints:
        text += "".join(f"\n  - check {hint}" for hint in hints)
    tail = console_tail(console)
    if tail:
        text += f"\n  last {len(tail)} lines of its console:" + "".join(f"\n    | {line}" for line in tail)
    return text


def hints_for(watched: Watched, access: Mapping[str, Any]) -> list[str]:
    """What to check, by how far the wait had come."""
    refused = watched.error.startswith("login refused")
    if not refused and not watched.error.startswith("timed out"):
        return []
    user, key = access.get("remote_user") or "the login user", access.get("private_key_file") or "your default keys"
    if refused:
        return [
            f"access.remote_user (is {user}): ubuntu on Ubuntu, admin on Debian, ec2-user on Amazon Linux",
            f"the key: {key} must belong to the key pair {watched.view.get('key_name') or '(none)'} of the instance",
        ]
    if watched.verified is None and watched.answers and access.get("host_keys") != "accept-new":
        return [
            "the image: cloud-init writes its host keys to the console; for an image that does not, "
            "set access.host_keys: accept-new"
        ]
    return [
        f"the security group: it must let your address in at port {access.get('port') or 22} (access.ssh_cidr)",
        f"the address {watched.view.get('address')}: can it be reached from here? (access.address: public or private)",
        f"the login user {user}",
    ]
