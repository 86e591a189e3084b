# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs a notebook in the image of a job: run.py INPUT OUTPUT [ARGUMENTS of papermill].

Ends with papermill's status, 143 after SIGTERM, 3 without papermill. It needs Python 3.9 and
papermill; with NOTEBOOK_INSTALL=true it gets papermill itself.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

PACKAGES = ["papermill==2.7.0", "ipykernel", "nbconvert"]
GRACE = 10.0  # seconds that papermill gets after SIGTERM
MISSING = 3  # status where papermill is missing


def python() -> str:
    """The Python that has papermill; empty where none has."""
    if importlib.util.find_spec("papermill"):
        return sys.executable
    if os.environ.get("NOTEBOOK_INSTALL", "").lower() not in ("true", "yes", "1"):
        say("papermill is not in this image. Use an image that has it (pip install papermill ipykernel nbconvert),")
        say("or have it installed at each start: -e notebook_install=true")
        return ""
    return install(tempfile.mkdtemp(prefix="notebook-"))


def install(folder: str) -> str:
    """A Python of its own, which sees the packages of the image and has papermill; empty where that failed."""
    there = os.path.join(folder, "bin", "python")
    for words in (
        [sys.executable, "-m", "venv", "--system-site-packages", folder],
        [there, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES],
    ):
        if subprocess.call(words):
            say("papermill could not be installed: the lines above say why. Use an image that has it.")
            return ""
    return there


def say(text: str) -> None:
    """A line for the log of the job."""
    print(f"notebook: {text}", flush=True)


def execute(words: list[str]) -> int:
    """Run papermill, which saves after each cell; SIGTERM goes on to it. Its status, 143 after SIGTERM."""
    process = subprocess.Popen(words, start_new_session=True)
    told = []

    def end(_number: int, _frame: Any) -> None:
        if not told:
            told.append(True)
            process.terminate()
            signal.setitimer(signal.ITIMER_REAL, GRACE)

    signal.signal(signal.SIGALRM, lambda _number, _frame: process.kill())
    signal.signal(signal.SIGTERM, end)
    status = process.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return 143 if told else status if status >= 0 else 128 - status


def html(there: str, output: str) -> None:
    """Show the output as a page beside it, where the image can."""
    if not os.path.exists(output):
        return
    if subprocess.call([there, "-m", "nbconvert", "--log-level", "ERROR", "--to", "html", output]):
        say("no HTML was made; the image may have no nbconvert. The output notebook is complete without it.")


def main(arguments: list[str]) -> int:
    """Run the notebook; the status of the job."""
    source, output, more = arguments[0], arguments[1], arguments[2:]
    there = python()
    if not there:
        return MISSING
    folder = os.path.dirname(output)
    os.makedirs(folder, exist_ok=True)
    say(f"{source} runs; {output} is saved after each cell")
    flags = ["--no-progress-bar", "--log-output", "--cwd", folder]
    status = execute([there, "-m", "papermill", source, output, *flags, *more])
    html(there, output)
    say(
        "done"
        if status == 0
        else "ended early"
        if status == 143
        else "failed; the output notebook has the cells that were run"
    )
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
