"""What the instance tells of its job: each news once, whatever restarts or fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import news
from ansible_collections.experiments.spot.plugins.module_utils._notice.news import News
from tests.unit.hook import Hook


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def run(state: str, **more: Any) -> dict[str, Any]:
    return {"state": state, "instance_id": "i-1", "started": "2026-01-01T00:00:00Z", "exit_code": None, **more}


def watched(folder: Path, hook: Hook) -> News:
    config = {"experiment": "x", "generation": 2, "rank": 0, "instance_id": "i-1", "webhook": hook.url}
    config |= {"ledger": None, "job_file": str(folder / "job.json")}
    (folder / "job.json").write_text(json.dumps({"ledger": str(folder / "ledger.json")}))
    return News(config, str(folder / "news.json"))


def write(folder: Path, *runs: dict[str, Any]) -> None:
    (folder / "ledger.json").write_text(json.dumps({"runs": list(runs)}))


def kinds(hook: Hook) -> list[str]:
    return [told["kind"] for _path, told in hook.told]


def test_start_and_end_are_told_once_also_after_a_restart(tmp_path: Path, hook: Hook) -> None:
    watcher = watched(tmp_path, hook)
    watcher.look()
    write(tmp_path, run("pulling"))
    watcher.look()
    assert hook.told == [], "nothing has started yet"
    write(tmp_path, run("running"))
    watcher.look()
    watcher.look()
    watched(tmp_path, hook).look()
    write(tmp_path, run("succeeded", exit_code=0, finished="2026-01-01T01:00:00Z"))
    watched(tmp_path, hook).look()
    assert kinds(hook) == ["start", "end"]
    path, told = hook.told[1]
    assert path == "/secret" and (told["experiment"], told["generation"], told["instance_id"]) == ("x", 2, "i-1")
    assert (told["state"], told["exit_code"], told["finished"]) == ("succeeded", 0, "2026-01-01T01:00:00Z")


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (run("succeeded", exit_code=0), ["start", "end"]),
        (run("failed", exit_code=7), ["start", "failure"]),
        (run("failed"), ["failure"]),
        (run("interrupted", exit_code=143), []),
        (run("stopped", exit_code=143), []),
        (run("succeeded", exit_code=0, instance_id="i-0"), []),
        (run("odd"), []),
    ],
)
def test_what_is_told_of_a_run(tmp_path: Path, hook: Hook, last: dict[str, Any], told: list[str]) -> None:
    """A job that was over before anybody looked, one that never ran, and what is no news of the job."""
    write(tmp_path, last)
    watched(tmp_path, hook).look()
    assert kinds(hook) == told


def test_the_next_run_is_told_again(tmp_path: Path, hook: Hook) -> None:
    watcher = watched(tmp_path, hook)
    first = run("failed", exit_code=7)
    write(tmp_path, first)
    watcher.look()
    write(tmp_path, first, run("running", started="2026-01-01T02:00:00Z"))
    watcher.look()
    assert kinds(hook) == ["start", "failure", "start"]


def test_a_receiver_that_refuses_is_tried_again_and_given_up(
    tmp_path: Path, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, run("running"))
    watcher = watched(tmp_path, hook)
    hook.status = 500
    watcher.look()
    hook.status = 204
    watcher.look()
    watcher.look()
    assert kinds(hook) == ["start", "start"] and capsys.readouterr().out == ""
    hook.status = 500
    write(tmp_path, run("failed", exit_code=1))
    for _number in range(news.TRIES + 2):
        watcher.look()
    said = capsys.readouterr().out
    assert kinds(hook).count("failure") == news.TRIES and "the failure of the job was not told" in said
    assert "/secret" not in said


def test_a_watcher_without_a_webhook_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news.threading, "Thread", None)
    news.begin({"webhook": None})
