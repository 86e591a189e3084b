"""Whether a job is started, and what it is said to do."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job.state import (
    Current,
    asked_last,
    decide,
    has_ended_here,
    parse_show,
    summary,
)

DOCUMENT = {
    "experiment": "exp",
    "job": "train",
    "spec_sha256": "new",
    "instance_id": "i-1",
    "generation": 1,
    "rank": 0,
    "image": "img",
    "command": ["a"],
}
OLD = {**DOCUMENT, "spec_sha256": "old", "command": ["b"]}
ACTIVE, DEAD = {"ActiveState": "active"}, {"ActiveState": "inactive", "Result": "success"}


def entry(state: str, exit_code: int | None = None, **more: Any) -> dict[str, Any]:
    keys = ("spec_sha256", "instance_id", "generation", "rank", "image")
    times = {"started": "2026-01-01T00:00:00Z", "finished": None, "message": ""}
    return {**{key: DOCUMENT[key] for key in keys}, **times, "state": state, "exit_code": exit_code, **more}


def current(
    unit: dict[str, str] = DEAD, document: Any = DOCUMENT, same_env: bool = True, runs: Any = (), notice: Any = None
) -> Current:
    return Current(unit, document, same_env, list(runs), notice or {})


TAKEN = {"kind": "interruption", "action": "terminate", "time": "2026-01-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("now", "rerun", "action"),
    [
        (current(document={}), False, "start"),
        (current(ACTIVE), False, "none"),
        (current(ACTIVE), True, "restart"),
        (current(ACTIVE, OLD), True, "restart"),
        (current(runs=[entry("succeeded", 0)]), False, "none"),
        (current(runs=[entry("failed", 3)]), False, "none"),
        (current(runs=[entry("succeeded", 0)]), True, "start"),
        (current(runs=[entry("succeeded", 0)], same_env=False), False, "start"),
        # what has not come to its own end is begun again
        (current(runs=[entry("failed")]), False, "start"),
        (current(runs=[entry("stopped", 143)]), False, "start"),
        (current(runs=[entry("interrupted", 143)]), False, "start"),
        (current(runs=[entry("interrupted", 0)]), False, "start"),
        # a notice starts nothing, and what runs or has ended is left alone
        (current(ACTIVE, notice=TAKEN), False, "none"),
        (current(runs=[entry("succeeded", 0)], notice=TAKEN), False, "none"),
        (current(notice={**TAKEN, "job": "ended", "run": entry("succeeded", 0)}), False, "none"),
        (current(runs=[entry("running")]), False, "start"),
        # a run of another instance, generation or spec does not count
        (current(runs=[entry("succeeded", 0, instance_id="i-0")]), False, "start"),
        (current(runs=[entry("succeeded", 0, generation=0)]), False, "start"),
        (current(runs=[entry("succeeded", 0, spec_sha256="old")]), False, "start"),
        (current(document=OLD, runs=[entry("succeeded", 0)]), False, "start"),
    ],
)
def test_decision(now: Current, rerun: bool, action: str) -> None:
    decision = decide(DOCUMENT, now, rerun)
    assert (decision.action, decision.error) == (action, "")


def test_running_with_another_spec_is_an_error_that_names_what_differs() -> None:
    error = decide(DOCUMENT, current(ACTIVE, OLD), False).error
    assert "changed: command" in error and "-e rerun=true" in error
    error = decide(DOCUMENT, current(ACTIVE, same_env=False), False).error
    assert "changed: env" in error and "-e replace=true" in error


@pytest.mark.parametrize(
    ("now", "action"),
    [
        (current(ACTIVE, OLD), "restart"),
        # the same job is not ended to begin anew, and one that has ended does not run again
        (current(ACTIVE), "none"),
        (current(runs=[entry("succeeded", 0)]), "none"),
    ],
)
def test_replace_ends_another_job_only(now: Current, action: str) -> None:
    decision = decide(DOCUMENT, now, False, True)
    assert (decision.action, decision.error) == (action, "")


@pytest.mark.parametrize(
    ("now", "rerun"),
    [(current(ACTIVE, notice=TAKEN), True), (current(runs=[entry("interrupted", 143)], notice=TAKEN), False)],
)
def test_an_instance_with_a_notice_starts_nothing(now: Current, rerun: bool) -> None:
    decision = decide(DOCUMENT, now, rerun)
    assert decision.action == "none" and "AWS takes the instance at 12:00:00Z (terminate)" in decision.error


def test_nothing_there() -> None:
    found = summary(Current())
    assert found["unit_active"] is False
    assert {value for key, value in found.items() if key != "unit_active"} == {None}


@pytest.mark.parametrize(
    ("now", "state", "exit_code"),
    [
        (current(ACTIVE, runs=[entry("pulling")]), "pulling", None),
        (current(runs=[entry("succeeded", 0)]), "succeeded", 0),
        # started again, but the ledger still ends with the former run
        (current(ACTIVE, runs=[entry("succeeded", 0)]), "starting", None),
        (current(ACTIVE), "starting", None),
        # killed: the ledger says running, nothing runs
        (current({"ActiveState": "failed", "ExecMainStatus": "9"}, runs=[entry("running")]), "failed", 9),
        (current(runs=[entry("running")]), "failed", None),
        # the ledger could not be written, and an older run of the same spec ended well
        (current({"ActiveState": "failed", "ExecMainStatus": "73"}, runs=[entry("succeeded", 0)]), "failed", 73),
        # the container itself ended with that number
        (current({"ActiveState": "failed", "ExecMainStatus": "73"}, runs=[entry("failed", 73)]), "failed", 73),
        (current({"ActiveState": "failed", "ExecMainStatus": "1", "Result": "exit-code"}), "failed", 1),
        (current(runs=[entry("interrupted", 143)]), "interrupted", 143),
        # the runner had no time to say so
        (
            current({"ActiveState": "failed", "ExecMainStatus": "9"}, runs=[entry("running")], notice=TAKEN),
            "interrupted",
            None,
        ),
        (current(runs=[entry("running")], notice={"kind": "expired"}), "stopped", None),
        (current(notice=TAKEN), "interrupted", None),
        (current(notice={**TAKEN, "run": entry("interrupted", 137)}), "interrupted", 137),
        (current(ACTIVE, runs=[entry("running")], notice=TAKEN), "running", None),
        (current(runs=[entry("failed", 3)], notice={**TAKEN, "job": "ended"}), "failed", 3),
        (current(notice={**TAKEN, "job": "none"}), None, None),
        (current(runs=[entry("running")], notice={"kind": "what"}), "failed", None),
        # what an earlier instance did is not this one's state
        (current(runs=[entry("succeeded", 0, instance_id="i-0")]), None, None),
    ],
)
def test_summary(now: Current, state: str | None, exit_code: int | None) -> None:
    found = summary(now)
    assert (found["state"], found["exit_code"]) == (state, exit_code)
    assert found["job"] == "train" and found["instance_id"] == "i-1"


def test_a_failure_without_a_word_has_a_message() -> None:
    assert "without a word" in summary(current(runs=[entry("running")]))["message"]
    assert "ledger" in summary(current({"ExecMainStatus": "73"}, runs=[]))["message"]


def test_systemctl_show() -> None:
    assert parse_show("ActiveState=active\nResult=\nnoise\n") == {"ActiveState": "active", "Result": ""}


def test_a_job_whose_results_are_sent_is_not_over() -> None:
    document = {"spec_sha256": "a", "instance_id": "i", "generation": 1}
    run = {**document, "state": "succeeded", "exit_code": 0, "saving": True}
    found = summary(Current({"ActiveState": "active"}, document, True, [run]))
    assert (found["state"], found["exit_code"], found["unit_active"]) == ("saving", None, True)
    found = summary(Current({"ActiveState": "inactive"}, document, True, [run]))
    assert (found["state"], found["exit_code"]) == ("succeeded", 0)


@pytest.mark.parametrize(
    ("now", "action"),
    [
        (current(ACTIVE), "none"),
        (current(ACTIVE, OLD), "restart"),
        (current(runs=[entry("succeeded", 0)]), "none"),
        (current(runs=[entry("failed", 3)]), "start"),
        (current(runs=[entry("succeeded", 0, instance_id="i-2")]), "start"),
    ],
)
def test_only_what_failed_is_run_once_more(now: Current, action: str) -> None:
    assert decide(DOCUMENT, now, True, failed_only=True).action == action


def test_the_list_of_the_document_is_no_progress() -> None:
    document = {**DOCUMENT, "matrix": [{"name": "lr=1"}]}
    assert summary(current(ACTIVE, document, runs=[entry("starting")]))["matrix"] is None
    told = {"of": 2, "done": 1}
    assert summary(current(ACTIVE, document, runs=[entry("running", matrix=told)]))["matrix"] == told


ASKED = {"command": ["b"]}


@pytest.mark.parametrize(
    ("last", "found", "ended"),
    [
        (entry("interrupted", 143, asked=ASKED), ASKED, False),
        (entry("running", asked=ASKED), ASKED, False),
        (entry("failed", asked=ASKED), ASKED, False),
        (entry("failed", 3, asked=ASKED), {}, True),
        (entry("succeeded", 0, asked=ASKED), {}, True),
        (entry("succeeded", 0, asked=ASKED, instance_id="i-2"), {}, False),
        (entry("interrupted", 143), {}, False),
    ],
)
def test_what_is_gone_on_with(last: dict[str, Any], found: dict[str, Any], ended: bool) -> None:
    earlier = entry("interrupted", asked={"command": ["c"]})
    assert asked_last([earlier, last]) == found and has_ended_here([earlier, last], "i-1") == ended


def test_nothing_is_gone_on_with_without_a_ledger() -> None:
    assert asked_last([]) == {} and not has_ended_here([], "i-1")
