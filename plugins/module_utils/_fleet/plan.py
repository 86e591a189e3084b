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

from .._aws_errors import ErrorClass, classify, is_known
from .index import lowest_free
from .values import ON_DEMAND, SPOT, Answer, Instance, Pool, Refusal, Request, Wish

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
        asked_at: When the last answer came, by market.
        asks: How many requests were answered.
        ready: When a pool may be asked again, by market and pool; infinite for one that will not do during this run.
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
    asked_at: Mapping[str, float] = field(default_factory=dict)
    asks: int = 0
    ready: Mapping[tuple[str, Pool], float] = field(default_factory=dict)
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
    wanted = _wanted(wish, state, seen, now)
    usable = {market: _usable(wish, state, seen, market) for market in wanted}
    # What no pool will give during this run need not be begun: the rest would be taken back in the end.
    attainable = units(wish, seen) + sum(count for market, count in wanted.items() if usable[market])
    if attainable < wish.required or not any(usable.values()):
        return Step(Do.FAIL)
    for market, count in wanted.items():
        pools = _askable(state, market, usable[market], now)
        if pools:
            return Step(Do.ASK, request=_request(wish, state, seen, Request(pools, count, market=market)))
    if now >= state.deadline:
        return Step(Do.FAIL)
    times = [_ready(state, market, pool) for market in wanted for pool in usable[market]]
    return Step(Do.SLEEP, seconds=min(state.deadline, *times) - now)


def _request(wish: Wish, state: State, seen: tuple[Instance, ...], request: Request) -> Request:
    """Return the request with its number, and with the number of its instance when it can only be one."""
    single = request.capacity == 1 and all(pool.weight == 1 for pool in request.pools)
    index = lowest_free(seen) if wish.index_tag and single else None
    return replace(request, attempt=state.attempt, index=index)


def shares(wish: Wish, instances: Iterable[Instance]) -> dict[str, int]:
    """Return the units that have to be asked for by market, those that are asked for first at the front."""
    seen = tuple(instances)
    total = missing(wish, seen)
    base = units(wish, (instance for instance in seen if instance.lifecycle != SPOT))
    on_demand = total if wish.market == ON_DEMAND else min(total, max(wish.on_demand - base, 0))
    return {market: count for market, count in ((ON_DEMAND, on_demand), (SPOT, total - on_demand)) if count}


def _wanted(wish: Wish, state: State, seen: tuple[Instance, ...], now: float) -> dict[str, int]:
    """Return ``shares``, with On-Demand for what Spot will not give any more, if that is wanted."""
    wanted = shares(wish, seen)
    if not wish.fallback or SPOT not in wanted or not _exhausted(wish, state, seen, now):
        return wanted
    return {ON_DEMAND: sum(wanted.values())}


def _exhausted(wish: Wish, state: State, seen: tuple[Instance, ...], now: float) -> bool:
    """Say whether Spot will give nothing: no pool will do during this run, or the time is over and all were asked."""
    usable = _usable(wish, state, seen, SPOT)
    return not usable or (now >= state.deadline and not _askable(state, SPOT, usable, now))


def _usable(wish: Wish, state: State, seen: tuple[Instance, ...], market: str) -> tuple[Pool, ...]:
    return tuple(pool for pool in fitting_pools(wish, seen) if _ready(state, market, pool) < math.inf)


def _askable(state: State, market: str, usable: tuple[Pool, ...], now: float) -> tuple[Pool, ...]:
    """Return the pools to ask now: each once, then again after its cool-down until the time is over.

    Those that cool from an earlier run are not part of the first request, unless there are no others.
    """
    if market not in state.asked_at:
        usable = tuple(pool for pool in usable if not pool.cooling) or usable
    # One last request to all of them when the time is over, so that a wait is never for nothing.
    if state.asked_at.get(market, math.inf) < state.deadline <= now:
        return usable
    latest = now if now < state.deadline else -math.inf
    return tuple(pool for pool in usable if _ready(state, market, pool) <= latest)


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
    state = replace(state, asked_at={**state.asked_at, request.market: now}, asks=state.asks + 1)
    if answer.error and answer.error.kind in (ErrorClass.RETRY, ErrorClass.WAIT):
        return _repeat(state, request, answer.error, now)
    state = replace(state, pending=None, repeats=0, attempt=request.attempt + 1)
    if answer.stale or (answer.error and answer.error.kind is ErrorClass.NEWTOKEN):
        return _renew(state, answer)
    if answer.error and _stops_all(answer.error):
        return replace(state, refusals=(*state.refusals, answer.error), fatal=answer.error)
    if answer.error:
        refusals = tuple(replace(answer.error, pool=pool, market=request.market) for pool in request.pools)
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
            key = (refusal.market, pool)
            ready[key] = max(again, ready.get(key, again))
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


def _ready(state: State, market: str, pool: Pool) -> float:
    return state.ready.get((market, pool), -math.inf)


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
