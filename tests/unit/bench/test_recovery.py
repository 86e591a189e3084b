"""The figures of the recovery, and what is printed."""

from __future__ import annotations

from typing import Any

import pytest

from bench import recovery


def run(state: str, start: int, step: int) -> dict[str, Any]:
    return {"state": state, "progress": {"start": start, "step": step}}


@pytest.mark.parametrize(
    "runs,repeated",
    [
        ([run("interrupted", 0, 300), run("running", 300, 400)], 0),
        ([run("interrupted", 0, 9), run("failed", 300, 700), run("running", 516, 600)], 184),
        ([run("running", 0, 9)], -1),
        ([{"state": "failed"}, run("running", 0, 9)], -1),
    ],
)
def test_steps_that_are_computed_again(runs: list[dict[str, Any]], repeated: int) -> None:
    assert recovery.repeated_steps(runs) == repeated


def interruption(kind: str, seconds: float, repeated: int, **stages: float) -> dict[str, Any]:
    moments = {"volume_free": seconds / 2}
    return {
        "kind": kind,
        "seconds": seconds,
        "repeated_steps": repeated,
        "from_order": moments,
        "stages": stages,
    }


RAW: dict[str, Any] = {
    "recovery": {
        "bare_s": [5.0, 4.0, 9.0],
        "interruptions": [
            interruption("notice", 20.0, 0, plan=3.0),
            interruption("sudden", 12.0, 100, plan=2.0, hosts=4.0),
            interruption("notice", 30.0, 7, plan=5.0),
            interruption("sudden", 14.0, 0, plan=4.0),
            interruption("notice", 22.0, 0, plan=4.0),
        ],
        "watched_with_job": {"per_hour": 0.0},
    },
    "calls": {
        "first": {"total": 19},
        "machines": {
            "1": {"total": 11, "by_action": {"GetConsoleOutput": 1}, "by_stage": {}},
            "5": {
                "total": 23,
                "by_action": {"GetConsoleOutput": 6, "DescribeInstances": 6},
                "by_stage": {"plan": {"DescribeInstances": 2}, "hosts": {"DescribeInstances": 4}},
            },
        },
    },
}


def test_figures_are_medians_and_the_worst_loss() -> None:
    figures = recovery.figures_of(RAW)
    assert (figures["bare_machine_s"], figures["recovery_notice_s"]) == (5.0, 22.0)
    assert (figures["recovery_notice_ratio"], figures["recovery_notice_more_s"]) == (4.4, 17.0)
    assert (figures["notice_repeated_steps"], figures["sudden_repeated_steps"]) == (7, 100)
    assert figures["notice_to_volume_free_s"] == 11.0
    assert (figures["first_launch_calls"], figures["launch_calls_1"], figures["launch_calls_5"]) == (19, 10, 14)
    assert (figures["launch_polls_1"], figures["launch_polls_5"]) == (0, 3)
    assert (figures["launch_consoles_each_5"], figures["launch_calls_growing"]) == (1.2, 4)


def test_what_was_not_measured_has_no_figures() -> None:
    assert recovery.figures_of({}) == {}


def test_limits_are_told() -> None:
    assert recovery.verdict("recovery_notice_more_s", 17.0).endswith("TOO MUCH")
    assert recovery.verdict("recovery_notice_more_s", 15.0).endswith("ok")
    assert recovery.verdict("bare_machine_s", 99.0) == ""
    assert recovery.verdict("launch_calls_20", 13).endswith("TOO MUCH")


def test_a_row_a_stage() -> None:
    rows = [line.split() for line in recovery.stage_table(RAW["recovery"])]
    assert rows[1:] == [["plan", "4.00", "3.00"], ["hosts", "0.00", "2.00"]]


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        recovery.arguments(["recovry"])
    assert "no part recovry" in capsys.readouterr().err
    assert recovery.arguments(["--counts", "1,20"]).counts == (1, 20)
