# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Data sets: volumes of a snapshot that are only read. Pure functions of a profile's volumes.

Each instance gets its own with its launch, in whatever zone it comes up, and it goes with the instance. So many
instances read the same data, nothing is to be attached, and no zone is fixed.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._ebs.attach import DEVICE_NAMES

Resource = dict[str, Any]

# Volumes are attached from the first name on, data sets get the last one of those recommended, and so on.
NAMES = (*DEVICE_NAMES[10::-1], *DEVICE_NAMES[11:])


def is_data_set(volume: Resource) -> bool:
    """Whether a volume of a profile comes with each instance and goes with it."""
    return bool(volume.get("read_only") and volume.get("snapshot_id") and not volume.get("volume_id"))


def lasting(volumes: Iterable[Resource]) -> list[Resource]:
    """The volumes of a profile that are there whether an instance is or not."""
    return [one for one in volumes if not is_data_set(one)]


def devices(volumes: list[Resource]) -> dict[str, str]:
    """Device name of each data set by its name."""
    taken = {one["device"] for one in volumes if one.get("device")}
    free = (name for name in NAMES if name not in taken)
    return {one["name"]: one.get("device") or next(free) for one in volumes if is_data_set(one)}


def mappings(volumes: list[Resource]) -> list[Resource]:
    """``BlockDeviceMappings`` of a launch template. Source: EC2 API LaunchTemplateEbsBlockDeviceRequest."""
    names = devices(volumes)
    return [{"DeviceName": names[one["name"]], "Ebs": _ebs(one)} for one in volumes if one["name"] in names]


def _ebs(wanted: Resource) -> Resource:
    names = (("Iops", "iops"), ("Throughput", "throughput"))
    return {
        "SnapshotId": wanted["snapshot_id"],
        "VolumeType": wanted["type"],
        "Encrypted": wanted["encrypted"],
        "DeleteOnTermination": True,
        **{name: wanted[key] for name, key in names if wanted.get(key)},
    }


def volume_ids(instance: Resource) -> dict[str, str]:
    """Volume by device name of an instance. Source: EC2 API InstanceBlockDeviceMapping."""
    return {
        one["DeviceName"]: one["Ebs"]["VolumeId"]
        for one in instance.get("BlockDeviceMappings") or []
        if (one.get("Ebs") or {}).get("VolumeId")
    }
