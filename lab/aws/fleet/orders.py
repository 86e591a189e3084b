"""The Spot requests of fleets of type request and maintain: one for each instance, also for those still missing."""

from __future__ import annotations

from typing import Any

from lab.aws import cloud, launches
from lab.aws.fleet.model import Fleet, Order
from lab.aws.fleet.pools import Pool
from lab.aws.world import Record, World

# Source: EC2 User Guide, spot-request-status: code -> message
MESSAGES = {
    "capacity-not-available": "There is no Spot capacity available that matches your request.",
    "price-too-low": "Your Spot request price is lower than the required Spot request fulfillment price.",
    "canceled-before-fulfillment": "Your Spot request was canceled before it was fulfilled.",
    "schedule-expired": "Your Spot request expired before it was fulfilled.",
    "pending-evaluation": "Your Spot request is pending evaluation.",
}


def place(world: World, fleet: Fleet, pool: Pool, count: int) -> None:
    """Wait for so many instances of a pool."""
    for _ in range(count):
        order = Order(pool.market, pool.place, pool.weight)
        if pool.market == "spot":
            order.request_id = _open(world, fleet, pool)
        fleet.orders.append(order)


def _open(world: World, fleet: Fleet, pool: Pool) -> str:
    assert pool.plan is not None
    request = launches.spot_request(pool.plan, "one-time")
    request["__fleet__"] = fleet.id
    request_id: str = request["SpotInstanceRequestId"]
    world.spot_requests[request_id] = request
    tags = {launches.FLEET_TAGS[fleet.id.split("-")[0]]: fleet.id}
    world.backend.create_tags([request_id], pool.plan.tags.get("spot-instances-request", {}) | tags)
    fleet.note("spotInstanceRequestChange", "submitted", f"SpotInstanceRequestId {request_id}")
    return request_id


def wait(world: World, fleet: Fleet, order: Order, code: str) -> None:
    """Say why an order waits, in its Spot request and, when that is new, in the history."""
    request = world.spot_requests.get(order.request_id)
    if request is None or request["Status"]["Code"] == code:
        return
    cloud.set_status(request, code, MESSAGES[code])
    fleet.note("spotInstanceRequestChange", "submitted", f"SpotInstanceRequestId {order.request_id}, Status: {code}")


def serve(world: World, fleet: Fleet, record: Record, order: Order | None) -> None:
    """A new instance is what an order waited for: the Spot request that is already known becomes its request."""
    if order:
        fleet.orders.remove(order)
    if record.lifecycle != "spot":
        return
    if order and order.request_id in world.spot_requests:
        _adopt(world, record, world.spot_requests[order.request_id])
    request_id = record.spot_request_id
    world.spot_requests[request_id]["__fleet__"] = fleet.id
    world.backend.create_tags([request_id], {launches.FLEET_TAGS[fleet.id.split("-")[0]]: fleet.id})
    fleet.note("spotInstanceRequestChange", "active", f"SpotInstanceRequestId {request_id}, PreviousState: open")


def _adopt(world: World, record: Record, waiting: dict[str, Any]) -> None:
    fresh = world.spot_requests.pop(record.spot_request_id)
    world.backend.tags.pop(record.spot_request_id, None)
    kept = ("SpotInstanceRequestId", "CreateTime", "Status", "__history__")
    waiting.update({k: v for k, v in fresh.items() if k not in kept})
    cloud.set_status(waiting, "fulfilled", fresh["Status"]["Message"])
    record.spot_request_id = waiting["SpotInstanceRequestId"]


def still_open(world: World, order: Order) -> bool:
    """Whether nobody has cancelled the order's Spot request."""
    if not order.request_id:
        return True
    request = world.spot_requests.get(order.request_id)
    return request is not None and request["State"] == "open"


def drop_cancelled(world: World, fleet: Fleet) -> None:
    """A Spot request that the user has cancelled is waited for no more."""
    fleet.orders = [o for o in fleet.orders if still_open(world, o)]


def cancel(world: World, fleet: Fleet, orders: list[Order], code: str = "canceled-before-fulfillment") -> None:
    """Wait no more for these."""
    for order in orders:
        fleet.orders.remove(order)
        request = world.spot_requests.get(order.request_id)
        if request and request["State"] == "open":
            request["State"] = "cancelled"
            cloud.set_status(request, code, MESSAGES[code])
            what = f"SpotInstanceRequestId {order.request_id}, PreviousState: open"
            fleet.note("spotInstanceRequestChange", "cancelled", what)
