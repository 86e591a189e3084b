# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module ec2_fleet and shows what happens meanwhile; documentation in modules/ec2_fleet.py."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.module_utils._fleet.options import argument_spec
from ansible_collections.experiments.spot.plugins.modules import ec2_fleet
from ansible_collections.experiments.spot.plugins.plugin_utils import _here
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Clock,
    Heartbeat,
    LineSplitter,
    duration,
    is_quiet,
)

display = Display()

# Seconds between two looks at the file.
PERIOD = 0.2


class Follower:
    """Shows the lines that are appended to a file, from a thread of its own, and a sign of life between them.

    Args:
        path: the file; it need not exist.
        label: what stands before each line.
        say: shows one line.
        clock: time.
        service: what is waited for when nothing is told.
    """

    def __init__(
        self, path: str, label: str, say: Callable[[str], None], clock: Clock | None = None, service: str = "EC2"
    ) -> None:
        self.service = service
        self.path = path
        self.label = label
        self.say = say
        self.clock = clock or Clock()
        self.heartbeat = Heartbeat(self.clock.now())
        self.splitter = LineSplitter()
        self.offset = os.path.getsize(path) if os.path.exists(path) else 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Follower:
        self.thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.ended.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.ended.wait(PERIOD):
            self.look()
        self.show(self._new_lines())

    def look(self) -> None:
        """Shows what is new; nothing new for some time is told too."""
        now = self.clock.now()
        lines = self._new_lines()
        if lines:
            self.heartbeat.next_at = now + self.heartbeat.every
            self.show(lines)
        elif self.heartbeat.due(now):
            self.show([f"waiting for {self.service} ({duration(self.heartbeat.elapsed(now))})"])

    def show(self, lines: list[str]) -> None:
        """Shows lines."""
        for line in lines:
            self.say(f"{self.label}{line}")

    def _new_lines(self) -> list[str]:
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
            self.offset += len(data)
            return self.splitter.feed(data)
        return []


@contextlib.contextmanager
def progress_file(given: str | None) -> Iterator[str]:
    """The file the module writes to: the one the user named, else one that is gone afterwards."""
    if given:
        yield os.path.expanduser(os.path.expandvars(given))
        return
    with tempfile.TemporaryDirectory(prefix="experiments-spot-") as directory:
        yield os.path.join(directory, "progress")


def label_of(tags: Any) -> str:
    """What stands before each line: the experiment."""
    experiment = tags.get("spot:experiment") if isinstance(tags, Mapping) else None
    return f"[{experiment}] " if experiment else ""


class ActionModule(_here.ActionHere):
    """Runs the module and, when it runs on the controller, shows its progress."""

    NAME, SERVICE = "experiments.spot.ec2_fleet", "EC2"
    SPEC = argument_spec()
    work = staticmethod(ec2_fleet.run)

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's answer; its lines are shown as they come."""
        if not self._can_show(args.get("quiet")):
            return super().answer(args, task_vars)
        label = self._label(args)
        with progress_file(args.get("progress_file")) as path, Follower(path, label, _say, service=self.SERVICE):
            return super().answer({**args, "progress_file": path}, task_vars)

    def _can_show(self, quiet: Any) -> bool:
        # What is not a truth value is refused by the module.
        wanted = None if quiet is None else boolean(quiet, strict=False)
        local = self._connection.transport == "local"
        return local and not self._task.async_val and not is_quiet(wanted, os.environ)

    def _label(self, args: dict[str, Any]) -> str:
        return label_of(args.get("tags"))


def _say(line: str) -> None:
    display.display(line)
