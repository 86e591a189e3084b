"""What lives, what is of no use, what is removed in which order: without AWS."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment.summary import Found, Prices
from ansible_collections.experiments.spot.plugins.module_utils._orphans import find, life, sweep
from tests.unit.plugins.module_utils._experiment.builders import instance, tags, volume

Resource = dict[str, Any]

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
LONG_AGO, JUST_NOW = NOW - timedelta(days=1), NOW - timedelta(minutes=5)
MINE = tags(experiment="lab")
PRICES = Prices({("t3.medium", "us-east-1a"): 0.0125}, {})
LOOK = find.Look("us-east-1", NOW, 3600)


def running(identity: str = "i-1", **more: Any) -> Resource:
    return instance(identity, **{"LaunchTime": LONG_AGO, **more})


def rows(seen: find.Seen) -> dict[str, Resource]:
    return {row["id"]: row for row in find.find(seen, PRICES, LOOK).rows}


def everything(*instances: Resource, **more: Any) -> find.Seen:
    known: Resource = {
        "security_groups": [{"GroupId": "sg-1", "GroupName": "spot-lab", "Tags": MINE}],
        "key_pairs": [{"KeyPairId": "key-1", "KeyName": "spot-lab", "CreateTime": LONG_AGO, "Tags": MINE}],
        **more,
    }
    return find.Seen(Found(instances=list(instances), **known))


def fleet(kind: str = "maintain", **more: Any) -> Resource:
    capacity = {"TotalTargetCapacity": 1}
    known = {"FleetId": "fleet-1", "FleetState": "active", "Type": kind, "CreateTime": LONG_AGO, "Tags": MINE}
    return {**known, "TargetCapacitySpecification": capacity, **more}


@pytest.mark.parametrize(
    ("raw", "alive"),
    [
        (running(LaunchTime=JUST_NOW), "launched"),
        (running(Tags=tags(experiment="lab")), "has no job"),
        (running(), ""),
        (running(State={"Name": "terminated"}), ""),
        (running(State={"Name": "stopped"}), ""),
    ],
)
def test_an_instance(raw: Resource, alive: str) -> None:
    found = life.of(Found(instances=[raw]), NOW, 3600)
    assert bool(found.alive) == bool(alive) and found.alive.startswith(alive)


def test_one_that_aws_takes_is_followed_by_another() -> None:
    request = {"InstanceId": "i-1", "State": "active", "Status": {"Code": "marked-for-termination"}}
    assert "AWS takes" in life.of(Found(instances=[running()], spot_requests=[request]), NOW, 3600).alive


@pytest.mark.parametrize(
    ("raw", "asks"),
    [
        (fleet(), True),
        (fleet(TargetCapacitySpecification={"TotalTargetCapacity": 0}), False),
        (fleet(ValidUntil=LONG_AGO), False),
        (fleet(FleetState="deleted_running"), False),
        (fleet("request", FulfilledCapacity=0.0), True),
        (fleet("request", FulfilledCapacity=1.0), False),
        (fleet("instant"), False),
        (fleet(Tags=tags(experiment="lab", expires="2026-01-01T00:00:00Z")), False),
        (fleet("instant", CreateTime=JUST_NOW), True),  # a launch is under way
    ],
)
def test_a_fleet_without_an_instance(raw: Resource, asks: bool) -> None:
    assert bool(life.of(Found(fleets=[raw]), NOW, 3600).alive) is asks


@pytest.mark.parametrize(
    ("data", "asks"),
    [
        ({"TargetCapacity": 1, "Type": "maintain"}, True),
        ({"TargetCapacity": 0, "Type": "maintain"}, False),
        ({"TargetCapacity": 1, "Type": "maintain", "ValidUntil": LONG_AGO}, False),
        ({"TargetCapacity": 1, "Type": "request"}, False),
    ],
)
def test_a_spot_fleet_without_an_instance(data: Resource, asks: bool) -> None:
    known = {
        "SpotFleetRequestId": "sfr-1",
        "SpotFleetRequestState": "active",
        "ActivityStatus": "fulfilled",
        "Tags": MINE,
    }
    found = Found(spot_fleets=[{**known, "CreateTime": LONG_AGO, "SpotFleetRequestConfig": data}])
    assert bool(life.of(found, NOW, 3600).alive) is asks
    assert ("sfr-1" in rows(find.Seen(found))) is not asks


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (None, "unknown"),
        ({"unreachable": True}, "unknown"),
        ({"failed": True, "msg": "no"}, "unknown"),
        ({"state": "pulling"}, "alive"),
        ({"state": "running"}, "alive"),
        ({"state": "interrupted", "finished": "2026-01-01T00:00:00Z"}, "alive"),
        ({"state": "succeeded", "finished": "2026-01-01T23:59:00Z"}, "alive"),
        ({"state": "succeeded", "finished": "2026-01-01T20:00:00Z"}, "idle"),
        ({"state": "failed", "exit_code": 3, "finished": None}, "idle"),
        ({"state": None}, "idle"),
    ],
)
def test_what_a_job_says(told: Resource | None, verdict: str) -> None:
    assert life.job_of(told, NOW, 3600).verdict == verdict


def test_all_of_an_experiment_depends_on_its_jobs() -> None:
    seen = everything(running(), running("i-2"), volumes=[volume("vol-1", holder="i-1"), volume("vol-2", holder="i-9")])
    found = find.find(seen, PRICES, LOOK).rows
    assert {row["id"]: row["if_idle"] for row in found} == {
        name: ["i-1", "i-2"] for name in ("i-1", "i-2", "sg-1", "key-1", "vol-1")
    }
    idle = {"state": "failed", "finished": "2026-01-01T00:00:00Z"}
    kept, used = find.settle(found, {"i-1": idle, "i-2": idle}, NOW, 3600)
    assert len(kept) == 5 and used == []
    kept, used = find.settle(found, {"i-1": idle, "i-2": {"state": "running"}}, NOW, 3600)
    assert kept == [] and [(one["experiment"], one["cost_per_hour"]) for one in used] == [("lab", 0.0125)]
    kept, used = find.settle(found, {"i-1": idle}, NOW, 3600)
    assert [(row["id"], row["sure"]) for row in kept] == [("i-2", False)] and used == []
    assert sweep.chosen(kept, find.PLAIN, find.KINDS) == []


def test_costs() -> None:
    known = rows(everything(running()))
    assert known["i-1"]["cost_per_hour"] == 0.0125 and known["i-1"]["cost_per_month"] == 9.125
    assert known["i-1"]["age"] == 86400 and known["sg-1"]["age"] is None
    unknown = rows(everything(running(InstanceType="x9.huge")))["i-1"]
    assert (unknown["cost_per_hour"], unknown["cost_per_month"]) == (None, None)


def test_a_stopped_instance_costs_its_disks_and_keeps_the_rest() -> None:
    disk = {"InstanceId": "i-1", "DeleteOnTermination": True}
    seen = everything(running(State={"Name": "stopped"}), attached=[{**volume("vol-9"), "Attachments": [disk]}])
    (row,) = find.find(seen, PRICES, LOOK).rows
    assert row["cost_per_month"] == pytest.approx(4.0, abs=0.01) and row["holds_data"]
    assert sweep.chosen([row], find.PLAIN, []) == [] and sweep.chosen([row], [], ["instances"]) == [row]


def test_order() -> None:
    seen = everything(running(), fleets=[fleet()], volumes=[volume("vol-1", holder="i-1"), volume("vol-2")])
    first, rest = sweep.decide(sweep.chosen(list(rows(seen).values()), find.PLAIN, ["volumes"]))
    assert first.removed == ["fleet-1"]
    assert rest.removed == ["i-1", "key-1", "vol-2"] and sorted(rest.pending) == ["i-1", "sg-1", "vol-1"]


def test_what_stays_keeps_what_it_holds() -> None:
    seen = everything(running(), fleets=[fleet()], volumes=[volume("vol-1", holder="i-1")])
    chosen = sweep.chosen(list(rows(seen).values()), ["fleets", "key_pairs", "security_groups"], ["volumes"])
    assert [row["id"] for row in chosen] == ["key-1"]


@pytest.mark.parametrize(
    ("limit", "over"), [("", False), ("soon", False), ("86400", False), ("80000", True), ("90000", False)]
)
def test_a_time_limit_that_the_instance_has_not_kept(limit: str, over: bool) -> None:
    known = {"experiment": "lab", "job": "train", "time-limit": limit}
    found = life.of(Found(instances=[running(Tags=tags(**known))]), NOW, 3600)
    assert bool(found.expired) is over and bool(found.ask) is not over


@pytest.mark.parametrize("given", ["", "nonsense", None, "2026-13-01"])
def test_a_tag_that_is_no_moment_says_nothing(given: str | None) -> None:
    assert life.moment(given) is None and life.age(given, NOW) == float("inf")


def test_commands() -> None:
    known = {"region": "eu-west-1", "id": "x-1", "experiment": "lab"}
    for kind in find.KINDS:
        text = find.command({**known, "kind": kind})
        assert text.startswith("ansible-playbook ") and "eu-west-1" in text
    assert "orphans.yml -e delete=security_groups" in find.command(
        {**known, "kind": "security_groups", "experiment": ""}
    )
