# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""News of the job for the webhook: its start and its end, told by the instance, with every machine of the user off.

Part of the notice watcher on the instance. What AWS does is told by the steps of a notice, not here. It works in a
thread of its own: a ledger on a file system whose server is gone, or a receiver that is slow, must not hide a notice.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from . import ec2, ended, system
from .steps import say

Document = dict[str, Any]

# Seconds between two looks, and tries for one news.
LOOK = 1.0
TRIES = 3
RUN_KEYS = ("state", "exit_code", "message", "started", "finished")
WHO_KEYS = ("experiment", "generation", "rank", "instance_id")


def kinds(run: Document) -> list[str]:
    """What a run gives to tell, in order; an end that AWS or the user made is no news of the job."""
    state, ran = run.get("state"), run.get("exit_code") is not None
    if state == "running":
        return ["start"]
    if state == "succeeded":
        return ["start", "end"]
    return [*(["start"] if ran else []), "failure"] if state == "failed" else []


class News:
    """What has been told of the runs of this instance.

    Args:
        config: of the watcher.
        path: file that keeps what was told, for a watcher that starts again.
        tell: see `ec2.tell`.
    """

    def __init__(self, config: Document, path: str, tell: Callable[[str, Document], None] = ec2.tell) -> None:
        self.config, self.path, self.tell = config, path, tell
        found = system.read_json(path)
        self.told: list[str] = [str(one) for one in found.get("told") or []]
        self.tries = 0

    def look(self) -> None:
        """Tell what is new; what cannot be told now is tried again at the next look, `TRIES` times."""
        config = self.config
        ledger = config["ledger"] or system.read_json(config["job_file"]).get("ledger")
        run = ended.last_run(system.read_json(str(ledger)), config["instance_id"]) if ledger else None
        for kind in kinds(run or {}):
            key = f"{kind} {(run or {}).get('started')}"
            if key not in self.told and not self.try_one(kind, run or {}):
                return
            self.remember(key)

    def try_one(self, kind: str, run: Document) -> bool:
        """Whether there is nothing more to try for one news."""
        who = {key: self.config.get(key) for key in WHO_KEYS}
        try:
            self.tell(str(self.config["webhook"]), {**who, "kind": kind, **{key: run.get(key) for key in RUN_KEYS}})
        except ec2.ApiError as error:
            self.tries += 1
            if self.tries < TRIES:
                return False
            say(f"webhook: the {kind} of the job was not told: {error}")
        self.tries = 0
        return True

    def remember(self, key: str) -> None:
        """Keep what was told; a file that cannot be written costs a news told twice, no more."""
        if key in self.told:
            return
        self.told = [*self.told, key][-20:]
        try:
            system.write_json(self.path, {"told": self.told})
        except OSError as error:
            say(f"{self.path} cannot be written: {error.strerror}")

    def run(self) -> None:
        """For ever; where there is a webhook."""
        while True:
            self.look()
            time.sleep(LOOK)


def begin(config: Document) -> None:
    """Tell news in the background, if there is somebody to tell them to."""
    if config["webhook"]:
        path = f"{config['state_file'].removesuffix('.json')}.news.json"
        threading.Thread(target=News(config, path).run, daemon=True).start()
