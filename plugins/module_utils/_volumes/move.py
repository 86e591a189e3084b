# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Decide how volumes get into another zone: pure functions over what AWS answered.

PRIVATE to the collection. A volume is moved by a snapshot and a new volume made of it. Tags say how far a move is, so
that the same call goes on where an earlier one was cut off:

* the source has ``spot:moving`` (its snapshot) from the first step on; whoever attaches it takes the tag off, because
  what is written afterwards is not in the snapshot;
* the copy has ``spot:moving-from`` (the source) and not yet the name by which a launch finds it;
* when it is proven, the copy gets the name and ``spot:moved-from``, then the source loses the name and gets
  ``spot:moved-to``. In between both have it, which a launch refuses; neither would let it make an empty one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from . import plan, rows
from .rows import label, tags_of

Resource = dict[str, Any]

SUFFIX = ".old"


@dataclass(frozen=True)
class Trace:
    """What earlier calls have left of the move of one volume."""

    source: Resource
    snapshots: list[Resource] = field(default_factory=list)
    copies: list[Resource] = field(default_factory=list)

    @property
    def snapshot(self) -> Resource | None:
        """The snapshot that holds what the source holds, None for none that is known to."""
        if self.source["State"] != "available":  # whoever holds it writes to it
            return None
        wanted = tags_of(self.source).get(rows.MOVING)
        good = ("pending", "completed")
        return next((one for one in self.snapshots if one["SnapshotId"] == wanted and one["State"] in good), None)

    def copy(self, snapshot_id: str, zone: str) -> Resource | None:
        """The volume that was made of the snapshot in the zone, None for none."""
        return next(
            (
                one
                for one in self.copies
                if (one.get("SnapshotId"), one["AvailabilityZone"]) == (snapshot_id, zone)
                and one["State"] not in rows.GONE
            ),
            None,
        )


def traces(sources: list[Resource], volumes: list[Resource], snapshots: list[Resource]) -> list[Trace]:
    """What is known of the move of each volume, and of the move that made it."""
    return [
        Trace(
            source,
            [
                one
                for one in snapshots
                if tags_of(one).get(rows.MOVE_OF) in (source["VolumeId"], tags_of(source).get(rows.MOVED_FROM, ""))
            ],
            [one for one in volumes if source["VolumeId"] in _origins(one)],
        )
        for source in sources
    ]


def _origins(volume: Resource) -> tuple[str | None, str | None]:
    return tags_of(volume).get(rows.MOVING_FROM), tags_of(volume).get(rows.MOVED_FROM)


def is_there(source: Resource, zone: str) -> bool:
    """Whether nothing has to be moved."""
    return bool(source["AvailabilityZone"] == zone)


def held(source: Resource, leaving: list[str], names: dict[str, str]) -> list[str]:
    """Who uses a volume and does not leave it by itself, as a problem."""
    others = [one for one in rows.holders(source) if one not in leaving]
    if not others:
        return []
    who = ", ".join(f"{one} ({names[one]})" if names.get(one) else one for one in others)
    return [
        f"{label(source)} is attached to {who}; only a volume that nobody writes to is moved: close that experiment, or"
        " unmount and detach the volume there first"
    ]


def snapshot_tags(source: Resource) -> dict[str, str]:
    """Tags of the snapshot of a move."""
    return {**plan.inherited(tags_of(source)), rows.MOVE_OF: source["VolumeId"]}


def copy_tags(source: Resource) -> dict[str, str]:
    """Tags of the copy while it is not proven: all but the name by which a launch finds it."""
    tags = plan.inherited(tags_of(source))
    tags.pop(rows.NAME, None)
    return {**tags, rows.MOVING_FROM: source["VolumeId"]}


def copy_args(source: Resource, snapshot: Resource, zone: str) -> Resource:
    """Arguments of CreateVolume for the copy: as large, as fast and encrypted as the source."""
    keeps = {"gp3": ("Iops", "Throughput"), "io1": ("Iops",), "io2": ("Iops",)}.get(source["VolumeType"], ())
    tags = copy_tags(source)
    parts = [source["VolumeId"], snapshot["SnapshotId"], zone]
    return {
        "AvailabilityZone": zone,
        "SnapshotId": snapshot["SnapshotId"],
        "Size": source["Size"],
        "VolumeType": source["VolumeType"],
        "Encrypted": bool(source.get("Encrypted")),
        **{key: source[key] for key in keeps if source.get(key)},
        "ClientToken": "spot-move-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40],
        "TagSpecifications": [
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}
        ],
    }


def flaws(source: Resource, copy: Resource, snapshot: Resource, zone: str) -> list[str]:
    """Why a copy is not as good as its source, nothing when it is."""
    pairs = {
        "state": ("available", copy["State"]),
        "zone": (zone, copy["AvailabilityZone"]),
        "snapshot": (snapshot["SnapshotId"], copy.get("SnapshotId")),
        "size": (source["Size"], copy["Size"]),
        "type": (source["VolumeType"], copy["VolumeType"]),
        "encrypted": (bool(source.get("Encrypted")), bool(copy.get("Encrypted"))),
    }
    wrong = [f"{key} is {have}, not {want}" for key, (want, have) in pairs.items() if want != have]
    wanted, found = plan.inherited(tags_of(source)), plan.inherited(tags_of(copy))
    wanted.pop(rows.NAME, None)
    if rows.MOVED_TO in tags_of(source):  # it has another one already, and was proven before
        wanted.pop("Name", None)
    lost = sorted(key for key, value in wanted.items() if found.get(key) != value)
    return wrong + ([f"tags are missing: {', '.join(lost)}"] if lost else [])


def used_meanwhile(source: Resource | None, snapshot_id: str) -> bool:
    """Whether somebody has attached the source since its snapshot, which then is too old."""
    return source is None or source["State"] != "available" or tags_of(source).get(rows.MOVING) != snapshot_id


def names_of_copy(source: Resource, copy: Resource) -> dict[str, str]:
    """Tags that make the copy the volume: the name by which a launch finds it, and where it came from."""
    name = tags_of(source).get(rows.NAME)
    wanted = {rows.MOVED_FROM: source["VolumeId"], **({rows.NAME: name} if name else {})}
    return {key: value for key, value in wanted.items() if tags_of(copy).get(key) != value}


def names_of_source(source: Resource, copy_id: str) -> dict[str, str]:
    """Tags of the source when it is no longer the volume."""
    name = rows.name_of(source)
    old = {"Name": name if name.endswith(SUFFIX) else name + SUFFIX} if name else {}
    return {**old, rows.MOVED_TO: copy_id}


def surplus_snapshots(trace: Trace, keep: str) -> list[str]:
    """Snapshots of moves of this volume that nobody needs any more."""
    return sorted(one["SnapshotId"] for one in trace.snapshots if one["SnapshotId"] != keep)


def surplus_copies(trace: Trace, keep: str) -> list[str]:
    """Copies of moves that were cut off: they have no name and were never used."""
    return sorted(
        one["VolumeId"]
        for one in trace.copies
        if one["VolumeId"] != keep and one["State"] == "available" and rows.MOVING_FROM in tags_of(one)
    )
