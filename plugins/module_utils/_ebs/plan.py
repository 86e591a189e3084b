# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide what to do with a volume: pure functions from what was read to a list of steps, or to the reasons why not.

PRIVATE to the collection. The one rule: a device is formatted only when every part of the proof says that it is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import link_of, serial_of
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import MIB, Place, Probe

GIB = 1024 * MIB
# Places whose content a running system needs: a volume over one of them would hide it.
FORBIDDEN = ("/", "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/root", "/run", "/sbin", "/usr", "/var")
FORBIDDEN_TREES = ("/dev", "/proc", "/sys")
# A file system a little smaller than its device is normal (rounding to allocation groups).
GROW_SLACK = 64 * MIB


@dataclass(frozen=True)
class Wanted:
    """The options of the module. `mode` is a number; `new_uuid` is the UUID that a new file system would get.

    `partition`: number of the partition to mount; it is never formatted. `read_only`: nothing is ever written.
    """

    volume_id: str
    mount_point: str
    fs_type: str = "ext4"
    size_gib: int | None = None
    options: str = "defaults,nofail"
    label: str | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    grow: bool = True
    state: str = "mounted"
    new_uuid: str = ""
    partition: int | None = None
    read_only: bool = False


@dataclass
class Plan:
    """Errors (then nothing is done), warnings, steps in order and the fstab text to be written."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    fstab_text: str = ""
    uuid: str = ""


def check_mount_point(path: str) -> list[str]:
    """Errors of the mount point that need no look at the machine."""
    clean = path.rstrip("/") or "/"
    if not path.startswith("/") or "/../" in f"{path}/" or "/./" in f"{path}/":
        return [f"mount_point {path!r} is not an absolute path; give one such as /mnt/data"]
    if clean in FORBIDDEN or any(clean == tree or clean.startswith(tree + "/") for tree in FORBIDDEN_TREES):
        return [f"mount_point {clean} would hide a directory that the system needs; choose another, such as /mnt/data"]
    return []


def content(probe: Probe) -> str:
    """What a device holds, in words, '' when nothing was found."""
    if probe.blkid.get("TYPE"):
        return probe.blkid["TYPE"]
    if probe.blkid.get("PTTYPE") or probe.partitions:
        return f"a partition table ({probe.blkid.get('PTTYPE', 'read by the kernel')})"
    if probe.blkid_rc == 8:
        return "signatures of more than one kind (blkid: ambivalent)"
    if probe.signatures:
        return "signatures of " + ", ".join(probe.signatures)
    if probe.data_at is not None:
        return f"data without a signature (first byte that is not zero at offset {probe.data_at})"
    return ""


def identity_errors(wanted: Wanted, probe: Probe) -> list[str]:
    """The device must be a block device and must be this volume."""
    errors = []
    if not probe.is_block:
        errors.append(f"{probe.device} is not a block device")
    if probe.serial and probe.serial != serial_of(wanted.volume_id):
        errors.append(f"{probe.device} has the serial {probe.serial}, it is not {wanted.volume_id}")
    return errors


def emptiness_errors(wanted: Wanted, probe: Probe) -> list[str]:
    """Every reason why this device is not proven empty; [] is the proof.

    Source: measured answers of blkid, wipefs and mkfs (util-linux 2.38): status 2 of `blkid -p` alone proves nothing.
    """
    checks = (
        (probe.blkid_rc != 2, f"blkid -p ended with {probe.blkid_rc}, an empty device gives 2"),
        (probe.signatures is None, "wipefs -n could not read it"),
        (bool(probe.signatures), "wipefs -n lists " + ", ".join(probe.signatures or [])),
        (probe.data_at is not None, f"there is data at offset {probe.data_at}"),
        (bool(probe.mounted_at), "it is mounted at " + ", ".join(probe.mounted_at)),
        (bool(probe.holders), "it is used by " + ", ".join(probe.holders)),
        (bool(probe.partitions), "it has the partitions " + ", ".join(probe.partitions)),
        (probe.busy, "the kernel says that it is in use"),
    )
    return [reason for failed, reason in checks if failed] + _size_errors(wanted, probe)


def _size_errors(wanted: Wanted, probe: Probe) -> list[str]:
    """Size is a part of the proof; without a serial it is the only part that ties the device to the volume."""
    if wanted.size_gib is None:
        missing = "its size cannot be compared: found by name only, give size_gib"
        return [missing] if probe.how == "hint" else []
    if probe.size_bytes != wanted.size_gib * GIB:
        return [f"it has {probe.size_bytes / GIB:g} GiB, the volume should have {wanted.size_gib} GiB"]
    return []


def format_errors(wanted: Wanted, probe: Probe, interrupted: bool) -> list[str]:
    """Why a device without a usable file system must not be formatted, as one sentence with what to do.

    `interrupted`: this machine proved the device empty before, and its mkfs did not end.
    """
    where = f"{wanted.volume_id} ({probe.device})"
    if (probe.blkid.get("PTTYPE") and not probe.blkid.get("TYPE")) or probe.partitions:
        return [f"{where} has {content(probe)}; nothing was changed: {partition_advice(probe)}"]
    reasons = emptiness_errors(wanted, probe)
    if interrupted and not probe.blkid and not (probe.mounted_at or probe.holders or probe.busy):
        reasons = [reason for reason in reasons if "data at" not in reason and "blkid" not in reason]
    if not reasons:
        return []
    found = content(probe)
    if found:
        return [
            f"{where} is not empty, and not a file system I know: found {found} ({'; '.join(reasons)}). Nothing was"
            f" changed. Name another volume, or empty it yourself: wipefs -a {probe.device} and blkdiscard or dd"
        ]
    return [f"{where} is not formatted, because it is not proven to be the empty volume: {'; '.join(reasons)}"]


def partition_advice(probe: Probe) -> str:
    """What to do about a disk with partitions."""
    if not probe.partitions:
        return "the kernel finds no partition in it, so name another volume, or empty this one yourself"
    which = "one" if len(probe.partitions) == 1 else "those"
    return (
        f"to mount {which} of its partitions ({', '.join(probe.partitions)}) give its number, such as"
        f" partition: {number_of(probe.partitions[0])}, or name another volume"
    )


def number_of(partition: str) -> str:
    """Number of a partition by the name that the kernel gives it: nvme1n1p2, xvdf2."""
    return partition[len(partition.rstrip("0123456789")) :]


def partition_errors(wanted: Wanted, device: str, known: dict[int, str]) -> list[str]:
    """Why the partition that is named cannot be used.

    Args:
        wanted: with the number.
        device: the disk.
        known: number -> device of each partition that the kernel knows.
    """
    if wanted.partition in known:
        return []
    there = f"it has {', '.join(map(str, known))}" if known else "it has none, so remove partition"
    return [f"{wanted.volume_id} ({device}) has no partition {wanted.partition}; {there}"]


def kept_errors(wanted: Wanted, probe: Probe) -> list[str]:
    """Why a device that is not to be formatted, whatever it holds, cannot be mounted."""
    which = f"partition {wanted.partition} of {wanted.volume_id}" if wanted.partition else wanted.volume_id
    found = content(probe) or "nothing"
    if probe.partitions:
        found += f"; {partition_advice(probe)}"
    why = "partitions are" if wanted.partition else "a read_only volume is"
    return [f"{which} ({probe.device}) holds no {wanted.fs_type}, and {why} never formatted: found {found}"]


def file_system_errors(wanted: Wanted, probe: Probe, interrupted: bool = False) -> tuple[list[str], bool]:
    """Errors, and whether the device must be formatted first."""
    found = probe.blkid.get("TYPE")
    if found == wanted.fs_type:
        return [], False
    if found in ("ext2", "ext3", "ext4", "xfs", "btrfs"):
        where = f"{wanted.volume_id} ({probe.device})"
        tip = f"set fs_type: {found}, or name" if found in ("ext4", "xfs") else "name"
        return [f"{where} has {found}, wanted is {wanted.fs_type}; nothing was changed: {tip} another volume"], False
    if wanted.partition or wanted.read_only:
        return kept_errors(wanted, probe), False
    return format_errors(wanted, probe, interrupted), True


def place_errors(wanted: Wanted, probe: Probe, place: Place) -> list[str]:
    """Conflicts of the mount point with what is mounted there, and of the device with where it is mounted."""
    elsewhere = [path for path in probe.mounted_at if path != wanted.mount_point]
    if place.mounted and wanted.mount_point not in probe.mounted_at:
        return [
            f"mount_point {wanted.mount_point} is in use by {place.mounted.source} ({place.mounted.fs_type});"
            f" choose another mount_point for {wanted.volume_id}, or unmount that first"
        ]
    if elsewhere and wanted.mount_point not in probe.mounted_at:
        return [
            f"{wanted.volume_id} ({probe.device}) is already mounted at {', '.join(elsewhere)};"
            f" unmount it there first (umount {elsewhere[0]}) or use that mount_point"
        ]
    if place.exists and not place.is_dir:
        return [f"mount_point {wanted.mount_point} is not a directory"]
    if place.entries and not place.mounted:
        what = "1 entry" if place.entries == 1 else f"{place.entries} entries"
        return [
            f"mount_point {wanted.mount_point} is not empty: {what} on the disk below it would be hidden while"
            f" {wanted.volume_id} is mounted there; move them away, or choose another mount_point"
        ]
    return []


def owner_differs(wanted: Wanted, place: Place) -> bool:
    """Whether owner, group or mode of the root of the file system is not as wanted."""
    if fstab.is_read_only(wanted.options):
        return False
    pairs = ((wanted.uid, place.uid), (wanted.gid, place.gid), (wanted.mode, place.mode))
    return any(want is not None and want != have for want, have in pairs)


def plan_mounted(wanted: Wanted, probe: Probe, place: Place, fstab_text: str, interrupted: bool = False) -> Plan:
    """Steps to have the volume mounted: format, mkdir, mount, remount, grow, fstab, owner."""
    fs_errors, must_format = file_system_errors(wanted, probe, interrupted)
    errors = identity_errors(wanted, probe) or [*place_errors(wanted, probe, place), *fs_errors]
    if errors:
        return Plan(errors=errors)
    uuid = wanted.new_uuid if must_format else probe.blkid.get("UUID", "")
    spec = spec_of(wanted, probe, uuid)
    entry = fstab.Entry(spec, wanted.mount_point, wanted.fs_type, fstab.mount_options(wanted.options))
    old = fstab.find_entry(fstab_text, wanted.mount_point)
    text = fstab_text if old == entry else fstab.with_entry(fstab_text, entry)
    mounted = wanted.mount_point in probe.mounted_at
    errors = read_only_errors(wanted, probe, place, old) if mounted else []
    if errors:
        return Plan(errors=errors)
    can_grow = wanted.grow and not fstab.is_read_only(wanted.options)
    can_grow = can_grow and probe.fs_bytes is not None and probe.size_bytes - probe.fs_bytes > GROW_SLACK
    steps = (
        ("format", must_format),
        ("mkdir", not place.exists),
        ("mount", not mounted),
        ("remount", mounted and old is not None and old.options != entry.options),
        ("grow", can_grow and not must_format),
        ("fstab", text != fstab_text),
        ("owner", owner_differs(wanted, place) if mounted else not fstab.is_read_only(wanted.options)),
    )
    plan = Plan(steps=[name for name, needed in steps if needed], fstab_text=text, uuid=uuid)
    plan.warnings = _warnings(wanted, probe)
    return plan


def read_only_errors(wanted: Wanted, probe: Probe, place: Place, old: fstab.Entry | None) -> list[str]:
    """A mount for writing that is read-only: what the kernel does with a damaged file system.

    Source: ext4(5), errors=remount-ro.
    """
    meant = fstab.is_read_only(wanted.options) or bool(old and fstab.is_read_only(old.options))
    if meant or not (place.mounted and place.mounted.read_only):
        return []
    check = CHECKS[wanted.fs_type].format(device=probe.device)
    return [
        f"{wanted.volume_id} at {wanted.mount_point} has become read-only, as after an error of its file system (dmesg"
        f" tells which); nothing was changed. Take a snapshot, end what uses it, umount {wanted.mount_point}, and run"
        f" {check} on the instance"
    ]


def spec_of(wanted: Wanted, probe: Probe, uuid: str) -> str:
    """First field of fstab: the UUID, but the volume itself where another copy of its snapshot has the same UUID."""
    return by_id(wanted, probe) if wanted.read_only and probe.how == "by-id" else f"UUID={uuid}"


def by_id(wanted: Wanted, probe: Probe) -> str:
    """The volume, or the partition of it, by a link that no other volume can have."""
    return link_of(wanted.volume_id) + (f"-part{number_of(probe.device)}" if probe.part_of else "")


def _warnings(wanted: Wanted, probe: Probe) -> list[str]:
    if wanted.size_gib is None or probe.part_of or probe.size_bytes >= wanted.size_gib * GIB:
        return []
    return [f"{wanted.volume_id} has {probe.size_bytes / GIB:g} GiB, less than the {wanted.size_gib} GiB wanted"]


def known_mount_point(wanted: Wanted, probe: Probe | None, fstab_text: str) -> str:
    """Where a volume is mounted, or would be by fstab; '' when neither says so."""
    if probe is None:
        return ""
    if probe.mounted_at:
        return probe.mounted_at[-1]
    entries = [fstab.parse_line(line) for line in fstab_text.splitlines()]
    specs = (f"UUID={probe.blkid.get('UUID')}", by_id(wanted, probe))
    return next((entry.mount_point for entry in entries if entry and entry.spec in specs), "")


def plan_unmounted(wanted: Wanted, probe: Probe | None, place: Place, fstab_text: str) -> Plan:
    """Steps to have the volume unmounted; `absent` also forgets it in fstab and removes the empty directory.

    A volume that is not attached any more is recognised by its mount point.
    """
    if place.mounted and probe is not None and wanted.mount_point not in probe.mounted_at:
        return Plan(
            errors=[
                f"mount_point {wanted.mount_point} is in use by {place.mounted.source}, not by {wanted.volume_id};"
                " nothing was unmounted"
            ]
        )
    absent = wanted.state == "absent"
    text = fstab.without_mount_point(fstab_text, wanted.mount_point) if absent else fstab_text
    steps = (("unmount", place.mounted is not None), ("fstab", text != fstab_text), ("rmdir", absent and place.is_dir))
    names = [name for name, needed in steps if needed and not (name == "rmdir" and place.entries)]
    return Plan(steps=names, fstab_text=text)


# What checks a file system, and repairs it where the user wants that. Source: e2fsck(8), xfs_repair(8).
CHECKS = {"ext4": "e2fsck -f {device}", "xfs": "xfs_repair {device}"}
DAMAGED = ("bad superblock", "structure needs cleaning", "can't read superblock", "bad message")


def mount_failure(said: str, device: str, fs_type: str) -> str:
    """Why a mount failed, with what to do about the usual reasons.

    Args:
        said: what mount(8) wrote.
        device: the device that was to be mounted.
        fs_type: its file system.
    """
    text = " ".join(said.split())
    if any(sign in text.lower() for sign in DAMAGED):
        check = CHECKS[fs_type].format(device=device)
        text += (
            f"; the file system looks damaged and nothing was repaired: take a snapshot, then run {check} on the"
            " instance (dmesg tells more)"
        )
        if fs_type == "xfs":
            text += "; a copy of a mounted volume's xfs needs options: nouuid"
    return text


def unmount_failure(said: str, holders: list[str]) -> str:
    """Why an unmount failed, and who keeps the file system busy.

    Args:
        said: what umount(8) wrote.
        holders: processes that use it, in words.
    """
    text = " ".join(said.split())
    if holders:
        more = f" and {len(holders) - 5} more" if len(holders) > 5 else ""
        return f"{text}; it is used by {', '.join(holders[:5])}{more}: end that first, it stays mounted"
    return f"{text}; something still uses it: stop the job first" if "busy" in text else text


def absence(volume_id: str, timeout: float, seen: dict[str, str]) -> str:
    """What to say when the device of a volume does not appear.

    Args:
        volume_id: the volume.
        timeout: seconds that were waited.
        seen: serial of each NVMe device -> its name.
    """
    known = ", ".join(f"{name} ({serial})" for serial, name in sorted(seen.items(), key=lambda one: one[1]))
    return (
        f"{volume_id}: no device with this id appeared within {timeout:g} s; check that the volume is attached to this"
        f" instance (aws ec2 describe-volumes) and its state is in-use. EBS devices seen: {known or 'none'}"
    )


def state_of(probe: Probe | None, place: Place, fstab_text: str) -> dict[str, Any]:
    """The state before, for the diff."""
    entry = fstab.find_entry(fstab_text, place.path)
    mounted = place.mounted
    return {
        "device": probe.device if probe else None,
        "file_system": (probe.blkid.get("TYPE") if probe else None),
        "mounted": f"{mounted.source} on {place.path}" if mounted else None,
        "fstab": fstab.render(entry) if entry else None,
        "uid": place.uid if mounted else None,
        "gid": place.gid if mounted else None,
        "mode": f"{place.mode:04o}" if mounted and place.mode is not None else None,
    }


def predict(before: dict[str, Any], wanted: Wanted, plan: Plan) -> dict[str, Any]:
    """The state after the steps, for the diff and for check mode."""
    after = dict(before)
    entry = fstab.find_entry(plan.fstab_text, wanted.mount_point)
    after["fstab"] = fstab.render(entry) if entry else None
    if "format" in plan.steps:
        after["file_system"] = wanted.fs_type
    if "mount" in plan.steps:
        after["mounted"] = f"{before['device']} on {wanted.mount_point}"
    if "unmount" in plan.steps:
        after.update(mounted=None, uid=None, gid=None, mode=None)
    if "owner" in plan.steps:
        mode = None if wanted.mode is None else f"{wanted.mode:04o}"
        known = {"uid": wanted.uid, "gid": wanted.gid, "mode": mode}
        after.update({key: value for key, value in known.items() if value is not None})
    return after
