"""The combinations of a matrix: which there are, what they are called, and which instance takes which."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import matrix

LISTS = {"lr": [0.1, "0.01"], "seed": [1, 2, 3, 4]}
SPEC: dict[str, Any] = {"image": "img", "command": ["a"], "matrix": LISTS}


def test_every_combination_in_order() -> None:
    found = matrix.combinations(LISTS)
    assert len(found) == matrix.size_of(LISTS) == 8
    assert found[:2] == [{"lr": "0.1", "seed": "1"}, {"lr": "0.1", "seed": "2"}], "the last list varies fastest"
    assert matrix.combinations({}) == [] and matrix.size_of({}) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_instances_share_them_without_gap_and_overlap(count: int) -> None:
    shares = [matrix.share(SPEC, rank, count) for rank in range(count)]
    assert [one["index"] for one in shares[0]] == list(range(0, 8, count))
    assert sorted(one["index"] for own in shares for one in own) == list(range(8))
    assert shares == [matrix.share(SPEC, rank, count) for rank in range(count)]


def test_an_instance_without_a_combination_has_none() -> None:
    assert matrix.share(SPEC, 9, 10) == []


def test_names_are_readable_and_different() -> None:
    assert matrix.name_of({"lr": "0.1", "seed": "2"}) == "lr=0.1,seed=2"
    odd = [{"a": "x/y"}, {"a": "x y"}, {"a": "x,b=1"}, {"a": "x", "b": "1"}, {"a": "z" * 150}, {"a": "z" * 151}]
    names = [matrix.name_of(one) for one in odd]
    assert len(set(names)) == len(odd)
    assert all("/" not in name and " " not in name and len(name) <= 120 for name in names)


def test_what_makes_a_combination_another_one() -> None:
    params = {"lr": "1"}
    base = matrix.sha256_of(SPEC, params)
    for same in ({"time_limit": 9}, {"retries": 2}, {"matrix": {"lr": [1, 2, 3]}}, {"user": None}):
        assert matrix.sha256_of({**SPEC, **same}, params) == base
    code = {"repository": "r", "version": "main", "commit": "1"}
    assert matrix.sha256_of({**SPEC, "code": code}, params) == matrix.sha256_of(
        {**SPEC, "code": {**code, "commit": "2"}}, params
    )
    for other in ({"command": ["b"]}, {"image": "other"}, {"code": {"repository": "r", "version": "v2"}}):
        assert matrix.sha256_of({**SPEC, **other}, params) != base
    assert matrix.sha256_of(SPEC, {"lr": "2"}) != base


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"lr": []}, ["lr is not a list with at least one value"]),
        ({"lr": "0.1"}, ["lr is not a list with at least one value"]),
        ({"lr": [1, "1"]}, ["lr has '1' twice"]),
        ({"l-r": [1], "SPOT_X": [1]}, ["the name 'l-r' is not", "the name 'SPOT_X' is not"]),
        ({"a": ["x\ny"]}, ["a has a value of several lines"]),
        ({"a": list(range(20)), "b": list(range(20))}, ["400 combinations; allowed: at most 256"]),
    ],
)
def test_what_is_no_matrix(lists: Any, said: list[str]) -> None:
    found = matrix.problems(lists)
    assert len(found) == len(said) and all(text in one for text, one in zip(said, found))


def test_the_largest_matrix() -> None:
    assert matrix.problems({"a": list(range(16)), "b": list(range(16))}) == []
