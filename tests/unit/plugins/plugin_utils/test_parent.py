"""A child whose parent was killed ends, and so do its own children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COLLECTIONS = Path(__file__).parents[4] / "collections"
# A parent that only waits; its child has a session of its own, as a worker of Ansible has, and a handler that writes a file.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from ansible_collections.experiments.spot.plugins.plugin_utils import _parent

def ended(_number, _frame):
    Path(sys.argv[1] + ".new").write_text("in order")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    os._exit(0)

if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, ended)
    _parent.POLL_S = 0.02
    _parent.end_with_parent()
    print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_parent(tmp_path: Path) -> None:
    said = tmp_path / "said"
    argv = [sys.executable, "-c", PROGRAM, str(said)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(COLLECTIONS)}) as parent:
        assert parent.stdout and parent.stdout.readline() == b"ready\n"
        time.sleep(0.1)
        assert not said.exists(), "as long as the parent lives nothing ends"
        parent.send_signal(signal.SIGKILL)
        until = time.monotonic() + 30
        while not said.exists() and time.monotonic() < until:
            time.sleep(0.01)
    assert said.read_text() == "in order"
