# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Callback: what each stage of a run took."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stages
type: aggregate
short_description: Shows what each stage of a run took
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Adds up wall time and tasks for each stage of a run and shows a table after the recap. A stage is a role, or a play
    for tasks outside roles.
  - After Ctrl-C it says that the same command goes on from there.
  - What a run prints is seen at once through a pipe and in a file too; Ansible alone writes it out when the next task
    begins, so that a long one says nothing.
  - It only adds lines, so it works beside any other callback.
requirements:
  - Enable it in the configuration with C(callbacks_enabled = experiments.spot.stages).
options:
  quiet:
    description: Show nothing.
    type: bool
    default: false
    env:
      - name: EXPERIMENTS_SPOT_QUIET
  file:
    description: Write the numbers to this file too, as JSON.
    type: path
    env:
      - name: EXPERIMENTS_SPOT_STAGES_FILE
"""

import functools
import io
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ansible_collections.experiments.spot.plugins.plugin_utils import _bytecode, _collector
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import duration
from ansible_collections.experiments.spot.plugins.plugin_utils._text import table

COLLECTION = "experiments.spot."
JOB_WAIT = f"{COLLECTION}job_wait"
# Tasks that go on until Ctrl-C, and what is said then.
KEEPS_GOING = {
    f"{COLLECTION}channels_watch": "Ending after the transfers in hand",
    f"{COLLECTION}notebook_local": "Ending JupyterLab",
}
# Tasks that may take hours. Ansible looks for their results a thousand times a second, which takes more
# than they do themselves; this seldom it takes a tenth of that. Source: ansible-config, INTERNAL_POLL_INTERVAL.
LONG = {JOB_WAIT, *KEEPS_GOING, f"{COLLECTION}watch", f"{COLLECTION}logs"}
LOOK_EVERY_S = 0.05
STUCK = 5.0  # seconds after Ctrl-C; an orderly end takes less than one
LOCAL_CONNECTIONS = ("local", "ansible.builtin.local")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
# Actions that never leave the controller (Source: the attributes in the documentation of ansible.builtin).
BUILTIN = """add_host assert debug fail group_by import_playbook import_role import_tasks include_role include_tasks
include_vars meta pause set_fact set_stats validate_argument_spec"""
ON_THE_CONTROLLER = {f"{COLLECTION}{name}" for name in ("profile", "instances_wait", "logs", "show", "ssh_config")} | {
    prefix + name for prefix in ("", "ansible.builtin.", "ansible.legacy.") for name in BUILTIN.split()
}

Hook = TypeVar("Hook", bound=Callable[..., None])


@dataclass
class Stage:
    """Numbers of one stage; a task counts once for each host."""

    stage: str
    seconds: float = 0.0
    tasks: int = 0
    remote_tasks: int = 0
    changed: int = 0
    failed: int = 0


class Stages:
    """Adds up; knows nothing of Ansible. Times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.since = now
        self.current: str | None = None
        self.by_name: dict[str, Stage] = {}

    def enter(self, name: str, now: float) -> None:
        """A task of a stage begins; the time until now belongs to the one before."""
        self._settle(now)
        self.current = name
        self.by_name.setdefault(name, Stage(name))

    def count(self, name: str, *, remote: bool, changed: bool, failed: bool) -> None:
        """A task has ended on a host."""
        stage = self.by_name.setdefault(name, Stage(name))
        stage.tasks += 1
        stage.remote_tasks += remote
        stage.changed += changed
        stage.failed += failed

    def finish(self, now: float) -> list[Stage]:
        """The run has ended; returns the stages in the order in which they began."""
        self._settle(now)
        self.current = None
        return list(self.by_name.values())

    def _settle(self, now: float) -> None:
        if self.current is not None:
            self.by_name[self.current].seconds += now - self.since
        self.since = now


def short_name(role: str | None, play: str) -> str:
    """Name of a stage: the role without our collection's name, or the play."""
    return role.removeprefix(COLLECTION) if role else play


def is_remote(action: str, host: str, delegated_to: str | None, connection: str | None) -> bool:
    """Whether a task went over the network to a host."""
    where = delegated_to or host
    return action not in ON_THE_CONTROLLER and where not in LOCAL_HOSTS and connection not in LOCAL_CONNECTIONS


def stages_table(stages: list[Stage], total: float) -> str:
    """The table for the terminal; stages that took no time and did nothing are left out."""
    rows = [asdict(stage) for stage in stages if stage.tasks or stage.seconds >= 0.05]
    rows.append({"stage": "total", "seconds": total, **sums(stages)})
    columns = [["stage", "stage"], ["time", "seconds", "duration"], ["tasks", "tasks"], ["remote", "remote_tasks"]]
    return table(rows, [*columns, ["changed", "changed"]], 80)


def sums(stages: list[Stage]) -> dict[str, int]:
    """The counters of all stages together."""
    names = ("tasks", "remote_tasks", "changed", "failed")
    return {name: sum(getattr(stage, name) for stage in stages) for name in names}


def document(stages: list[Stage], total: float, playbook: str, began: float) -> dict[str, Any]:
    """The numbers as they go to the file.

    Args:
        total: seconds.
        began: seconds since the epoch.
    """
    return {
        "schema": 1,
        "playbook": playbook,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": round(total, 3),
        **sums(stages),
        "stages": [{**asdict(stage), "seconds": round(stage.seconds, 3)} for stage in stages],
    }


def write_json(path: str, content: dict[str, Any]) -> None:
    """Writes a file so that nobody ever reads half of it."""
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".stages.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    os.replace(temporary, path)


def interruption_text(stage: str, action: str, seconds: float) -> str:
    """What to say after Ctrl-C."""
    job = "The job goes on on its instance. " if action == JOB_WAIT else ""
    return (
        f"Interrupted in stage {stage} after {duration(seconds)}. {job}The same command goes on from here;"
        " close.yml with the same -e ends the experiment."
    )


def _press_again(pid: int) -> None:
    """Sends SIGINT once more if the process has not ended by then.

    ansible-core 2.19 can wait for ever after Ctrl-C: a worker killed while it sends a line to the terminal keeps the
    lock of the results queue, which the main process then wants (StrategyBase.cleanup).
    """
    timer = threading.Timer(STUCK, os.kill, (pid, signal.SIGINT))
    timer.daemon = True
    timer.start()


def harmless(hook: Hook) -> Hook:
    """Numbers are never worth a failed run: whatever goes wrong here is a line at -vvv."""

    @functools.wraps(hook)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:
            self._display.vvv(f"experiments.spot.stages: {type(error).__name__}: {error}")

    return cast(Hook, guarded)


class CallbackModule(CallbackBase):
    """Feeds `Stages` and shows what comes out."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "experiments.spot.stages"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None, options: Any = None) -> None:
        super().__init__(display=display, options=options)
        _collector.spare()
        _bytecode.use()
        self.stages = Stages(time.monotonic())
        self.began = time.time()
        self.playbook = ""
        self.play = ""
        self.action = ""
        self.ours = False
        self.ending = False
        self.look_every = constants.DEFAULT_INTERNAL_POLL_INTERVAL

    @harmless
    def _show_at_once(self) -> None:
        """Ansible leaves it to the system when a line is seen: through a pipe or in a file, after eight kilobytes."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)

    @harmless
    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remembers the playbook and listens for Ctrl-C."""
        self._show_at_once()
        self.playbook = os.path.basename(getattr(playbook, "_file_name", "") or "")
        before = signal.getsignal(signal.SIGINT)
        if callable(before):
            signal.signal(signal.SIGINT, functools.partial(self._interrupted, before, os.getpid()))

    def _interrupted(self, before: Callable[..., Any], pid: int, number: int, frame: Any) -> None:
        if os.getpid() == pid and self.action in KEEPS_GOING and not self.ending:
            self.ending = True
            self._end_in_order(number)
            return
        signal.signal(number, before)
        if os.getpid() == pid:
            self._tell_interruption()
            _press_again(pid)
        before(number, frame)

    @harmless
    def _end_in_order(self, number: int) -> None:
        """Lets a task that goes on until Ctrl-C come to its own end; it runs in a child with a session of its own."""
        self._tell(f"\n{KEEPS_GOING[self.action]}; Ctrl-C once more ends at once.")
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, number)

    @harmless
    def _tell_interruption(self) -> None:
        if self.ours and not self.get_option("quiet"):
            seconds = time.monotonic() - self.stages.began
            self._tell("\n" + interruption_text(self.stages.current or "start", self.action, seconds))

    def _tell(self, text: str) -> None:
        """Shows something in the handler of a signal, which may have come in the middle of the writing of a line."""
        try:
            self._display.display(text)
        except RuntimeError:  # "reentrant call inside BufferedWriter"
            os.write(sys.stdout.fileno(), f"{text}\n".encode())

    @harmless
    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins."""
        self.play = play.get_name()

    @harmless
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """A task begins, for all hosts."""
        self._enter(task)

    @harmless
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler begins."""
        self._enter(task)

    def _enter(self, task: Any) -> None:
        self.action = str(task.action)
        every = max(LOOK_EVERY_S, self.look_every) if self.action in LONG else self.look_every
        constants.DEFAULT_INTERNAL_POLL_INTERVAL = every
        self.ours = self.ours or self.action.startswith(COLLECTION)
        self.stages.enter(self._stage(task), time.monotonic())

    def _stage(self, task: Any) -> str:
        role = getattr(task, "_role", None)
        return short_name(role.get_name() if role else None, self.play)

    @harmless
    def v2_runner_on_ok(self, result: Any) -> None:
        """A task went well on a host."""
        self._count(result, failed=False)

    @harmless
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed on a host."""
        self._count(result, failed=not ignore_errors)

    @harmless
    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host did not answer."""
        self._count(result, failed=True)

    def _count(self, result: Any, failed: bool) -> None:
        task, content = result._task, result._result
        delegated = content.get("_ansible_delegated_vars") or {}
        where = delegated.get("ansible_delegated_host") or getattr(task, "delegate_to", None)
        remote = is_remote(str(task.action), result._host.get_name(), where, getattr(task, "connection", None))
        self.stages.count(self._stage(task), remote=remote, changed=bool(content.get("changed")), failed=failed)

    @harmless
    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002
        """The run is over."""
        now = time.monotonic()
        stages, total = self.stages.finish(now), now - self.stages.began
        if not self.get_option("quiet"):
            self._display.display(stages_table(stages, total) + "\n")
        path = self.get_option("file")
        if path:
            write_json(path, document(stages, total, self.playbook, self.began))
