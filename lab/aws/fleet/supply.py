"""Getting a fleet its capacity and taking it away: one look, no waiting."""

from __future__ import annotations

import json
import time
from math import ceil, inf

from lab.aws import cloud, launches
from lab.aws.errors import Refusal
from lab.aws.fleet import fill, model, orders, trouble
from lab.aws.fleet.model import Fleet, Order
from lab.aws.fleet.pools import Pool, pools
from lab.aws.world import Record, World

CHECKS, CHECK_PERIOD = 3, 120.0  # Source: [UG fleet health checks] 3 failed checks, one every 2 minutes


def candidates(world: World, fleet: Fleet, market: str) -> list[Pool]:
    """The pools of a market; a template that is gone is an event and no pool."""
    try:
        return pools(world, fleet.args, market)
    except Refusal as err:
        fleet.trouble = True
        fleet.note_once("template", "error", "spotFleetRequestConfigurationInvalid", f"{err.code}: {err.message}")
        return []


def wish(world: World, fleet: Fleet, market: str, units: float) -> fill.Wish:
    """What to launch, within the fleet's budget, knowing where it has instances."""
    options = fleet.options(market)
    limit = options.get("MaxTotalPrice")
    present: dict[tuple[str, str], int] = {}
    for r in model.counted(world, fleet, market):
        where = (r.instance.instance_type, r.instance.availability_zone)
        present[where] = present.get(where, 0) + 1
    budget = float(limit) - model.spent(world, fleet, market) if limit else inf
    return fill.Wish(units, options, fleet.id, budget, present)


def maintain(world: World, fleet: Fleet) -> None:
    """Type maintain: whatever is missing is asked for, in any pool; what is still missing waits as Spot requests."""
    for market in model.MARKETS:
        missing = fleet.target[market] - model.units(fleet, model.counted(world, fleet, market))
        tried: list[Pool] = []
        if missing > 0:
            tried = candidates(world, fleet, market)
            missing -= fill.fill(world, tried, wish(world, fleet, market, missing))
            settle(world, fleet, tried)
        _reorder(world, fleet, market, tried, missing)


def settle(world: World, fleet: Fleet, tried: list[Pool]) -> list[Record]:
    """Enter what pools have launched, tell what they have refused, start the machines."""
    records = []
    for pool in tried:
        for record in pool.records:
            fleet.weights[record.instance.id] = pool.weight
            orders.serve(world, fleet, record, _order_for(fleet, pool))
            launched(fleet, record)
            records.append(record)
    trouble.report(fleet, tried)
    launches.start(world, records)
    return records


def _order_for(fleet: Fleet, pool: Pool) -> Order | None:
    """The order that a new instance serves: of a request fleet one for this pool, else any of the market."""
    fitting = [o for o in fleet.orders if o.market == pool.market]
    exact = [o for o in fitting if o.place == pool.place]
    return next(iter(exact or ([] if fleet.type == "request" else fitting)), None)


def launched(fleet: Fleet, record: Record) -> None:
    """The event of a new instance. Source: [UG EC2 Fleet event types], description of `launched`."""
    i = record.instance
    told = {"instanceType": i.instance_type, "image": i.image_id, "productDescription": "Linux/UNIX"}
    text = json.dumps(told | {"availabilityZone": i.availability_zone}, separators=(",", ":"))
    fleet.note("instanceChange", "launched", text, i.id)


def _reorder(world: World, fleet: Fleet, market: str, tried: list[Pool], missing: float) -> None:
    """As many waiting orders as instances are missing, with the reason of the best pool."""
    waiting = [o for o in fleet.orders if o.market == market]
    usable = fill.ranked(world, [p for p in tried if p.plan], wish(world, fleet, market, 0).strategy)
    if missing <= 0:
        orders.cancel(world, fleet, waiting)
    elif usable:
        needed = ceil(missing / usable[0].weight)
        orders.cancel(world, fleet, waiting[needed:])
        if needed > len(waiting):
            _progress(world, fleet, usable[0], needed - len(waiting))
            orders.place(world, fleet, usable[0], needed - len(waiting))
    for order in fleet.orders:
        if order.market == market and usable:
            orders.wait(world, fleet, order, trouble.status(usable[0].error))


def _progress(world: World, fleet: Fleet, pool: Pool, count: int) -> None:
    """Source: [OBS] text of `progress`."""
    got = sum(model.fulfilled(world, fleet).values())
    fleet.note(
        "fleetRequestChange",
        "progress",
        f"{pool.name}, capacityUnitsRequested: {count * pool.weight}, totalCapacityUnitsFulfilled: {got}, "
        f"targetCapacity: {sum(fleet.target.values()):g}",
    )


def request(world: World, fleet: Fleet) -> None:
    """Type request: everything is asked for once, in pools chosen then; each order waits for its own pool."""
    for market in model.MARKETS:
        if market not in fleet.placed and _place(world, fleet, market):
            fleet.placed.add(market)
        waiting = [o for o in fleet.orders if o.market == market]
        if waiting:
            _serve_waiting(world, fleet, market, waiting)


def _place(world: World, fleet: Fleet, market: str) -> bool:
    wanted = fleet.target[market]
    if wanted <= 0:
        return True
    tried = candidates(world, fleet, market)
    wished = wish(world, fleet, market, wanted)
    usable = fill.prepare(world, tried, wished)
    for pool, count in fill.spread(world, usable, wished):
        _progress(world, fleet, pool, count)
        orders.place(world, fleet, pool, count)
    trouble.report(fleet, [p for p in tried if p.error])
    return bool(usable)


def _serve_waiting(world: World, fleet: Fleet, market: str, waiting: list[Order]) -> None:
    tried = candidates(world, fleet, market)
    wished = wish(world, fleet, market, 0)
    usable = [p for p in fill.prepare(world, tried, wished) if any(o.place == p.place for o in waiting)]
    for pool in usable:
        mine = [o for o in waiting if o.place == pool.place]
        count = fill.room(world, pool, len(mine) * pool.weight, wished.budget)
        if count:
            fill.launch(world, pool, count, wished)
        if count < len(mine) and not pool.error:
            fill.refuse(world, pool, len(mine) - count)
        for order in mine[count:]:
            orders.wait(world, fleet, order, trouble.status(pool.error))
    settle(world, fleet, usable or [p for p in tried if p.error])


def shrink(world: World, fleet: Fleet) -> None:
    """Type maintain above its target: the dearest, roomless or most crowded pools lose instances.

    Source: EC2 API ModifyFleet, ExcessCapacityTerminationPolicy.
    """
    if fleet.args.get("ExcessCapacityTerminationPolicy") == "no-termination":
        return
    for market in model.MARKETS:
        present = model.counted(world, fleet, market)
        excess = model.units(fleet, present) - fleet.target[market]
        for record in _first_to_go(world, fleet, market, present):
            weight = fleet.weights.get(record.instance.id, 1.0)
            if weight <= excess:
                excess -= weight
                fleet.leaving.add(record.instance.id)
                fleet.note("instanceChange", "termination_notified", "", record.instance.id)
                cloud.terminate(world, record, cloud.USER, cloud.stamp("User initiated"))


def _first_to_go(world: World, fleet: Fleet, market: str, present: list[Record]) -> list[Record]:
    """Source: EC2 API ModifyFleet: which instances a smaller target ends, by allocation strategy."""
    strategy = fill.Wish(0, fleet.options(market), fleet.id).strategy
    prices_of = {r.instance.id: model.price_per_unit(fleet, r) for r in present}
    if strategy == "diversified":
        ranks = {r.instance.id: sum(_same_pool(r, o) for o in present[: i + 1]) for i, r in enumerate(present)}
        return sorted(present, key=lambda r: -ranks[r.instance.id])
    if strategy in fill.CAPACITY_FIRST:
        return sorted(present, key=lambda r: (model.free_beside(world, r), -prices_of[r.instance.id]))
    return sorted(present, key=lambda r: -prices_of[r.instance.id])


def _same_pool(one: Record, other: Record) -> bool:
    return (one.instance.instance_type, one.instance.availability_zone) == (
        other.instance.instance_type,
        other.instance.availability_zone,
    )


def replace_unhealthy(world: World, fleet: Fleet) -> None:
    """ReplaceUnhealthyInstances: an instance whose status check fails three times is ended, so that it is replaced."""
    if not fleet.args.get("ReplaceUnhealthyInstances"):
        return
    for record in model.living(world, fleet):
        if record.impaired and time.monotonic() - record.impaired >= world.delay(CHECKS * CHECK_PERIOD):
            fleet.leaving.add(record.instance.id)
            cloud.terminate(world, record, cloud.USER, cloud.stamp("User initiated"))


def end_members(world: World, fleet: Fleet) -> None:
    """End all instances of the fleet."""
    for record in model.living(world, fleet):
        cloud.terminate(world, record, cloud.USER, cloud.stamp("User initiated"))
