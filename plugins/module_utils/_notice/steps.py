# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done on a notice, in order and within the time left.

Part of the notice watcher on the instance. Every phase is in the state file before its work begins and every step may
be done twice, so that a watcher that is started again goes on where the former one ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Callable

from . import clocks, ec2, system
from .imds import Imds, ImdsError

SCHEMA = 1
STATE_PATH = "/run/experiments-spot/notice.json"
# Seconds that the engine and the runner get beyond the grace, and after a kill.
SLACK = 8.0
PAUSE = 0.2
# Of what may pass, and the seconds between two.
ATTEMPTS = 3
RETRY = 1.0
# What remains for the last resort when a mount stays busy, at most a fifth of the time there was.
LAST = 4.0
# For one mount below a volume: a network file system may be waiting for its server.
BELOW = 5.0
KEPT_NOTICES = 50
# The pusher of results, where it is set up; and the time that it gets beyond a time limit, which AWS does not set.
RESULTS_CONFIG = "/etc/experiments-spot/results.json"
RESULTS_STATUS = "/var/lib/experiments-spot/results.json"
RESULTS_UNITS = ("experiments-spot-results.timer", "experiments-spot-results@periodic.service")
RESULTS_UNIT = "experiments-spot-results@notice.service"
RESULTS_TIME = 300.0
OPEN = ("active", "activating", "deactivating", "reloading")
OVER = ("done", "failed")
# Ends that this machine brings about: the time limit, the idle limit, and the end of the job.
OWN_ENDS = ("expired", "idle", "ended")
# In recovery mode self it ends the fleet, which would replace this instance; so long it may take for that.
KEEPER_UNIT = "experiments-spot-self.service"
KEEPER_TIME = 120.0
RUN_KEYS: tuple[str, ...] = ("spec_sha256", "instance_id", "generation", "rank", "image")
RUN_KEYS += ("state", "exit_code", "message", "started", "finished", "matrix")

State = dict[str, Any]


def say(text: str) -> None:
    """One line in the journal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def new_state(notice: dict[str, Any], left: float, volumes: list[dict[str, str]], up: float) -> State:
    """The state of a notice that was seen now.

    Args:
        notice: kind, action, time and id.
        left: seconds until AWS acts, or that are planned with.
        volumes: volume_id and mount_point each.
        up: seconds since boot.
    """
    return {
        "schema": SCHEMA,
        "kind": notice["kind"],
        "action": notice["action"],
        "time": notice["time"],
        "seen": clocks.iso(time.time()),
        "phase": "noticed",
        "job": None,
        "volumes": [{**volume, "state": "mounted"} for volume in volumes],
        "messages": list(notice.get("messages", [])),
        "id": notice["id"],
        "planned": round(left, 1),
        "deadline": round(up + left, 1),
        "grace": 0,
    }


def kept_end(state: State, earlier: State) -> State:
    """A new notice on an instance that handled one already: what became of the job then still counts."""
    if earlier.get("job") in ("stopped", "killed"):
        return {**state, **{key: earlier[key] for key in ("job", "run") if key in earlier}}
    return state


class Handler:
    """The steps of one notice.

    Args:
        config: the watcher's configuration.
        imds: for credentials and for a notice that comes while one is handled.
        state: see `new_state`.
        aws_now: AWS's time.
        look: is called while the job ends; it may shorten the deadline in the state.
    """

    def __init__(
        self,
        config: dict[str, Any],
        imds: Imds,
        state: State,
        aws_now: Callable[[], float] = time.time,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.imds = imds
        self.state = state
        self.aws_now = aws_now
        self.look = look
        self.job = system.read_json(str(config["job_file"]))
        self.unit = str(config["job_unit"])
        self.last = min(LAST, float(state.get("planned") or 0) / 5)

    # ---- what the steps share

    def left(self) -> float:
        """Seconds until AWS acts."""
        return float(self.state["deadline"]) - clocks.uptime()

    def save(self, phase: str | None = None) -> None:
        """Write the state file; where that fails the work goes on."""
        self.state["phase"] = phase or self.state["phase"]
        try:
            system.write_json(str(self.config["state_file"]), self.state)
        except OSError as error:
            say(f"{self.config['state_file']} cannot be written: {error.strerror}")

    def note(self, text: str) -> None:
        """One message, in the state and in the journal."""
        if text not in self.state["messages"]:
            self.state["messages"].append(text)
            say(text)

    @staticmethod
    def ends(unit: str, over: Callable[[], bool]) -> bool:
        """Whether a unit ends before the wait is over."""
        while system.unit_state(unit) in OPEN:
            if over():
                return False
            time.sleep(PAUSE)
        return True

    def left_after_look(self) -> float:
        """Seconds until AWS acts, also where it has only now announced to."""
        self.look()
        return self.left()

    def again(self, attempt: int) -> bool:
        """Whether there is to be an attempt after this one, counted from 1; then its time has come."""
        if attempt == ATTEMPTS or self.left() < self.last:
            return False
        time.sleep(RETRY)
        return True

    def handle(self) -> None:
        """All steps from the phase of the state on. One that fails is told, and the next one is done."""
        steps = (
            ("stop", self.stop_job),
            ("flush", self.flush),
            ("push", self.push_results),
            ("unmount", self.unmount),
            ("detach", self.detach),
        )
        begin = {"stopping": 0, "flushing": 1, "pushing": 2, "unmounting": 3, "unmounted": 4, "detached": 5}
        for phase, step in steps[begin.get(self.state["phase"], 0) :]:
            self.guarded(phase, step)
        self.guarded("finish", self.finish)

    def guarded(self, name: str, step: Callable[[], None]) -> None:
        """A step that cannot end the watcher."""
        try:
            step()
        except Exception as error:  # whatever fails, the next step may still save the data
            self.note(f"{name}: {type(error).__name__}: {error}")

    # ---- the job

    def stop_job(self) -> None:
        """SIGTERM with the grace that the time left allows, then SIGKILL."""
        resumed = self.state["phase"] == "stopping"
        state = system.unit_state(self.unit)
        if state not in OPEN:
            was_ours = resumed or self.state["job"] in ("stopped", "killed")
            self.state["job"] = (self.state["job"] or "stopped") if was_ours else "ended" if state else "none"
            return
        grace = clocks.grace_within(self.left(), float(self.config["grace"]), float(self.config["reserve"]))
        self.state["grace"] = int(grace)
        self.state["container"] = system.container_id(str(self.job.get("container") or ""))
        self.save("stopping")
        say(f"stopping {self.unit}, it has {grace:.0f} s")
        # Without waiting: systemd's own limit may be longer than the time that is left.
        rc, out = system.run(["systemctl", "stop", "--no-block", self.unit], 10)
        if rc:
            self.note(f"systemctl stop {self.unit}: {out}")
        until = clocks.uptime() + grace + min(SLACK, max(1.0, self.left() / 4))
        self.state["job"] = "stopped" if self.wait_for_end(until) else self.kill_job(grace)

    def wait_for_end(self, until: float) -> bool:
        """Whether the job's unit ends before then, or before the time is over."""
        return self.ends(self.unit, lambda: clocks.uptime() >= until or self.left_after_look() <= self.last)

    def kill_job(self, grace: float) -> str:
        """SIGKILL to the container, so that the runner can still write the ledger; then to the whole unit."""
        self.note(f"{self.unit} did not end within {grace:.0f} s and was killed")
        system.kill_container(str(self.state.get("container") or ""))
        if not self.wait_for_end(clocks.uptime() + SLACK / 2):
            system.run(["systemctl", "kill", "--signal=SIGKILL", self.unit], 5)
            self.wait_for_end(clocks.uptime() + SLACK / 4)
        return "killed"

    # ---- ledger and flush

    def flush(self) -> None:
        """Keep what the ledger says, add the notice to it, and write everything to the volumes."""
        self.save("flushing")
        path = self.config.get("ledger") or self.job.get("ledger")
        if path:
            self.write_ledger(str(path))
        for volume in self.mounted():
            rc, out = system.run(["sync", "-f", volume["mount_point"]], max(2.0, self.left() / 2))
            if rc:
                self.note(f"sync of {volume['mount_point']}: {out}")

    def write_ledger(self, path: str) -> None:
        """The last run goes into the state file, for the ledger may be unmounted soon; the notice into the ledger."""
        try:
            with open(path, encoding="utf-8") as stream:
                ledger = json.load(stream)
            last = ledger["runs"][-1]
            self.state["run"] = {key: last.get(key) for key in RUN_KEYS}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return
        if self.state["run"]["exit_code"] == 137 and self.state["job"] == "stopped":
            self.state["job"] = "killed"
            self.note(f"the job did not end within {self.state['grace']} s of grace and was killed")
        if system.unit_state(self.unit) in OPEN:
            return  # two writers would lose each other's entries
        keys = ("kind", "action", "time", "seen", "job", "id")
        entry = {**{key: self.state[key] for key in keys}, "instance_id": self.config.get("instance_id")}
        notices = [old for old in ledger.get("notices", []) if old.get("id") != entry["id"]]
        try:
            system.write_json(path, {**ledger, "notices": [*notices, entry][-KEPT_NOTICES:]}, sync=True)
        except OSError as error:
            self.note(f"the ledger {path} cannot be written: {error.strerror}")

    # ---- results

    def push_results(self) -> None:
        """Send what is new to the bucket, as far as the time goes; the pusher keeps some of it for the volumes."""
        if not os.path.exists(RESULTS_CONFIG):
            return
        if self.state["kind"] in OWN_ENDS and self.state["phase"] != "pushing":
            self.state["deadline"] = round(float(self.state["deadline"]) + RESULTS_TIME, 1)
        self.save("pushing")
        system.run(["systemctl", "stop", "--no-block", *RESULTS_UNITS], 5)
        rc, out = system.run(["systemctl", "start", "--no-block", RESULTS_UNIT], 10)
        if rc:
            self.note(f"results: systemctl start {RESULTS_UNIT}: {out}")
            return
        if not self.ends(RESULTS_UNIT, lambda: self.left_after_look() <= self.last + SLACK):
            system.run(["systemctl", "kill", "--signal=SIGKILL", RESULTS_UNIT], 5)
            self.note("results: the time was over")
            return
        told = system.read_json(RESULTS_STATUS)
        self.state["results"] = {key: told.get(key) for key in ("files", "bytes", "left", "failed", "message")}
        if told.get("message"):
            self.note(f"results: {told['message']}")

    # ---- volumes

    def mounted(self) -> list[dict[str, Any]]:
        """Volumes that are mounted, the deepest first."""
        volumes = sorted(self.state["volumes"], key=lambda volume: -volume["mount_point"].count("/"))
        return [volume for volume in volumes if system.mount_at(volume["mount_point"])]

    def unmount(self) -> None:
        """Unmount all volumes; a busy one is tried again until the time is nearly over, then made safe where it is."""
        self.save("unmounting")
        for volume in self.state["volumes"]:
            volume["state"] = "busy" if system.mount_at(volume["mount_point"]) else "unmounted"
        devices = {volume["mount_point"]: system.mount_at(volume["mount_point"]) for volume in self.state["volumes"]}
        while True:
            for volume in self.mounted():
                self.unmount_one(volume)
            self.free(devices)
            busy = [volume for volume in self.state["volumes"] if volume["state"] == "busy"]
            if not busy or self.left() <= self.last:
                break
            self.save()
            self.look()
            time.sleep(min(RETRY, max(0.0, self.left() - self.last)))
        for volume in self.mounted():
            self.make_safe(volume["mount_point"])
        if all(volume["state"] == "unmounted" for volume in self.state["volumes"]):
            self.save("unmounted")

    def unmount_one(self, volume: dict[str, Any]) -> None:
        """One attempt; what is mounted below it, such as a file system of the network, goes first."""
        point = volume["mount_point"]
        for inner in reversed(system.mounts_below(point)):
            system.unmount(inner, min(BELOW, max(2.0, self.left() - self.last)))
        below = system.mounts_below(point)
        if below:
            self.note(f"{point} is busy: other file systems are mounted below it: {', '.join(below)}")
        said = system.unmount(point, max(2.0, self.left() - self.last))
        if said and system.mount_at(point) and not self.name_holders(point):
            self.note(f"{point} was not unmounted: {said}")

    def name_holders(self, point: str) -> list[system.Holder]:
        """Who keeps a mount busy: told, and killed when it belongs to the job."""
        mount = system.mount_at(point)
        return self.tell_holders(point, mount.device) if mount else []

    def tell_holders(self, point: str, device: str) -> list[system.Holder]:
        """Who uses a file system: told, and killed when it belongs to the job."""
        found = system.holders(device, [self.unit, str(self.state.get("container") or "")])
        if found:
            self.note(f"{point} is busy: {', '.join(map(str, found[:5]))}")
        for holder in found:
            if holder.ours:
                self.note(f"killed {holder.name} (pid {holder.pid}) of the job")
                system.kill(holder.pid)
        return found

    def free(self, devices: dict[str, system.Mount | None]) -> None:
        """A volume is unmounted when no container has it mounted any more either."""
        for volume in self.state["volumes"]:
            point = volume["mount_point"]
            mount = devices[point]
            if volume["state"] != "busy" or system.mount_at(point):
                continue
            if mount is None or not self.tell_holders(point, mount.device):
                volume["state"] = "unmounted"
                say(f"{point} is unmounted")

    def make_safe(self, point: str) -> None:
        """The last resort of a mount that stays busy: read-only, so that what is on it is whole."""
        rc, out = system.run(["mount", "-o", "remount,ro", point], max(1.0, self.left() / 2))
        system.run(["sync", "-f", point], max(1.0, self.left()))
        self.note(f"{point} is still busy and was " + ("made read-only" if rc == 0 else f"only written out ({out})"))

    # ---- AWS

    def detach(self) -> None:
        """Detach by the instance's role where it has one, so that the next generation need not wait for the end."""
        if self.state["action"] in ("stop", "hibernate") or not self.config.get("detach", True):
            return  # such an instance comes back and expects its volumes
        volumes = [volume for volume in self.state["volumes"] if volume["state"] == "unmounted"]
        if not volumes:
            return
        caller = self.caller()
        if caller is None:
            return
        for volume in volumes:
            self.detach_one(caller, volume)
        if all(volume["state"] == "detached" for volume in self.state["volumes"]):
            self.save("detached")

    def caller(self) -> ec2.Caller | None:
        """The role's credentials; without them AWS detaches when the instance ends."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = ec2.caller_of(self.imds, self.config.get("region"), self.config.get("ec2_endpoint"))
                if found is None:
                    self.note("not detached by the instance: it has no role; AWS detaches when the instance ends")
                return found
            except ImdsError as error:
                if not self.again(attempt):
                    self.note(f"not detached by the instance: the metadata service: {error}")
                    return None
        return None

    def detach_one(self, caller: ec2.Caller, volume: dict[str, Any]) -> None:
        """One volume; what may pass is tried again."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                ec2.detach_volume(caller, volume["volume_id"], str(self.config["instance_id"] or ""), self.aws_now())
                volume["state"] = "detached"
                say(f"{volume['volume_id']} is being detached")
                return
            except ec2.ApiError as error:
                if not error.passes or not self.again(attempt):
                    self.note(f"{volume['volume_id']} was not detached: {error}")
                    return

    def finish(self) -> None:
        """Tell the webhook and say how it ended; an end of our own is the end of the machine."""
        unit_runs = system.unit_state(self.unit) in OPEN
        busy = [volume for volume in self.state["volumes"] if volume["state"] in ("mounted", "busy")]
        self.state["finished"] = clocks.iso(time.time())
        phase = "failed" if unit_runs or busy else "done"
        if self.config.get("webhook"):
            self.guarded("webhook", lambda: self.tell(phase))
        self.save(phase)
        say(f"{phase}: job {self.state['job']}, {len(busy)} volumes busy, {self.left():.0f} s before the time is over")
        if self.state["kind"] in OWN_ENDS:
            self.wait_for_keeper()
            self.power_off()

    def wait_for_keeper(self) -> None:
        """Let the keeper of an instance that sets itself up end the fleet first."""
        until = clocks.uptime() + KEEPER_TIME
        if not self.ends(KEEPER_UNIT, lambda: clocks.uptime() >= until):
            self.note(f"{KEEPER_UNIT} has not ended the fleet within {KEEPER_TIME:.0f} s")
            self.save()

    def power_off(self) -> None:
        """The end of the machine, which the launch template makes the end of the instance."""
        rc, out = system.run(["systemctl", "poweroff"], 30)
        if rc:
            self.note(f"systemctl poweroff: {out}")

    def tell(self, phase: str) -> None:
        """POST of the state and of who is meant."""
        identity = {key: self.config.get(key) for key in ("experiment", "generation", "rank", "instance_id")}
        keys = ("schema", "kind", "action", "time", "seen", "job", "volumes", "messages")
        document = {**identity, **{key: self.state[key] for key in keys}, "phase": phase}
        try:
            ec2.tell(str(self.config["webhook"]), document)
        except ec2.ApiError as error:
            self.note(f"webhook {error}")


def is_over(state: State) -> bool:
    """Whether nothing of a notice remains to be done."""
    return not state or state.get("phase") in OVER


def forget(path: str) -> None:
    """The notice is gone: its state becomes the last one."""
    try:
        os.replace(path, f"{path.removesuffix('.json')}.last.json")
    except OSError:
        return
