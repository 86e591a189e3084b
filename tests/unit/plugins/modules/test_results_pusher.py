"""The module results_pusher on a machine made of a directory and a systemd that only listens."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._results import pusher, spec
from ansible_collections.experiments.spot.plugins.modules import results_pusher

PARAMS: dict[str, Any] = {
    "bucket": "s3://mine/runs", "experiment": "x", "instance_id": "i-1", "generation": 1, "rank": 0, "count": 1,
    "paths": ["/data/x"], "state_dir": "/data/x", "exclude": [], "checkpoints": ["checkpoints/*"], "interval": 60,
    "storage_class": None, "kms_key_id": None, "region": None, "endpoint": None, "restore": True, "owner": "root",
    "group": "0",
}  # fmt: skip


class Machine:
    """Files under a directory, and a timer."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.active = False
        self.calls: list[str] = []
        self.restored: dict[str, Any] = {}
        paths = {"PACKAGE_DIR": "lib/results", "CONFIG_PATH": "etc/results.json"}
        paths |= {"SERVICE_PATH": "units/results@.service", "TIMER_PATH": "units/results.timer"}
        for name, path in paths.items():
            monkeypatch.setattr(spec, name, str(root / path))
        monkeypatch.setattr(results_pusher, "UNITS", (spec.SERVICE_PATH, spec.TIMER_PATH))
        monkeypatch.setattr(spec, "PYTHONS", (sys.executable,))
        monkeypatch.setattr(results_pusher, "restore", lambda _python: self.restored)
        monkeypatch.setattr(pusher, "STATUS", str(root / "status"))
        monkeypatch.setattr(pusher, "CACHE", str(root / "cache"))

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[0] != "systemctl":
            return 0, "", ""
        if argv[1] == "show":
            return 0, f"ActiveState={'active' if self.active else 'inactive'}\n", ""
        self.calls.append(" ".join(argv[1:]))
        self.active = argv[1] == "restart" or (self.active and argv[1] != "disable")
        return 0, "", ""

    def start(self, check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        return results_pusher.start({**PARAMS, **changes}, check_mode, self.run)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_set_up_twice_and_removed(machine: Machine) -> None:
    assert machine.start(check_mode=True)["changed"] and not Path(spec.CONFIG_PATH).exists()
    first = machine.start()
    assert first["changed"] and first["url"] == "s3://mine/runs/x/"
    assert machine.calls == ["daemon-reload", f"enable {spec.TIMER}", f"restart {spec.TIMER}"]
    config = json.loads(Path(spec.CONFIG_PATH).read_text())
    assert (config["prefix"], config["directories"], config["uid"]) == ("runs/x", {"state": "/data/x"}, 0)
    assert {path.name for path in Path(spec.PACKAGE_DIR).iterdir()} == {
        "__init__.py", "fetch.py", "files.py", "plan.py", "pusher.py", "store.py",
    }  # fmt: skip
    again = machine.start()
    assert (again["changed"], again["written"]) == (False, [])
    machine.active = False
    assert machine.start()["changed"], "a timer that somebody stopped"
    assert results_pusher.stop(True, machine.run)["changed"] and Path(spec.CONFIG_PATH).exists()
    assert results_pusher.stop(False, machine.run)["changed"] and not Path(spec.CONFIG_PATH).exists()
    assert not results_pusher.stop(False, machine.run)["changed"]


def test_a_push_that_runs_has_ended_before_its_files_go(machine: Machine) -> None:
    machine.start()
    Path(pusher.STATUS).write_text("{}")
    there: dict[str, bool] = {}

    def run(argv: list[str]) -> tuple[int, str, str]:
        there[argv[1]] = Path(pusher.STATUS).exists() and Path(spec.SERVICE_PATH).exists()
        return machine.run(argv)

    results_pusher.stop(False, run)
    assert there == {"disable": True, "stop": True, "daemon-reload": False, "reset-failed": False}
    assert machine.calls[-4:] == [
        f"disable --now {spec.TIMER}", f"stop {spec.SERVICES}", "daemon-reload", f"reset-failed {spec.SERVICES}",
    ]  # fmt: skip


def test_without_an_interval_there_is_no_timer(machine: Machine) -> None:
    machine.start()
    assert machine.start(interval=0)["changed"] and not Path(spec.TIMER_PATH).exists()
    assert f"disable --now {spec.TIMER}" in machine.calls
    assert not machine.start(interval=0)["changed"]


def test_what_came_back_is_a_change(machine: Machine) -> None:
    machine.start()
    machine.restored = {"files": 2, "from_generation": 1}
    assert machine.start()["changed"]


def test_all_mistakes_at_once(machine: Machine) -> None:
    with pytest.raises(remote.RemoteError, match=r"bucket 'mine' is not s3://.*interval must not.*both be called a"):
        machine.start(bucket="mine", interval=-1, paths=["/x/a", "/y/a"])
    with pytest.raises(remote.RemoteError, match="owner or group"):
        machine.start(owner="nobody-of-this-name")


def test_a_python_that_is_too_old(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "run", lambda _argv: (1, "", ""))
    with pytest.raises(remote.RemoteError, match=r"Python 3\.10 or newer"):
        machine.start()
