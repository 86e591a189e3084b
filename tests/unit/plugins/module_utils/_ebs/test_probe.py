"""Reading devices: parsers of tools and superblocks, and which bytes are looked at."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import probe
from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import Found

MIB = 1024**2


def test_export_of_blkid() -> None:
    text = "DEVNAME=/dev/loop0\nUUID=1bba\nLABEL=a=b\nTYPE=ext4\n"
    assert probe.parse_export(text) == {"DEVNAME": "/dev/loop0", "UUID": "1bba", "LABEL": "a=b", "TYPE": "ext4"}
    assert probe.parse_export("") == {}


def test_output_of_wipefs() -> None:
    text = "# offset,uuid,label,type\n0x438,1bba-5f2c,my label,ext4\n0x1fe,,,dos\n"
    assert probe.parse_wipefs(text) == ["ext4", "dos"]
    assert probe.parse_wipefs("") == []


def test_mountinfo() -> None:
    text = (
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
        "90 22 259:1 / /mnt/my\\040data rw,noatime shared:9 master:2 - xfs /dev/nvme1n1 rw,attr2\n"
        "garbage\n"
    )
    first, second = probe.parse_mountinfo(text)
    assert (first.mount_point, first.devno) == ("/", "254:1")
    assert second == probe.Mount("/mnt/my data", "259:1", "/dev/nvme1n1", "xfs", "rw,noatime")


def test_superblocks() -> None:
    ext4 = bytearray(4096)
    struct.pack_into("<I", ext4, 1024 + 4, 262144)
    struct.pack_into("<I", ext4, 1024 + 0x18, 2)  # 1 KiB << 2
    struct.pack_into("<H", ext4, 1024 + 0x38, 0xEF53)
    assert probe.ext_bytes(bytes(ext4)) == 1024 * MIB
    struct.pack_into("<I", ext4, 1024 + 0x60, 0x80)
    struct.pack_into("<I", ext4, 1024 + 0x150, 1)
    assert probe.ext_bytes(bytes(ext4)) == ((1 << 32) + 262144) * 4096
    xfs = b"XFSB" + struct.pack(">IQ", 4096, 262144) + bytes(4080)
    assert probe.xfs_bytes(xfs) == 1024 * MIB
    assert probe.ext_bytes(xfs) is None and probe.xfs_bytes(bytes(ext4)) is None
    assert probe.ext_bytes(b"") is None and probe.xfs_bytes(b"") is None


def test_geometry_of_a_mounted_xfs() -> None:
    text = (
        "meta-data=/dev/loop0   isize=512    agcount=4, agsize=65536 blks\n"
        "data     =                       bsize=4096   blocks=262144, imaxpct=25\n"
        "log      =internal log           bsize=4096   blocks=16384, version=2\n"
    )
    assert probe.parse_xfs_geometry(text) == 1024 * MIB
    assert probe.parse_xfs_geometry("") is None


def disk(tmp_path: Path, size: int, data: dict[int, bytes]) -> int:
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.truncate(size)
        for offset, content in data.items():
            stream.seek(offset)
            stream.write(content)
    return os.open(path, os.O_RDONLY)


@pytest.mark.parametrize(
    ("offset", "full"),
    [
        (0, False),
        (5000, False),
        (10 * MIB, False),
        (64 * MIB - 1, False),
        (200 * MIB - 1, False),
        (131 * MIB + 7, True),
    ],
)
def test_first_data(tmp_path: Path, offset: int, full: bool) -> None:
    fd = disk(tmp_path, 200 * MIB, {offset: b"x"})
    assert probe.first_data(fd, 200 * MIB, full) == offset
    os.close(fd)


def test_no_data(tmp_path: Path) -> None:
    for size in (0, 4096, MIB + 5, 65 * MIB):
        fd = disk(tmp_path, size, {})
        assert probe.first_data(fd, size) is None
        os.close(fd)


@pytest.mark.parametrize("size", [0, 1, MIB, 64 * MIB, 65 * MIB, 5 * 1024 * MIB, 16 * 1024 * 1024 * MIB])
def test_samples_lie_inside_the_device_and_cost_the_same_for_every_size(size: int) -> None:
    pieces = list(probe.offsets(size))
    assert all(start >= 0 and start + length <= size for start, length in pieces)
    assert sum(length for _start, length in pieces) <= 64 * MIB + 300 * 4096 + MIB
    assert len(pieces) <= 64 + 300
    if size > 64 * MIB:
        assert pieces[-1] == (size - MIB, MIB)


def test_what_is_no_block_device_is_told_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    found = probe.probe_device(Found(str(path), "hint", None), lambda argv: pytest.fail(f"ran {argv}"))
    assert not found.is_block


def test_place(tmp_path: Path) -> None:
    assert not probe.probe_place(str(tmp_path / "no")).exists
    (tmp_path / "entry").touch()
    place = probe.probe_place(str(tmp_path))
    assert (place.is_dir, place.entries, place.mounted) == (True, 1, None)
    assert probe.probe_place("/proc").mounted is not None
