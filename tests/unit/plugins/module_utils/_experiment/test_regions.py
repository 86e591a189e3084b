"""In which region an experiment is, or goes: pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._experiment import plan, regions
from ansible_collections.experiments.spot.plugins.module_utils._experiment.regions import Home
from tests.unit.plugins.module_utils._experiment.builders import (
    facts,
    instance,
    profile,
    tags,
    volume,
    volume_of_profile,
)

EAST, WEST, IRELAND = "us-east-1", "us-west-2", "eu-west-1"
ALL = [EAST, WEST, IRELAND]


def pool(price: float | None, cooling: bool = False) -> dict[str, Any]:
    return {"price": price, "cooling": cooling, "zone": "?"}


def taken(instance_id: str) -> dict[str, Any]:
    """A Spot request that AWS has marked."""
    return {"InstanceId": instance_id, "State": "active", "Status": {"Code": "marked-for-termination"}}


@pytest.mark.parametrize(
    ("zone", "region", "inside"),
    [
        ("us-east-1a", EAST, True),
        ("us-west-2-lax-1a", WEST, True),
        ("us-east-1a", WEST, False),
        ("us-east-10a", EAST, False),
        (EAST, EAST, False),
    ],
)
def test_zones_tell_their_region(zone: str, region: str, inside: bool) -> None:
    assert regions.in_region(zone, region) is inside


def test_the_profile_in_one_region() -> None:
    several = profile(
        capacity={"regions": [EAST, WEST], "zones": ["us-east-1a", "us-west-2b"]},
        image={"id": None, "ids": {EAST: "ami-1", WEST: "ami-2"}},
    )
    there = regions.profile_in(several, WEST)
    assert (there["region"], there["capacity"]["zones"], there["image"]["id"]) == (WEST, ["us-west-2b"], "ami-2")
    assert several["image"]["id"] is None


def test_one_region_is_that_of_the_profile() -> None:
    assert regions.allowed(profile()) == [EAST]
    assert regions.allowed(profile(capacity={"regions": [WEST, EAST]})) == [WEST, EAST]


# Where it lives


def test_an_instance_keeps_it() -> None:
    homes = [Home(EAST), Home(WEST, [instance("i-1")])]
    assert regions.lives(profile(), homes) == {WEST: ["i-1"]}


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_an_instance_that_has_ended_keeps_nothing(state: str) -> None:
    assert regions.lives(profile(), [Home(WEST, [instance("i-1", state)])]) == {}


def test_an_instance_that_aws_takes_keeps_nothing() -> None:
    """The next generation may go elsewhere at once; its data are not here."""
    assert regions.lives(profile(), [Home(WEST, [instance("i-1")], [taken("i-1")])]) == {}


def test_a_volume_keeps_it_when_the_profile_wants_it() -> None:
    home = Home(WEST, volumes=[volume("vol-1", "us-west-2a")])
    assert regions.lives(profile(volumes=[volume_of_profile()]), [home]) == {WEST: ["vol-1"]}
    assert regions.lives(profile(), [home]) == {}
    assert regions.lives(profile(volumes=[volume_of_profile(name="other")]), [home]) == {}


def test_a_volume_that_goes_keeps_nothing() -> None:
    home = Home(WEST, volumes=[volume("vol-1", "us-west-2a", State="deleting")])
    assert regions.lives(profile(volumes=[volume_of_profile()]), [home]) == {}


def test_two_regions_are_a_mistake_that_says_what_to_do() -> None:
    homes = [Home(EAST, [instance("i-1")]), Home(WEST, volumes=[volume("vol-1", "us-west-2a")])]
    found = regions.lives(profile(volumes=[volume_of_profile()]), homes)
    said = regions.two_homes("lab", found)
    assert "i-1 in us-east-1; vol-1 in us-west-2" in said
    assert "close.yml -e experiment=lab -e region=REGION" in said


# Generations go on across regions


def moved(**more: Any) -> Any:
    """Facts of a region in which the experiment never was; elsewhere AWS took its second generation."""
    ended = {"StateReason": {"Code": "Server.SpotInstanceTermination"}}
    rank = {"Tags": tags(experiment="lab", generation="2", rank="0")}
    gone = instance("i-2", "terminated", 2, "us-west-2a", **ended, **rank)
    return facts(other_regions=Home("", [gone], [], [], [{"LaunchTemplateName": "spot-lab-1"}]), **more)


def test_the_generation_is_the_next_one_in_another_region() -> None:
    assert plan.tags(profile(), "lab", moved(), {})["spot:generation"] == "3"


def test_a_loss_in_another_region_is_asked_for_again() -> None:
    decision = plan.recovery_decision(profile(), moved())
    assert (decision["do"], decision["generation"], decision["ranks"]) == ("resume", 3, [0])
    assert "i-2" in decision["text"]


def test_what_is_left_elsewhere() -> None:
    homes = [Home(EAST, templates=[{}]), Home(WEST, [instance("i-1")]), Home(IRELAND, volumes=[volume("vol-1")])]
    assert regions.abandoned(homes, WEST) == [EAST]


# Which one is best


def test_the_region_of_the_cheapest_pool_comes_first() -> None:
    assert regions.rank({EAST: [pool(0.3)], WEST: [pool(0.1), pool(9)], IRELAND: [pool(0.2)]}) == [WEST, IRELAND, EAST]


def test_a_region_that_just_refused_comes_last() -> None:
    assert regions.rank({EAST: [pool(0.1, cooling=True)], WEST: [pool(0.5)]}) == [WEST, EAST]


def test_a_pool_that_cools_does_not_make_a_region_cheap() -> None:
    assert regions.rank({EAST: [pool(0.2), pool(0.01, cooling=True)], WEST: [pool(0.1)]}) == [WEST, EAST]


def test_without_prices_the_order_of_the_profile_counts() -> None:
    assert regions.rank({WEST: [pool(None)], EAST: [pool(None)]}) == [WEST, EAST]
    assert regions.rank({WEST: [pool(None)], EAST: [pool(3.0)]}) == [EAST, WEST]


def test_a_region_without_pools_is_not_asked() -> None:
    assert regions.rank({EAST: [], WEST: [pool(1.0)]}) == [WEST]


def test_one_table_of_all() -> None:
    found = regions.table({EAST: [pool(0.3), pool(0.1, cooling=True)], WEST: [pool(0.2), pool(None)]})
    assert [(one["region"], one["price"]) for one in found] == [(WEST, 0.2), (EAST, 0.3), (WEST, None), (EAST, 0.1)]


# Turns


def test_all_are_asked_at_once_then_in_turn() -> None:
    assert [(turn["region"], turn["wait"]) for turn in regions.turns([EAST, WEST], 150)] == [
        (EAST, 0),
        (WEST, 0),
        (EAST, 60),
        (WEST, 60),
        (EAST, 30),
    ]


def test_without_a_wait_each_is_asked_once() -> None:
    assert [turn["region"] for turn in regions.turns(ALL, 0)] == ALL


def test_on_demand_fills_in_when_spot_has_refused_everywhere() -> None:
    found = regions.turns([EAST, WEST], 60, "fallback")
    assert [(turn["region"], turn["on_demand"]) for turn in found] == [
        (EAST, "never"),
        (WEST, "never"),
        (EAST, "never"),
        (EAST, "fallback"),
        (WEST, "fallback"),
    ]
    assert {turn["on_demand"] for turn in regions.turns([EAST, WEST], 60, "base")} == {"base"}


def test_one_region_takes_no_turns() -> None:
    assert regions.turns([EAST], 600) == []


@given(st.integers(2, 10), st.integers(0, 86_400))
def test_turns_are_few_and_last_as_long_as_the_wait(number: int, wait: int) -> None:
    names = [f"r-{index}" for index in range(number)]
    found = regions.turns(names, wait)
    assert sum(turn["wait"] for turn in found) == wait
    assert len(found) <= number + regions.MOST_TURNS
    assert [turn["region"] for turn in found[:number]] == names
    assert all(turn["wait"] > 0 for turn in found[number:])
