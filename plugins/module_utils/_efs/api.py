# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The calls of EFS, and those of EC2 that mount targets need, one small function a call.

PRIVATE to the collection.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._efs.plan import NFS_PORT, Facts, Wanted
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import (
    calls,
    filters,
    gather,
    ignoring,
    pages,
    security_groups_by_id,
)

Resource = dict[str, Any]

CONFLICT = "MountTargetConflict"


def _absent(error: Exception) -> bool:
    return _aws_errors.error_code(error).endswith("NotFound")


def _there_already(error: Exception) -> bool:
    return _aws_errors.error_code(error) == "InvalidPermission.Duplicate"


# Reading


@calls("elasticfilesystem:DescribeFileSystems")
def file_systems(efs: Any, **wanted: str) -> list[Resource]:
    """File systems: all, or by ``CreationToken`` or ``FileSystemId``; an unknown one is an empty list.

    Source: EFS API DescribeFileSystems.
    """
    with ignoring(_absent):
        return pages(efs, "describe_file_systems", "FileSystems", **wanted)
    return []


@calls("elasticfilesystem:DescribeMountTargets")
def mount_targets(efs: Any, file_system_id: str) -> list[Resource]:
    """Mount targets of a file system, each without its groups. Source: EFS API DescribeMountTargets."""
    with ignoring(_absent):
        return pages(efs, "describe_mount_targets", "MountTargets", FileSystemId=file_system_id)
    return []


@calls("elasticfilesystem:DescribeMountTargetSecurityGroups")
def groups_of(efs: Any, mount_target_id: str) -> list[str]:
    """Ids of the security groups of a mount target, none while it is being made or deleted.

    Source: EFS API DescribeMountTargetSecurityGroups, IncorrectMountTargetState.
    """
    codes = ("IncorrectMountTargetState", "MountTargetNotFound")
    with ignoring(lambda error: _aws_errors.error_code(error) in codes):
        return list(efs.describe_mount_target_security_groups(MountTargetId=mount_target_id)["SecurityGroups"])
    return []


@calls("elasticfilesystem:DescribeAccessPoints")
def access_points(efs: Any, file_system_id: str) -> list[Resource]:
    """Access points of a file system. Source: EFS API DescribeAccessPoints."""
    with ignoring(_absent):
        return pages(efs, "describe_access_points", "AccessPoints", FileSystemId=file_system_id)
    return []


@calls("elasticfilesystem:DescribeLifecycleConfiguration")
def lifecycle(efs: Any, file_system_id: str) -> list[Resource]:
    """Life cycle policies of a file system. Source: EFS API DescribeLifecycleConfiguration."""
    return list(efs.describe_lifecycle_configuration(FileSystemId=file_system_id)["LifecyclePolicies"])


@calls("ec2:DescribeSecurityGroups")
def groups_named(ec2: Any, name: str) -> list[Resource]:
    """Security groups of a name, one a VPC at most. Source: EC2 API DescribeSecurityGroups."""
    return pages(ec2, "describe_security_groups", "SecurityGroups", Filters=filters(group_name=name))


@calls("ec2:DescribeSubnets")
def subnets(ec2: Any, ids: list[str]) -> list[Resource]:
    """Subnets of these ids; unknown ones are left out. Source: EC2 API DescribeSubnets."""
    return pages(ec2, "describe_subnets", "Subnets", Filters=filters(subnet_id=ids)) if ids else []


@calls("ec2:DescribeInstances")
def instances(ec2: Any, ids: list[str]) -> list[Resource]:
    """Instances of these ids; unknown ones are left out. Source: EC2 API DescribeInstances."""
    found = pages(ec2, "describe_instances", "Reservations", Filters=filters(instance_id=ids))
    return [one for reservation in found for one in reservation["Instances"]]


def read(efs: Any, ec2: Any, wanted: Wanted) -> Facts:
    """All that the decision needs: two rounds of calls at the same time.

    Raises:
        ApiError: a call failed.
    """
    by = {"FileSystemId": wanted.file_system_id} if wanted.file_system_id else {"CreationToken": wanted.name}
    first = _all(
        {
            "systems": lambda: file_systems(efs, **by),
            "named": lambda: groups_named(ec2, wanted.group_name),
            "subnets": lambda: subnets(ec2, list(wanted.subnet_ids)),
        }
    )
    found = next((one for one in first["systems"] if one["LifeCycleState"] not in ("deleting", "deleted")), None)
    facts = Facts(found, subnets=first["subnets"], named_groups=first["named"])
    if found is None:
        return facts
    identity = found["FileSystemId"]
    second: dict[str, Any] = {"targets": lambda: targets_with_groups(efs, identity)}
    if wanted.access_point or wanted.access_point_id or wanted.state == "absent":
        second["points"] = lambda: access_points(efs, identity)
    if wanted.transition_to_ia:
        second["lifecycle"] = lambda: lifecycle(efs, identity)
    answers = _all(second)
    facts.mount_targets = answers["targets"]
    facts.access_points = answers.get("points", [])
    facts.lifecycle = answers.get("lifecycle", [])
    known = {one["GroupId"] for one in first["named"]}
    others = sorted({group for one in facts.mount_targets for group in one["SecurityGroups"]} - known)
    facts.groups = [*first["named"], *(security_groups_by_id(ec2, others) if others else [])]
    return facts


def targets_with_groups(efs: Any, file_system_id: str) -> list[Resource]:
    """Mount targets with the ids of their groups under ``SecurityGroups``."""
    found = mount_targets(efs, file_system_id)
    reads = {one["MountTargetId"]: partial(groups_of, efs, one["MountTargetId"]) for one in found}
    groups = _all(reads)
    return [{**one, "SecurityGroups": groups[one["MountTargetId"]]} for one in found]


def _all(reads: dict[str, Any]) -> dict[str, Any]:
    answers, errors = gather(reads)
    for error in errors.values():
        raise error
    return answers


# Changing


@calls("elasticfilesystem:CreateFileSystem")
def create_file_system(efs: Any, args: Resource) -> str:
    """Make a file system and return its id; one that has the token is taken as it is.

    Source: EFS API CreateFileSystem, FileSystemAlreadyExists (which names the id).
    """
    try:
        return str(efs.create_file_system(**args)["FileSystemId"])
    except efs.exceptions.FileSystemAlreadyExists as error:
        return str(error.response["FileSystemId"])


@calls("elasticfilesystem:UpdateFileSystem")
def update_file_system(efs: Any, args: Resource) -> None:
    """Change the throughput of a file system. Source: EFS API UpdateFileSystem."""
    efs.update_file_system(**args)


@calls("elasticfilesystem:PutLifecycleConfiguration")
def put_lifecycle(efs: Any, file_system_id: str, policies: list[Resource]) -> None:
    """Set the life cycle policies. Source: EFS API PutLifecycleConfiguration."""
    efs.put_lifecycle_configuration(FileSystemId=file_system_id, LifecyclePolicies=policies)


@calls("elasticfilesystem:CreateMountTarget")
def create_mount_target(efs: Any, file_system_id: str, subnet_id: str, groups: list[str]) -> None:
    """Make a mount target; one that another run has made in that zone is as good.

    Source: EFS API CreateMountTarget, MountTargetConflict.
    """
    with ignoring(lambda error: "already exists" in str(error) and _aws_errors.error_code(error) == CONFLICT):
        efs.create_mount_target(FileSystemId=file_system_id, SubnetId=subnet_id, SecurityGroups=groups)


@calls("elasticfilesystem:ModifyMountTargetSecurityGroups")
def set_groups(efs: Any, mount_target_id: str, groups: list[str]) -> None:
    """Replace the groups of a mount target. Source: EFS API ModifyMountTargetSecurityGroups."""
    efs.modify_mount_target_security_groups(MountTargetId=mount_target_id, SecurityGroups=groups)


@calls("elasticfilesystem:CreateAccessPoint")
def create_access_point(efs: Any, args: Resource) -> None:
    """Make an access point; the same token again is the same one. Source: EFS API AccessPointAlreadyExists."""
    with ignoring(lambda error: _aws_errors.error_code(error) == "AccessPointAlreadyExists"):
        efs.create_access_point(**args)


@calls("ec2:CreateSecurityGroup")
def create_group(ec2: Any, wanted: Wanted, vpc_id: str) -> str | None:
    """Make the group of the mount targets, None where another run has just made it.

    Source: EC2 API CreateSecurityGroup, InvalidGroup.Duplicate.
    """
    with ignoring(lambda error: _aws_errors.error_code(error) == "InvalidGroup.Duplicate"):
        made = ec2.create_security_group(
            GroupName=wanted.group_name,
            Description=f"experiments.spot: NFS of the file system {wanted.name}",
            VpcId=vpc_id,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": wanted.tag_list(wanted.group_name)}],
        )
        return str(made["GroupId"])
    return None


@calls("ec2:AuthorizeSecurityGroupIngress")
def admit(ec2: Any, group_id: str, client_group_id: str) -> None:
    """Let the instances of a group reach NFS. Source: EC2 API AuthorizeSecurityGroupIngress."""
    pair = {"GroupId": client_group_id}
    rule = {"IpProtocol": "tcp", "FromPort": NFS_PORT, "ToPort": NFS_PORT, "UserIdGroupPairs": [pair]}
    with ignoring(_there_already):
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])


# Removing


@calls("elasticfilesystem:DeleteAccessPoint")
def delete_access_point(efs: Any, access_point_id: str) -> None:
    """Delete an access point. Source: EFS API DeleteAccessPoint."""
    with ignoring(_absent):
        efs.delete_access_point(AccessPointId=access_point_id)


@calls("elasticfilesystem:DeleteMountTarget")
def delete_mount_target(efs: Any, mount_target_id: str) -> None:
    """Delete a mount target. Source: EFS API DeleteMountTarget."""
    with ignoring(_absent):
        efs.delete_mount_target(MountTargetId=mount_target_id)


@calls("elasticfilesystem:DeleteFileSystem")
def delete_file_system(efs: Any, file_system_id: str) -> None:
    """Delete a file system that has no mount target. Source: EFS API DeleteFileSystem."""
    with ignoring(_absent):
        efs.delete_file_system(FileSystemId=file_system_id)
