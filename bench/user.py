"""A user of the lab who types commands and looks at a clock."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAB = str(ROOT / "lab/lab")
NAME = "bench"


@dataclass(frozen=True)
class Play:
    """What one ansible-playbook printed, each line with its second since the start; `began` since the epoch."""

    seconds: float
    lines: list[tuple[float, str]]
    began: float = 0.0

    def first(self, pattern: str) -> float:
        """Second of the first line that matches."""
        return next(second for second, line in self.lines if re.search(pattern, line))

    def remote_tasks(self) -> int:
        """Tasks that reported a result of a host other than localhost."""
        return sum(bool(re.match(r"(ok|changed): \[(?!localhost)", line)) for _, line in self.lines)


@dataclass
class Running:
    """An ansible-playbook that still runs, and its lines so far, each with its second since the epoch."""

    process: subprocess.Popen[str]
    lines: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append((time.time(), line.rstrip("\n")))

    def has_printed(self, pattern: str) -> bool:
        """Whether a line matches. Raises SystemExit with all lines when it has ended without one."""
        ended = self.process.poll() is not None
        if any(re.search(pattern, line) for _, line in list(self.lines)):
            return True
        if ended:
            raise SystemExit("\n".join(line for _, line in self.lines))
        return False

    def stop(self) -> None:
        """Ctrl-C; then what it takes."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass(frozen=True)
class User:
    """A folder, an environment with the lab's endpoint and credentials."""

    folder: Path
    env: dict[str, str]

    def start(self, verb: str, *args: str) -> Running:
        """Runs a verb in the background."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / f"{verb}.yml"), *args]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Running(process)

    def play(self, verb: str, *args: str) -> Play:
        """Runs a verb, must succeed."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / f"{verb}.yml"), *args]
        began, started, lines = time.time(), time.monotonic(), []
        with subprocess.Popen(
            command, cwd=self.folder, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            for line in process.stdout or ():
                lines.append((time.monotonic() - started, line.rstrip("\n")))
        if process.returncode:
            raise SystemExit("\n".join(line for _, line in lines))
        return Play(time.monotonic() - started, lines, began)

    def calls(self) -> list[dict[str, Any]]:
        """Every API call that the lab has seen."""
        calls: list[dict[str, Any]] = self.control("calls")
        return calls

    def control(self, name: str, **data: Any) -> Any:
        """A control of the lab: shows it, or sets it."""
        body = json.dumps(data).encode() if data else None
        request = urllib.request.Request(f"{self.env['AWS_ENDPOINT_URL']}/lab/{name}", data=body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


def environment(text: str) -> dict[str, str]:
    """Reads the lines `export NAME=value …` of `lab env`."""
    words = [word for line in text.splitlines() if line.startswith("export ") for word in shlex.split(line)[1:]]
    return dict(word.split("=", 1) for word in words)


@contextmanager
def user(name: str = NAME) -> Iterator[User]:
    """A lab of its own, and a user with an empty home; both are gone afterwards."""
    subprocess.run([LAB, "up", "--name", name], check=True)
    try:
        text = subprocess.run([LAB, "env", "--name", name], check=True, capture_output=True, text=True).stdout
        with tempfile.TemporaryDirectory() as home:
            env = os.environ | environment(text)
            env |= {"HOME": home, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
            env |= {"ANSIBLE_DISPLAY_OK_HOSTS": "true"}
            yield User(Path(home), env)
    finally:
        subprocess.run([LAB, "down", "--name", name], check=True)
