from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.document import Loose
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.kinds import allowed, bounds, check
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import Key

COUNT = Key("int", "", minimum=1, maximum=10_000, unit="instances")
PRICE = Key("float", "", minimum=0.001)
TYPES = Key("texts", "", minimum=1, pattern="[a-z0-9.]+", form="FAMILY.SIZE")
LISTS = Key("lists", "", pattern="[a-z]+", form="letters")
ENV = Key("map", "", pattern="[A-Z]+", form="capitals", secret=True)


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        (Key("text", ""), "x", "x"),
        (COUNT, 3, 3),
        (COUNT, Loose("3"), 3),
        (PRICE, 2, 2.0),
        (PRICE, Loose("0.5"), 0.5),
        (Key("bool", ""), False, False),
        (Key("bool", ""), Loose("Yes"), True),
        (Key("bool", ""), Loose("off"), False),
        (TYPES, ["t3.medium"], ["t3.medium"]),
        (TYPES, Loose("t3.medium, t3.large"), ["t3.medium", "t3.large"]),
        (TYPES, Loose('["t3.medium"]'), ["t3.medium"]),
        (Key("argv", ""), "python3 'a b' --n 3", ["python3", "a b", "--n", "3"]),
        (Key("argv", ""), ["python3", "--n", 3, 0.5], ["python3", "--n", "3", "0.5"]),
        (Key("argv", ""), Loose("[a, 'b c']"), ["a", "b c"]),
        (Key("argv", ""), [], []),
        (ENV, {"A": "x", "B": 3}, {"A": "x", "B": "3"}),
        (ENV, Loose('{"A": 1}'), {"A": "1"}),
        (LISTS, {"lr": [0.1, "x"], "a": [1]}, {"lr": ["0.1", "x"], "a": ["1"]}),
        (LISTS, Loose("{lr: [1, 2]}"), {"lr": ["1", "2"]}),
        (LISTS, {"lr": Loose("1,2")}, {"lr": ["1", "2"]}),
    ],
)
def test_right_values(key: Key, given: Any, value: Any) -> None:
    assert check(key, given) == (value, [])
    assert type(check(key, given)[0]) is type(value)


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        (COUNT, "3", '"3" is text, not a whole number'),
        (COUNT, True, "true is true or false, not a whole number"),
        (COUNT, 1.5, "1.5 is not a whole number"),
        (COUNT, 0, "0 is out of range"),
        (COUNT, Loose("many"), '"many" is text, not a whole number'),
        (COUNT, Loose("1.5"), '"1.5" is text, not a whole number'),
        (PRICE, float("nan"), "NaN is out of range"),
        (PRICE, -1, "-1 is out of range"),
        (Key("bool", ""), "true", '"true" is text'),
        (Key("bool", ""), 1, "1 is a number"),
        (Key("text", ""), 3, "3 is a number, not text"),
        (Key("text", ""), ["x"], '["x"] is a list, not text'),
        (Key("text", ""), "a\0b", "a NUL character is not allowed"),
        (Key("text", "", choices=("spot", "on-demand")), "Spot", '"Spot" is not allowed'),
        (TYPES, "t3.medium", '"t3.medium" is text, not a list'),
        (TYPES, [], "it is empty"),
        (TYPES, ["t3.medium", "t3.medium"], '"t3.medium" stands twice'),
        (Key("argv", ""), "python 'x", "cannot be split into words: no closing quotation"),
        (Key("argv", ""), 3, "3 is a number, not a command"),
        (Key("argv", ""), ["a", None], "null is nothing, not text"),
        (ENV, ["A=1"], "a list is given, not a mapping"),
        (ENV, {"a": 1}, 'the name "a" is not allowed'),
        (ENV, {"A": "x\ny"}, "several lines"),
    ],
)
def test_wrong_values_say_what_is_wrong(key: Key, given: Any, said: str) -> None:
    value, wrongs = check(key, given)
    assert value is None
    assert said in wrongs[0].what


def test_all_parts_of_a_list_are_judged() -> None:
    _value, wrongs = check(TYPES, ["A", "ok", 3, "ok"])
    assert [wrong.inside for wrong in wrongs] == [(0,), (2,), (3,)]


def test_all_parts_of_a_mapping_are_judged_without_showing_secrets() -> None:
    _value, wrongs = check(ENV, {"A": ["s3cret"], "b": "x", "C": True})
    assert {wrong.inside for wrong in wrongs} == {("A",), ("b",), ("C",)}
    assert not any("s3cret" in wrong.what + wrong.todo for wrong in wrongs)


def test_a_choice_in_the_wrong_case_is_recognised() -> None:
    assert check(Key("text", "", choices=("spot", "on-demand")), "On-Demand")[1][0].close == "on-demand"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (COUNT, "1 to 10,000 instances"),
        (PRICE, "at least 0.001"),
        (Key("int", "", maximum=5, unit="s"), "at most 5 s"),
        (Key("int", ""), ""),
    ],
)
def test_bounds_in_words(key: Key, text: str) -> None:
    assert bounds(key) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (COUNT, "a whole number, 1 to 10,000 instances"),
        (Key("text", "", choices=("a", "b")), "one of a, b"),
        (TYPES, "a list, each FAMILY.SIZE"),
        (ENV, "a mapping, each name capitals"),
        (Key("bool", ""), "true or false"),
    ],
)
def test_allowed_in_words(key: Key, text: str) -> None:
    assert allowed(key) == text


@pytest.mark.parametrize(
    ("given", "inside", "said"),
    [
        ([1], (), "a list is given, not a mapping"),
        ({"l r": [1]}, ("l r",), 'the name "l r" is not allowed'),
        ({"lr": 1}, ("lr",), "1 is a number, not a list"),
        ({"lr": []}, ("lr",), "the list is empty"),
        ({"lr": [1, "1"]}, ("lr", 1), '"1" stands twice'),
        ({"lr": [[1]]}, ("lr", 0), "[1] is a list, not text"),
        ({"lr": ["a\nb"]}, ("lr", 0), "a value of several lines"),
    ],
)
def test_wrong_lists(given: Any, inside: tuple[Any, ...], said: str) -> None:
    value, (wrong,) = check(LISTS, given)
    assert value is None and said in wrong.what and wrong.inside == inside
