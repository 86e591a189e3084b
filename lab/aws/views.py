"""What machines see of an instance (InstanceView), taken from moto's objects and the lab's record."""

from __future__ import annotations

from typing import Any

from lab.aws.machines import InstanceView, MetadataOptions, VolumeView
from lab.aws.world import Record, World


def view(world: World, record: Record) -> InstanceView:
    """The instance as it is now."""
    instance = record.instance
    nic = instance.nics[0]
    subnet = nic.subnet
    return InstanceView(
        instance_id=instance.id,
        state=instance.state,
        image_id=instance.image_id,
        image_name=record.image_name,
        login_user=record.login_user,
        instance_type=instance.instance_type,
        architecture=instance.architecture,
        region=world.config.region,
        zone=subnet.availability_zone,
        zone_id=subnet.availability_zone_id,
        subnet_id=subnet.id,
        subnet_cidr=subnet.cidr_block,
        vpc_id=subnet.vpc_id,
        vpc_cidr=world.backend.get_vpc(subnet.vpc_id).cidr_block,
        private_ip=nic.private_ip_address,
        public_ip=nic.public_ip or "",
        private_dns_name=instance.private_dns_name,
        public_dns_name=instance.public_dns_name or "",
        mac_address=nic.mac_address,
        network_interface_id=nic.id,
        reservation_id=record.reservation_id,
        account_id=world.config.account_id,
        launch_index=instance.ami_launch_index,
        launch_time=record.launched,
        lifecycle=record.lifecycle,
        spot_request_id=record.spot_request_id,
        fleet_id=record.fleet_id,
        key_name=instance.key_name or "",
        public_key=_public_key(world, instance.key_name),
        user_data=record.user_data,
        shutdown_behavior=instance.instance_initiated_shutdown_behavior,
        instance_profile_arn=record.profile.get("Arn", ""),
        instance_profile_id=record.profile.get("Id", ""),
        role_name=record.profile.get("RoleName", ""),
        root_device_name=instance.root_device_name,
        root_volume_id=record.root_volume_id,
        root_volume_gib=_size(world, record.root_volume_id),
        security_group_ids=tuple(g.id for g in instance.security_groups),
        security_group_names=tuple(g.name for g in instance.security_groups),
        metadata_options=_options(instance.metadata_options),
        tags=dict(world.backend.tags.get(instance.id, {})),
        volumes=tuple(
            volume_view(world.backend.volumes[device.volume_id], name)
            for name, device in instance.get_block_device_mapping
            if device.volume_id != record.root_volume_id and device.volume_id in world.backend.volumes
        ),
    )


def volume_view(volume: Any, device: str) -> VolumeView:
    """A volume at a device name."""
    return VolumeView(volume.id, int(volume.size), volume.snapshot_id or "", device)


def _public_key(world: World, name: str | None) -> str:
    key = world.backend.key_pairs.get(name)
    if key is None:
        return ""
    material = key.material_public
    text = material.decode() if isinstance(material, bytes) else str(material)
    return text.strip()


def _size(world: World, volume_id: str) -> int:
    volume = world.backend.volumes.get(volume_id)
    return int(volume.size) if volume else 0


def _options(options: Any) -> MetadataOptions:
    return MetadataOptions(
        http_endpoint=options.http_endpoint,
        http_tokens=options.http_tokens,
        http_put_response_hop_limit=options.http_put_response_hop_limit,
        instance_metadata_tags=options.instance_metadata_tags,
    )
