"""What a poll and the journal say about a job."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _follow
from ansible_collections.experiments.spot.plugins.plugin_utils._follow import (
    MARK,
    failure_text,
    follow_command,
    job_failed,
    journal_entry,
    parse_poll,
    plain,
    plain_lines,
    poll_command,
    run_seconds,
    tail_command,
)

DOCUMENT = {
    "experiment": "x",
    "job": "digits",
    "generation": 1,
    "rank": 0,
    "instance_id": "i-1",
    "spec_sha256": "abc",
    "ledger": "/data/x/ledger.json",
}
STARTED = "2026-01-02T03:04:05Z"
EPOCH = 1767323045


def poll(
    unit: dict, run: dict | None, document: dict | None = None, clock: str = str(EPOCH + 30), notice: dict | None = None
) -> str:
    shown = "".join(f"{key}={value}\n" for key, value in unit.items())
    document = DOCUMENT if document is None else document
    entry = {**{key: DOCUMENT[key] for key in ("spec_sha256", "instance_id", "generation", "rank")}, **(run or {})}
    ledger = json.dumps({"schema": 1, "runs": [entry] if run else []})
    return f"{clock}\n{MARK}\n{shown}{MARK}\n{json.dumps(document) if document else ''}\n{MARK}\n{ledger}\n{MARK}\n{json.dumps(notice) if notice else ''}"


ACTIVE = {"ActiveState": "active", "InvocationID": "0a0b", "ExecMainStatus": "0"}
INACTIVE = {"ActiveState": "inactive", "InvocationID": "0a0b", "ExecMainStatus": "0"}


@pytest.mark.parametrize(
    ("unit", "run", "state", "over"),
    [
        (ACTIVE, {"state": "pulling", "started": STARTED}, "pulling", False),
        (ACTIVE, {"state": "running", "started": STARTED}, "running", False),
        # The ledger is ahead of the unit, or it tells of the run before.
        (ACTIVE, {"state": "succeeded", "exit_code": 0, "started": STARTED}, "starting", False),
        ({**ACTIVE, "ActiveState": "deactivating"}, {"state": "running", "started": STARTED}, "stopping", False),
        (INACTIVE, {"state": "succeeded", "exit_code": 0, "started": STARTED}, "succeeded", True),
        (
            {**INACTIVE, "ActiveState": "failed"},
            {"state": "failed", "exit_code": 3, "started": STARTED},
            "failed",
            True,
        ),
        (INACTIVE, {"state": "stopped", "exit_code": 143, "started": STARTED}, "stopped", True),
        (INACTIVE, {"state": "interrupted", "exit_code": 143, "started": STARTED}, "interrupted", True),
        # The runner was killed: the ledger is still open.
        ({**INACTIVE, "ExecMainStatus": "9"}, {"state": "running", "started": STARTED}, "failed", True),
        (INACTIVE, None, None, False),
    ],
)
def test_poll(unit, run, state, over):
    view = parse_poll(poll(unit, run))
    assert (view.state, view.over) == (state, over)
    assert view.known
    assert view.ledger == "/data/x/ledger.json"
    assert view.invocation == "0a0b"


def test_running_time_is_by_the_clock_of_the_instance():
    view = parse_poll(poll(ACTIVE, {"state": "running", "started": STARTED}))
    assert view.running_for == 30
    assert view.phase() == "running 30 s"
    assert parse_poll(poll(ACTIVE, {"state": "pulling", "started": STARTED})).phase() == "pulling image 30 s"
    layers = {"state": "pulling", "started": STARTED, "layers": {"done": 3, "of": 8}}
    assert parse_poll(poll(ACTIVE, layers)).phase() == "pulling image 3/8 layers 30 s"
    assert parse_poll(poll(ACTIVE, {"state": "running", "started": STARTED}, clock="?")).phase() == "running"


@pytest.mark.parametrize("text", ["", "x", f"{MARK}{MARK}{MARK}", f"1\n{MARK}\n{MARK}\n[]{MARK}{{broken", "\0"])
def test_damaged_answers_are_no_job(text):
    view = parse_poll(text)
    assert not view.known
    assert not view.over


def test_no_job_at_all():
    view = parse_poll(poll({"ActiveState": "inactive", "LoadState": "not-found"}, None, document={}))
    assert not view.known
    assert not view.over
    assert view.phase() == "not started"


@pytest.mark.parametrize(
    ("state", "failed"), [("succeeded", False), ("failed", True), ("stopped", True), ("interrupted", True)]
)
def test_job_failed(state, failed):
    assert job_failed(parse_poll(poll(INACTIVE, {"state": state, "exit_code": 0, "started": STARTED}))) is failed


def test_remote_commands_survive_strange_paths(tmp_path):
    ledger = tmp_path / "it's; touch oops" / "ledger.json"
    ledger.parent.mkdir()
    ledger.write_text('{"runs": []}')
    result = subprocess.run(
        ["sh", "-c", poll_command(str(ledger))], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.stdout.count(MARK) == 4
    assert result.stdout.split(MARK)[3].strip() == '{"runs": []}'
    assert not (tmp_path / "oops").exists()


def test_the_instance_answers_at_once_when_nothing_runs(tmp_path):
    command = poll_command(None, window=600)
    assert "is-active" not in poll_command(None)
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=30)
    assert result.stdout.count(MARK) == 4


NOTICE = {
    "schema": 1,
    "kind": "interruption",
    "action": "terminate",
    "time": "2026-01-02T03:06:05Z",
    "phase": "noticed",
}


def test_a_notice_is_part_of_the_view():
    running = parse_poll(poll(ACTIVE, {"state": "running", "started": STARTED}, notice=NOTICE))
    assert (running.state, running.over, running.notice) == ("running", False, NOTICE)
    assert parse_poll(poll(ACTIVE, {"state": "running", "started": STARTED})).notice == {}
    assert parse_poll(f"1{MARK}{MARK}{MARK}{MARK}[1]").notice == {}


def test_a_job_whose_ledger_is_unmounted_after_a_notice():
    entry = {key: DOCUMENT[key] for key in ("spec_sha256", "instance_id", "generation", "rank")}
    entry.update(state="succeeded", exit_code=0, started=STARTED)
    kept = parse_poll(poll(INACTIVE, None, notice={**NOTICE, "job": "ended", "run": entry}))
    assert (kept.state, kept.over) == ("succeeded", True)
    untold = parse_poll(poll(INACTIVE, None, notice={**NOTICE, "job": "killed"}))
    assert (untold.state, untold.over) == ("interrupted", True)
    assert untold.facts["message"] == "interrupted: AWS takes the instance at 03:06:05Z (terminate)"
    never = parse_poll(poll(INACTIVE, None, notice={**NOTICE, "job": "none"}))
    assert (never.state, never.over) == (None, False)


@pytest.fixture()
def unit_that_runs(tmp_path, monkeypatch):
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setattr(_follow, "NOTICE_PATH", str(tmp_path / "notice.json"))
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.slow
def test_a_notice_ends_the_window(tmp_path, unit_that_runs):
    command = ["sh", "-c", poll_command(None, window=600)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=unit_that_runs) as process:
        time.sleep(0.2)
        assert process.poll() is None
        (tmp_path / "notice.json").write_text(json.dumps(NOTICE))
        text, _none = process.communicate(timeout=60)
    assert parse_poll(text).notice == NOTICE


@pytest.mark.slow
def test_a_known_notice_does_not_end_the_window(tmp_path, unit_that_runs):
    (tmp_path / "notice.json").write_text(json.dumps(NOTICE))
    command = ["sh", "-c", poll_command(None, window=600, noticed=True)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=unit_that_runs) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 3\n")
        assert process.wait(60) == 0


def test_journal_commands_name_the_run():
    assert "_SYSTEMD_INVOCATION_ID=0a0b" in tail_command("0a0b", 5)
    words = shlex.split(shlex.split(follow_command("0a0b", "s=1;i=2"))[2])
    assert "--after-cursor" in words
    assert "s=1;i=2" in shlex.split(shlex.split(follow_command("0a0b", "s=1;i=2"))[2].replace("; fi", " ; fi"))
    assert "--after-cursor" not in follow_command("0a0b", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        (" 10%\r 20%\r 30%", " 30%"),
        ("100%\r", "100%"),
        ("tab\there  ", "tab\there"),
        ("bell\x07\x00", "bell"),
        ("", ""),
        ("naïve ✓", "naïve ✓"),
    ],
)
def test_plain(text, expected):
    assert plain(text) == expected


def test_journal_entries():
    assert journal_entry('{"__CURSOR": "c1", "MESSAGE": "epoch 1"}') == ("c1", ["epoch 1"])
    assert journal_entry('{"__CURSOR": "c2", "MESSAGE": [104, 105, 255]}') == ("c2", ["hi\ufffd"])
    assert journal_entry('{"__CURSOR": "c3", "MESSAGE": "a\\nb"}') == ("c3", ["a", "b"])
    assert journal_entry('{"__CURSOR": "c4", "MESSAGE": null}') == ("c4", [""])
    assert journal_entry("broken") == (None, [""])


def test_failure_text():
    view = parse_poll(
        poll(INACTIVE, {"state": "failed", "exit_code": 3, "message": "out of memory", "started": STARTED})
    )
    assert failure_text(view, "x-i-1", ["a", "b"]) == (
        "job digits failed on x-i-1 with exit code 3: out of memory\nthe last 2 lines of its log:\n  | a\n  | b"
    )


def test_lines_and_times():
    assert plain_lines(["a", "", "b\r\n", "", ""]) == ["a", "", "b"]
    assert run_seconds({"started": STARTED, "finished": "2026-01-02T03:05:05Z"}) == 60
    assert run_seconds({"started": STARTED, "finished": None}) is None
