"""Looking in: ssh by name, logs that go on with the next generation, and another job on machines that are up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
volumes: []
channels: []
job:
  image: registry.lab:5000/experiments/shell:1
  command: [sh, -c, 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; sleep 0.5; done']
  mounts: []
  stop_grace: 1
"""


def until(what: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"it did not come within {seconds} s"
        time.sleep(0.2)


def by_name(user: User, host: str, command: str) -> str:
    """What `ssh HOST COMMAND` prints, with the configuration that the launch has left in the user's home."""
    argv = ["ssh", "-F", f"{user.env['HOME']}/.ssh/config", "-o", "BatchMode=yes", host, command]
    return subprocess.run(argv, env=user.env, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def looked_at(user: User) -> User:
    (user.folder / "profiles/look.yml").write_text(PROFILE)
    (Path(user.env["HOME"]) / ".ssh").mkdir(mode=0o700)
    (Path(user.env["HOME"]) / ".ssh/config").write_text("Host mine\n  User me\n")
    text = user.play("launch", "-e", "profile=look", "-e", "wait=false")
    assert "look in   ssh spot-look\n" in text and "code --remote ssh-remote+spot-look /home/admin\n" in text
    return user


def test_a_followed_log_goes_on_with_the_next_generation(looked_at: User) -> None:
    user = looked_at
    (first,) = user.alive("look")
    assert "line " in user.play("logs", "-e", "experiment=look", "-e", "lines=3")
    output = user.folder / "follow.log"
    process = user.start("logs", "-e", "experiment=look", "-e", "follow=true", "-e", "lines=1", output=output)
    until(lambda: "line " in output.read_text())
    subprocess.run(
        ["ssh", "-F", f"{user.env['HOME']}/.ssh/config", "-O", "exit", "spot-look"],
        env=user.env, capture_output=True, check=True,
    )  # fmt: skip
    until(lambda: "connection lost" in output.read_text())
    before = len(output.read_text())
    until(lambda: "line " in output.read_text()[before:])
    lines = [line for line in output.read_text().splitlines() if line.startswith("line ")]
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "none is missing and none comes twice"
    user.control("interrupt", instance_id=first, notice=0)
    user.play("resume", "-e", "profile=look", "-e", "wait=false")
    (second,) = user.alive("look")
    until(lambda: f"goes on with {second}" in output.read_text())
    after = output.read_text().index(f"goes on with {second}")
    # On a busy machine the first lines may be older than the last one, which is all that -e lines=1 asks for.
    until(lambda: "\nline " in output.read_text()[after:])
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=15)
    assert "Traceback" not in output.read_text()
    # The entry is that of the new instance, and the job has not noticed that somebody looked.
    assert by_name(user, "spot-look", "systemctl is-active experiments-spot-job") == "active\n"
    assert second in (Path(user.env["HOME"]) / ".ssh/experiments.spot/config").read_text()


def test_another_job_waits_for_a_yes_and_gets_its_parameters(looked_at: User) -> None:
    user = looked_at
    before = user.changing_calls()
    command = 'command=sh -c "echo $lr $epochs > $SPOT_STATE_DIR/told"'
    another = ("-e", "experiment=look", "-e", command, "-e", "job_params=lr=0.1,epochs=3")
    text = user.play("run", *another, fails=True)
    assert "job is running with another spec" in text.replace("digits", "job") and "-e replace=true" in text
    assert by_name(user, "spot-look", "systemctl is-active experiments-spot-job") == "active\n"
    user.play("run", *another, "-e", "replace=true")
    user.play("run", *another)
    assert user.changing_calls() == before
    assert by_name(user, "spot-look", "cat look/told") == "0.1 3\n"
    runs = json.loads(by_name(user, "spot-look", "sudo cat look/ledger.json"))["runs"]
    assert [run["state"] for run in runs] == ["stopped", "succeeded"]
    # What resume.yml would go on with, had it not ended.
    asked = {"command": ["sh", "-c", "echo $lr $epochs > $SPOT_STATE_DIR/told"], "params": {"lr": "0.1", "epochs": "3"}}
    assert runs[1]["asked"] == asked and "asked" not in runs[0]
    assert "succeeded" in user.play("logs", "-e", "experiment=look", "-e", "follow=true")


def test_close_takes_the_entry_along(looked_at: User) -> None:
    user = looked_at
    (last,) = user.alive("look")
    user.play("close", "-e", "experiment=look")
    home = Path(user.env["HOME"])
    assert "look" not in (home / ".ssh/experiments.spot/config").read_text()
    assert (home / ".ssh/config").read_text().endswith("\nHost mine\n  User me\n")
    text = user.play("logs", "-e", "experiment=look")
    assert "no running instance" in text and f"console of {last}" in text
    assert "there is no experiment nosuch" in user.play("logs", "-e", "experiment=nosuch", fails=True)
