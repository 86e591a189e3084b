"""One run of a channel that keeps going, over a real sshd."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.action import channels_watch
from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.session import Host
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Finished
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import FATAL, OK, RETRY, WARN


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_channel, "STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text("1")
    return tmp_path / "code"


def run(target: _ssh.Target, channel: dict[str, Any], *, confirm: bool = False, count: int = 1) -> Any:
    moves = channels_watch.Moves([channel], count, lambda _line: None, quiet=True, confirm=confirm)
    return moves(lines.Line(0, 0, "code"), Host("i-1", target))


def out(code: Path, there: Path, **more: Any) -> dict[str, Any]:
    return {"direction": "out", "local_path": f"{code}/", "remote_path": str(there), "recursive": True, **more}


def test_the_keys_of_a_profile_count(sshd: Any, code: Path, tmp_path: Path) -> None:
    (code / "a.log").write_text("x")
    there = tmp_path / "there"
    end, report = run(_ssh.connection_target(sshd.options), out(code, there, filter=["- *.log"], chmod="F600"))
    assert (end.kind, report.files) == (OK, 1)
    assert (there / "train.py").stat().st_mode & 0o777 == 0o600


def test_a_large_deletion_stops_it_before_anything_is_deleted(sshd: Any, code: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for number in range(9):
        (there / f"precious{number}").write_text("x")
    target, channel = _ssh.connection_target(sshd.options), out(code, there, delete=True)
    end, _report = run(target, channel)
    assert end.kind == FATAL
    assert "delete would remove 9 of the" in end.text
    assert "-e confirm=true" in end.text
    assert len(list(there.iterdir())) == 9
    _end, report = run(target, channel, confirm=True)
    assert report.deleted == 9


def test_nothing_is_deleted_while_it_cannot_be_told_how_much(code: Path, tmp_path: Path) -> None:
    end, _report = run(_ssh.Target("127.0.0.1", port=1), out(code, tmp_path / "there", delete=True))
    assert end.kind == RETRY


def test_what_cannot_work_is_told(sshd: Any, code: Path, tmp_path: Path) -> None:
    target = _ssh.connection_target(sshd.options)
    assert "does not exist on this machine" in run(target, out(code / "none", tmp_path))[0].text
    back = {"direction": "in", "local_path": "/proc/nowhere/", "remote_path": f"{code}/", "recursive": True}
    assert run(target, back)[0] == channels_watch.Verdict(FATAL, run(target, back)[0].text)
    assert "cannot be created" in run(target, back)[0].text
    absent = {**back, "local_path": f"{tmp_path}/back/", "remote_path": f"{tmp_path}/none/"}
    assert run(target, absent)[0].kind == lines.ABSENT


def test_a_file_that_changed_on_the_way_is_no_reason_to_stop(code: Path) -> None:
    transfer = _channel.transfer_of(out(code, Path("/x")), "none")
    said = "WARNING: log failed verification -- update discarded (will try again)."
    assert channels_watch.judged(transfer, Finished(23, said)).kind == WARN
    assert channels_watch.judged(transfer, Finished(23, "rsync: open failed: Permission denied (13)")).kind == FATAL


def test_a_channel_runs_on_its_hosts_only() -> None:
    channel = out(Path("/l"), Path("/r"))
    made = channels_watch.lines_of([{**channel, "hosts": ["first"]}, {**channel, "hosts": ["1", "2"]}], [0, 1, 2])
    assert [(line.channel, line.rank) for line in made] == [(0, 0), (1, 1), (1, 2)]


def test_each_host_brings_to_its_directory_also_while_it_is_the_only_one_that_runs(
    sshd: Any, code: Path, tmp_path: Path
) -> None:
    channel = {"direction": "in", "local_path": f"{tmp_path}/back/", "remote_path": f"{code}/", "recursive": True}
    assert run(_ssh.connection_target(sshd.options), channel, count=2)[0].kind == OK
    assert (tmp_path / "back/rank-0/train.py").read_text() == "1"


def test_a_rank_that_does_not_run_yet_is_looked_for(code: Path) -> None:
    moves = channels_watch.Moves([], 2, lambda _line: None, quiet=True, confirm=False)
    found = {0: Host("i-1", _ssh.Target("192.0.2.1")), 1: None}
    ports = SimpleNamespace(find=lambda _rank, _known: None, mount_points=["/r"])
    signals = SimpleNamespace(stop=threading.Event())
    made = channels_watch.supervise([out(code, Path("/r"))], ports, found, moves, signals)  # type: ignore[arg-type]
    assert [line.rank for line in made.lines] == [0, 1]
    assert {rank: session.host for rank, session in made.sessions.items()} == found
    assert [session.mount_points for session in made.sessions.values()] == [["/r"], ["/r"]]


@pytest.mark.parametrize(
    ("remote_path", "needed"),
    [("/data/code/", ["/data"]), ("/data", ["/data"]), ("/database/", []), ("/data/sets/a", ["/data", "/data/sets"])],
)
def test_only_what_a_channel_lies_on_must_be_mounted(remote_path: str, needed: list[str]) -> None:
    assert channels_watch.needed(["/data", "/data/sets"], [{"remote_path": remote_path}]) == needed
