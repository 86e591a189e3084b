# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Brings the results of an experiment from their bucket; documentation in modules/results_pull.py."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.action.self_bundle import SPEC as AWS_SPEC
from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._results import fetch, plan
from ansible_collections.experiments.spot.plugins.module_utils._results.store import Store, StoreError
from ansible_collections.experiments.spot.plugins.plugin_utils import _aws
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Clock,
    Heartbeat,
    duration,
    is_quiet,
    size,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import rank_path

with contextlib.suppress(ImportError):  # amazon.aws says what to install.
    from botocore.exceptions import BotoCoreError, ClientError

display = Display()
# Again with a new manifest, when a push went on meanwhile.
TRIES = 3
OWN_OPTIONS = ("state", "bucket", "experiment", "spot", "plan", "begin")
SPEC: dict[str, Any] = {
    "bucket": {"type": "str", "required": True},
    "experiment": {"type": "str", "required": True},
    "local_path": {"type": "str", "required": True},
    "ranks": {"type": "list", "elements": "int", "default": [0]},
    "count": {"type": "int", "default": 1},
    "required": {"type": "bool", "default": False},
    "quiet": {"type": "bool"},
    **{name: option for name, option in AWS_SPEC.items() if name not in OWN_OPTIONS},
}


@dataclass
class Pull:
    """The results of one instance.

    Attributes:
        place: where they are.
        folder: where they go.
        files: of the manifest.
        todo: what is not there yet.
        manifest: see `plan.manifest`, {} where there is none.
    """

    place: plan.Place
    folder: str
    manifest: dict[str, Any] = field(default_factory=dict)
    todo: list[tuple[dict[str, Any], str]] = field(default_factory=list)

    def look(self, store: Store) -> None:
        """Read the manifest and compare it with what is here.

        Raises:
            StoreError, PlanError: it cannot be read.
        """
        data = store.read(self.place.key(plan.LATEST))
        self.manifest = plan.parse(data, store.url(self.place.key(plan.LATEST))) if data else {}
        files = self.manifest.get("files", [])
        single = len(self.manifest.get("directories", {})) < 2
        self.todo = fetch.wanted(files, lambda one: fetch.target_of(one, self.folder, single))


def check_folder(folder: str) -> None:
    """Stop where nothing could be written, before anything is fetched.

    Raises:
        AnsibleActionFail: see there.
    """
    place = folder.rstrip("/") or "/"
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise AnsibleActionFail(f"results.pull: {place} is not a directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise AnsibleActionFail(f"results.pull: {place} cannot be written to; check its permissions")


def check_space(pulls: list[Pull]) -> None:
    """Stop where there is not room for all of it.

    Raises:
        AnsibleActionFail: see there.
    """
    place = pulls[0].folder
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    found = os.statvfs(place)
    free, needed = found.f_bavail * found.f_frsize, sum(one["size"] for pull in pulls for one, _path in pull.todo)
    if needed > free:
        raise AnsibleActionFail(f"results.pull: {place} has {size(free)} free, the results need {size(needed)}")


class Shown:
    """Progress lines of a pull, from a thread of their own."""

    def __init__(self, url: str, tally: fetch.Tally, say: Callable[[str], None], clock: Clock) -> None:
        self.url, self.tally, self.say, self.clock = url, tally, say, clock
        self.began = clock.now()
        self.heartbeat = Heartbeat(self.began)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Shown:
        self.thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.over.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.over.wait(0.5):
            if self.heartbeat.due(self.clock.now()):
                self.say(self.line())

    def line(self) -> str:
        """How far it is."""
        tally, elapsed = self.tally, max(0.001, self.clock.now() - self.began)
        done = f"{tally.files} of {tally.total_files} files, {size(tally.bytes)} of {size(tally.total_bytes)}"
        return f"{self.url}: {done}, {size(tally.bytes / elapsed)}/s {duration(elapsed)}"


class ActionModule(ActionBase):
    """Runs on the controller; no instance is needed."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(argument_spec=SPEC)
        folder = os.path.abspath(os.path.expanduser(args["local_path"]))
        check_folder(folder)
        pulls = [
            Pull(plan.place_of(args["bucket"], args["experiment"], rank, args["count"]),
                 rank_path(folder, rank, args["count"]))
            for rank in args["ranks"]
        ]  # fmt: skip
        try:
            store = Store(client(args), pulls[0].place.bucket)
            return {**result, **self._pull(store, pulls, args)}
        except (StoreError, plan.PlanError) as error:
            raise AnsibleActionFail(f"results: {error}") from None
        except (ClientError, BotoCoreError) as error:
            raise AnsibleActionFail(_aws_errors.explain(error, f"use {pulls[0].place.url}")) from None

    def _pull(self, store: Store, pulls: list[Pull], args: dict[str, Any]) -> dict[str, Any]:
        say = (lambda _line: None) if is_quiet(args["quiet"], os.environ) else display.display
        clock, tally = Clock(), fetch.Tally()
        look(store, pulls)
        missing = [pull for pull in pulls if not pull.manifest]
        if args["required"] and missing:
            raise AnsibleActionFail(
                f"results: {missing[0].place.url} holds none; ansible-playbook status.yml tells why"
            )
        names = [path for pull in pulls for _one, path in pull.todo]
        if self._task.check_mode:
            return answer(pulls, tally, names, 0.0, self._task.diff)
        check_space(pulls)
        with Shown(pulls[0].place.url, tally, say, clock) as shown:
            work(store, pulls, tally)
        if names:
            say(shown.line())
        stop_for(tally, pulls)
        return answer(pulls, tally, names, clock.now() - shown.began, self._task.diff)


def client(args: Mapping[str, Any]) -> Any:
    """A client of the controller's credentials; a bucket in another region is found by itself."""
    return _aws.client("s3", "results_pull", args)[0]


def look(store: Store, pulls: list[Pull]) -> None:
    """Read all manifests at the same time."""
    with ThreadPoolExecutor(max(1, len(pulls))) as pool:
        list(pool.map(lambda pull: pull.look(store), pulls))


def work(store: Store, pulls: list[Pull], tally: fetch.Tally) -> None:
    """Fetch; what a push has replaced meanwhile is looked up again."""
    for _attempt in range(TRIES):
        tally.failed.clear()
        for pull in pulls:
            fetch.Fetcher(store, pull.place.prefix, tally).fetch(pull.todo)
        if not any("NoSuchKey" in why or "is damaged" in why for why in tally.failed.values()):
            return
        look(store, pulls)


def stop_for(tally: fetch.Tally, pulls: list[Pull]) -> None:
    """End with what failed.

    Raises:
        AnsibleActionFail: not everything arrived.
    """
    if not tally.failed:
        return
    name, why = next(iter(tally.failed.items()))
    full = " (the disk is full)" if os.strerror(errno.ENOSPC) in why else ""
    raise AnsibleActionFail(
        f"results: {len(tally.failed)} of {tally.total_files} files of {pulls[0].place.url} did not arrive{full}, such"
        f" as {name}: {why}; the same command goes on"
    )


def answer(pulls: list[Pull], tally: fetch.Tally, names: list[str], seconds: float, diff: bool) -> dict[str, Any]:
    """The result of the task."""
    keys = ("generation", "step", "time", "job_state")
    files = sum(len(pull.manifest.get("files", [])) for pull in pulls)
    result: dict[str, Any] = {
        "changed": bool(names),
        "url": pulls[0].place.url,
        "found": all(pull.manifest for pull in pulls),
        "files": len(names),
        "bytes": tally.bytes,
        "unchanged": files - len(names),
        "duration": round(seconds, 2),
        "manifests": [{key: pull.manifest.get(key) for key in keys} for pull in pulls],
    }
    if diff and names:
        result["diff"] = {"prepared": "".join(f"+ {name}\n" for name in sorted(names))}
    return result
