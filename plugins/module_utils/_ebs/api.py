# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The calls of EC2 that volumes need, one small function a call.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._ebs.attach import Facts, Target
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import calls, ignoring

Resource = dict[str, Any]


def _volumes(ec2: Any, filters: dict[str, list[str]]) -> list[Resource]:
    pages = ec2.get_paginator("describe_volumes").paginate(
        Filters=[{"Name": name, "Values": values} for name, values in filters.items()]
    )
    return [volume for page in pages for volume in page["Volumes"]]


@calls("ec2:DescribeVolumes")
def own_volumes(ec2: Any, target: Target) -> list[Resource]:
    """Volumes with the tags of this experiment and rank. Source: EC2 API DescribeVolumes."""
    return _volumes(ec2, {"tag:spot:experiment": [target.experiment], "tag:spot:rank": [str(target.rank)]})


@calls("ec2:DescribeVolumes")
def volumes_by_id(ec2: Any, ids: list[str]) -> list[Resource]:
    """Volumes with these ids; unknown ones are left out. Source: EC2 API DescribeVolumes."""
    return _volumes(ec2, {"volume-id": ids}) if ids else []


@calls("ec2:DescribeVolumes")
def volumes_here(ec2: Any, instance_id: str) -> list[Resource]:
    """Volumes that are attached to an instance. Source: EC2 API DescribeVolumes."""
    return _volumes(ec2, {"attachment.instance-id": [instance_id]})


def read(ec2: Any, target: Target, wanted: list[Resource]) -> Facts:
    """Everything that a plan needs.

    Raises:
        ApiError: a call failed.
    """
    ids = [one["volume_id"] for one in wanted if one.get("volume_id")]
    known = len(ids) + sum(bool(one.get("launched")) for one in wanted)
    own = own_volumes(ec2, target) if known < len(wanted) else []
    here = volumes_here(ec2, target.instance_id) if target.instance_id else []
    return Facts(own, volumes_by_id(ec2, ids), here)


@calls("ec2:CreateVolume")
def create_volume(ec2: Any, args: Resource) -> Resource:
    """Make a volume. Source: EC2 API CreateVolume."""
    return dict(ec2.create_volume(**args))


@calls("ec2:AttachVolume")
def attach_volume(ec2: Any, volume_id: str, instance_id: str, device: str) -> None:
    """Attach a volume. Source: EC2 API AttachVolume; it has no client token."""
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)


@calls("ec2:DetachVolume")
def detach_volume(ec2: Any, volume_id: str) -> None:
    """Detach a volume that its instance has unmounted; one that is already free is no error.

    Source: EC2 API DetachVolume; EC2 error codes IncorrectState, InvalidAttachment.NotFound.
    """
    with ignoring(lambda error: _aws_errors.error_code(error) in ("IncorrectState", "InvalidAttachment.NotFound")):
        ec2.detach_volume(VolumeId=volume_id)


@calls("ec2:DeleteVolume")
def delete_volume(ec2: Any, volume_id: str) -> None:
    """Delete a volume. Source: EC2 API DeleteVolume."""
    ec2.delete_volume(VolumeId=volume_id)
