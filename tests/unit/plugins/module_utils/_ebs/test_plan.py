"""What is done with a volume: the table of measured probe answers, and every reason to do nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import plan as planning
from ansible_collections.experiments.spot.plugins.module_utils._ebs.plan import (
    Wanted,
    absence,
    mount_failure,
    plan_mounted,
    plan_unmounted,
    unmount_failure,
)
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import Mount, Place, Probe

GIB = 1024**3
WANTED = Wanted("vol-1", "/mnt/data", size_gib=5, uid=1000, gid=1000, mode=0o755, new_uuid="new")
EMPTY = Probe("/dev/nvme1n1", "by-id", "vol1", True, 5 * GIB, blkid_rc=2, signatures=[])
EXT4 = replace(EMPTY, blkid_rc=0, blkid={"TYPE": "ext4", "UUID": "old"}, signatures=["ext4"], fs_bytes=5 * GIB)
XFS = replace(EXT4, blkid={"TYPE": "xfs", "UUID": "old"}, signatures=["xfs"])
MOUNTED = replace(EXT4, mounted_at=["/mnt/data"], busy=True)
NOWHERE = Place("/mnt/data")
DIRECTORY = Place("/mnt/data", exists=True, is_dir=True, uid=0, gid=0, mode=0o755)
HERE = replace(DIRECTORY, mounted=Mount("/mnt/data", "259:1", "/dev/nvme1n1", "ext4"), uid=1000, gid=1000)
OTHER = replace(DIRECTORY, mounted=Mount("/mnt/data", "0:9", "tmpfs", "tmpfs"))
FSTAB = "UUID=old /mnt/data ext4 defaults,nofail,x-systemd.device-timeout=30 0 2\n"


@pytest.mark.parametrize(
    ("probe", "place", "fstab", "steps"),
    [
        (EMPTY, NOWHERE, "", ["format", "mkdir", "mount", "fstab", "owner"]),
        (EMPTY, DIRECTORY, "", ["format", "mount", "fstab", "owner"]),
        (EXT4, NOWHERE, "", ["mkdir", "mount", "fstab", "owner"]),
        (EXT4, DIRECTORY, FSTAB, ["mount", "owner"]),
        (MOUNTED, HERE, "", ["fstab"]),
        (MOUNTED, HERE, FSTAB, []),
        (MOUNTED, replace(HERE, uid=0), FSTAB, ["owner"]),
        (MOUNTED, replace(HERE, mode=0o700), FSTAB, ["owner"]),
        (MOUNTED, HERE, FSTAB.replace("defaults", "noatime"), ["remount", "fstab"]),
        (replace(MOUNTED, fs_bytes=2 * GIB), HERE, FSTAB, ["grow"]),
        (replace(EXT4, fs_bytes=2 * GIB), DIRECTORY, FSTAB, ["mount", "grow", "owner"]),
        (replace(MOUNTED, fs_bytes=5 * GIB - 2**20), HERE, FSTAB, []),
    ],
)
def test_steps(probe: Probe, place: Place, fstab: str, steps: list[str]) -> None:
    plan = plan_mounted(WANTED, probe, place, fstab)
    assert (plan.errors, plan.steps) == ([], steps)


def test_plan_knows_the_uuid_before_the_file_system_is_made() -> None:
    plan = plan_mounted(WANTED, EMPTY, NOWHERE, "")
    assert plan.uuid == "new" and plan.fstab_text.startswith("UUID=new /mnt/data ext4 ")
    assert plan_mounted(WANTED, EXT4, NOWHERE, "").uuid == "old"


def test_read_only_volume_keeps_its_owner() -> None:
    wanted = replace(WANTED, options="ro")
    assert "owner" not in plan_mounted(wanted, EXT4, DIRECTORY, "").steps


# One row for each part of the proof: it alone must be enough to keep mkfs away.
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"blkid_rc": 0, "blkid": {"TYPE": "crypto_LUKS"}, "signatures": ["crypto_LUKS"]}, "found crypto_LUKS"),
        ({"blkid_rc": 0, "blkid": {"TYPE": "swap"}, "signatures": ["swap"]}, "found swap"),
        ({"blkid_rc": 0, "blkid": {"TYPE": "LVM2_member"}}, "found LVM2_member"),
        ({"blkid_rc": 0, "blkid": {"PTTYPE": "dos"}, "signatures": ["dos"]}, "partition table (dos)"),
        ({"blkid_rc": 0, "blkid": {"PTTYPE": "gpt"}, "signatures": ["gpt"]}, "partition table (gpt)"),
        ({"partitions": ["nvme1n1p1"]}, "partition table"),
        ({"blkid_rc": 8}, "more than one kind"),
        ({"blkid_rc": 127}, "blkid -p ended with 127"),
        ({"signatures": ["zfs_member"]}, "signatures of zfs_member"),
        ({"signatures": None}, "wipefs -n could not read it"),
        ({"data_at": 10 * 2**20}, "offset 10485760"),
        ({"size_bytes": 4 * GIB}, "it has 4 GiB, the volume should have 5 GiB"),
        ({"mounted_at": ["/mnt/data"]}, "it is mounted at /mnt/data"),
        ({"holders": ["dm-0"]}, "it is used by dm-0"),
        ({"busy": True}, "the kernel says that it is in use"),
        ({"serial": "vol2"}, "has the serial vol2, it is not vol-1"),
        ({"is_block": False}, "is not a block device"),
    ],
)
def test_not_proven_empty_is_never_formatted(change: dict[str, Any], reason: str) -> None:
    plan = plan_mounted(WANTED, replace(EMPTY, **change), DIRECTORY, "")
    assert plan.steps == [] and len(plan.errors) == 1
    assert reason in plan.errors[0]


def test_device_known_by_its_name_only_needs_a_size() -> None:
    xen = replace(EMPTY, how="hint", serial=None)
    assert plan_mounted(WANTED, xen, NOWHERE, "").steps[0] == "format"
    assert "give size_gib" in plan_mounted(replace(WANTED, size_gib=None), xen, NOWHERE, "").errors[0]
    assert plan_mounted(replace(WANTED, size_gib=None), EMPTY, NOWHERE, "").steps[0] == "format"


@pytest.mark.parametrize(
    ("probe", "wanted", "expected"),
    [
        (XFS, WANTED, "has xfs, wanted is ext4; nothing was changed: set fs_type: xfs, or name another volume"),
        (EXT4, replace(WANTED, fs_type="xfs"), "set fs_type: ext4"),
        (
            replace(EXT4, blkid={"TYPE": "btrfs"}),
            WANTED,
            "has btrfs, wanted is ext4; nothing was changed: name another",
        ),
    ],
)
def test_other_file_system(probe: Probe, wanted: Wanted, expected: str) -> None:
    plan = plan_mounted(wanted, probe, NOWHERE, "")
    assert expected in plan.errors[0] and not plan.steps


def test_interrupted_mkfs_of_this_machine_excuses_only_its_own_traces() -> None:
    torn = replace(EMPTY, data_at=300000)
    assert plan_mounted(WANTED, torn, NOWHERE, "").errors
    assert plan_mounted(WANTED, torn, NOWHERE, "", interrupted=True).steps[0] == "format"
    for change in ({"size_bytes": GIB}, {"busy": True}, {"blkid_rc": 0, "blkid": {"TYPE": "swap"}}):
        assert plan_mounted(WANTED, replace(torn, **change), NOWHERE, "", interrupted=True).errors


def test_conflicts_of_places() -> None:
    assert "in use by tmpfs (tmpfs)" in plan_mounted(WANTED, EXT4, OTHER, "").errors[0]
    elsewhere = replace(EXT4, mounted_at=["/old"])
    assert "already mounted at /old" in plan_mounted(WANTED, elsewhere, NOWHERE, "").errors[0]
    both = replace(EXT4, mounted_at=["/old", "/mnt/data"])
    assert not plan_mounted(WANTED, both, HERE, FSTAB).errors
    file = replace(DIRECTORY, is_dir=False)
    assert "is not a directory" in plan_mounted(WANTED, EXT4, file, "").errors[0]
    full = replace(DIRECTORY, entries=3)
    assert "is not empty: 3 entries on the disk below it" in plan_mounted(WANTED, EXT4, full, "").errors[0]


def test_two_mistakes_are_told_together() -> None:
    assert len(plan_mounted(WANTED, XFS, OTHER, "").errors) == 2


def test_warnings() -> None:
    plan = plan_mounted(replace(WANTED, size_gib=9), EXT4, DIRECTORY, "")
    assert len(plan.warnings) == 1 and "less than the 9 GiB" in plan.warnings[0]
    assert plan_mounted(WANTED, MOUNTED, HERE, FSTAB).warnings == []


@pytest.mark.parametrize("path", ["/", "/usr/", "/home", "/proc/x", "/dev/shm", "data", "/mnt/../etc", "/mnt/./x"])
def test_mount_points_that_are_refused(path: str) -> None:
    assert planning.check_mount_point(path)


@pytest.mark.parametrize("path", ["/mnt/data", "/data/", "/home/alice/data", "/var/lib/docker", "/srv/a..b"])
def test_mount_points_that_are_fine(path: str) -> None:
    assert planning.check_mount_point(path) == []


@pytest.mark.parametrize(
    ("state", "probe", "place", "fstab", "steps"),
    [
        ("unmounted", MOUNTED, HERE, FSTAB, ["unmount"]),
        ("unmounted", EXT4, DIRECTORY, FSTAB, []),
        ("absent", MOUNTED, HERE, FSTAB, ["unmount", "fstab", "rmdir"]),
        ("absent", EXT4, replace(DIRECTORY, entries=1), FSTAB, ["fstab"]),
        ("absent", None, NOWHERE, "", []),
        ("absent", None, DIRECTORY, FSTAB, ["fstab", "rmdir"]),
    ],
)
def test_unmounting(state: str, probe: Probe | None, place: Place, fstab: str, steps: list[str]) -> None:
    plan = plan_unmounted(replace(WANTED, state=state), probe, place, fstab)
    assert (plan.errors, plan.steps) == ([], steps)


def test_never_unmounts_what_is_not_the_volume() -> None:
    plan = plan_unmounted(replace(WANTED, state="absent"), EXT4, OTHER, FSTAB)
    assert "nothing was unmounted" in plan.errors[0] and not plan.steps


def test_where_a_volume_is_mounted() -> None:
    assert planning.known_mount_point(WANTED, MOUNTED, "") == "/mnt/data"
    assert planning.known_mount_point(WANTED, EXT4, FSTAB) == "/mnt/data"
    assert planning.known_mount_point(WANTED, EMPTY, FSTAB) == ""
    assert planning.known_mount_point(WANTED, None, FSTAB) == ""


def test_prediction_is_the_state_after_the_steps() -> None:
    plan = plan_mounted(WANTED, EMPTY, NOWHERE, "")
    after = planning.predict(planning.state_of(EMPTY, NOWHERE, ""), WANTED, plan)
    assert after["file_system"] == "ext4" and after["mounted"] == "/dev/nvme1n1 on /mnt/data"
    assert (after["uid"], after["gid"], after["mode"]) == (1000, 1000, "0755") and "UUID=new" in after["fstab"]
    before = planning.state_of(MOUNTED, HERE, FSTAB)
    assert planning.predict(before, WANTED, plan_mounted(WANTED, MOUNTED, HERE, FSTAB)) == before


def test_a_damaged_file_system_is_named_with_the_command_that_checks_it() -> None:
    said = "mount: /mnt: wrong fs type, bad option, bad superblock on /dev/nvme1n1."
    assert "e2fsck -f /dev/nvme1n1" in mount_failure(said, "/dev/nvme1n1", "ext4")
    assert "xfs_repair /dev/nvme1n1" in mount_failure("Structure needs cleaning.", "/dev/nvme1n1", "xfs")
    assert mount_failure("mount:  unknown\noption", "/dev/nvme1n1", "ext4") == "mount: unknown option"


def test_who_keeps_a_mount_busy_is_named() -> None:
    said = "umount: /mnt: target is busy."
    told = unmount_failure(said, [f"python3 (pid {pid}, cwd /mnt)" for pid in range(7)])
    assert "used by python3 (pid 0, cwd /mnt)" in told and "and 2 more" in told and "it stays mounted" in told
    assert "stop the job first" in unmount_failure(said, [])
    assert unmount_failure("umount: no permission", []) == "umount: no permission"


def test_a_device_that_does_not_appear_tells_those_that_are_there() -> None:
    seen = {"vol0bb": "/dev/nvme2n1", "vol0aa": "/dev/nvme1n1"}
    told = absence("vol-0cc", 60, seen)
    assert "within 60 s" in told and told.endswith("seen: /dev/nvme1n1 (vol0aa), /dev/nvme2n1 (vol0bb)")
    assert absence("vol-0cc", 60, {}).endswith("seen: none")
