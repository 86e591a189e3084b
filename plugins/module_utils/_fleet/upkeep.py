# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""State present for types request and maintain: the one fleet of a generation is made, changed, and waited for.

What is wanted and what differs is decided in ``standing``; what events mean in ``history``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .._aws_errors import ErrorClass, classify_error
from . import api, history, progress, standing
from .errors import AnsibleFleetError
from .launch import Clock
from .plan import MAX_REPEATS, MAX_STALE, MAX_WAITS, Do, Step
from .transformations import GONE_FLEET_STATES, instance_from_boto, is_stale, pool_from_override
from .values import Instance, Refusal

# A new fleet is not visible at once: 30 s in all.
VISIBLE_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
FIRST_POLL_S, LAST_POLL_S, POLL_FACTOR = 1.0, 15.0, 1.5
# How far back the history of a fleet that was there before is read.
RECENT = timedelta(minutes=10)

Fleet = Mapping[str, Any]


@dataclass(frozen=True)
class Ports:
    """What talks to AWS: a client that retries, one that sends each request once, time, and where to tell."""

    reader: Any
    launcher: Any
    clock: Clock
    teller: progress.Teller


@dataclass(frozen=True)
class Waited:
    """How waiting for a fleet ended.

    Attributes:
        fleet: The fleet as seen last.
        refusals: What its history says that went wrong.
        done: It has what it shall have.
        lasting: Waiting longer does not help.
        seconds: How long it took.
    """

    fleet: Fleet
    refusals: tuple[Refusal, ...] = ()
    done: bool = False
    lasting: bool = False
    seconds: float = 0.0


def live_fleets(reader: Any, tags: Mapping[str, str]) -> list[Fleet]:
    """Return the fleets of a generation that are at work, oldest first; there should be one at most."""
    found = api.fleets_in_state(reader, standing.LIVE_STATES)
    own = [fleet for fleet in found if standing.belongs(fleet, tags["spot:experiment"], tags["spot:generation"])]
    return standing.elder(own)


def create(ports: Ports, params: Mapping[str, Any], wanted: Mapping[str, Any]) -> Fleet:
    """Make the fleet and return it as AWS shows it.

    A fleet that AWS returns for an old token and that has ended gives a new token.

    Raises:
        AnsibleFleetError: AWS refuses, or the outcome is unknown after many repeats.
    """
    attempt = 0
    while True:
        fleet = _ask(ports, {**wanted, "ClientToken": standing.token(params, wanted, attempt)})
        attempt += 1
        if fleet or attempt > MAX_STALE:
            return fleet or {}


def _ask(ports: Ports, request: Mapping[str, Any]) -> Fleet | None:
    """Send one creation until its outcome is known; None when its token is used up."""
    repeats = 0
    while True:
        sent = ports.clock.now()
        try:
            answer = api.create_fleet(ports.launcher, request)
        except AnsibleFleetError as error:
            kind = classify_error(error, fresh=True)
            if kind is ErrorClass.NEWTOKEN:
                return None
            limit = {ErrorClass.RETRY: MAX_REPEATS, ErrorClass.WAIT: MAX_WAITS}.get(kind, 0)
            if repeats >= limit:
                raise
            repeats += 1
            ports.clock.sleep(2.0**repeats if kind is ErrorClass.WAIT else 2.0 ** (repeats - 1))
            continue
        return _visible(ports, answer, ports.clock.now() - sent)


def _visible(ports: Ports, answer: Mapping[str, Any], elapsed: float) -> Fleet | None:
    """Return the fleet of an answer when AWS shows it; None when it is one that ended long ago."""
    fleet_id = answer["FleetId"]
    for pause in (*VISIBLE_PAUSES_S, 0.0):
        found = api.describe_fleets(ports.reader, [fleet_id])
        if found:
            state = found[0].get("FleetState")
            old = state == standing.FAILED_STATE and is_stale(found[0], answer, elapsed)
            return None if state in GONE_FLEET_STATES or old else found[0]
        if pause:
            ports.clock.sleep(pause)
    return {"FleetId": fleet_id, "FleetState": "submitted"}


def modify(ports: Ports, fleet: Fleet, changes: Mapping[str, Any]) -> None:
    """Change the fleet; one that is just being changed is waited for, bounded.

    Raises:
        AnsibleFleetError: AWS refuses.
    """
    for pause in (*VISIBLE_PAUSES_S, 0.0):
        try:
            api.modify_fleet(ports.reader, fleet["FleetId"], changes)
        except AnsibleFleetError as error:
            if classify_error(error) is not ErrorClass.WAIT or not pause:
                raise
            ports.clock.sleep(pause)
        else:
            return


def members(reader: Any, fleet: Fleet | None) -> tuple[Instance, ...]:
    """Return the live instances that a fleet counts, oldest first."""
    if not fleet:
        return ()
    ids = [item["InstanceId"] for item in api.fleet_instances(reader, fleet["FleetId"])]
    found = [instance_from_boto(item) for item in api.instances_with(reader, "instance-id", ids)]
    live = [replace(item, fleet_id=fleet["FleetId"]) for item in found if item.alive]
    return tuple(sorted(live, key=lambda item: (item.launch_time, item.instance_id)))


def wait_until_fulfilled(ports: Ports, params: Mapping[str, Any], fleet: Fleet, *, created: bool) -> Waited:
    """Look at a fleet and its history until it has what it shall have, or until there is no hope or time left.

    Args:
        ports: AWS.
        params: The module's options.
        fleet: The fleet.
        created: This run made it, so that all of its history is about now.
    """
    waiter = _Waiter(ports, params, fleet, created)
    pause = FIRST_POLL_S
    while True:
        waited = waiter.look()
        left = waiter.deadline - ports.clock.now()
        if waited.done or waited.lasting or left <= 0:
            return waited
        ports.clock.sleep(min(pause, left))
        pause = min(pause * POLL_FACTOR, LAST_POLL_S)


class _Waiter:
    """One look after the other at a fleet; tells what is new."""

    def __init__(self, ports: Ports, params: Mapping[str, Any], fleet: Fleet, created: bool) -> None:
        self._ports = ports
        self._pools = [pool_from_override(item) for item in params["overrides"]]
        self._fleet = fleet
        self._wanted = float(params["target_capacity"])
        self._start = ports.clock.now()
        self.deadline = self._start + params["wait_timeout"]
        made = fleet.get("CreateTime") or datetime.now(timezone.utc) - RECENT
        self._since = made if created else max(made, datetime.now(timezone.utc) - RECENT)
        # What happened before is told, but says nothing about the future.
        self._old: set[tuple[str, str, str]] | None = set() if created else None
        self._told: tuple[Refusal, ...] = ()
        self._last = ""

    def look(self) -> Waited:
        """Look once."""
        reader, fleet_id = self._ports.reader, self._fleet["FleetId"]
        self._fleet = next(iter(api.describe_fleets(reader, [fleet_id])), self._fleet)
        done = standing.target_of(self._fleet) == self._wanted and standing.is_fulfilled(self._fleet)
        events = [] if done else api.fleet_history(reader, fleet_id, self._since)
        refusals = history.refusals(events, self._pools) or self._told
        self._tell(refusals)
        seconds = self._ports.clock.now() - self._start
        return Waited(self._fleet, refusals, done, self._is_lasting(events), seconds)

    def _is_lasting(self, events: list[dict[str, Any]]) -> bool:
        if self._old is None:
            self._old = {history.identity(event) for event in events}
        new = [event for event in events if history.identity(event) not in self._old]
        ended = self._fleet.get("FleetState") in (standing.FAILED_STATE, *GONE_FLEET_STATES)
        return ended or (self._fleet.get("ActivityStatus") == "error" and history.lasting(new))

    def _tell(self, refusals: tuple[Refusal, ...]) -> None:
        new = [refusal for refusal in refusals if refusal not in self._told]
        self._told = refusals
        have = float(self._fleet.get("FulfilledCapacity") or 0)
        line = f"{self._fleet['FleetId']}: {have:g} of {standing.target_of(self._fleet):g} there"
        lines = progress.refusal_lines((), new, Step(Do.SLEEP)) + ([line] if line != self._last else [])
        self._last = line
        self._ports.teller.tell(lines)
