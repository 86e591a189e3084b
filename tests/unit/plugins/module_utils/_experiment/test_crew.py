"""Which instances of an experiment work, under which rank, and which generation comes next."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import crew
from tests.unit.plugins.module_utils._experiment.builders import instance, volume

Raw = dict[str, Any]


def ranked(name: str, rank: int, state: str = "running", generation: int = 1) -> Raw:
    raw = instance(name, state, generation)
    raw["Tags"] = [*raw["Tags"], {"Key": "spot:rank", "Value": str(rank)}]
    return raw


def request(name: str, code: str = "fulfilled", state: str = "active") -> Raw:
    return {"SpotInstanceRequestId": f"sir-{name}", "InstanceId": name, "State": state, "Status": {"Code": code}}


def ranks(raws: list[Raw], requests: list[Raw] | None = None) -> dict[str, int]:
    return {one["instance_id"]: one["rank"] for one in crew.crew(raws, requests or [])}


def test_no_instance_is_no_crew() -> None:
    assert crew.crew([]) == []


def test_a_rank_is_kept_whatever_the_order_of_ids_and_generations() -> None:
    raws = [ranked("i-a", 2), ranked("i-z", 0), ranked("i-m", 1, generation=2)]
    assert ranks(raws) == {"i-z": 0, "i-m": 1, "i-a": 2}


def test_instances_without_a_rank_fill_the_gaps_by_age() -> None:
    raws = [instance("i-c"), ranked("i-b", 1), instance("i-a"), ranked("i-x", 0, "terminated")]
    assert ranks(raws) == {"i-a": 0, "i-b": 1, "i-c": 2}


def test_of_two_with_one_rank_the_older_has_it() -> None:
    old, new = ranked("i-b", 0), ranked("i-a", 0, generation=2)
    old["LaunchTime"], new["LaunchTime"] = "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"
    assert ranks([new, old]) == {"i-b": 0}


def test_ended_and_stopped_instances_are_no_crew() -> None:
    states = ("terminated", "shutting-down", "stopping", "stopped")
    assert ranks([instance(f"i-{state}", state) for state in states]) == {}


@pytest.mark.parametrize("code", ["marked-for-termination", "instance-terminated-no-capacity", "marked-for-stop"])
def test_an_instance_with_a_notice_leaves_and_its_rank_is_free(code: str) -> None:
    raws = [ranked("i-a", 0), ranked("i-b", 1), instance("i-c", generation=2)]
    marked = [request("i-a", code), request("i-b")]
    assert ranks(raws, marked) == {"i-c": 0, "i-b": 1}
    assert [(one["instance_id"], one["rank"]) for one in crew.leaving(raws, marked)] == [("i-a", 0)]


def test_an_instance_may_be_left_without_a_mark_of_aws() -> None:
    raws = [ranked("i-a", 0), ranked("i-b", 1)]
    requests = crew.marked([request("i-a"), request("i-b")], ["i-a"])
    assert ranks(raws, requests) == {"i-b": 1}
    assert crew.marked([request("i-a")], []) == [request("i-a")]


def test_a_dead_instance_does_not_leave_any_more() -> None:
    raws = [ranked("i-a", 0, "terminated")]
    assert crew.leaving(raws, [request("i-a", "instance-terminated-no-capacity", "closed")]) == []


def test_a_rank_tag_edited_by_hand_is_no_rank() -> None:
    raw = instance("i-a")
    raw["Tags"] = [*raw["Tags"], {"Key": "spot:rank", "Value": "first"}]
    assert ranks([raw]) == {"i-a": 0}


@pytest.mark.parametrize(
    ("instances", "volumes", "count", "expected"),
    [
        ([], [], 1, 1),
        ([("running", 3)], [], 1, 3),
        ([("terminated", 1), ("shutting-down", 2)], [], 1, 3),
        ([("stopped", 4)], [], 1, 5),
        ([], [volume("vol-1")], 1, 2),
        ([("running", 1)], [volume("vol-1")], 1, 1),
        # cut off half way: one of two was launched, nothing is lost
        ([("running", 1)], [], 2, 1),
        ([("pending", 1), ("terminated", 1)], [], 2, 2),
        # the loss was made good half way: the second generation goes on
        ([("running", 1), ("terminated", 1), ("running", 2)], [], 3, 2),
        ([("running", 1), ("running", 2)], [], 2, 2),
        # one of the second generation is lost again
        ([("running", 1), ("terminated", 2)], [], 2, 3),
    ],
)
def test_generation(instances: list[tuple[str, int]], volumes: list[Raw], count: int, expected: int) -> None:
    raws = [instance(f"i-{place}", *one) for place, one in enumerate(instances)]
    assert crew.generation(raws, [], volumes, count) == expected


def test_a_notice_makes_the_next_generation_while_the_instance_still_runs() -> None:
    assert crew.generation([ranked("i-a", 0)], [request("i-a", "marked-for-termination")]) == 2


def test_a_generation_that_was_edited_by_hand_counts_as_the_first() -> None:
    raw = instance("i-1", Tags=[{"Key": "spot:generation", "Value": "two"}])
    assert crew.generation([raw]) == 1
