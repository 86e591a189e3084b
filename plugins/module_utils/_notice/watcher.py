# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The notice watcher: asks the metadata service whether AWS takes this instance, and ends it when its time is over.

It runs on the instance as `python3 -m notice.watcher /etc/experiments-spot/notice.json`, the main process of the unit
experiments-spot-notice.service. It listens nowhere. A metadata service that does not answer is no notice: that is told
once, and asked again for ever.
Source: EC2 User Guide "Spot Instance interruption notices" (poll every 5 seconds), "EC2 instance rebalance
recommendations".
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from typing import Any

from . import clocks, ended, idle, news, steps, system
from .imds import Answer, Imds, ImdsError, endpoint
from .steps import Handler, State, say

EX_CONFIG = 78
BACKOFF_CAP = 30.0
# A notice of the same kind within this time is the same one, whatever its text.
SAME = 600.0
# So long after its time a notice that AWS withdrew is forgotten, and one that came to nothing no longer keeps the time
# limit from ending the instance.
GONE = 300.0
LATE = 60.0
RANKS = ("rebalance", "idle", "ended", "expired", "interruption")

DEFAULTS: dict[str, Any] = {
    "period": 5,
    "rebalance": "ignore",
    "expires": None,
    "end_after": {},
    "idle_limit": 0,
    "webhook": None,
    "volumes": [],
    "job_unit": "experiments-spot-job.service",
    "job_file": "/etc/experiments-spot/job.json",
    "grace": 60,
    "reserve": 20,
    "ledger": None,
    "state_file": steps.STATE_PATH,
    "experiment": None,
    "generation": None,
    "rank": None,
    "instance_id": None,
    "region": None,
    "detach": True,
    "imds_endpoint": None,
    "ec2_endpoint": None,
}


class ConfigError(Exception):
    """The configuration cannot be used."""


def load_config(path: str) -> dict[str, Any]:
    """The configuration with its defaults.

    Raises:
        ConfigError: missing, no JSON object, or a value that cannot be used.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no JSON object")
    config = {**DEFAULTS, **{key: value for key, value in found.items() if value is not None}}
    if config["expires"] is not None and clocks.parse_iso(config["expires"]) is None:
        raise ConfigError(f"{path}: expires {config['expires']!r} is no time such as 2026-01-02T03:04:05Z")
    if not isinstance(config["period"], (int, float)) or config["period"] <= 0:
        raise ConfigError(f"{path}: period {config['period']!r} is no number of seconds")
    return config


def parse_action(answer: Answer) -> dict[str, Any] | None:
    """The interruption notice, None when the answer is none that AWS gives."""
    try:
        found = json.loads(answer.body)
        action = found["action"]
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(action, str) or not action:
        return None
    time_given = found.get("time")
    when = time_given if clocks.parse_iso(time_given) is not None else None
    known = ("terminate", "stop", "hibernate")
    messages = [] if action in known else [f"AWS announces an unknown action, {action[:40]!r}"]
    return {"kind": "interruption", "action": action, "time": when, "id": digest(answer.body), "messages": messages}


def digest(body: str) -> str:
    """What a notice is recognised by."""
    return hashlib.sha256(body.encode()).hexdigest()


def is_same(state: State, notice: dict[str, Any], up: float) -> bool:
    """Whether a notice is the one of the state: the same text, or the same thing said again within minutes."""
    if state.get("id") == notice["id"]:
        return True
    if any(state.get(key) != notice[key] for key in ("kind", "action")):
        return False
    return notice["kind"] == "rebalance" or abs(up - float(state.get("deadline", 0.0))) < SAME


def rank(found: dict[str, Any]) -> int:
    """What counts more when there are several: AWS's end, then the time limit, then a recommendation."""
    return RANKS.index(found["kind"]) if found.get("kind") in RANKS else -1


def pause_after(period: float, failures: int) -> float:
    """Seconds until the next poll: the period, doubled for each failure in a row up to a cap."""
    return period if failures == 0 else max(period, min(BACKOFF_CAP, period * 2.0 ** min(failures - 1, 10)))


class Watcher:
    """The loop."""

    def __init__(self, config: dict[str, Any], imds: Imds) -> None:
        self.config = config
        self.imds = imds
        self.state: State = system.read_json(config["state_file"])
        self.aws = clocks.AwsClock()
        self.clock_file = f"{config['state_file'].removesuffix('.json')}.clock.json"
        expires = clocks.parse_iso(config["expires"])
        self.expiry = None if expires is None else clocks.Expiry(expires, system.read_json(self.clock_file))
        self.job_end = ended.JobEnd(dict(config["end_after"]), config["instance_id"])
        limit = float(config["idle_limit"])
        self.idleness = idle.Idleness(limit, str(config["job_unit"])) if limit > 0 else None
        self.failures = 0
        self.problem = ""
        self.cleared: float | None = None
        self.told: set[str] = set()
        self.next_look = 0.0

    # ---- asking

    def ask(self, path: str) -> Answer:
        """One path of the metadata service, which also tells AWS's time."""
        answer = self.imds.get(path)
        self.aws.told(answer.date, clocks.uptime())
        return answer

    def poll(self) -> dict[str, Any] | None:
        """The notice that counts now, with `left`, or None. A service that does not answer is no notice."""
        try:
            answer = self.ask("spot/instance-action")
            notice = self.interruption(answer) if answer.status == 200 else None
            if answer.status == 404:
                self.cleared = clocks.uptime()
            if notice is None:
                notice = self.recommendation(self.ask("events/recommendations/rebalance"))
        except ImdsError as error:
            self.failures += 1
            self.health(str(error))
            return None
        self.failures = 0
        self.health("")
        return notice

    def health(self, problem: str) -> None:
        """One line whenever the service begins or ends to fail, or fails otherwise."""
        if problem != self.problem:
            say(
                f"the metadata service fails: {problem}; asking on" if problem else "the metadata service answers again"
            )
        self.problem = problem

    def once(self, key: str, text: str) -> None:
        """One line, once."""
        if key not in self.told:
            self.told.add(key)
            say(text)

    def interruption(self, answer: Answer) -> dict[str, Any] | None:
        """The notice of an answer, with the seconds that it leaves."""
        notice = parse_action(answer)
        if notice is None:
            self.once(digest(answer.body), f"spot/instance-action is no notice: {answer.body[:100]!r}")
            return None
        up = clocks.uptime()
        clear = None if self.cleared is None else up - self.cleared
        sight = clocks.Sight(clocks.parse_iso(notice["time"]), self.aws.now(up), time.time(), clear)
        if clocks.is_stale(sight) and not is_same(self.state, notice, up):
            self.once(notice["id"], f"spot/instance-action is of {notice['time']}, long over: not a notice any more")
            return None
        return {**notice, "left": clocks.seconds_left(sight) if notice["action"] != "hibernate" else self.own_left()}

    def recommendation(self, answer: Answer) -> dict[str, Any] | None:
        """The rebalance recommendation, where it is to be followed."""
        if answer.status != 200:
            return None
        if self.config["rebalance"] != "act":
            self.once(digest(answer.body), "AWS recommends to leave this instance (rebalance); that is ignored here")
            return None
        found = {"kind": "rebalance", "action": "rebalance", "time": None, "id": digest(answer.body)}
        return {**found, "left": self.own_left()}

    def own_left(self) -> float:
        """Seconds to plan with where AWS sets no time (a hibernation begins at once, and ends as it began)."""
        return float(self.config["grace"]) + float(self.config["reserve"])

    def expired(self) -> dict[str, Any] | None:
        """The end of the time limit as a notice."""
        if self.expiry is None:
            return None
        up = clocks.uptime()
        before = self.expiry.memory
        is_over = self.expiry.reached(self.aws.now(up), time.time(), up)
        if self.expiry.memory != before:
            self.remember()
        if not is_over:
            return None
        text = clocks.iso(self.expiry.expires)
        found = {"kind": "expired", "action": "terminate", "time": text, "id": digest(f"expired {text}")}
        return {**found, "left": self.own_left()}

    def job_over(self) -> dict[str, Any] | None:
        """The end of the job, long enough ago, as a notice."""
        if not self.job_end.after:
            return None
        ledger = self.config["ledger"] or system.read_json(self.config["job_file"]).get("ledger")
        up = clocks.uptime()
        self.job_end.look(str(ledger), up)
        if not self.job_end.reached(up):
            return None
        text = self.job_end.text
        found = {"kind": "ended", "action": "terminate", "time": None, "id": digest(f"ended {text}")}
        return {**found, "left": self.own_left()}

    def unused(self) -> dict[str, Any] | None:
        """The end of an instance that nobody and nothing uses, as a notice."""
        if self.idleness is None or not self.idleness.reached(clocks.uptime()):
            return None
        text = f"idle limit: nobody and nothing has used the instance for {self.idleness.limit:.0f} s"
        found = {"kind": "idle", "action": "terminate", "time": None, "id": digest(text), "messages": [text]}
        return {**found, "left": self.own_left()}

    def remember(self) -> None:
        """Keep the uptime of the limit for the next watcher of this boot."""
        try:
            system.write_json(self.clock_file, self.expiry.memory if self.expiry else {})
        except OSError as error:
            self.once("clock", f"{self.clock_file} cannot be written: {error.strerror}")

    # ---- acting

    def handler(self) -> Handler:
        """The steps for the present state."""
        return Handler(self.config, self.imds, self.state, self.aws_now, self.look)

    def aws_now(self) -> float:
        """AWS's time, as well as it is known."""
        now = self.aws.now(clocks.uptime())
        return time.time() if now is None else now

    def begin(self, notice: dict[str, Any]) -> None:
        """A notice that is new: write it down and do the steps."""
        up = clocks.uptime()
        earlier = self.state
        self.state = steps.kept_end(steps.new_state(notice, notice["left"], self.config["volumes"], up), earlier)
        handler = self.handler()
        handler.save("noticed")
        at = f" at {notice['time']}" if notice["time"] else ""
        say(f"NOTICE: {notice['kind']} ({notice['action']}){at}, {notice['left']:.0f} s left")
        handler.handle()

    def look(self) -> None:
        """While a notice is handled: AWS may announce the end meanwhile, and that shortens the time."""
        if clocks.uptime() < self.next_look:
            return
        self.next_look = clocks.uptime() + self.config["period"]
        notice = self.poll() if self.state["kind"] != "interruption" else None
        if notice and rank(notice) > rank(self.state):
            say(f"NOTICE: {notice['action']} at {notice['time']}, while this is handled: {self.state['kind']}")
            self.state.update({key: notice[key] for key in ("kind", "action", "time", "id")})
            self.state["deadline"] = min(self.state["deadline"], round(clocks.uptime() + notice["left"], 1))

    def step(self) -> None:
        """One turn of the loop."""
        notice = self.poll()
        up = clocks.uptime()
        if notice and self.is_new(notice, up):
            self.begin(notice)
        elif notice is None and self.problem == "" and self.is_gone(up):
            say("the notice is gone and the instance is still here")
            steps.forget(self.config["state_file"])
            self.state = {}
        limit = self.expired() or self.job_over() or self.unused()
        if limit and self.is_new(limit, up):
            self.begin(limit)
        elif limit and self.state.get("kind") in steps.OWN_ENDS:
            self.handler().power_off()  # it was asked before and the machine is still here

    def is_new(self, notice: dict[str, Any], up: float) -> bool:
        """Whether to act: not twice on one notice, and on no lesser one after AWS's own."""
        if not self.state:
            return True
        if is_same(self.state, notice, up):
            return False
        if rank(notice) >= rank(self.state):
            return True
        return notice["kind"] in steps.OWN_ENDS and up > float(self.state.get("deadline", 0.0)) + LATE

    def is_gone(self, up: float) -> bool:
        """Whether AWS withdrew an interruption whose time is over (a hibernation ended, a termination failed)."""
        if self.state.get("kind") != "interruption" or not steps.is_over(self.state):
            return False
        return up > float(self.state.get("deadline", 0.0)) + GONE

    def run(self) -> None:
        """For ever."""
        if not steps.is_over(self.state):
            say(f"going on with the notice of {self.state.get('seen')} in phase {self.state.get('phase')}")
            self.handler().handle()
        while True:
            self.step()
            time.sleep(pause_after(float(self.config["period"]), self.failures))


def main(argv: list[str]) -> int:
    """Entry point; ends only when the configuration cannot be used."""
    try:
        config = load_config(argv[1] if len(argv) > 1 else "/etc/experiments-spot/notice.json")
    except ConfigError as error:
        say(str(error))
        return EX_CONFIG
    watcher = Watcher(config, Imds(endpoint(config["imds_endpoint"])))
    system.tell_systemd("READY=1")
    say(f"watching {watcher.imds.base} every {config['period']:g} s, time limit {config['expires'] or 'none'}")
    news.begin(config)
    watcher.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
