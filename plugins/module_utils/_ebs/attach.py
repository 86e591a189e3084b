# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide which volumes of an instance are to be made and attached: pure functions over what AWS answered.

PRIVATE to the collection. Volumes are dicts of the EC2 API (DescribeVolumes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from .._experiment.transformations import tags_of

Resource = dict[str, Any]

# Source: EC2 user guide, "Device names for volumes": those recommended for data volumes, then others that may be used.
DEVICE_NAMES = (*(f"/dev/sd{letter}" for letter in "fghijklmnop"), *(f"/dev/xvdb{one}" for one in "abcdefghijklmno"))
GONE = ("deleting", "deleted", "error")


@dataclass(frozen=True)
class Facts:
    """What AWS says: volumes by the experiment's tags, by id, and what is attached to the instance already."""

    own: list[Resource] = field(default_factory=list)
    by_id: list[Resource] = field(default_factory=list)
    here: list[Resource] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """The instance ('' for none: then volumes are only made) and what ties volumes to it."""

    instance_id: str
    zone: str
    experiment: str
    rank: int


@dataclass(frozen=True)
class Step:
    """What is to be done for one wanted volume; `found` is None where it must be made."""

    wanted: Resource
    found: Resource | None
    device: str
    attach: bool


def key_of(wanted: Resource) -> str:
    """Value of the tag spot:volume: the name in the profile, without a rank."""
    return str(wanted.get("volume") or wanted["name"])


def holders(volume: Resource) -> list[str]:
    """Instances to which a volume is attached, or still is."""
    return [one["InstanceId"] for one in volume.get("Attachments", []) if one.get("State") != "detached"]


def marks(wanted: Resource, target: Target) -> dict[str, str]:
    """Tags by which a volume is found again."""
    return {
        "spot:experiment": target.experiment,
        "spot:volume": key_of(wanted),
        "spot:rank": str(target.rank),
    }


def own_volumes(wanted: Resource, target: Target, volumes: list[Resource]) -> list[Resource]:
    """Volumes of that name and rank, the best first: attached here, attached anywhere, the oldest."""
    wished = marks(wanted, target).items()
    found = [one for one in volumes if wished <= tags_of(one).items() and one.get("State") not in GONE]
    return sorted(
        found,
        key=lambda one: (
            target.instance_id not in holders(one),
            not holders(one),
            str(one.get("CreateTime")),
            one["VolumeId"],
        ),
    )


def find(wanted: Resource, target: Target, facts: Facts) -> Resource | None:
    """The volume that is wanted, None where there is none yet."""
    if wanted.get("launched"):
        return next((one for one in facts.here if wanted["device"] in used_devices(target.instance_id, [one])), None)
    if wanted.get("volume_id"):
        return next((one for one in facts.by_id if one["VolumeId"] == wanted["volume_id"]), None)
    return next(iter(own_volumes(wanted, target, facts.own)), None)


def used_devices(instance_id: str, volumes: list[Resource]) -> dict[str, str]:
    """Device names that are taken on the instance, with the volume that has each."""
    return {
        one["Device"]: volume["VolumeId"]
        for volume in volumes
        for one in volume.get("Attachments", [])
        if one["InstanceId"] == instance_id
    }


def problems(wanted: list[Resource], target: Target, facts: Facts) -> list[str]:
    """Everything that would make AWS refuse, each with what to do."""
    return [line for one in wanted for line in _problem(one, find(one, target, facts), target)]


def _problem(wanted: Resource, found: Resource | None, target: Target) -> list[str]:
    name, wished = wanted["name"], wanted.get("volume_id")
    if found is None:
        if wanted.get("launched"):
            return [
                f"{name}: {target.instance_id} was launched without this data set; close the experiment and launch it"
                " again, or leave the data set out"
            ]
        if wished:
            return [f"{name}: there is no volume {wished} in this region; check the id and the region"]
        if not (wanted.get("size") or wanted.get("snapshot_id")):
            return [f"{name}: a new volume needs a size in GiB; set size"]
        return []
    where, there = f"{name} ({found['VolumeId']})", found["AvailabilityZone"]
    if there != target.zone:
        who = f"the instance {target.instance_id}" if target.instance_id else "the instances"
        return [
            f"{where} is in {there}, {who} in {target.zone}; a volume can be attached only"
            f" inside its zone: ask for capacity in {there} (capacity.zones), or move it by a snapshot"
        ]
    return [f"{where} is {found['State']} and cannot be used; name another volume"] if found["State"] in GONE else []


def held_by_others(volume: Resource, target: Target) -> list[str]:
    """Other instances that hold a volume that only one may have."""
    if volume.get("MultiAttachEnabled") or target.instance_id in holders(volume):
        return []
    return holders(volume)


def plan(wanted: list[Resource], target: Target, facts: Facts) -> list[Step]:
    """One step a volume. Device names do not depend on anything but the order, so that two runs choose the same."""
    used = used_devices(target.instance_id, facts.here)
    asked = [one["device"] for one in wanted if one.get("device")]
    free = iter([name for name in DEVICE_NAMES if name not in used and name not in asked])
    steps = []
    for one in wanted:
        found = find(one, target, facts)
        attached = found is not None and target.instance_id in holders(found)
        device = _attached_as(found, target) if found and attached else one.get("device") or next(free, "")
        steps.append(Step(one, found, device, bool(target.instance_id) and not attached))
    return steps


def _attached_as(volume: Resource, target: Target) -> str:
    used = used_devices(target.instance_id, [volume])
    return next(iter(used), "")


def next_device(taken: dict[str, str]) -> str:
    """The next free name, '' when all are taken."""
    return next((name for name in DEVICE_NAMES if name not in taken), "")


def token(wanted: Resource, target: Target, attempt: str, generation: str = "") -> str:
    """Client token: the same for two runs at once (same attempt), another one for another instance.

    Without an instance another one for another zone and generation, since AWS refuses a token with other arguments.
    """
    holder = target.instance_id or f"{target.zone} {generation}"
    parts = [target.experiment, key_of(wanted), str(target.rank), holder, attempt]
    return "spot-volume-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def creation(wanted: Resource, target: Target, tags: dict[str, str], attempt: str) -> Resource:
    """Arguments of CreateVolume. The volume type is always named: its default is gp2.

    Source: EC2 API CreateVolume.
    """
    all_tags = {**tags, "Name": wanted["name"], **marks(wanted, target)}
    args: Resource = {
        "AvailabilityZone": target.zone,
        "VolumeType": wanted.get("type") or "gp3",
        "Encrypted": True if wanted.get("encrypted") is None else wanted["encrypted"],
        "ClientToken": token(wanted, target, attempt, str(tags.get("spot:generation"))),
        "TagSpecifications": [
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": str(all_tags[key])} for key in sorted(all_tags)]}
        ],
    }
    names = (("Size", "size"), ("Iops", "iops"), ("Throughput", "throughput"), ("SnapshotId", "snapshot_id"))
    return {**args, **{name: wanted[key] for name, key in names if wanted.get(key)}}


def surplus(made: str, wanted: Resource, target: Target, volumes: list[Resource]) -> str | None:
    """The volume to use instead of the one that this run has just made, None where that is the right one.

    Two runs at once may have made one each, in spite of the client token, when their arguments differ.
    """
    others = own_volumes(wanted, target, volumes)
    return others[0]["VolumeId"] if others and others[0]["VolumeId"] != made else None


def state_of(steps: list[Step], target: Target, after: bool) -> dict[str, Any]:
    """Attachments by name, before or after the steps, for the diff."""
    state: dict[str, Any] = {}
    for step in steps:
        volume_id = step.found["VolumeId"] if step.found else ("(new)" if after else None)
        attached = bool(target.instance_id) and (after or not step.attach)
        state[step.wanted["name"]] = {
            "volume_id": volume_id,
            "attached_to": target.instance_id if attached else None,
            "device": step.device if attached else None,
        }
    return state
