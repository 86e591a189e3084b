"""The module notice_watcher on a machine made of a directory and a systemd of a few lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._notice import spec
from ansible_collections.experiments.spot.plugins.modules import notice_watcher

SECRET = "hunter2"


class Machine:
    """Files under a directory, and a unit."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.paths = {
            "BASE_DIR": root / "lib",
            "PACKAGE_DIR": root / "lib/notice",
            "CONF_DIR": root / "etc",
            "CONFIG_PATH": root / "etc/notice.json",
            "UNIT_PATH": root / "systemd" / spec.UNIT,
        }
        for name, path in self.paths.items():
            monkeypatch.setattr(notice_watcher, name, str(path))
        monkeypatch.setattr(remote, "NOTICE_PATH", str(root / "run.json"))
        self.active = False
        self.enabled = False
        self.reload = "no"
        self.calls: list[str] = []

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        assert argv[0] == "systemctl"
        if argv[1] == "show":
            load = "loaded" if self.paths["UNIT_PATH"].exists() else "not-found"
            shown = {"LoadState": load, "ActiveState": "active" if self.active else "inactive"}
            shown.update(UnitFileState="enabled" if self.enabled else "disabled", NeedDaemonReload=self.reload)
            return 0, "".join(f"{key}={value}\n" for key, value in shown.items()), ""
        self.calls.append(" ".join(argv[1:]).replace(f" {spec.UNIT}", ""))
        if argv[1] == "restart":
            self.active = True
        if argv[1] in ("enable", "disable"):
            self.enabled = argv[1] == "enable"
            self.active = self.active and self.enabled
        self.reload = "no" if argv[1] == "daemon-reload" else self.reload
        return 0, "", ""

    def do(self, check_mode: bool = False, state: str = "started", **more: Any) -> dict[str, Any]:
        params = {key: None for key in spec.CONFIG_KEYS}
        params.update(period=5.0, rebalance="ignore", volumes=[], job_unit="x.service", grace=60, reserve=20)
        params.update(detach=True, idle_limit=0.0, experiment="exp", instance_id="i-1", **more)
        self.calls.clear()
        if state == "absent":
            return notice_watcher.stop(check_mode, self.run)
        return notice_watcher.start(params, check_mode, self.run)


@pytest.fixture()
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_set_up_once(machine: Machine) -> None:
    predicted = machine.do(check_mode=True)
    assert predicted["changed"] and not list(machine.root.iterdir()) and machine.calls == []
    first = machine.do()
    assert first["action"] == "start" and first["written"] == predicted["written"] and len(first["written"]) == 12
    assert machine.calls == ["daemon-reload", "enable", "restart"]
    assert machine.paths["CONFIG_PATH"].stat().st_mode & 0o777 == 0o600
    assert "def main(" in (machine.paths["PACKAGE_DIR"] / "watcher.py").read_text()
    command = [sys.executable, "-m", "notice.watcher", str(machine.root / "none")]
    done = subprocess.run(command, cwd=machine.paths["BASE_DIR"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (78, ""), "all its parts are there"
    second = machine.do()
    assert not second["changed"] and second["written"] == [] and machine.calls == []
    assert second["diff"]["before"] == second["diff"]["after"]


def test_change_restarts(machine: Machine) -> None:
    machine.do()
    predicted = machine.do(check_mode=True, period=2.0)
    assert predicted["action"] == "restart" and machine.calls == []
    changed = machine.do(period=2.0)
    assert changed["written"] == [str(machine.paths["CONFIG_PATH"])] and machine.calls == ["enable", "restart"]
    assert changed["diff"]["before"]["config"]["period"] == 5.0 and changed["diff"]["after"]["config"]["period"] == 2.0


@pytest.mark.parametrize(("field", "value"), [("active", False), ("enabled", False), ("reload", "yes")])
def test_what_is_not_as_it_should_be_is_mended(machine: Machine, field: str, value: Any) -> None:
    machine.do()
    setattr(machine, field, value)
    assert machine.do()["changed"] and machine.active and machine.enabled and machine.reload == "no"
    assert not machine.do()["changed"]


def test_removed_once(machine: Machine) -> None:
    machine.do()
    assert machine.do(check_mode=True, state="absent")["changed"] and machine.paths["CONFIG_PATH"].exists()
    assert machine.do(state="absent")["action"] == "remove"
    assert machine.calls == ["disable --now", "daemon-reload"] and not machine.active
    assert [path.name for path in machine.root.iterdir()] == ["systemd"] and not list(
        (machine.root / "systemd").iterdir()
    )
    assert not machine.do(state="absent")["changed"] and machine.calls == []


def test_removal_leaves_what_is_not_its_own(machine: Machine) -> None:
    machine.do()
    (machine.paths["CONF_DIR"] / "job.json").write_text("{}")
    (machine.paths["BASE_DIR"] / "job.py").write_text("")
    machine.do(state="absent")
    assert (machine.paths["CONF_DIR"] / "job.json").exists() and (machine.paths["BASE_DIR"] / "job.py").exists()


def test_webhook_is_in_its_file_and_nowhere_else(machine: Machine) -> None:
    hook = f"https://h.example/{SECRET}"
    assert SECRET not in json.dumps(machine.do(webhook=hook))
    assert SECRET in machine.paths["CONFIG_PATH"].read_text()
    assert SECRET not in json.dumps(machine.do(webhook=hook, period=2.0))
    assert SECRET not in machine.paths["UNIT_PATH"].read_text()


def test_bad_options_write_nothing(machine: Machine) -> None:
    with pytest.raises(remote.RemoteError, match="period must be more than 0; expires 'x' is no time"):
        machine.do(period=0, expires="x")
    assert not list(machine.root.iterdir())


def test_the_notice_is_returned(machine: Machine) -> None:
    assert machine.do()["notice"] == {}
    (machine.root / "run.json").write_text('{"kind": "interruption"}')
    assert machine.do()["notice"] == {"kind": "interruption"}
