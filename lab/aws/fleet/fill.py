"""Launching into pools: which first, how many in each, and what each pool says when it has no room."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, groupby
from math import ceil, floor, inf
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from lab.aws import launches, rules
from lab.aws.errors import Refusal
from lab.aws.fleet.pools import Pool
from lab.aws.world import World

# A fleet tells these codes of RunInstances in its own words. Source: [OBS] real accounts.
FLEET_CODES = {"Unsupported": "InvalidFleetConfiguration", "InvalidInstanceType": "InvalidFleetConfiguration"}
PRIORITIZED = ("prioritized", "capacity-optimized-prioritized")
CAPACITY_FIRST = ("capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized")


@dataclass
class Wish:
    """How much to launch, by which rules, for whom."""

    units: float
    options: dict[str, Any]  # SpotOptions or OnDemandOptions
    fleet_id: str
    budget: float = inf  # USD per hour that may still be spent. Source: EC2 API MaxTotalPrice
    present: dict[tuple[str, str], int] = field(default_factory=dict)  # (type, zone) -> instances there are

    @property
    def strategy(self) -> str:
        """AllocationStrategy."""
        return str(self.options.get("AllocationStrategy") or "lowest-price")


def fill(world: World, candidates: list[Pool], wish: Wish) -> float:
    """Launch into the pools, best first, until the wish is fulfilled; errors stay with their pool.

    Returns:
        the capacity that was launched.
    """
    usable = _best(world, prepare(world, candidates, wish), wish)
    minimum = float(wish.options.get("MinTargetCapacity") or 0)
    if minimum and _attainable(world, usable, wish) < minimum:
        for pool in usable:
            pool.error = ("UnfulfillableCapacity", "Unable to fulfill capacity due to your request configuration.")
        return 0.0
    if wish.strategy == "diversified":
        fewest = sorted(usable, key=lambda p: wish.present.get(p.place, 0))
        return _in_turn(world, fewest, wish)
    return _cheapest_few(world, usable, wish) + _in_order(world, usable, wish)


def prepare(world: World, candidates: list[Pool], wish: Wish) -> list[Pool]:
    """Plan every pool; those that can be used, in the order in which the strategy tries them."""
    for pool in candidates:
        attempt(pool, partial(_set_plan, world))
    return ranked(world, [p for p in candidates if p.plan], wish.strategy)


def ranked(world: World, usable: list[Pool], strategy: str) -> list[Pool]:
    """Source: EC2 User Guide, allocation strategies; price-capacity-optimized is the price, as far as the lab knows."""
    if strategy in PRIORITIZED:
        return sorted(usable, key=lambda p: float(p.override.get("Priority", 1e9)))
    if strategy == "capacity-optimized":
        return sorted(usable, key=lambda p: (-free(world, p), p.price))
    return sorted(usable, key=lambda p: p.price)


def free(world: World, pool: Pool) -> float:
    """Instances that the pool can still start."""
    found = rules.free_places(world, *pool.place, pool.market)
    return inf if found is None else found


def spread(world: World, usable: list[Pool], wish: Wish) -> list[tuple[Pool, int]]:
    """Where a fleet of type request asks for its instances: once, in these pools and in no others.

    Source: EC2 User Guide, EC2 Fleet request types: capacity is not looked for in alternative pools.
    """
    if not usable:
        return []
    if wish.strategy == "diversified":
        return _dealt(usable, wish.units)
    if wish.strategy in CAPACITY_FIRST:
        return _with_room(world, usable, wish)
    return _dealt(usable[: int(wish.options.get("InstancePoolsToUseCount") or 1)], wish.units)


def _dealt(usable: Sequence[Pool], units: float) -> list[tuple[Pool, int]]:
    counts = [0] * len(usable)
    for i in cycle(range(len(usable))):
        if units <= 0:
            break
        counts[i] += 1
        units -= usable[i].weight
    return [(pool, n) for pool, n in zip(usable, counts, strict=True) if n]


def _with_room(world: World, usable: list[Pool], wish: Wish) -> list[tuple[Pool, int]]:
    """As many as there is room for, pool by pool; what is left waits in the first pool."""
    counts = {id(pool): 0 for pool in usable}
    units = wish.units
    for pool in usable:
        counts[id(pool)] = room(world, pool, units, wish.budget)
        units -= counts[id(pool)] * pool.weight
    counts[id(usable[0])] += max(0, ceil(units / usable[0].weight))
    return [(pool, counts[id(pool)]) for pool in usable if counts[id(pool)]]


def _set_plan(world: World, pool: Pool) -> None:
    _injected(world, pool)
    pool.plan = launches.plan(world, pool.spec)


def _injected(world: World, pool: Pool) -> None:
    """A denied RunInstances or PassRole, or an ordered fault, shows inside the 200 answer. Source: [OBS]."""
    wanted = ["RunInstances"] + (["PassRole"] if pool.spec.get("IamInstanceProfile") else [])
    for action in wanted:
        if any(fnmatch.fnmatch(action, pattern) for pattern in world.denied):
            raise Refusal(
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. User: "
                f"arn:aws:iam::{world.config.account_id}:user/{world.config.user_name} is not authorized to perform: "
                f"{'iam' if action == 'PassRole' else 'ec2'}:{action} because no identity-based policy allows the "
                "action.",
            )
    for fault in world.faults:
        here = fault.region in ("", world.config.region)
        if (
            here
            and fault.in_fleet
            and fault.times != 0
            and all(str(pool.override.get(k)) == v for k, v in fault.match.items())
        ):
            fault.times = None if fault.times is None else fault.times - 1
            raise Refusal(fault.code, fault.message or fault.code)


def attempt(pool: Pool, act: Callable[[Pool], None]) -> bool:
    """Do something with a pool; a refusal becomes its error, in a fleet's words."""
    try:
        act(pool)
    except EC2ClientError as err:
        code = FLEET_CODES.get(err.code, err.code)
        if err.code == "InvalidParameterValue" and err.message.startswith("Invalid value"):
            code = "InvalidFleetConfiguration"
        pool.error = (code, err.message)
        return False
    return True


def _best(world: World, usable: list[Pool], wish: Wish) -> list[Pool]:
    """Source: EC2 API SingleInstanceType, SingleAvailabilityZone."""
    if wish.options.get("SingleInstanceType"):
        usable = _best_group(world, usable, wish, lambda p: p.place[0])
    if wish.options.get("SingleAvailabilityZone"):
        usable = _best_group(world, usable, wish, lambda p: p.place[1])
    return usable


def _best_group(world: World, usable: list[Pool], wish: Wish, key: Callable[[Pool], str]) -> list[Pool]:
    """The group of pools that reaches most of the target; among equals the one that is tried first."""
    groups = [list(g) for _, g in groupby(sorted(usable, key=key), key)]
    groups.sort(key=lambda g: (-_attainable(world, g, wish), min(usable.index(p) for p in g)))
    return sorted(groups[0], key=usable.index) if groups else []


def _attainable(world: World, group: list[Pool], wish: Wish) -> float:
    total = 0.0
    for pool in group:
        total += room(world, pool, wish.units - total, wish.budget) * pool.weight
        if total >= wish.units:
            return wish.units
    return total


def room(world: World, pool: Pool, units: float, budget: float = inf) -> int:
    """Instances of the pool that capacity, quota and budget allow, at most what `units` need."""
    wanted = max(0, ceil(units / pool.weight))
    affordable = wanted if budget == inf else max(0, floor(budget / pool.cost))
    found = int(min(wanted, affordable, free(world, pool)))
    while found:
        try:
            rules.quota(world, pool.place[0], found, pool.market)
        except Refusal:
            found -= 1
        else:
            return found
    return 0


def _cheapest_few(world: World, usable: list[Pool], wish: Wish) -> float:
    """Source: EC2 API InstancePoolsToUseCount: evenly over the cheapest pools, on a best effort basis."""
    few = int(wish.options.get("InstancePoolsToUseCount") or 1)
    return _in_turn(world, usable[:few], wish) if few > 1 else 0.0


def _in_order(world: World, usable: list[Pool], wish: Wish) -> float:
    got = 0.0
    for pool in usable:
        if wish.units <= 0:
            break
        wanted = ceil(wish.units / pool.weight)
        count = room(world, pool, wish.units, wish.budget)
        if count and launch(world, pool, count, wish):
            got += count * pool.weight
        if count < wanted and not pool.error:
            attempt(pool, partial(_refuse, world, wanted - count))
    return got


def _in_turn(world: World, usable: list[Pool], wish: Wish) -> float:
    got, open_pools = 0.0, list(usable)
    while wish.units > 0 and open_pools:
        for pool in list(open_pools):
            if wish.units <= 0:
                break
            if pool.cost <= wish.budget and launch(world, pool, 1, wish):
                got += pool.weight
            else:
                open_pools.remove(pool)
    return got


def launch(world: World, pool: Pool, count: int, wish: Wish) -> bool:
    """Make instances of one pool; the wish becomes smaller."""
    done = attempt(pool, partial(_launch, world, count, wish.fleet_id))
    if done:
        wish.units -= count * pool.weight
        wish.budget -= count * pool.cost
    return done


def _launch(world: World, count: int, fleet_id: str, pool: Pool) -> None:
    assert pool.plan is not None
    pool.records += launches.launch(world, pool.plan, count, fleet_id=fleet_id)


def _refuse(world: World, count: int, pool: Pool) -> None:
    """Raise what AWS says about the instances for which there is no room."""
    assert pool.plan is not None
    rules.quota(world, pool.plan.type_name, count, pool.market)
    places = rules.free_places(world, pool.plan.type_name, pool.plan.zone, pool.market)
    rules.capacity(places, count, pool.plan.type_name, pool.plan.zone, pool.market)


def refuse(world: World, pool: Pool, count: int) -> None:
    """Set the pool's error to what AWS says about so many instances."""
    attempt(pool, partial(_refuse, world, count))


def split(target: dict[str, Any]) -> dict[str, float]:
    """Target capacity per market. Source: EC2 API TargetCapacitySpecificationRequest."""
    total = float(target["TotalTargetCapacity"])
    spot, on_demand = float(target.get("SpotTargetCapacity") or 0), float(target.get("OnDemandTargetCapacity") or 0)
    default = target.get("DefaultTargetCapacityType") or "on-demand"
    rest = max(0.0, total - spot - on_demand)
    return {
        "spot": spot + (rest if default == "spot" else 0.0),
        "on-demand": on_demand + (rest if default == "on-demand" else 0.0),
    }
