"""The watcher against a metadata service over real HTTP: what is a notice, what is not, once and not twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import clocks, ended, watcher
from ansible_collections.experiments.spot.plugins.module_utils._notice.imds import Answer, Imds
from ansible_collections.experiments.spot.plugins.module_utils._notice.watcher import (
    BACKOFF_CAP,
    ConfigError,
    Watcher,
    load_config,
    parse_action,
    pause_after,
)
from tests.unit.plugins.module_utils._notice.conftest import ACTION, REBALANCE

RECOMMENDATION = '{"noticeTime": "2026-01-01T12:00:00Z"}'


@pytest.fixture()
def make(machine: Any, service: Any) -> Any:
    def made(**config: Any) -> Watcher:
        path = machine.root / "notice.json"
        path.write_text(json.dumps(machine.config(service.url, **config)))
        full = load_config(str(path))
        return Watcher(full, Imds(service.url))

    return made


@pytest.mark.parametrize(
    ("body", "action", "when"),
    [
        ('{"action": "terminate", "time": "2026-01-01T12:00:00Z"}', "terminate", "2026-01-01T12:00:00Z"),
        ('{"action": "hibernate", "time": "soon"}', "hibernate", None),
        ('{"action": "stop"}', "stop", None),
        ('{"action": "levitate", "time": "2026-01-01T12:00:00Z"}', "levitate", "2026-01-01T12:00:00Z"),
    ],
)
def test_notices(body: str, action: str, when: str | None) -> None:
    found = parse_action(Answer(200, body, None, 1.0))
    assert found and (found["action"], found["time"]) == (action, when)
    assert bool(found["messages"]) is (action == "levitate")


@pytest.mark.parametrize("body", ["", "{broken", "[]", "null", "{}", '{"action": 5}', '{"action": ""}', "<html>"])
def test_garbage_is_no_notice(body: str) -> None:
    assert parse_action(Answer(200, body, None, 1.0)) is None


@pytest.mark.parametrize(
    "fault",
    [500, 503, 403, 401, "hang", "drop", "noise"],
)
@pytest.mark.slow
def test_a_failing_service_is_no_notice_and_told_once(
    make: Any, machine: Any, service: Any, fault: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = make()
    watch.step()
    service.fault = fault
    for _turn in range(3):
        watch.step()
    assert watch.failures == 3 and not machine.state_file.exists()
    assert capsys.readouterr().out.count("the metadata service fails") == 1
    service.fault = ""
    watch.step()
    assert watch.failures == 0 and "answers again" in capsys.readouterr().out
    service.announce()
    watch.step()
    assert machine.state["phase"] == "done"


def test_garbage_is_told_once_and_does_not_hide_a_recommendation(
    make: Any, machine: Any, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answers[ACTION] = "<garbage>"
    watch = make(rebalance="act")
    watch.step()
    watch.step()
    assert capsys.readouterr().out.count("is no notice") == 1 and not machine.state_file.exists()
    service.answers[REBALANCE] = RECOMMENDATION
    watch.step()
    assert machine.state["kind"] == "rebalance"


def test_pause_grows_to_a_cap() -> None:
    assert pause_after(5, 0) == 5 and pause_after(5, 1) == 5 and pause_after(5, 2) == 10
    assert pause_after(5, 99) == BACKOFF_CAP and pause_after(60, 99) == 60 and pause_after(0.1, 3) == 0.4


def test_a_notice_is_handled_once(make: Any, machine: Any, service: Any) -> None:
    machine.start_job()
    service.announce(seconds=100)
    watch = make()
    watch.step()
    first = machine.state
    assert (first["kind"], first["job"], first["phase"]) == ("interruption", "stopped", "done")
    assert 95 < first["planned"] <= 100
    stamp = machine.state_file.stat().st_mtime_ns
    watch.step()
    service.announce(seconds=90)  # the same end with another text, as some stand-ins have it
    watch.step()
    make().step()
    assert machine.state_file.stat().st_mtime_ns == stamp


def test_time_left_is_by_the_clock_of_aws(make: Any, machine: Any, service: Any) -> None:
    service.offset = 86400.0
    service.announce(seconds=80)
    make().step()
    assert 75 < machine.state["planned"] <= 80


def test_time_left_without_any_clock_to_believe(make: Any, machine: Any, service: Any) -> None:
    service.date = None
    service.offset = -86400.0
    watch = make()
    watch.step()
    service.announce(seconds=120)
    watch.step()
    assert 110 < machine.state["planned"] <= clocks.NOTICE


def test_a_notice_in_the_past_is_acted_on_when_it_is_new(make: Any, machine: Any, service: Any) -> None:
    watch = make()
    watch.step()
    service.announce(seconds=-5)
    watch.step()
    assert machine.state["planned"] == clocks.LEAST and machine.state["phase"] == "done"


def test_a_termination_that_failed_long_ago_is_no_notice(
    make: Any, machine: Any, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.announce(seconds=-3600)
    watch = make()
    watch.step()
    watch.step()
    assert not machine.state_file.exists() and capsys.readouterr().out.count("long over") == 1


def test_hibernation_begins_at_once(make: Any, machine: Any, service: Any) -> None:
    machine.start_job()
    service.announce("hibernate", seconds=0)
    make(grace=7, reserve=3).step()
    assert (machine.state["planned"], machine.state["job"], machine.state["action"]) == (10.0, "stopped", "hibernate")


def test_recommendation_is_ignored_unless_it_is_to_be_followed(
    make: Any, machine: Any, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = machine.start_job()
    service.answers[REBALANCE] = RECOMMENDATION
    ignoring = make()
    ignoring.step()
    ignoring.step()
    assert capsys.readouterr().out.count("ignored here") == 1
    assert not machine.state_file.exists() and job.poll() is None
    acting = make(rebalance="act")
    acting.step()
    assert (machine.state["kind"], machine.state["time"], machine.state["job"]) == ("rebalance", None, "stopped")
    stamp = machine.state_file.stat().st_mtime_ns
    acting.step()
    assert machine.state_file.stat().st_mtime_ns == stamp


def test_interruption_after_a_recommendation(make: Any, machine: Any, service: Any) -> None:
    machine.start_job()
    service.answers[REBALANCE] = RECOMMENDATION
    watch = make(rebalance="act")
    watch.step()
    service.announce()
    watch.step()
    assert (machine.state["kind"], machine.state["job"]) == ("interruption", "stopped")
    watch.step()
    assert machine.state["kind"] == "interruption", "the recommendation is still there, but it counts less"


def test_interruption_while_a_recommendation_is_handled(make: Any, machine: Any, service: Any) -> None:
    machine.start_job(listens=False)
    service.answers[REBALANCE] = RECOMMENDATION
    watch = make(rebalance="act", grace=60, reserve=20)
    begin = watch.imds.get

    def late(path: str) -> Answer:
        if watch.state:
            service.announce(seconds=2)
        return begin(path)

    watch.imds.get = late  # type: ignore[method-assign]
    started = time.monotonic()
    watch.step()
    assert (machine.state["kind"], machine.state["job"]) == ("interruption", "killed")
    assert machine.state["deadline"] < clocks.uptime() + 5, "not the 80 seconds of the recommendation"
    assert time.monotonic() - started < 40


def test_time_limit(make: Any, machine: Any, service: Any) -> None:
    machine.start_job()
    make(expires=clocks.iso(time.time() + 3600)).step()
    assert not machine.state_file.exists()
    memory = json.loads((machine.root / "run/notice.clock.json").read_text())
    assert memory["by_aws"] and memory["due"] == pytest.approx(clocks.uptime() + 3600, abs=5)
    expires = clocks.iso(time.time() - 1)
    watch = make(expires=expires)
    watch.step()
    assert (machine.state["kind"], machine.state["time"], machine.state["job"]) == ("expired", expires, "stopped")
    assert machine.calls.count("poweroff") == 1
    watch.step()
    assert machine.calls.count("poweroff") == 2, "asked again while the machine is there"
    assert machine.state["phase"] == "done"


def test_end_of_the_job(make: Any, machine: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "HEARD", 0.0)
    machine.ledger.write_text(json.dumps({"runs": [{"state": "failed", "instance_id": "i-1", "exit_code": 1}]}))
    make().step()
    make(instance_id="i-1", end_after={"succeeded": 0, "failed": 3600}).step()
    make(instance_id="i-other", end_after={"failed": 0}).step()
    assert not machine.state_file.exists(), "nobody asked for it, too early, not this one's job"
    watch = make(instance_id="i-1", end_after={"failed": 0})
    watch.step()
    assert (machine.state["kind"], machine.state["job"], machine.state["phase"]) == ("ended", "none", "done")
    assert machine.calls.count("poweroff") == 1
    watch.step()
    assert machine.calls.count("poweroff") == 2, "asked again while the machine is there"


def pass_time(watch: Watcher, machine: Any, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """A turn of the loop every 5 seconds, on a machine whose one processor has nothing to do."""
    start = clocks.uptime()
    for passed in range(0, seconds + 1, 5):
        monkeypatch.setattr(watcher.clocks, "uptime", lambda passed=passed: start + passed)
        machine.tick(busy=1, idle=499)
        watch.step()
    monkeypatch.setattr(watcher.clocks, "uptime", lambda: start + seconds)


def test_idle_limit(make: Any, machine: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"state": "succeeded", "instance_id": "i-1", "exit_code": 0}
    machine.ledger.write_text(json.dumps({"runs": [run]}))
    machine.ended_job()
    watch = make(idle_limit=300)
    pass_time(watch, machine, monkeypatch, 300)
    assert not machine.state_file.exists(), "it counts from when it is first known that nothing is used"
    pass_time(watch, machine, monkeypatch, 65)
    assert (machine.state["kind"], machine.state["job"], machine.state["phase"]) == ("idle", "ended", "done")
    assert "idle limit: nobody and nothing has used the instance for 300 s" in machine.state["messages"]
    assert "poweroff" in machine.calls
    ledger = json.loads(machine.ledger.read_text())
    assert ledger["runs"] == [run] and [notice["kind"] for notice in ledger["notices"]] == ["idle"]
    offs = machine.calls.count("poweroff")
    watch.step()
    assert machine.calls.count("poweroff") == offs + 1, "asked again while the machine is there"


@pytest.mark.parametrize("use", ["job", "ssh", "tmux", "processor", "gpu", "stay", "no limit"])
def test_what_is_used_is_not_idle(
    make: Any, machine: Any, service: Any, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    if use == "job":
        machine.start_job()
    if use == "ssh":
        machine.process(70, comm="sshd-session\n", cmdline="sshd-session: ubuntu@notty\0\0\0")
    if use == "tmux":
        machine.process(70, comm="tmux: server\n", cmdline="tmux\0new-session\0")
    if use == "gpu":
        machine.program("nvidia-smi", "echo 0; echo '[N/A]'; echo 87")
    if use == "stay":
        monkeypatch.setattr(ended, "STAY", str(machine.root / "stay"))
        (machine.root / "stay").touch()
    if use == "processor":
        machine.tick = lambda busy, idle: type(machine).tick(machine, 300, 200)
    pass_time(make(idle_limit=0 if use == "no limit" else 300), machine, monkeypatch, 900)
    assert not machine.state_file.exists() and "poweroff" not in machine.calls


def test_the_idle_limit_begins_anew_after_the_last_use(
    make: Any, machine: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.program("nvidia-smi", "echo 0")
    watch = make(idle_limit=300)
    pass_time(watch, machine, monkeypatch, 240)
    machine.process(70, comm="sshd\n", cmdline="sshd: ubuntu@pts/0\0")
    pass_time(watch, machine, monkeypatch, 65)
    (machine.root / "proc/70/comm").write_text("")
    pass_time(watch, machine, monkeypatch, 240)
    assert not machine.state_file.exists()
    pass_time(watch, machine, monkeypatch, 180)
    assert machine.state["kind"] == "idle"


def test_time_limit_does_not_need_the_service(make: Any, machine: Any, service: Any) -> None:
    service.fault = "drop"
    make(expires=clocks.iso(time.time() - 1)).step()
    assert machine.state["kind"] == "expired"


def test_clock_that_jumps_does_not_end_the_job(
    make: Any, machine: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.fault = 500
    job = machine.start_job()
    now = time.time()
    watch = make(expires=clocks.iso(now + 3600))
    watch.step()
    monkeypatch.setattr(watcher.time, "time", lambda: now + 7200)
    watch.step()
    make(expires=clocks.iso(now + 3600)).step()
    assert not machine.state_file.exists() and job.poll() is None


def test_time_limit_does_not_hide_an_interruption(make: Any, machine: Any, service: Any) -> None:
    service.announce()
    watch = make(expires=clocks.iso(time.time() - 1))
    watch.step()
    assert machine.state["kind"] == "interruption" and "poweroff" not in machine.calls
    watch.state["deadline"] -= 500
    watch.step()
    assert machine.state["kind"] == "expired", "AWS did not do it"


def test_going_on_after_a_restart(make: Any, machine: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.mount("/data")
    service.announce()
    volume = {"volume_id": "vol-1", "mount_point": "/data"}
    watch = make(volumes=[volume], detach=False)
    monkeypatch.setattr(watcher.Handler, "unmount", lambda self: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        watch.step()
    assert machine.state["phase"] == "flushing"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{machine.root}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(watcher.system, "PROC", str(machine.root / "proc"))
    again = make(volumes=[volume], detach=False)
    monkeypatch.setattr(Watcher, "step", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        again.run()
    assert machine.state["phase"] == "done" and "umount /data" in machine.calls


def test_a_notice_that_is_gone_is_forgotten(make: Any, machine: Any, service: Any) -> None:
    service.announce()
    watch = make()
    watch.step()
    del service.answers[ACTION]
    watch.step()
    assert machine.state_file.exists(), "not before its time is long over"
    watch.state["deadline"] -= 1000
    service.fault = 500
    watch.step()
    assert machine.state_file.exists(), "a service that fails says nothing"
    service.fault = ""
    watch.step()
    assert not machine.state_file.exists() and watch.state == {}
    service.announce("stop")
    watch.step()
    assert machine.state["action"] == "stop"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{broken", "cannot be read"),
        ("[]", "no JSON object"),
        ('{"expires": "tomorrow"}', "is no time"),
        ('{"period": "5"}', "no number"),
        ('{"period": 0}', "no number"),
    ],
)
def test_bad_configuration(tmp_path: Path, text: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notice.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load_config(str(path))
    assert watcher.main(["watcher", str(path)]) == watcher.EX_CONFIG
    assert reason in capsys.readouterr().out
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path / "none"))


def test_as_systemd_starts_it(machine: Any, service: Any) -> None:
    """The package alone, without the collection, in a process of its own that is killed in the middle."""
    package = machine.root / "lib/notice"
    package.mkdir(parents=True)
    for part in Path(str(watcher.__file__)).parent.glob("*.py"):
        if part.stem not in ("spec", "__init__"):
            (package / part.name).write_text(part.read_text())
    (package / "__init__.py").write_text("")
    config = machine.root / "notice.json"
    config.write_text(json.dumps(machine.config(service.url, grace=60, reserve=20)))
    argv = [sys.executable, "-B", "-u", "-m", "notice.watcher", str(config)]
    job = machine.start_job(listens=False)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(argv, cwd=package.parent, stdout=subprocess.PIPE, text=True)

    with start() as first:
        assert first.stdout is not None and "watching http://127.0.0.1" in first.stdout.readline()
        service.announce(seconds=100)
        assert any("stopping experiments-spot-job.service" in line for line in first.stdout)
        first.send_signal(signal.SIGKILL)
    assert machine.state["phase"] == "stopping"
    job.kill()
    job.wait()
    with start() as second:
        assert second.stdout is not None
        lines: list[str] = []
        for line in second.stdout:
            lines.append(line)
            if line.startswith("done:"):
                break
        second.kill()
    assert "going on with the notice of" in "".join(lines)
    assert (machine.state["phase"], machine.state["job"]) == ("done", "stopped")
