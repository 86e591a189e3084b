"""Parameters and the command of one job, as they are typed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.splitter import parse_kv

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.params import parse, typed_command, with_job


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ("", {}),
        ("lr=0.1,epochs=3", {"lr": "0.1", "epochs": "3"}),
        (" lr=0.1 , url=a=b,empty= ", {"lr": "0.1", "url": "a=b", "empty": ""}),
        ({"lr": 0.1, "list": "a,b"}, {"lr": "0.1", "list": "a,b"}),
    ],
)
def test_names_and_values(given: Any, expected: dict[str, str]) -> None:
    assert parse(given) == (expected, [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("lr", ["has no value"]),
        ("a-b=1", ["no name of letters"]),
        ("a=1,,b=2", ["nothing between"]),
        ("a=1,a=2", ["given twice"]),
        ("lr,1x=2,c=3,c=4", ["has no value", "no name of letters", "given twice"]),
        ({"a b": 1}, ["no name of letters"]),
        (["a=1"], ["neither"]),
    ],
)
def test_all_that_is_wrong_at_once(given: Any, expected: list[str]) -> None:
    found, problems = parse(given)
    assert found == {} and len(problems) == len(expected)
    assert all(part in problem.text for part, problem in zip(expected, problems))
    assert all(problem.text.startswith("-e job_params: ") for problem in problems)


def test_without_a_job_the_image_is_that_of_the_machine() -> None:
    extra = {"image": {"id": "ami-1"}, "x": 1}
    assert with_job(extra, {}, "a=1")[0] == {**extra, "job.env.a": "1"}


def test_of_a_job_it_is_the_container() -> None:
    job = {"command": None, "image": "python:3"}
    assert with_job({"image": "python:3", "x": 1}, job, None)[0] == {"x": 1, "job.image": "python:3"}


@pytest.mark.parametrize(
    ("texts", "command", "misread"),
    [
        (["command=true"], None, []),
        (["command='train.py --lr 1'"], None, []),
        (["x=1", '{"command": "a b"}'], None, []),
        ([], None, []),
        (["command=train.py --lr 1"], "train.py --lr 1", ["_raw_params"]),
        (['command=sh -c "echo $a"', "image=i"], 'sh -c "echo $a"', ["_raw_params"]),
        (["command=t --data.lr=0.1 image=x"], "t --data.lr=0.1 image=x", ["--data.lr", "image"]),
        (["command=a b", "command=c d"], "c d", ["_raw_params"]),
    ],
)
def test_the_whole_command_and_not_its_first_word(texts: list[str], command: str | None, misread: list[str]) -> None:
    assert typed_command(texts, parse_kv) == (command, frozenset(misread))


def test_what_ansible_makes_of_a_command_is_no_variable() -> None:
    texts = ["command=t --data.lr=0.1 image=x"]
    extra = parse_kv(texts[0])
    job = {"command": extra["command"], "image": extra["image"]}
    found, problems = with_job(extra, job, None, typed_command(texts, parse_kv))
    assert (found["job.command"], problems) == ("t --data.lr=0.1 image=x", [])
    assert not {"--data.lr", "job.image"} & set(found)
