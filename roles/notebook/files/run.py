# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs a notebook in the image of a job: run.py INPUT OUTPUT [ARGUMENTS of papermill].

Ends with papermill's status, 143 after SIGTERM, 3 without papermill. It needs Python 3.9 and
papermill; with NOTEBOOK_INSTALL=true it gets papermill itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

PACKAGES = ["papermill==2.7.0", "ipykernel", "nbconvert"]
GRACE = 10.0  # seconds that papermill gets after SIGTERM
MISSING = 3  # status where papermill is missing
# A page is made at most so often (seconds), and so that it takes no more than a tenth of the time.
PAGE_EVERY = 5.0
PAGE_SHARE = 9.0
# Its command line, but of a cell that fails it shows what the cell says, not where papermill itself was. Who is started
# in the background by a shell ignores SIGINT, and Python leaves it at that.
PAPERMILL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from papermill.cli import papermill
from papermill.exceptions import PapermillExecutionError
try:
    papermill(prog_name="papermill")
except PapermillExecutionError as error:
    sys.exit(str(error))
"""


def python(module: str, packages: list[str]) -> str:
    """The Python that has a module; empty where none has, which is said."""
    if importlib.util.find_spec(module):
        return sys.executable
    if os.environ.get("NOTEBOOK_INSTALL", "").lower() not in ("true", "yes", "1"):
        say(f"{module} is not in this image. Use an image that has it (pip install {' '.join(packages)}),")
        say("or have it installed at each start: -e notebook_install=true")
        return ""
    say(f"{module} is not in this image; installing it")
    return install(tempfile.mkdtemp(prefix="notebook-"), module, packages)


def install(folder: str, module: str, packages: list[str]) -> str:
    """A Python of its own, which sees the packages of the image and has a module; empty where that failed."""
    there = os.path.join(folder, "bin", "python")
    for words in (
        [sys.executable, "-m", "venv", "--system-site-packages", folder],
        [there, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages],
    ):
        if subprocess.call(words):
            say(f"{module} could not be installed: the lines above say why. Use an image that has it.")
            return ""
    return there


def say(text: str) -> None:
    """A line for the log of the job."""
    print(f"notebook: {text}", flush=True)


class Page:
    """The output notebook as HTML beside it, made anew while the notebook grows.

    A program of its own makes it, so that neither a cell waits for it nor an end of papermill, whatever its reason,
    takes it away.

    Args:
        there: the Python that has nbconvert.
        notebook: path of the output notebook.
    """

    def __init__(self, there: str, notebook: str) -> None:
        self.there, self.notebook = there, notebook
        self.folder, name = os.path.split(notebook)
        self.stem = os.path.splitext(name)[0]
        self.fresh = os.path.join(self.folder, f".{self.stem}.new.html")
        self.shown: tuple[int, int] | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.began = self.due = 0.0

    def look(self) -> None:
        """Take a page that is ready, and begin the next one where the notebook has changed and it is time."""
        now = time.monotonic()
        if self.child is not None:
            if self.child.poll() is None:
                return
            self._take(self.child.returncode)
            self.due = now + max(PAGE_EVERY, PAGE_SHARE * (now - self.began))
            self.child = None
        saved = self._saved()
        if saved is None or saved == self.shown or now < self.due:
            return
        self.shown, self.began = saved, now
        # One that is read while papermill writes it makes no page; the last one is made when it has ended.
        self.child = subprocess.Popen(self._words(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.child.pid, 10)

    def finish(self) -> None:
        """Make the last page, of the notebook as it is now."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
        if self._saved() is None:
            return
        if not self._take(subprocess.call(self._words())):
            say("no HTML was made; the image may have no nbconvert. The output notebook is complete without it.")

    def _words(self) -> list[str]:
        name = os.path.splitext(os.path.basename(self.fresh))[0]
        to = ["--to", "html", "--output-dir", self.folder, "--output", name]
        return [self.there, "-m", "nbconvert", "--log-level", "ERROR", *to, self.notebook]

    def _saved(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.notebook)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _take(self, status: int) -> bool:
        """Put a new page in the place of the old one; says whether there is one."""
        with contextlib.suppress(OSError):
            if status == 0:
                os.replace(self.fresh, os.path.join(self.folder, f"{self.stem}.html"))
                return True
            os.unlink(self.fresh)
        return False


def execute(words: list[str], page: Page) -> int:
    """Run papermill, which saves after each cell; SIGTERM ends it in order. Its status, 143 after SIGTERM."""
    process = subprocess.Popen(words, start_new_session=True)
    told: list[float] = []

    def end(_number: int, _frame: Any) -> None:
        if not told:
            told.append(time.monotonic())
            # As Ctrl-C, which papermill saves the notebook after.
            process.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, end)
    while process.poll() is None:
        if told and time.monotonic() - told[0] > GRACE:
            process.kill()
        elif not told:
            page.look()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    return 143 if told else process.returncode if process.returncode >= 0 else 128 - process.returncode


def main(arguments: list[str]) -> int:
    """Run the notebook; the status of the job."""
    source, output, more = arguments[0], arguments[1], arguments[2:]
    there = python("papermill", PACKAGES)
    if not there:
        return MISSING
    folder = os.path.dirname(output)
    os.makedirs(folder, exist_ok=True)
    say(f"{source} runs; {output} is saved after each cell")
    flags = ["--no-progress-bar", "--log-output", "--cwd", folder]
    page = Page(there, output)
    status = execute([there, "-c", PAPERMILL, source, output, *flags, *more], page)
    page.finish()
    said = {0: "done", 143: "ended early; the output notebook has the cells that were run"}
    say(said.get(status, "failed; the output notebook has the cells that were run"))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
