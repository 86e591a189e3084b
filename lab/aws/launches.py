"""From what was asked for to instances: launch template merged in, every rule asked, moto's objects made.

RunInstances, CreateFleet and RequestSpotInstances all end here. A launch specification is a dict in the shape of the
parameters of RunInstances (botocore RunInstancesRequest); a launch template's data has the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models.instances import InstanceState
from moto.ec2.utils import random_spot_request_id
from moto.iam.models import iam_backends

from lab.aws import images, prices, rules, views
from lab.aws.errors import Refusal
from lab.aws.world import Record, World, now

# Where a request and its template both may say something and neither replaces the other as a whole.
MERGED = ("TagSpecifications", "BlockDeviceMappings", "NetworkInterfaces")
# Prefix of a fleet's id -> the tag that its instances carry. Source: EC2 User Guide, EC2 Fleet and Spot Fleet tags.
FLEET_TAGS = {"fleet": "aws:ec2:fleet-id", "sfr": "aws:ec2spot:fleet-request-id"}


@dataclass
class Plan:
    """A launch specification in which every name has been resolved."""

    spec: dict[str, Any]
    image: Any
    type_name: str
    zone: str
    subnet: Any
    groups: list[Any]
    market: str  # "spot" or "on-demand"
    user_data: bytes
    profile: dict[str, str]
    devices: list[dict[str, Any]]
    public_ip: bool
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # resource type -> tags
    template_tags: dict[str, str] = field(default_factory=dict)


def merge(template: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Request over template: what the request says wins, tags by key, devices by name, interfaces by index.

    Source: EC2 API RunInstances, LaunchTemplate ("Any parameters that you specify override").
    """
    given = {k: v for k, v in request.items() if v not in (None, [], {})}
    merged = {k: v for k, v in template.items() if v not in (None, [], {})} | given
    if given.get("SecurityGroupIds") or given.get("SubnetId"):
        merged = _move_to_interface(merged, given)
    for name in MERGED:
        if template.get(name) and request.get(name):
            merged[name] = _MERGERS[name](template[name], request[name])
    return merged


def _move_to_interface(merged: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """An override's subnet goes into the template's network interface, as AWS does for fleets."""
    interfaces = merged.get("NetworkInterfaces")
    if not interfaces or given.get("NetworkInterfaces") or not given.get("SubnetId"):
        return merged
    first = {**interfaces[0], "SubnetId": given["SubnetId"]}
    rest = {k: v for k, v in merged.items() if k != "SubnetId"}
    return {**rest, "NetworkInterfaces": [first, *interfaces[1:]]}


def _by(key: str, base: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged = {str(item.get(key)): item for item in base}
    for item in over:
        known = merged.get(str(item.get(key)), {})
        joined = {**known, **item}
        if known.get("Ebs") and item.get("Ebs"):
            joined["Ebs"] = {**known["Ebs"], **item["Ebs"]}
        merged[str(item.get(key))] = joined
    return list(merged.values())


def _merge_tags(base: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tags = tag_map(base)
    for kind, more in tag_map(over).items():
        tags[kind] = {**tags.get(kind, {}), **more}
    return [{"ResourceType": k, "Tags": [{"Key": a, "Value": b} for a, b in v.items()]} for k, v in tags.items()]


_MERGERS = {
    "TagSpecifications": _merge_tags,
    "BlockDeviceMappings": lambda base, over: _by("DeviceName", base, over),
    "NetworkInterfaces": lambda base, over: _by("DeviceIndex", base, over),
}


def tag_map(specifications: list[dict[str, Any]] | None) -> dict[str, dict[str, str]]:
    """TagSpecifications as resource type -> tags; checked."""
    found: dict[str, dict[str, str]] = {}
    for item in specifications or []:
        tags = {t["Key"]: t.get("Value", "") for t in item.get("Tags", [])}
        rules.tag_set(tags)
        found.setdefault(item.get("ResourceType", "instance"), {}).update(tags)
    return found


def with_template(world: World, request: dict[str, Any]) -> dict[str, Any]:
    """The request with its launch template merged in."""
    reference = request.get("LaunchTemplate")
    if not reference:
        return request
    template, version = rules.template(world, reference)
    merged = merge(version.data, request)
    merged["__template__"] = {
        "aws:ec2launchtemplate:id": template.id,
        "aws:ec2launchtemplate:version": str(version.number),
    }
    return merged


def plan(world: World, spec: dict[str, Any]) -> Plan:
    """Ask every rule that needs no capacity; the first one broken refuses."""
    rules.network_of_request(spec)
    image = rules.image(world, images.resolve(world, spec.get("ImageId")))
    type_name = spec.get("InstanceType") or "m1.small"
    type_data = rules.instance_type(world, type_name)
    subnet = _subnet(world, spec, type_name)
    rules.type_in_zone(world, type_name, subnet.availability_zone)
    rules.architecture(type_data, image.architecture)
    rules.key_pair(world, spec.get("KeyName"))
    options = spec.get("InstanceMarketOptions", {})
    rules.market_options(options)
    market = "spot" if options.get("MarketType") == "spot" else "on-demand"
    if market == "spot":
        price = prices.spot(type_name, subnet.availability_zone, now())
        rules.max_price(options.get("SpotOptions", {}).get("MaxPrice"), price)
    tags = tag_map(spec.get("TagSpecifications"))
    rules.metadata_tag_keys(tags.get("instance", {}), spec.get("MetadataOptions", {}))
    return Plan(
        spec=spec,
        image=image,
        type_name=type_name,
        zone=subnet.availability_zone,
        subnet=subnet,
        groups=_groups(world, spec, subnet),
        market=market,
        user_data=rules.user_data(spec.get("UserData")),
        profile=_profile(world, spec.get("IamInstanceProfile")),
        devices=_devices(world, image, spec.get("BlockDeviceMappings", [])),
        public_ip=_wants_public_ip(spec, subnet),
        tags=tags,
        template_tags=spec.get("__template__", {}),
    )


def _interface(spec: dict[str, Any]) -> dict[str, Any]:
    for item in spec.get("NetworkInterfaces", []):
        if int(item.get("DeviceIndex", 0)) == 0:
            return item
    return {}


def _subnet(world: World, spec: dict[str, Any], type_name: str) -> Any:
    wanted_zone = spec.get("Placement", {}).get("AvailabilityZone")
    if wanted_zone:
        rules.zone(world, wanted_zone)
    subnet_id = spec.get("SubnetId") or _interface(spec).get("SubnetId")
    if subnet_id:
        subnet = rules.subnet(world, subnet_id)
        rules.subnet_in_zone(subnet.availability_zone, wanted_zone)
        return subnet
    return default_subnet(world, wanted_zone or _zone_for(world, type_name, spec))


def _zone_for(world: World, type_name: str, spec: dict[str, Any]) -> str:
    """Without a zone AWS chooses one that sells the type and has room."""
    market = spec.get("InstanceMarketOptions", {}).get("MarketType") or "on-demand"
    zones = rules.offered_zones(world, type_name)
    roomy = [z for z in zones if rules.free_places(world, type_name, z, market) != 0]
    return (roomy or zones)[0]


def default_subnet(world: World, zone: str) -> Any:
    """The zone's default subnet. Source: EC2 API RunInstances, SubnetId; [ERR] MissingInput."""
    for subnet in world.backend.subnets.get(zone, {}).values():
        if subnet.default_for_az:
            return subnet
    raise Refusal("MissingInput", f"No default subnet for availability zone: '{zone}'.")


def _groups(world: World, spec: dict[str, Any], subnet: Any) -> list[Any]:
    ids = list(_interface(spec).get("Groups") or spec.get("SecurityGroupIds") or [])
    for name in spec.get("SecurityGroups", []):
        group = world.backend.get_security_group_from_name(name, subnet.vpc_id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC")
        ids.append(group.id)
    if not ids:
        return [world.backend.get_default_security_group(subnet.vpc_id)]
    return [rules.security_group(world, group_id, subnet.vpc_id, subnet.id) for group_id in ids]


def _profile(world: World, wanted: dict[str, str] | None) -> dict[str, str]:
    """Source: [ERR] InvalidParameterValue for iamInstanceProfile."""
    if not wanted:
        return {}
    known = iam_backends[world.config.account_id]["aws"].instance_profiles.values()
    for profile in known:
        if wanted.get("Arn") == profile.arn or wanted.get("Name") == profile.name:
            role = profile.roles[0].name if profile.roles else ""
            return {"Arn": profile.arn, "Id": profile.id, "RoleName": role}
    kind = "arn" if wanted.get("Arn") else "name"
    value = wanted.get("Arn") or wanted.get("Name")
    raise Refusal(
        "InvalidParameterValue",
        f"Value ({value}) for parameter iamInstanceProfile.{kind} is invalid. Invalid IAM Instance Profile {kind}",
    )


def _devices(world: World, image: Any, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The image's root volume with the request's changes, then further volumes. Source: [UG block-device-mapping]."""
    merged = _by("DeviceName", image.block_device_mappings, wanted)
    devices = []
    for item in merged:
        if "NoDevice" in item or "Ebs" not in item:
            continue
        ebs = {k: v for k, v in item["Ebs"].items() if v is not None}
        root = item["DeviceName"] == image.root_device_name
        if not root and ebs.get("SnapshotId") and ebs["SnapshotId"] not in world.backend.snapshots:
            raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{ebs['SnapshotId']}' does not exist.")
        if not ebs.get("VolumeSize") and not ebs.get("SnapshotId"):
            raise Refusal("MissingParameter", "The request must contain the parameter size or snapshotId")
        if root and int(ebs.get("VolumeSize", 0)) < image.root_gib:
            raise Refusal(
                "InvalidBlockDeviceMapping",
                f"Volume of size {ebs.get('VolumeSize')}GB is smaller than snapshot '{ebs.get('SnapshotId')}', expect "
                f"size >= {image.root_gib}GB",
            )
        devices.append({"DeviceName": item["DeviceName"], "Root": root, **ebs})
    return devices


def _wants_public_ip(spec: dict[str, Any], subnet: Any) -> bool:
    asked = _interface(spec).get("AssociatePublicIpAddress")
    return bool(subnet.map_public_ip_on_launch) if asked is None else bool(asked)


def launch(world: World, planned: Plan, count: int, **facts: str) -> list[Record]:
    """Take `count` places in the pool and make the instances, `pending`; machines are told by the caller.

    `facts`: client_token, fleet_id, spot_type (one-time or persistent).
    """
    rules.quota(world, planned.type_name, count, planned.market)
    free = rules.free_places(world, planned.type_name, planned.zone, planned.market)
    rules.capacity(free, count, planned.type_name, planned.zone, planned.market)
    rules.free_addresses(planned.subnet, count)
    spec = planned.spec
    reservation = world.backend.run_instances(
        planned.image.id,
        count,
        spec.get("UserData"),
        [],
        instance_type=planned.type_name,
        is_instance_type_default=False,
        region_name=world.config.region,
        subnet_id=planned.subnet.id,
        key_name=spec.get("KeyName"),
        security_group_ids=list(planned.groups),
        associate_public_ip=planned.public_ip,
        private_ip=spec.get("PrivateIpAddress") if count == 1 else None,
        tags={k: v for k, v in planned.tags.items() if k == "instance"},
        block_device_mappings=[],
        metadata_options=spec.get("MetadataOptions", {}),
        instance_initiated_shutdown_behavior=spec.get("InstanceInitiatedShutdownBehavior"),
        disable_api_stop=bool(spec.get("DisableApiStop")),
        disable_api_termination=bool(spec.get("DisableApiTermination")),
        ebs_optimized=bool(spec.get("EbsOptimized")),
        monitoring_state="enabled" if spec.get("Monitoring", {}).get("Enabled") else "disabled",
        client_token=facts.get("client_token", ""),
        lifecycle="spot" if planned.market == "spot" else None,
    )
    return [_register(world, planned, reservation, instance, facts) for instance in reservation.instances]


def _register(world: World, planned: Plan, reservation: Any, instance: Any, facts: dict[str, str]) -> Record:
    instance._state = InstanceState("pending", 0)
    record = Record(
        instance=instance,
        reservation_id=reservation.id,
        lifecycle=planned.market,
        client_token=facts.get("client_token", ""),
        fleet_id=facts.get("fleet_id", ""),
        profile=planned.profile,
        user_data=planned.user_data,
        image_name=planned.image.name,
        login_user=getattr(planned.image, "login_user", "admin"),
    )
    world.records[instance.id] = record
    instance.add_tags(planned.template_tags)
    if record.fleet_id:
        instance.add_tags({FLEET_TAGS[record.fleet_id.split("-")[0]]: record.fleet_id})
    if planned.market == "spot":
        record.spot_request_id = _spot_request(world, planned, record, facts.get("spot_type") or "one-time")
    for nic in instance.nics.values():
        nic.delete_on_termination = True
        nic.add_tags(planned.tags.get("network-interface", {}))
    for device in planned.devices:
        _add_volume(world, planned, record, device)
    return record


def _spot_request(world: World, planned: Plan, record: Record, kind: str) -> str:
    """The request behind a Spot Instance, fulfilled."""
    request = spot_request(planned, kind)
    request |= {
        "InstanceId": record.instance.id,
        "LaunchedAvailabilityZone": planned.zone,
        "State": "active",
        "Status": {"Code": "fulfilled", "Message": "Your Spot request is fulfilled.", "UpdateTime": now()},
    }
    request_id: str = request["SpotInstanceRequestId"]
    world.spot_requests[request_id] = request
    world.backend.create_tags([request_id], planned.tags.get("spot-instances-request", {}))
    return request_id


def spot_request(planned: Plan, kind: str) -> dict[str, Any]:
    """A new Spot request, `open` and not in any table. Source: EC2 API SpotInstanceRequest."""
    options = planned.spec.get("InstanceMarketOptions", {}).get("SpotOptions", {})
    return {
        "SpotInstanceRequestId": random_spot_request_id(),
        "CreateTime": now(),
        "InstanceInterruptionBehavior": options.get("InstanceInterruptionBehavior", "terminate"),
        "LaunchSpecification": {
            "ImageId": planned.image.id,
            "InstanceType": planned.type_name,
            "KeyName": planned.spec.get("KeyName"),
            "SubnetId": planned.subnet.id,
            "Placement": {"AvailabilityZone": planned.zone},
            "SecurityGroups": [{"GroupId": g.id, "GroupName": g.name} for g in planned.groups],
        },
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": options.get("MaxPrice") or f"{prices.on_demand(planned.type_name):.6f}",
        "State": "open",
        "Status": {
            "Code": "pending-evaluation",
            "Message": "Your Spot request has been submitted for review, and is pending evaluation.",
            "UpdateTime": now(),
        },
        "Type": options.get("SpotInstanceType") or kind,
    }


def _add_volume(world: World, planned: Plan, record: Record, device: dict[str, Any]) -> None:
    snapshot = device.get("SnapshotId")
    volume = world.backend.create_volume(
        size=device.get("VolumeSize"),
        zone_name=planned.zone,
        snapshot_id=snapshot if snapshot in world.backend.snapshots else None,
        encrypted=bool(device.get("Encrypted")),
        volume_type=device.get("VolumeType") or "gp2",
        iops=device.get("Iops"),
        throughput=device.get("Throughput"),
    )
    volume.add_tags(planned.tags.get("volume", {}))
    keep = device.get("DeleteOnTermination") is False or (
        device.get("DeleteOnTermination") is None and not device["Root"]
    )
    world.backend.attach_volume(volume.id, record.instance.id, device["DeviceName"], not keep)
    if device["Root"]:
        record.root_volume_id = volume.id


def start(world: World, records: list[Record]) -> None:
    """Tell the machines, once everything of the call has succeeded."""
    for record in records:
        world.machines.start(views.view(world, record))
