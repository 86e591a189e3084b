"""Waiting for a job: the loop with a clock that obeys, and once over a real sshd."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.experiments.spot.plugins.action import job_wait
from ansible_collections.experiments.spot.plugins.action.job_wait import LostConnection, Options, Watcher, answer
from ansible_collections.experiments.spot.plugins.module_utils._spot import status
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock

from ..plugin_utils.test_follow import ACTIVE, INACTIVE, STARTED, poll

RUNNING = poll(ACTIVE, {"state": "running", "started": STARTED})
PULLING = poll(ACTIVE, {"state": "pulling", "started": STARTED})
DONE = poll(INACTIVE, {"state": "succeeded", "exit_code": 0, "started": STARTED, "finished": "2026-01-02T03:05:10Z"})
FAILED = poll(INACTIVE, {"state": "failed", "exit_code": 3, "message": "boom", "started": STARTED})
UNSTARTED = poll(INACTIVE, None)


class FakeClock(Clock):
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += max(0.0, seconds)


class FakeChild:
    """Log lines by time."""

    def __init__(self, clock: FakeClock, lines: list[tuple[float, str]]) -> None:
        self.clock, self.lines, self.open, self.stopped = clock, list(lines), True, False

    def read(self, timeout: float) -> list[str]:
        until = self.clock.time + max(timeout, 0.01)
        if not any(since <= self.clock.time for since, _line in self.lines):
            self.clock.time = min([until, *(since for since, _line in self.lines)])
        now = [line for since, line in self.lines if since <= self.clock.time]
        self.lines = [(since, line) for since, line in self.lines if since > self.clock.time]
        return [json.dumps({"__CURSOR": f"c-{line}", "MESSAGE": line}) for line in now]

    def stop(self) -> None:
        self.stopped = True


class FakeRemote:
    """Answers by time: the last of the table whose time has come; an exception is raised."""

    def __init__(self, clock: FakeClock, table: list[tuple[float, Any]]) -> None:
        self.clock, self.table = clock, table
        self.polls = 0
        self.resets = 0
        self.lines: list[tuple[float, str]] = []
        self.streams: list[str] = []
        self.children: list[FakeChild] = []

    def read(self, command: str, timeout: float = 30) -> str:
        if "journalctl" in command:
            return "tail 1\n\x1b[1mtail 2\x1b[0m\n"
        self.polls += 1
        if "is-active" in command:
            # The instance answers after five seconds, or when something else is true.
            changes = [since for since, _value in self.table if since > self.clock.time]
            self.clock.time = min([self.clock.time + 5, *changes])
        value = [value for since, value in self.table if since <= self.clock.time][-1]
        if isinstance(value, Exception):
            raise value
        return value

    def stream(self, command: str) -> FakeChild:
        self.streams.append(command)
        self.children.append(FakeChild(self.clock, self.lines))
        return self.children[-1]

    def reset(self) -> None:
        self.resets += 1


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.said: list[str] = []
        self.remote: Any = None
        self.end: status.End | None = None
        self.asked = 0

    def watcher(self, *table: tuple[float, Any], **options: Any) -> Watcher:
        given = {"follow": False, "timeout": None, "reconnect": 120.0, "log_lines": 20, "host": "h", "prefix": False}
        self.remote = FakeRemote(self.clock, list(table))
        return Watcher(self.remote, Options(**{**given, **options}), self.said.append, self.clock, self.fate)

    def fate(self) -> status.End | None:
        self.asked += 1
        return self.end


@pytest.fixture
def world() -> World:
    return World()


def test_waits_and_shows_life(world):
    watcher = world.watcher((0, PULLING), (12, RUNNING), (60, DONE))
    view = watcher.run()
    result = answer(watcher, view, True)
    assert (result["state"], result["exit_code"], result["log_tail"]) == ("succeeded", 0, ["tail 1", "tail 2"])
    assert "failed" not in result
    assert world.clock.time == 60
    assert world.said[0].startswith("[h] job digits: pulling image 30 s (Ctrl-C leaves it running")
    assert world.said[1] == "[h] job digits: running 30 s"
    assert world.said[-1] == "[h] job digits: succeeded after 1m 05s"
    assert sum("Ctrl-C" in line for line in world.said) == 1
    # First poll twice: it tells where the ledger is.
    assert world.remote.polls < 25


def test_a_job_that_is_over_costs_two_looks(world):
    watcher = world.watcher((0, DONE))
    watcher.run()
    assert world.remote.polls == 2
    assert world.clock.time == 0


def test_a_failed_job_fails_with_its_log(world):
    watcher = world.watcher((0, FAILED))
    result = answer(watcher, watcher.run(), True)
    assert result["failed"]
    assert result["msg"].startswith("job digits failed on h with exit code 3: boom\n")
    assert "| tail 2" in result["msg"]
    watcher = world.watcher((0, FAILED))
    result = answer(watcher, watcher.run(), False)
    assert "failed" not in result
    assert (result["state"], result["exit_code"]) == ("failed", 3)


def test_no_job(world):
    with pytest.raises(AnsibleActionFail, match="no job was started on h"):
        world.watcher((0, UNSTARTED)).run()
    with pytest.raises(AnsibleActionFail, match="no job was started on h"):
        world.watcher((0, "")).run()


def test_a_job_that_is_just_starting(world):
    assert world.watcher((0, UNSTARTED), (0.4, RUNNING), (5, DONE)).run().over


def test_timeout_says_that_the_job_goes_on(world):
    with pytest.raises(AnsibleActionFail, match=r"job digits on h is not over after 30 s \(running 30 s\); it goes on"):
        world.watcher((0, RUNNING), timeout=30).run()
    assert 30 <= world.clock.time <= 36


def test_lost_connection_is_taken_up_again(world):
    lost = LostConnection("Connection reset")
    watcher = world.watcher((0, RUNNING), (10, lost), (60, RUNNING), (70, DONE))
    assert watcher.run().over
    assert sum("connection lost (Connection reset)" in line for line in world.said) == 1
    assert world.remote.resets > 2


def test_lost_for_good(world):
    with pytest.raises(AnsibleActionFail, match="lost the connection to h for 2m"):
        world.watcher((0, RUNNING), (10, LostConnection("no route"))).run()
    assert 130 <= world.clock.time <= 150


def test_a_notice_ends_the_wait_at_once_and_the_waits_for_the_other_hosts(world, tmp_path):
    notice = {"kind": "interruption", "time": "2026-01-02T03:06:05Z", "phase": "noticed"}
    taken = poll(ACTIVE, {"state": "running", "started": STARTED}, notice=notice)
    together = str(tmp_path / "together")
    watcher = world.watcher((0, RUNNING), (20, taken), (60, DONE), together=together)
    result = answer(watcher, watcher.run(), False)
    assert result["state"] == "interrupted"
    assert world.said[-1] == "[h] AWS takes the instance at 2026-01-02T03:06:05Z (interruption notice)"
    assert world.clock.time <= 21
    other = world.watcher((0, RUNNING), (600, DONE), together=together)
    result = answer(other, other.run(), False)
    assert (result["state"], "failed" in result) == ("left", False)
    assert world.clock.time < 60


def test_the_end_of_a_time_limit_is_no_reason_to_leave(world):
    expired = poll(ACTIVE, {"state": "running", "started": STARTED}, notice={"kind": "expired"})
    assert world.watcher((0, RUNNING), (5, expired), (20, FAILED)).run().over


@pytest.mark.parametrize(
    ("kind", "retry", "state"), [("interrupted", True, "interrupted"), ("user", False, "ended"), ("alive", False, None)]
)
def test_aws_is_asked_about_an_instance_that_does_not_answer(world, kind, retry, state):
    world.end = status.End(kind, retry, "Some.Code", "it is gone")
    watcher = world.watcher((0, RUNNING), (10, LostConnection("no route")), (100, RUNNING), (110, DONE))
    result = answer(watcher, watcher.run(), False)
    assert result["state"] == (state or "succeeded")
    assert world.clock.time < 12 if state else world.clock.time >= 110
    assert world.asked == 1 if state else world.asked > 1


def test_a_persistent_wait_outlasts_any_lost_connection(world):
    world.end = status.End("alive", False, "", "")
    lost = LostConnection("laptop asleep")
    assert world.watcher((0, RUNNING), (10, lost), (9000, RUNNING), (9010, DONE), persistent=True).run().over


def test_follow_shows_each_line_once_and_to_the_end(world):
    watcher = world.watcher((0, RUNNING), (20, DONE), follow=True)
    world.remote.lines = [(0, "epoch 1"), (8, "epoch 2"), (20.5, "bye")]
    watcher.run()
    assert [line for line in world.said if not line.startswith("[h]")] == ["epoch 1", "epoch 2", "bye"]
    assert all(child.stopped for child in world.remote.children)


def test_follow_with_several_hosts_says_which(world):
    watcher = world.watcher((0, RUNNING), (3, DONE), follow=True, prefix=True)
    world.remote.lines = [(0, "epoch 1")]
    watcher.run()
    assert "[h] epoch 1" in world.said


def test_follow_goes_on_behind_the_last_line_after_a_lost_connection(world):
    watcher = world.watcher((0, RUNNING), (10, LostConnection("gone")), (20, RUNNING), (30, DONE), follow=True)
    world.remote.lines = [(0, "epoch 1")]
    watcher.run()
    assert len(world.remote.streams) == 2
    assert "--after-cursor" not in world.remote.streams[0]
    assert "c-epoch 1" in world.remote.streams[1]


def test_follow_of_a_job_that_was_too_fast_shows_its_tail(world):
    world.watcher((0, DONE), follow=True).run()
    assert world.said == ["tail 1", "tail 2"]


def test_follow_shows_life_only_when_the_log_is_silent(world):
    watcher = world.watcher((0, RUNNING), (60, DONE), follow=True)
    world.remote.lines = [(float(second), f"line {second}") for second in range(0, 30, 2)]
    watcher.run()
    beats = [index for index, line in enumerate(world.said) if line.startswith("[h] job digits: running")]
    assert beats
    assert beats[0] > world.said.index("line 28")


class FakeTunnel:
    """A tunnel whose server answers at the third look."""

    def __init__(self) -> None:
        self.looks, self.stopped = 0, False

    @property
    def told(self) -> bool:
        return self.looks >= 3

    def look(self) -> None:
        self.looks += 1

    def stop(self) -> None:
        self.stopped = True


def test_a_tunnel_is_looked_after_while_the_job_runs_and_closed_at_its_end(world):
    watcher = world.watcher((0, PULLING), (10, RUNNING), (60, DONE))
    watcher.tunnel = tunnel = FakeTunnel()
    watcher.run()
    assert tunnel.looks > 3 and tunnel.stopped


def test_a_tunnel_is_closed_when_the_wait_fails(world):
    watcher = world.watcher((0, RUNNING), timeout=30)
    watcher.tunnel = tunnel = FakeTunnel()
    with pytest.raises(AnsibleActionFail):
        watcher.run()
    assert tunnel.stopped


@pytest.mark.slow
def test_over_a_real_connection(sshd, make_action):
    plugin = make_action(job_wait, {"follow": True}, sshd.options)
    with pytest.raises(AnsibleActionFail, match="no job was started on x-1"):
        plugin.run(task_vars={"inventory_hostname": "x-1"})


def test_real_stream_and_lost_connection(sshd, tmp_path):
    target = _ssh.connection_target(sshd.options)
    remote = job_wait.Remote(target)
    assert remote.read("echo hello") == "hello\n"
    with remote.stream("printf 'one\\ntwo\\n'; sleep 600") as child:
        lines: list[str] = []
        while len(lines) < 2:
            lines += child.read(5)
    assert lines == ["one", "two"]
    gone = _ssh.Target("127.0.0.1", port=1, options=(f"ControlPath={tmp_path}/none",))
    with pytest.raises(LostConnection, match="Connection refused"):
        job_wait.Remote(gone).read("true")


def test_check_mode_waits_for_nothing(make_action):
    assert make_action(job_wait, {}, check_mode=True).run()["skipped"]


def test_needs_ssh(make_action):
    with pytest.raises(AnsibleActionFail, match="not by local"):
        make_action(job_wait, {}, transport="local").run(task_vars={})
