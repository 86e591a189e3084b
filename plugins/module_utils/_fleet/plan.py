# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to ask of AWS next: pure functions over immutable values, no API calls, no clock.

A launch is a sequence of steps. ``next_step`` says what to do now, the caller does it, and ``absorb`` turns the answer
into the next state. Time is a number of seconds that the caller passes in.

Source: EC2 API CreateFleet (type instant); EC2 user guide, "Ensuring idempotency in Amazon EC2 API requests".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from .._aws_errors import ErrorClass, classify, is_known

# The same request is sent again at most so often after an unknown outcome: 1 + 2 + 4 + 8 + 16 s.
MAX_REPEATS = 5
# Something just created is not visible yet: 2 + 4 + 8 + 16 s, then it is believed not to exist.
MAX_WAITS = 4
# Answers of former fleets of the same token; each costs two fast calls.
MAX_STALE = 60
# A pool that refused because of a fault of AWS, not for lack of capacity.
FAULT_PAUSE_S = 5.0
# Codes that say the pool will not do during this run, though the class is POOL: waiting does not help.
LASTING_CODES = frozenset(
    {"EncryptedVolumesNotSupported", "InvalidFleetConfiguration", "SpotMaxPriceTooLow", "Unsupported"}
)
LIVE_STATES = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True)
class Pool:
    """One instance type in one subnet or zone: the unit that has or has not capacity.

    Attributes:
        instance_type: Such as ``p2.xlarge``.
        subnet_id: Empty to let AWS choose (default VPC).
        zone: Availability Zone, empty when not known or not wanted.
        weight: Units of capacity of one instance.
        max_price: USD per hour, None for no maximum.
        priority: Lower goes first, None for none.
    """

    instance_type: str
    subnet_id: str = ""
    zone: str = ""
    weight: int = 1
    max_price: float | None = None
    priority: float | None = None

    @property
    def label(self) -> str:
        """The pool in words, such as ``p2.xlarge in us-east-1a (subnet-1)``."""
        if self.zone and self.subnet_id:
            return f"{self.instance_type} in {self.zone} ({self.subnet_id})"
        place = self.zone or self.subnet_id
        return f"{self.instance_type} in {place}" if place else self.instance_type


@dataclass(frozen=True)
class Instance:
    """An instance as far as a fleet cares; ``launch_time`` is ISO 8601 UTC or empty."""

    instance_id: str
    instance_type: str = ""
    zone: str = ""
    subnet_id: str = ""
    lifecycle: str = "on-demand"
    state: str = "pending"
    launch_time: str = ""
    fleet_id: str = ""
    reason: str = ""

    @property
    def alive(self) -> bool:
        """Whether it exists, that is, is not terminated and not on its way there."""
        return self.state in LIVE_STATES


@dataclass(frozen=True)
class Wish:
    """What the user wants of a fleet.

    Attributes:
        experiment: Value of the tag ``spot:experiment``.
        generation: Value of the tag ``spot:generation``.
        launch_template: ``{"LaunchTemplateId" or "LaunchTemplateName": …, "Version": …}``.
        pools: Where instances may run.
        target: Units of capacity in total (instances, unless pools have weights).
        required: With fewer units than this the launch has failed and leaves nothing.
        market: ``spot`` or ``on-demand``.
        allocation_strategy: Of the market that is used.
        interruption_behavior: What AWS does with an interrupted Spot instance.
        single_instance_type: All instances of one type.
        single_zone: All instances in one Availability Zone.
        max_total_price: USD per hour for the whole fleet, None for no maximum.
        tags: Tags of fleet and instances.
        client_token: Base of the client tokens, empty to derive one.
        wait: Seconds to keep trying when there is no capacity.
        cooldown: Seconds a pool without capacity is left alone.
        kind: The fleet's type.
    """

    experiment: str
    generation: str
    launch_template: Mapping[str, str]
    pools: tuple[Pool, ...]
    target: int = 1
    required: int = 1
    market: str = "spot"
    allocation_strategy: str = "price-capacity-optimized"
    interruption_behavior: str = "terminate"
    single_instance_type: bool = False
    single_zone: bool = False
    max_total_price: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    client_token: str = ""
    wait: float = 0.0
    cooldown: float = 60.0
    kind: str = "instant"


@dataclass(frozen=True)
class Request:
    """One CreateFleet: the pools, the units of capacity, and the number that makes its token new."""

    pools: tuple[Pool, ...]
    capacity: int
    attempt: int = 0


@dataclass(frozen=True)
class Refusal:
    """AWS said no.

    Attributes:
        pool: None when the answer was for the whole request.
        code: AWS's error code.
        message: AWS's words.
        kind: How to react.
        reason: When the call itself failed: one line that says why and what to do.
    """

    pool: Pool | None
    code: str
    message: str
    kind: ErrorClass
    reason: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        fleet_id: Empty when the call failed.
        launched: The instances AWS named that are alive.
        refusals: One for each pool that AWS tried in vain.
        error: The call itself failed.
        stale: AWS repeated the answer of a former fleet of this token, which is of no use any more.
    """

    fleet_id: str = ""
    launched: tuple[Instance, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    error: Refusal | None = None
    stale: bool = False


class Do(Enum):
    """What the caller does next."""

    ASK = "ask"
    SLEEP = "sleep"
    DONE = "done"
    FAIL = "fail"


@dataclass(frozen=True)
class Step:
    """The next thing to do, with the request to send or the seconds to sleep."""

    do: Do
    request: Request | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class State:
    """What is known about a launch that is under way; ``begin`` makes the first one.

    Attributes:
        start: When the launch began.
        deadline: When to stop trying for lack of capacity.
        attempt: The number of the next request; it is part of the token.
        pending: A request whose outcome is unknown: it is repeated as it was before anything else is asked.
        repeats: How often ``pending`` was repeated.
        waits: How often AWS did not see yet what had just been created.
        stale: How many answers were those of former fleets.
        not_before: No request before this time.
        asked_at: When the last answer came.
        asks: How many requests were answered.
        ready: When a pool may be asked again; infinite for one that will not do during this run.
        refusals: All refusals in the order they came.
        fatal: Why there is no point in going on.
        unknown: Some request had an unknown outcome.
    """

    start: float
    deadline: float
    attempt: int = 0
    pending: Request | None = None
    repeats: int = 0
    waits: int = 0
    stale: int = 0
    not_before: float = -math.inf
    asked_at: float = math.inf
    asks: int = 0
    ready: Mapping[Pool, float] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    fatal: Refusal | None = None
    unknown: bool = False


def begin(wish: Wish, now: float) -> State:
    """Return the state before the first request."""
    return State(start=now, deadline=now + max(wish.wait, 0.0))


def kind_of(code: str, message: str) -> ErrorClass:
    """Return the reaction to a code inside a fleet's ``Errors``, where template, key and group may be just created.

    Two causes hide behind codes that mean something else most of the time; only there the message is read:
    a missing service-linked role comes as UnfulfillableCapacity, a new instance profile as InvalidParameterValue.
    """
    text = message.lower()
    if "service-linked role" in text:
        return ErrorClass.FATAL
    if code == "InvalidParameterValue" and "instance profile" in text:
        return ErrorClass.WAIT
    return classify(code, fresh=True)


def units(wish: Wish, instances: Iterable[Instance]) -> int:
    """Return the units of capacity that live instances provide."""
    weights = {pool.instance_type: pool.weight for pool in wish.pools}
    return sum(weights.get(instance.instance_type, 1) for instance in instances if instance.alive)


def missing(wish: Wish, instances: Iterable[Instance]) -> int:
    """Return the units of capacity that have to be asked for."""
    return max(wish.target - units(wish, instances), 0)


def is_settling(wish: Wish, instances: Iterable[Instance]) -> bool:
    """Say whether a fleet seems to be appearing: some instances are there, all too young to know of the others.

    Filters by tag lag behind. Asking for the rest now could launch twice what another run has just launched.
    """
    seen = [instance for instance in instances if instance.alive]
    return 0 < units(wish, seen) < wish.target and any(instance.state == "pending" for instance in seen)


def next_step(wish: Wish, state: State, instances: Iterable[Instance], now: float) -> Step:
    """Say what to do now.

    Args:
        wish: What is wanted.
        state: What is known.
        instances: The experiment's instances as seen last.
        now: Seconds, on the same clock as the state.
    """
    seen = tuple(instances)
    if not missing(wish, seen):
        return Step(Do.DONE)
    if state.fatal:
        return Step(Do.FAIL)
    if state.not_before > now:
        return Step(Do.SLEEP, seconds=state.not_before - now)
    if state.pending:
        return Step(Do.ASK, request=state.pending)
    return _new_request(wish, state, seen, now)


def _new_request(wish: Wish, state: State, seen: tuple[Instance, ...], now: float) -> Step:
    usable = [pool for pool in fitting_pools(wish, seen) if _ready(state, pool) < math.inf]
    if not usable:
        return Step(Do.FAIL)
    # One last request to all of them when the time is over, so that a wait is never for nothing.
    last_try = state.asked_at < state.deadline <= now
    pools = tuple(pool for pool in usable if last_try or _ready(state, pool) <= now)
    if pools:
        return Step(Do.ASK, request=Request(pools, missing(wish, seen), state.attempt))
    if now >= state.deadline:
        return Step(Do.FAIL)
    until = min(state.deadline, *(_ready(state, pool) for pool in usable))
    return Step(Do.SLEEP, seconds=until - now)


def fitting_pools(wish: Wish, instances: Iterable[Instance]) -> tuple[Pool, ...]:
    """Return the pools that go with the instances that are there (one zone or one type may be demanded)."""
    seen = [instance for instance in instances if instance.alive]
    pools = wish.pools
    if seen and wish.single_zone:
        zones = {instance.zone for instance in seen} - {""}
        subnets = {instance.subnet_id for instance in seen} - {""}
        pools = tuple(pool for pool in pools if pool.zone in zones or pool.subnet_id in subnets)
    if seen and wish.single_instance_type:
        types = {instance.instance_type for instance in seen}
        pools = tuple(pool for pool in pools if pool.instance_type in types)
    return pools


def absorb(wish: Wish, state: State, request: Request, answer: Answer, now: float) -> State:
    """Return the state after an answer.

    Args:
        wish: What is wanted.
        state: The state in which the request was sent.
        request: The request.
        answer: What came of it.
        now: When the answer came.
    """
    state = replace(state, asked_at=now, asks=state.asks + 1)
    if answer.error and answer.error.kind in (ErrorClass.RETRY, ErrorClass.WAIT):
        return _repeat(state, request, answer.error, now)
    state = replace(state, pending=None, repeats=0, attempt=request.attempt + 1)
    if answer.stale or (answer.error and answer.error.kind is ErrorClass.NEWTOKEN):
        return _renew(state, answer)
    if answer.error and _stops_all(answer.error):
        return replace(state, refusals=(*state.refusals, answer.error), fatal=answer.error)
    if answer.error:
        refusals = tuple(replace(answer.error, pool=pool) for pool in request.pools)
        return _refused(wish, state, refusals, now)
    return _refused(wish, state, answer.refusals, now)


def _repeat(state: State, request: Request, error: Refusal, now: float) -> State:
    """Keep the request for the same token, or give up."""
    repeats, waiting = state.repeats + 1, error.kind is ErrorClass.WAIT
    state = replace(state, unknown=state.unknown or not waiting, refusals=(*state.refusals, error))
    if repeats > (MAX_WAITS if waiting else MAX_REPEATS):
        return replace(state, fatal=error)
    pause = float(2**repeats if waiting else 2 ** (repeats - 1))
    return replace(state, pending=request, repeats=repeats, not_before=now + pause)


def _renew(state: State, answer: Answer) -> State:
    """Go on with the next token; the former fleet of this one is dead."""
    stale = state.stale + 1
    if stale > MAX_STALE:
        reason = "AWS repeats the answers of former fleets for every client token"
        return replace(state, fatal=answer.error or Refusal(None, "StaleFleet", reason, ErrorClass.FATAL))
    return replace(state, stale=stale)


def _refused(wish: Wish, state: State, refusals: tuple[Refusal, ...], now: float) -> State:
    """Set pools aside, or stop when an error concerns all of them."""
    state = replace(state, refusals=state.refusals + refusals)
    fatal = next((refusal for refusal in refusals if _stops_all(refusal)), None)
    if fatal:
        return replace(state, fatal=fatal)
    unseen = next((refusal for refusal in refusals if refusal.kind is ErrorClass.WAIT), None)
    waits = state.waits + 1 if unseen else state.waits
    if unseen and waits > MAX_WAITS:
        return replace(state, fatal=unseen)
    ready = dict(state.ready)
    for refusal in refusals:
        # A fleet that failed for a fault or for something not yet visible is worth asking again soon.
        again = _again(wish, refusal, now, pause=max(FAULT_PAUSE_S, 2.0**waits))
        for pool in _concerned(wish, refusal):
            ready[pool] = max(again, ready.get(pool, again))
    return replace(state, ready=ready, waits=waits)


def _stops_all(refusal: Refusal) -> bool:
    """A known fatal error concerns every pool; an unknown one is held against its pool only."""
    return refusal.kind is ErrorClass.FATAL and (
        is_known(refusal.code) or "service-linked role" in refusal.message.lower()
    )


def _again(wish: Wish, refusal: Refusal, now: float, pause: float) -> float:
    """When the pool of a refusal may be asked again."""
    if refusal.kind in (ErrorClass.REGION, ErrorClass.FATAL) or refusal.code in LASTING_CODES:
        return math.inf
    if refusal.kind in (ErrorClass.POOL, ErrorClass.AZ):
        return now + wish.cooldown
    return now + pause


def _concerned(wish: Wish, refusal: Refusal) -> list[Pool]:
    """The pools a refusal speaks of: all of the zone or subnet for AZ, all of them when it names none."""
    pool = refusal.pool
    if pool is None:
        return list(wish.pools)
    if refusal.kind is not ErrorClass.AZ:
        return [pool]
    return [other for other in wish.pools if other == pool or _same_place(other, pool)]


def _same_place(one: Pool, other: Pool) -> bool:
    if one.subnet_id or other.subnet_id:
        return one.subnet_id == other.subnet_id
    return one.zone == other.zone


def _ready(state: State, pool: Pool) -> float:
    return state.ready.get(pool, -math.inf)


def surplus(
    wish: Wish, instances: Iterable[Instance], launched: Iterable[str], *, others_first: bool = False
) -> tuple[str, ...]:
    """Return the ids this run launched that are more than the target.

    Two runs at once may both have launched. Both order the instances alike (by launch time, then id) and each takes
    back only its own beyond the target, so together they leave the target and nothing more.

    Args:
        wish: What is wanted.
        instances: The experiment's instances.
        launched: Ids that this run launched.
        others_first: Count the instances of other runs before ours: for the case that the other run was done before
            ours began to launch, within the one second that launch times tell apart.
    """
    mine, kept, extra = set(launched), 0, []
    alive = [instance for instance in instances if instance.alive]
    for instance in sorted(alive, key=lambda item: _seniority(item, others_first and item.instance_id in mine)):
        if kept >= wish.target and instance.instance_id in mine:
            extra.append(instance.instance_id)
        kept += units(wish, [instance])
    return tuple(extra)


def _seniority(instance: Instance, last: bool) -> tuple[bool, str, str]:
    return (last, instance.launch_time or "9999", instance.instance_id)


def problems(params: Mapping[str, Any]) -> list[str]:
    """Return every mistake in the module's options, as one sentence each.

    Args:
        params: The options after the argument spec was applied.
    """
    found = _tag_problems(params["tags"] or {}, needs_generation=params["state"] == "present")
    if params["state"] == "present":
        found += _template_problems(params["launch_template"] or {})
        found += _pool_problems(params["overrides"] or [])
        found += _number_problems(params)
    return found


def _tag_problems(tags: Mapping[str, Any], *, needs_generation: bool) -> list[str]:
    needed = ["spot:experiment"] + (["spot:generation"] if needs_generation else [])
    found = [f"tags: the tag {key} is missing; it is the identity of the fleet" for key in needed if not tags.get(key)]
    found += [f"tags: {key}: AWS reserves the prefix aws:" for key in tags if str(key).lower().startswith("aws:")]
    found += [f"tags: {key}: a key has at most 128 characters" for key in tags if len(str(key)) > 128]
    found += [f"tags: {key}: a value has at most 256 characters" for key in tags if len(str(tags[key])) > 256]
    if len(tags) > 50:
        found.append(f"tags: {len(tags)} tags, AWS allows 50")
    return found


def _template_problems(template: Mapping[str, Any]) -> list[str]:
    if bool(template.get("id")) == bool(template.get("name")):
        return ["launch_template: give exactly one of id and name"]
    return []


def _pool_problems(overrides: list[Mapping[str, Any]]) -> list[str]:
    if not overrides:
        return ["overrides: give at least one instance type"]
    found = [f"overrides: {len(overrides)} entries, AWS allows 300"] if len(overrides) > 300 else []
    keys = [(item["instance_type"], item.get("subnet_id"), item.get("availability_zone")) for item in overrides]
    weights: dict[str, set[int]] = {}
    for index, item in enumerate(overrides):
        found += [f"overrides[{index}].{text}" for text in _override_problems(item)]
        if keys[index] in keys[:index]:
            found.append(f"overrides[{index}]: the same pool as overrides[{keys.index(keys[index])}]")
        weights.setdefault(item["instance_type"], set()).add(item.get("weighted_capacity") or 1)
    found += [f"overrides: {name} has different weights" for name, values in weights.items() if len(values) > 1]
    return found


def _override_problems(item: Mapping[str, Any]) -> list[str]:
    found = []
    if "." not in item["instance_type"]:
        found.append(f"instance_type: {item['instance_type']!r} is not an instance type such as g5.xlarge")
    if "," in (item.get("subnet_id") or ""):
        found.append("subnet_id: type instant takes one subnet for each override")
    price, weight = item.get("max_price"), item.get("weighted_capacity")
    if price is not None and price <= 0.001:
        found.append(f"max_price: {price} is not more than 0.001 USD per hour")
    if weight is not None and weight < 1:
        found.append(f"weighted_capacity: {weight} is less than 1")
    return found


def _number_problems(params: Mapping[str, Any]) -> list[str]:
    target, minimum, token = params["target_capacity"], params["min_target_capacity"], params["client_token"] or ""
    found = []
    if not 1 <= target <= 10000:
        found.append(f"target_capacity: {target} is not between 1 and 10000")
    if minimum is not None and not 1 <= minimum <= target:
        found.append(f"min_target_capacity: {minimum} is not between 1 and target_capacity ({target})")
    found += [f"{key}: {params[key]} is negative" for key in ("wait_timeout", "cooldown") if params[key] < 0]
    if params["max_total_price"] is not None and params["max_total_price"] <= 0:
        found.append(f"max_total_price: {params['max_total_price']} is not more than 0")
    if len(token) > 64 or not token.isascii():
        found.append("client_token: at most 64 ASCII characters")
    return found
