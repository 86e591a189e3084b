"""`lab up | down | status | env | logs | interrupt | capacity | fail`: what a person types."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import controls
from lab.aws.config import ACCESS_KEY, SECRET_KEY
from lab.engine import EngineError
from lab.machines import assemble, cleanup, process, slots
from lab.machines.shell import CommandError
from lab.machines.slots import Slot, SlotError

REGION = "us-east-1"
DEFAULT_NAME = "default"
DOWN = 3  # exit status of `status` for a lab that is not up. Source: LSB, init script `status`
ANSWER_TIMEOUT = 60.0  # seconds the daemon has for its first answer; about 2 on a quiet machine


class LabError(Exception):
    """The command cannot do what it was asked; the text says why and what to do."""


@dataclass
class Progress:
    """Lines with the seconds since the command began."""

    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def __call__(self, line: str) -> None:
        """Say what is being done."""
        print(f"lab {self.clock() - self.began:6.1f} s  {line}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="lab", description="A local stand-in for EC2: AWS's wire protocol, real machines."
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    texts = {
        "up": "start the lab (does nothing when it is up)",
        "down": "end the lab and remove all it made, also after a crash",
        "status": "show machines, volumes and addresses; exit status 3 when the lab is down",
        "env": 'print what AWS tools need: eval "$(lab/lab env)"',
        "logs": "show the lab's log",
        "interrupt": "let AWS take a Spot Instance",
        "capacity": "limit how many instances a pool can run, or show the limits",
        "fail": "let calls fail, or show which are going to",
        "daemon": argparse.SUPPRESS,
    }
    for verb, text in texts.items():
        sub = verbs.add_parser(verb, help=text, description=text if text != argparse.SUPPRESS else None)
        sub.add_argument("--name", default=os.environ.get("EXPERIMENTS_SPOT_LAB", DEFAULT_NAME), help="which lab")
        ARGUMENTS.get(verb, lambda _sub: None)(sub)
    return top


def up_arguments(sub: argparse.ArgumentParser) -> None:
    """Arguments of `up`."""
    text = "divide the lab's own delays, e.g. the two minutes of a notice; kept until `down`"
    sub.add_argument("--speed", type=controls.positive, metavar="N", help=text)


def logs_arguments(sub: argparse.ArgumentParser) -> None:
    """Arguments of `logs`."""
    sub.add_argument("-f", "--follow", action="store_true", help="go on as the log grows")


def interrupt_arguments(sub: argparse.ArgumentParser) -> None:
    """Arguments of `interrupt`."""
    sub.add_argument("instance", metavar="INSTANCE", help="its id, or the beginning of it")
    kind = sub.add_mutually_exclusive_group()
    kind.add_argument("--notice", type=controls.positive, default=120.0, metavar="SECONDS", help="default: 120")
    kind.add_argument("--none", action="store_true", help="without a notice: the machine is gone at once")
    kind.add_argument("--rebalance", action="store_true", help="nothing but a rebalance recommendation")
    sub.add_argument("--action", choices=["terminate", "stop", "hibernate"], help="default: what the Spot request says")


def capacity_arguments(sub: argparse.ArgumentParser) -> None:
    """Arguments of `capacity`."""
    text = "e.g. t3.medium/us-east-1a/spot=0, t3.medium=2, '*=0'; N may be `any`, ZONE a region"
    sub.add_argument("pools", nargs="*", type=controls.pool, metavar="TYPE[/ZONE[/MARKET]]=N", help=text)


def fail_arguments(sub: argparse.ArgumentParser) -> None:
    """Arguments of `fail`."""
    text = "e.g. RunInstances=InternalError:2; TIMES may be `always`; CALL=none takes it back"
    sub.add_argument("faults", nargs="*", type=controls.fault, metavar="CALL=CODE[:TIMES][@REGION]", help=text)


ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "up": up_arguments,
    "logs": logs_arguments,
    "interrupt": interrupt_arguments,
    "capacity": capacity_arguments,
    "fail": fail_arguments,
}


# up and down


def up(options: argparse.Namespace) -> int:
    """Start the lab unless it answers; a crashed one is cleaned up first."""
    need_root("up")
    progress = Progress()
    with slots.locked(f"lab-{slots.check_name(options.name)}", progress):
        slot = slots.claim(options.name, options.speed)
        if process.daemon(slot) and answers(slot):
            controls.call(slot, "speed", {"factor": slot.speed})
            progress(f"lab {slot.name} is up already on {slot.endpoint}")
            return 0
        start(slot, progress)
    return 0


def start(slot: Slot, progress: Progress) -> None:
    """Everything `up` does for a lab that is not there."""
    process.end(slot)
    assemble.ensure_engine(progress)
    cleanup.remove_everything(slot, progress)
    assemble.prepare(slot, progress)
    progress("starting the API, the machines and the metadata service")
    await_answer(slot, launch_daemon(slot))
    progress(f'lab {slot.name} is up on {slot.endpoint}; type: eval "$(lab/lab env{name_option(slot)})"')


def down(options: argparse.Namespace) -> int:
    """Remove all traces of a lab; nothing to remove is as good."""
    need_root("down")
    progress = Progress()
    with slots.locked(f"lab-{slots.check_name(options.name)}", progress):
        slot = slots.load(options.name)
        if slot is None:
            progress(f"lab {options.name} is not there")
            return 0
        process.end(slot)
        assemble.wake_engine(progress)
        assemble.dismantle(slot, progress)
        cleanup.remove_everything(slot, progress)
        cleanup.forget(slot)
    progress(f"lab {options.name} is down; nothing of it remains")
    return 0


def launch_daemon(slot: Slot) -> subprocess.Popen[bytes]:
    """Start the daemon as a process of its own, its output in the lab's log."""
    with open(slot.path / "daemon.log", "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "lab", "daemon", "--name", slot.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=daemon_environment(os.environ),
        )
    process.remember(slot, child.pid)
    return child


def daemon_environment(environ: Any) -> dict[str, str]:
    """The caller's environment without its AWS settings: the lab must never talk to AWS."""
    kept = {key: value for key, value in environ.items() if not key.startswith("AWS_")}
    here = str(Path(__file__).resolve().parents[1])
    return {**kept, "PYTHONPATH": here, "AWS_EC2_METADATA_DISABLED": "true"}


def await_answer(slot: Slot, child: subprocess.Popen[bytes]) -> None:
    """Wait for the API.

    Raises:
        LabError: the daemon has ended or is silent; with the tail of its log.
    """
    until = time.monotonic() + ANSWER_TIMEOUT
    while not answers(slot):
        if (status := child.poll()) is not None:
            raise LabError(f"the lab's daemon has ended with status {status}:\n{log_tail(slot)}")
        if time.monotonic() > until:
            raise LabError(f"no answer on {slot.endpoint} in {ANSWER_TIMEOUT:.0f} s:\n{log_tail(slot)}")
        time.sleep(0.1)


def answers(slot: Slot) -> bool:
    """Whether the API is there."""
    try:
        controls.call(slot, "health")
    except (OSError, ValueError, controls.ControlError):
        return False
    return True


def log_tail(slot: Slot, lines: int = 15) -> str:
    """The end of the log."""
    try:
        return "\n".join((slot.path / "daemon.log").read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def need_root(verb: str) -> None:
    """Bridges, loop devices and the engine are root's.

    Raises:
        LabError: the caller is not root.
    """
    if os.geteuid():
        command = Path(__file__).with_name("lab")
        raise LabError(f"`lab {verb}` makes network and disk devices and needs root; type: sudo {command} {verb}")


# status, env, logs


def status(options: argparse.Namespace) -> int:
    """A table of what runs."""
    slot = slots.load(slots.check_name(options.name))
    if slot is None or not process.daemon(slot) or not answers(slot):
        crashed = "; `lab down` or `lab up` cleans up what it left" if slot else ""
        print(f"lab {options.name} is down{crashed}")
        return DOWN
    print("\n".join(report(slot, *inventory(slot), calls=controls.call(slot, "calls"))))
    return 0


def inventory(slot: Slot) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Instances and volumes as any AWS tool sees them."""
    import boto3  # noqa: PLC0415  half a second that `env` does not need
    from botocore.config import Config  # noqa: PLC0415  half a second, too

    instances: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    for region in controls.call(slot, "health")["regions"]:
        ec2: Any = boto3.client(
            "ec2",
            endpoint_url=slot.endpoint,
            region_name=region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(proxies={}),
        )
        for reservation in ec2.describe_instances()["Reservations"]:
            instances += reservation["Instances"]
        volumes += ec2.describe_volumes()["Volumes"]
    return instances, volumes


def report(slot: Slot, instances: list[dict[str, Any]], volumes: list[dict[str, Any]], calls: Any) -> list[str]:
    """The lines of `status`."""
    number = len(calls.get("calls", [])) if isinstance(calls, dict) else len(calls)
    lines = [
        f"lab {slot.name}: API {slot.endpoint}, machines in {slot.vpc_cidr} on {slot.bridge}, "
        f"public {slot.public_cidr}, speed {slot.speed:g}, {number} calls, daemon {process.daemon(slot)}"
    ]
    if instances:
        lines += ["", *table([INSTANCE_HEAD, *map(instance_row, instances)])]
    if volumes:
        lines += ["", *table([VOLUME_HEAD, *map(volume_row, volumes)])]
    return lines


INSTANCE_HEAD = ["INSTANCE", "NAME", "STATE", "TYPE", "ZONE", "PRIVATE", "PUBLIC"]
VOLUME_HEAD = ["VOLUME", "NAME", "STATE", "GIB", "ZONE", "INSTANCE"]


def instance_row(instance: dict[str, Any]) -> list[str]:
    """One instance."""
    return [
        instance["InstanceId"],
        name_tag(instance),
        instance["State"]["Name"],
        instance["InstanceType"],
        instance["Placement"]["AvailabilityZone"],
        instance.get("PrivateIpAddress", "-"),
        instance.get("PublicIpAddress", "-"),
    ]


def volume_row(volume: dict[str, Any]) -> list[str]:
    """One volume."""
    holders = [attachment["InstanceId"] for attachment in volume.get("Attachments", [])]
    return [
        volume["VolumeId"],
        name_tag(volume),
        volume["State"],
        str(volume["Size"]),
        volume["AvailabilityZone"],
        ", ".join(holders) or "-",
    ]


def name_tag(resource: dict[str, Any]) -> str:
    """The tag `Name`."""
    return next((tag["Value"] for tag in resource.get("Tags", []) if tag["Key"] == "Name"), "-") or "-"


def table(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def env(options: argparse.Namespace) -> int:
    """Print shell commands; they are right also before the lab is up, as long as it has been up once."""
    slot = slots.load(slots.check_name(options.name))
    if slot is None:
        raise LabError(f"lab {options.name} has never been up; type: lab/lab up")
    print("\n".join(environment(slot, os.environ)))
    return 0


def environment(slot: Slot, environ: Mapping[str, str]) -> list[str]:
    """What makes any AWS tool talk to this lab, and to nothing else; `environ` is the caller's."""
    values = {
        "AWS_ENDPOINT_URL": slot.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "EXPERIMENTS_SPOT_SSH_CIDR": f"{slot.gateway}/32",
        "EXPERIMENTS_SPOT_INSTANCE_ENDPOINT_URL": slot.endpoint.replace("127.0.0.1", slot.gateway),
    }
    lines = [f"export {key}={value}" for key, value in values.items()]
    return [*lines, "unset AWS_PROFILE AWS_SESSION_TOKEN", *no_proxy(environ)]


def no_proxy(environ: Mapping[str, str]) -> list[str]:
    """Keep a caller's proxy, if there is one, out of the way to this host."""
    if not any(key.lower() in ("http_proxy", "all_proxy") for key in environ):
        return []
    held = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [host for host in held.split(",") if host]
    wanted = ",".join(hosts if "127.0.0.1" in hosts else [*hosts, "127.0.0.1"])
    return [f"export NO_PROXY={shlex.quote(wanted)} no_proxy={shlex.quote(wanted)}"]


def logs(options: argparse.Namespace) -> int:
    """Show the log, and go on if wanted."""
    slot = slots.load(slots.check_name(options.name))
    if slot is None:
        raise LabError(f"lab {options.name} is not there; type: lab/lab up")
    file = slot.path / "daemon.log"
    return subprocess.call(["tail", "-n", "+1", *(["-F"] if options.follow else []), str(file)])


# controls


def interrupt(options: argparse.Namespace) -> int:
    """Let AWS take an instance."""
    print(controls.told(controls.call(running(options.name), "interrupt", controls.interruption(options))))
    return 0


def capacity(options: argparse.Namespace) -> int:
    """Set limits, then show all."""
    slot = running(options.name)
    for one in options.pools:
        controls.call(slot, "capacity", one)
    print("\n".join(table(controls.limits(controls.call(slot, "capacity")))))
    return 0


def fail(options: argparse.Namespace) -> int:
    """Order faults, then show all."""
    slot = running(options.name)
    for one in options.faults:
        controls.call(slot, "fail", one)
    print("\n".join(table(controls.faults(controls.call(slot, "fail")))))
    return 0


def running(name: str) -> Slot:
    """The slot of a lab that answers.

    Raises:
        LabError: there is none.
    """
    slot = slots.load(slots.check_name(name))
    if slot is None or not process.daemon(slot) or not answers(slot):
        raise LabError(f"lab {name} is down; type: lab/lab up" + (f" --name {name}" if name != DEFAULT_NAME else ""))
    return slot


def daemon(options: argparse.Namespace) -> int:
    """What `up` starts in the background."""
    from lab.daemon import serve  # noqa: PLC0415  moto takes a second to import

    slot = slots.load(options.name)
    if slot is None:
        raise LabError("`lab daemon` is started by `lab up`")
    serve(slot)
    return 0


def name_option(slot: Slot) -> str:
    """What must be typed to mean this lab."""
    return "" if slot.name == DEFAULT_NAME else f" --name {slot.name}"


VERBS = {
    "up": up,
    "down": down,
    "status": status,
    "env": env,
    "logs": logs,
    "interrupt": interrupt,
    "capacity": capacity,
    "fail": fail,
    "daemon": daemon,
}


def refuse(error: Exception) -> int:
    """Say in one paragraph why not."""
    print(f"lab: {error}", file=sys.stderr)
    return 1


def main(arguments: Sequence[str]) -> int:
    """Run one verb; one clear error on standard error where it cannot be done."""
    options = parser().parse_args(arguments)
    try:
        return VERBS[options.verb](options)
    except (LabError, SlotError, CommandError, EngineError, controls.ControlError) as error:
        return refuse(error)
    except KeyboardInterrupt:
        print("lab: interrupted; the same command continues", file=sys.stderr)
        return 130
