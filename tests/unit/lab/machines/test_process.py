"""A daemon is known by more than its number."""

from __future__ import annotations

import json
import os
import subprocess
import threading

import pytest

from lab.machines import process
from lab.machines.slots import Slot


@pytest.fixture
def slot(tmp_path):
    return Slot("demo", 0, "172.31.0.0/16", str(tmp_path))


def test_this_process_is_alive(slot):
    process.remember(slot, os.getpid())
    assert process.daemon(slot) == os.getpid()


def test_a_reused_process_id_is_not_the_daemon(slot):
    (slot.path / "daemon.json").write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    assert process.daemon(slot) == 0


@pytest.mark.parametrize("note", ["", "{}", '{"pid": "x", "started": "1"}', "[]"])
def test_a_damaged_note_is_no_daemon(slot, note):
    (slot.path / "daemon.json").write_text(note)
    assert process.daemon(slot) == 0


def test_the_daemon_is_there_also_while_its_note_is_written_again(slot):
    process.remember(slot, os.getpid())
    writer = threading.Thread(target=lambda: [process.remember(slot, os.getpid()) for _ in range(300)])
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(process.daemon(slot))
    assert set(seen) == {os.getpid()}


def test_no_note_is_no_daemon(slot):
    assert process.daemon(slot) == 0


def test_a_zombie_is_dead(slot):
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.started(child.pid) == ""
    child.wait()


def test_end_kills_what_does_not_listen(slot):
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], stdout=-1)
    assert child.stdout.readline() == b"ready\n"
    process.remember(slot, child.pid)
    process.end(slot, patience=0.3)
    assert child.wait(10) == -9
    assert process.daemon(slot) == 0


def test_end_without_a_daemon_is_nothing(slot):
    process.end(slot)
