"""The watch over real child processes: their lines, their exit status, and what a signal does to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from botocore.exceptions import EndpointConnectionError

from ansible_collections.experiments.spot.plugins.action import watch
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws  # noqa: F401


class NoWait(Clock):
    """Time does not pass; the waits are kept."""

    waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_lines_come_as_they_are_and_the_status_is_kept() -> None:
    said: list[str] = []
    script = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    assert watch.Runs(said.append).run([sys.executable, "-c", script]) == 3
    assert said == ["one", "two"]


@pytest.mark.slow
def test_a_signal_ends_the_run_in_order(tmp_path: Path) -> None:
    """A worker with a child: the child gets SIGINT, may clean up, and neither outlives the other."""
    child = tmp_path / "child.py"
    child.write_text(
        textwrap.dedent(f"""
        import pathlib, time
        pathlib.Path({str(tmp_path / "up")!r}).touch()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pathlib.Path({str(tmp_path / "cleaned")!r}).touch()
        """)
    )
    worker = textwrap.dedent(f"""
        import sys
        from ansible_collections.experiments.spot.plugins.action import watch
        runs = watch.Runs(print)
        runs.guard()
        runs.run([sys.executable, {str(child)!r}])
        """)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", worker], env=environ)
    until = time.monotonic() + 20
    while not (tmp_path / "up").exists():
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1
    assert (tmp_path / "cleaned").exists()


def plugin(make_action: Any, monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]) -> tuple[Any, list[Any]]:
    """The action with modules that answer from a list; the second value is what they were asked."""
    asked: list[Any] = []
    action = make_action(
        watch, {"profile": {"job": {}, "capacity": {"count": 2}}, "experiment": "x"}, transport="local"
    )

    def execute(module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        asked.append((module_name, module_args))
        return answers.pop(0)

    monkeypatch.setattr(action, "_execute_module", execute)
    monkeypatch.setattr(watch, "Clock", NoWait)
    return action, asked


def recovery(do: str, generation: int) -> dict[str, Any]:
    return {"region": "us-west-2", "recovery": {"do": do, "text": "why", "generation": generation}}


def test_runs_until_nothing_is_lost_any_more(make_action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    action, asked = plugin(make_action, monkeypatch, [recovery("resume", 2), recovery("nothing", 2)])
    commands: list[list[str]] = []
    statuses = [2, 0]
    monkeypatch.setattr(watch.Runs, "guard", lambda self: None)
    monkeypatch.setattr(watch.Runs, "run", lambda self, argv: (commands.append(argv), statuses.pop(0))[1])
    # An empty section is no job.
    action._task.args["profile"]["job"] = {"name": "train"}
    result = action.run(task_vars={})
    assert (result["failed"], result["runs"], result["generation"]) == (False, 2, 2)
    assert ["spot_resume=true" in command for command in commands] == [False, True]
    assert [name for name, _args in asked] == ["experiments.spot.launch_plan_info"] * 2


def test_losses_are_looked_for_where_the_experiment_is(make_action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile may name several regions; the plan says which one it is"""
    regions: list[Any] = []
    action, _asked = plugin(make_action, monkeypatch, [recovery("nothing", 1), recovery("stop", 1)])
    monkeypatch.setattr(watch.Runs, "guard", lambda self: None)
    monkeypatch.setattr(watch.Runs, "run", lambda self, argv: 0)
    monkeypatch.setattr(watch, "ec2_client", lambda _name, args: (regions.append(args["region"]), ""))
    monkeypatch.setattr(watch, "Look", lambda *_args: lambda: False)
    action._task.args["region"] = "us-east-1"
    assert action.run(task_vars={})["msg"] == "why"
    assert regions == ["us-east-1", "us-west-2"]  # the first look comes before any plan


def test_aws_out_of_reach_is_asked_again(make_action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"failed": True, "msg": "EC2 cannot be reached"}
    action, asked = plugin(make_action, monkeypatch, [lost, lost, recovery("nothing", 1)])
    assert action._ask(watch.PLAN, {"experiment": "x"}, NoWait(), {})["recovery"]["do"] == "nothing"
    assert len(asked) == 3


def test_problems_of_the_profile_are_told_at_once(make_action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    action, asked = plugin(make_action, monkeypatch, [{"failed": True, "msg": "max_price", "problems": ["max_price"]}])
    with pytest.raises(AnsibleActionFail, match="max_price"):
        action._ask(watch.PLAN, {"experiment": "x"}, NoWait(), {})
    assert len(asked) == 1


@pytest.fixture
def look(aws: Aws) -> watch.Look:  # noqa: F811
    for _number in range(2):
        aws.instance()
    aws.forget_calls()
    return watch.Look(aws.ec2, "lab", 2)


def test_a_look_is_one_describe(aws: Aws, look: watch.Look) -> None:  # noqa: F811
    assert all(look() for _number in range(8))
    assert aws.calls() == ["DescribeInstances", *["DescribeSpotInstanceRequests"] * 3] * 2


@pytest.mark.parametrize("looks", [0, 1])
def test_an_instance_that_ended_is_missed_by_either_question(aws: Aws, look: watch.Look, looks: int) -> None:  # noqa: F811
    assert all(look() for _number in range(looks))
    aws.ec2.terminate_instances(InstanceIds=[aws.instances()[0]["InstanceId"]])
    assert not look()


def test_an_instance_that_is_marked_is_missed(aws: Aws, look: watch.Look) -> None:  # noqa: F811
    assert look()
    aws.control("interrupt", instance_id=aws.instances()[0]["InstanceId"], notice=120)
    assert not look()


def test_without_the_permission_for_requests_the_instances_are_asked(aws: Aws, look: watch.Look) -> None:  # noqa: F811
    aws.deny("DescribeSpotInstanceRequests")
    assert all(look() for _number in range(4))
    assert aws.calls().count("DescribeSpotInstanceRequests") == 1
    aws.ec2.terminate_instances(InstanceIds=[aws.instances()[0]["InstanceId"]])
    assert not look()


def test_aws_out_of_reach_for_one_look_is_told_and_asked_again(
    make_action: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = watch.ApiError("ec2:DescribeInstances", EndpointConnectionError(endpoint_url="https://ec2"))
    answers: list[Any] = [error, True, error, False]

    def asked(_self: watch.Look) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    monkeypatch.setattr(watch.Look, "__call__", asked)
    monkeypatch.setattr(watch, "ec2_client", lambda _name, _params: (None, ""))
    action, _asked = plugin(make_action, monkeypatch, [])
    args = {**action._task.args, "aws_profile": None, "poll": 30.0}
    action._wait_for_a_loss(args, NoWait())
    assert answers == []
    assert ["asking again in 30 s" in line for line in action.shown] == [True, True]


def test_check_mode_is_refused(make_action: Any) -> None:
    action = make_action(watch, {"profile": {}, "experiment": "x"}, check_mode=True, transport="local")
    with pytest.raises(AnsibleActionFail, match="check mode"):
        action.run(task_vars={})
