# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Volumes and snapshots as the modules return them, and which ones a name means. Pure functions, no API calls.

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .._experiment import cost, transformations
from .._experiment.transformations import tags_of

Resource = dict[str, Any]

VOLUME_ID = re.compile(r"vol-[0-9a-f]{8,}\Z")
SNAPSHOT_ID = re.compile(r"snap-[0-9a-f]{8,}\Z")
# The tag of the name in a profile, by which a launch finds a volume; the others say what a move did.
NAME, MOVING, MOVING_FROM = "spot:volume", "spot:moving", "spot:moving-from"
MOVED_FROM, MOVED_TO, MOVE_OF = "spot:moved-from", "spot:moved-to", "spot:move-of"
OF_A_MOVE = (MOVING, MOVING_FROM, MOVED_FROM, MOVED_TO, MOVE_OF)
GONE = ("deleting", "deleted", "error")


class VolumeError(Exception):
    """What was asked for cannot be done; the text is for the user."""


def name_of(resource: Resource) -> str:
    """The name under which people know it, '' for none."""
    tags = tags_of(resource)
    return tags.get("Name") or tags.get(NAME) or ""


def label(resource: Resource) -> str:
    """Name and id for a message."""
    identity = resource.get("VolumeId") or resource["SnapshotId"]
    name = name_of(resource)
    return f"{name} ({identity})" if name else str(identity)


def is_ours(volume: Resource) -> bool:
    """Whether this collection made a volume. One that ends with its instance (a root volume) is the instance's."""
    if transformations.volume(volume)["delete_on_termination"]:
        return False
    return not {NAME, MOVED_TO, "spot:experiment"}.isdisjoint(tags_of(volume))


def holders(volume: Resource) -> list[str]:
    """Instances to which a volume is attached, or still is."""
    return list(transformations.volume(volume)["instance_ids"])


def volume_row(volume: Resource, modification: Resource | None = None) -> Resource:
    """A volume as the modules return it: size in GiB, throughput in MiB/s, cost in USD a month."""
    known, tags = transformations.volume(volume), tags_of(volume)
    return {
        "volume_id": known["volume_id"],
        "name": name_of(volume),
        "experiment": tags.get("spot:experiment", ""),
        "rank": transformations.number(tags.get("spot:rank")),
        "size": known["size"],
        "type": known["type"],
        "iops": known["iops"],
        "throughput": known["throughput"],
        "zone": known["zone"],
        "state": known["state"],
        "attached_to": known["instance_ids"],
        "snapshot_id": volume.get("SnapshotId") or "",
        "encrypted": bool(volume.get("Encrypted")),
        "ours": is_ours(volume),
        "cost_per_month": cost.storage_per_month(known["type"], known["size"], known["iops"], known["throughput"]),
        "note": note(known["state"], tags, modification),
        "tags": tags,
    }


def note(state: str, tags: dict[str, str], modification: Resource | None) -> str:
    """What is going on with a volume, in words."""
    if modification and modification.get("ModificationState") in ("modifying", "optimizing"):
        return f"{modification['ModificationState']}, {modification.get('Progress', 0)} %"
    if tags.get(MOVED_TO):
        return f"moved to {tags[MOVED_TO]}"
    if tags.get(MOVING_FROM):
        return f"half of a move of {tags[MOVING_FROM]}"
    if state not in ("available", "in-use"):
        return state
    return "is being moved" if tags.get(MOVING) else ""


def snapshot_row(snapshot: Resource) -> Resource:
    """A snapshot as the modules return it. Its cost is at most this: AWS stores only what changed."""
    tags = tags_of(snapshot)
    size = snapshot.get("VolumeSize")
    return {
        "snapshot_id": snapshot["SnapshotId"],
        "name": name_of(snapshot),
        "experiment": tags.get("spot:experiment", ""),
        "volume_id": snapshot.get("VolumeId", ""),
        "size": size,
        "state": snapshot["State"],
        "progress": snapshot.get("Progress", ""),
        "started": str(snapshot.get("StartTime", "")),
        "encrypted": bool(snapshot.get("Encrypted")),
        "cost_per_month": cost.storage_per_month("snapshot", size, None, None),
        "tags": tags,
    }


def named(name: str, experiment: str, volumes: Iterable[Resource]) -> list[Resource]:
    """Volumes that an id or a name means. Names mean those that this collection made, unless it made none.

    Args:
        name: an id, or the tag Name or spot:volume.
        experiment: only those of this experiment, '' for any.
        volumes: all volumes that are known.
    """
    found = [one for one in volumes if one["State"] not in GONE or one["VolumeId"] == name]
    if VOLUME_ID.match(name):
        return [one for one in found if one["VolumeId"] == name]
    fitting = [
        one
        for one in found
        if name in (tags_of(one).get("Name"), tags_of(one).get(NAME))
        and tags_of(one).get("spot:experiment", "") == (experiment or tags_of(one).get("spot:experiment", ""))
        and MOVING_FROM not in tags_of(one)
    ]
    return [one for one in fitting if is_ours(one)] or fitting


def only(name: str, found: list[Resource]) -> Resource | None:
    """The one volume of a name, None for none.

    Raises:
        VolumeError: there are several.
    """
    sources = {tags_of(one).get(MOVED_FROM) for one in found}
    # A move that was cut off between its last two steps: both have the name, the source counts until it is done.
    origins = [one for one in found if one["VolumeId"] in sources]
    rest = [one for one in found if tags_of(one).get(MOVED_FROM) not in {origin["VolumeId"] for origin in origins}]
    if len(rest) > 1:
        where = ", ".join(f"{one['VolumeId']} in {one['AvailabilityZone']}{_experiment(one)}" for one in rest)
        raise VolumeError(
            f"several volumes are named {name}: {where}; say which one by its id, or add -e experiment=NAME"
        )
    return next(iter(rest), None)


def _experiment(volume: Resource) -> str:
    experiment = tags_of(volume).get("spot:experiment")
    return f" (experiment {experiment})" if experiment else ""


def snapshot_named(name: str, found: list[Resource]) -> Resource | None:
    """The snapshot of an id, or the newest complete one of a name (its own, or its volume's); None for none."""
    fitting = [
        one for one in found if name == one["SnapshotId"] or name in (tags_of(one).get("Name"), tags_of(one).get(NAME))
    ]
    return max(fitting, key=lambda one: (one["State"] == "completed", str(one.get("StartTime"))), default=None)
