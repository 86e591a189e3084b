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
    tables,
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


IDS = st.lists(st.text("0123456789abcdef", min_size=17, max_size=17).map("i-{}".format), min_size=1, unique=True)


@given(IDS, st.data())
def test_each_reads_its_own_number_out_of_the_value_it_was_given(ids: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, 2000), min_size=len(ids), max_size=len(ids), unique=True))
    numbers = dict(zip(ids, chosen))
    written = {name: value for value, names in tables(numbers).items() for name in names}
    assert all(len(value) <= 256 for value in written.values())
    assert {name: index_from(value, name) for name, value in written.items()} == numbers


def test_a_table_and_a_plain_number() -> None:
    assert tables({"i-0598c7d356eba48d7": 3}) == {"3": ["i-0598c7d356eba48d7"]}
    ids = ["i-00000000000002f9c", "i-0000000000000b01e", "i-000000000000090ac"]
    assert tables(dict(zip(ids, (0, 1, 7)))) == {"0=2f9c.b01e 7=90ac": ids}


def test_ends_are_as_long_as_they_must_be() -> None:
    ids = ["i-0000000000001aaaa", "i-0000000000002aaaa"]
    assert tables({ids[0]: 1, ids[1]: 0}) == {"0=2aaaa.1aaaa": [ids[1], ids[0]]}


@pytest.mark.parametrize("number", [5, 20, 50])
def test_one_call_writes_them_all(number: int) -> None:
    ids = [f"i-{place * 0x9E3779B97F4A7C15 % 16**17:017x}" for place in range(number)]
    assert len(tables({name: rank for rank, name in enumerate(ids)})) == 1


@pytest.mark.parametrize("text", ["", "x", "1.5", "-1", "01", "0=", "0=zzzz", "=2f9c", "a=2f9c", "0=2f9", "2f9c"])
def test_what_says_no_number(text: str) -> None:
    assert index_from(text, "i-00000000000002f9d") is None


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
