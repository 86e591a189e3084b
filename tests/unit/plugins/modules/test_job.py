"""The module job on a machine made of a directory and a systemd of a few lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._job.spec import UNIT
from ansible_collections.experiments.spot.plugins.modules import job, job_info

SECRET = "hunter2"


class Machine:
    """Files under a directory; systemctl start makes the unit active and writes a ledger as the runner would."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.paths = {
            "JOB_JSON": root / "etc/job.json",
            "JOB_ENV": root / "etc/job.env",
            "CONF_DIR": root / "etc",
            "RUNNER_DIR": root / "lib",
            "RUNNER_PATH": root / "lib/job.py",
            "UNIT_PATH": root / "systemd" / UNIT,
            "NOTICE_PATH": root / "notice.json",
        }
        for name, path in self.paths.items():
            for module in (job, remote):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, str(path))
        self.active = "inactive"
        self.status = 0
        self.calls: list[str] = []
        self.commands: list[list[str]] = []
        self.image_status = 1
        monkeypatch.setattr(job.shutil, "which", lambda name: f"/usr/bin/{name}")
        self.state_dir = root / "data/exp"

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[:2] == ["systemctl", "show"]:
            return 0, f"ActiveState={self.active}\nExecMainStatus={self.status}\nNeedDaemonReload=no\n", ""
        self.calls.append(" ".join(argv[1:2]) if argv[0] == "systemctl" else argv[0])
        if argv[0] in ("docker", "systemd-run"):
            self.commands.append(argv)
            return 0 if argv[0] == "systemd-run" else self.image_status, "", ""
        if argv[0] == "journalctl":
            return 0, ("two\none\n" if "--reverse" in argv else "one\ntwo\n"), ""
        if argv[1] in ("start", "stop"):
            self.active = "active" if argv[1] == "start" else "inactive"
        return 0, "", ""

    def end(self, state: str, exit_code: int | None) -> None:
        document = json.loads(self.paths["JOB_JSON"].read_text())
        keys = ("spec_sha256", "instance_id", "generation", "rank", "image")
        entry = {**{key: document[key] for key in keys}, "state": state, "exit_code": exit_code, "message": ""}
        entry["asked"] = document.get("asked")
        entry.update(started="2026-01-01T00:00:00Z", finished="2026-01-01T00:00:01Z")
        (self.state_dir / "ledger.json").write_text(json.dumps({"runs": [entry]}))
        self.active = "inactive"

    def do(
        self, state: str = "started", check_mode: bool = False, rerun: bool = False, more: Any = None, **spec: Any
    ) -> dict[str, Any]:
        params = {
            "experiment": "exp",
            "name": "train",
            "generation": 1,
            "rank": 0,
            "count": 1,
            "instance_id": "i-1",
            "owner": None,
            "group": None,
            "env": [f"KEY={SECRET}"],
            "rerun": rerun,
            "replace": False,
            "asked": None,
            "resume": False,
            "failed_only": False,
            "state": state,
            "spec": {"image": "img:1", "state_dir": str(self.state_dir), **spec},
            **(more or {}),
        }
        module: Any = type("Module", (), {"params": params, "check_mode": check_mode})()
        self.calls.clear()
        act = {"prepared": job.prepare, "started": job.start}.get(state, job.stop)
        return act(module, self.run)


@pytest.fixture()
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_prepared_lets_the_image_come_in_the_background(machine: Machine) -> None:
    predicted = machine.do("prepared", check_mode=True)
    assert machine.calls == ["docker"]
    done = machine.do("prepared")
    assert done == predicted
    assert (done["changed"], done["action"], done["unit_active"]) == (True, "pull", False)
    assert machine.commands[-1] == [
        "systemd-run", "--unit", "experiments-spot-pull.service", "--collect", "--quiet",
        "docker", "pull", "--quiet", "img:1",
    ]  # fmt: skip
    assert not list(machine.root.iterdir())


@pytest.mark.parametrize("why", ["the image is there", "the job runs", "no docker"])
def test_prepared_leaves_alone_what_needs_nothing(machine: Machine, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.image_status = 0 if why == "the image is there" else 1
    machine.active = "active" if why == "the job runs" else "inactive"
    if why == "no docker":
        monkeypatch.setattr(job.shutil, "which", lambda _name: None)
    done = machine.do("prepared")
    assert (done["changed"], done["unit_active"]) == (False, why == "the job runs")
    assert "systemd-run" not in machine.calls


def test_first_start_writes_everything_and_the_second_nothing(machine: Machine) -> None:
    predicted = machine.do(check_mode=True)
    assert predicted["changed"] and not list(machine.root.iterdir()) and machine.calls == []
    first = machine.do()
    assert first["changed"] and first["action"] == "start" and first["written"] == predicted["written"]
    assert machine.calls == ["daemon-reload", "start"]
    assert machine.paths["JOB_ENV"].stat().st_mode & 0o777 == 0o600
    assert machine.paths["JOB_ENV"].read_text() == f"KEY={SECRET}\n"
    assert machine.paths["JOB_JSON"].stat().st_mode & 0o777 == 0o644
    assert machine.state_dir.is_dir() and first["ledger_path"] == str(machine.state_dir / "ledger.json")
    assert "def main(" in machine.paths["RUNNER_PATH"].read_text()
    second = machine.do()
    assert not second["changed"] and second["written"] == [] and machine.calls == []


def test_the_secret_is_nowhere_but_in_its_file(machine: Machine) -> None:
    assert SECRET not in json.dumps(machine.do())
    for name in ("JOB_JSON", "UNIT_PATH"):
        assert SECRET not in machine.paths[name].read_text()
    (machine.paths["JOB_ENV"]).write_text("KEY=other\n")
    with pytest.raises(remote.RemoteError) as error:
        machine.do()
    assert SECRET not in str(error.value) and "changed: env" in str(error.value)


def test_ended_job_is_left_alone_until_asked(machine: Machine) -> None:
    machine.do()
    machine.end("succeeded", 0)
    result = machine.do()
    assert not result["changed"] and "-e rerun=true" in result["reason"]
    again = machine.do(rerun=True)
    assert again["changed"] and again["written"] == [] and machine.calls == ["start"], (
        "no daemon-reload without a change"
    )


def test_interrupted_job_is_resumed_but_not_while_the_notice_stands(machine: Machine) -> None:
    machine.do()
    machine.end("interrupted", 143)
    notice = {"kind": "interruption", "action": "terminate", "time": "2026-01-01T12:00:00Z", "phase": "done"}
    machine.paths["NOTICE_PATH"].write_text(json.dumps(notice))
    with pytest.raises(remote.RemoteError, match="AWS takes the instance at 12:00:00Z"):
        machine.do()
    assert job_info.gather({"state_dir": None, "log_lines": 0}, machine.run)["notice"] == notice
    machine.paths["NOTICE_PATH"].unlink()
    assert machine.do()["action"] == "start"
    assert job_info.gather({"state_dir": None, "log_lines": 0}, machine.run)["notice"] == {}


def test_other_spec(machine: Machine) -> None:
    machine.do()
    with pytest.raises(remote.RemoteError, match=r"running with another spec .*image"):
        machine.do(image="img:2")
    assert machine.calls == []
    result = machine.do(image="img:2", rerun=True)
    assert machine.calls == ["stop", "start"] and result["action"] == "restart"
    assert result["diff"]["before"]["job"]["image"] == "img:1" and result["diff"]["after"]["job"]["image"] == "img:2"


def test_longer_grace_changes_the_unit(machine: Machine) -> None:
    machine.do()
    machine.end("failed", 1)
    machine.do(stop_grace=90)
    assert machine.calls == ["daemon-reload", "start"]
    assert "TimeoutStopSec=105" in machine.paths["UNIT_PATH"].read_text()


def test_all_mistakes_at_once_and_nothing_written(machine: Machine) -> None:
    with pytest.raises(remote.RemoteError) as error:
        machine.do(image=None, mounts=["x"])
    assert "spec.image" in str(error.value) and "spec.mounts" in str(error.value)
    assert not list(machine.root.iterdir())


def test_stop_and_remove(machine: Machine) -> None:
    assert not machine.do("stopped")["changed"]
    machine.do()
    assert machine.do("stopped", check_mode=True)["changed"] and machine.active == "active"
    assert machine.do("stopped")["action"] == "stop" and machine.calls == ["stop"]
    assert not machine.do("stopped")["changed"]
    (machine.state_dir / "ledger.json").write_text("{}")
    removed = machine.do("absent")
    assert removed["changed"] and machine.calls == ["daemon-reload"]
    assert not any(machine.paths[name].exists() for name in ("JOB_JSON", "JOB_ENV", "UNIT_PATH", "RUNNER_DIR"))
    assert (machine.state_dir / "ledger.json").exists()
    assert not machine.do("absent")["changed"]


def test_systemd_that_refuses_is_one_line(machine: Machine) -> None:
    def refuse(argv: list[str]) -> tuple[int, str, str]:
        return (1, "", "Unit not found.\nSee log.") if argv[1] == "start" else machine.run(argv)

    with pytest.raises(remote.RemoteError, match=r"^systemctl start .*: Unit not found. See log.$"):
        remote.systemctl(refuse, "start", UNIT)


def test_info_with_nothing_there(machine: Machine) -> None:
    found = job_info.gather({"log_lines": 5, "state_dir": None}, lambda argv: (127, "", ""))
    assert found["state"] is None and found["runs"] == [] and found["log_tail"] == []


def test_info_of_a_job(machine: Machine) -> None:
    machine.do()
    machine.end("failed", 3)
    found = job_info.gather({"log_lines": 2, "state_dir": None}, machine.run)
    assert (found["state"], found["exit_code"], found["log_tail"]) == ("failed", 3, ["one", "two"])
    assert len(found["runs"]) == 1 and found["ledger_path"] == str(machine.state_dir / "ledger.json")
    machine.calls.clear()
    assert job_info.gather({"log_lines": 0, "state_dir": None}, machine.run)["log_tail"] == [] and machine.calls == []


def test_info_of_a_damaged_ledger_says_so(machine: Machine) -> None:
    machine.do()
    (machine.state_dir / "ledger.json").write_text("{")
    found = job_info.gather({"log_lines": 0, "state_dir": None}, machine.run)
    assert "cannot be read" in found["message"] and found["runs"] == []


def test_info_of_a_ledger_whose_server_is_gone_waits_no_longer_than_that(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody writes into is read as a hard NFS mount is while its server is gone."""
    monkeypatch.setattr(remote, "ANSWER", 0.2)
    os.mkfifo(tmp_path / "ledger.json")
    found = job_info.gather({"state_dir": str(tmp_path), "log_lines": 0}, machine.run)
    assert found["storage_silent"] is True
    assert "the server of its file system does not answer" in found["message"]


def test_info_of_a_volume_of_an_earlier_instance(machine: Machine) -> None:
    machine.do()
    machine.end("succeeded", 0)
    machine.paths["JOB_JSON"].unlink()
    found = job_info.gather({"log_lines": 0, "state_dir": str(machine.state_dir)}, machine.run)
    assert found["state"] is None and found["runs"][0]["state"] == "succeeded"


@pytest.mark.parametrize(
    ("unit", "started", "expected"),
    [
        ({"InvocationID": "abc"}, "2026-01-02T03:04:05Z", ["_SYSTEMD_INVOCATION_ID=abc"]),
        ({}, "2026-01-02T03:04:05Z", ["--reverse", "--since", "2026-01-02 03:04:05 UTC", f"_SYSTEMD_UNIT={UNIT}"]),
        ({}, None, [f"_SYSTEMD_UNIT={UNIT}"]),
    ],
)
def test_log_of_the_last_run_only(unit: dict[str, str], started: str | None, expected: list[str]) -> None:
    argv = job_info.log_argv(7, unit, started)
    assert argv[argv.index("7") + 1 :] == expected


ASKED = {"command": ["test"], "params": {"lr": "2"}}


def test_a_job_that_was_asked_for_is_gone_on_with(machine: Machine) -> None:
    machine.do(command=["test"], more={"asked": ASKED, "env": [f"KEY={SECRET}", "lr=2"]})
    machine.end("interrupted", 143)
    resumed = machine.do(command=["train"], more={"resume": True, "generation": 2, "instance_id": "i-2"})
    document = json.loads(machine.paths["JOB_JSON"].read_text())
    assert resumed["action"] == "start" and (document["command"], document["asked"]) == (["test"], ASKED)
    assert machine.paths["JOB_ENV"].read_text() == f"KEY={SECRET}\nlr=2\n"
    assert SECRET not in machine.paths["JOB_JSON"].read_text()
    # A launch starts what the profile says, and what has ended is not followed by it on a resume.
    machine.end("succeeded", 0)
    kept = {"resume": True, "generation": 2, "instance_id": "i-2"}
    assert machine.do(command=["train"], more=kept)["reason"] == "another job was started here last, and it has ended"
    assert machine.do(command=["train"], more={"generation": 2, "instance_id": "i-2"})["action"] == "start"
    assert json.loads(machine.paths["JOB_JSON"].read_text())["command"] == ["train"]


def test_a_wish_to_run_a_matrix_once_more_is_passed_on(machine: Machine) -> None:
    lists = {"lr": [1, 2, 3]}
    machine.do(matrix=lists, more={"count": 2})
    document = json.loads(machine.paths["JOB_JSON"].read_text())
    assert [one["name"] for one in document["matrix"]] == ["lr=1", "lr=3"] and "rerun" not in document
    machine.end("failed", 3)
    assert machine.do(matrix=lists, more={"count": 2})["action"] == "none"
    assert machine.do(rerun=True, matrix=lists, more={"count": 2, "failed_only": True})["action"] == "start"
    assert json.loads(machine.paths["JOB_JSON"].read_text())["rerun"]["failed_only"] is True
    with pytest.raises(remote.RemoteError, match=r"spec\.matrix: lr is not a list"):
        machine.do(matrix={"lr": []})
