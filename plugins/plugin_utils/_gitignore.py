# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Transfers that leave out what git ignores where the files come from.

rsync's own rules cannot say what a .gitignore can (negations, a file that is tracked although it matches). So git is
asked, and rsync gets the names. It gets no ``--delete`` either: a file that only the other side has may be ignored
too, and one that appears there between two looks must not be lost. What may go is asked for by a dry run, and removed
by name.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.experiments.spot.plugins.plugin_utils import _ignored, _narrow, _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Finished
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import (
    OK,
    WARN,
    Change,
    Report,
    Transfer,
    remote_path,
    verdict,
)

ANSWER_S = 120
_OCTAL = re.compile(r"\\#(\d{3})")

Once = Callable[[Transfer], "tuple[Report, Finished]"]


class Unanswered(Exception):
    """A side did not answer; with the end of a transfer that failed so."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished.stderr)
        self.finished = finished


def run(transfer: Transfer, target: _ssh.Target, once: Once) -> tuple[Report, Finished]:
    """Runs a transfer without what git ignores.

    Args:
        once: runs rsync once.
    """
    try:
        ignored = ask(transfer, target, "list")
        with excluding(transfer, ignored) as ready:
            return deleting(ready, target, once) if transfer.delete else once(ready)
    except Unanswered as error:
        return Report(), error.finished


@contextlib.contextmanager
def excluding(transfer: Transfer, ignored: Sequence[str]) -> Iterator[Transfer]:
    """The transfer with names that are left out; they are in a file, since a command line has an end."""
    patterns = [_narrow.same(_narrow.prefix(transfer.source) + name) for name in ignored]
    with tempfile.TemporaryDirectory(prefix="spot-ignored-") as folder:
        path = Path(folder) / "names"
        plain = "".join(f"{one}\n" for one in patterns if not re.search(r"[\r\n]", one))
        path.write_text(plain, encoding="utf-8", errors="surrogateescape")
        odd = tuple(one for one in patterns if re.search(r"[\r\n]", one))
        yield replace(transfer, ignored=odd, ignored_from=str(path))


def deleting(transfer: Transfer, target: _ssh.Target, once: Once) -> tuple[Report, Finished]:
    """Deletes what is neither at the source nor ignored, then moves the rest."""
    report, finished = once(replace(transfer, dry_run=True))
    if verdict(finished.code, finished.stderr).kind not in (OK, WARN):
        return report, finished
    doomed = [name_of(change) for change in report.changes if change.deleted]
    gone = without(doomed, spared(transfer, target, doomed))
    if not transfer.dry_run:
        gone = ask(transfer, target, "remove", gone) if gone else []
        report, finished = once(replace(transfer, delete=False))
    moved = [change for change in report.changes if not change.deleted]
    report.changes = [*(Change("*deleting", name) for name in gone), *moved]
    report.deleted = len(gone)
    return report, finished


def name_of(change: Change) -> str:
    """The name of a change as it is on the disk; rsync writes what is not ASCII as octal numbers."""
    pieces = _OCTAL.split(change.path)
    data = b"".join(bytes([int(one, 8)]) if odd % 2 else one.encode() for odd, one in enumerate(pieces))
    return data.decode("utf-8", "surrogateescape")


def spared(transfer: Transfer, target: _ssh.Target, names: Sequence[str]) -> list[str]:
    """Which names of the other side git would ignore at the source."""
    start = _narrow.prefix(transfer.source)
    inside = [name[len(start) :] for name in names if name.startswith(start) and name != start]
    return [start + name for name in ask(transfer, target, "choose", inside)] if inside else []


def without(names: Sequence[str], kept: Sequence[str]) -> list[str]:
    """The names that may go: not those that are kept, nor the directories above them."""
    stay = {*kept, *(f"{folder}/" for name in kept for folder in _ignored.above(name))}
    return [name for name in names if name not in stay]


def ask(transfer: Transfer, target: _ssh.Target, verb: str, names: Sequence[str] = ()) -> list[str]:
    """Asks one side: the source what is ignored, the destination to remove.

    Raises:
        Unanswered: it does not work.
    """
    here = (transfer.direction == "out") is (verb != "remove")
    root = transfer.local_path if here else remote_path(transfer.remote_path)
    question = {"verb": verb, "root": root, "names": list(names)}
    answer = _ignored.asked(question) if here else there(transfer, target, question)
    if "error" in answer:
        place = "here" if here else "on the instance"
        raise Unanswered(Finished(1, f"gitignore: {answer['error']} {place}"))
    return [str(name) for name in answer["names"]]


def there(transfer: Transfer, target: _ssh.Target, question: dict[str, object]) -> dict[str, list[str]]:
    """Asks on the instance.

    Raises:
        Unanswered: the connection broke.
    """
    source = Path(str(_ignored.__file__)).read_text(encoding="utf-8")
    sudo = ["sudo", "-n"] if transfer.owner else []
    argv = _ssh.ssh_argv(target, _ssh.remote_command(*sudo, "python3", "-c", source), timeout=10)
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, timeout=ANSWER_S, input=json.dumps(question).encode()
        )
    except subprocess.TimeoutExpired:
        raise Unanswered(Finished(255, f"no answer within {ANSWER_S} s")) from None
    if done.returncode:
        error = done.stderr.decode("utf-8", "replace")
        raise Unanswered(Finished(255, error) if done.returncode == 255 else Finished(1, f"gitignore: {error}"))
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer
