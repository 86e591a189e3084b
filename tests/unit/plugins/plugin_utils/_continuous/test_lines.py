"""When a channel runs on a host: no clock, no thread, no file."""

from __future__ import annotations

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines as rules
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import IDLE, RUNNING, STOPPED, Line
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import FATAL, OK, RETRY, WARN, Report, Verdict


def quiet(now: float = 100.0) -> Line:
    """A line that has just looked through everything."""
    line = Line(0, 0, "code", delay=2.0, every=60.0)
    rules.starts(line, now)
    rules.ends(line, Verdict(OK, ""), Report(), now)
    return line


def test_a_new_line_runs_at_once_and_a_quiet_one_once_a_pass() -> None:
    assert rules.is_due(Line(0, 0, "code"), 0.0)
    line = quiet(100.0)
    assert not rules.is_due(line, 159.9) and rules.is_due(line, 160.0)


def test_a_change_is_moved_after_the_delay_however_many_follow_it() -> None:
    line = quiet(100.0)
    for now in (101.0, 102.0, 102.9):
        rules.changed(line, now)
        assert not rules.is_due(line, now)
    assert rules.is_due(line, 103.0)


def test_what_changes_while_it_runs_is_taken_by_the_next_run() -> None:
    line = quiet(100.0)
    rules.changed(line, 101.0)
    rules.starts(line, 103.0)
    assert line.state == RUNNING and not rules.is_due(line, 1000.0)
    rules.changed(line, 104.0)
    rules.ends(line, Verdict(OK, ""), Report(), 105.0)
    assert rules.starts_at(line) == 106.0


def test_a_lost_connection_is_tried_again_with_growing_pauses_until_it_is_back() -> None:
    line, pauses = quiet(0.0), []
    for _try in range(7):
        rules.starts(line, 100.0)
        rules.ends(line, Verdict(RETRY, "the connection broke"), Report(), 100.0)
        rules.changed(line, 100.0)  # a change does not shorten the pause
        assert line.state == IDLE
        pauses.append((rules.starts_at(line) or 0) - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 30, 30] and line.failures == 7
    rules.host_is_back(line)
    assert rules.is_due(line, 100.0) and line.pause == 1.0


@pytest.mark.parametrize("kind", [OK, WARN])
def test_a_run_that_works_makes_the_failure_before_forgotten(kind: str) -> None:
    line = quiet()
    rules.ends(line, Verdict(RETRY, "cut"), Report(), 1.0)
    rules.ends(line, Verdict(kind, "files vanished"), Report(files=2, bytes=10), 5.0)
    assert (line.state, line.reason, line.synced_at, line.files, line.bytes) == (IDLE, "", 5.0, 2, 10)


def test_what_cannot_work_stops_the_line_for_good() -> None:
    line = quiet()
    rules.ends(line, Verdict(FATAL, "there is no space left"), Report(), 1.0)
    rules.changed(line, 2.0)
    rules.host_is_back(line)
    assert line.state == STOPPED and rules.starts_at(line) is None and not rules.is_due(line, 1e9)
    assert rules.row(line, 3.0, True)["state"] == "stopped"


def test_a_source_that_is_not_there_yet_is_waited_for() -> None:
    line = quiet(0.0)
    rules.ends(line, Verdict(rules.ABSENT, "nothing is there yet"), Report(), 10.0)
    assert line.state == IDLE and rules.starts_at(line) == 70.0 and line.failures == 0
    assert rules.row(line, 11.0, True)["state"] == "waiting"
    rules.changed(line, 20.0)
    assert rules.is_due(line, 22.0)


def test_the_next_start_of_many() -> None:
    one, two = quiet(100.0), quiet(100.0)
    rules.changed(two, 100.5)
    assert rules.next_start([one, two], 101.0, 5.0) == 1.5
    assert rules.next_start([one], 101.0, 5.0) == 5.0
    assert rules.next_start([], 101.0, 5.0) == 5.0
    assert rules.next_start([two], 200.0, 5.0) == 0.0


def test_the_table_leaves_out_what_nobody_has() -> None:
    text = rules.table([rules.row(quiet(100.0), 103.0, True)])
    assert text.splitlines()[0].split() == ["channel", "rank", "state", "runs", "files", "moved", "last"]
    assert "3 s ago" in text and "reason" not in text
    assert rules.row(quiet(), 101.0, False)["state"] == "no connection"


def narrow(now: float = 100.0) -> Line:
    """A line that can move paths alone and has just looked through everything."""
    line = quiet(now)
    line.narrow = True
    return line


def begun(line: Line, now: float) -> tuple[str, ...] | None:
    rules.starts(line, now)
    return line.only


def test_what_changed_is_moved_alone_until_everything_is_due() -> None:
    line = narrow(100.0)
    rules.changed(line, 101.0, ["b"])
    rules.changed(line, 102.0, ["a", "b"])
    assert begun(line, 103.0) == ("a", "b")
    rules.changed(line, 103.5, ["c"])
    rules.ends(line, Verdict(OK, ""), Report(), 104.0)
    assert line.synced_at == 104.0 and begun(line, 106.0) == ("c",)
    rules.ends(line, Verdict(OK, ""), Report(), 106.0)
    assert rules.starts_at(line) == 160.0  # a run over some paths does not put off the look at everything
    rules.changed(line, 159.0, ["d"])
    assert begun(line, 160.0) is None


@pytest.mark.parametrize("paths", [None, ["a", ".git/index"], [str(number) for number in range(101)]])
def test_in_doubt_everything_is_looked_through(paths: list[str] | None) -> None:
    line = narrow()
    rules.changed(line, 101.0, ["a"])
    rules.changed(line, 101.0, paths)
    rules.changed(line, 101.0, ["b"])
    assert begun(line, 103.0) is None
    rules.ends(line, Verdict(OK, ""), Report(), 104.0)
    rules.changed(line, 105.0, ["b"])
    assert begun(line, 107.0) == ("b",)


def test_a_line_that_cannot_move_paths_alone_never_does() -> None:
    line = quiet()
    rules.changed(line, 101.0, ["a"])
    assert begun(line, 103.0) is None


@pytest.mark.parametrize("kind", [WARN, FATAL])
def test_when_moving_paths_alone_went_wrong_everything_is_looked_through_at_once(kind: str) -> None:
    line = narrow()
    rules.changed(line, 101.0, ["a"])
    assert begun(line, 103.0) == ("a",)
    rules.ends(line, Verdict(kind, "some files vanished"), Report(), 104.0)
    assert line.failures == 0 and rules.is_due(line, 104.0) and begun(line, 104.0) is None
    rules.ends(line, Verdict(kind, "some files vanished"), Report(), 105.0)
    assert line.state == (IDLE if kind == WARN else STOPPED)


def test_after_a_lost_connection_everything_is_looked_through() -> None:
    line = narrow()
    rules.changed(line, 101.0, ["a"])
    assert begun(line, 103.0) == ("a",)
    rules.ends(line, Verdict(RETRY, "the connection broke"), Report(), 104.0)
    assert rules.starts_at(line) == 105.0 and begun(line, 105.0) is None
    rules.ends(line, Verdict(OK, ""), Report(), 106.0)
    rules.changed(line, 107.0, ["a"])
    rules.host_is_back(line)
    assert begun(line, 108.0) is None
