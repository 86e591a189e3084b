# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries a launch out: asks AWS what the plan says, until the fleet is complete or there is no hope left.

Nothing here decides (``plan`` does) and nothing here knows parameters of the API (``api`` and ``transformations`` do).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .._aws_errors import cause_of, classify_error, error_code, error_message, reason_of
from . import api
from .errors import AnsibleFleetError
from .plan import (
    Answer,
    Do,
    Instance,
    Refusal,
    Request,
    State,
    Wish,
    absorb,
    begin,
    is_settling,
    next_step,
    surplus,
    units,
)
from .transformations import (
    create_fleet_request,
    experiment_filters,
    fleets_to_delete,
    instance_from_boto,
    instances_from_answer,
    is_stale,
    refusals_from_answer,
)

SETTLE_LOOKS = 3
SETTLE_PAUSE_S = 2.0


class Clock(Protocol):
    """Time as the loop sees it, so that tests do not wait."""

    def now(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The real time; sleeps up to a tenth longer than told so that many runs do not call in step."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for the seconds given, plus jitter."""
        time.sleep(seconds * (1 + random.random() / 10))


class Fleet(Protocol):
    """What the loop needs of AWS."""

    def look(self, launched: Iterable[Instance] = ()) -> tuple[Instance, ...]:
        """Return the live instances of the experiment, found by tag, and those launched that AWS does not list yet."""

    def ask(self, request: Request) -> Answer:
        """Ask for capacity once."""

    def terminate(self, instance_ids: Iterable[str]) -> None:
        """Terminate instances."""


@dataclass(frozen=True)
class Outcome:
    """How a launch ended.

    Attributes:
        instances: The live instances of the experiment.
        found: The same before this run took any back.
        state: The last state of the plan.
        launched: Ids of those that this run launched.
        fleet_ids: The fleets this run made.
        complete: The target is reached.
        accepted: At least the required capacity is there.
        terminated: Ids that this run took back.
        seconds: How long it took.
    """

    instances: tuple[Instance, ...]
    found: tuple[Instance, ...]
    state: State
    launched: tuple[str, ...] = ()
    fleet_ids: tuple[str, ...] = ()
    complete: bool = False
    accepted: bool = False
    terminated: tuple[str, ...] = ()
    seconds: float = 0.0


def launch(fleet: Fleet, wish: Wish, clock: Clock, before: tuple[Instance, ...] = ()) -> Outcome:
    """Bring the experiment to its target capacity, or leave nothing that this run started.

    Args:
        fleet: AWS.
        wish: What is wanted.
        clock: Time.
        before: The live instances as seen just now.

    Raises:
        AnsibleFleetError: Instances cannot be described or terminated.
    """
    before = _settled(fleet, wish, clock, before)
    state = begin(wish, clock.now())
    seen, launched, fleet_ids = before, dict[str, Instance](), dict[str, None]()
    while True:
        step = next_step(wish, state, seen, clock.now())
        if step.do is Do.SLEEP:
            clock.sleep(step.seconds)
        elif step.do is Do.ASK and step.request:
            answer = fleet.ask(step.request)
            launched.update({item.instance_id: item for item in answer.launched})
            fleet_ids.update({answer.fleet_id: None} if answer.launched else {})
            state = absorb(wish, state, step.request, answer, clock.now())
        else:
            break
        # After every answer and every pause: another run may have launched, an instance may have died.
        seen = fleet.look(launched.values())
    ours = tuple(launched) if not state.unknown else tuple(launched | _new(before, seen))
    outcome = Outcome(seen, seen, state, ours, tuple(fleet_ids), seconds=clock.now() - state.start)
    enough = units(wish, seen) >= wish.required
    outcome = replace(outcome, complete=step.do is Do.DONE, accepted=enough)
    if not enough:
        alive = {instance.instance_id for instance in seen}
        return _take_back(fleet, outcome, [name for name in ours if name in alive])
    return _trim(fleet, wish, clock, outcome)


def _settled(fleet: Fleet, wish: Wish, clock: Clock, seen: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Look until a fleet that another run is just launching has appeared as a whole."""
    for _look in range(SETTLE_LOOKS):
        if not is_settling(wish, seen):
            break
        clock.sleep(SETTLE_PAUSE_S)
        seen = fleet.look()
    return seen


def _new(before: Iterable[Instance], after: Iterable[Instance]) -> dict[str, Instance]:
    known = {instance.instance_id for instance in before}
    return {item.instance_id: item for item in after if item.instance_id not in known}


def _trim(fleet: Fleet, wish: Wish, clock: Clock, outcome: Outcome) -> Outcome:
    """Take back what two runs at once launched too much."""
    outcome = _take_back(fleet, outcome, surplus(wish, outcome.instances, outcome.launched))
    everyone = [instance.instance_id for instance in outcome.instances]
    if not outcome.launched or not surplus(wish, outcome.instances, everyone):
        return outcome
    # It is the other run's turn. If it does not take its own back it was done before it could see ours.
    clock.sleep(SETTLE_PAUSE_S)
    outcome = replace(outcome, instances=fleet.look())
    return _take_back(fleet, outcome, surplus(wish, outcome.instances, outcome.launched, others_first=True))


def _take_back(fleet: Fleet, outcome: Outcome, ids: Iterable[str]) -> Outcome:
    """Terminate instances and return the outcome without them."""
    gone = tuple(ids)
    if gone:
        fleet.terminate(gone)
    left = tuple(instance for instance in outcome.instances if instance.instance_id not in gone)
    return replace(outcome, instances=left, terminated=outcome.terminated + gone)


class AwsFleet:
    """The fleet of one experiment on AWS.

    Args:
        reader: An EC2 client that retries.
        launcher: An EC2 client that sends each request once.
        wish: What is wanted; names the experiment.
        clock: Time.
    """

    def __init__(self, reader: Any, launcher: Any, wish: Wish, clock: Clock) -> None:
        self._clock = clock
        self._reader = reader
        self._launcher = launcher
        self._wish = wish

    def look(self, launched: Iterable[Instance] = ()) -> tuple[Instance, ...]:
        """Return the live instances of the experiment; one launched but not visible yet counts as it was named."""
        found = find(self._reader, self._wish.experiment, self._wish.generation)
        known = {instance.instance_id for instance in found}
        lacking = [instance for instance in launched if instance.instance_id not in known]
        return (*found, *(item for item in self._by_id(lacking) if item.alive))

    def ask(self, request: Request) -> Answer:
        """Send one CreateFleet and return what came of it; an error of AWS is an answer too."""
        sent = self._clock.now()
        try:
            answer = api.create_fleet(self._launcher, create_fleet_request(self._wish, request))
        except AnsibleFleetError as error:
            return Answer(error=_refusal(error))
        elapsed = self._clock.now() - sent
        fleet_id, named = answer.get("FleetId", ""), instances_from_answer(answer)
        alive = tuple(item for item in self._by_id(named) if item.alive)
        # An old fleet answers for its dead instances, or for none; a new one may have some that are not visible yet.
        stale = not any(item.launch_time for item in alive) and self._is_stale(fleet_id, answer, elapsed)
        if alive and not stale:
            return Answer(fleet_id, alive, refusals_from_answer(answer, request))
        return Answer(fleet_id, (), refusals_from_answer(answer, request), stale=stale or bool(named))

    def terminate(self, instance_ids: Iterable[str]) -> None:
        """Terminate instances."""
        api.terminate_instances(self._reader, instance_ids)

    def _by_id(self, named: Iterable[Instance]) -> tuple[Instance, ...]:
        """Return the instances with their present state; one that is not visible yet is returned as it came."""
        wanted = {instance.instance_id: instance for instance in named}
        if not wanted:
            return ()
        described = api.describe_instances(self._reader, {"instance-id": list(wanted)})
        current = {item.instance_id: item for item in map(instance_from_boto, described)}
        return tuple(current.get(instance_id, item) for instance_id, item in wanted.items())

    def _is_stale(self, fleet_id: str, answer: dict[str, Any], elapsed: float) -> bool:
        try:
            fleets = api.describe_fleets(self._reader, [fleet_id]) if fleet_id else []
        except AnsibleFleetError:
            # Only this check needs the permission; without it an answer is believed as it came.
            return False
        return any(is_stale(fleet, answer, elapsed) for fleet in fleets)


def _refusal(error: AnsibleFleetError) -> Refusal:
    code = error_code(error) or type(cause_of(error)).__name__
    return Refusal(None, code, error_message(error), classify_error(error, fresh=True), reason_of(error))


def find(client: Any, experiment: str, generation: str = "") -> tuple[Instance, ...]:
    """Return the live instances of an experiment, of one generation or of all, oldest first."""
    described = api.describe_instances(client, experiment_filters(experiment, generation))
    found = [instance_from_boto(instance) for instance in described]
    return tuple(sorted(found, key=lambda item: (item.launch_time, item.instance_id)))


@dataclass(frozen=True)
class Remains:
    """What is left of an experiment's fleets: live instances and fleets that are still a record."""

    instances: tuple[Instance, ...] = ()
    fleet_ids: tuple[str, ...] = ()


def find_remains(client: Any, experiment: str, generation: str = "", fleet_ids: Iterable[str] = ()) -> Remains:
    """Return what ``remove`` would remove.

    Args:
        client: An EC2 client that retries.
        experiment: Value of the tag ``spot:experiment``.
        generation: Value of the tag ``spot:generation``, empty for all generations.
        fleet_ids: More fleets to remove.
    """
    instances = find(client, experiment, generation)
    tagged = api.describe_fleet_tags(client, "spot:experiment", experiment)
    named = dict.fromkeys([*fleet_ids, *tagged, *(item.fleet_id for item in instances if item.fleet_id)])
    # One by one only when needed: one unknown id makes AWS refuse the whole list.
    fleets = api.describe_fleets(client, named) if named else []
    if named and not fleets:
        fleets = [fleet for fleet_id in named for fleet in api.describe_fleets(client, [fleet_id])]
    return Remains(instances, fleets_to_delete(fleets, generation))


def remove(client: Any, remains: Remains) -> list[str]:
    """Terminate the instances and delete the fleets.

    Returns:
        Why a fleet could not be deleted, one line each.
    """
    if remains.instances:
        api.terminate_instances(client, [instance.instance_id for instance in remains.instances])
    failed = api.delete_fleets(client, remains.fleet_ids) if remains.fleet_ids else []
    return [f"{item['FleetId']}: {item['Error'].get('Code')}: {item['Error'].get('Message')}" for item in failed]
