# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The calls of EC2 that volumes and snapshots need, one small function a call.

PRIVATE to the collection. Volumes and snapshots are dicts of the EC2 API.
"""

from __future__ import annotations

from typing import Any

from .. import _aws_errors
from .._experiment.api import calls, filters, ignoring, pages

Resource = dict[str, Any]

MINE = [{"Name": "tag-key", "Values": ["spot:volume", "spot:experiment", "spot:moved-to"]}]


@calls("ec2:DescribeVolumes")
def volumes(ec2: Any, wanted: list[Resource] | None = None) -> list[Resource]:
    """Volumes that fit filters, all of the region without any. Source: EC2 API DescribeVolumes."""
    return pages(ec2, "describe_volumes", "Volumes", **({"Filters": wanted} if wanted else {}))


@calls("ec2:DescribeSnapshots")
def snapshots(ec2: Any, wanted: list[Resource] | None = None) -> list[Resource]:
    """Snapshots of this account that fit filters. Source: EC2 API DescribeSnapshots, OwnerIds."""
    more = {"Filters": wanted} if wanted else {}
    return pages(ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"], **more)


@calls("ec2:DescribeSnapshots")
def shared_snapshots(ec2: Any, ids: list[str]) -> list[Resource]:
    """Snapshots of these ids, whoever owns them; unknown ones are left out. Source: EC2 API DescribeSnapshots."""
    return pages(ec2, "describe_snapshots", "Snapshots", Filters=filters(snapshot_id=ids))


@calls("ec2:DescribeVolumesModifications")
def modifications(ec2: Any, ids: list[str] | None = None) -> list[Resource]:
    """The newest modification of each volume that had one lately, of these volumes or of all.

    Source: EC2 API DescribeVolumesModifications; a volume without one is an error only when its id is given.
    """
    wanted = filters(volume_id=ids) if ids else filters(modification_state=["modifying", "optimizing"])
    return pages(ec2, "describe_volumes_modifications", "VolumesModifications", Filters=wanted)


@calls("ec2:DescribeAvailabilityZones")
def zone_names(ec2: Any) -> list[str]:
    """Names of the Availability Zones (no local zones) of the region. Source: EC2 API DescribeAvailabilityZones."""
    found = ec2.describe_availability_zones(Filters=filters(zone_type="availability-zone"))["AvailabilityZones"]
    return sorted(zone["ZoneName"] for zone in found)


@calls("ec2:DescribeInstances")
def instances(ec2: Any, ids: list[str]) -> list[Resource]:
    """Instances of these ids; unknown ones are left out. Source: EC2 API DescribeInstances."""
    found = pages(ec2, "describe_instances", "Reservations", Filters=filters(instance_id=ids))
    return [one for reservation in found for one in reservation["Instances"]]


@calls("ec2:CreateVolume")
def create_volume(ec2: Any, args: Resource) -> str:
    """Make a volume and return its id. Source: EC2 API CreateVolume."""
    return str(ec2.create_volume(**args)["VolumeId"])


@calls("ec2:ModifyVolume")
def modify_volume(ec2: Any, volume_id: str, changes: Resource) -> None:
    """Change size, type or speed. Source: EC2 API ModifyVolume."""
    ec2.modify_volume(VolumeId=volume_id, **changes)


@calls("ec2:DeleteVolume")
def delete_volume(ec2: Any, volume_id: str) -> None:
    """Delete a volume; one that is gone is no error. Source: EC2 API DeleteVolume."""
    with ignoring(_gone):
        ec2.delete_volume(VolumeId=volume_id)


@calls("ec2:CreateSnapshot")
def create_snapshot(ec2: Any, volume_id: str, description: str, tags: dict[str, str]) -> str:
    """Begin a snapshot and return its id. It has no client token. Source: EC2 API CreateSnapshot."""
    specification = [{"ResourceType": "snapshot", "Tags": tag_list(tags)}]
    made = ec2.create_snapshot(VolumeId=volume_id, Description=description, TagSpecifications=specification)
    return str(made["SnapshotId"])


@calls("ec2:DeleteSnapshot")
def delete_snapshot(ec2: Any, snapshot_id: str) -> None:
    """Delete a snapshot; one that is gone is no error. Volumes made of it keep their data.

    Source: EC2 API DeleteSnapshot.
    """
    with ignoring(_gone):
        ec2.delete_snapshot(SnapshotId=snapshot_id)


@calls("ec2:CreateTags")
def tag(ec2: Any, resource_id: str, tags: dict[str, str]) -> None:
    """Set tags. Source: EC2 API CreateTags."""
    ec2.create_tags(Resources=[resource_id], Tags=tag_list(tags))


@calls("ec2:DeleteTags")
def untag(ec2: Any, resource_id: str, keys: list[str]) -> None:
    """Take tags off; those that are not there are no error. Source: EC2 API DeleteTags."""
    ec2.delete_tags(Resources=[resource_id], Tags=[{"Key": key} for key in keys])


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 wants them, sorted: equal tags are then equal requests for a client token."""
    return [{"Key": key, "Value": str(tags[key])} for key in sorted(tags)]


def _gone(error: Exception) -> bool:
    return "NotFound" in _aws_errors.error_code(error)
