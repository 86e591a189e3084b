"""Asking again for what AWS took: not for what the user ended, within bounds, with a controller that is killed, for many."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from .conftest import User, interrupt

pytestmark = pytest.mark.lab


def test_what_the_user_ended_is_not_resumed(machines: User) -> None:
    args = ("-e", "profile=machines", "-e", "experiment=ended")
    text = machines.play("resume", *args, fails=True)
    assert "nothing of this experiment is there" in text
    machines.play("launch", *args)
    before = machines.changing_calls()
    machines.play("resume", *args)  # nothing is missing
    assert machines.changing_calls() == before
    machines.client().terminate_instances(InstanceIds=machines.alive("ended"))
    text = machines.play("resume", *args, fails=True)
    assert "call of this account" in text and "launch.yml starts it again" in text
    assert machines.alive("ended") == []


def test_bounds_of_recovery(machines: User) -> None:
    args = ("-e", "profile=machines", "-e", "experiment=bounded", "-e", "recovery.max_generations=2")
    machines.play("launch", *args)
    for generation in (2, 3):
        interrupt(machines, machines.alive("bounded")[0])
        text = machines.play("resume", *args, fails=generation == 3)
    assert "recovery.max_generations (2)" in text
    assert machines.alive("bounded") == []


def data_volumes(user: User, experiment: str) -> list[str]:
    wanted = {"tag:spot:experiment": experiment, "tag-key": "spot:volume"}
    filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    return [volume["VolumeId"] for volume in user.client().describe_volumes(Filters=filters)["Volumes"]]


def kill_all(mark: str) -> None:
    """SIGKILL for all processes that have this word in their environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def killed_at(user: User, seconds: float, verb: str, *args: str) -> None:
    """Type a command and pull the plug after so many seconds."""
    mark = f"spot-{uuid.uuid4()}"
    process = user.start(verb, *args, env={"SPOT_TEST_MARK": mark})
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    kill_all(mark)
    process.communicate(timeout=30)


def test_a_controller_killed_at_random_moments_leaves_one_set_of_instances(machines: User) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    volume = '{"volumes": [{"name": "kill-data", "size": 1, "mount_point": "/data"}]}'
    for number in range(3):
        args = (
            "-e",
            "profile=machines",
            "-e",
            f"experiment=kill{number}",
            "-e",
            volume.replace("kill-", f"kill{number}-"),
        )
        killed_at(machines, dice.uniform(1, 11), "launch", *args)
        machines.play("launch", *args)
        (instance,) = machines.alive(f"kill{number}")
        interrupt(machines, instance)
        killed_at(machines, dice.uniform(1, 9), "resume", *args)
        machines.play("resume", *args)
        (another,) = machines.alive(f"kill{number}")
        assert another != instance
        (row,) = machines.status("-e", f"experiment=kill{number}")
        assert (row["instance_id"], row["rank"]) == (another, 0)
        assert "/data" in machines.ssh(another, f"kill{number}", "findmnt -n -o TARGET /data")
        assert len(data_volumes(machines, f"kill{number}")) == 1
    machines.play("close", "-e", "experiment=all", "-e", "confirm=true", "-e", "delete_volumes=all")
    for number in range(3):
        assert machines.tagged(f"kill{number}") == {}


def test_of_twenty_instances_only_the_five_that_were_taken_are_replaced(machines: User) -> None:
    args = ("-e", "profile=machines", "-e", "experiment=many", "-e", "capacity.count=20")
    machines.play("launch", *args)
    before = {row["rank"]: row["instance_id"] for row in machines.status("-e", "experiment=many")}
    assert sorted(before) == list(range(20))
    lost = (0, 3, 7, 11, 19)
    for rank in lost:
        interrupt(machines, before[rank])
    calls = len(machines.control("calls"))
    machines.play("resume", *args)
    asked = [call["action"] for call in machines.control("calls")[calls:]]
    after = {row["rank"]: row["instance_id"] for row in machines.status("-e", "experiment=many")}
    assert sorted(after) == list(range(20))
    assert {rank for rank in after if after[rank] != before[rank]} == set(lost)
    assert len(machines.alive("many")) == 20
    assert asked.count("CreateFleet") == 1 and asked.count("RunInstances") == 0
    assert asked.count("CreateTags") == 2, "the ranks, and the mark of the run that has made them"
