# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Serves JupyterLab in the image of a job, until somebody ends it or nobody uses it.

The address's path with its token goes to a file that only its owner can read; neither the command line nor the log has
it. Ends with Jupyter's status, 0 when it was idle, 143 after SIGTERM, 3 without JupyterLab. It needs Python 3.9 and
jupyterlab; with NOTEBOOK_INSTALL=true it gets jupyterlab itself.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from run import MISSING, python, say

PACKAGES = ["jupyterlab", "ipykernel"]
START = 300.0  # seconds until it answers
GRACE = 10.0  # seconds that it gets after SIGTERM
FILES = 5000  # at most so many are looked at for changes


def options(arguments: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Serves JupyterLab")
    parser.add_argument("--folder", required=True, help="what JupyterLab shows")
    parser.add_argument("--session", required=True, help="file for the path of its address, with the token")
    parser.add_argument("--notebook", default="", help="put into the folder where it is not there yet, and opened")
    parser.add_argument("--name", default="", help="its name there")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument("--idle", type=float, default=0, help="seconds without use after which it ends; 0: never")
    return parser.parse_args(arguments)


def configuration(folder: str, port: int, token: str) -> dict[str, Any]:
    """Jupyter's configuration. Source: Jupyter Server, "Config file and command line options"."""
    server = {
        "ip": "0.0.0.0",  # of the container; what may reach that decides who publishes the port
        "port": port,
        "port_retries": 0,
        "root_dir": folder,
        "open_browser": False,
        "allow_root": True,
        "answer_yes": True,
    }
    return {"ServerApp": server, "IdentityProvider": {"token": token}}


def last_use(kernels: Iterable[Mapping[str, Any]], terminals: Iterable[Mapping[str, Any]], now: float) -> float:
    """When a kernel or a terminal was used last (seconds since the epoch), now while one works, 0 without any.

    Jupyter's own shutdown_no_activity_timeout never comes while a browser shows JupyterLab, whose questions count as
    activity (https://github.com/jupyterlab/jupyterlab/issues/19796).
    """
    if any(kernel.get("execution_state") == "busy" for kernel in kernels):
        return now
    return max((_epoch(one.get("last_activity")) for one in itertools.chain(kernels, terminals)), default=0.0)


def _epoch(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def last_change(folder: str) -> float:
    """When a file of a folder was changed last: JupyterLab saves what is edited by itself. 0 for an empty one."""
    found = (os.path.join(place, name) for place, _folders, names in os.walk(folder) for name in names)
    newest = 0.0
    for path in itertools.islice(found, FILES):
        with contextlib.suppress(OSError):
            newest = max(newest, os.stat(path).st_mtime)
    return newest


class Server:
    """JupyterLab as a child.

    Args:
        there: the Python that has it.
        wanted: see `options`.
        scratch: a directory that only we can read.
    """

    def __init__(self, there: str, wanted: argparse.Namespace, scratch: str) -> None:
        self.wanted, self.token = wanted, secrets.token_hex(24)
        self.url = f"http://127.0.0.1:{wanted.port}"
        config = os.path.join(scratch, "config.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(configuration(wanted.folder, wanted.port, self.token), file)
        words = [there, "-m", "jupyterlab", f"--config={config}", "--log-level=WARN"]
        self.process = subprocess.Popen(words, env=environment(scratch), start_new_session=True)
        self.told: list[float] = []
        self.has_terminals = True  # an image may have none

    def end(self, *_signal: Any) -> None:
        """End it in order."""
        if not self.told:
            self.told.append(time.monotonic())
            self.process.terminate()

    def wait(self, seconds: float) -> bool:
        """Whether it ends within that time; one that was told to end and does not is killed."""
        until = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < until:
            if self.told and time.monotonic() - self.told[0] > GRACE:
                self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)
        return self.process.poll() is not None

    def ask(self, path: str) -> Any:
        """An answer of its API; raises OSError or ValueError."""
        request = urllib.request.Request(f"{self.url}/api/{path}", headers={"Authorization": f"token {self.token}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)

    def comes(self) -> bool:
        """Whether it comes up."""
        until = time.monotonic() + START
        while time.monotonic() < until and not self.wait(0.2):
            with contextlib.suppress(OSError, ValueError):
                self.ask("status?no_track_activity=1")
                return True
        return False

    def home(self) -> str:
        """Path of what it shows first: of JupyterLab, or what the image has made of it."""
        request = urllib.request.Request(f"{self.url}/", headers={"Authorization": f"token {self.token}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError), opener.open(request, timeout=30) as answer:
            return urllib.parse.urlsplit(answer.geturl()).path
        return "/"

    def idle_for(self, since: float) -> float:
        """Seconds without use; `since` (seconds since the epoch) counts as one."""
        now, used = time.time(), since
        with contextlib.suppress(OSError, ValueError):
            kernels = self.ask("kernels?no_track_activity=1")
            used = max(used, last_use(kernels, self._terminals(), now), last_change(self.wanted.folder))
            return now - used
        return 0.0  # it is too busy to say

    def _terminals(self) -> list[dict[str, Any]]:
        if not self.has_terminals:
            return []
        try:
            found: list[dict[str, Any]] = self.ask("terminals?no_track_activity=1")
        except urllib.error.HTTPError:
            self.has_terminals = False
            return []
        return found


def environment(scratch: str) -> dict[str, str]:
    """Ours, with a home that can be written."""
    home = os.path.expanduser("~")
    return {**os.environ, **({} if os.access(home, os.W_OK) and home != "/" else {"HOME": scratch})}


def prepare(wanted: argparse.Namespace) -> str:
    """Make the folder, put the notebook into it; its name there, empty for none."""
    os.makedirs(wanted.folder, exist_ok=True)
    name = wanted.name or os.path.basename(wanted.notebook)
    there = os.path.join(wanted.folder, name)
    if wanted.notebook and not os.path.exists(there):
        shutil.copyfile(wanted.notebook, there)
    return name


def tell(session: str, path: str, token: str) -> None:
    """Write the path of the address with its token, for the owner of the file alone."""
    handle, fresh = tempfile.mkstemp(dir=os.path.dirname(session), prefix=".session-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{path}?token={token}\n")
    os.replace(fresh, session)


def serve(server: Server, name: str) -> int:
    """Until it ends; the status of the job."""
    wanted = server.wanted
    if not server.comes():
        ended = bool(server.told)
        server.end()
        server.wait(2 * GRACE)
        return 143 if ended else abs(server.process.returncode or 1)
    home = server.home().rstrip("/")
    tell(wanted.session, f"{home}/tree/{urllib.parse.quote(name)}" if name else home or "/", server.token)
    say(f"JupyterLab shows {wanted.folder}")
    began = time.time()
    while not server.wait(min(60.0, max(1.0, wanted.idle / 10)) if wanted.idle else 3600.0):
        if wanted.idle and not server.told and server.idle_for(began) >= wanted.idle:
            say(f"ended: not used for {wanted.idle:.0f} seconds")
            server.process.terminate()
            server.wait(GRACE)
            server.process.kill()
            return 0
    return 143 if server.told else abs(server.process.returncode)


def main(arguments: list[str]) -> int:
    """Serve; the status of the job."""
    wanted = options(arguments)
    there = python("jupyterlab", PACKAGES)
    if not there:
        return MISSING
    try:
        name = prepare(wanted)
    except OSError as error:
        say(f"{wanted.folder} cannot be written: {error}. Give job.user, the user of the image that may")
        return 1
    with tempfile.TemporaryDirectory(prefix="notebook-") as scratch:
        server = Server(there, wanted, scratch)
        signal.signal(signal.SIGTERM, server.end)
        try:
            return serve(server, name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(wanted.session)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
