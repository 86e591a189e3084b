"""One lab for all whole-run tests, and a user: an own home, an own folder with profiles, the commands of the README."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest

from lab.registry import SHELL_IMAGE

ROOT = Path(__file__).resolve().parents[3]
# One lab a checkout and pytest-xdist worker.
CHECKOUT = f"{zlib.crc32(bytes(ROOT)):08x}"
LAB_NAME = "-".join(["wholerun", CHECKOUT, *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])])

# Files that take long begin first, so that no worker ends with one of them while the others have nothing left.
LONG = ("self", "faults", "results", "resume", "volumes", "code", "survival", "mover", "surroundings")

POLICY = json.loads((ROOT / "docs/controller-policy.json").read_text())
# An administrator's, who has more than that policy.
NOT_DAILY = ("infrastructure",)
T = TypeVar("T")
MACHINES = """
extends: lab
image: {ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64}  # which has no docker
channels: []
volumes: []
job: null
runtime: {docker: false}
"""
# The job of the profile lab without its learning, for tests of what is around a job: a small image, and done at once.
SHORT = ["sh", "-c", "mkdir -p $SPOT_STATE_DIR/results && echo epoch > $SPOT_STATE_DIR/results/metrics.csv"]
LIGHT = ("-e", json.dumps({"job": {"image": SHELL_IMAGE, "command": SHORT}}))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest-xdist hands out files in this order (--no-loadscope-reorder; by number of tests otherwise)."""
    names = [f"test_{name}" for name in LONG]
    items.sort(key=lambda item: names.index(item.path.stem) if item.path.stem in names else len(names))


def lab(*args: str) -> str:
    done = subprocess.run([str(ROOT / "lab/lab"), *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def parse_env(text: str) -> dict[str, str]:
    """Reads the `export NAME=value` lines of `lab env`."""
    pairs = (line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export "))
    return {name: " ".join(shlex.split(value)) for name, value in pairs}


@dataclass
class User:
    """Somebody who types commands in a folder of their own."""

    folder: Path
    env: dict[str, str]
    typed: list[str] = field(default_factory=list)
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def start(
        self, verb: str, *args: str, env: dict[str, str] | None = None, output: Path | None = None
    ) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / f"{verb}.yml"), *args]
        with output.open("w") if output else contextlib.nullcontext(subprocess.PIPE) as out:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.env | (env or {}), text=True,
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def ssh(self, instance: str, experiment: str, command: str) -> str:
        """A command on an instance, by the key and the known hosts that a launch leaves behind."""
        found = self.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        folder = Path(self.env["HOME"]) / ".ssh/experiments.spot"
        options = [f"HostKeyAlias={instance}", f"UserKnownHostsFile={folder}/known_hosts", "StrictHostKeyChecking=yes"]
        options += ["IdentitiesOnly=yes", "BatchMode=yes", "ConnectTimeout=5", "ControlPath=none", "LogLevel=ERROR"]
        argv = ["ssh", "-i", str(folder / experiment), *(part for one in options for part in ("-o", one))]
        argv += [f"admin@{found['PublicIpAddress']}", command]
        try:
            return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=True, timeout=120).stdout
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)
            raise

    def play(self, verb: str, *args: str, fails: bool = False, env: dict[str, str] | None = None) -> str:
        """Types `ansible-playbook VERB.yml ARGS` and returns what was printed."""
        started = time.time()
        process = self.start(verb, *args, env=env)
        text, _ = process.communicate(timeout=600)
        assert "Traceback (most recent call last)" not in text, text
        assert (process.returncode != 0) == fails, f"exit code {process.returncode}\n{text}"
        assert verb in NOT_DAILY or not self.not_allowed(started), "docs/controller-policy.json lacks calls"
        return text

    def not_allowed(self, since: float) -> set[str]:
        """Calls of the controller's own credentials that its documented policy lacks (S3's have no names in the log)."""
        lists = [one["Action"] if isinstance(one["Action"], list) else [one["Action"]] for one in POLICY["Statement"]]
        patterns = [pattern for one in lists for pattern in one]
        made = {
            f"{call['service']}:{call['action']}"
            for call in self.control("calls")
            if call["time"] >= since and call["access_key"].startswith("AKIA") and " " not in call["action"]
        }
        return {call for call in made if not any(fnmatch.fnmatchcase(call, pattern) for pattern in patterns)}

    def status(self, *args: str) -> list[dict[str, Any]]:
        text = self.play("status", "-e", "format=json", *args)
        found = re.search(r"(?m)^\[(?=\s|\])", text)
        assert found, text
        return json.JSONDecoder().raw_decode(text, found.start())[0]

    def client(self, service: str = "ec2", region: str = "us-east-1") -> Any:
        """The same one each time: to make one takes a fifth of a second of processor time, and `until` asks often."""
        if (service, region) not in self.clients:
            self.clients[service, region] = self._client(service, region)
        return self.clients[service, region]

    def _client(self, service: str, region: str) -> Any:
        keys = {name: self.env[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        return boto3.client(
            service, region_name=region, endpoint_url=self.env["AWS_ENDPOINT_URL"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"], aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def tagged(self, experiment: str, region: str = "us-east-1") -> dict[str, list[str]]:
        """Ids by resource type of all that AWS lists for an experiment and that still exists."""
        ec2 = self.client(region=region)
        tags = ec2.describe_tags(Filters=[{"Name": "tag:spot:experiment", "Values": [experiment]}])["Tags"]
        gone = ("network-interface", "spot-instances-request")  # they go with their instance
        found: dict[str, list[str]] = {}
        for kind, name in ((tag["ResourceType"], tag["ResourceId"]) for tag in tags):
            if kind not in gone and not (kind == "instance" and name not in self.alive(experiment, region)):
                found.setdefault(kind, []).append(name)
        fleets = found.pop("fleet", [])
        states = ec2.describe_fleets(FleetIds=fleets)["Fleets"] if fleets else []
        active = [fleet["FleetId"] for fleet in states if fleet["FleetState"] == "active"]
        return found | ({"fleet": active} if active else {})

    def alive(self, experiment: str, region: str = "us-east-1") -> list[str]:
        filters = [
            {"Name": "tag:spot:experiment", "Values": [experiment]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
        pages = self.client(region=region).describe_instances(Filters=filters)["Reservations"]
        return sorted(instance["InstanceId"] for page in pages for instance in page["Instances"])

    def told(self, bucket: str, experiment: str) -> dict[str, Any]:
        """What an instance that sets itself up has told of itself."""
        s3 = self.client("s3")
        try:
            found = s3.get_object(Bucket=bucket, Key=f"experiments/{experiment}/state.json")
        except s3.exceptions.NoSuchKey:
            raise LookupError(experiment) from None
        return dict(json.loads(found["Body"].read()))

    def reboot(self, instance: str, experiment: str) -> None:
        """Reboots an instance and waits until it lets in again."""
        boot_id = "cat /proc/sys/kernel/random/boot_id"
        before = self.ssh(instance, experiment, boot_id)
        self.client().reboot_instances(InstanceIds=[instance])
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(subprocess.SubprocessError):
                if self.ssh(instance, experiment, boot_id) != before:
                    return
            time.sleep(0.5)
        raise TimeoutError(f"{instance} does not come back")

    def control(self, path: str, **data: Any) -> Any:
        """Asks the lab: reads what is set, or sets a fault, a shortage, a denied action."""
        body = json.dumps(data).encode() if data else None
        request = urllib.request.Request(f"{self.env['AWS_ENDPOINT_URL']}/lab/{path}", data=body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def forget(self) -> None:
        """Empties the account, in a fiftieth of the time of `close` (which has tests of its own), and forgets the results."""
        self.control("reset", controls=False)
        for left in (Path(self.env["HOME"]) / ".ssh/experiments.spot", self.folder / "results"):
            shutil.rmtree(left, ignore_errors=True)

    def changing_calls(self) -> list[str]:
        return [call["action"] for call in self.control("calls?mutating=true")]


def until(what: Callable[[], T], seconds: float = 300) -> T:
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.CalledProcessError, json.JSONDecodeError, LookupError):
            if found := what():
                return found
        time.sleep(0.5)
    raise AssertionError(f"it did not come within {seconds} s")


def interrupt(user: User, instance: str, notice: int = 0) -> None:
    user.control("interrupt", instance_id=instance, notice=notice)


@pytest.fixture(scope="session")
def lab_env() -> Iterator[dict[str, str]]:
    lab("up", "--name", LAB_NAME)
    yield parse_env(lab("env", "--name", LAB_NAME))
    lab("down", "--name", LAB_NAME)


@pytest.fixture(scope="module")
def user(lab_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    home = tmp_path_factory.mktemp("u")
    folder = home / "work"
    (folder / "profiles").mkdir(parents=True)
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ANSIBLE_", "EXPERIMENTS_SPOT_", "PYTHON"))
    }
    env = clean | lab_env | {
        "HOME": str(home),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOME": str(home / ".ansible"),
    }  # fmt: skip
    user = User(folder, env)
    yield user
    user.forget()


@pytest.fixture
def machines(user: User) -> Iterator[User]:
    """A user with a profile of bare machines; all that was launched is gone afterwards."""
    (user.folder / "profiles/machines.yml").write_text(MACHINES)
    yield user
    user.forget()


@pytest.fixture(autouse=True)
def no_faults(user: User) -> Iterator[None]:
    yield
    user.control("reset", controls=True)
