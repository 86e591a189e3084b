"""ebs_mount on real block devices: loop devices with the by-id link that udev makes for EBS volumes. Needs root."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import find
from ansible_collections.experiments.spot.plugins.modules import ebs_mount

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("losetup"), reason="needs root and losetup"),
]
GIB = 1024**3


def sh(*argv: str, stdin: str | None = None) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin).stdout.strip()


class Module:
    """What ebs_mount needs of AnsibleModule, with real commands."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        defaults: dict[str, Any] = dict.fromkeys(("size_gib", "device", "partition", "owner", "group", "mode", "label"))
        defaults.update(fs_type="ext4", options="defaults,nofail", proof="quick", grow=True, timeout=0, state="mounted")
        defaults["read_only"] = False
        self.params = {**defaults, **params}
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def get_bin_path(self, name: str) -> str | None:
        return shutil.which(name)

    def run_command(self, argv: list[str], environ_update: dict[str, str] | None = None) -> tuple[int, str, str]:
        env = {**os.environ, **(environ_update or {})}
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, check=False)
        return done.returncode, done.stdout, done.stderr


class Disk:
    """A loop device that looks like an attached EBS volume."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.volume_id = f"vol-{uuid.uuid4().hex[:17]}"
        self.image = tmp_path / "disk.img"
        with open(self.image, "wb") as stream:
            stream.truncate(GIB)
        self.device = sh("losetup", "-f", "--show", str(self.image))
        by_id = tmp_path / "by-id" / "{serial}"
        by_id.parent.mkdir()
        os.symlink(self.device, str(by_id).format(serial=find.serial_of(self.volume_id)))
        monkeypatch.setattr(find, "BY_ID", str(by_id))
        self.fstab = tmp_path / "fstab"
        self.fstab.write_text("# keep me\nUUID=0000 / ext4 defaults 0 1\n")
        monkeypatch.setattr(ebs_mount, "FSTAB", str(self.fstab))
        monkeypatch.setattr(ebs_mount, "LOCK", str(tmp_path / "lock"))
        self.marks = tmp_path / "marks"
        monkeypatch.setattr(ebs_mount, "MARKS", str(self.marks))
        self.place = str(tmp_path / "mnt data")

    def module(self, **params: Any) -> Module:
        return Module(**{"volume_id": self.volume_id, "mount_point": self.place, "size_gib": 1, **params})

    def run(self, **params: Any) -> dict[str, Any]:
        self.last = self.module(**params)
        return ebs_mount.do(self.last)  # type: ignore[arg-type]

    def refuses(self, **params: Any) -> str:
        before = self.digest()
        with pytest.raises(ebs_mount.StepError) as error:
            self.run(**params)
        assert self.digest() == before, "a refusal must not write"
        return str(error.value)

    def digest(self) -> str:
        """Changes whenever anything is written: blocks in use of the sparse image, and its beginning."""
        os.sync()
        return f"{os.stat(self.image).st_blocks} {sh('sh', '-c', f'head -c 16M {self.device} | sha256sum')}"

    def close(self) -> None:
        for path in (self.place, self.place + "2"):
            subprocess.run(["umount", path], check=False, capture_output=True)
        for number in find.partitions(self.device):
            sh("delpart", self.device, str(number))
        sh("losetup", "-d", self.device)


@pytest.fixture()
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
def test_empty_volume_is_formatted_mounted_and_then_left_alone(disk: Disk, fs_type: str) -> None:
    if not shutil.which(f"mkfs.{fs_type}"):
        pytest.skip(f"no mkfs.{fs_type}")
    params = {"fs_type": fs_type, "owner": "nobody", "mode": "2770", "label": "data"}
    predicted = disk.run(check_mode=True, **params)
    assert predicted["changed"] and not os.path.exists(disk.place)

    first = disk.run(**params)
    assert first["formatted"] and first["steps"] == ["format", "mkdir", "mount", "fstab", "owner"]
    assert predicted["steps"] == first["steps"]
    assert sh("findmnt", "-no", "FSTYPE", disk.place) == fs_type
    assert sh("blkid", "-s", "UUID", "-o", "value", disk.device) == first["uuid"]
    status = os.stat(disk.place)
    assert (status.st_uid, status.st_mode & 0o7777) == (int(sh("id", "-u", "nobody")), 0o2770)
    text = disk.fstab.read_text()
    assert text.startswith("# keep me\nUUID=0000 / ext4 defaults 0 1\n")
    assert f"UUID={first['uuid']} {disk.place.replace(' ', chr(92) + '040')} {fs_type}" in text
    assert "nofail" in text and "x-systemd.device-timeout=30" in text

    Path(disk.place, "kept").write_text("data")
    second = disk.run(**params)
    assert not second["changed"] and second["uuid"] == first["uuid"] and disk.fstab.read_text() == text
    assert second["diff"]["before"] == second["diff"]["after"]

    assert disk.run(**params, state="absent")["steps"] == ["unmount", "fstab", "rmdir"]
    assert disk.fstab.read_text() == "# keep me\nUUID=0000 / ext4 defaults 0 1\n" and not os.path.exists(disk.place)
    assert not disk.run(**params, state="absent")["changed"]

    again = disk.run(**params)
    assert not again["formatted"] and Path(disk.place, "kept").read_text() == "data"


def mbr(device: str) -> None:
    sh("sfdisk", "-q", "--no-reread", "--no-tell-kernel", device, stdin="label: dos\n2048,100M,83\n")


def gpt(device: str) -> None:
    sh("sfdisk", "-q", "--no-reread", "--no-tell-kernel", device, stdin="label: gpt\n2048,100M\n")


def raw_at(offset: int) -> Callable[[str], None]:
    def write(device: str) -> None:
        with open(device, "r+b") as stream:
            stream.seek(offset)
            stream.write(b"precious")

    return write


def ext4(device: str) -> None:
    sh("mkfs.ext4", "-q", device)


def swap(device: str) -> None:
    sh("mkswap", device)


def btrfs(device: str) -> None:
    sh("mkfs.btrfs", "-q", device)


def bytes_at(*pieces: tuple[int, bytes]) -> Callable[[str], None]:
    """Signatures whose tools need modules of the kernel."""

    def write(device: str) -> None:
        with open(device, "r+b") as stream:
            for offset, piece in pieces:
                stream.seek(offset)
                stream.write(piece)

    return write


def lvm_label() -> bytes:
    """A label of LVM2 in its sector. Source: LVM2, lib/format_text/layout.h and lib/misc/crc.c."""
    body = struct.pack("<I8s", 32, b"LVM2 001") + b"Y" * 32
    body += bytes(512 - 20 - len(body))
    return struct.pack("<8sQI", b"LABELONE", 1, ~zlib.crc32(body, ~0xF597A6CF & 0xFFFFFFFF) & 0xFFFFFFFF) + body


# Source: LUKS1 On-Disk Format Specification, "the PHDR layout".
LUKS_HEADER = struct.pack(">6sH32s32s32s", b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256").ljust(592, b"\0")
# A member of an md array, metadata 1.2. Source: Linux, include/uapi/linux/raid/md_p.h (magic, major version, super_offset).
MD_MEMBER = struct.pack("<II", 0xA92B4EFC, 1).ljust(144, b"\0") + struct.pack("<Q", 8)


@pytest.mark.parametrize(
    ("name", "write", "needs", "expected"),
    [
        ("mbr", mbr, "sfdisk", "partition table (dos)"),
        ("gpt", gpt, "sfdisk", "partition table (gpt)"),
        ("luks", bytes_at((0, LUKS_HEADER)), "sh", "found crypto_LUKS"),
        ("swap", swap, "mkswap", "found swap"),
        ("btrfs", btrfs, "mkfs.btrfs", "has btrfs, wanted is ext4"),
        ("lvm", bytes_at((512, lvm_label())), "sh", "found LVM2_member"),
        ("md", bytes_at((4096, MD_MEMBER)), "sh", "found linux_raid_member"),
        ("raw at 5000", raw_at(5000), "sh", "at offset 5000"),
        ("raw at 10 MiB", raw_at(10 * 1024**2), "sh", "at offset 10485760"),
        ("raw at the end", raw_at(GIB - 512), "sh", "at offset"),
    ],
)
def test_anything_else_is_refused_and_named(
    disk: Disk, name: str, write: Callable[[str], None], needs: str, expected: str
) -> None:
    if not shutil.which(needs):
        pytest.skip(f"no {needs}")
    write(disk.device)
    message = disk.refuses()
    assert expected in message and disk.volume_id in message
    assert "changed" in message  # says that nothing was


def test_other_file_system_and_other_size_are_refused(disk: Disk) -> None:
    assert "1 GiB, the volume should have 2 GiB" in disk.refuses(size_gib=2)
    ext4(disk.device)
    message = disk.refuses(fs_type="xfs")
    assert "has ext4, wanted is xfs" in message and "set fs_type: ext4" in message


def test_full_proof_finds_what_samples_may_miss(disk: Disk) -> None:
    raw_at(777 * 1024**2 + 9000)(disk.device)
    assert f"at offset {777 * 1024**2 + 9000}" in disk.refuses(proof="full")


def test_interrupted_between_mkfs_and_mount_goes_on(disk: Disk) -> None:
    ext4(disk.device)
    kept = sh("blkid", "-s", "UUID", "-o", "value", disk.device)
    result = disk.run()
    assert not result["formatted"] and result["uuid"] == kept and "mount" in result["steps"]


def test_interrupted_mkfs_is_done_again_only_by_the_machine_that_began_it(disk: Disk) -> None:
    raw_at(300 * 1024)(disk.device)  # what a killed mkfs may leave: inode tables without a superblock
    assert "not empty" in disk.refuses()
    disk.marks.mkdir()
    (disk.marks / f"formatting-{disk.volume_id}").write_text("x")
    assert disk.run()["formatted"]
    assert not list(disk.marks.iterdir())


def partitioned(disk: Disk, *starts: int) -> None:
    """An MBR with partitions of 100 MiB (starts in sectors), which the kernel is told: not each one reads tables."""
    table = [struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), start, 204_800) for start in starts]
    bytes_at((446, b"".join(table).ljust(64, b"\0") + b"\x55\xaa"))(disk.device)
    for number, start in enumerate(starts, 1):
        sh("addpart", disk.device, str(number), str(start), "204800")


def test_a_partition_is_mounted_when_it_is_named_and_unmounted_without_its_number(disk: Disk) -> None:
    partitioned(disk, 2048)
    part = find.partitions(disk.device)[1]
    assert "give its number, such as partition: 1" in disk.refuses()
    assert "holds no ext4, and partitions are never formatted: found nothing" in disk.refuses(partition=1)
    assert "has no partition 2; it has 1" in disk.refuses(partition=2)
    sh("mkfs.ext4", "-q", part)
    first = disk.run(partition=1)
    assert first["steps"] == ["mkdir", "mount", "fstab"] and not first["formatted"] and not disk.last.warnings
    assert sh("findmnt", "-no", "SOURCE", disk.place) == part == first["device"]
    assert not disk.run(partition=1)["changed"]
    assert disk.run(state="unmounted", mount_point=None)["steps"] == ["unmount"]
    assert not disk.run(state="unmounted", mount_point=None)["changed"]
    assert disk.run(state="absent")["steps"] == ["fstab", "rmdir"]


def test_a_partition_of_a_disk_without_partitions(disk: Disk) -> None:
    ext4(disk.device)
    assert "has no partition 1; it has none, so remove partition" in disk.refuses(partition=1)


@pytest.mark.parametrize(("fs_type", "options"), [("ext4", "ro,noload"), ("xfs", "ro,norecovery,nouuid")])
def test_a_read_only_volume_is_not_written(disk: Disk, fs_type: str, options: str) -> None:
    if not shutil.which(f"mkfs.{fs_type}"):
        pytest.skip(f"no mkfs.{fs_type}")
    message = disk.refuses(fs_type=fs_type, read_only=True)
    assert f"holds no {fs_type}, and a read_only volume is never formatted: found nothing" in message
    sh(f"mkfs.{fs_type}", "-q", disk.device)
    before = sh("sha256sum", disk.device)
    first = disk.run(fs_type=fs_type, read_only=True, owner="nobody", mode="0700")
    assert first["steps"] == ["mkdir", "mount", "fstab"]
    with pytest.raises(OSError, match="Read-only file system"):
        Path(disk.place, "x").touch()
    line = disk.fstab.read_text().splitlines()[-1].split()
    assert line[0] == find.link_of(disk.volume_id), "a copy of the same snapshot has the same UUID"
    assert f",{options}," in line[3] and line[4:] == ["0", "0"]
    assert not disk.run(fs_type=fs_type, read_only=True)["changed"]
    assert disk.run(fs_type=fs_type, state="absent", mount_point=None)["steps"] == ["unmount", "fstab", "rmdir"]
    assert sh("sha256sum", disk.device) == before


def test_a_volume_becomes_read_only_and_writable_again(disk: Disk) -> None:
    disk.run()
    assert "remount" in disk.run(read_only=True)["steps"]
    assert "ro" in sh("findmnt", "-no", "OPTIONS", disk.place).split(",")
    assert "remount" in disk.run()["steps"]
    Path(disk.place, "x").touch()


def test_a_file_system_that_became_read_only_is_told(disk: Disk) -> None:
    disk.run()
    sh("mount", "-o", "remount,ro", disk.place)
    message = disk.refuses()
    assert "has become read-only" in message and f"e2fsck -f {disk.device}" in message


def test_two_copies_of_one_snapshot_on_one_machine(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.run(fs_type="xfs")
    disk.run(fs_type="xfs", state="unmounted")
    os.mkdir(tmp_path / "copy")
    copy = Disk(tmp_path / "copy", monkeypatch)
    try:
        shutil.copyfile(disk.device, copy.device)
        copy.run(fs_type="xfs", read_only=True)
        monkeypatch.setattr(find, "BY_ID", str(tmp_path / "by-id" / "{serial}"))
        assert not disk.run(fs_type="xfs")["formatted"], "both are mounted at the same time"
    finally:
        copy.close()


def test_mount_point_in_use_by_another_device(disk: Disk) -> None:
    os.mkdir(disk.place)
    sh("mount", "-t", "tmpfs", "scratch", disk.place)
    assert f"mount_point {disk.place} is in use by scratch (tmpfs)" in disk.refuses()


def test_device_mounted_elsewhere(disk: Disk) -> None:
    ext4(disk.device)
    os.mkdir(disk.place + "2")
    sh("mount", disk.device, disk.place + "2")
    with pytest.raises(ebs_mount.StepError, match=r"already mounted at .*data2"):
        disk.run()


def test_a_mount_point_that_holds_something_is_refused(disk: Disk) -> None:
    os.mkdir(disk.place)
    Path(disk.place, "old").write_text("x")
    assert "is not empty: 1 entry" in disk.refuses()
    assert Path(disk.place, "old").exists() and disk.place.split("/")[-1] not in sh("findmnt", "-rno", "TARGET")


@pytest.mark.parametrize(("fs_type", "check"), [("ext4", "e2fsck -f"), ("xfs", "xfs_repair")])
def test_a_damaged_file_system_is_named_and_not_repaired(disk: Disk, fs_type: str, check: str) -> None:
    if not shutil.which(f"mkfs.{fs_type}"):
        pytest.skip(f"no mkfs.{fs_type}")
    sh(f"mkfs.{fs_type}", "-q", disk.device)
    with open(disk.device, "r+b") as stream:
        # The superblock stays, what it refers to goes: the group descriptors of ext4, the first headers of xfs.
        stream.seek(4096 if fs_type == "ext4" else 512)
        stream.write(b"\xff" * 64 * 1024)
    with pytest.raises(ebs_mount.StepError, match=rf"nothing was repaired.*{check} {disk.device}"):
        disk.run(fs_type=fs_type)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
def test_grown_volume_grows_its_file_system(disk: Disk, fs_type: str) -> None:
    if not shutil.which(f"mkfs.{fs_type}"):
        pytest.skip(f"no mkfs.{fs_type}")
    disk.run(fs_type=fs_type)
    with open(disk.image, "r+b") as stream:
        stream.truncate(2 * GIB)
    sh("losetup", "-c", disk.device)
    steps = disk.run(fs_type=fs_type, size_gib=2)["steps"]
    if disk.last.warnings and "Permission denied" in disk.last.warnings[0]:
        assert steps == [], "a growth that fails is a warning and no change"
        pytest.skip("growing a mounted ext4 needs CAP_SYS_RESOURCE")
    assert steps == ["grow"]
    assert os.statvfs(disk.place).f_blocks * os.statvfs(disk.place).f_frsize > 1.7 * GIB
    assert not disk.run(fs_type=fs_type, size_gib=2)["changed"]


def test_busy_unmount_is_refused_with_advice(disk: Disk) -> None:
    disk.run()
    with subprocess.Popen(["sleep", "60"], cwd=disk.place) as user:
        try:
            with pytest.raises(ebs_mount.StepError, match=rf"sleep \(pid {user.pid}, cwd .*it stays mounted"):
                disk.run(state="unmounted")
        finally:
            user.kill()
    assert disk.run(state="unmounted", mount_point=None)["steps"] == ["unmount"]
    assert not disk.run(state="unmounted", mount_point=None)["changed"]
    assert disk.run(state="absent", mount_point=None, check_mode=True)["steps"] == ["fstab", "rmdir"]
    assert disk.place.split("/")[-1].replace(" ", "\\040") in disk.fstab.read_text()


def test_what_is_mounted_on_a_volume_is_unmounted_before_it(disk: Disk) -> None:
    disk.run()
    inner = Path(disk.place, "inner")
    inner.mkdir()
    sh("mount", "-t", "tmpfs", "scratch", str(inner))
    with subprocess.Popen(["sleep", "60"], cwd=inner) as user:
        try:
            with pytest.raises(ebs_mount.StepError, match=rf"inner was not unmounted: .*sleep \(pid {user.pid}"):
                disk.run(state="unmounted")
        finally:
            user.kill()
    assert disk.run(state="unmounted")["steps"] == ["unmount"]


def test_missing_device_is_one_clear_error_and_a_prediction_in_check_mode(disk: Disk) -> None:
    with pytest.raises(ebs_mount.StepError, match="no device with this id appeared within 0 s"):
        disk.run(volume_id="vol-00000000000000000")
    assert disk.run(volume_id="vol-00000000000000000", check_mode=True)["changed"]
