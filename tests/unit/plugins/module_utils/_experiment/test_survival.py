"""Random faults against the planners: the decision to resume, the launch loop, the numbering and the watch, as they are.

Only AWS and time are played here. What must always hold: never more instances than asked for (beside those that AWS is
taking), never two of them on one volume, never a rank twice, never a loop without progress.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import ErrorClass
from ansible_collections.experiments.spot.plugins.module_utils._experiment import crew, recovery
from ansible_collections.experiments.spot.plugins.module_utils._fleet.index import tables
from ansible_collections.experiments.spot.plugins.module_utils._fleet.launch import launch, number
from ansible_collections.experiments.spot.plugins.module_utils._fleet.transformations import (
    create_fleet_request,
    instance_from_boto,
)
from ansible_collections.experiments.spot.plugins.module_utils._fleet.values import (
    Answer,
    Instance,
    Pool,
    Refusal,
    Request,
    Wish,
)
from ansible_collections.experiments.spot.plugins.plugin_utils import _watch

POOLS = tuple(Pool(kind, f"subnet-{zone}", f"us-east-1{zone}") for kind in ("t3.medium", "m5.large") for zone in "ab")
START = datetime(2026, 11, 21, tzinfo=timezone.utc)
# What may happen while a launch runs, and what may happen while the job runs.
LAUNCHING = ("no capacity", "lost answer", "killed after launching", "killed before numbering", "late to appear")
RUNNING = ("notice", "sudden", "both", "killed")
FAULTS = st.tuples(st.sampled_from([*LAUNCHING, *RUNNING, "user"]), st.integers(0, 7))


class Killed(Exception):
    """The controller is gone."""


class Aws:
    """Instances, their Spot requests and one volume a rank; every change is checked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.now = START
        self.instances: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, dict[str, Any]] = {}
        self.volumes: dict[int, str] = {}
        self.tokens: dict[str, Answer] = {}
        self.pending: list[tuple[str, int]] = []
        self.hidden: dict[str, int] = {}
        self.launched = 0

    def fault(self, *kinds: str) -> tuple[str, int] | None:
        """The next fault, when it is one of these."""
        return self.pending.pop(0) if self.pending and self.pending[0][0] in kinds else None

    def make(self, generation: str, index: int | None, pool: Pool) -> str:
        self.launched += 1
        name = f"i-{self.launched:04d}"
        tags = {"spot:experiment": "x", "spot:generation": generation}
        tags |= {} if index is None else {"spot:rank": str(index)}
        self.instances[name] = {
            "InstanceId": name,
            "State": {"Name": "running"},
            "InstanceType": pool.instance_type,
            "SubnetId": pool.subnet_id,
            "Placement": {"AvailabilityZone": pool.zone},
            "InstanceLifecycle": "spot",
            "LaunchTime": self.now,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        self.requests[name] = {"InstanceId": name, "State": "active", "Status": {"Code": "fulfilled"}}
        self.check()
        return name

    def mark(self, name: str) -> None:
        self.requests[name]["Status"] = {"Code": "marked-for-termination", "UpdateTime": self.now}

    def end(self, name: str, reason: str, code: str) -> None:
        self.instances[name].update(State={"Name": "terminated"}, StateReason={"Code": reason, "Message": reason})
        self.requests[name].update(State="closed", Status={"Code": code, "UpdateTime": self.now})
        self.volumes = {rank: holder for rank, holder in self.volumes.items() if holder != name}

    def take(self, name: str) -> None:
        self.end(name, "Server.SpotInstanceTermination", "instance-terminated-no-capacity")

    def pass_time(self, seconds: float) -> None:
        """Instances with a notice are gone two minutes after it."""
        self.now += timedelta(seconds=seconds)
        for name, request in self.requests.items():
            marked = request["Status"]["Code"] == "marked-for-termination"
            if marked and self.now - request["Status"]["UpdateTime"] >= timedelta(minutes=2):
                self.take(name)

    def working(self) -> list[dict[str, Any]]:
        alive = [raw for raw in self.instances.values() if raw["State"]["Name"] == "running"]
        return [raw for raw in alive if self.requests[raw["InstanceId"]]["Status"]["Code"] == "fulfilled"]

    def check(self) -> None:
        working = self.working()
        assert len(working) <= self.count, "more instances than asked for"
        ranks = [rank for rank in map(crew.rank_of, working) if rank is not None]
        assert len(ranks) == len(set(ranks)), "a rank twice"

    def attach(self, rank: int, name: str) -> None:
        holder = self.volumes.get(rank)
        names = {raw["InstanceId"] for raw in self.working()}
        assert holder in (None, name) or holder not in names, "two instances on one volume"
        self.volumes[rank] = name

    def seen(self) -> recovery.Seen:
        for name in [name for name, looks in self.hidden.items() if looks <= 0]:
            del self.hidden[name]
        shown = [raw for name, raw in self.instances.items() if name not in self.hidden]
        self.hidden = {name: looks - 1 for name, looks in self.hidden.items()}
        template = {"LaunchTemplateId": "lt-1", "CreateTime": START}
        return recovery.Seen(shown, list(self.requests.values()), [], [template])


class Fleet:
    """AWS as the launch loop sees it."""

    def __init__(self, aws: Aws, wish: Wish) -> None:
        self.aws, self.wish = aws, wish

    def look(self, launched: Iterable[Instance] = ()) -> tuple[Instance, ...]:
        named = {item.instance_id for item in launched}
        shown = {raw["InstanceId"] for raw in self.aws.seen().instances} | named
        found = [instance_from_boto(self.aws.instances[name], "spot:rank") for name in sorted(shown)]
        counted = [item for item in found if self.wish.all_generations or item.generation == self.wish.generation]
        return tuple(item for item in counted if item.alive and item.instance_id not in self.wish.excluded)

    def ask(self, request: Request) -> Answer:
        if self.aws.fault("no capacity"):
            refusals = [Refusal(pool, "InsufficientInstanceCapacity", "no", ErrorClass.POOL) for pool in request.pools]
            return Answer("fleet-none", (), tuple(refusals))
        token = create_fleet_request(self.wish, request)["ClientToken"]
        if token not in self.aws.tokens:
            names = [
                self.aws.make(self.wish.generation, request.index, request.pools[0]) for _n in range(request.capacity)
            ]
            self.aws.tokens[token] = Answer(
                f"fleet-{len(self.aws.tokens)}",
                tuple(instance_from_boto(self.aws.instances[name], "spot:rank") for name in names),
            )
            late = self.aws.fault("late to appear")
            self.aws.hidden.update(dict.fromkeys(names, late[1] % 3) if late else {})
        if self.aws.fault("killed after launching"):
            raise Killed
        if self.aws.fault("lost answer"):
            return Answer(error=Refusal(None, "InternalError", "?", ErrorClass.RETRY))
        answer = self.aws.tokens[token]
        alive = {raw["InstanceId"] for raw in self.aws.working()}
        if not all(item.instance_id in alive for item in answer.launched):
            return Answer(answer.fleet_id, (), (), stale=True)
        return answer

    def terminate(self, instance_ids: Iterable[str]) -> None:
        for name in instance_ids:
            self.aws.end(name, "Client.UserInitiatedShutdown", "instance-terminated-by-user")

    def number(self, numbers: Mapping[str, int]) -> dict[str, Any]:
        if self.aws.fault("killed before numbering"):
            raise Killed
        for value, names in tables(numbers).items():
            for name in names:
                tags = [tag for tag in self.aws.instances[name]["Tags"] if tag["Key"] != "spot:rank"]
                self.aws.instances[name]["Tags"] = [*tags, {"Key": "spot:rank", "Value": value}]
        self.aws.check()
        return {}


class PlayedClock:
    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def now(self) -> float:
        return (self.aws.now - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.aws.pass_time(seconds)


def decide(aws: Aws) -> recovery.Decision:
    return recovery.decide(aws.seen(), recovery.Bounds(count=aws.count, max_generations=1000), aws.now)


def run(aws: Aws, resume: bool) -> tuple[int, bool]:
    """One run of the launch; returns its exit status and whether an instance told of its interruption."""
    decision = decide(aws)
    if resume and decision.do == recovery.STOP:
        return 2, False
    seen = aws.seen()
    doomed = frozenset(one["instance_id"] for one in crew.leaving(seen.instances, seen.requests))
    wish = Wish(
        "x",
        str(decision.generation),
        {"LaunchTemplateId": "lt-1", "Version": "1"},
        POOLS,
        target=aws.count,
        required=aws.count,
        wait=60,
        all_generations=True,
        excluded=doomed,
        index_tag="spot:rank",
    )
    fleet, clock = Fleet(aws, wish), PlayedClock(aws)
    try:
        outcome = launch(fleet, wish, clock, fleet.look())
        if not outcome.accepted:
            return 2, False
        number(fleet, clock, outcome.instances)
    except Killed:
        return 137, False
    return work(aws)


def work(aws: Aws) -> tuple[int, bool]:
    """Volumes are attached and the jobs run, until they are over or something happens."""
    aws.pass_time(30)
    members = crew.crew(aws.instances.values(), aws.requests.values())
    for one in members:
        aws.attach(one["rank"], one["instance_id"])
    assert [one["rank"] for one in members][: aws.count] == list(range(len(members)))[: aws.count]
    fault = aws.fault(*RUNNING, "user")
    if fault is None:
        return (0, False) if len(members) == aws.count else (2, False)
    kind, number_ = fault
    victims = [members[number_ % len(members)]["instance_id"]] if members else []
    if kind == "both":
        victims = [one["instance_id"] for one in members]
    for name in victims:
        if kind == "sudden":
            aws.take(name)
        elif kind == "user":
            Fleet(aws, Wish("x", "1", {}, POOLS)).terminate([name])
        elif kind in ("notice", "both"):
            aws.mark(name)
    return 137 if kind == "killed" else 2, kind in ("notice", "both")


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 4), faults=st.lists(FAULTS, max_size=14))
def test_whatever_happens(count: int, faults: list[tuple[str, int]]) -> None:
    aws = Aws(count)
    aws.pending = list(faults)
    state, status, noticed = _watch.Watched(), 0, False
    move, runs = _watch.Move(_watch.RUN), 0
    while move.do in (_watch.RUN, _watch.POLL):
        if aws.pending and aws.pending[0][0] in LAUNCHING and runs > 40:
            aws.pending.clear()  # faults for a launch that does not come
        aws.pass_time(move.pause)
        if move.do == _watch.RUN:
            runs += 1
            status, noticed = run(aws, resume=runs > 1)
            if status == 137 or (status == 2 and not noticed and decide(aws).do == recovery.NOTHING):
                move = _watch.Move(_watch.RUN)  # the user types the command again
                aws.check()
                assert runs <= 3 * len(faults) + 3, "a loop without progress"
                continue
        decision = decide(aws)
        recovered = {"do": decision.do, "text": decision.text, "generation": decision.generation}
        state, move = _watch.after(state, _watch.Seen(status, True, recovered))
        aws.check()
        assert runs <= 3 * len(faults) + 3, "a loop without progress"
    kinds = {kind for kind, _number in faults}
    if move.do == _watch.DONE:
        assert len(aws.working()) == count
    else:
        # Only the user, or AWS without capacity for very long, ends it before the job is over.
        assert "user" in kinds or "no capacity" in kinds, move.text
