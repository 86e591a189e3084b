"""The action ec2_fleet: lines come while the module runs, and no thread and no file outlive it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.action import ec2_fleet
from ansible_collections.experiments.spot.plugins.plugin_utils import _here
from tests.unit.wire import Wire, xml

ROOT = Path(__file__).resolve().parents[4]
TAGS = {"spot:experiment": "mnist", "spot:generation": "1"}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def run(make_action: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the plugin with a module that is a function of its arguments and of the lines shown so far."""
    monkeypatch.delenv("EXPERIMENTS_SPOT_QUIET", raising=False)

    def call(module: Callable[[dict[str, Any], list[str]], Any], transport: str = "local", **args: Any) -> Any:
        plugin = make_action(ec2_fleet, {"tags": TAGS, **args}, transport=transport)
        answer = lambda _self, args, _vars: module(args, plugin.shown) or {"changed": True}  # noqa: E731
        monkeypatch.setattr(_here.ActionHere, "answer", answer)
        result = plugin.run(task_vars={})
        result["shown"] = plugin.shown
        return result

    return call


def write(path: str, text: str) -> None:
    with open(path, "a") as file:
        file.write(text)


def test_lines_are_shown_while_the_module_runs(run: Callable[..., Any]) -> None:
    paths = []

    def module(args: dict[str, Any], shown: list[str]) -> None:
        paths.append(args["progress_file"])
        write(paths[0], "one\ntw")
        until(lambda: shown == ["[mnist] one"])
        write(paths[0], "o\n")
        until(lambda: shown == ["[mnist] one", "[mnist] two"])
        write(paths[0], "three\n")

    result = run(module)

    assert result["changed"] is True
    assert result["shown"] == ["[mnist] one", "[mnist] two", "[mnist] three"]
    assert not os.path.exists(os.path.dirname(paths[0]))
    assert "ec2_fleet progress" not in {thread.name for thread in threading.enumerate()}


def test_a_module_that_breaks_leaves_no_thread_and_no_file(run: Callable[..., Any]) -> None:
    paths = []

    def module(args: dict[str, Any], _shown: list[str]) -> None:
        paths.append(args["progress_file"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(module)

    assert not os.path.exists(os.path.dirname(paths[0]))
    assert "ec2_fleet progress" not in {thread.name for thread in threading.enumerate()}


def test_the_users_own_file_is_followed_from_its_end_and_kept(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_text("of an older run\n")

    result = run(lambda args, _shown: write(args["progress_file"], "new\n"), progress_file=str(path))

    assert result["shown"] == ["[mnist] new"]
    assert path.read_text() == "of an older run\nnew\n"


@pytest.mark.parametrize("options", [{"quiet": True}, {"quiet": "yes"}, {"transport": "ssh"}])
def test_without_anybody_to_show_it_to_the_module_runs_by_itself(
    run: Callable[..., Any], options: dict[str, Any]
) -> None:
    seen: dict[str, Any] = {}
    result = run(lambda args, _shown: seen.update(args), **options)
    assert "progress_file" not in seen
    assert result["shown"] == []


def test_quiet_environment(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENTS_SPOT_QUIET", "1")
    assert run(lambda args, _shown: None)["shown"] == []
    assert run(lambda args, _shown: write(args["progress_file"], "x\n"), quiet=False)["shown"] == ["[mnist] x"]


class FakeClock(ec2_fleet.Clock):
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


def test_sign_of_life_only_when_nothing_else_is_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    clock = FakeClock()
    follower = ec2_fleet.Follower(str(tmp_path / "progress"), "", shown.append, clock)
    for now, line in ((4.0, ""), (5.0, ""), (10.0, "asking\n"), (24.0, ""), (25.0, "")):
        clock.time = now
        write(follower.path, line)
        follower.look()
    assert shown == ["waiting for EC2 (5 s)", "asking", "waiting for EC2 (25 s)"]


@pytest.mark.parametrize(("tags", "label"), [(TAGS, "[mnist] "), ({}, ""), (None, ""), ("x", "")])
def test_label(tags: Any, label: str) -> None:
    assert ec2_fleet.label_of(tags) == label


@pytest.mark.slow
def test_in_a_playbook_the_module_gets_its_defaults_and_its_lines_are_shown(tmp_path: Path) -> None:
    """Ansible itself runs plugin and module; EC2 is a stub that launches one instance."""
    instance = (
        "<item><instanceId>i-1</instanceId><instanceType>g5.xlarge</instanceType><instanceState><name>running</name>"
        "</instanceState><launchTime>2026-01-01T00:00:00.000Z</launchTime></item>"
    )
    seen = f"<reservationSet><item><instancesSet>{instance}</instancesSet></item></reservationSet>"
    launched = "<item><instanceIds><item>i-1</item></instanceIds></item>"
    playbook = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [
                {
                    "experiments.spot.ec2_fleet": {
                        "launch_template": {"name": "spot-x", "version": "1"},
                        "overrides": [{"instance_type": "g5.xlarge"}],
                        "tags": TAGS,
                    }
                }
            ],
        }
    ]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_"))}
    environ.pop("EXPERIMENTS_SPOT_QUIET", None)
    with Wire() as wire:
        wire.script("DescribeInstances", xml("<reservationSet/>"), xml(seen))
        wire.script("CreateFleet", xml(f"<fleetId>fleet-1</fleetId><fleetInstanceSet>{launched}</fleetInstanceSet>"))
        playbook[0]["module_defaults"] = {
            "group/experiments.spot.aws": {
                "region": "us-east-1",
                "endpoint_url": wire.url,
                "access_key": "AKIATEST",
                "secret_key": "secret",
            }
        }
        (tmp_path / "play.yml").write_text(json.dumps(playbook))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "play.yml"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**environ, "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/collections", "ANSIBLE_LOCALHOST_WARNING": "0"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[mnist] launched 1 of 1: i-1 g5.xlarge" in done.stdout.splitlines()
    assert [action for action, _params in wire.calls].count("CreateFleet") == 1
