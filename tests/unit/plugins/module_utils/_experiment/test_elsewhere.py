"""When a launch may leave the zone of its volumes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import elsewhere, plan, problems
from tests.unit.plugins.module_utils._experiment.builders import (
    facts,
    instance,
    profile,
    volume,
    volume_of_profile,
)

Resource = dict[str, Any]


def wish(move: bool = True, **changes: Any) -> Resource:
    return profile(**{"volumes": [volume_of_profile()], "recovery": {"move_volumes": move}, **changes})


def find(wanted: Resource, **known: Any) -> list[str]:
    return problems.find(problems.Case(wanted, "lab", facts(**known)))


def test_without_volumes_there_is_nothing_to_leave() -> None:
    for wanted in (profile(), wish()):
        made = elsewhere.make(wanted, facts())
        assert (made["move"], made["pools"], made["zones"], made["zone"]) == (False, [], [], None)


def test_pools_of_all_zones_with_the_others_named() -> None:
    made = elsewhere.make(wish(), facts(own_volumes=[volume("vol-1")]))
    assert made["move"] and made["why_not"] == "" and made["volume_ids"] == ["vol-1"]
    assert {pool["zone"] for pool in made["pools"]} == {"us-east-1a", "us-east-1b"} and made["zones"] == ["us-east-1b"]
    assert plan.pinned_zones(wish(), facts(own_volumes=[volume("vol-1")])) == ["us-east-1a"], "first where they are"


@pytest.mark.parametrize(
    ("wanted", "known", "why"),
    [
        (wish(move=False), {"own_volumes": [volume("vol-1")]}, "recovery.move_volumes: true"),
        (wish(volumes=[volume_of_profile(volume_id="vol-1")]), {"volumes_by_id": [volume("vol-1")]}, "by volume_id"),
        (
            wish(),
            {"own_volumes": [volume("vol-1", holder="i-1")], "instances": [instance("i-1")]},
            "is used by an instance",
        ),
    ],
)
def test_volumes_that_stay(wanted: Resource, known: Resource, why: str) -> None:
    made = elsewhere.make(wanted, facts(**known))
    assert not made["move"] and why in made["why_not"] and made["zone"] is None


def test_a_zone_of_the_profile_that_is_not_allowed_any_more_is_left() -> None:
    known = {"own_volumes": [volume("vol-1")], "zones": ["us-east-1a", "us-east-1b"]}
    narrow = {"capacity": {"zones": ["us-east-1b"]}}
    assert any(
        "volumes.yml -e do=move -e volume=vol-1 -e zone=us-east-1b" in line
        for line in find(wish(False, **narrow), **known)
    )
    assert find(wish(**narrow), **known) == []
    made = elsewhere.make(wish(**narrow), facts(**known))
    assert made["move"] and made["zones"] == ["us-east-1b"]


def test_a_run_that_was_cut_off_before_the_volumes_had_followed_goes_on() -> None:
    known = {"own_volumes": [volume("vol-1")], "instances": [instance("i-1", zone="us-east-1b")]}
    assert elsewhere.make(wish(), facts(**known))["zone"] == "us-east-1b"
    assert find(wish(), **known) == [] and plan.pinned_zones(wish(), facts(**known)) == ["us-east-1b"]
    assert any("close the experiment" in line for line in find(wish(False), **known))


def test_volumes_of_two_ranks_in_two_zones_are_brought_together_where_the_instances_are() -> None:
    ranks = [volume("vol-1", "us-east-1a"), volume("vol-2", "us-east-1b", Tags=rank_one())]
    members = [instance("i-1", zone="us-east-1b"), instance("i-2", zone="us-east-1b")]
    wanted = wish(capacity={"count": 2})
    made = elsewhere.make(wanted, facts(own_volumes=ranks, instances=members))
    assert made["zone"] == "us-east-1b" and made["volume_ids"] == ["vol-1", "vol-2"]
    assert any("-e do=move -e volume=vol-1,vol-2 -e zone=ZONE" in line for line in find(wanted, own_volumes=ranks))


def rank_one() -> list[dict[str, str]]:
    return [{**tag, "Value": "1"} if tag["Key"] == "spot:rank" else tag for tag in volume("vol-2")["Tags"]]


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_seen_a_volume_that_a_working_instance_holds_is_never_moved(seed: int) -> None:
    """Never two generations alive on one volume."""
    chance = random.Random(seed)
    zones = ["us-east-1a", "us-east-1b"]
    instances = [
        instance(
            f"i-{number}",
            chance.choice(["pending", "running", "shutting-down", "terminated"]),
            zone=chance.choice(zones),
        )
        for number in range(chance.randrange(3))
    ]
    holder = chance.choice([None, *(one["InstanceId"] for one in instances)])
    at = next(
        (one["Placement"]["AvailabilityZone"] for one in instances if one["InstanceId"] == holder), chance.choice(zones)
    )
    known = facts(own_volumes=[volume("vol-1", at, holder=holder)], instances=instances)
    made = elsewhere.make(wish(), known)
    working = {one["instance_id"] for one in plan.members(known)}
    if holder in working:
        assert not made["move"] and made["zone"] is None
        assert plan.pinned_zones(wish(), known) == [at]
    if made["zone"]:
        assert made["zone"] != at and holder not in working
