"""The callback stages: its sums, its table, and that it never breaks a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants

from ansible_collections.experiments.spot.plugins.callback import stages
from ansible_collections.experiments.spot.plugins.callback.stages import (
    CallbackModule,
    Stage,
    Stages,
    document,
    interruption_text,
    is_remote,
    short_name,
    stages_table,
)


def test_time_goes_to_the_stage_that_ran():
    counted = Stages(100)
    counted.enter("access", 101)
    counted.enter("hosts", 103)
    counted.enter("access", 107)
    counted.count("access", remote=True, changed=True, failed=False)
    counted.count("hosts", remote=False, changed=False, failed=True)
    found = counted.finish(110)
    assert [(stage.stage, stage.seconds) for stage in found] == [("access", 5), ("hosts", 4)]
    assert (found[0].tasks, found[0].remote_tasks, found[0].changed, found[0].failed) == (1, 1, 1, 0)
    assert (found[1].tasks, found[1].remote_tasks, found[1].failed) == (1, 0, 1)


def test_table():
    given = [Stage("access", 1.25, 3, 0, 1), Stage("docker", 65, 2, 2, 2), Stage("never")]
    assert stages_table(given, 70) == (
        "stage     time  tasks  remote  changed\n"
        "access   1.2 s      3       0        1\n"
        "docker  1m 05s      2       2        2\n"
        "total   1m 10s      5       2        3"
    )


@pytest.mark.parametrize(
    ("role", "play", "expected"),
    [("experiments.spot.docker", "x", "docker"), ("docker", "x", "docker"), (None, "Summary", "Summary")],
)
def test_short_name(role, play, expected):
    assert short_name(role, play) == expected


@pytest.mark.parametrize(
    ("action", "host", "delegated", "connection", "expected"),
    [
        ("ansible.builtin.apt", "h", None, "ssh", True),
        ("ansible.builtin.apt", "localhost", None, None, False),
        ("ansible.builtin.apt", "h", "localhost", None, False),
        ("ansible.builtin.apt", "h", None, "local", False),
        ("ansible.builtin.set_fact", "h", None, "ssh", False),
        ("debug", "h", None, "ssh", False),
        ("experiments.spot.instances_wait", "h", None, "ssh", False),
        ("experiments.spot.channel", "h", None, "ssh", True),
        ("ansible.builtin.apt", "localhost", "h", "ssh", True),
    ],
)
def test_is_remote(action, host, delegated, connection, expected):
    assert is_remote(action, host, delegated, connection) is expected


def test_document():
    content = document([Stage("a", 1.23456, 2, 1, 1, 0)], 2.5, "launch.yml", 0)
    assert content["started"] == "1970-01-01T00:00:00Z"
    assert (content["playbook"], content["seconds"], content["tasks"], content["remote_tasks"]) == (
        "launch.yml",
        2.5,
        2,
        1,
    )
    assert content["stages"] == [
        {"stage": "a", "seconds": 1.235, "tasks": 2, "remote_tasks": 1, "changed": 1, "failed": 0}
    ]


def test_interruption_text():
    assert "The job goes on" in interruption_text("job", "experiments.spot.job_wait", 65)
    assert "The job goes on" not in interruption_text("docker", "ansible.builtin.apt", 65)


class Shown:
    verbosity = 0

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.debug: list[str] = []

    def display(self, text: str, *_args: Any, **_kwargs: Any) -> None:
        self.lines.append(text)

    def vvv(self, text: str, *_args: Any, **_kwargs: Any) -> None:
        self.debug.append(text)


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Any:
    plugin = CallbackModule(display=Shown())
    options: dict[str, Any] = {"quiet": False, "file": None}
    monkeypatch.setattr(plugin, "get_option", options.get)
    plugin.given = options
    plugin._display = Shown()
    return plugin


def task(action: str, role: str | None = None) -> Any:
    return SimpleNamespace(
        action=action,
        connection="ssh",
        delegate_to=None,
        _role=SimpleNamespace(get_name=lambda: role) if role else None,
    )


def result(of: Any, **content: Any) -> Any:
    return SimpleNamespace(_task=of, _host=SimpleNamespace(get_name=lambda: "h"), _result=content)


def run(callback: Any) -> None:
    callback.v2_playbook_on_play_start(SimpleNamespace(get_name=lambda: "Summary"))
    first, second = task("ansible.builtin.apt", "experiments.spot.docker"), task("ansible.builtin.debug")
    callback.v2_playbook_on_task_start(first, False)
    callback.v2_runner_on_ok(result(first, changed=True))
    callback.v2_runner_on_unreachable(result(first))
    callback.v2_playbook_on_handler_task_start(second)
    callback.v2_runner_on_failed(result(second), ignore_errors=True)
    callback.v2_playbook_on_stats(None)


def test_a_run(callback, tmp_path):
    callback.given["file"] = str(tmp_path / "new" / "stages.json")
    run(callback)
    assert callback._display.debug == []
    assert "docker" in callback._display.lines[0]
    content = json.loads((tmp_path / "new" / "stages.json").read_text())
    by_name = {stage["stage"]: stage for stage in content["stages"]}
    assert by_name["docker"]["remote_tasks"] == 2
    assert (by_name["docker"]["changed"], by_name["docker"]["failed"]) == (1, 1)
    assert (by_name["Summary"]["remote_tasks"], by_name["Summary"]["failed"]) == (0, 0)


def test_quiet(callback, tmp_path):
    callback.given.update(quiet=True, file=str(tmp_path / "s.json"))
    run(callback)
    assert callback._display.lines == []
    assert (tmp_path / "s.json").exists()


def test_nothing_breaks_a_run(callback, tmp_path):
    (tmp_path / "file").write_text("")
    callback.given["file"] = str(tmp_path / "file" / "below" / "s.json")
    run(callback)
    for hook in ("v2_playbook_on_start", "v2_playbook_on_play_start", "v2_runner_on_ok", "v2_runner_on_failed"):
        getattr(callback, hook)(None)
    callback.v2_playbook_on_task_start(None, False)
    assert callback._display.debug


# Tells something and goes on for long. (Whenever Ansible starts a task it writes out what it has printed before.)
TELLS = """
import time
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        Display().display("started")
        time.sleep(60)
        return {}
"""


def test_ctrl_c_in_the_middle_of_a_line(callback, monkeypatch, capfd):
    def display(text: str) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    run(callback)
    monkeypatch.setattr(callback._display, "display", display)
    callback.ours = True
    callback._tell_interruption()
    assert "The same command goes on from here" in capfd.readouterr().out
    assert callback._display.debug == []


# A signal that comes while its own process writes a line.
WRITES = """
import io, os, signal, sys
from types import SimpleNamespace
sys.path.insert(0, "COLLECTIONS")
from ansible_collections.experiments.spot.plugins.callback.stages import CallbackModule
from ansible.utils.display import Display

class Raw(io.FileIO):
    def write(self, data):
        if b"a task" in bytes(data):
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(data)

sys.stdout = io.TextIOWrapper(io.BufferedWriter(Raw(1, "w", closefd=False)), line_buffering=True)
plugin = CallbackModule(display=Display())
plugin.ours, plugin.get_option = True, {"quiet": False}.get
signal.signal(signal.SIGINT, lambda *_: plugin._tell_interruption())
Display().display("a task")
"""


def test_a_line_that_was_being_written_hides_nothing(tmp_path: Path):
    program = WRITES.replace("COLLECTIONS", str(Path(stages.__file__).resolve().parents[2] / "collections"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The same command goes on from here" in done.stdout and "a task" in done.stdout


@pytest.mark.slow
def test_ctrl_c_in_a_real_run(tmp_path: Path):
    """One run of ansible-playbook through a pipe: each line comes at once; stopped by SIGINT, it says how to go on."""
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins/tells.py").write_text(TELLS)
    root = Path(stages.__file__).resolve().parents[2]
    book = tmp_path / "book.yml"
    book.write_text(
        "- name: Wait here\n  hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        "    - experiments.spot.show: {msg: first}\n    - tells:\n"
    )
    environ = {**os.environ, "ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    environ.pop("PYTHONUNBUFFERED", None)  # what is printed is seen at once all the same
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(book)]
    process = subprocess.Popen(
        command, cwd=root, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "started" in line:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
    text = "".join(seen)
    assert process.wait() != 0
    assert "Interrupted in stage Wait here" in text
    assert "The same command goes on from here" in text


def test_ctrl_c_is_repeated_for_a_process_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    came = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: came.set())
    monkeypatch.setattr(stages, "STUCK", 0.01)
    try:
        stages._press_again(os.getpid())
        assert came.wait(10)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_task_that_takes_hours_is_looked_at_less_often_and_the_next_one_as_before(callback, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_INTERNAL_POLL_INTERVAL", callback.look_every)
    for action in ("experiments.spot.channels_watch", "experiments.spot.job_wait", "experiments.spot.watch"):
        callback.v2_playbook_on_task_start(task(action), False)
        assert constants.DEFAULT_INTERNAL_POLL_INTERVAL == stages.LOOK_EVERY_S > callback.look_every
        callback.v2_playbook_on_task_start(task("experiments.spot.channel"), False)
        assert callback.look_every == constants.DEFAULT_INTERNAL_POLL_INTERVAL


def test_who_wants_it_seldomer_still_has_it(callback, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_INTERNAL_POLL_INTERVAL", callback.look_every)
    callback.look_every = 3.0
    callback.v2_playbook_on_task_start(task("experiments.spot.job_wait"), False)
    assert constants.DEFAULT_INTERNAL_POLL_INTERVAL == 3.0


STARTS = """
import gc, sys
sys.path.insert(0, "COLLECTIONS")
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader(["COLLECTIONS"])
from ansible_collections.experiments.spot.plugins.callback.stages import CallbackModule
CallbackModule()
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
print(gc.get_threshold()[0], type(_ssh.__spec__.loader).__name__)
"""


def test_a_command_spares_the_collector_and_keeps_byte_code():
    program = STARTS.replace("COLLECTIONS", str(Path(stages.__file__).resolve().parents[2] / "collections"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["100000", "SourceFileLoader"]
