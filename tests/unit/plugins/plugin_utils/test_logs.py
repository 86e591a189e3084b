"""Which log is read, of which instance, with which command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._follow import JobView, parse_poll
from ansible_collections.experiments.spot.plugins.plugin_utils._logs import (
    JOB,
    SOURCES,
    Wanted,
    choose,
    entries,
    job_line,
    journal,
    last_instance,
    running,
    selected,
    shown,
    wanted,
    without_instance,
)

from .test_follow import ACTIVE, INACTIVE, STARTED, poll

TYPED = {"source": "job", "lines": "100", "follow": "false", "rank": ""}


def instance(name: str, rank: int | None, state: str = "running", launched: str = "2026-01-01") -> dict[str, Any]:
    address = "203.0.113.7" if state == "running" else None
    return {"instance_id": name, "rank": rank, "state": state, "address": address, "launch_time": launched}


def experiment(name: str, *instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"experiment": name, "profile": name, "instances": list(instances), "volumes": [], **more}


def test_what_was_typed() -> None:
    assert wanted(TYPED) == (Wanted(JOB, 100, False, ()), [])
    given = {"source": "docker", "lines": " 7 ", "follow": "Yes", "rank": "2, 0,2"}
    assert wanted(given) == (Wanted("docker", 7, True, (2, 0)), [])


@pytest.mark.parametrize("lines", ["0", "-1", "many", "1e3", "²", "1000001", ""])
def test_a_number_of_lines_that_is_none(lines: str) -> None:
    assert [text.split(":")[0] for text in wanted({**TYPED, "lines": lines})[1]] == [f"-e lines={lines}"]


def test_all_mistakes_at_once() -> None:
    errors = wanted({"source": "jobs", "lines": "x", "follow": "maybe", "rank": "0,a,-1"})[1]
    assert [text.split(":")[0] for text in errors] == [
        "-e source=jobs",
        "-e lines=x",
        "-e follow=maybe",
        "-e rank=a",
        "-e rank=-1",
    ]


def test_which_experiment() -> None:
    one, two = experiment("a", instance("i-1", 0)), experiment("b")
    assert choose([one, two], "b", ["r"]) is two
    assert choose([one], "", ["r"]) is one
    text = choose([one, two], "", ["r"])
    assert isinstance(text, str) and "-e experiment=NAME" in text and "a, b" in text
    assert choose([one, two], "c", ["r"]) == "there is no experiment c in r, only: a, b"
    text = choose([], "c", ["r", "s"])
    assert isinstance(text, str) and "no experiment c in r, s" in text


def test_of_an_experiment_in_two_regions_the_one_that_runs() -> None:
    left, here = experiment("a", instance("i-1", None, "terminated")), experiment("a", instance("i-2", 0))
    assert choose([left, here], "a", ["r", "s"]) is here


def test_which_instances() -> None:
    crew = [instance("i-1", 0), instance("i-2", 1), instance("i-3", None), instance("i-4", None, "terminated")]
    found = running(experiment("a", *crew))
    assert [one["instance_id"] for one in found] == ["i-1", "i-2"]
    # One that AWS is taking has no rank, and still runs.
    assert [one["instance_id"] for one in running(experiment("a", *crew[2:]))] == ["i-3"]
    assert selected(found, [1]) == [crew[1]] and selected(found, []) == crew[:2]
    assert selected(found, [1, 2, 3]) == "no instance has the rank 2, 3; running: 0, 1"


def test_an_experiment_without_an_instance_says_where_to_look() -> None:
    volume = {"volume": "data", "name": "spot-x", "volume_id": "vol-1"}
    text = without_instance(experiment("x", volumes=[volume]), "s3://b/x")
    assert "no running instance" in text and "data (vol-1)" in text and "s3://b/x" in text
    assert "ansible-playbook sync.yml -e profile=x\n" in text + "\n"
    text = without_instance({**experiment("x"), "profile": "p"}, "")
    assert "sync.yml -e profile=p -e experiment=x" in text
    assert last_instance(experiment("x")) is None
    old, new = instance("i-1", None, "terminated"), instance("i-2", None, "terminated", "2026-01-02")
    assert last_instance(experiment("x", new, old)) is new


def test_the_log_of_this_run_of_the_job_or_of_when_it_began() -> None:
    running_now = parse_poll(poll({**ACTIVE, "InvocationID": "abc"}, {"state": "running", "started": STARTED}))
    assert "_SYSTEMD_INVOCATION_ID=abc" in journal(JOB, running_now, 5, follow=True)
    ended = parse_poll(poll({**INACTIVE, "InvocationID": ""}, {"state": "succeeded", "started": STARTED}))
    command = journal(JOB, ended, 5, follow=False)
    assert (
        "--reverse" in command
        and "2026-01-02 03:04:05 UTC" in command
        and "_SYSTEMD_UNIT=experiments-spot-job.service" in command
    )


@pytest.mark.parametrize("source", SOURCES)
def test_a_cursor_goes_on_behind_it(source: str) -> None:
    first = journal(source, JobView(), 5, follow=True)
    assert "--lines 5" in first and "--follow" in first and "cursor" not in first
    again = journal(source, JobView(), 5, follow=True, cursor="s=1;i=2")
    assert "--after-cursor" in again and "s=1;i=2" in again and "--no-tail" in again and "--lines" not in again


def test_the_end_of_a_log_is_read_backwards() -> None:
    assert "--reverse" not in journal(JOB, JobView(), 5, follow=True)
    assert entries("2\n1\n") == ["1", "2"] and entries("1\n2\n", "cursor") == ["1", "2"]
    assert "--reverse" not in journal(JOB, JobView(), 5, follow=False, cursor="c")


def test_lines_of_the_system_say_when_and_who() -> None:
    entry = {
        "__CURSOR": "c",
        "__REALTIME_TIMESTAMP": "1767323045000000",
        "SYSLOG_IDENTIFIER": "sshd",
        "MESSAGE": "a\nb",
    }
    head = "2026-01-02T03:04:05Z sshd:"
    assert shown("system", json.dumps(entry)) == ("c", [f"{head} a", f"{head} b"])
    assert shown(JOB, json.dumps(entry)) == ("c", ["a", "b"])
    assert shown("system", json.dumps({"__CURSOR": "c", "MESSAGE": "\x1b[2Ja"})) == ("c", ["a"])
    assert shown("system", "damaged")[0] is None


@pytest.mark.parametrize(
    ("unit", "run", "expected"),
    [
        (ACTIVE, {"state": "running", "started": STARTED}, "job digits: running 30 s"),
        (INACTIVE, {"state": "failed", "exit_code": 3, "message": "boom"}, "job digits: failed, exit code 3 (boom)"),
        (
            INACTIVE,
            {"state": "succeeded", "exit_code": 0, "started": STARTED, "finished": "2026-01-02T03:05:10Z"},
            "job digits: succeeded after 1m 05s",
        ),
    ],
)
def test_what_the_job_does(unit: dict[str, str], run: dict[str, Any], expected: str) -> None:
    assert job_line(parse_poll(poll(unit, run))) == expected


def test_no_job_was_started() -> None:
    assert job_line(JobView()) == "no job was started here"
