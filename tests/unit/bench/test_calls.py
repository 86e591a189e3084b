"""The counting of API calls."""

from __future__ import annotations

from typing import Any

from bench import calls
from bench.user import Play


def call(action: str, at: float = 0.0, *, service: str = "ec2", mutating: bool = False, status: int = 200) -> Any:
    return {"action": action, "service": service, "time": at, "mutating": mutating, "status": status}


PLAY = Play(
    9.0,
    [(0.0, "PLAY [Plan] ***"), (1.0, "TASK [experiments.spot.plan : Read] ***"), (5.0, "TASK [Reach] ***")],
    began=100.0,
)


def test_a_launch_is_counted_by_action_and_by_stage() -> None:
    some = [
        call("GetCallerIdentity", 100.5, service="sts"),
        call("DescribeInstances", 102.0),
        call("CreateFleet", 103.0, mutating=True, status=400),
        call("CreateFleet", 104.0, mutating=True),
        call("DescribeInstances", 106.0),
    ]
    found = calls.measured(some, PLAY)
    assert (found["total"], found["changing"], found["refused"]) == (5, 2, 1)
    assert found["by_action"] == {"DescribeInstances": 2, "CreateFleet": 2, "sts:GetCallerIdentity": 1}
    assert found["by_stage"] == {
        "Plan": {"sts:GetCallerIdentity": 1, "DescribeInstances": 1},
        "plan": {"DescribeInstances": 1, "CreateFleet": 2},
    }
    assert found["changing_actions"] == ["CreateFleet"]


def test_what_grows_with_the_number_of_instances() -> None:
    launches = {1: {"CreateFleet": 1, "CreateTags": 1}, 20: {"CreateFleet": 1, "CreateTags": 20, "GetConsoleOutput": 9}}
    assert calls.growing(launches) == ["CreateTags", "GetConsoleOutput"]


def test_looks_are_calls_that_lie_together() -> None:
    some = [call("DescribeInstances", at) for at in (0.0, 0.2, 30.0, 30.2, 60.0, 60.2)]
    found = calls.watched(some, 90.0)
    assert (found["looks"], found["per_look"], found["per_hour"]) == (3, 2.0, 240.0)
    assert calls.watched([], 120.0)["per_look"] == 0.0


def test_table_marks_what_changes_and_what_grows() -> None:
    def launch(tags: int) -> dict[str, Any]:
        some = [call("CreateTags", mutating=True)] * tags + [call("DescribeInstances")]
        return calls.measured(some, PLAY)

    document = {
        "first": launch(3),
        "machines": {"1": launch(1), "5": launch(5)},
        "with_volume_and_job": launch(2),
        "grow_with_instances": ["CreateTags"],
    }
    title, tags, reads, total, changing, *_ = calls.table(document)
    assert title.split()[-2:] == ["5", "full"]
    assert tags.split() == ["CreateTags", "*+", "3", "1", "5", "2"]
    assert reads.split() == ["DescribeInstances", "1", "1", "1", "1"]
    assert total.split() == ["total", "4", "2", "6", "3"]
    assert changing.split() == ["changing", "3", "1", "5", "2"]


def test_the_last_problem_of_an_output() -> None:
    assert calls.last_problem("TASK [x]\n[ERROR]: no room\n  more\nPLAY RECAP\n") == "[ERROR]: no room"
    assert calls.last_problem("") == ""
