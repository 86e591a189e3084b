"""The end of the job, and how long the instance stays after it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice.ended import HEARD, JobEnd, last_run

AFTER = {"succeeded": 40.0, "failed": 60.0}


def run(state: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {"state": state, "instance_id": "i-1", "started": "2026-01-01T00:00:00Z", "finished": None, **more}


class Ledger:
    """A ledger whose every write is seen as one, however fast the next comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = 0

    def write(self, *runs: dict[str, Any]) -> str:
        self.writes += 1
        self.path.write_text(json.dumps({"runs": list(runs)}))
        os.utime(self.path, ns=(self.writes, self.writes))
        return str(self.path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.json")


@pytest.fixture
def end(tmp_path: Path) -> JobEnd:
    return JobEnd(AFTER, "i-1", str(tmp_path / "stay"))


@pytest.mark.parametrize(
    "ledger", [{}, {"runs": []}, {"runs": "x"}, {"runs": [5]}, {"runs": [run(instance_id="i-0")]}], ids=str
)
def test_no_run_of_this_instance(ledger: dict[str, Any]) -> None:
    assert last_run(ledger, "i-1") is None


@pytest.mark.parametrize(("state", "seconds"), [("succeeded", 40), ("failed", 60)])
def test_it_stays_so_long_after_the_end_was_seen(ledger: Ledger, end: JobEnd, state: str, seconds: int) -> None:
    path = ledger.write(run("running"))
    end.look(path, 100)
    assert not end.reached(10_000)
    end.look(ledger.write(run(state)), 200)
    assert not end.reached(200 + seconds - 1)
    assert end.reached(200 + seconds)


@pytest.mark.parametrize("state", ["starting", "running", "interrupted", "stopped"])
def test_other_states_end_nothing(ledger: Ledger, end: JobEnd, state: str) -> None:
    end.look(ledger.write(run(state)), 0)
    assert not end.reached(1e9)


def test_another_job_keeps_it(ledger: Ledger, end: JobEnd) -> None:
    end.look(ledger.write(run()), 0)
    assert end.reached(40)
    end.look(ledger.write(run(), run("running", started="later")), 39)
    assert not end.reached(40)
    end.look(ledger.write(run(), run("succeeded", started="later")), 100)
    assert not end.reached(139) and end.reached(140)


def test_a_notice_in_the_ledger_does_not_begin_the_time_anew(ledger: Ledger, end: JobEnd) -> None:
    end.look(ledger.write(run()), 0)
    path = Path(ledger.write(run()))
    path.write_text(json.dumps({"runs": [run()], "notices": [{"id": "x"}]}))
    end.look(str(path), 5)
    assert end.reached(40)


def test_whoever_waits_for_the_job_hears_of_its_end_first(ledger: Ledger, tmp_path: Path) -> None:
    end = JobEnd({"succeeded": 0.0}, "i-1", str(tmp_path / "stay"))
    end.look(ledger.write(run()), 5)
    assert not end.reached(5 + HEARD - 1) and end.reached(5 + HEARD)


def test_a_file_keeps_it(ledger: Ledger, end: JobEnd) -> None:
    end.look(ledger.write(run()), 0)
    Path(end.stay).touch()
    assert not end.reached(1_000)
    Path(end.stay).unlink()
    assert end.reached(1_000)


def test_an_unmounted_ledger_changes_nothing(ledger: Ledger, end: JobEnd) -> None:
    path = ledger.write(run())
    end.look(path, 0)
    os.unlink(path)
    end.look(path, 5)
    assert end.reached(40)
