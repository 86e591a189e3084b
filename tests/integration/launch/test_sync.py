"""Channels that keep going: through a cut of the network and into the next generation, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bench.channels import cut

from .conftest import User

pytestmark = pytest.mark.lab

T = TypeVar("T")
PROFILE = """
extends: lab
image: {ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64}
channels:
  - {direction: out, local_path: ../code/, remote_path: ~/code/, recursive: true, delay: 0.5}
  - {direction: in, local_path: back/, remote_path: ~/results/, recursive: true, delay: 0.5}
volumes: []
job: null
runtime: {docker: false}
"""


def until(what: Callable[[], T], seconds: float = 90) -> T:
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired, FileNotFoundError):
            if found := what():
                return found
        time.sleep(0.1)
    raise AssertionError(f"it did not come within {seconds} s")


def channels_in_status(user: User) -> list[dict[str, Any]]:
    """What status.yml tells of the channels that keep going."""
    text = user.play("status", "-e", "experiment=kept", "-e", "format=json")
    (row,) = json.JSONDecoder().raw_decode(text, text.index("[\n"))[0]
    found: list[dict[str, Any]] = row["channels"]
    return found


@pytest.fixture(scope="module")
def kept(user: User) -> tuple[User, Path]:
    (user.folder / "profiles/kept.yml").write_text(PROFILE)
    (user.folder / "code").mkdir(exist_ok=True)
    (user.folder / "code/first").write_text("1")
    user.play("launch", "-e", "profile=kept")
    return user, user.folder / "kept.log"


def test_once_tells_what_each_channel_moved(kept: tuple[User, Path]) -> None:
    user, _log = kept
    (user.folder / "code/news").write_text("12345")
    text = user.play("sync", "-e", "profile=kept", "-e", "direction=out", "-e", "format=json")
    (row,) = json.JSONDecoder().raw_decode(text, text.index("[\n"))[0]
    assert (row["rank"], row["files"], row["bytes"], row["deleted"]) == (0, 1, 5, 0)
    assert user.ssh(user.alive("kept")[0], "kept", "cat code/news") == "12345"
    again = user.play("sync", "-e", "profile=kept", "-e", "direction=out")
    assert re.search(r"out \S+/code/ → \S+/code/ +0( +0 +0 B|\s+files 0, moved 0 B)", again), again


def test_channels_keep_going_through_a_cut_and_a_new_generation(kept: tuple[User, Path]) -> None:
    user, log = kept
    process = user.start("sync", "-e", "profile=kept", "-e", "continuous=true", output=log)
    try:
        until(lambda: "keep going" in log.read_text())
        (first,) = user.alive("kept")
        told = user.client().describe_instances(InstanceIds=[first])["Reservations"][0]["Instances"][0]

        (user.folder / "code/sec ond\n").write_text("2")
        until(lambda: user.ssh(first, "kept", "cat code/sec*") == "2")
        user.ssh(first, "kept", "mkdir -p results/deep && echo a > results/deep/er")
        until(lambda: (user.folder / "back/deep/er").read_text() == "a\n")
        told_of = channels_in_status(user)
        assert {(one["rank"], one["process"]["state"], one["files"] > 0) for one in told_of} == {(0, "running", True)}
        assert len(told_of) == 2

        with cut(told["PublicIpAddress"]):
            (user.folder / "code/third").write_text("3")
            until(lambda: "no connection" in log.read_text())
        until(lambda: user.ssh(first, "kept", "cat code/third") == "3")

        user.control("interrupt", instance_id=first, notice=0)
        user.play("resume", "-e", "profile=kept")
        (second,) = user.alive("kept")
        until(lambda: f"rank 0: is {second} now" in log.read_text())
        (user.folder / "code/fourth").write_text("4")
        until(lambda: user.ssh(second, "kept", "cat code/third code/fourth") == "34")

        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
    text = log.read_text()
    assert re.search(r"out \S+/code/ .* ok ", text) and "Traceback" not in text, text
    assert "Interrupted" not in text and "Ending after the transfers in hand" in text


def test_a_channel_that_cannot_work_stops_and_fails_the_play_and_the_others_go_on(kept: tuple[User, Path]) -> None:
    user, log = kept
    (instance,) = user.alive("kept")
    user.ssh(instance, "kept", "mkdir -p results; echo b > results/late; sudo chown root code; sudo chmod 700 code")
    process = user.start("sync", "-e", "profile=kept", "-e", "continuous=true", output=log)
    try:
        until(lambda: "rank 0: stopped: the login user may not" in log.read_text())
        until(lambda: (user.folder / "back/late").read_text() == "b\n")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) != 0, log.read_text()
    finally:
        process.kill()
        user.ssh(instance, "kept", "sudo chown admin code && chmod 755 code")
    assert re.search(r"in \S+/back/ .* ok ", log.read_text()), log.read_text()
    text = user.play("status", "-e", "experiment=kept")
    assert re.search(r"(?s)kept +out \S+/code/.* stopped.*the\s+login\s+user\s+may\s+not", text), text


def test_one_that_was_killed_moves_nothing_more_and_the_same_command_goes_on(kept: tuple[User, Path]) -> None:
    user, log = kept
    (instance,) = user.alive("kept")
    process = user.start("sync", "-e", "profile=kept", "-e", "continuous=true", output=log)
    until(lambda: {one["process"]["state"] for one in channels_in_status(user)} == {"running"})
    process.kill()
    process.wait()
    until(lambda: channels_in_status(user) == [])
    (user.folder / "code/meanwhile").write_text("5")
    process = user.start("sync", "-e", "profile=kept", "-e", "continuous=true", output=log)
    try:
        until(lambda: user.ssh(instance, "kept", "cat code/meanwhile") == "5")
        assert {one["process"]["state"] for one in channels_in_status(user)} == {"running"}
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
