"""Answers that are kept for some minutes."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import cache


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


class Reader:
    """Answers with the number of the question."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Any:
        self.count += 1
        return {"n": self.count}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "answers"


def test_an_answer_is_used_again_until_it_is_too_old(place: Path, clock: Clock) -> None:
    reader = Reader()
    first = cache.Cache(place, 60, now=clock)
    assert first("k", reader) == {"n": 1}
    assert (first.asked, first.oldest) == (1, None)
    clock.time += 59
    second = cache.Cache(place, 60, now=clock)
    assert second("k", reader) == {"n": 1}
    assert (second.asked, second.oldest) == (0, 1000.0)
    clock.time += 1
    assert cache.Cache(place, 60, now=clock)("k", reader) == {"n": 2}


def test_keys_and_owners_do_not_mix(place: Path) -> None:
    reader = Reader()
    answers = [cache.Cache(place, 60, whose)(key, reader)["n"] for whose in ("a", "b") for key in ("k", ["k"])]
    assert answers == [1, 2, 3, 4]


def test_zero_seconds_keep_nothing(place: Path) -> None:
    reader = Reader()
    for _ in range(2):
        cache.Cache(place, 0)("k", reader)
    assert reader.count == 2
    assert not place.exists()


def test_an_error_is_not_kept(place: Path) -> None:
    def fail() -> Any:
        raise KeyError("no")

    kept, reader = cache.Cache(place, 60), Reader()
    with pytest.raises(KeyError):
        kept("k", fail)
    assert kept("k", reader) == {"n": 1}


def test_none_is_an_answer(place: Path) -> None:
    kept = cache.Cache(place, 60)
    kept("k", lambda: None)
    assert kept("k", Reader()) is None


def test_files_are_private(place: Path) -> None:
    cache.Cache(place, 60)("k", Reader())
    (file,) = place.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "x", "[]", "{}", '{"schema": 9, "at": 1000, "answer": 1}', '{"at": null}'])
def test_a_spoilt_file_is_no_answer(place: Path, clock: Clock, content: str) -> None:
    kept, reader = cache.Cache(place, 60, now=clock), Reader()
    kept("k", reader)
    next(place.iterdir()).write_text(content)
    assert kept("k", reader) == {"n": 2}
    assert json.loads(next(place.iterdir()).read_text())["answer"] == {"n": 2}


def test_clock_that_was_set_back(place: Path, clock: Clock) -> None:
    kept, reader = cache.Cache(place, 60, now=clock), Reader()
    kept("k", reader)
    clock.time -= 1
    assert kept("k", reader) == {"n": 2}


def test_a_directory_that_others_can_write_is_not_used(place: Path) -> None:
    place.mkdir(parents=True)
    place.chmod(0o777)
    kept, reader = cache.Cache(place, 60), Reader()
    for _ in range(2):
        kept("k", reader)
    assert reader.count == 2
    assert list(place.iterdir()) == []


def test_a_link_is_not_followed(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    place.parent.mkdir()
    place.symlink_to(target)
    cache.Cache(place, 60)("k", Reader())
    assert list(target.iterdir()) == []


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reader = Reader()
    assert cache.Cache(tmp_path / "file" / "answers", 60)("k", reader) == {"n": 1}
    assert cache.Cache(None, 60)("k", reader) == {"n": 2}


def test_old_files_are_removed(place: Path) -> None:
    place.mkdir(parents=True, mode=0o700)
    old = place / "old.new"
    old.write_text("")
    os.utime(old, (1, 1))
    cache.Cache(place, 60)("k", Reader())
    assert not old.exists()


def test_many_threads(place: Path) -> None:
    kept = cache.Cache(place, 60)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: kept(number % 4, lambda: number % 4), range(64)))
    assert answers == [number % 4 for number in range(64)]
    assert len(list(place.iterdir())) == 4


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HOME": "/home/a"}, "/home/a/.cache/experiments.spot/answers"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "/c"}, "/c/experiments.spot/answers"),
        ({"XDG_CACHE_HOME": "c"}, None),
        ({}, None),
    ],
)
def test_directory(environment: dict[str, str], expected: str | None) -> None:
    assert cache.directory(environment) == (Path(expected) if expected else None)


def test_whose_answers_has_no_secret() -> None:
    params = {"profile": "p", "access_key": "AKIA", "secret_key": "s3cret", "session_token": "t0ken"}
    environment = {"AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_SESSION_TOKEN": "t0ken", "AWS_PROFILE": "q"}
    found = cache.whose(params, environment, "us-east-1", "http://x")
    assert {"p", "AKIA", "q", "us-east-1", "http://x"} <= set(found)
    assert not {"s3cret", "t0ken"} & set(found)
    assert found != cache.whose(params, {}, "us-east-1", "http://x")
