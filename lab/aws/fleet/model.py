"""What a fleet remembers, and what follows from it: members, fulfilled capacity, activity, history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab.aws import prices, rules
from lab.aws.fleet import fill
from lab.aws.world import Record, World, now

MARKETS = ("on-demand", "spot")
ALIVE = ("pending", "running", "stopping", "stopped")
KEPT = ("active", "modifying")  # states in which the lab looks after a fleet's capacity
SPOT_STATES = {
    "deleted": "cancelled",
    "deleted_running": "cancelled_running",
    "deleted_terminating": "cancelled_terminating",
}


@dataclass
class Order:
    """An instance that the fleet waits for; a Spot one shows as an open Spot request."""

    market: str
    place: tuple[str, str]  # type and zone where it was asked for
    weight: float
    request_id: str = ""


@dataclass
class Fleet:
    """One EC2 Fleet or Spot Fleet, in the words of EC2 Fleet."""

    id: str
    type: str  # instant, request or maintain
    args: dict[str, Any]  # CreateFleet's parameters; a Spot Fleet's are translated
    asked: dict[str, Any]  # the parameters as they were given
    created: datetime = field(default_factory=now)
    state: str = "submitted"  # FleetStateCode
    history: list[dict[str, Any]] = field(default_factory=list)  # HistoryRecordEntry
    weights: dict[str, float] = field(default_factory=dict)  # instance -> units of capacity
    orders: list[Order] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)  # type request: markets in which all has been asked for, once
    failures: dict[str, int] = field(default_factory=dict)  # market and pool -> attempts that failed in a row
    told: set[str] = field(default_factory=set)  # what history already says about the present trouble
    trouble: bool = False  # ActivityStatus error
    role_error: str = ""  # why the role of a Spot Fleet cannot be used
    at_risk: dict[str, float | None] = field(default_factory=dict)  # instance -> monotonic time of its end
    rebalancing: list[str] = field(default_factory=list)  # instances that wait for their replacement
    leaving: set[str] = field(default_factory=set)  # instances that scale-down is ending
    instances: list[dict[str, Any]] = field(default_factory=list)  # instant: CreateFleetInstance
    errors: list[dict[str, Any]] = field(default_factory=list)  # instant: CreateFleetError

    @property
    def is_spot_fleet(self) -> bool:
        """Whether it was made by RequestSpotFleet."""
        return self.id.startswith("sfr-")

    @property
    def target(self) -> dict[str, float]:
        """Market -> units."""
        return fill.split(self.args["TargetCapacitySpecification"])

    def options(self, market: str) -> dict[str, Any]:
        """SpotOptions or OnDemandOptions."""
        return dict(self.args.get("SpotOptions" if market == "spot" else "OnDemandOptions", {}))

    @property
    def shown_state(self) -> str:
        """The state in the words of the family. Source: EC2 API FleetStateCode, BatchState."""
        return SPOT_STATES.get(self.state, self.state) if self.is_spot_fleet else self.state

    def note(self, kind: str, sub_type: str, description: str = "", instance_id: str = "") -> None:
        """Write one event into the history. Source: EC2 API EventInformation, HistoryRecord."""
        told = {"EventSubType": sub_type, "EventDescription": description, "InstanceId": instance_id}
        information = {k: v for k, v in told.items() if v}
        self.history.append({"EventType": kind, "EventInformation": information, "Timestamp": now()})

    def note_once(self, key: str, kind: str, sub_type: str, description: str = "") -> None:
        """An event that is told once as long as the trouble lasts."""
        if key not in self.told:
            self.told.add(key)
            self.note(kind, sub_type, description)

    def become(self, state: str) -> None:
        """Change the state, with its event."""
        self.state = state
        self.note("fleetRequestChange", self.shown_state)


def members(world: World, fleet: Fleet) -> list[Record]:
    """Instances of the fleet that are not terminated."""
    return [r for r in world.records.values() if r.fleet_id == fleet.id and not r.ended]


def living(world: World, fleet: Fleet) -> list[Record]:
    """Members that are not on their way out."""
    return [r for r in members(world, fleet) if r.instance.state in ALIVE]


def counted(world: World, fleet: Fleet, market: str) -> list[Record]:
    """Members that count towards the target: an instance at risk does not. Source: [UG capacity rebalancing]."""
    return [r for r in living(world, fleet) if r.lifecycle == market and r.instance.id not in fleet.at_risk]


def units(fleet: Fleet, records: list[Record]) -> float:
    """Capacity of instances."""
    return sum(fleet.weights.get(r.instance.id, 1.0) for r in records)


def fulfilled(world: World, fleet: Fleet) -> dict[str, float]:
    """Market -> units that are there."""
    return {market: units(fleet, counted(world, fleet, market)) for market in MARKETS}


def spent(world: World, fleet: Fleet, market: str) -> float:
    """USD per hour of the members of a market."""
    kinds = [(r.instance.instance_type, r.instance.availability_zone) for r in living(world, fleet)
             if r.lifecycle == market]  # fmt: skip
    return sum(prices.spot(t, z, now()) if market == "spot" else prices.on_demand(t) for t, z in kinds)


def price_per_unit(fleet: Fleet, record: Record) -> float:
    """USD per hour and unit of capacity of one member."""
    kind, zone = record.instance.instance_type, record.instance.availability_zone
    price = prices.spot(kind, zone, now()) if record.lifecycle == "spot" else prices.on_demand(kind)
    return price / fleet.weights.get(record.instance.id, 1.0)


def free_beside(world: World, record: Record) -> float:
    """Instances that a member's pool can still start."""
    i = record.instance
    found = rules.free_places(world, i.instance_type, i.availability_zone, record.lifecycle)
    return float("inf") if found is None else found


def activity(world: World, fleet: Fleet) -> str:
    """ActivityStatus. Source: EC2 API FleetData, ActivityStatus."""
    if fleet.type == "instant":
        return "fulfilled"
    if fleet.state == "deleted_terminating" or any(r.instance.id in fleet.leaving for r in members(world, fleet)):
        return "pending_termination"
    got = fulfilled(world, fleet)
    if sum(got.values()) >= sum(fleet.target.values()):
        return "fulfilled"
    return "error" if fleet.trouble else "pending_fulfillment"
