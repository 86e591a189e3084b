"""An interruption: what it costs until the job runs again, in seconds, steps and API calls.

The machine's own share is measured in the same run: how long a bare instance takes from RunInstances to an ssh that
answers. What recovery adds to that is ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from bench import calls, overhead, timeline
from bench.user import ROOT, Running, User, user

T = TypeVar("T")
LAB = "bench-recovery"
ROUNDS = 3
COUNTS = (1, 5, 20, 50)
NOTICE_S = 60
PATIENCE_S = 300.0
STEPS_OF_AN_EPOCH = 258  # between two checkpoints of examples/digits
NAME = "recovery"
COMMAND = "python3 /code/train.py --epochs 100000 --pause 0.3 --results /data/recovery/results"
UNITS = ("-u", "experiments-spot-job", "-u", "experiments-spot-notice")
LIMITS = {
    "recovery_sudden_more_s": 15.0,
    "recovery_notice_more_s": 15.0,
    "notice_repeated_steps": 0,
    "sudden_repeated_steps": STEPS_OF_AN_EPOCH,
    "launch_calls_": 12,
    "launch_consoles_each_": 2,
    # The ranks of several instances are written with one call; a single one has its rank from its creation.
    "launch_calls_growing": 1,
    "calls_per_look": 1,
}


def until(what: Callable[[], T | None], pause: float = 0.2) -> T:
    """The first answer that is something.

    Raises:
        TimeoutError: there is none.
    """
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(pause)
    raise TimeoutError(f"nothing came within {PATIENCE_S:.0f} s")


# ---------------------------------------------------------------------------------------------------------- a machine


def bare_machines(one: User, rounds: int) -> list[float]:
    """Seconds from RunInstances to an ssh that answers, for machines that nobody sets up."""
    one.play("launch", "-e", "profile=lab", "-e", "experiment=bare", "-e", overhead.BARE)
    ec2 = overhead.client(one)
    model = overhead.find(ec2, "bare")
    seconds = [bare_machine(one, ec2, model) for _ in range(rounds)]
    one.play("close", "-e", "experiment=bare")
    return seconds


def bare_machine(one: User, ec2: Any, model: dict[str, Any]) -> float:
    """Seconds until a machine answers that is like a model; it is gone afterwards."""
    started = time.monotonic()
    with machine_like(one, ec2, model, "bare") as ssh:
        until(lambda: subprocess.run([*ssh, "true"], capture_output=True, check=False).returncode == 0, 0.1)
        return round(time.monotonic() - started, 3)


@contextlib.contextmanager
def machine_like(one: User, ec2: Any, model: dict[str, Any], experiment: str) -> Iterator[list[str]]:
    """A machine of the type, image, network and key of one of an experiment: how ssh is told to reach it."""
    found = ec2.run_instances(
        ImageId=model["ImageId"], InstanceType=model["InstanceType"], SubnetId=model["SubnetId"],
        KeyName=model["KeyName"], SecurityGroupIds=[group["GroupId"] for group in model["SecurityGroups"]],
        InstanceMarketOptions={"MarketType": "spot"}, MinCount=1, MaxCount=1,
    )  # fmt: skip
    name = found["Instances"][0]["InstanceId"]
    address = until(lambda: describe(ec2, name).get("PublicIpAddress"))
    options = ["BatchMode=yes", "ConnectTimeout=1", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR"]
    options += [f"UserKnownHostsFile={one.folder}/{name}"]
    key = f"{one.folder}/.ssh/experiments.spot/{experiment}"
    yield ["ssh", "-i", key, *(word for option in options for word in ("-o", option)), f"admin@{address}"]
    ec2.terminate_instances(InstanceIds=[name])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[name], WaiterConfig={"Delay": 1})


def describe(ec2: Any, instance: str) -> dict[str, Any]:
    """An instance as AWS describes it."""
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found


# ------------------------------------------------------------------------------------------------------- interruptions


@dataclass
class Experiment:
    """A training that somebody watches."""

    one: User
    ec2: Any
    watch: Running

    def read(self, instance: str, *command: str) -> str:
        """Output of a command on an instance, '' while it does not answer."""
        found = describe(self.ec2, instance)
        if "PublicIpAddress" not in found:
            return ""
        ssh = overhead.ssh_command(self.one, NAME, found)
        return subprocess.run([*ssh, *command], capture_output=True, text=True, check=False).stdout

    def journal(self, instance: str) -> str:
        """What job and notice watcher have said on an instance."""
        return self.read(instance, "sudo", "journalctl", *UNITS, "-o", "short-unix", "--no-pager")

    def alive(self) -> set[str]:
        """Instances that have not ended."""
        wanted = {"tag:spot:experiment": [NAME], "instance-state-name": ["pending", "running"]}
        filters = [{"Name": name, "Values": values} for name, values in wanted.items()]
        pages = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return {instance["InstanceId"] for page in pages for instance in page["Instances"]}

    def begun(self, known: set[str]) -> tuple[str, float] | None:
        """The instance that is not known yet and on which the job runs, and since when."""
        self.watch.has_printed("(?!)")  # matches nothing, and says so when the watch has ended
        for instance in self.alive() - known:
            try:
                return instance, overhead.first_word(self.journal(instance))
            except ValueError:
                continue
        return None

    def ledger(self, instance: str) -> list[dict[str, Any]]:
        """The runs of the job."""
        text = self.read(instance, "sudo", "cat", f"/data/{NAME}/ledger.json")
        return list(json.loads(text)["runs"]) if text else []

    def progress(self, instance: str) -> int:
        """Steps that the run on an instance has done and told."""
        text = self.read(instance, "cat", f"/data/{NAME}/progress.json")
        seen = json.loads(text) if text else {"step": 0, "start": 0}
        return int(seen["step"] - seen["start"])

    def volume_leaves(self, instance: str) -> float | None:
        """The present second, once no data volume is attached to the instance."""
        filters = [{"Name": "tag:spot:experiment", "Values": [NAME]}, {"Name": "tag-key", "Values": ["spot:volume"]}]
        volumes = self.ec2.describe_volumes(Filters=filters)["Volumes"]
        held = {attachment["InstanceId"] for volume in volumes for attachment in volume["Attachments"]}
        return None if instance in held else time.time()


def repeated_steps(runs: Sequence[dict[str, Any]]) -> int:
    """How many steps of the last run but one the last one computes again; -1 where the ledger does not tell."""
    try:
        before, last = (run["progress"] for run in runs[-2:])
        return int(before["step"] - last["start"])
    except (KeyError, TypeError, ValueError):
        return -1


def interruption(experiment: Experiment, instance: str, notice: int) -> tuple[str, dict[str, Any]]:
    """Takes an instance and looks on until the job runs on another one, whose id comes back with the numbers."""
    until(lambda: experiment.progress(instance) > 2 * STEPS_OF_AN_EPOCH)
    known = experiment.alive()
    ordered = time.time()
    experiment.one.control("interrupt", instance_id=instance, notice=notice)
    volume_free = until(lambda: experiment.volume_leaves(instance))
    on_instance: dict[str, float] = {}
    if notice:
        journal = until(lambda: timeline.milestones(experiment.journal(instance), ordered).get("over") and "read")
        on_instance = timeline.milestones(experiment.journal(instance), ordered) if journal else {}
    following, runs_again = until(lambda: experiment.begun(known), 0.3)
    parts = timeline.recovery(list(experiment.watch.lines), ordered, experiment.journal(following), runs_again)
    until(lambda: experiment.progress(following) > 0)
    until(lambda: instance not in experiment.alive())
    runs = until(lambda: [run for run in experiment.ledger(following) if "progress" in run][-2:])
    return following, {
        "kind": "notice" if notice else "sudden",
        "seconds": round(runs_again - ordered, 3),
        "from_order": {**on_instance, "volume_free": round(volume_free - ordered, 3)},
        "ended_as": runs[0]["state"],
        "repeated_steps": repeated_steps(runs),
        "stages": timeline.by_stage(parts),
        "tasks": [{"stage": part.stage, "task": part.task, "seconds": part.seconds} for part in parts],
    }


def interruptions(one: User, rounds: int) -> dict[str, Any]:
    """Bare machines, then one training that is interrupted with and without a notice by turns."""
    bare = bare_machines(one, rounds)
    job = json.dumps({"job": {"command": COMMAND}})
    args = ("-e", "profile=lab", "-e", f"experiment={NAME}", "-e", job, "-e", "watch=true")
    experiment = Experiment(one, overhead.client(one), one.start("launch", *args))
    try:
        instance, _ = until(lambda: experiment.begun(set()), 0.5)
        found = []
        for number in range(2 * rounds):
            instance, numbers = interruption(experiment, instance, 0 if number % 2 else NOTICE_S)
            found.append(numbers)
        watched = calls.quiet_time(one)
    finally:
        experiment.watch.stop()
        (one.folder / "watch.log").write_text("\n".join(line for _, line in experiment.watch.lines))
        one.play("close", "-e", f"experiment={NAME}", "-e", "delete_volumes=all")
    return {"bare_s": bare, "interruptions": found, "watched_with_job": watched}


# ------------------------------------------------------------------------------------------------------------- figures


def recovery_figures(raw: dict[str, Any]) -> dict[str, float]:
    """Medians of bare machines and interruptions, and what the recovery takes against the machine itself."""
    bare = statistics.median(raw["bare_s"])
    figures: dict[str, float] = {"bare_machine_s": bare}
    for kind in ("notice", "sudden"):
        some = [found for found in raw["interruptions"] if found["kind"] == kind]
        seconds = statistics.median(found["seconds"] for found in some)
        figures |= {
            f"recovery_{kind}_s": seconds,
            f"recovery_{kind}_ratio": seconds / bare,
            f"recovery_{kind}_more_s": seconds - bare,
            f"{kind}_repeated_steps": max(found["repeated_steps"] for found in some),
        }
        moments = timeline.medians([found["from_order"] for found in some])
        figures |= {f"{kind}_to_{name}_s": value for name, value in moments.items()}
    return figures


def call_figures(raw: dict[str, Any]) -> dict[str, float]:
    """The launches without consoles and polls, these apart, and by how much the largest is more than the smallest.

    A poll is one call whatever the number of instances; how many there are depends on how long machines take to start.
    """
    sizes = {int(number): one for number, one in raw["machines"].items()}
    consoles = {number: one["by_action"].get(calls.CONSOLE, 0) for number, one in sizes.items()}
    polls = {number: calls.polls(one["by_stage"]) for number, one in sizes.items()}
    totals = {number: one["total"] - consoles[number] - polls[number] for number, one in sizes.items()}
    figures = {f"launch_calls_{number}": float(total) for number, total in totals.items()}
    figures |= {f"launch_polls_{number}": float(times) for number, times in polls.items()}
    figures |= {f"launch_consoles_each_{number}": times / number for number, times in consoles.items()}
    others = {"first_launch_calls": "first", "full_launch_calls": "with_volume_and_job"}
    figures |= {name: float(raw[part]["total"]) for name, part in others.items() if part in raw}
    return {**figures, "launch_calls_growing": totals[max(totals)] - totals[min(totals)]}


def figures_of(raw: dict[str, Any]) -> dict[str, float]:
    """All figures of what was measured."""
    figures: dict[str, float] = {}
    if "recovery" in raw:
        figures |= recovery_figures(raw["recovery"])
        figures["watched_hour_calls_with_job"] = raw["recovery"]["watched_with_job"]["per_hour"]
    if "calls" in raw:
        figures |= call_figures(raw["calls"])
    if "watched" in raw:
        figures["watched_hour_calls_without_job"] = raw["watched"]["per_hour"]
        figures["calls_per_look"] = raw["watched"]["per_look"]
    return {name: round(value, 2) for name, value in figures.items()}


def limit(name: str) -> float:
    """The limit of a figure, infinite where there is none; launches of all sizes have the same."""
    return LIMITS.get(name, LIMITS.get(name.rstrip("0123456789"), math.inf))


def verdict(name: str, value: float) -> str:
    """The end of a figure's line."""
    if limit(name) == math.inf:
        return ""
    return f"   at most {limit(name):<5g} {'ok' if value <= limit(name) else 'TOO MUCH'}"


def stage_table(raw: dict[str, Any]) -> list[str]:
    """Median seconds of each stage between the order and the job that runs again."""
    kinds = ("notice", "sudden")
    columns = [
        timeline.medians([found["stages"] for found in raw["interruptions"] if found["kind"] == kind]) for kind in kinds
    ]
    stages = dict.fromkeys(stage for column in columns for stage in column)
    lines = ["seconds from the order to the job, by stage".ljust(44) + "".join(f"{kind:>10}" for kind in kinds)]
    for stage in stages:
        lines.append(stage.ljust(44) + "".join(f"{column.get(stage, 0.0):>10.2f}" for column in columns))
    return lines


def report(raw: dict[str, Any]) -> list[str]:
    """All that is printed."""
    lines = [f"{name:<34}{value:>8.2f}{verdict(name, value)}" for name, value in raw["figures"].items()]
    if "recovery" in raw:
        lines += ["", *stage_table(raw["recovery"])]
    if "calls" in raw:
        lines += ["", *calls.table(raw["calls"])]
        lines += [f"given up: {raw['calls']['given_up']}"] if raw["calls"]["given_up"] else []
    if "watched" in raw:
        actions = ", ".join(f"{times} {action}" for action, times in raw["watched"]["by_action"].items())
        lines += ["", f"a watch of {raw['watched']['instances']} instances, {raw['watched']['looks']} looks: {actions}"]
    return lines


PARTS: dict[str, Callable[[User, argparse.Namespace], dict[str, Any]]] = {
    "recovery": lambda one, options: interruptions(one, options.rounds),
    "calls": lambda one, options: calls.launches(one, options.counts),
    "watched": lambda one, _options: calls.watch_machines(one),
}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench recovery", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interruptions of each kind (default {ROUNDS})")
    parser.add_argument("--counts", type=numbers, default=COUNTS, help="sizes of the launches, such as 1,5,20,50")
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    return tuple(int(word) for word in text.split(","))


def start_of_ansible() -> float:
    """Seconds of ``ansible-playbook --version``, the best of three: how fast this machine is, whatever we do."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "--version"]
    taken = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.monotonic() - started)
    return round(min(taken), 3)


def main(argv: Sequence[str] = ()) -> int:
    """Measures, prints, keeps; exit status 1 when a limit is passed. A part that is not asked for keeps its numbers."""
    options = arguments(argv)
    target = ROOT / f"bench/results/{date.today().isoformat()}-recovery.json"
    raw: dict[str, Any] = json.loads(target.read_text()) if options.parts and target.exists() else {}
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "ansible_version_s": start_of_ansible()}
    raw |= {"date": date.today().isoformat(), "machine": machine}
    with user(LAB) as plain:
        # The heading of a task is printed when it begins, and not when something is to be said about it.
        one = replace(plain, env={**plain.env, "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"})
        for part in options.parts or PARTS:
            stamp = {"measured": datetime.now(timezone.utc).isoformat(timespec="seconds"), "load": os.getloadavg()[0]}
            raw[part] = {**stamp, **PARTS[part](one, options)}
            raw["figures"] = figures_of(raw)
            target.write_text(json.dumps(raw, indent=2) + "\n")
    print("\n".join(report(raw)))
    print(f"raw numbers: {target.relative_to(ROOT)}")
    return int(any(value > limit(name) for name, value in raw["figures"].items()))
