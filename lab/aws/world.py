"""The state of one lab beyond what moto keeps: machines, tokens, capacity, faults, and one record per instance."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.aws.config import Config
    from lab.aws.machines import Machines


def now() -> datetime:
    """The present, in UTC, whole seconds as EC2 prints it."""
    return datetime.now(timezone.utc).replace(microsecond=0)


@dataclass
class Record:
    """What moto's Instance has no place for."""

    instance: Any  # moto.ec2.models.instances.Instance
    reservation_id: str
    lifecycle: str
    client_token: str = ""
    spot_request_id: str = ""
    fleet_id: str = ""
    profile: dict[str, str] = field(default_factory=dict)  # Arn, Id, RoleName
    user_data: bytes = b""
    image_name: str = ""
    login_user: str = ""
    launched: datetime = field(default_factory=now)
    reason: tuple[str, str] = ("", "")  # StateReason Code, Message
    transition: str = ""  # StateTransitionReason
    ended: float = 0.0  # monotonic time of `terminated`
    root_volume_id: str = ""
    states: list[str] = field(default_factory=lambda: ["pending"])  # all it has been in; see events.py
    told: int = 0  # how many of them EventBridge has been told
    notices: Any = None  # machines.Notices: what its metadata service announces
    plan: Any = None  # spot.Interruption: what AWS is about to do to it
    impaired: float = 0.0  # monotonic time since when its status check fails


@dataclass
class Token:
    """What was answered to a client token, and to which parameters."""

    fingerprint: str
    result: Any


@dataclass
class Capacity:
    """A limit on how many instances a pool can run at once; `*` stands for any."""

    type: str = "*"
    zone: str = "*"
    count: int = 0
    market: str = "*"


@dataclass
class Fault:
    """An error on demand."""

    action: str
    code: str
    message: str = ""
    http: int = 0
    times: int | None = 1  # None = until reset
    skip: int = 0  # so many calls go well first
    match: dict[str, str] = field(default_factory=dict)
    region: str = ""  # empty: in all of them
    after: bool = False  # do the work, lose the answer
    in_fleet: bool = False  # in Errors[] of CreateFleet's 200 answer


@dataclass
class World:
    """Everything that requests, control calls and machine threads share in one region.

    The regions of a lab share machines, lock, faults, permissions and the log of calls; what AWS keeps by region
    (resources, capacity, quotas) each has for itself.
    """

    config: Config
    machines: Machines
    backend: Any = None  # moto's EC2Backend of the region
    regions: dict[str, World] = field(default_factory=dict, repr=False)  # all that have machines, this one included
    lock: threading.RLock = field(default_factory=threading.RLock)
    records: dict[str, Record] = field(default_factory=dict)
    tokens: dict[tuple[str, ...], Token] = field(default_factory=dict)
    fleets: dict[str, Any] = field(default_factory=dict)
    spot_requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    volume_states: dict[str, str] = field(default_factory=dict)  # creating | attaching | detaching, per volume
    modifications: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # per volume, oldest first
    snapshot_states: dict[str, str] = field(default_factory=dict)  # pending ones
    snapshot_progress: dict[str, int] = field(default_factory=dict)  # per cent
    lives: dict[str, tuple[str, float]] = field(default_factory=dict)  # EFS id: state, monotonic time it ends
    on_end: list[Callable[[Record], None]] = field(default_factory=list)  # told when an instance is terminated
    keeper: Any = None  # fleet.keeper.Keeper
    placements: set[str] = field(default_factory=set)  # configurations that GetSpotPlacementScores has seen
    capacity: list[Capacity] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    denied: dict[str, str] = field(default_factory=dict)  # action -> resource pattern
    quota: dict[str, int] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    speed: float = 1.0
    buckets: list[Any] = field(default_factory=list)  # throttle.Bucket
    expired: bool = False  # all credentials are
    lag: float = 0.0  # seconds until a new resource is seen, undivided; see consistency.py
    hidden: dict[tuple[str, str], float] = field(default_factory=dict)  # table, key -> monotonic time it appears
    deliveries: list[dict[str, Any]] = field(default_factory=list)  # what EventBridge did with events

    def region(self, name: str) -> World:
        """A region of the same lab."""
        return World(
            replace(self.config, region=name),
            self.machines,
            regions=self.regions,
            lock=self.lock,
            faults=self.faults,
            denied=self.denied,
            calls=self.calls,
            deliveries=self.deliveries,
            speed=self.speed,
        )

    def delay(self, seconds: float) -> float:
        """How long one of the lab's own delays really takes."""
        return seconds / self.speed

    def live(self) -> list[Record]:
        """Records of instances that hold capacity: not stopped, not terminated and not on their way there."""
        return [r for r in self.records.values() if r.instance.state in ("pending", "running", "stopping")]

    def purge(self) -> None:
        """Forget instances that are terminated for longer than AWS shows them."""
        limit = time.monotonic() - self.config.terminated_visible
        for instance_id, record in list(self.records.items()):
            if record.ended and record.ended < limit:
                self.forget(instance_id, record)

    def forget(self, instance_id: str, record: Record) -> None:
        """Drop one instance from every table."""
        self.records.pop(instance_id, None)
        self.backend.tags.pop(instance_id, None)
        reservation = self.backend.reservations.get(record.reservation_id)
        if reservation:
            reservation.instances = [i for i in reservation.instances if i.id != instance_id]
            if not reservation.instances:
                self.backend.reservations.pop(record.reservation_id, None)
