"""A device is found by what proves it, and by its name only where nothing can."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import find_device, hint_names, serial_of

VOLUME = "vol-0123456789abcdef0"
SERIAL = "vol0123456789abcdef0"


@pytest.fixture()
def root(tmp_path: Path) -> Path:
    (tmp_path / "dev/disk/by-id").mkdir(parents=True)
    return tmp_path


def add(root: Path, name: str, serial: str | None = None, link: bool = False) -> str:
    device = root / "dev" / name
    device.touch()
    if serial:
        folder = root / "sys/block" / name / "device"
        folder.mkdir(parents=True)
        (folder / "serial").write_text(f"{serial}   \n")
    if link:
        (root / f"dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial or SERIAL}").symlink_to(device)
    return str(device)


def find(root: Path, hint: str | None = None) -> tuple[str, str] | None:
    found = find_device(VOLUME, hint, str(root))
    return (found.path, found.how) if found else None


def test_serial_is_the_id_without_its_dash() -> None:
    assert serial_of(VOLUME) == SERIAL


def test_link_by_id_comes_first(root: Path) -> None:
    device = add(root, "nvme2n1", SERIAL, link=True)
    add(root, "nvme1n1", "vol0000")
    assert find(root, "/dev/nvme1n1") == (device, "by-id")


def test_link_without_a_serial_in_sysfs_is_enough(root: Path) -> None:
    assert find(root) is None
    device = add(root, "nvme1n1", link=True)
    assert find(root) == (device, "by-id")


def test_serial_where_udev_made_no_link(root: Path) -> None:
    add(root, "nvme0n1", "AWS22A4E8A1")  # instance store
    device = add(root, "nvme3n1", SERIAL)
    assert find(root) == (device, "serial")


@pytest.mark.parametrize("name", ["sdf", "xvdf"])
def test_name_on_xen(root: Path, name: str) -> None:
    device = add(root, name)
    assert find(root, "/dev/sdf") == (device, "hint")
    assert find(root) is None


def test_name_of_a_device_that_is_another_volume_is_not_believed(root: Path) -> None:
    other = add(root, "nvme1n1", "vol0fffffffffffffff")
    (root / "dev/sdf").symlink_to(other)
    assert find(root, "/dev/sdf") is None


@pytest.mark.parametrize(
    ("hint", "names"),
    [
        ("/dev/sdf", ["/dev/sdf", "/dev/xvdf"]),
        ("xvdba", ["/dev/xvdba", "/dev/sdba"]),
        ("/dev/nvme1n1", ["/dev/nvme1n1"]),
        (None, []),
    ],
)
def test_names_of_a_hint(hint: str | None, names: list[str]) -> None:
    assert hint_names(hint) == names
