"""Sessions and the supervisor, on real processes, files and threads; only ssh is a program that stays on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import session as sessions
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import supervisor
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import STOPPED, Line
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.session import Event, Host, Session
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.supervisor import (
    LOCAL,
    LocalWatch,
    Supervisor,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import FATAL, OK, RETRY, Report, Verdict
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import Target

pytestmark = pytest.mark.slow


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """Runs the remote command here, as long as there is a file `open`; each login is counted in `logins`."""
    program = tmp_path / "ssh"
    program.write_text(
        f"""#!/bin/sh
case "$*" in *"-O exit"*) exit 0;; esac
echo x >> {tmp_path}/logins
[ -e {tmp_path}/open ] || {{ echo "Connection refused" >&2; exit 255; }}
for last; do :; done
echo $$ > {tmp_path}/pid
eval "exec $last"
"""
    )
    program.chmod(0o755)
    (tmp_path / "open").touch()
    return program


class Told:
    """What a session tells."""

    def __init__(self, ssh: Path, path: Path) -> None:
        self.events: list[Event] = []
        self.asked: list[tuple[int, str]] = []
        self.found: Host | None = Host("i-2", Target("192.0.2.2", executable=str(ssh)))
        target = Target("192.0.2.1", executable=str(ssh))
        self.session = Session(3, Host("i-1", target), [(str(path), True)], tell=self.events.append, find=self.find)

    def find(self, rank: int, known: str) -> Host | None:
        self.asked.append((rank, known))
        return self.found

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def idle(ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """A session that does not run yet."""
    monkeypatch.setattr(sessions, "PAUSE_S", 0.05)
    monkeypatch.setattr(sessions, "PATIENCE_S", 0.5)
    (tmp_path / "results").mkdir()
    (tmp_path / "code").mkdir()
    return Told(ssh, tmp_path / "results")


@pytest.fixture
def told(idle: Told) -> Iterator[Told]:
    """A session that runs."""
    thread = threading.Thread(target=idle.session.run, daemon=True)
    thread.start()
    yield idle
    idle.session.end()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_session_tells_changes_and_is_made_again_after_its_end(told: Told, tmp_path: Path) -> None:
    until(lambda: told.kinds() == ["up"])
    (tmp_path / "results/x").write_text("1")
    until(lambda: told.kinds() == ["up", "changed"])
    assert told.events[-1] == Event(3, "changed", (0,), paths=("x",))
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    until(lambda: told.kinds()[2:] == ["down", "up"])
    assert told.asked == []


def test_a_host_that_stays_away_is_looked_for_and_followed(told: Told, tmp_path: Path) -> None:
    until(lambda: told.kinds() == ["up"])
    (tmp_path / "open").unlink()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    until(lambda: "moved" in told.kinds())
    assert told.asked[0] == (3, "i-1") and told.session.host == told.found
    (tmp_path / "open").touch()
    until(lambda: told.kinds()[-1] == "up")


def test_a_host_that_does_not_run_yet_is_looked_for(idle: Told) -> None:
    found, idle.found, idle.session.host = idle.found, None, None
    thread = threading.Thread(target=idle.session.run, daemon=True)
    thread.start()
    until(lambda: len(idle.asked) > 1)
    assert set(idle.asked) == {(3, "")} and set(idle.kinds()) == {"down"}
    idle.found = found
    until(lambda: idle.kinds()[-2:] == ["moved", "up"])
    idle.session.end()
    thread.join(timeout=10)
    assert not thread.is_alive()


class Work:
    """A supervisor over lines whose transfers are a function of the test."""

    def __init__(self, told: Told, move: Callable[[Line], Verdict], source: Path, *lines: Line) -> None:
        self.said: list[str] = []
        self.stop = threading.Event()
        watches: dict[int, LocalWatch] = {}
        self.supervisor = Supervisor(
            list(lines),
            {3: told.session},
            watches,
            move=lambda line, _host: (move(line), Report()),
            say=self.said.append,
            stop=self.stop,
        )
        told.session.tell_all = self.supervisor.events.put
        self.supervisor.inbound[3] = [1]
        watches[0] = LocalWatch(
            str(source), True, lambda paths: self.supervisor.events.put(Event(-1, LOCAL, (0,), paths=paths))
        )
        self.supervisor.sessions = {3: told.session}
        self.thread = threading.Thread(target=self.supervisor.run, daemon=True)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()


def test_each_change_runs_its_channel_and_only_that(idle: Told, tmp_path: Path) -> None:
    ran: list[int] = []

    def move(line: Line) -> Verdict:
        ran.append(line.channel)
        return Verdict(OK, "")

    work = Work(idle, move, tmp_path / "code", Line(0, 3, "out", delay=0.1), Line(1, 3, "in", delay=0.1))
    work.thread.start()
    until(lambda: sorted(ran) == [0, 1])  # each once when the host answers
    time.sleep(0.3)  # the watch of files is a process of its own kind that needs a moment
    (tmp_path / "code/x").write_text("1")
    until(lambda: ran.count(0) >= 2)
    assert ran.count(1) == 1
    (tmp_path / "results/y").write_text("1")
    until(lambda: ran.count(1) >= 2)
    work.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_nothing_is_moved_while_a_volume_is_not_mounted(idle: Told, tmp_path: Path) -> None:
    ran: list[int] = []

    def move(line: Line) -> Verdict:
        ran.append(line.channel)
        return Verdict(OK, "")

    volume = tmp_path / "volume"
    volume.mkdir()
    idle.session.mount_points = [str(volume)]
    work = Work(idle, move, tmp_path / "code", Line(0, 3, "out", delay=0.1))
    work.thread.start()
    until(lambda: f"rank 3: waits until {volume} is mounted there" in work.said)
    (tmp_path / "code/new").write_text("1")
    assert ran == []
    subprocess.run(["mount", "-t", "tmpfs", "none", str(volume)], check=True)
    try:
        until(lambda: ran == [0])
    finally:
        subprocess.run(["umount", "--lazy", str(volume)], check=True)
    until(lambda: work.said.count(f"rank 3: waits until {volume} is mounted there") == 2)
    work.end()


def test_one_that_cannot_work_is_told_and_the_other_goes_on(idle: Told, tmp_path: Path) -> None:
    def move(line: Line) -> Verdict:
        return Verdict(FATAL, "there is no space left") if line.channel == 0 else Verdict(OK, "")

    work = Work(idle, move, tmp_path / "code", Line(0, 3, "out"), Line(1, 3, "in"))
    work.thread.start()
    until(lambda: work.said == ["out, rank 3: stopped: there is no space left"])
    assert work.thread.is_alive()
    work.end()
    assert [line.state == STOPPED for line in work.supervisor.lines] == [True, False]


def test_when_all_have_stopped_it_ends_by_itself(idle: Told, tmp_path: Path) -> None:
    work = Work(idle, lambda _line: Verdict(FATAL, "no"), tmp_path / "code", Line(0, 3, "out"))
    work.thread.start()
    work.thread.join(timeout=20)
    assert not work.thread.is_alive()


def test_a_transfer_that_loses_the_connection_is_done_again(idle: Told, tmp_path: Path) -> None:
    verdicts = [Verdict(RETRY, "the connection broke"), Verdict(OK, "")]
    work = Work(idle, lambda _line: verdicts.pop(0), tmp_path / "code", Line(0, 3, "out"))
    work.thread.start()
    until(lambda: not verdicts and work.supervisor.lines[0].synced_at is not None)
    work.end()


def test_the_end_waits_for_the_transfer_in_hand(idle: Told, tmp_path: Path) -> None:
    began, go = threading.Event(), threading.Event()

    def move(_line: Line) -> Verdict:
        began.set()
        assert go.wait(20)
        return Verdict(OK, "")

    work = Work(idle, move, tmp_path / "code", Line(0, 3, "out"))
    work.thread.start()
    assert began.wait(20)
    work.stop.set()
    until(lambda: any("ending after what is under way: out" in line for line in work.said))
    go.set()
    work.thread.join(timeout=20)
    assert not work.thread.is_alive() and work.supervisor.lines[0].runs == 1


@pytest.mark.parametrize("error", [OSError("OS file watch limit reached"), RuntimeError("error in underlying watcher")])
def test_when_local_changes_cannot_be_watched_it_is_told_and_all_is_looked_through_more_often(
    idle: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_watch(*_args: object, **_options: object) -> object:
        raise error

    monkeypatch.setattr(supervisor.watchfiles, "watch", no_watch)
    monkeypatch.setattr(supervisor, "BLIND_PASS_S", 0.2)
    ran: list[int] = []

    def move(line: Line) -> Verdict:
        ran.append(line.channel)
        return Verdict(OK, "")

    work = Work(idle, move, tmp_path / "code", Line(0, 3, "out"), Line(1, 3, "in"))
    work.thread.start()
    until(lambda: ran.count(0) > 2)
    assert work.said == [f"out: not all changes can be seen ({error}); looking each 0 s"]
    assert ran.count(1) == 1
    work.end()


def test_a_single_file_is_seen_also_when_an_editor_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    seen = threading.Event()
    watch = LocalWatch(str(tmp_path / "a.csv"), False, lambda _paths: seen.set())
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    time.sleep(0.5)
    (tmp_path / "other").write_text("2")
    assert not seen.wait(1)
    (tmp_path / "new").write_text("2")
    (tmp_path / "new").replace(tmp_path / "a.csv")
    assert seen.wait(20)
    watch.over.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
