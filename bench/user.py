"""A user of the lab who types commands and looks at a clock."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAB = str(ROOT / "lab/lab")
NAME = "bench"


@dataclass(frozen=True)
class Play:
    """What one ansible-playbook printed, each line with its second since the start."""

    seconds: float
    lines: list[tuple[float, str]]

    def first(self, pattern: str) -> float:
        """Second of the first line that matches."""
        return next(second for second, line in self.lines if re.search(pattern, line))

    def remote_tasks(self) -> int:
        """Tasks that reported a result of a host other than localhost."""
        return sum(bool(re.match(r"(ok|changed): \[(?!localhost)", line)) for _, line in self.lines)


@dataclass(frozen=True)
class User:
    """A folder, an environment with the lab's endpoint and credentials."""

    folder: Path
    env: dict[str, str]

    def play(self, verb: str, *args: str) -> Play:
        """Runs a verb, must succeed."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / f"{verb}.yml"), *args]
        started, lines = time.monotonic(), []
        with subprocess.Popen(
            command, cwd=self.folder, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            for line in process.stdout or ():
                lines.append((time.monotonic() - started, line.rstrip("\n")))
        if process.returncode:
            raise SystemExit("\n".join(line for _, line in lines))
        return Play(time.monotonic() - started, lines)

    def calls(self) -> list[dict[str, Any]]:
        """Every API call that the lab has seen."""
        with urllib.request.urlopen(f"{self.env['AWS_ENDPOINT_URL']}/lab/calls", timeout=10) as answer:
            calls: list[dict[str, Any]] = json.loads(answer.read())
        return calls


def environment(text: str) -> dict[str, str]:
    """Reads the lines `export NAME=value …` of `lab env`."""
    words = [word for line in text.splitlines() if line.startswith("export ") for word in shlex.split(line)[1:]]
    return dict(word.split("=", 1) for word in words)


@contextmanager
def user() -> Iterator[User]:
    """A lab of its own, and a user with an empty home; both are gone afterwards."""
    subprocess.run([LAB, "up", "--name", NAME], check=True)
    try:
        text = subprocess.run([LAB, "env", "--name", NAME], check=True, capture_output=True, text=True).stdout
        with tempfile.TemporaryDirectory() as home:
            env = os.environ | environment(text)
            env |= {"HOME": home, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
            env |= {"ANSIBLE_DISPLAY_OK_HOSTS": "true"}
            yield User(Path(home), env)
    finally:
        subprocess.run([LAB, "down", "--name", NAME], check=True)
