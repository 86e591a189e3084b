# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries a launch out: asks AWS what the plan says, until the fleet is complete or there is no hope left.

Nothing here decides (``plan`` does) and nothing here knows parameters of the API (``api`` and ``transformations`` do).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .._aws_errors import ErrorClass, cause_of, classify_error, error_code, error_message, reason_of
from . import api, progress
from .errors import AnsibleFleetError
from .index import assign, numbered, tables
from .plan import Do, State, Step, absorb, begin, is_settling, next_step, surplus, units
from .transformations import (
    create_fleet_request,
    experiment_filters,
    instance_from_boto,
    instances_from_answer,
    is_stale,
    refusals_from_answer,
)
from .values import Answer, Instance, Refusal, Request, Wish

SETTLE_LOOKS = 3
SETTLE_PAUSE_S = 2.0
# A new instance is not known to CreateTags at once: 30 s in all.
TAG_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
# How often numbers are looked at again when another run may be giving some too.
INDEX_ROUNDS = 3


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

    def number(self, numbers: Mapping[str, int]) -> dict[str, AnsibleFleetError]:
        """Write the numbers of instances; returns those that AWS does not know yet or could not do now."""

    def claim(self, instance_ids: Iterable[str], tag: str) -> AnsibleFleetError | None:
        """Write the tag of this run; returns an error that may be over soon."""


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


SILENT = progress.File("")


def launch(
    fleet: Fleet, wish: Wish, clock: Clock, before: tuple[Instance, ...] = (), teller: progress.Teller = SILENT
) -> Outcome:
    """Bring the experiment to its target capacity, or leave nothing that this run started.

    Args:
        fleet: AWS.
        wish: What is wanted.
        clock: Time.
        before: The live instances as seen just now.
        teller: Where to tell what happens.

    Raises:
        AnsibleFleetError: Instances cannot be described or terminated.
    """
    before = _settled(fleet, wish, clock, before)
    state = begin(wish, clock.now())
    seen, launched, fleet_ids = before, dict[str, Instance](), dict[str, None]()
    story = _Story(wish, teller, before)
    while True:
        step = next_step(wish, state, seen, clock.now())
        story.next(state, step, seen, clock.now())
        # After every answer and every pause: another run may have launched, an instance may have died.
        if step.do is Do.SLEEP:
            clock.sleep(step.seconds)
            seen = fleet.look(launched.values())
        elif step.do is Do.ASK and step.request:
            answer = fleet.ask(step.request)
            launched.update({item.instance_id: item for item in answer.launched})
            fleet_ids.update({answer.fleet_id: None} if answer.launched else {})
            state = absorb(wish, state, step.request, answer, clock.now())
            seen = _seen(fleet, answer, launched)
        else:
            break
    ours = tuple(launched) if not state.unknown else tuple(launched | _new(wish, before, seen))
    outcome = Outcome(seen, seen, state, ours, tuple(fleet_ids), seconds=clock.now() - state.start)
    enough = units(wish, seen) >= wish.required
    outcome = replace(outcome, complete=step.do is Do.DONE, accepted=enough)
    if not enough:
        alive = {instance.instance_id for instance in seen}
        return _take_back(fleet, outcome, [name for name in ours if name in alive])
    return _trim(fleet, wish, clock, outcome)


def _seen(fleet: Fleet, answer: Answer, launched: Mapping[str, Instance]) -> tuple[Instance, ...]:
    """What the answer's own look has shown, if that has all that was launched; the tags of some may lag behind."""
    known = {instance.instance_id for instance in answer.seen or ()}
    if answer.seen is None or not launched.keys() <= known:
        return fleet.look(launched.values())
    return answer.seen


def _settled(fleet: Fleet, wish: Wish, clock: Clock, seen: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Look until a fleet that another run is just launching has appeared as a whole."""
    for _look in range(SETTLE_LOOKS):
        if not is_settling(wish, seen):
            break
        clock.sleep(SETTLE_PAUSE_S)
        seen = fleet.look()
    return seen


def _new(wish: Wish, before: Iterable[Instance], after: Iterable[Instance]) -> dict[str, Instance]:
    known = {instance.instance_id for instance in before}
    return {
        item.instance_id: item
        for item in after
        if item.instance_id not in known and item.generation in ("", wish.generation)
    }


class _Story:
    """Tells what has happened since it told last."""

    def __init__(self, wish: Wish, teller: progress.Teller, before: Iterable[Instance]) -> None:
        self._wish = wish
        self._teller = teller
        self._known = {instance.instance_id for instance in before}
        self._told = 0

    def next(self, state: State, step: Step, seen: tuple[Instance, ...], now: float) -> None:
        """Tell about the last answer and the next step."""
        new = [instance for instance in seen if instance.instance_id not in self._known]
        before = units(self._wish, (instance for instance in seen if instance.instance_id in self._known))
        told, self._told = state.refusals[: self._told], len(state.refusals)
        self._known |= {instance.instance_id for instance in new}
        self._teller.tell(
            [
                *progress.launch_lines(new, before, self._wish.target),
                *progress.refusal_lines(told, state.refusals[len(told) :], step),
                *progress.wait_lines(step, state.deadline - now),
            ]
        )


def number(
    fleet: Fleet, clock: Clock, instances: tuple[Instance, ...], *, shared: bool = False
) -> tuple[Instance, ...]:
    """Give each instance a number of its own, and return the instances with their numbers.

    Args:
        fleet: AWS.
        clock: Time.
        instances: The live instances that count.
        shared: Another run has launched some of them and may be giving numbers too.

    Raises:
        AnsibleFleetError: A number cannot be written.
    """
    for _round in range(INDEX_ROUNDS if shared else 1):
        numbers = assign(instances)
        if not numbers:
            break
        _write(fleet, clock, numbers)
        instances = numbered(instances, numbers)
        if shared:
            clock.sleep(SETTLE_PAUSE_S)
            instances = fleet.look(instances)
    return instances


def claim(fleet: Fleet, clock: Clock, instances: Iterable[Instance], tag: str) -> None:
    """Say that this run uses the instances: a run that fails must not end what another one uses.

    Runs at the same moment get the same instances, as their requests have the same token, and cannot tell who launched.

    Raises:
        AnsibleFleetError: The tag cannot be written.
    """
    ids = [instance.instance_id for instance in instances]
    for pause in (*TAG_PAUSES_S, 0.0):
        error = fleet.claim(ids, tag) if ids else None
        if error is None:
            return
        if not pause:
            raise error
        clock.sleep(pause)


def _write(fleet: Fleet, clock: Clock, numbers: Mapping[str, int]) -> None:
    left = dict(numbers)
    for pause in (*TAG_PAUSES_S, 0.0):
        errors = fleet.number(left)
        left = {instance_id: left[instance_id] for instance_id in errors}
        if not left:
            return
        if not pause:
            raise next(iter(errors.values()))
        clock.sleep(pause)


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
        return self._found(launched)

    def _found(self, named: Iterable[Instance]) -> tuple[Instance, ...]:
        found = find(self._reader, self._wish)
        known = {instance.instance_id for instance in found}
        lacking = [instance for instance in named if instance.instance_id not in known]
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
        found = self._found(named)
        names = {item.instance_id for item in named}
        seen = tuple(self._with_index(item, request) if item.instance_id in names else item for item in found)
        alive = tuple(item for item in seen if item.instance_id in names)
        # An old fleet answers for its dead instances, or for none; a new one may have some that are not visible yet.
        stale = not any(item.launch_time for item in alive) and self._is_stale(fleet_id, answer, elapsed)
        refusals = refusals_from_answer(answer, request)
        if alive and not stale:
            return Answer(fleet_id, alive, refusals, seen=seen)
        others = tuple(item for item in seen if item.instance_id not in names)
        return Answer(fleet_id, (), refusals, stale=stale or bool(named), seen=others)

    def terminate(self, instance_ids: Iterable[str]) -> None:
        """Terminate instances."""
        api.terminate_instances(self._reader, instance_ids)

    def number(self, numbers: Mapping[str, int]) -> dict[str, AnsibleFleetError]:
        """Write the numbers of instances, of some 50 with one call."""
        written = [(ids, self._tag(ids, value)) for value, ids in tables(numbers).items()]
        return {instance_id: error for ids, error in written if error for instance_id in ids}

    def _tag(self, instance_ids: list[str], value: str) -> AnsibleFleetError | None:
        try:
            api.create_tags(self._reader, instance_ids, {self._wish.index_tag: value})
        except AnsibleFleetError as error:
            return _passing(error)
        return None

    def claim(self, instance_ids: Iterable[str], tag: str) -> AnsibleFleetError | None:
        """Write the tag of this run, in one call for all; returns an error that may be over soon."""
        try:
            api.create_tags(self._reader, instance_ids, {tag: ""})
        except AnsibleFleetError as error:
            return _passing(error)
        return None

    def _with_index(self, instance: Instance, request: Request) -> Instance:
        """Return the instance with the number it was launched with, which may not be visible yet."""
        return instance if instance.index is not None else replace(instance, index=request.index)

    def _by_id(self, named: Iterable[Instance]) -> tuple[Instance, ...]:
        """Return the instances with their present state; one that is not visible yet is returned as it came."""
        wanted = {instance.instance_id: instance for instance in named}
        if not wanted:
            return ()
        described = api.instances_with(self._reader, "instance-id", wanted)
        current = {item["InstanceId"]: instance_from_boto(item, self._wish.index_tag) for item in described}
        return tuple(current.get(instance_id, item) for instance_id, item in wanted.items())

    def _is_stale(self, fleet_id: str, answer: dict[str, Any], elapsed: float) -> bool:
        try:
            fleets = api.describe_fleets(self._reader, [fleet_id]) if fleet_id else []
        except AnsibleFleetError:
            # Only this check needs the permission; without it an answer is believed as it came.
            return False
        return any(is_stale(fleet, answer, elapsed) for fleet in fleets)


def _passing(error: AnsibleFleetError) -> AnsibleFleetError:
    """Return an error of CreateTags that may be over soon: the instance is not visible yet. Raises any other."""
    if classify_error(error, fresh=True) not in (ErrorClass.WAIT, ErrorClass.RETRY):
        raise error
    return error


def _refusal(error: AnsibleFleetError) -> Refusal:
    code = error_code(error) or type(cause_of(error)).__name__
    return Refusal(None, code, error_message(error), classify_error(error, fresh=True), reason_of(error))


def find(client: Any, wish: Wish) -> tuple[Instance, ...]:
    """Return the live instances that count, oldest first."""
    generation = "" if wish.all_generations else wish.generation
    found = find_tagged(client, wish.experiment, generation, wish.index_tag)
    return tuple(instance for instance in found if instance.instance_id not in wish.excluded)


def find_tagged(client: Any, experiment: str, generation: str, index_tag: str = "") -> tuple[Instance, ...]:
    """Return the live instances of an experiment, of one generation or of all (empty), oldest first."""
    described = api.describe_instances(client, experiment_filters(experiment, generation))
    found = [instance_from_boto(instance, index_tag) for instance in described]
    return tuple(sorted(found, key=lambda item: (item.launch_time, item.instance_id)))
