# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read and write what belongs to a job on the instance: small functions around files and systemctl.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Callable, TypeVar

from ansible_collections.experiments.spot.plugins.module_utils._commands import Run
from ansible_collections.experiments.spot.plugins.module_utils._job import runner
from ansible_collections.experiments.spot.plugins.module_utils._job.runner import NOTICE_PATH
from ansible_collections.experiments.spot.plugins.module_utils._job.spec import JOB_ENV, JOB_JSON, UNIT
from ansible_collections.experiments.spot.plugins.module_utils._job.state import PROPERTIES, Current, parse_show
from ansible_collections.experiments.spot.plugins.module_utils._sources import source_of

T = TypeVar("T")


ANSWER = 10.0  # seconds within which a file system that is alive gives the ledger


class RemoteError(Exception):
    """Something on the instance did not work; the text is for the user."""


class SilentError(RemoteError):
    """What the ledger lies on does not answer: the server of a network file system is gone."""


def runner_source() -> str:
    """Text of the runner."""
    return source_of(runner)


def read_text(path: str) -> str | None:
    """Text of a file, None when there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write_file(path: str, text: str, mode: int) -> None:
    """Write a file with its permissions from its first moment on, whole or not at all."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=folder, prefix=".spot-")
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def file_differs(path: str, text: str, mode: int) -> bool:
    """Whether a file is missing, or has another content or other permissions."""
    return read_text(path) != text or os.stat(path).st_mode & 0o7777 != mode


def read_document() -> dict[str, Any]:
    """job.json, {} when there is none or it is damaged."""
    try:
        document = json.loads(read_text(JOB_JSON) or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def read_runs(path: str | None) -> list[dict[str, Any]]:
    """Runs of a ledger, [] when there is none.

    Raises:
        RemoteError: it is damaged, or the file system it lies on does not answer.
    """
    if not path:
        return []
    try:
        runs = in_time(lambda: runner.read_ledger(path).get("runs", []), path)
    except runner.JobError as error:
        raise RemoteError(str(error)) from error
    return [entry for entry in runs if isinstance(entry, dict)]


def in_time(read: Callable[[], T], path: str, seconds: float | None = None) -> T:
    """Read what may lie on a network file system: a hard mount waits for ever while its server is gone.

    Raises:
        SilentError: there is no answer; the thread that waits ends with the process.
    """
    limit = ANSWER if seconds is None else seconds
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(read())
        except Exception as error:  # whatever it is, the caller is to get it
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(limit)
    except FutureTimeout as error:
        raise SilentError(
            f"{path} cannot be read for {limit:g} s: the server of its file system does not answer. What uses it "
            "waits, and goes on when the server is back"
        ) from error


def read_notice() -> dict[str, Any]:
    """What the notice watcher wrote, {} when there is no notice."""
    return runner.read_notice(NOTICE_PATH)


def show_unit(run: Run) -> dict[str, str]:
    """Properties of the unit, {} where systemd does not answer."""
    rc, out, _err = run(["systemctl", "show", UNIT, "--property", ",".join(PROPERTIES)])
    return parse_show(out) if rc == 0 else {}


def read_current(run: Run, ledger: str | None, env_text: str | None = None) -> Current:
    """Everything that a decision needs.

    Args:
        run: runs a command.
        ledger: path of the ledger that counts.
        env_text: the wanted environment file; None does not compare.
    """
    same_env = env_text is None or read_text(JOB_ENV) == env_text
    return Current(show_unit(run), read_document(), same_env, read_runs(ledger), read_notice())


def systemctl(run: Run, *argv: str) -> None:
    """A systemctl command that must succeed.

    Raises:
        RemoteError: with what systemd says.
    """
    rc, out, err = run(["systemctl", *argv])
    if rc:
        raise RemoteError(f"systemctl {' '.join(argv)}: {' '.join((err or out).split()) or f'status {rc}'}")
