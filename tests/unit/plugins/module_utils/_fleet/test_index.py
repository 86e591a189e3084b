"""Numbers of instances: stable, without gaps to fill twice, the same for everybody who looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._fleet import launch as doing
from ansible_collections.experiments.spot.plugins.module_utils._fleet.errors import AnsibleFleetError
from ansible_collections.experiments.spot.plugins.module_utils._fleet.index import (
    assign,
    index_from,
    lowest_free,
    numbered,
)
from ansible_collections.experiments.spot.plugins.module_utils._fleet.values import Answer, Instance, Request


def instance(name: str, index: int | None = None, launched: str = "2026-01-01") -> Instance:
    return Instance(name, launch_time=launched, index=index)


@pytest.mark.parametrize(
    ("value", "index"),
    [
        ("0", 0),
        ("17", 17),
        (None, None),
        ("", None),
        ("-1", None),
        ("01", None),
        ("x", None),
        ("²", None),
        (" 1", None),
    ],
)
def test_index_from(value: str | None, index: int | None) -> None:
    assert index_from(value) == index


@pytest.mark.parametrize(
    ("instances", "written"),
    [
        ([], {}),
        ([instance("a", 0), instance("b", 1)], {}),
        ([instance("a"), instance("b")], {"a": 0, "b": 1}),
        # Who has one keeps it, gaps are filled from below.
        ([instance("a", 3), instance("b"), instance("c", 0), instance("d")], {"b": 1, "d": 2}),
        # The older of two keeps the number.
        ([instance("a", 1, "2026-01-02"), instance("b", 1, "2026-01-01")], {"a": 0}),
        # One that AWS does not list yet is the youngest.
        ([instance("a", None, ""), instance("b", None, "2026-01-01")], {"b": 0, "a": 1}),
    ],
)
def test_assign(instances: list[Instance], written: dict[str, int]) -> None:
    assert assign(instances) == written


def test_lowest_free() -> None:
    assert lowest_free([]) == 0
    assert lowest_free([instance("a", 0), instance("b", 2), instance("c")]) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.none() | st.integers(0, 9)), unique_by=lambda item: item[0]))
def test_all_differ_in_the_end_whatever_the_order(items: list[tuple[str, int | None]]) -> None:
    seen = [instance(name, index) for name, index in items]
    after = numbered(seen, assign(seen))
    numbers = [item.index for item in after]
    assert len(set(numbers)) == len(seen)
    assert None not in numbers
    assert assign(after) == {}
    assert assign(reversed(seen)) == assign(seen)


class Tags:
    """AWS as far as numbering cares: ids in ``unknown`` are not found so many times."""

    def __init__(self, instances: list[Instance], unknown: Mapping[str, int]) -> None:
        self.instances = {item.instance_id: item for item in instances}
        self.unknown = dict(unknown)
        self.written: list[tuple[str, int]] = []

    def look(self, launched: Iterable[Instance] = ()) -> tuple[Instance, ...]:
        return tuple(self.instances.values())

    def ask(self, request: Request) -> Answer:
        raise AssertionError("numbering launches nothing")

    def terminate(self, instance_ids: Iterable[str]) -> None:
        raise AssertionError("numbering ends nothing")

    def number(self, numbers: Mapping[str, int]) -> dict[str, AnsibleFleetError]:
        late = {}
        for name, index in numbers.items():
            if self.unknown.get(name, 0):
                self.unknown[name] -= 1
                cause = ClientError({"Error": {"Code": "InvalidInstanceID.NotFound"}}, "CreateTags")
                late[name] = AnsibleFleetError(message="Failed to tag an instance", exception=cause)
            else:
                self.written.append((name, index))
        return late


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_instance_that_is_not_known_yet_is_waited_for() -> None:
    seen = [instance("a"), instance("b")]
    fleet, clock = Tags(seen, {"b": 2}), Clock()

    after = doing.number(fleet, clock, tuple(seen))

    assert fleet.written == [("a", 0), ("b", 1)]
    assert [item.index for item in after] == [0, 1]
    assert clock.slept == [1.0, 2.0]


def test_instance_that_never_becomes_known_is_told() -> None:
    seen = [instance("a")]
    fleet, clock = Tags(seen, {"a": 99}), Clock()

    with pytest.raises(AnsibleFleetError):
        doing.number(fleet, clock, tuple(seen))

    assert sum(clock.slept) == 30


def test_number_that_another_run_gave_at_the_same_time_is_given_up_by_the_younger() -> None:
    seen = [instance("a", None, "2026-01-01"), instance("b", None, "2026-01-02")]
    fleet, clock = Tags(seen, {}), Clock()
    # The other run, which saw only b, gave it the 0 that we gave to a.
    fleet.instances = {"a": instance("a", 0, "2026-01-01"), "b": instance("b", 0, "2026-01-02")}

    doing.number(fleet, clock, tuple(seen), shared=True)

    assert fleet.written[:2] == [("a", 0), ("b", 1)]
    assert fleet.written[2] == ("b", 1)
