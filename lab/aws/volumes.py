"""EBS volumes; snapshots.py and modifications.py have the rest."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from lab.aws import cloud, filters, launches, rules, snapshots, tokens, views
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import World

KEY_CHECK = 1.0  # seconds until a volume with a key that may not be used is gone
TYPES = ("standard", "gp2", "gp3", "io1", "io2", "sc1", "st1")
FILTERS = filters.table(
    {
        "attachment.attach-time": "Attachments.AttachTime",
        "attachment.delete-on-termination": "Attachments.DeleteOnTermination",
        "attachment.device": "Attachments.Device",
        "attachment.instance-id": "Attachments.InstanceId",
        "attachment.status": "Attachments.State",
        "availability-zone": "AvailabilityZone",
        "create-time": "CreateTime",
        "encrypted": "Encrypted",
        "multi-attach-enabled": "MultiAttachEnabled",
        "size": "Size",
        "snapshot-id": "SnapshotId",
        "status": "State",
        "volume-id": "VolumeId",
        "volume-type": "VolumeType",
    }
)


def describe(world: World, volume: Any) -> dict[str, Any]:
    """One volume in the shape of EC2 API Volume; members that amazon.aws reads are always there."""
    shape = {
        "VolumeId": volume.id,
        "Size": int(volume.size),
        "VolumeType": volume.volume_type,
        "State": state_of(world, volume),
        "AvailabilityZone": volume.zone.name,
        "AvailabilityZoneId": volume.zone.zone_id,
        "CreateTime": volume.create_time,
        "Encrypted": bool(volume.encrypted),
        "KmsKeyId": volume.kms_key_id if volume.encrypted else None,
        "Iops": volume.iops or {"gp3": 3000, "gp2": max(100, int(volume.size) * 3)}.get(volume.volume_type),
        "Throughput": volume.throughput or (125 if volume.volume_type == "gp3" else None),
        "SnapshotId": volume.snapshot_id or "",
        "MultiAttachEnabled": False,
        "Attachments": _attachments(world, volume),
        "Tags": tag_list(world, volume.id),
    }
    return {k: v for k, v in shape.items() if v is not None}


def state_of(world: World, volume: Any) -> str:
    """`creating` while its data come from a snapshot, else what moto says."""
    return "creating" if world.volume_states.get(volume.id) == "creating" else str(volume.status)


def _attachments(world: World, volume: Any) -> list[dict[str, Any]]:
    if not volume.attachment:
        return []
    return [attachment(volume, world.volume_states.get(volume.id, "attached"))]


def attachment(volume: Any, state: str) -> dict[str, Any]:
    """EC2 API VolumeAttachment."""
    held = volume.attachment
    device = held.instance.block_device_mapping.get(held.device)
    return {
        "VolumeId": volume.id,
        "InstanceId": held.instance.id,
        "Device": held.device,
        "State": state,
        "AttachTime": held.attach_time,
        "DeleteOnTermination": bool(device and device.delete_on_termination),
    }


class Volumes(LabResponse):
    """Actions on EBS."""

    def create_volume(self) -> ActionResult:
        """EC2 API CreateVolume."""
        args = self.args
        key = ("CreateVolume", "", args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            known = self.world.backend.volumes.get(earlier["VolumeId"])
            return ActionResult(describe(self.world, known) if known else earlier)
        zone, size = self._where_and_how_big(args)
        tags = launches.tag_map(args.get("TagSpecifications")).get("volume", {})
        self.dry_run()
        volume = self.world.backend.create_volume(
            size=size,
            zone_name=zone,
            snapshot_id=args.get("SnapshotId"),
            encrypted=bool(args.get("Encrypted")),
            kms_key_id=args.get("KmsKeyId"),
            volume_type=args.get("VolumeType"),
            iops=args.get("Iops"),
            throughput=args.get("Throughput"),
        )
        volume.add_tags(tags)
        if volume.encrypted and args.get("SnapshotId") and not args.get("KmsKeyId"):
            volume.kms_key_id = self.world.backend.snapshots[args["SnapshotId"]].kms_key_id or volume.kms_key_id
        self._fill(volume, args)
        answer = describe(self.world, volume) | {"State": "creating"}
        tokens.remember(self.world, key, args, answer)
        return ActionResult(answer)

    def _fill(self, volume: Any, args: dict[str, Any]) -> None:
        """Data of a snapshot take a moment. A key that may not be used is found out after the answer.

        Source: EC2 API CreateVolume, KmsKeyId: "authenticates the KMS key asynchronously … can appear to complete, but
        eventually fails".
        """
        world = self.world
        if not rules.key_is_usable(world, args.get("KmsKeyId")):
            world.volume_states[volume.id] = "creating"
            cloud.later(world.delay(KEY_CHECK), cloud.delete_volume, world, volume.id)
        elif args.get("SnapshotId"):
            world.volume_states[volume.id] = "creating"
            world.machines.fill(volume.id, int(volume.size), args["SnapshotId"])

    def _where_and_how_big(self, args: dict[str, Any]) -> tuple[str, int | None]:
        """Source: EC2 API CreateVolume; [ERR] InvalidZone.NotFound, InvalidSnapshot.NotFound, InvalidParameterValue."""
        zone = args.get("AvailabilityZone")
        if not zone:
            raise Refusal("MissingParameter", "The request must contain the parameter AvailabilityZone")
        if zone not in [z.name for z in self.world.backend.describe_availability_zones()]:
            raise Refusal("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
        kind = args.get("VolumeType") or "gp2"
        if kind not in TYPES:
            raise Refusal("InvalidParameterValue", f"Invalid value '{kind}' for volumeType.")
        snapshot_id, size = args.get("SnapshotId"), args.get("Size")
        if not snapshot_id and not size:
            raise Refusal("MissingParameter", "The request must contain the parameter size/snapshot")
        if snapshot_id:
            snapshot = self.world.backend.snapshots.get(snapshot_id)
            if snapshot is None:
                raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
            rules.snapshot_complete(snapshot_id, self.world.snapshot_states.get(snapshot_id, "completed"))
            size = size or snapshots.size_of(snapshot)
            if int(size) < snapshots.size_of(snapshot):
                raise Refusal(
                    "InvalidParameterValue",
                    f"Volume of size {size}GB is smaller than snapshot '{snapshot_id}', expect size >= "
                    f"{snapshots.size_of(snapshot)}GB",
                )
        rules.performance(kind, int(size or 0), args.get("Iops"), args.get("Throughput"))
        return zone, size

    def describe_volumes(self) -> ActionResult:
        """EC2 API DescribeVolumes."""
        args = self.args
        ids = args.get("VolumeIds") or []
        volumes = [rules.volume(self.world, i) for i in ids] or (
            [] if ids else [v for v in self.world.backend.volumes.values()]
        )
        shapes = [describe(self.world, v) for v in volumes]
        shapes = filters.apply(shapes, args.get("Filters", []), FILTERS)
        found, token = filters.page(shapes, args)
        return ActionResult({"Volumes": found, "NextToken": token})

    def describe_volume_status(self) -> ActionResult:  # type: ignore[override]  # moto declares str but takes both
        """EC2 API DescribeVolumeStatus: all is well."""
        ids = self.args.get("VolumeIds") or list(self.world.backend.volumes)
        status = [
            {
                "VolumeId": v.id,
                "AvailabilityZone": v.zone.name,
                "VolumeStatus": {"Status": "ok", "Details": [{"Name": "io-enabled", "Status": "passed"}]},
                "Actions": [],
                "Events": [],
            }
            for v in (rules.volume(self.world, i) for i in ids)
        ]
        return ActionResult({"VolumeStatuses": status})

    def attach_volume(self) -> ActionResult:
        """EC2 API AttachVolume: `attaching` until the machine shows the device."""
        args = self.args
        volume = rules.volume(self.world, args.get("VolumeId", ""))
        instance_id = rules.well_formed("i", args.get("InstanceId", ""))
        record = self.world.records.get(instance_id)
        if record is None:
            raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        instance, device = record.instance, args.get("Device", "")
        rules.created(volume.id, state_of(self.world, volume))
        rules.same_zone(volume.id, volume.zone.name, instance.id, instance.availability_zone)
        rules.attachable(volume.id, bool(volume.attachment), instance.id, instance.state)
        rules.device_name(device, list(instance.block_device_mapping))
        self.dry_run()
        self.world.backend.attach_volume(volume.id, instance.id, device, False)
        answer = attachment(volume, "attaching")
        if instance.state == "running":
            self.world.volume_states[volume.id] = "attaching"
            self.world.machines.attach(views.volume_view(volume, device), instance.id)
        return ActionResult(answer)

    def detach_volume(self) -> ActionResult:
        """EC2 API DetachVolume: `detaching` until the machine has let go; a mounted one may stay so."""
        args = self.args
        volume = rules.volume(self.world, args.get("VolumeId", ""))
        held = volume.attachment
        if not held:
            raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        wanted = args.get("InstanceId")
        if wanted and wanted != held.instance.id:
            raise Refusal(
                "InvalidAttachment.NotFound",
                f"The volume '{volume.id}' is not attached to instance '{wanted}'",
            )
        record = self.world.records.get(held.instance.id)
        running = held.instance.state in ("running", "pending", "stopping")
        if running and record and record.root_volume_id == volume.id:
            raise Refusal(
                "OperationNotPermitted",
                f"Unable to detach root volume '{volume.id}' from instance '{held.instance.id}'",
            )
        self.dry_run()
        answer = attachment(volume, "detaching")
        if running:
            self.world.volume_states[volume.id] = "detaching"
            self.world.machines.detach(volume.id, held.instance.id, bool(args.get("Force")))
        else:
            cloud.release(self.world, volume)
        return ActionResult(answer)

    def delete_volume(self) -> ActionResult:
        """EC2 API DeleteVolume."""
        volume = rules.volume(self.world, self.args.get("VolumeId", ""))
        rules.deletable_volume(volume.id, volume.attachment.instance.id if volume.attachment else None)
        self.dry_run()
        cloud.delete_volume(self.world, volume.id)
        return EmptyResult()
