"""What the bench of channels counts."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import channels


def test_a_process_with_its_children() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as shell:
        found: list[int] = []
        while len(found) < 2:
            found = channels.tree_of(shell.pid)
        for pid in reversed(found):
            os.kill(pid, 9)
    assert found[0] == shell.pid


def test_processor_time_grows() -> None:
    before = channels.cpu_of(lambda: [os.getpid()])
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    assert channels.cpu_of(lambda: [os.getpid()]) > before
