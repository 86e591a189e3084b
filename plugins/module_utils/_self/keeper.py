# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looks after an instance that sets itself up: runs the roles, watches the job, ends the fleet when nothing follows.

Part of what an instance in recovery mode `self` runs, from the bundle. The order at the end is what keeps a fleet from
going on for ever: what is known is written down first, then the fleet is deleted, then the machine is powered off.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Callable

from .._job import remote
from .._job.state import summary
from .._notice import imds
from .._notice.ec2 import ApiError
from . import fleet, loader, state
from .loader import say
from .store import Store, StoreError

PLAYBOOK = "experiments.spot.self"
SPEC = "spot.json"
SECRETS = "secrets.json"
VARIABLES = "/run/experiments-spot-self.json"
# Seconds before a second and a third try of the roles.
PAUSES = (10, 30)
PERIOD = 5
# Lines of the output that are kept for the message.
TAIL = 60
# An end that is AWS's, not the job's: the next generation goes on.
TAKEN = ("interrupted",)


class Hopeless(Exception):
    """What this instance needs has not worked for longer than it may cost."""


@dataclass
class Machine:
    """What a keeper does to the machine; tests put their own in."""

    run: Callable[[list[str]], tuple[int, str, str]]
    play: Callable[[list[str]], tuple[int, list[str]]]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


def run(argv: list[str]) -> tuple[int, str, str]:
    """A command: exit code, output, errors."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return done.returncode, done.stdout, done.stderr


def play(argv: list[str]) -> tuple[int, list[str]]:
    """A command whose output is shown as it comes: exit code and the end of the output."""
    lines: collections.deque[str] = collections.deque(maxlen=TAIL)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        for line in child.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip())
    return child.returncode, list(lines)


def reason(lines: list[str]) -> str:
    """Why a playbook failed, in one line."""
    errors = [line for line in lines if line.startswith("[ERROR]")] or [line for line in lines if "FAILED!" in line]
    told = errors or [line for line in lines if line.strip() and not line.startswith(("PLAY", "localhost"))]
    return (errors[0] if errors else told[-1]).strip()[:500] if told else "no output"


class Keeper:
    """One instance of the experiment."""

    def __init__(self, config: dict[str, Any], folder: str, store: Store, machine: Machine) -> None:
        self.config = config
        self.folder = folder
        self.store = store
        self.machine = machine
        self.imds = store.imds
        self.spec = _read(f"{folder}/{SPEC}")
        self.document: dict[str, Any] = {}

    def work(self) -> int:
        """The whole life of the instance, which ends where AWS or the bucket are out of reach for too long."""
        try:
            return self.live()
        except Hopeless as error:
            say(f"powering off; if the fleet still stands, it launches another instance: {error}")
            return self.power_off()

    def live(self) -> int:
        """Set up, watch the job, end.

        Raises:
            Hopeless: see `patiently`.
        """
        instance_id = self.patiently(lambda: self.imds.text("instance-id") or "", "the metadata service")
        found = self.patiently(lambda: self.store.read(state.NAME), "the state of the experiment")
        self.document, why = state.begin(found, instance_id, self.bounds(), self.machine.now())
        self.note(self.document)
        if why:
            say(f"nothing is set up here: {why}")
            return self.end(power_off=True)
        say(f"{instance_id} is generation {self.document['generation']} of {self.config['experiment']}")
        if not self.set_up():
            return self.fail()
        self.note(state.running(self.document, self.machine.now()))
        return self.watch()

    def bounds(self) -> state.Bounds:
        """What the profile allows."""
        recovery = self.spec["spot"]["profile"]["recovery"]
        return state.Bounds(recovery["max_generations"], recovery["deadline"])

    # Setting up

    def set_up(self) -> bool:
        """Run the roles, some times if need be; False when they do not succeed."""
        for pause in (*PAUSES, 0):
            error = self.try_once()
            if not error or self.is_taken():
                return not error
            say(f"could not be set up: {error}")
            self.document["message"] = error
            self.machine.sleep(pause)
        return False

    def try_once(self) -> str:
        """Run the roles; why they failed, '' when they did not."""
        try:
            _write(VARIABLES, self.variables())
        except (StoreError, imds.ImdsError, OSError) as error:
            return str(error)
        python = [sys.executable, "-u", "-m", "ansible.cli.playbook"]
        code, lines = self.machine.play([*python, "-i", "localhost,", "-e", f"@{VARIABLES}", PLAYBOOK])
        return "" if code == 0 else reason(lines)

    def variables(self) -> dict[str, Any]:
        """What the playbook gets: the profile with its secrets, the plan, and what this instance knows of itself.

        Raises:
            StoreError, ImdsError: it cannot be read.
        """
        secrets = self.store.read(SECRETS) or {}
        spot, plan = dict(self.spec["spot"]), dict(self.spec["spot_plan"])
        job, recovery = spot["profile"]["job"], {**spot["profile"]["recovery"], "webhook": secrets.get("webhook")}
        own = {"env": secrets.get("env") or {}, "registry_password": secrets.get("registry_password")}
        job = {**job, **own} if job else job
        code = spot["profile"].get("code")
        code = {**code, "token": secrets.get("code_token")} if code else code
        profile = {**spot["profile"], "recovery": recovery, "job": job, "code": code}
        tags = {**plan["tags"], "spot:generation": str(self.document["generation"])}
        return {
            "spot": {**spot, "profile": profile},
            "spot_plan": {**plan, "tags": tags, "former_instance_ids": self.document["former"]},
            "spot_self": {
                "folder": self.folder,
                "endpoint": self.config.get("endpoint") or "",
                "deploy_key": secrets.get("deploy_key") or "",
            },
            "spot_instance_id": self.document["instance_id"],
            "spot_instance_type": self.imds.text("instance-type") or "",
            "spot_zone": self.imds.text("placement/availability-zone") or "",
            "spot_lifecycle": self.imds.text("instance-life-cycle") or "",
            "spot_image_id": self.imds.text("ami-id") or "",
            "spot_launch_time": self.document["since"].replace("Z", "+0000"),
            "spot_generation": self.document["generation"],
        }

    def fail(self) -> int:
        """After a set-up that did not succeed: the next instance may try, unless too many have failed."""
        if self.is_taken():
            say("AWS takes this instance; the next one sets itself up")
            return self.rest()
        after = state.failed(self.document, self.document["message"], self.machine.now())
        self.note(after)
        if after["phase"] == state.GIVEN_UP:
            say(after["message"])
            return self.end(power_off=True)
        say("powering off; the fleet launches another instance")
        return self.power_off()

    # The job

    def watch(self) -> int:
        """Until the job is over."""
        while True:
            job = self.job()
            if self.is_over(job):
                break
            self.machine.sleep(PERIOD)
        if job.get("state") in TAKEN and not self.is_expired():
            say("AWS takes this instance; the next one goes on")
            return self.rest()
        say(f"the job {job.get('state')}")
        self.note(state.ended(self.document, job, self.machine.now()))
        at_end = (self.spec["spot"]["profile"]["job"] or {}).get("at_end")
        return self.end(power_off=at_end == "terminate")

    def job(self) -> dict[str, Any]:
        """What the job does now; a damaged ledger is no end of it."""
        document = remote.read_document()
        try:
            current = remote.read_current(self.machine.run, document.get("ledger"))
        except remote.RemoteError as error:
            say(str(error))
            return {"unit_active": True}
        return summary(current)

    def is_over(self, job: dict[str, Any]) -> bool:
        """Whether nothing runs any more; an experiment without a job is over when its time is."""
        if self.spec["spot"]["profile"]["job"] is None:
            return bool(remote.read_notice())
        return not job["unit_active"]

    def is_taken(self) -> bool:
        """Whether AWS has announced to take this instance."""
        return remote.read_notice().get("kind") in ("interruption", "rebalance")

    def is_expired(self) -> bool:
        """Whether the time limit or the idle limit is over: then nothing follows."""
        return remote.read_notice().get("kind") in ("expired", "idle")

    # The end

    def end(self, power_off: bool) -> int:
        """Delete the fleet, then power off if wanted. Without the right to delete it nothing is powered off before the
        time limit: the next instance would be no better."""
        endpoint = self.config.get("endpoint") or ""
        instance_id = self.document["instance_id"]
        gone = self.patiently(lambda: fleet.delete(self.imds, endpoint, instance_id), "the end of the fleet")
        say(f"{gone} is deleted")
        return self.power_off() if power_off else 0

    def power_off(self) -> int:
        """The launch template makes this the end of the instance."""
        self.machine.run(["systemctl", "poweroff"])
        return 0

    def rest(self) -> int:
        """Nothing is left to do here; the notice watcher does the rest."""
        return 0

    def note(self, document: dict[str, Any]) -> None:
        """Write down what the next instance must know."""
        self.document = document
        self.patiently(lambda: self.store.write(state.NAME, document), "the state of the experiment")

    def patiently(self, act: Callable[[], Any], what: str) -> Any:
        """Try until it works: what is not known now must not be guessed.

        Raises:
            Hopeless: it has not worked for `loader.LONGEST`.
        """
        pause, waited = 1.0, 0.0
        while True:
            try:
                return act()
            except (StoreError, imds.ImdsError, ApiError, fleet.FleetError) as error:
                if waited >= loader.LONGEST:
                    raise Hopeless(f"{what}: {error}") from error
                say(f"{what}: {error}; trying again in {pause:g} s")
                self.machine.sleep(pause)
                waited += pause
                pause = min(pause * 2, 300)


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as stream:
        return dict(json.load(stream))


def _write(path: str, document: dict[str, Any]) -> None:
    remote.write_file(path, json.dumps(document), 0o600)


def main(argv: list[str]) -> int:
    """Entry point: the configuration's path, the folder of the bundle."""
    config = loader.read_config(argv[1])
    store = loader.store_of(config, imds.Imds(imds.endpoint(None)))
    return Keeper(config, argv[2], store, Machine(run, play)).work()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
