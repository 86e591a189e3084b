"""The steps of a notice with a real job process, and mounts of files that a umount of a few lines takes away."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import clocks, steps, system
from ansible_collections.experiments.spot.plugins.module_utils._notice.imds import Imds
from ansible_collections.experiments.spot.plugins.module_utils._notice.steps import Handler, kept_end, new_state
from ansible_collections.experiments.spot.plugins.module_utils._notice.watcher import DEFAULTS
from tests.unit.wire import Wire, error, xml

ROLE = "/latest/meta-data/iam/security-credentials/"
VOLUME = {"volume_id": "vol-1", "mount_point": "/data"}
NOTICE = {"kind": "interruption", "action": "terminate", "time": "2026-01-01T12:00:00Z", "id": "abc"}


@pytest.fixture()
def handler(machine: Any, service: Any) -> Any:
    def make(left: float = 6.0, notice: dict[str, Any] | None = None, **config: Any) -> Handler:
        full = {**DEFAULTS, **machine.config(service.url, **config)}
        state = new_state({**NOTICE, **(notice or {})}, left, full["volumes"], clocks.uptime())
        return Handler(full, Imds(service.url), state)

    return make


def role(service: Any) -> None:
    service.answers[ROLE] = "worker"
    service.answers[f"{ROLE}worker"] = json.dumps({"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T"})
    service.answers["/latest/meta-data/placement/region"] = "us-east-1"


def test_everything_in_order(machine: Any, service: Any, handler: Any) -> None:
    machine.mount("/data")
    role(service)
    job = machine.start_job()
    with Wire() as wire:
        wire.script("DetachVolume", xml("<status>detaching</status>"))
        handler(volumes=[VOLUME], ec2_endpoint=wire.url).handle()
    state = machine.state
    assert (state["phase"], state["job"], state["messages"]) == ("done", "stopped", [])
    assert state["volumes"] == [{**VOLUME, "state": "detached"}]
    assert (state["kind"], state["action"], state["time"]) == ("interruption", "terminate", NOTICE["time"])
    assert state["run"]["state"] == "interrupted" and job.poll() == 0
    assert machine.calls == [
        "stop --no-block experiments-spot-job.service",
        "sync -f /data",
        "umount /data",
    ]
    assert wire.of("DetachVolume") == [{"Version": "2016-11-15", "VolumeId": "vol-1", "InstanceId": "i-1"}]


def test_phases_are_written_before_their_work(machine: Any, handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.mount("/data")
    machine.start_job()
    phases: list[str] = []
    seen: dict[str, int] = {}
    save = Handler.save

    def kept(self: Handler, phase: str | None = None) -> None:
        save(self, phase)
        phases.append(machine.state["phase"])
        seen.setdefault(machine.state["phase"], len(machine.calls))

    monkeypatch.setattr(Handler, "save", kept)
    handler(volumes=[VOLUME], detach=False).handle()
    assert phases == ["stopping", "flushing", "unmounting", "unmounted", "done"]
    assert seen["stopping"] == 0 and seen["unmounting"] == 2


def test_job_gets_the_grace_that_the_time_allows(machine: Any, handler: Any) -> None:
    machine.start_job()
    made = handler(left=60, grace=600, reserve=20)
    made.handle()
    assert 38 <= machine.state["grace"] <= 40


@pytest.mark.slow
def test_job_that_ignores_sigterm_is_killed(machine: Any, handler: Any) -> None:
    job = machine.start_job(listens=False)
    handler(left=3, grace=0.2, reserve=1).handle()
    assert machine.state["job"] == "killed" and job.wait(10) == -9
    assert machine.state["phase"] == "done"
    assert any("did not end within 0 s and was killed" in text for text in machine.state["messages"])
    assert machine.calls[-1] == "kill --signal=SIGKILL experiments-spot-job.service"


def test_container_that_was_killed_counts_as_killed(machine: Any, handler: Any) -> None:
    machine.start_job(exit_code=137)
    handler().handle()
    assert machine.state["job"] == "killed" and "of grace and was killed" in machine.state["messages"][0]


@pytest.mark.parametrize(("has_unit", "expected"), [(False, "none"), (True, "ended")])
def test_no_job_to_stop(machine: Any, handler: Any, has_unit: bool, expected: str) -> None:
    if has_unit:
        machine.ended_job()
        run = {"state": "succeeded", "exit_code": 0, "extra": "x"}
        machine.ledger.write_text(json.dumps({"runs": [{"state": "failed", "exit_code": 1}, run]}))
    handler().handle()
    assert (machine.state["job"], machine.state["phase"]) == (expected, "done")
    assert machine.calls == []
    if has_unit:
        assert machine.state["run"]["state"] == "succeeded" and "extra" not in machine.state["run"]


def test_the_ledger_gets_the_notice_once(machine: Any, handler: Any) -> None:
    machine.start_job()
    made = handler()
    made.handle()
    made.state["phase"] = "flushing"
    made.handle()
    ledger = json.loads(machine.ledger.read_text())
    assert [entry["state"] for entry in ledger["runs"]] == ["interrupted"]
    (notice,) = ledger["notices"]
    assert (notice["kind"], notice["job"], notice["instance_id"]) == ("interruption", "stopped", "i-1")


@pytest.mark.parametrize("text", ["", "[]", '{"runs": []}', '{"runs": ["x"]}', "{broken"])
def test_damaged_ledger_stops_nothing(machine: Any, handler: Any, text: str) -> None:
    machine.mount("/data")
    machine.ended_job()
    machine.ledger.write_text(text)
    handler(volumes=[VOLUME], detach=False).handle()
    assert machine.state["phase"] == "done" and machine.ledger.read_text() == text


def test_volumes_below_each_other_and_not_mounted(machine: Any, handler: Any) -> None:
    machine.mount("/data", "/data/sub")
    volumes = [VOLUME, {"volume_id": "vol-2", "mount_point": "/data/sub"}, {"volume_id": "vol-3", "mount_point": "/x"}]
    handler(volumes=volumes, detach=False).handle()
    assert [volume["state"] for volume in machine.state["volumes"]] == ["unmounted"] * 3
    assert [call for call in machine.calls if call.startswith("umount")] == ["umount /data/sub", "umount /data"]


def test_a_file_system_that_lies_on_a_volume_goes_first(machine: Any, handler: Any) -> None:
    """Such as one of EFS, which is not the notice's: it is unmounted, not detached."""
    machine.mount("/data", "/data/team", "/data/team/deep")
    handler(volumes=[VOLUME], detach=False).handle()
    assert machine.state["volumes"][0]["state"] == "unmounted"
    assert [call for call in machine.calls if call.startswith("umount")] == [
        "umount /data/team/deep",
        "umount /data/team",
        "umount /data",
    ]


@pytest.mark.slow
def test_busy_mount_names_who_keeps_it_and_is_made_safe(machine: Any, service: Any, handler: Any) -> None:
    machine.mount("/data", "/data/more")
    role(service)
    (machine.root / "busy").touch()
    machine.process(77, mountinfo=(machine.root / "proc/self/mountinfo").read_text(), ns__mnt="mnt:[1]", cwd="/data")
    handler(left=2, volumes=[VOLUME], ec2_endpoint="http://127.0.0.1:1").handle()
    state = machine.state
    assert (state["phase"], state["volumes"][0]["state"]) == ("failed", "busy")
    text = "\n".join(state["messages"])
    assert "/data is busy: cat (pid 77, cwd /data)" in text and "mounted below it: /data/more" in text
    assert "is still busy and was made read-only" in text
    assert "mount -o remount,ro /data" in machine.calls and "sync -f /data" in machine.calls
    assert {call for call in machine.calls if call.startswith("umount")} == {"umount /data", "umount /data/more"}, (
        "never lazily, never by force"
    )
    assert "not detached" not in text, "a volume in use is not detached"


@pytest.mark.slow
def test_process_of_the_job_that_keeps_a_mount_is_killed_and_others_are_not(machine: Any, handler: Any) -> None:
    machine.mount("/data")
    machine.ended_job()
    job = machine.start_job(listens=False)
    machine.ended_job()
    (machine.root / "busy").touch()
    space = {"mountinfo": (machine.root / "proc/self/mountinfo").read_text(), "ns__mnt": "mnt:[1]", "cwd": "/data"}
    machine.process(job.pid, cgroup="0::/system.slice/experiments-spot-job.service\n", **space)
    other = machine.root / "proc" / str(os.getppid())
    machine.process(int(other.name), **space)

    def free() -> None:
        job.wait()
        (machine.root / "busy").unlink()

    threading.Thread(target=free, daemon=True).start()
    handler(left=3, volumes=[VOLUME], detach=False).handle()
    assert job.wait(10) == -9
    assert machine.state["phase"] == "failed", "the other process still has it"
    assert any(f"killed cat (pid {job.pid}) of the job" in text for text in machine.state["messages"])


@pytest.mark.slow
def test_a_container_that_still_has_the_volume_keeps_it_busy(machine: Any, handler: Any) -> None:
    machine.mount("/data")
    machine.process(55, mountinfo="9 1 259:1 / /in rw - ext4 x rw\n", ns__mnt="mnt:[2]", comm="jupyter\n")
    handler(left=1.5, volumes=[VOLUME]).handle()
    assert machine.state["volumes"][0]["state"] == "busy" and machine.state["phase"] == "failed"
    assert any("jupyter (pid 55, mounted in its name space at /in)" in text for text in machine.state["messages"])


@pytest.mark.parametrize(
    ("code", "calls"), [("UnauthorizedOperation", 1), ("InvalidVolume.NotFound", 1), ("RequestLimitExceeded", 3)]
)
def test_refused_detach_is_a_message(machine: Any, service: Any, handler: Any, code: str, calls: int) -> None:
    machine.mount("/data")
    role(service)
    with Wire() as wire:
        wire.script("DetachVolume", error(code, "no"))
        handler(left=60, volumes=[VOLUME], ec2_endpoint=wire.url).handle()
    assert (machine.state["phase"], machine.state["volumes"][0]["state"]) == ("done", "unmounted")
    assert len(wire.of("DetachVolume")) == calls
    assert any("vol-1 was not detached" in text for text in machine.state["messages"])


def test_the_metadata_service_is_asked_once_where_there_is_no_time(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def no_answer(*_: Any) -> None:
        asked.append(1)
        raise steps.ImdsError("no answer")

    monkeypatch.setattr(steps.ec2, "caller_of", no_answer)
    late = handler()
    late.state["deadline"] = clocks.uptime() - 1
    assert late.caller() is None
    assert len(asked) == 1


def test_no_role_and_no_service(machine: Any, service: Any, handler: Any) -> None:
    handler(volumes=[VOLUME]).handle()
    assert any("it has no role" in text for text in machine.state["messages"])
    service.fault = 500
    handler(volumes=[VOLUME]).handle()
    assert any("the metadata service: " in text for text in machine.state["messages"])
    assert machine.state["phase"] == "done"


@pytest.mark.parametrize("action", ["stop", "hibernate"])
def test_an_instance_that_comes_back_keeps_its_volumes(machine: Any, service: Any, handler: Any, action: str) -> None:
    role(service)
    machine.mount("/data")
    handler(notice={"action": action}, volumes=[VOLUME], ec2_endpoint="http://127.0.0.1:1").handle()
    assert machine.state["volumes"][0]["state"] == "unmounted" and machine.state["messages"] == []


def test_webhook(machine: Any, service: Any, handler: Any) -> None:
    role(service)
    machine.start_job()
    handler(webhook=f"{service.url}/hook?key=hunter2").handle()
    assert service.asked[-1] == ("POST", "/hook?key=hunter2")
    assert machine.state["phase"] == "done" and "status 401" in machine.state["messages"][0]
    assert "hunter2" not in json.dumps(machine.state)


def test_the_machine_is_powered_off_at_the_time_limit_only(machine: Any, handler: Any) -> None:
    handler().handle()
    assert "poweroff" not in machine.calls
    handler(notice={"kind": "expired"}).handle()
    assert machine.calls[-1] == "poweroff" and machine.state["phase"] == "done"


@pytest.mark.parametrize("kind", ["expired", "idle"])
def test_the_fleet_of_an_instance_that_sets_itself_up_is_ended_first(
    machine: Any, handler: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    states = {steps.KEEPER_UNIT: ["active", "active", "inactive"]}

    def state_of(unit: str) -> str:
        seen = states.get(unit) or ["inactive"]
        if unit == steps.KEEPER_UNIT:
            assert "poweroff" not in machine.calls
        return seen.pop(0) if len(seen) > 1 else seen[0]

    monkeypatch.setattr(steps.system, "unit_state", state_of)
    handler(notice={"kind": kind}).handle()
    assert machine.calls[-1] == "poweroff" and states[steps.KEEPER_UNIT] == ["inactive"]


def test_a_fleet_that_cannot_be_ended_does_not_keep_the_machine_for_ever(
    machine: Any, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "KEEPER_TIME", 0.1)
    monkeypatch.setattr(steps.system, "unit_state", lambda unit: "active" if unit == steps.KEEPER_UNIT else "inactive")
    handler(notice={"kind": "idle"}).handle()
    assert machine.calls[-1] == "poweroff" and "has not ended the fleet" in machine.state["messages"][-1]


def test_a_step_that_breaks_does_not_stop_the_others(
    machine: Any, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any) -> str:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(system, "unit_state", broken)
    machine.mount("/data")
    made = handler(volumes=[VOLUME], detach=False)
    made.handle()
    assert "stop: RuntimeError: no such thing" in made.state["messages"]
    assert made.state["volumes"][0]["state"] == "unmounted"


def test_state_file_that_cannot_be_written_stops_nothing(machine: Any, handler: Any) -> None:
    job = machine.start_job()
    made = handler(state_file="/no/such/folder/notice.json")
    made.handle()
    assert made.state["phase"] == "done" and job.poll() is not None


@pytest.mark.parametrize("phase", ["stopping", "flushing", "unmounting", "unmounted", "detached"])
def test_goes_on_from_a_phase(machine: Any, handler: Any, phase: str) -> None:
    machine.mount("/data")
    machine.ended_job()
    made = handler(volumes=[VOLUME], detach=False)
    made.state.update(phase=phase, job=None if phase == "stopping" else "stopped")
    if phase in ("unmounted", "detached"):
        made.state["volumes"][0]["state"] = phase
    made.handle()
    assert (machine.state["phase"], machine.state["job"]) == ("done", "stopped")
    order = ["stopping", "flushing", "unmounting", "unmounted", "detached"].index(phase)
    assert ("umount /data" in machine.calls) is (order <= 2)
    assert ("sync -f /data" in machine.calls) is (order <= 1)


def test_what_became_of_the_job_stays_with_the_next_notice() -> None:
    earlier = {"job": "killed", "run": {"exit_code": 137}}
    state = kept_end(new_state(NOTICE, 10, [], 0), earlier)
    assert (state["job"], state["run"]) == ("killed", {"exit_code": 137})
    assert kept_end(new_state(NOTICE, 10, [], 0), {"job": "none"})["job"] is None


def test_forget(machine: Any) -> None:
    machine.state_file.write_text("{}")
    steps.forget(str(machine.state_file))
    assert [path.name for path in machine.state_file.parent.iterdir()] == ["notice.last.json"]
    steps.forget(str(machine.state_file))


@pytest.fixture()
def pusher(machine: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pusher of results is set up, and says that when it is asked."""
    monkeypatch.setattr(steps, "RESULTS_CONFIG", str(machine.root / "results.json"))
    monkeypatch.setattr(steps, "RESULTS_STATUS", str(machine.root / "status.json"))
    (machine.root / "results.json").write_text("{}")

    def tell(**told: Any) -> None:
        (machine.root / "status.json").write_text(json.dumps(told))

    return tell


def test_results_are_sent_between_the_ledger_and_the_volumes(machine: Any, handler: Any, pusher: Any) -> None:
    machine.mount("/data")
    machine.start_job()
    pusher(files=2, bytes=7, left=1, failed=0, message="")
    handler(volumes=[VOLUME], detach=False).handle()
    assert machine.calls == [
        "stop --no-block experiments-spot-job.service",
        "sync -f /data",
        "stop --no-block experiments-spot-results.timer experiments-spot-results@periodic.service",
        "start --no-block experiments-spot-results@notice.service",
        "umount /data",
    ]
    assert machine.state["results"]["files"] == 2 and machine.state["messages"] == []


def test_results_that_are_not_sent_do_not_keep_the_volumes(machine: Any, handler: Any, pusher: Any) -> None:
    machine.mount("/data")
    machine.ended_job()
    pusher(message="the time was over before everything was sent", failed=1)
    handler(volumes=[VOLUME], detach=False).handle()
    assert machine.state["messages"] == ["results: the time was over before everything was sent"]
    assert "umount /data" in machine.calls


def test_a_push_that_hangs_is_killed_in_time(
    machine: Any, handler: Any, pusher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "unit_state", lambda unit: "activating" if "results" in unit else "inactive")
    machine.mount("/data")
    handler(left=9.5, volumes=[VOLUME], detach=False).handle()
    assert "kill --signal=SIGKILL experiments-spot-results@notice.service" in machine.calls
    assert "results: the time was over" in machine.state["messages"] and "umount /data" in machine.calls


def test_a_time_limit_waits_for_the_results(machine: Any, handler: Any, pusher: Any) -> None:
    made = handler(notice={"kind": "expired"})
    before = made.state["deadline"]
    made.push_results()
    assert made.state["deadline"] == before + steps.RESULTS_TIME
