"""volume_grow: what is grown, how, and what is told when it is not."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import Found
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import Probe
from ansible_collections.experiments.spot.plugins.modules import volume_grow

GIB = 2**30
VOLUME = "vol-0123456789abcdef0"


def probe(kind: str = "ext4", size: int = 2, used: int | None = 1, **more: Any) -> Probe:
    known = {"mounted_at": ["/data"], "fs_bytes": used * GIB if used is not None else None, **more}
    return Probe("/dev/nvme1n1", "by-id", "vol", True, size * GIB, 0, blkid={"TYPE": kind}, **known)


@pytest.mark.parametrize(
    ("found", "argv"),
    [
        (probe("ext4"), ("resize2fs", "/dev/nvme1n1")),
        (probe("xfs"), ("xfs_growfs", "/data")),
        (probe("xfs", used=None), ("xfs_growfs", "/data")),
        (probe("ext4", used=2), ()),
        (probe("ext4", mounted_at=[]), ()),
    ],
)
def test_what_is_grown(found: Probe, argv: tuple[str, ...]) -> None:
    assert volume_grow.plan(found, VOLUME) == volume_grow.Plan(argv)


def test_what_is_not() -> None:
    assert "partitions" in volume_grow.plan(probe(partitions=["nvme1n1p1"]), VOLUME).error
    assert "holds btrfs" in volume_grow.plan(probe("btrfs"), VOLUME).error


class Module:
    """What the module needs of AnsibleModule; `commands` are what it ran."""

    def __init__(self, rc: int = 0, check_mode: bool = False, **params: Any) -> None:
        self.params = {"volume_id": VOLUME, "size_gib": 2, "device": None, "timeout": 5, **params}
        self.check_mode = check_mode
        self.rc = rc
        self.commands: list[list[str]] = []

    def get_bin_path(self, name: str) -> str | None:
        return f"/sbin/{name}"

    def run_command(self, argv: list[str], **_more: Any) -> tuple[int, str, str]:
        self.commands.append(argv)
        return self.rc, "", "no space" if self.rc else ""


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Probe | None]:
    """What the device is at each look; the last one stays. The file system has 2 GiB after a command ran."""
    looks: list[Probe | None] = []

    def look(*_args: Any) -> Any:
        return looks.pop(0) if len(looks) > 1 else looks[0]

    monkeypatch.setattr(volume_grow, "find_device", lambda *_args: Found("/dev/nvme1n1", "by-id", "vol"))
    monkeypatch.setattr(volume_grow, "probe_device", look)
    return looks


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """GiB that statvfs tells, one a call; the last one stays."""
    told = [1, 1, 2]
    original = os.statvfs

    def statvfs(path: str) -> Any:
        if path != "/data":
            return original(path)
        return SimpleNamespace(f_blocks=told.pop(0) if len(told) > 1 else told[0], f_frsize=GIB)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return told


def do(module: Module) -> dict[str, Any]:
    return volume_grow.do(module, Clock())  # type: ignore[arg-type]


def test_it_waits_for_the_device_grows_and_looks(seen: list[Any], sizes: list[int]) -> None:
    seen[:] = [probe(size=1), None, probe()]
    module = Module()
    result = do(module)
    assert module.commands == [["/sbin/resize2fs", "/dev/nvme1n1"]]
    assert result["changed"] and (result["before_bytes"], result["after_bytes"]) == (GIB, 2 * GIB)


def test_a_device_that_stays_small(seen: list[Any]) -> None:
    seen[:] = [probe(size=1)]
    with pytest.raises(volume_grow.GrowError, match="has 1 GiB after 5 s, not 2"):
        do(Module())
    seen[:] = [None]
    with pytest.raises(volume_grow.GrowError, match="no device with this id"):
        do(Module())


def test_a_command_that_fails_or_lies(seen: list[Any], sizes: list[int]) -> None:
    seen[:] = [probe()]
    with pytest.raises(volume_grow.GrowError, match="/data was not grown: no space"):
        do(Module(rc=1))
    sizes[:] = [1]
    with pytest.raises(volume_grow.GrowError, match="has not become larger"):
        do(Module())


def test_check_mode_predicts_also_before_the_volume_has_grown(seen: list[Any], sizes: list[int]) -> None:
    seen[:] = [probe(size=1)]
    module = Module(check_mode=True)
    assert do(module)["changed"] and module.commands == []
    seen[:] = [probe(mounted_at=[])]
    assert do(Module())["mount_point"] == ""
