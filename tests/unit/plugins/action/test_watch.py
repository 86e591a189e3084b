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

from ansible_collections.experiments.spot.plugins.action import watch
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock


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
    gone = {"instances": [{"kind": "alive"}]}
    action, asked = plugin(make_action, monkeypatch, [recovery("nothing", 1), gone, recovery("stop", 1)])
    monkeypatch.setattr(watch.Runs, "guard", lambda self: None)
    monkeypatch.setattr(watch.Runs, "run", lambda self, argv: 0)
    action._task.args["region"] = "us-east-1"
    assert action.run(task_vars={})["msg"] == "why"
    assert [args["region"] for name, args in asked if name == watch.ENDS] == ["us-west-2"]


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


def test_check_mode_is_refused(make_action: Any) -> None:
    action = make_action(watch, {"profile": {}, "experiment": "x"}, check_mode=True, transport="local")
    with pytest.raises(AnsibleActionFail, match="check mode"):
        action.run(task_vars={})
