"""A metadata service and a machine for the notice watcher: real HTTP, real processes, a /proc and a systemctl of files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import imds, steps, system

ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"


class Service:
    """The metadata service: what it answers can be changed at any time, what it was asked is kept.

    Attributes:
        answers: path -> body of a 200.
        fault: "" | "hang" | "drop" | "noise" | a status that every answer then has.
        ttl: seconds that a token is said to live.
        date: what the header Date says, as Unix time; None leaves it out.
        tokens: those that are still good; clear it and all have expired.
        asked: (method, path) of each request.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.fault: str | int = ""
        self.ttl = 21600
        self.date: float | None = 0.0
        self.offset = 0.0
        self.tokens: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service.asked.append((self.command, self.path))
                service.headers.append(dict(self.headers))
                if not service.breaks(self):
                    service.answer(self)

            do_PUT = do_POST = do_GET

            def log_message(self, *_args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_args: None  # type: ignore[method-assign]  # who hangs up is part of a test
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def breaks(self, handler: BaseHTTPRequestHandler) -> bool:
        """Whether a fault is played."""
        if self.fault == "hang":
            time.sleep(1)
        if self.fault == "noise":
            handler.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        if self.fault in ("hang", "drop", "noise"):
            handler.close_connection = True
        return bool(self.fault) and not isinstance(self.fault, int)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        status, body, extra = self.find(handler)
        handler.send_response_only(status)
        if self.date is not None:
            handler.send_header("Date", formatdate(time.time() + self.offset, usegmt=True))
        handler.send_header("Content-Length", str(len(body)))
        for name, value in extra.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body.encode())

    def find(self, handler: BaseHTTPRequestHandler) -> tuple[int, str, dict[str, str]]:
        if isinstance(self.fault, int) and self.fault:
            return self.fault, "<html>", {}
        if handler.command == "PUT":
            if handler.path != "/latest/api/token" or not handler.headers.get(imds.TTL_HEADER, "").isdigit():
                return 400, "", {}
            token = f"token-{len(self.asked)}"
            self.tokens.add(token)
            return 200, token, {imds.TTL_HEADER: str(self.ttl)}
        if handler.headers.get(imds.TOKEN_HEADER) not in self.tokens:
            return 401, "", {}
        body = self.answers.get(handler.path)
        return (404, "", {}) if body is None else (200, body, {})

    def announce(self, action: str = "terminate", seconds: float = 120.0) -> None:
        """An interruption notice so many seconds ahead, by the clock of AWS."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.offset + seconds))
        self.answers[ACTION] = json.dumps({"action": action, "time": when})

    def puts(self) -> int:
        return sum(method == "PUT" for method, _path in self.asked)


@pytest.fixture()
def service() -> Iterator[Service]:
    made = Service()
    threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short limits, and no endpoint or proxy of the environment."""
    monkeypatch.setattr(imds, "TIMEOUT", 0.3)
    monkeypatch.setattr(steps, "RETRY", 0.1)
    monkeypatch.delenv(imds.ENDPOINT_VARIABLE, raising=False)


SYSTEMCTL = """#!/bin/sh
echo "$@" >> {root}/calls
pid=$(cat {root}/pid 2>/dev/null)
case $1 in
  show) if [ -z "$pid" ]; then echo LoadState=not-found; echo ActiveState=inactive
        elif kill -0 $pid 2>/dev/null; then echo LoadState=loaded; echo ActiveState=active
        else echo LoadState=loaded; echo ActiveState=inactive; fi;;
  stop) kill -TERM $pid;;
  kill) kill -KILL $pid;;
esac
exit 0
"""
UMOUNT = """#!/bin/sh
echo "umount $1" >> {root}/calls
if [ -e {root}/busy ]; then echo "umount: $1: target is busy." >&2; exit 32; fi
grep -v " $1 " {root}/proc/self/mountinfo > {root}/mountinfo.new
cp {root}/mountinfo.new {root}/proc/self/mountinfo
"""
OTHER = """#!/bin/sh
echo "{name} $@" >> {root}/calls
"""
JOB = """
import json, os, signal, sys, time
def stop(*_):
    ledger = {"runs": [{"state": "interrupted", "exit_code": EXIT_CODE, "message": "m", "instance_id": "i-1"}]}
    open(sys.argv[1], "w").write(json.dumps(ledger))
    sys.exit(0)
signal.signal(signal.SIGTERM, HANDLER)
print("up", flush=True)
while True:
    time.sleep(0.02)
"""


class Machine:
    """Files and programs of an instance below a directory, and a job that is a real process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.calls_path = root / "calls"
        self.state_file = root / "run/notice.json"
        self.ledger = root / "ledger.json"
        self.job: subprocess.Popen[str] | None = None
        self.ticks = (1000, 1000)
        for folder in ("bin", "run", "proc/self/ns"):
            (root / folder).mkdir(parents=True)
        programs = {"systemctl": SYSTEMCTL, "umount": UMOUNT, "sync": OTHER, "mount": OTHER}
        for name, text in programs.items():
            path = root / "bin" / name
            path.write_text(text.replace("{root}", str(root)).replace("{name}", name))
            path.chmod(0o755)
        (root / "proc/self/ns/mnt").symlink_to("mnt:[1]")
        self.mount()
        (root / "job.json").write_text(json.dumps({"container": "spot-exp-job", "ledger": str(self.ledger)}))
        monkeypatch.setenv("PATH", f"{root}/bin:{os.environ['PATH']}")
        monkeypatch.setattr(system, "PROC", str(root / "proc"))
        monkeypatch.setattr(system, "DOCKER_SOCKET", str(root / "no.sock"))
        monkeypatch.setattr(steps, "PAUSE", 0.02)

    def mount(self, *points: str) -> None:
        lines = [f"{30 + n} 1 259:{n} / {point} rw - ext4 /dev/nvme rw" for n, point in enumerate(points, 1)]
        (self.root / "proc/self/mountinfo").write_text("\n".join(["29 1 8:1 / / rw - ext4 /dev/sda rw", *lines]) + "\n")

    def process(self, pid: int, **files: str) -> None:
        """A process in /proc with its files; names with a slash are made as links."""
        for name, text in {"comm": "cat\n", "cgroup": "0::/user.slice\n", **files}.items():
            path = self.root / "proc" / str(pid) / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in ("cwd", "root", "ns__mnt"):
                path.symlink_to(text)
            else:
                path.write_text(text)

    def program(self, name: str, text: str) -> None:
        """A program of the machine, lines of a shell."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def tick(self, busy: int, idle: int) -> None:
        """So many ticks of the one processor go by."""
        self.ticks = (self.ticks[0] + busy, self.ticks[1] + idle)
        numbers = f"{self.ticks[0]} 0 0 {self.ticks[1]} 0 0 0 0 0 0"
        (self.root / "proc/stat").write_text(f"cpu  {numbers}\ncpu0 {numbers}\nintr 1\n")

    def start_job(self, listens: bool = True, exit_code: int = 0) -> subprocess.Popen[str]:
        text = JOB.replace("HANDLER", "stop" if listens else "signal.SIG_IGN").replace("EXIT_CODE", str(exit_code))
        self.job = subprocess.Popen([sys.executable, "-c", text, str(self.ledger)], stdout=subprocess.PIPE, text=True)
        assert self.job.stdout is not None and self.job.stdout.readline() == "up\n"
        threading.Thread(target=self.job.wait, daemon=True).start()  # a zombie still answers kill -0
        (self.root / "pid").write_text(str(self.job.pid))
        return self.job

    def ended_job(self) -> None:
        (self.root / "pid").write_text("999999999")

    def config(self, url: str, **more: Any) -> dict[str, Any]:
        base = {
            "period": 0.05,
            "state_file": str(self.state_file),
            "job_file": str(self.root / "job.json"),
            "imds_endpoint": url,
            "instance_id": "i-1",
            "experiment": "exp",
            "generation": 2,
            "rank": 0,
            "grace": 2,
            "reserve": 2,
            "volumes": [],
        }
        return {**base, **more}

    @property
    def calls(self) -> list[str]:
        found = self.calls_path.read_text().splitlines() if self.calls_path.exists() else []
        return [call for call in found if not call.startswith("show ")]

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.state_file.read_text()))


@pytest.fixture()
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path, monkeypatch)
    yield made
    if made.job is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.job.pid, signal.SIGKILL)
