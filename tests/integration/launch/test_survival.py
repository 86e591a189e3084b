"""What AWS takes is made good: interruptions at bad moments, refusals, a controller that is killed, many instances."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

T = TypeVar("T")
STEPS_OF_AN_EPOCH = 258  # between two checkpoints of examples/digits

TRAINING = """
extends: lab
channels:
  - {direction: out, local_path: CODE/, remote_path: /home/admin/digits/, recursive: true, exclude: [__pycache__]}
  - {direction: in, remote_path: "/data/{{ experiment }}/results/", local_path: "results/{{ experiment }}/", recursive: true}
volumes:
  - {name: "{{ experiment }}-data", size: 1, mount_point: /data}
job:
  name: digits
  image: registry.lab:5000/experiments/digits:1
  command: python3 /code/train.py --epochs 300 --pause 0.08 --results /data/{{ experiment }}/results
  mounts: ["/home/admin/digits:/code:ro"]
recovery: {notice_period: 1}
"""
MACHINES = """
extends: lab
channels: []
volumes: []
job: null
runtime: {docker: false}
"""
# Waits until a checkpoint is being written, and stops the world of the job right there.
FREEZE = r"""
import glob, os, signal, subprocess, sys, time
pids = [int(pid) for pid in subprocess.run(["pgrep", "-f", "[t]rain.py --epochs"], capture_output=True, text=True).stdout.split()]
while not glob.glob(sys.argv[1] + "/checkpoints/.step-*.new"):
    pass
for pid in pids:
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        pass
print(glob.glob(sys.argv[1] + "/checkpoints/.step-*.new") and "in the middle" or "just after")
"""


def until(what: Callable[[], T], seconds: float = 90) -> T:
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.CalledProcessError, json.JSONDecodeError, LookupError):
            if found := what():
                return found
        time.sleep(0.2)
    raise AssertionError(f"it did not come within {seconds} s")


class Watched:
    """An experiment and a terminal in which `launch.yml -e watch=true` runs."""

    def __init__(self, user: User, experiment: str) -> None:
        self.user, self.experiment = user, experiment
        args = ("-e", "profile=training", "-e", f"experiment={experiment}", "-e", "watch=true")
        self.log = user.folder / f"{experiment}.log"
        self.process = user.start("launch", *args, output=self.log)

    def instance(self, not_in: set[str] | None = None) -> str:
        """The instance that works, once there is one that is not known yet."""
        return until(lambda: next(iter(set(self.user.alive(self.experiment)) - (not_in or set())), ""))

    def ssh(self, instance: str, command: str) -> str:
        return self.user.ssh(instance, self.experiment, command)

    def at_step(self, instance: str, more: int) -> None:
        """Wait until the job has done so many steps in this run."""

        def told() -> bool:
            seen = json.loads(self.ssh(instance, f"cat /data/{self.experiment}/progress.json"))
            active = self.ssh(instance, "systemctl is-active experiments-spot-job.service || true").strip()
            return active == "active" and seen["step"] - seen["start"] >= more

        until(told)

    def ledger(self, instance: str) -> list[dict[str, Any]]:
        text = self.ssh(instance, f"sudo cat /data/{self.experiment}/ledger.json")
        return list(json.loads(text)["runs"])


@pytest.fixture
def training(user: User) -> Iterator[User]:
    code = Path(__file__).resolve().parents[3] / "examples/digits"
    (user.folder / "profiles/training.yml").write_text(TRAINING.replace("CODE", str(code)))
    (user.folder / "profiles/machines.yml").write_text(MACHINES)
    yield user
    user.play("close", "-e", "experiment=all", "-e", "confirm=true", "-e", "delete_volumes=all")
    shutil.rmtree(user.folder / "results", ignore_errors=True)


def interrupt(user: User, instance: str, notice: int = 0) -> None:
    user.control("interrupt", instance_id=instance, notice=notice)


def repeated_steps(runs: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """How each run that did not succeed ended, and how many of its steps the next one computed again.

    A run that ended before its job had told anything has computed nothing.
    """
    told = [run for run in runs if "progress" in run]
    pairs = zip(told, told[1:])
    return [(one["state"], one["progress"]["step"] - following["progress"]["start"]) for one, following in pairs]


def test_five_interruptions_end_with_the_same_model_bit_for_bit(training: User) -> None:
    watched = Watched(training, "surv")
    known: set[str] = set()

    def following() -> str:
        instance = watched.instance(known)
        known.add(instance)
        return instance

    # 1: with a notice, while it trains.
    first = following()
    watched.at_step(first, 3000)
    interrupt(training, first, notice=25)
    # 2: without a notice, while the next one is set up. Asked for at the notice: the first still runs.
    second = following()
    assert first in training.alive("surv")
    interrupt(training, second)
    # 3: without a notice, in the middle of a checkpoint.
    third = following()
    watched.at_step(third, 1000)
    assert "in the middle" in watched.ssh(third, f"sudo python3 -c '{FREEZE}' /data/surv")
    interrupt(training, third)
    # 4 and 5: twice in a row, as soon as the job runs and as soon as there is an instance.
    fourth = following()
    watched.at_step(fourth, 1)
    interrupt(training, fourth)
    fifth = following()
    interrupt(training, fifth, notice=15)
    last = following()
    assert watched.process.wait(240) == 0, watched.log.read_text()

    runs = watched.ledger(last)
    states = [run["state"] for run in runs]
    assert states[0] == "interrupted" and states[-1] == "succeeded", runs
    assert "stopped" not in states
    # The first and the third have told how far they were; what the fourth has told may not have reached the disk.
    assert len(repeated_steps(runs)) >= 2, runs
    for state, repeated in repeated_steps(runs):
        assert repeated == 0 if state == "interrupted" else 0 <= repeated <= STEPS_OF_AN_EPOCH, runs
    # The same training once more, from the beginning to the end.
    again = "python3 /code/train.py --epochs 300 --results /new/results --checkpoints /new/c --progress /new/p.json"
    image = "registry.lab:5000/experiments/digits:1"
    watched.ssh(last, f"sudo docker run --rm -v /home/admin/digits:/code:ro -v /tmp/new:/new {image} {again}")
    watched.ssh(last, "cmp /tmp/new/results/model.npz /data/surv/results/model.npz")
    local = (training.folder / "results/surv/model.npz").read_bytes()
    assert len(local) > 10_000
    assert training.alive("surv") == [last]
    # Only what AWS took has ended.
    described = training.client().describe_instances(InstanceIds=sorted(known - {last}))["Reservations"]
    reasons = {one["StateReason"]["Code"] for page in described for one in page["Instances"]}
    assert reasons == {"Server.SpotInstanceTermination"}


def test_refusals_lead_to_the_pool_that_has_room_and_are_told(training: User) -> None:
    for kind in ("t3.medium", "t3.large"):
        training.control("capacity", type=kind, count=0)
    text = training.play("launch", "-e", "profile=machines", "-e", "experiment=room")
    assert "t3.medium in us-east-1a: no capacity (InsufficientInstanceCapacity)" in text
    (instance,) = training.alive("room")
    found = training.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["InstanceType"] == "m5.large"
    # AWS remembers: the next plan asks those pools last.
    plan = training.play(
        "launch", "-e", "profile=machines", "-e", "experiment=room", "-e", "capacity.count=2", "--check"
    )
    first = next(
        line for line in plan.splitlines() if line.split()[:1] and line.split()[0] in ("t3.medium", "m5.large")
    )
    assert first.startswith("m5.large"), plan


def test_capacity_that_returns_while_it_waits_is_taken(training: User) -> None:
    training.control("capacity", count=0)
    process = training.start("launch", "-e", "profile=machines", "-e", "experiment=patient", "-e", "capacity.wait=20")
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if "no capacity" in line:
            training.control("capacity", count=None)
            break
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text + rest
    assert len(training.alive("patient")) == 1


def test_on_demand_may_fill_in(training: User) -> None:
    training.control("capacity", market="spot", count=0)
    args = ("-e", "profile=machines", "-e", "experiment=filled", "-e", "capacity.wait=2")
    training.play("launch", *args, fails=True)
    assert training.alive("filled") == []
    training.play("launch", *args, "-e", "capacity.on_demand=fallback")
    (instance,) = training.alive("filled")
    found = training.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert "InstanceLifecycle" not in found


def test_a_spot_fleet_for_those_who_have_a_role(training: User) -> None:
    name = "aws-ec2-spot-fleet-tagging-role"
    trust = {"Effect": "Allow", "Principal": {"Service": "spotfleet.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = training.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    args = ("-e", "profile=machines", "-e", "experiment=fleet", "-e", "capacity.count=2")
    wrong = training.play("launch", *args, "-e", "capacity.iam_fleet_role=arn:aws:iam::1:role/x", fails=True)
    assert "capacity.iam_fleet_role" in wrong
    args = (*args, "-e", f"capacity.iam_fleet_role={role}")
    training.play("launch", *args)
    before = {row["rank"]: row["instance_id"] for row in training.status("-e", "experiment=fleet")}
    assert sorted(before) == [0, 1]
    interrupt(training, before[0])
    training.play("resume", *args)
    after = {row["rank"]: row["instance_id"] for row in training.status("-e", "experiment=fleet")}
    assert after[1] == before[1] and after[0] not in before.values()
    training.play("close", "-e", "experiment=fleet")
    assert training.alive("fleet") == []
    requests = training.client().describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert {request["SpotFleetRequestState"] for request in requests} == {"cancelled"}


def test_what_the_user_ended_is_not_resumed(training: User) -> None:
    args = ("-e", "profile=machines", "-e", "experiment=ended")
    text = training.play("resume", *args, fails=True)
    assert "nothing of this experiment is there" in text
    training.play("launch", *args)
    before = training.changing_calls()
    training.play("resume", *args)  # nothing is missing
    assert training.changing_calls() == before
    training.client().terminate_instances(InstanceIds=training.alive("ended"))
    text = training.play("resume", *args, fails=True)
    assert "call of this account" in text and "launch.yml starts it again" in text
    assert training.alive("ended") == []


def test_bounds_of_recovery(training: User) -> None:
    args = ("-e", "profile=machines", "-e", "experiment=bounded", "-e", "recovery.max_generations=2")
    training.play("launch", *args)
    for generation in (2, 3):
        interrupt(training, training.alive("bounded")[0])
        text = training.play("resume", *args, fails=generation == 3)
    assert "recovery.max_generations (2)" in text
    assert training.alive("bounded") == []


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


def test_a_controller_killed_at_random_moments_leaves_one_set_of_instances(training: User) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    volume = '{"volumes": [{"name": "kill-data", "size": 1, "mount_point": "/data"}]}'
    for number in range(5):
        args = (
            "-e",
            "profile=machines",
            "-e",
            f"experiment=kill{number}",
            "-e",
            volume.replace("kill-", f"kill{number}-"),
        )
        killed_at(training, dice.uniform(1, 11), "launch", *args)
        training.play("launch", *args)
        (instance,) = training.alive(f"kill{number}")
        interrupt(training, instance)
        killed_at(training, dice.uniform(1, 9), "resume", *args)
        training.play("resume", *args)
        (another,) = training.alive(f"kill{number}")
        assert another != instance
        (row,) = training.status("-e", f"experiment=kill{number}")
        assert (row["instance_id"], row["rank"]) == (another, 0)
        assert "/data" in training.ssh(another, f"kill{number}", "findmnt -n -o TARGET /data")
        assert len(data_volumes(training, f"kill{number}")) == 1
    training.play("close", "-e", "experiment=all", "-e", "confirm=true", "-e", "delete_volumes=all")
    for number in range(5):
        assert training.tagged(f"kill{number}") == {}


def test_of_twenty_instances_only_the_five_that_were_taken_are_replaced(training: User) -> None:
    args = ("-e", "profile=machines", "-e", "experiment=many", "-e", "capacity.count=20")
    training.play("launch", *args)
    before = {row["rank"]: row["instance_id"] for row in training.status("-e", "experiment=many")}
    assert sorted(before) == list(range(20))
    lost = (0, 3, 7, 11, 19)
    for rank in lost:
        interrupt(training, before[rank])
    calls = len(training.control("calls"))
    training.play("resume", *args)
    asked = [call["action"] for call in training.control("calls")[calls:]]
    after = {row["rank"]: row["instance_id"] for row in training.status("-e", "experiment=many")}
    assert sorted(after) == list(range(20))
    assert {rank for rank in after if after[rank] != before[rank]} == set(lost)
    assert len(training.alive("many")) == 20
    assert asked.count("CreateFleet") == 1 and asked.count("RunInstances") == 0
    assert asked.count("CreateTags") == 2, "the ranks, and the mark of the run that has made them"
