"""What was there at a fork stays out of the child's collections; what the child makes itself does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

COLLECTIONS = Path(__file__).parents[4] / "collections"
PROGRAM = """
import gc, json, os
from ansible_collections.experiments.spot.plugins.plugin_utils import _collector

class Node:
    gone = 0
    def __init__(self): self.itself = self
    def __del__(self): Node.gone += 1

_collector.spare()
_collector.spare()
kept = [{} for _ in range(1000)]
reading, writing = os.pipe()
if os.fork() == 0:
    found = {"frozen": gc.get_freeze_count(), "looked at": len(gc.get_objects())}
    for _ in range(10): Node()
    gc.collect()
    os.write(writing, json.dumps({**found, "gone": Node.gone}).encode())
    os._exit(0)
os.wait()
told = json.loads(os.read(reading, 1000))
print(json.dumps({**told, "parent": gc.get_freeze_count(), "every": gc.get_threshold()[0]}))
"""


def test_a_child_looks_only_at_its_own() -> None:
    env = os.environ | {"PYTHONPATH": str(COLLECTIONS)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["frozen"] > 1000 and found["looked at"] < 100
    assert found["gone"] == 10, "a long task's memory does not grow"
    assert found["parent"] == 0, "a parent that forks often would keep what nobody needs"
    assert found["every"] == 100_000
