"""Capacity rebalancing of fleets of type maintain.

Source: EC2 API FleetSpotCapacityRebalanceRequest; EC2 User Guide, Capacity Rebalancing: a replacement is launched when
EC2 recommends to rebalance; the instance at risk counts no more; with `launch` it runs on until somebody ends it, with
`launch-before-terminate` it ends after TerminationDelay; the fleet may grow to twice its target meanwhile.
"""

from __future__ import annotations

import time
from typing import Any

from lab.aws import cloud
from lab.aws.fleet import fill, model, supply
from lab.aws.fleet.model import Fleet
from lab.aws.world import Record, World


def strategy(fleet: Fleet) -> dict[str, Any]:
    """CapacityRebalance of the fleet, {} without one."""
    found = fleet.args.get("SpotOptions", {}).get("MaintenanceStrategies", {}).get("CapacityRebalance", {})
    return dict(found) if fleet.type == "maintain" else {}


def recommended(world: World, instance_id: str) -> bool:
    """EC2 recommends to rebalance an instance; whether its fleet has a strategy for that."""
    record = world.records.get(instance_id)
    fleet = world.fleets.get(record.fleet_id) if record else None
    if not record or fleet is None or record.lifecycle != "spot" or not strategy(fleet):
        return False
    if instance_id in fleet.at_risk or instance_id in fleet.rebalancing:
        return True
    fleet.rebalancing.append(instance_id)
    return True


def work(world: World, fleet: Fleet) -> None:
    """Replace what waits for it, and end what has been replaced long enough ago."""
    alive = {r.instance.id: r for r in model.living(world, fleet)}
    fleet.rebalancing = [i for i in fleet.rebalancing if i in alive]
    fleet.at_risk = {i: end for i, end in fleet.at_risk.items() if i in alive}
    for instance_id in list(fleet.rebalancing):
        if _replace(world, fleet, alive[instance_id]):
            fleet.rebalancing.remove(instance_id)
            fleet.at_risk[instance_id] = _end(world, fleet)
    for instance_id, end in fleet.at_risk.items():
        if end is not None and time.monotonic() >= end:
            fleet.leaving.add(instance_id)
            cloud.terminate(world, alive[instance_id], cloud.USER, cloud.stamp("User initiated"))


def _end(world: World, fleet: Fleet) -> float | None:
    delay = strategy(fleet).get("TerminationDelay")
    return None if delay is None else time.monotonic() + world.delay(float(delay))


def _replace(world: World, fleet: Fleet, record: Record) -> bool:
    """Launch as much as the instance gave, not in its own pool, when some pool has room for it."""
    weight = fleet.weights.get(record.instance.id, 1.0)
    held = model.units(fleet, [r for r in model.living(world, fleet) if r.lifecycle == "spot"])
    if held + weight > 2 * fleet.target["spot"]:
        return False
    own = (record.instance.instance_type, record.instance.availability_zone)
    wished = supply.wish(world, fleet, "spot", weight)
    usable = fill.prepare(world, supply.candidates(world, fleet, "spot"), wished)
    others = [p for p in usable if p.place != own and fill.room(world, p, weight, wished.budget) * p.weight >= weight]
    if not others:
        return False
    fill.fill(world, others, wished)
    return bool(supply.settle(world, fleet, others))
