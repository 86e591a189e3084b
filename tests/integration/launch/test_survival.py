"""What AWS takes is made good: interruptions at bad moments, and the same model in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .conftest import User, interrupt, until

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
  command: python3 /code/train.py --epochs 300 --pause 0.16 --results /data/{{ experiment }}/results
  mounts: ["/home/admin/digits:/code:ro"]
recovery: {notice_period: 1}
"""
# Stops the world of the job while a checkpoint is being written. One that was written before the stop does not count.
FREEZE = r"""
import glob, os, signal, subprocess, sys, time
end = time.monotonic() + 60
pids = []
def job():
    found = subprocess.run(["pgrep", "-f", "[t]rain.py --epochs"], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]
def there():
    return pids and all(os.path.exists(f"/proc/{pid}") for pid in pids)
def to_all(number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
def stopped():  # a signal takes effect a moment after it was sent; one that has ended is stopped, too
    for pid in pids:
        try:
            if open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "TtZX":
                return False
        except OSError:
            pass
    return True
def written():
    return glob.glob(sys.argv[1] + "/checkpoints/.step-*.new")
for _ in range(40):
    while not (there() and written()):
        if time.monotonic() > end:
            sys.exit(f"no checkpoint was written, processes of the job: {pids}")
        if not there():
            pids = job()
    to_all(signal.SIGSTOP)
    while not stopped():
        pass
    if written():
        print("in the middle")
        break
    to_all(signal.SIGCONT)
"""


class Watched:
    """An experiment and a terminal in which `launch.yml -e watch=true` runs."""

    def __init__(self, user: User, experiment: str) -> None:
        self.user, self.experiment = user, experiment
        args = ("-e", "profile=training", "-e", f"experiment={experiment}", "-e", "watch=true")
        self.log = user.folder / f"{experiment}.log"
        self.process = user.start("launch", *args, output=self.log)

    def until(self, what: Callable[[], T]) -> T:
        """The first answer that is something; a terminal that has ended brings none any more."""

        def found() -> T:
            answer = what()
            assert answer or self.process.poll() is None, "launch.yml has ended"
            return answer

        try:
            return until(found, 600)
        except AssertionError as err:
            raise AssertionError(f"{err}\n{self.log.read_text()}") from None

    def instance(self, not_in: set[str] | None = None) -> str:
        """The instance that works, once there is one that is not known yet."""
        return self.until(lambda: next(iter(set(self.user.alive(self.experiment)) - (not_in or set())), ""))

    def ssh(self, instance: str, command: str) -> str:
        return self.user.ssh(instance, self.experiment, command)

    def at_step(self, instance: str, more: int) -> None:
        """Wait until the job has done so many steps in this run."""

        def told() -> bool:
            seen = json.loads(self.ssh(instance, f"cat /data/{self.experiment}/progress.json"))
            active = self.ssh(instance, "systemctl is-active experiments-spot-job.service || true").strip()
            return active == "active" and seen["step"] - seen["start"] >= more

        self.until(told)

    def ledger(self, instance: str) -> list[dict[str, Any]]:
        text = self.ssh(instance, f"sudo cat /data/{self.experiment}/ledger.json")
        return list(json.loads(text)["runs"])


@pytest.fixture
def training(user: User) -> Iterator[User]:
    code = Path(__file__).resolve().parents[3] / "examples/digits"
    (user.folder / "profiles/training.yml").write_text(TRAINING.replace("CODE", str(code)))
    yield user
    user.forget()


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
