# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Decide what is to be done about one volume: pure functions over what AWS answered.

PRIVATE to the collection.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from . import rows
from .rows import VolumeError, label, tags_of

Resource = dict[str, Any]

# Options of the module -> names of CreateVolume, ModifyVolume, and of a volume as it is described.
SIZES = {"size": "Size", "type": "VolumeType", "iops": "Iops", "throughput": "Throughput"}
# Narrower than EC2's tag values: names are typed, also in lists with commas.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
UNITS = {"size": " GiB", "throughput": " MiB/s"}


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; None stands for "as it is" or the default."""

    volume: str
    experiment: str = ""
    rank: int = 0
    size: int | None = None
    type: str | None = None
    iops: int | None = None
    throughput: int | None = None
    zone: str | None = None
    snapshot: str | None = None
    encrypted: bool | None = None
    kms_key_id: str | None = None
    new_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What AWS has: volumes that may be meant, snapshots, the last modification, zones, who asks."""

    volumes: list[Resource] = field(default_factory=list)
    snapshots: list[Resource] = field(default_factory=list)
    modification: Resource | None = None
    zones: list[str] = field(default_factory=list)
    owner: str = ""


# Making


def creation(wanted: Wanted, seen: Seen) -> Resource:
    """Arguments of CreateVolume, without a client token.

    Raises:
        VolumeError: all that is wrong, in one text.
    """
    snapshot = rows.snapshot_named(wanted.snapshot, seen.snapshots) if wanted.snapshot else None
    zone = wanted.zone or default_zone(wanted, seen)
    wrong = [*name_problems(wanted), *source_problems(wanted, snapshot), *zone_problems(zone, seen)]
    if wrong:
        raise VolumeError("; ".join(wrong))
    sizes = {SIZES[key]: getattr(wanted, key) for key in ("size", "iops", "throughput")}
    args: Resource = {
        "AvailabilityZone": zone,
        "VolumeType": wanted.type or "gp3",  # the default of the API is gp2
        "Encrypted": wanted.encrypted is not False,
        **{name: value for name, value in sizes.items() if value},
        **({"SnapshotId": snapshot["SnapshotId"]} if snapshot else {}),
        **({"KmsKeyId": wanted.kms_key_id} if wanted.kms_key_id else {}),
    }
    tags = rows_tags(wanted, seen, snapshot)
    return {
        **args,
        "TagSpecifications": [
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": str(tags[key])} for key in sorted(tags)]}
        ],
    }


def rows_tags(wanted: Wanted, seen: Seen, snapshot: Resource | None) -> dict[str, str]:
    """Tags of a new volume: those of the snapshot, those of the user, then ours."""
    kept = inherited(tags_of(snapshot)) if snapshot else {}
    kept = {key: value for key, value in kept.items() if not key.startswith("spot:") and key != "Name"}
    of_experiment = {"spot:experiment": wanted.experiment, "spot:rank": str(wanted.rank)} if wanted.experiment else {}
    return {
        **kept,
        **wanted.tags,
        "Name": wanted.volume,
        rows.NAME: wanted.volume,
        **({"spot:owner": seen.owner} if seen.owner else {}),
        **of_experiment,
    }


def inherited(tags: dict[str, str]) -> dict[str, str]:
    """Tags that a copy of a volume has, too: not those of AWS, not those that say what a move did."""
    return {key: value for key, value in tags.items() if not key.startswith("aws:") and key not in rows.OF_A_MOVE}


def default_zone(wanted: Wanted, seen: Seen) -> str:
    """The zone of the experiment's other volumes, else the first one of the region."""
    there = [one for one in seen.volumes if wanted.experiment and _of(one, wanted.experiment)]
    return next((one["AvailabilityZone"] for one in there), next(iter(seen.zones), ""))


def _of(volume: Resource, experiment: str) -> bool:
    return tags_of(volume).get("spot:experiment") == experiment and rows.NAME in tags_of(volume)


def name_problems(wanted: Wanted) -> list[str]:
    """A new volume has a name, not an id, and one that can be typed in a list with commas."""
    if rows.VOLUME_ID.match(wanted.volume):
        return [f"volume: {wanted.volume} is an id and there is no such volume; a new one gets a name"]
    return [name_problem("volume", wanted.volume)] if name_problem("volume", wanted.volume) else []


def name_problem(option: str, name: str) -> str:
    """What is wrong with a name, '' for nothing."""
    if NAME.match(name):
        return ""
    return f"{option}: {name!r} is no good name; use 1 to 100 letters, digits, dots, underscores and hyphens"


def source_problems(wanted: Wanted, snapshot: Resource | None) -> list[str]:
    """Size, snapshot and encryption that do not go together. Source: EC2 API CreateVolume."""
    if wanted.snapshot and snapshot is None:
        return [f"snapshot: there is no snapshot {wanted.snapshot} in this region; `-e do=list` shows those there are"]
    if snapshot is None:
        wrong = [] if wanted.size else ["size: a new volume needs a size in GiB (or a snapshot)"]
    else:
        wrong = _snapshot_problems(wanted, snapshot)
    if wanted.kms_key_id and wanted.encrypted is False:
        wrong.append("kms_key_id: only an encrypted volume has a key; leave out encrypted or kms_key_id")
    return wrong


def _snapshot_problems(wanted: Wanted, snapshot: Resource) -> list[str]:
    what, least, wrong = label(snapshot), snapshot.get("VolumeSize") or 0, []
    if snapshot["State"] != "completed":
        wrong.append(f"snapshot: {what} is {snapshot['State']} ({snapshot.get('Progress', '0%')}); wait for it")
    if wanted.size and wanted.size < least:
        wrong.append(f"size: {wanted.size} GiB is smaller than the snapshot {what} ({least} GiB); set at least {least}")
    if snapshot.get("Encrypted") and wanted.encrypted is False:
        wrong.append(f"encrypted: the snapshot {what} is encrypted, and so is each volume of it; leave out encrypted")
    return wrong


def zone_problems(zone: str, seen: Seen) -> list[str]:
    """A zone that the region does not have."""
    if zone in seen.zones:
        return []
    return [f"zone: there is no zone {zone or '(none)'} in this region; there are {', '.join(seen.zones)}"]


def token(args: Resource, attempt: int, period: int) -> str:
    """Client token: the same for the same volume asked for twice at a time."""
    parts = [str(args["AvailabilityZone"]), str(args.get("SnapshotId")), str(args["TagSpecifications"]), str(attempt)]
    return "spot-volume-" + hashlib.sha256("\0".join([*parts, str(period)]).encode()).hexdigest()[:40]


def differences(wanted: Wanted, volume: Resource) -> list[str]:
    """What of an existing volume is not as the user asks for, in words."""
    return [
        f"{key} is {volume.get(name)}{UNITS.get(key, '')}, not {getattr(wanted, key)}"
        for key, name in {**SIZES, "zone": "AvailabilityZone", "encrypted": "Encrypted"}.items()
        if getattr(wanted, key) not in (None, volume.get(name))
    ]


# Changing


@dataclass(frozen=True)
class Changes:
    """What is to be changed: arguments of ModifyVolume, and tags."""

    modify: Resource = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    under_way: bool = False  # the same was asked for before and is not done yet

    def __bool__(self) -> bool:
        return bool(self.modify or self.tags)


def changes(wanted: Wanted, volume: Resource, seen: Seen) -> Changes:
    """What differs between the volume and what is wanted.

    Raises:
        VolumeError: something that EBS does not do, or not now.
    """
    asked = {name: getattr(wanted, key) for key, name in SIZES.items() if getattr(wanted, key) is not None}
    modify = {name: value for name, value in asked.items() if volume.get(name) != value}
    running = (
        seen.modification if (seen.modification or {}).get("ModificationState") in ("modifying", "optimizing") else None
    )
    under_way = (
        running is not None and bool(modify) and all(running.get(f"Target{key}") == modify[key] for key in modify)
    )
    wrong = fixed_problems(wanted, volume)
    if running is not None and modify and not under_way:
        wrong.append(busy_text(volume, running))
    if wrong:
        raise VolumeError("; ".join(wrong))
    names = {"Name": wanted.new_name, rows.NAME: wanted.new_name} if wanted.new_name else {}
    if wanted.new_name and rows.NAME not in tags_of(volume):
        names.pop(rows.NAME)
    tags = {key: str(value) for key, value in {**wanted.tags, **names}.items()}
    new = {key: value for key, value in tags.items() if tags_of(volume).get(key) != value}
    return Changes({} if under_way else modify, new, under_way)


def busy_text(volume: Resource, modification: Resource) -> str:
    """AWS does one modification at a time. Source: EC2 API ModifyVolume."""
    return (
        f"{label(volume)} is still {modification['ModificationState']} ({modification.get('Progress', 0)} %) after its"
        " last change, and can be used meanwhile; AWS takes the next change when this one is completed, and at most"
        " four in 24 hours"
    )


def fixed_problems(wanted: Wanted, volume: Resource) -> list[str]:
    """What EBS cannot change. Source: EC2 API ModifyVolume; EBS user guide, "Requirements for modifications"."""
    what, wrong = label(volume), []
    if wanted.new_name and name_problem("new_name", wanted.new_name):
        wrong.append(name_problem("new_name", wanted.new_name))
    if wanted.size is not None and wanted.size < volume["Size"]:
        wrong.append(
            f"size: {what} has {volume['Size']} GiB and EBS volumes never shrink; make a smaller one,"
            " mount both and copy"
        )
    if wanted.zone and wanted.zone != volume["AvailabilityZone"]:
        wrong.append(
            f"zone: {what} is in {volume['AvailabilityZone']}; `-e do=move -e volume={volume['VolumeId']} -e"
            f" zone={wanted.zone}` moves it"
        )
    if wanted.encrypted is not None and wanted.encrypted != bool(volume.get("Encrypted")):
        wrong.append(
            f"encrypted: that of {what} cannot be changed; take a snapshot and restore it with -e encrypted=true"
        )
    return wrong


def after(volume: Resource, todo: Changes) -> Resource:
    """The volume as it is when all is done."""
    tags = {**tags_of(volume), **todo.tags}
    return {**volume, **todo.modify, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def next_step(error_code: str) -> str:
    """What to add to an error of ModifyVolume. Source: EC2 error codes; EC2 API ModifyVolume."""
    return {
        "VolumeModificationRateExceeded": "AWS takes four changes of a volume in 24 hours",
        "IncorrectModificationState": "its last change is not completed yet; it can be used meanwhile",
    }.get(error_code, "")


# Removing


def deletion_problems(volume: Resource, force: bool, names: dict[str, str]) -> list[str]:
    """Why a volume is not deleted.

    Args:
        volume: the volume.
        force: whether one that this collection did not make may be deleted.
        names: what is known of the instances that hold it, by id.
    """
    what, held = label(volume), rows.holders(volume)
    if held:
        who = ", ".join(f"{one} ({names[one]})" if names.get(one) else one for one in held)
        return [f"{what} is attached to {who}; close that experiment, or detach the volume there first"]
    if not rows.is_ours(volume) and not force:
        return [f"{what} was not made by this collection (it has no tag {rows.NAME}); add -e force=true to delete it"]
    return []


def instance_names(instances: list[Resource]) -> dict[str, str]:
    """What instances are called, by id."""
    return {one["InstanceId"]: tags_of(one).get("spot:experiment") or tags_of(one).get("Name", "") for one in instances}
