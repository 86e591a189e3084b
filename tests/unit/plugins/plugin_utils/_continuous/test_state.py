"""The file that says how channels are: real files and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _channel
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines as rules
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import state
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import Line
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import FATAL, OK, RETRY, Report, Verdict

DATE = datetime(2026, 11, 27, 12, 0, 0, tzinfo=timezone.utc)


def now(clock: float) -> state.Now:
    return state.Now(clock, DATE)


def moved(at: float = 90.0) -> Line:
    """A line that has moved two files."""
    line = Line(0, 1, "code")
    rules.starts(line, at)
    rules.ends(line, Verdict(OK, ""), Report(files=2, bytes=1500), at)
    return line


def test_a_line_tells_when_it_moved_and_what_is_wrong() -> None:
    line = moved(90.0)
    assert state.line_row(line, now(100.0), True, "i-1") == {
        "channel": "code", "rank": 1, "instance_id": "i-1", "state": "ok", "synced": "2026-11-27T11:59:50+00:00",
        "moved": "2026-11-27T11:59:50+00:00", "runs": 1, "files": 2, "bytes": 1500, "retries": 0, "error": "",
    }  # fmt: skip
    rules.starts(line, 150.0)
    assert state.line_row(line, now(150.0), True, "i-1")["state"] == "moving"
    rules.ends(line, Verdict(OK, ""), Report(), 151.0)
    row = state.line_row(line, now(160.0), False, None)
    assert (row["state"], row["synced"], row["moved"]) == (
        "no connection",
        "2026-11-27T11:59:51+00:00",
        "2026-11-27T11:58:50+00:00",
    )
    rules.ends(line, Verdict(RETRY, "the connection broke"), Report(), 160.0)
    rules.ends(line, Verdict(FATAL, "no space"), Report(), 161.0)
    row = state.line_row(line, now(161.0), True, "i-1")
    assert (row["state"], row["retries"], row["error"]) == ("stopped", 2, "no space")


def lines(line: Line, at: float) -> list[dict[str, Any]]:
    return [state.line_row(line, now(at), True, "i-1")]


def test_the_file_is_written_when_something_is_new_and_now_and_then(tmp_path: Path) -> None:
    file = state.StateFile("exp", str(tmp_path))
    file.start()
    line = Line(0, 0, "code")
    file.tell(lines(line, 0.0), now(0.0))
    before = file.path.stat().st_ino
    file.tell(lines(line, 5.0), now(5.0))
    assert file.path.stat().st_ino == before
    rules.starts(line, 5.0)
    file.tell(lines(line, 5.5), now(5.5))
    assert json.loads(file.path.read_text())["lines"][0]["state"] == "moving"
    before = file.path.stat().st_ino
    file.tell(lines(line, 25.5), now(25.5))
    assert file.path.stat().st_ino != before
    assert [path.name for path in file.folder.iterdir()] == [f"{os.getpid()}.json"]
    file.end(lines(line, 30.0), now(30.0), failed=False)
    assert list(file.folder.iterdir()) == []


def test_a_failure_stays_until_the_next_start(tmp_path: Path) -> None:
    file = state.StateFile("exp", str(tmp_path))
    file.start()
    file.end(lines(moved(), 100.0), now(100.0), failed=True)
    assert [one["state"] for one in state.found(["exp", "other"], str(tmp_path))] == ["failed"]
    state.StateFile("exp", str(tmp_path)).start()
    assert state.found(["exp"], str(tmp_path)) == []


def test_a_directory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "channels").touch()
    file = state.StateFile("exp", str(tmp_path))
    file.start()
    file.tell([], now(0.0))
    file.end([], now(1.0), failed=True)
    file.end([], now(1.0), failed=False)
    assert state.found(["exp"], str(tmp_path)) == []


CHILD = """
import sys, time
from datetime import datetime, timezone
sys.path[:0] = sys.argv[2:]
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import state
file = state.StateFile("exp", sys.argv[1])
file.start()
file.tell([{"rank": 0}], state.Now(0.0, datetime.now(timezone.utc)))
print("ready", flush=True)
time.sleep(100)
"""


def test_a_process_that_was_killed_is_told_to_be_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), *sys.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        (process,) = state.found(["exp"], str(tmp_path))
        assert (process["state"], process["pid"], process["lines"]) == ("running", child.pid, [{"rank": 0}])
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert state.found(["exp"], str(tmp_path))[0]["state"] == "dead"  # not yet waited for: a zombie
    assert state.found(["exp"], str(tmp_path))[0]["state"] == "dead"


def data(**more: Any) -> dict[str, Any]:
    line = state.line_row(moved(), now(100.0), True, "i-1")
    facts = {"experiment": "exp", "host": "laptop", "pid": 7, "began": "5", "at": DATE.isoformat(), "state": "running"}
    return {**facts, "since": DATE.isoformat(), "lines": [line], **more}


@pytest.mark.parametrize(
    ("host", "began", "age", "expected"),
    [
        ("laptop", "5", 1, "running"),
        ("laptop", "6", 1, "dead"),  # the id belongs to another process now
        ("laptop", "", 1, "dead"),
        ("laptop", "5", 61, "silent"),
        ("elsewhere", "", 59, "running"),
        ("elsewhere", "", 61, "silent"),
    ],
)
def test_what_a_file_is_worth(host: str, began: str, age: int, expected: str) -> None:
    later = state.Now(0.0, DATE + timedelta(seconds=age))
    assert state.judged(data(), later, host, lambda _pid: began)["state"] == expected


def test_rows_for_people() -> None:
    process = {**data(), "age": 70.0}
    (row,) = state.rows([process], DATE)
    assert (row["state"], row["last"], row["moved"], row["reason"]) == ("ok", "10 s ago", "1.5 kB", "")
    (row,) = state.rows([{**process, "state": "dead"}], DATE)
    assert row["state"] == "dead"
    assert row["reason"].startswith("process 7 is gone; start again: ansible-playbook sync.yml -e experiment=exp")
    (row,) = state.rows([{**process, "state": "silent"}], DATE)
    assert row["reason"] == "process 7 on laptop has said nothing for 1m 10s"
    stopped = {**process["lines"][0], "state": "stopped", "error": "no space", "synced": None}
    (row,) = state.rows([{**process, "state": "failed", "lines": [stopped]}], DATE)
    assert (row["state"], row["last"], row["reason"]) == ("stopped", "never", "no space")


def test_a_file_of_somebody_else_is_left_out(tmp_path: Path) -> None:
    state.folder("exp", str(tmp_path)).mkdir(parents=True)
    (state.folder("exp", str(tmp_path)) / "1.json").write_text("{")
    (state.folder("exp", str(tmp_path)) / "2.json").write_text("{}")
    assert state.found(["exp"], str(tmp_path)) == []


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_channel, "STATE_DIRECTORY", str(tmp_path))
    assert state.folder("exp") == tmp_path / "channels/exp"
