"""ebs_mount without a device: options, waiting, commands. On real devices: tests/integration/ebs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import find
from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import Found
from ansible_collections.experiments.spot.plugins.module_utils._ebs.plan import Plan, Wanted
from ansible_collections.experiments.spot.plugins.modules import ebs_mount

PARAMS: dict[str, Any] = {
    "volume_id": "vol-1",
    "size_gib": 1,
    "device": None,
    "mount_point": "/mnt/data/",
    "fs_type": "ext4",
    "owner": "root",
    "group": "0",
    "mode": "0750",
    "options": "defaults",
    "label": None,
    "proof": "quick",
    "grow": True,
    "partition": None,
    "read_only": False,
    "timeout": 60,
    "state": "mounted",
}


class Module:
    """Options and nothing else; a command is a failure."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self.params = {**PARAMS, **params}
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def get_bin_path(self, name: str) -> str | None:
        return None

    def run_command(self, argv: list[str], **_more: Any) -> tuple[int, str, str]:
        raise AssertionError(f"ran {argv}")


class Clock:
    """Time passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ebs_mount, "FSTAB", str(tmp_path / "fstab"))
    monkeypatch.setattr(ebs_mount, "MARKS", str(tmp_path / "marks"))
    monkeypatch.setattr(ebs_mount, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(find, "BY_ID", str(tmp_path / "{serial}"))
    return tmp_path


def do(**params: Any) -> dict[str, Any]:
    module: Any = Module(**params)
    return ebs_mount.do(module)


def test_options_become_numbers() -> None:
    wanted, errors = ebs_mount.wanted_of(PARAMS)
    assert (wanted.uid, wanted.gid, wanted.mode, wanted.mount_point, errors) == (0, 0, 0o750, "/mnt/data", [])


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ebs_mount.StepError) as error:
        do(volume_id="disk", owner="nosuchuser", group="nosuchgroup", mode="rwx", mount_point="/usr")
    for part in ("'disk' is no volume id", "owner 'nosuchuser'", "group 'nosuchgroup'", "'rwx' is not octal", "/usr"):
        assert part in str(error.value)


@pytest.mark.parametrize("mode", ["9", "77777", "-1", "0x1"])
def test_bad_modes(mode: str) -> None:
    errors: list[str] = []
    assert ebs_mount.mode_number(mode, errors) is None and errors


def test_waiting_ends_when_it_appears_or_when_time_is_over() -> None:
    answers = [None, None, Found("/dev/x", "by-id", "vol1")]
    clock = Clock()
    assert ebs_mount.wait_for(lambda: answers.pop(0), 60, clock) == Found("/dev/x", "by-id", "vol1")
    assert clock.now < 1
    assert ebs_mount.wait_for(lambda: None, 5, clock) is None
    assert 5 <= clock.now < 7


def test_a_device_without_room_is_waited_for(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device, slept = machine / "vol1", []
    device.touch()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        device.write_bytes(b"data")

    monkeypatch.setattr(ebs_mount.time, "sleep", sleep)
    module: Any = Module()
    assert ebs_mount.find(module) == Found(str(device), "by-id", "vol1")
    assert len(slept) == 1
    # Where it is not needed, nothing waits for it.
    device.write_bytes(b"")
    module = Module(state="unmounted")
    assert ebs_mount.find(module) == Found(str(device), "by-id", "vol1") and len(slept) == 1
    assert not ebs_mount.is_empty(str(machine / "nothing"))


def test_device_that_never_comes() -> None:
    with pytest.raises(ebs_mount.StepError, match=r"vol-1: no device with this id appeared within 0 s"):
        do(timeout=0)


def test_check_mode_predicts_for_a_volume_that_is_only_predicted(machine: Path) -> None:
    result = do(check_mode=True)
    assert result["changed"] and result["steps"] == ["mount", "fstab"]
    assert list(machine.iterdir()) == []


@pytest.mark.parametrize("state", ["unmounted", "absent"])
def test_nothing_to_unmount(state: str) -> None:
    assert not do(state=state, mount_point=None)["changed"]
    assert not do(state=state, mount_point="/mnt/none", timeout=3600)["changed"]


@pytest.mark.parametrize(
    ("fs_type", "label", "interrupted", "argv"),
    [
        ("ext4", None, False, "mkfs.ext4 -q -U u /dev/x"),
        ("ext4", "data", True, "mkfs.ext4 -q -U u -L data /dev/x"),
        ("xfs", None, False, "mkfs.xfs -q -m uuid=u /dev/x"),
        ("xfs", "data", True, "mkfs.xfs -q -m uuid=u -L data -f /dev/x"),
    ],
)
def test_mkfs(fs_type: str, label: str | None, interrupted: bool, argv: str) -> None:
    wanted = Wanted("vol-1", "/mnt/data", fs_type=fs_type, label=label, new_uuid="u")
    assert ebs_mount.mkfs_argv(wanted, "/dev/x", interrupted) == argv.split()


def test_missing_mkfs_says_what_to_install_and_leaves_no_mark(machine: Path) -> None:
    module: Any = Module()
    wanted = Wanted("vol-1", "/mnt/data", fs_type="xfs", new_uuid="u")
    volume = ebs_mount.Volume(module, wanted, Found("/dev/x", "by-id", "vol1"))
    with pytest.raises(ebs_mount.StepError, match="install xfsprogs"):
        volume.step_format()
    assert os.listdir(machine / "marks") == []


def test_fstab_keeps_its_permissions(machine: Path) -> None:
    fstab = machine / "fstab"
    fstab.write_text("old\n")
    fstab.chmod(0o600)
    module: Any = Module()
    volume = ebs_mount.Volume(module, Wanted("vol-1", "/mnt/data"), None)
    assert ebs_mount.apply(volume, Plan(steps=["fstab"], fstab_text="new\n")) == ["fstab"]
    assert fstab.read_text() == "new\n" and fstab.stat().st_mode & 0o777 == 0o600


def test_owner_is_changed_only_where_it_differs(machine: Path) -> None:
    module: Any = Module()
    place = machine / "mnt"
    place.mkdir(mode=0o755)
    wanted = Wanted("vol-1", str(place), uid=os.getuid(), gid=os.getgid(), mode=0o755)
    assert ebs_mount.Volume(module, wanted, None).step_owner() is False
    assert ebs_mount.Volume(module, dataclasses.replace(wanted, mode=0o700), None).step_owner() is True
    assert place.stat().st_mode & 0o777 == 0o700
