"""The loop that looks after fleets: one thread a lab, woken by events and every few seconds.

It starts with the first fleet of type request or maintain. Tests look by hand: `Keeper.look()` does all there is to do
now, and `hold` keeps the thread from doing it.
"""

from __future__ import annotations

import logging
import threading
import time

from lab.aws import events
from lab.aws.catalog import utc
from lab.aws.fleet import model, orders, rebalance, supply
from lab.aws.fleet.model import Fleet
from lab.aws.world import Record, World, now

log = logging.getLogger("lab.aws")
PERIOD = 5.0  # seconds between two looks, divided by the lab's speed
PAUSE = 0.2  # seconds between two looks at least: machines that fail at once must not make a storm


class Keeper:
    """Looks after the fleets of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hold = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        world.on_end.append(self._ended)

    def start(self) -> None:
        """Look soon, and from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fleets", daemon=True)
            self._thread.start()
        self._wake.set()

    def wake(self) -> None:
        """Something has changed that a fleet may care about."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self.world.delay(PERIOD))
            self._wake.clear()
            if not self.hold:
                self.look()
            time.sleep(PAUSE)

    def look(self) -> None:
        """One look at every fleet; a bug with one does not stop the others."""
        with self.world.lock:
            for fleet in list(self.world.fleets.values()):
                try:
                    step(self.world, fleet)
                except Exception:
                    log.exception("fleet %s", fleet.id)
            events.flush(self.world)

    def _ended(self, record: Record) -> None:
        """An instance is terminated: its fleet notes it and may want another."""
        fleet = self.world.fleets.get(record.fleet_id)
        if fleet is None:
            return
        fleet.note("instanceChange", "terminated", "", record.instance.id)
        fleet.leaving.discard(record.instance.id)
        self._wake.set()


def step(world: World, fleet: Fleet) -> None:
    """Everything there is to do now for one fleet."""
    orders.drop_cancelled(world, fleet)
    if fleet.state.startswith("deleted_"):
        _bury(world, fleet)
    elif fleet.type != "instant":
        _expire(world, fleet)
        _begin(fleet)
        if fleet.state in model.KEPT:
            _keep(world, fleet)


def _bury(world: World, fleet: Fleet) -> None:
    """Source: EC2 API EventInformation: a deleted fleet is `deleted` when its last instance has ended."""
    if fleet.state == "deleted_terminating":
        supply.end_members(world, fleet)  # also what the call that deleted it could not see yet
    if not model.members(world, fleet):
        fleet.become("deleted")


def _begin(fleet: Fleet) -> None:
    """`submitted` until ValidFrom. Source: EC2 API EventInformation, submitted and active."""
    start = utc(fleet.args.get("ValidFrom"))
    if fleet.state == "submitted" and (start is None or start <= now()):
        fleet.become("active")


def _expire(world: World, fleet: Fleet) -> None:
    """Source: EC2 API ValidUntil, TerminateInstancesWithExpiration; EventInformation, expired."""
    until = utc(fleet.args.get("ValidUntil"))
    if until is None or until > now() or fleet.state not in (*model.KEPT, "submitted"):
        return
    fleet.note("fleetRequestChange", "expired")
    end(world, fleet, bool(fleet.args.get("TerminateInstancesWithExpiration")), "schedule-expired")


def end(world: World, fleet: Fleet, terminate: bool, why: str = "canceled-before-fulfillment") -> None:
    """Nothing is launched any more, and the instances end if they shall."""
    orders.cancel(world, fleet, list(fleet.orders), why)
    fleet.become("deleted_terminating" if terminate else "deleted_running")
    if terminate:
        supply.end_members(world, fleet)


def _keep(world: World, fleet: Fleet) -> None:
    if fleet.role_error:
        fleet.trouble = True
        fleet.note_once("role", "error", "iamFleetRoleInvalid", fleet.role_error)
    elif fleet.type == "request":
        supply.request(world, fleet)
    else:
        supply.replace_unhealthy(world, fleet)
        rebalance.work(world, fleet)
        supply.shrink(world, fleet)
        supply.maintain(world, fleet)
    if fleet.state == "modifying":
        fleet.state = "active"
        fleet.note("fleetRequestChange", "modify_succeeded")
