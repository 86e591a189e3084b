"""EFS: file systems with life cycle states, elastic throughput and what AWS refuses, over moto's tables.

Who serves the files is behind the seam to the machines: a mount target is an address there.
"""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

from moto.efs import urls as efs_urls
from moto.efs.exceptions import EFSError
from moto.efs.models import EFSBackend, efs_backends
from moto.efs.responses import TYPE_RESPONSE, EFSResponse

from lab.aws.world import World

# A new file system holds some metadata. Source: EFS user guide, "Metering: how EFS reports object sizes".
NEW_SIZE = 6144
MODES = ("bursting", "provisioned", "elastic")
TO_IA = {f"AFTER_{days}_DAY{'S' if days > 1 else ''}" for days in (1, 7, 14, 30, 60, 90, 180, 270, 365)}
MAX_FILE_SYSTEMS = 1000  # Source: EFS user guide, "Amazon EFS quotas"
MAX_ACCESS_POINTS = 10_000
MAX_GROUPS = 5
JSON: dict[str, str | int] = {"Content-Type": "application/json"}


class Refused(EFSError):
    """What EFS answers instead of doing it. Source: EFS API, errors of each action."""

    def __init__(self, code: str, message: str, http: int = 400) -> None:
        super().__init__(code, message)
        self.code = http


def backend(world: World) -> EFSBackend:
    """moto's tables of the lab's region."""
    return efs_backends[world.config.account_id][world.config.region]


def group_in_use(world: World, group_id: str) -> bool:
    """Whether the interface of a mount target has the group."""
    return any(group_id in (one.security_groups or []) for one in backend(world).mount_targets_by_id.values())


def install(world: World) -> None:
    """Let the lab answer at EFS's address."""
    LabEFS.world = world
    for path in efs_urls.url_paths:
        efs_urls.url_paths[path] = LabEFS.dispatch


class LabEFS(EFSResponse):
    """EFS's actions: the lab's where there is one, moto's otherwise."""

    world: ClassVar[World]

    @classmethod
    def dispatch(cls, *args: Any, **kwargs: Any) -> Any:
        """One request at a time, and only in the lab's region."""
        with cls.world.lock:
            cls._pass_time()
            return super().dispatch(*args, **kwargs)

    @classmethod
    def _pass_time(cls) -> None:
        """What was to be `available` or gone by now."""
        tables, lives, moment = backend(cls.world), cls.world.lives, time.monotonic()
        for key in [key for key, (_state, until) in lives.items() if until <= moment]:
            state, _until = lives.pop(key)
            if state != "deleting":
                continue
            if key.startswith("fsmt-"):
                target = tables.mount_targets_by_id[key]
                tables.delete_mount_target(key)
                cls.world.machines.remove_mount_target(target.ip_address)
            elif key in tables.file_systems_by_id:
                tables.delete_file_system(key)
                cls.world.machines.delete_file_system(key)

    def _begin(self, key: str, state: str, factor: float = 1.0) -> None:
        wait = self.world.delay(self.world.config.efs_delay) * factor
        self.world.lives[key] = (state, time.monotonic() + wait)

    def _state(self, key: str) -> str:
        return self.world.lives.get(key, ("available", 0.0))[0]

    def _file_system(self, needed: str = "") -> Any:
        """The file system that the request names; `needed` is the state it has to be in."""
        wanted = str(self._get_param("FileSystemId")).rsplit("/", 1)[-1]
        found = self.efs_backend.file_systems_by_id.get(wanted)
        if found is None:
            raise Refused("FileSystemNotFound", f"File system '{wanted}' does not exist.", 404)
        state = self._state(wanted)
        if needed and state != needed:
            raise Refused(
                "IncorrectFileSystemLifeCycleState", f"File system '{wanted}' is in the life cycle state {state}.", 409
            )
        return found

    def _shape(self, one: Any) -> dict[str, Any]:
        """FileSystemDescription."""
        shape = {**one.info_json(), "LifeCycleState": self._state(one.file_system_id)}
        size = {"Value": NEW_SIZE, "ValueInIA": 0, "ValueInStandard": NEW_SIZE, "ValueInArchive": 0}
        shape["SizeInBytes"] = {**size, "Timestamp": time.time()}
        shape.pop("LifecyclePolicies", None)
        shape.pop("FileSystemPolicy", None)
        if one.encrypted:
            region, account = self.world.config.region, self.world.config.account_id
            shape["KmsKeyId"] = one.kms_key_id or f"arn:aws:kms:{region}:{account}:key/lab-default-elasticfilesystem"
        return {key: value for key, value in shape.items() if value is not None}

    # File systems

    def create_file_system(self) -> TYPE_RESPONSE:
        """EFS API CreateFileSystem."""
        token = self._get_param("CreationToken") or ""
        if not 1 <= len(token) <= 64:
            raise Refused("BadRequest", "CreationToken must have 1 to 64 characters.")
        for one in self.efs_backend.file_systems_by_id.values():
            if one.creation_token == token:
                raise _AlreadyExists(token, one.file_system_id)
        if len(self.efs_backend.file_systems_by_id) >= self.world.quota.get("EFS", MAX_FILE_SYSTEMS):
            raise Refused("FileSystemLimitExceeded", "You have reached the maximum number of file systems.", 403)
        self._throughput(self._get_param("ThroughputMode") or "bursting", self._get_param("PerformanceMode"))
        zone = self._get_param("AvailabilityZoneName")
        if zone and zone not in [z.name for z in self.world.backend.describe_availability_zones()]:
            raise Refused("UnsupportedAvailabilityZone", f"EFS has no One Zone storage in {zone}.")
        super().create_file_system()
        made = list(self.efs_backend.file_systems_by_id.values())[-1]
        self._begin(made.file_system_id, "creating")
        return json.dumps(self._shape(made)), {"status": 201, **JSON}

    def _throughput(self, mode: str, performance: str | None) -> None:
        """Source: EFS API CreateFileSystem, UpdateFileSystem; EFS user guide, "Performance modes"."""
        mibps = self._get_param("ProvisionedThroughputInMibps")
        if mode not in MODES:
            raise Refused("BadRequest", f"ThroughputMode '{mode}' is none of {', '.join(MODES)}.")
        if (mode == "provisioned") != (mibps is not None):
            raise Refused(
                "BadRequest", "ProvisionedThroughputInMibps goes with ThroughputMode provisioned, and only so."
            )
        if mibps is not None and not 1 <= float(mibps) <= 3414:
            raise Refused("ThroughputLimitExceeded", "The throughput must be between 1 and 3414 MiB/s.")
        if mode == "elastic" and performance == "maxIO":
            raise Refused("BadRequest", "Elastic throughput goes only with the performance mode generalPurpose.")

    def describe_file_systems(self) -> TYPE_RESPONSE:
        """EFS API DescribeFileSystems."""
        if self._get_param("FileSystemId"):
            return json.dumps({"FileSystems": [self._shape(self._file_system())]}), JSON
        marker, found = self.efs_backend.describe_file_systems(
            marker=self._get_param("Marker"),
            max_items=self._get_int_param("MaxItems", 100),
            creation_token=self._get_param("CreationToken"),
        )
        answer: dict[str, Any] = {"FileSystems": [self._shape(one) for one in found]}
        return json.dumps(answer | ({"NextMarker": marker} if marker else {})), JSON

    def update_file_system(self) -> TYPE_RESPONSE:
        """EFS API UpdateFileSystem."""
        one = self._file_system("available")
        mode = self._get_param("ThroughputMode") or one.throughput_mode
        self._throughput(mode, one.performance_mode)
        one.throughput_mode = mode
        one.provisioned_throughput_in_mibps = self._get_param("ProvisionedThroughputInMibps")
        self._begin(one.file_system_id, "updating")
        return json.dumps(self._shape(one)), {"status": 202, **JSON}

    def delete_file_system(self) -> TYPE_RESPONSE:
        """EFS API DeleteFileSystem."""
        one = self._file_system()
        if one.number_of_mount_targets:
            raise Refused("FileSystemInUse", "The file system has mount targets; delete them first.", 409)
        self._begin(one.file_system_id, "deleting")
        return "", {"status": 204, **JSON}

    def put_lifecycle_configuration(self) -> TYPE_RESPONSE:
        """EFS API PutLifecycleConfiguration."""
        self._file_system("available")
        for policy in self._get_param("LifecyclePolicies") or []:
            if policy.get("TransitionToIA", "AFTER_30_DAYS") not in TO_IA:
                raise Refused("BadRequest", f"TransitionToIA {policy['TransitionToIA']} is not a valid value.")
        return super().put_lifecycle_configuration()

    def describe_lifecycle_configuration(self) -> TYPE_RESPONSE:
        """EFS API DescribeLifecycleConfiguration."""
        self._file_system()
        return super().describe_lifecycle_configuration()

    # Mount targets

    def _groups(self) -> list[str] | None:
        groups = self._get_param("SecurityGroups")
        if groups and len(groups) > MAX_GROUPS:
            raise Refused("SecurityGroupLimitExceeded", "At most 5 security groups are allowed.")
        for group in groups or []:
            if self.world.backend.get_security_group_from_id(group) is None:
                raise Refused("SecurityGroupNotFound", f"The security group ID '{group}' does not exist.")
        return list(groups) if groups else None

    def create_mount_target(self) -> TYPE_RESPONSE:
        """EFS API CreateMountTarget."""
        one = self._file_system("available")
        groups = self._groups()
        wanted = self._get_param("SubnetId")
        subnet = next(
            (s for zone in self.world.backend.subnets.values() for s in zone.values() if s.id == wanted), None
        )
        if subnet is None:
            raise Refused("SubnetNotFound", f"The subnet ID '{wanted}' does not exist.")
        if one.availability_zone_name and one.availability_zone_name != subnet.availability_zone:
            raise Refused("AvailabilityZonesMismatch", "A One Zone file system has its mount target in its zone.")
        address = self._get_param("IpAddress")
        if address and any(eni.private_ip_address == address for eni in self.world.backend.enis.values()):
            raise Refused("IpAddressInUse", f"The address {address} is in use.", 409)
        for other in one.iter_mount_targets():
            if other.subnet_vpc_id != subnet.vpc_id:
                raise Refused("MountTargetConflict", "all mount targets of a file system lie in one VPC", 409)
            if other.availability_zone_name == subnet.availability_zone:
                raise Refused("MountTargetConflict", "mount target already exists in this AZ", 409)
        if groups is None:
            groups = [next(g.id for g in self.world.backend.groups[subnet.vpc_id].values() if g.name == "default")]
        made = self.efs_backend.create_mount_target(one.file_system_id, subnet.id, address, groups)
        self._begin(made.mount_target_id, "creating", 2.0)
        self.world.machines.add_mount_target(one.file_system_id, made.ip_address)
        return json.dumps(self._target(made)), JSON

    def _target(self, one: Any) -> dict[str, Any]:
        """MountTargetDescription."""
        shape = {**one.info_json(), "LifeCycleState": self._state(one.mount_target_id)}
        shape.pop("SecurityGroups", None)
        return shape

    def describe_mount_targets(self) -> TYPE_RESPONSE:
        """EFS API DescribeMountTargets."""
        marker, found = self.efs_backend.describe_mount_targets(
            max_items=self._get_int_param("MaxItems", 100),
            file_system_id=self._file_system().file_system_id if self._get_param("FileSystemId") else None,
            mount_target_id=self._get_param("MountTargetId"),
            access_point_id=self._get_param("AccessPointId"),
            marker=self._get_param("Marker"),
        )
        answer: dict[str, Any] = {"MountTargets": [self._target(one) for one in found]}
        return json.dumps(answer | ({"NextMarker": marker} if marker else {})), JSON

    def delete_mount_target(self) -> TYPE_RESPONSE:
        """EFS API DeleteMountTarget."""
        wanted = self._get_param("MountTargetId")
        if wanted not in self.efs_backend.mount_targets_by_id:
            raise Refused("MountTargetNotFound", f"Mount target '{wanted}' does not exist.", 404)
        self._begin(wanted, "deleting", 2.0)
        return "", {"status": 204, **JSON}

    def modify_mount_target_security_groups(self) -> TYPE_RESPONSE:
        """EFS API ModifyMountTargetSecurityGroups."""
        wanted = self._get_param("MountTargetId")
        if self._state(wanted) != "available":
            raise Refused("IncorrectMountTargetState", f"Mount target '{wanted}' is {self._state(wanted)}.", 409)
        self._groups()
        super().modify_mount_target_security_groups()
        return "", {"status": 204, **JSON}

    # Access points

    def create_access_point(self) -> TYPE_RESPONSE:
        """EFS API CreateAccessPoint; the same token again is the same access point."""
        one = self._file_system("available")
        token = self._get_param("ClientToken")
        for known in self.efs_backend.access_points.values():
            if known.client_token == token:
                raise Refused("AccessPointAlreadyExists", f"There is {known.access_point_id} of this ClientToken.", 409)
        root = self._get_param("RootDirectory") or {}
        path = root.get("Path", "/")
        if not path.startswith("/") or len(path) > 100 or path.count("/") > 4:
            raise Refused("BadRequest", f"RootDirectory.Path '{path}' is not valid.")
        if len(self.efs_backend.describe_access_points(None, one.file_system_id)) >= MAX_ACCESS_POINTS:
            raise Refused("AccessPointLimitExceeded", "The file system has too many access points.", 403)
        return super().create_access_point()

    def describe_access_points(self) -> TYPE_RESPONSE:
        """EFS API DescribeAccessPoints."""
        if self._get_param("FileSystemId"):
            self._file_system()
        return super().describe_access_points()

    def delete_access_point(self) -> TYPE_RESPONSE:
        """EFS API DeleteAccessPoint."""
        super().delete_access_point()
        return "", {"status": 204, **JSON}


class _AlreadyExists(Refused):
    """Names the file system that has the token. Source: EFS API FileSystemAlreadyExists."""

    def __init__(self, token: str, file_system_id: str) -> None:
        message = f"File system '{file_system_id}' already exists with creation token '{token}'"
        super().__init__("FileSystemAlreadyExists", message, 409)
        body = {"__type": "FileSystemAlreadyExists", "message": message, "Message": message}
        self.description = json.dumps({**body, "ErrorCode": "FileSystemAlreadyExists", "FileSystemId": file_system_id})
