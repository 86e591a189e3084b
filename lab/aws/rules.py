"""What EC2 refuses, one small function a rule; each names its AWS source and has a test.

Sources are short names: [ERR] "Error codes for the Amazon EC2 API", [API x] the API reference page of x, [UG x] a
page of the EC2 User Guide, [EBS x] of the EBS User Guide, [OBS] seen in public reports of real accounts.
A rule raises `Refusal`, or returns what it has found.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.kms.models import kms_backends

from lab.aws import prices
from lab.aws.errors import Refusal
from lab.aws.world import World

USER_DATA_LIMIT = 16384  # bytes before base64
TOKEN_LIMIT = 64  # characters
PENDING_SNAPSHOTS, SNAPSHOT_PAUSE = 5, 15  # a volume; seconds
MODIFICATIONS_A_DAY = 4
LOWEST_MAX_PRICE = 0.001  # USD per hour
METADATA_TAG_KEY = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}\Z")
DEVICE_NAME = re.compile(r"(/dev/)?(sd[a-z]\d{0,2}|xvd[a-z]{1,2}\d{0,2})\Z")

# id prefix -> (code when malformed). Source: [ERR] *.Malformed
MALFORMED = {
    "ami": "InvalidAMIID.Malformed",
    "i": "InvalidInstanceID.Malformed",
    "subnet": "InvalidSubnetID.Malformed",
    "sg": "InvalidGroupId.Malformed",
    "lt": "InvalidLaunchTemplateId.Malformed",
    "vol": "InvalidParameterValue",
    "snap": "InvalidSnapshotID.Malformed",
    "fleet": "InvalidFleetId.Malformed",
}


def well_formed(prefix: str, resource_id: str) -> str:
    """An id is its prefix and 8 or 17 hex digits (fleets: a UUID). Source: [ERR] Invalid…ID.Malformed."""
    digits = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" if prefix == "fleet" else r"([0-9a-f]{8}|[0-9a-f]{17})"
    if re.fullmatch(f"{prefix}-{digits}", resource_id or ""):
        return resource_id
    code = MALFORMED[prefix]
    if code == "InvalidParameterValue":
        raise Refusal(code, f"Value ({resource_id}) for parameter volumeId is invalid. Expected: '{prefix}-...'.")
    raise Refusal(code, f'Invalid id: "{resource_id}" (expecting "{prefix}-...")')


def image(world: World, image_id: str | None) -> Any:
    """The image must exist in the region. Source: [ERR] InvalidAMIID.NotFound, MissingParameter."""
    if not image_id:
        raise Refusal("MissingParameter", "The request must contain the parameter ImageId")
    well_formed("ami", image_id)
    found = world.backend.amis.get(image_id)
    if found is None:
        raise Refusal("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return found


def offered_zones(world: World, type_name: str) -> list[str]:
    """Zones of the region that sell the type; a retired type has none. Source: [API DescribeInstanceTypeOfferings]."""
    return prices.offered_zones(type_name, world.config.region, world.config.not_offered)


def instance_type(world: World, name: str) -> dict[str, Any]:
    """The type must be sold in the region. Source: [API RunInstances] InvalidParameterValue, [OBS]."""
    if name not in INSTANCE_TYPES or not offered_zones(world, name):
        raise Refusal("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    return INSTANCE_TYPES[name]


def type_in_zone(world: World, type_name: str, zone: str) -> None:
    """A type is not sold in every zone. Source: [ERR] Unsupported; the text [OBS]."""
    zones = offered_zones(world, type_name)
    if zone not in zones:
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({type_name}) is not supported in your requested Availability Zone "
            f"({zone}). Please retry your request by not specifying an Availability Zone or choosing "
            f"{', '.join(zones)}.",
        )


def architecture(type_data: dict[str, Any], image_architecture: str) -> None:
    """Type and image must speak the same machine language. Source: [API RunInstances]; code and text [OBS]."""
    supported = type_data["ProcessorInfo"]["SupportedArchitectures"]
    if image_architecture not in supported:
        raise Refusal(
            "InvalidParameterValue",
            f"The architecture '{','.join(supported)}' of the specified instance type does not match the architecture "
            f"'{image_architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the "
            "architecture of the instance type or AMI.",
        )


def subnet(world: World, subnet_id: str) -> Any:
    """Source: [ERR] InvalidSubnetID.NotFound."""
    well_formed("subnet", subnet_id)
    for by_zone in world.backend.subnets.values():
        if subnet_id in by_zone:
            return by_zone[subnet_id]
    raise Refusal("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")


def zone(world: World, name: str) -> str:
    """Source: [API RunInstances] Placement.AvailabilityZone, InvalidParameterValue."""
    names = [z.name for z in world.backend.describe_availability_zones()]
    if name not in names:
        raise Refusal("InvalidParameterValue", f"Invalid availability zone: [{name}]")
    return name


def subnet_in_zone(subnet_zone: str, wanted: str | None) -> None:
    """Subnet and Placement must agree. Source: [API RunInstances] InvalidParameterValue."""
    if wanted and wanted != subnet_zone:
        raise Refusal(
            "InvalidParameterValue",
            f"The availability zone for the subnet ({subnet_zone}) does not match the requested one ({wanted}).",
        )


def security_group(world: World, group_id: str, vpc_id: str, subnet_id: str) -> Any:
    """A group must exist and belong to the subnet's VPC. Source: [ERR] InvalidGroup.NotFound, InvalidParameter."""
    well_formed("sg", group_id)
    group = world.backend.get_security_group_from_id(group_id)
    if group is None:
        raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
    if group.vpc_id != vpc_id:
        raise Refusal(
            "InvalidParameter",
            f"Security group {group_id} and subnet {subnet_id} belong to different networks.",
        )
    return group


def key_pair(world: World, name: str | None) -> Any:
    """Source: [ERR] InvalidKeyPair.NotFound."""
    if not name:
        return None
    if name not in world.backend.key_pairs:
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
    return world.backend.key_pairs[name]


def user_data(text: str | None) -> bytes:
    """Base64 of at most 16 KB. Source: [UG user-data] limit; [ERR] InvalidUserData.Malformed, InvalidParameterValue."""
    if not text:
        return b""
    try:
        raw = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as err:
        raise Refusal("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from err
    if len(raw) > USER_DATA_LIMIT:
        raise Refusal("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")
    return raw


def counts(minimum: int, maximum: int) -> None:
    """Source: [API RunInstances] MinCount, MaxCount."""
    if minimum < 1:
        raise Refusal(
            "InvalidParameterValue", f"Value ({minimum}) for parameter minCount is invalid. Must be positive."
        )
    if maximum < minimum:
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({minimum}) for parameter minCount is invalid. Min count must not be greater than max count.",
        )


def max_price(price: str | None, spot_price: float) -> None:
    """A maximum must be above 0.001 and not below the Spot price.

    Source: [API CreateFleet] MaxPrice, [API RunInstances] SpotOptions.MaxPrice; [ERR] SpotMaxPriceTooLow.
    """
    if price in (None, ""):
        return
    try:
        value = float(str(price))
    except ValueError as err:
        raise Refusal("InvalidParameterValue", f"Invalid value '{price}' for MaxPrice.") from err
    if value <= LOWEST_MAX_PRICE:
        raise Refusal(
            "InvalidParameterValue", f"Value ({price}) for parameter price is invalid. It must be greater than 0.001."
        )
    if value < spot_price:
        raise Refusal(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {price} is lower than the minimum required Spot request fulfillment price of "
            f"{spot_price:.6f}.",
        )


def market_options(options: dict[str, Any]) -> None:
    """A persistent request needs stop or hibernate. Source: [UG spot-requests]; [API RunInstances] SpotOptions."""
    spot = options.get("SpotOptions", {})
    if options.get("MarketType") not in (None, "spot", "capacity-block", "interruptible-capacity-reservation"):
        raise Refusal("InvalidParameterValue", f"Invalid value '{options.get('MarketType')}' for MarketType.")
    if spot.get("BlockDurationMinutes"):
        raise Refusal("Unsupported", "Spot Instances with a defined duration (Spot blocks) are no longer available.")
    if spot.get("SpotInstanceType") == "persistent" and spot.get("InstanceInterruptionBehavior") not in (
        "stop",
        "hibernate",
    ):
        raise Refusal(
            "InvalidParameterCombination",
            "Persistent Spot Instance requests support only the stop and hibernate interruption behaviors here.",
        )


def metadata_tag_keys(tags: dict[str, str], options: dict[str, Any]) -> None:
    """Tags shown in instance metadata have narrow keys. Source: [UG work-with-tags-in-IMDS]; code and text [OBS]."""
    if options.get("InstanceMetadataTags") != "enabled":
        return
    for key in tags:
        if not METADATA_TAG_KEY.match(key) or key in (".", "..", "_index"):
            raise Refusal(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and "
                "must not be a reserved name ('.', '..', '_index')",
            )


def tag_set(tags: dict[str, str]) -> None:
    """50 tags, keys of 128, values of 256 characters, no aws: prefix. Source: [UG Using_Tags] restrictions; [ERR]."""
    if len(tags) > 50:
        raise Refusal("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise Refusal("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if not key or len(key) > 128:
            raise Refusal("InvalidParameterValue", f"Tag key length must be between 1 and 128 characters: {key}")
        if len(value or "") > 256:
            raise Refusal("InvalidParameterValue", f"Tag value exceeds the maximum length of 256 characters: {key}")


def client_token(token: str | None) -> str:
    """At most 64 ASCII characters. Source: [ERR] InvalidClientToken, [API RunInstances] ClientToken."""
    if token and (len(token) > TOKEN_LIMIT or not token.isascii()):
        raise Refusal("InvalidClientToken", f"The client token exceeds {TOKEN_LIMIT} ASCII characters: {token}")
    return token or ""


def same_request(known: str, now: str) -> None:
    """A token belongs to one set of parameters. Source: [ERR] IdempotentParameterMismatch."""
    if known != now:
        raise Refusal(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )


def not_terminated(states: list[str]) -> None:
    """A token sticks to its dead instance. Source: [ERR] IdempotentInstanceTerminated."""
    if any(state in ("terminated", "shutting-down", "gone") for state in states):
        raise Refusal(
            "IdempotentInstanceTerminated",
            "The request to launch an instance uses the same client token as a previous request for which the instance "
            "has been terminated.",
        )


def stoppable(instance_id: str, state: str, spot_type: str | None) -> None:
    """One-time Spot Instances cannot be stopped. Source: [UG spot-requests] stop; [ERR] UnsupportedOperation, state."""
    if spot_type == "one-time":
        raise Refusal(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{instance_id}' because it is associated with a one-time Spot Instance "
            "request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
        )
    if state not in ("running", "stopping", "stopped"):
        raise Refusal(
            "IncorrectInstanceState", f"This instance '{instance_id}' is not in a state from which it can be stopped."
        )


def startable(instance_id: str, state: str) -> None:
    """Source: [ERR] IncorrectInstanceState."""
    if state not in ("stopped", "running", "pending"):
        raise Refusal(
            "IncorrectInstanceState", f"The instance '{instance_id}' is not in a state from which it can be started."
        )


def rebootable(instance_id: str, state: str) -> None:
    """Source: [ERR] IncorrectInstanceState."""
    if state != "running":
        raise Refusal(
            "IncorrectInstanceState", f"The instance '{instance_id}' is not in a state from which it can be rebooted."
        )


def volume(world: World, volume_id: str) -> Any:
    """Source: [ERR] InvalidVolume.NotFound."""
    well_formed("vol", volume_id)
    found = world.backend.volumes.get(volume_id)
    if found is None:
        raise Refusal("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
    return found


def same_zone(volume_id: str, volume_zone: str, instance_id: str, instance_zone: str) -> None:
    """A volume lives in one zone. Source: [ERR] InvalidVolume.ZoneMismatch."""
    if volume_zone != instance_zone:
        raise Refusal(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'",
        )


def attachable(volume_id: str, attached: bool, instance_id: str, instance_state: str) -> None:
    """One attachment, to a running or stopped instance. Source: [ERR] VolumeInUse, IncorrectState."""
    if attached:
        raise Refusal("VolumeInUse", f"{volume_id} is already attached to an instance")
    if instance_state not in ("running", "stopped"):
        raise Refusal("IncorrectState", f"Instance '{instance_id}' is not 'running'.")


def device_name(device: str, used: list[str]) -> None:
    """A free name in EC2's scheme. Source: [UG device_naming]; [ERR] InvalidParameterValue (in use)."""
    if not DEVICE_NAME.match(device or ""):
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name.",
        )
    if device in used:
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


def created(volume_id: str, state: str) -> None:
    """A volume must exist in full before it is used. Source: [ERR] IncorrectState."""
    if state == "creating":
        raise Refusal("IncorrectState", f"Volume '{volume_id}' is in the 'creating' state.")


def snapshot_complete(snapshot_id: str, state: str) -> None:
    """Source: [ERR] IncorrectState; [API CreateVolume] SnapshotId."""
    if state != "completed":
        raise Refusal("IncorrectState", f"Snapshot '{snapshot_id}' is in the '{state}' state.")


def another_snapshot(pending: list[datetime], moment: datetime) -> None:
    """Five pending ones a volume, one in 15 s. Source: [ERR] ConcurrentSnapshotLimitExceeded,
    SnapshotCreationPerVolumeRateExceeded ("wait at least 15 seconds between concurrent volume snapshots").
    """
    if len(pending) >= PENDING_SNAPSHOTS:
        raise Refusal("ConcurrentSnapshotLimitExceeded", "Maximum allowed in-progress snapshots for a volume exceeded.")
    if any((moment - start).total_seconds() < SNAPSHOT_PAUSE for start in pending):
        raise Refusal(
            "SnapshotCreationPerVolumeRateExceeded",
            "The rate limit for creating concurrent snapshots of an EBS volume has been exceeded. Wait at least 15"
            " seconds between concurrent volume snapshots.",
        )


# Source: [API CreateVolume] Size, Iops, Throughput: smallest and largest size in GiB.
VOLUME_SIZES = {
    "gp2": (1, 16384),
    "gp3": (1, 65536),
    "io1": (4, 16384),
    "io2": (4, 65536),
    "st1": (125, 16384),
    "sc1": (125, 16384),
    "standard": (1, 1024),
}
GP3_IOPS, GP3_THROUGHPUT = (3000, 80000), (125, 2000)


def performance(kind: str, size: int, iops: Any, throughput: Any) -> None:
    """Size by type; gp3: 500 IOPS a GiB above the first 3000, 0.25 MiB/s an IOPS.

    Source: [API CreateVolume] Size, Iops, Throughput; [EBS general-purpose].
    """
    smallest, largest = VOLUME_SIZES.get(kind, (1, 65536))
    if not smallest <= size <= largest:
        raise Refusal(
            "InvalidParameterValue", f"Volume of {size}GiB is invalid; for {kind} from {smallest} to {largest}GiB."
        )
    if kind != "gp3":
        return
    wanted = int(iops or GP3_IOPS[0])
    if not GP3_IOPS[0] <= wanted <= GP3_IOPS[1]:
        raise Refusal("InvalidParameterValue", f"Volume iops of {wanted} is out of range for gp3.")
    if wanted > max(GP3_IOPS[0], 500 * size):
        raise Refusal(
            "InvalidParameterValue", f"Iops to volume size ratio of {wanted / size:g} is too high; max is 500"
        )
    rate = int(throughput or GP3_THROUGHPUT[0])
    if not GP3_THROUGHPUT[0] <= rate <= GP3_THROUGHPUT[1]:
        raise Refusal("InvalidParameterValue", f"Volume throughput of {rate} is out of range for gp3.")
    if rate > wanted * 0.25:
        raise Refusal(
            "InvalidParameterValue", f"Throughput (MiBps) to iops ratio of {rate / wanted:g} is too high; max is 0.25"
        )


def modifiable(volume_id: str, state: str, starts: list[datetime], moment: datetime) -> None:
    """One at a time, four in 24 hours. Source: [API ModifyVolume]; [ERR] IncorrectModificationState,
    VolumeModificationRateExceeded.
    """
    if state in ("modifying", "optimizing"):
        raise Refusal(
            "IncorrectModificationState",
            f"Cannot modify volume '{volume_id}', currently in modification state '{state}'.",
        )
    recent = sorted(start for start in starts if moment - start < timedelta(hours=24))
    if len(recent) >= MODIFICATIONS_A_DAY:
        following = recent[-MODIFICATIONS_A_DAY] + timedelta(hours=24)
        raise Refusal(
            "VolumeModificationRateExceeded",
            f"You've reached the maximum modification rate per volume limit. You can modify this volume again at"
            f" {following:%Y-%m-%dT%H:%M:%SZ}.",
        )


def key_is_usable(world: World, key: str | None) -> bool:
    """Whether a KMS key exists and is enabled; AWS's own for EBS always is. Source: [API CreateVolume] KmsKeyId."""
    if not key or key.endswith("alias/aws/ebs"):
        return True
    backend = kms_backends[world.config.account_id][world.config.region]
    name = key.rpartition(":")[2] if "alias/" in key else key.rpartition("/")[2]
    found = backend.get_key_id_from_alias(name) if name.startswith("alias/") else name
    known = backend.keys.get(found) if found else None
    return known is not None and known.enabled


def deletable_volume(volume_id: str, holder: str | None) -> None:
    """Source: [ERR] VolumeInUse."""
    if holder:
        raise Refusal("VolumeInUse", f"Volume {volume_id} is currently attached to {holder}")


def deletable_group(group_id: str, name: str, used: bool) -> None:
    """Not the default one, not one in use. Source: [ERR] CannotDelete, DependencyViolation."""
    if name == "default":
        raise Refusal("CannotDelete", f'the specified group: "{group_id}" name: "default" cannot be deleted by a user')
    if used:
        raise Refusal("DependencyViolation", f"resource {group_id} has a dependent object")


def template(world: World, spec: dict[str, Any]) -> tuple[Any, Any]:
    """Launch template and version must exist. Source: [ERR] InvalidLaunchTemplate(Name|Id).*, VersionNotFound."""
    template_id, name = spec.get("LaunchTemplateId"), spec.get("LaunchTemplateName")
    if bool(template_id) == bool(name):
        raise Refusal(
            "InvalidParameterCombination",
            "Specify either a launch template ID or a launch template name, and not both.",
        )
    if name:
        template_id = world.backend.launch_template_name_to_ids.get(name)
        if template_id is None:
            raise Refusal(
                "InvalidLaunchTemplateName.NotFoundException",
                f"The specified launch template, with template name {name}, does not exist.",
            )
    found = world.backend.launch_templates.get(well_formed("lt", str(template_id)))
    if found is None:
        raise Refusal(
            "InvalidLaunchTemplateId.NotFound",
            f"The specified launch template, with template ID {template_id}, does not exist.",
        )
    return found, template_version(found, str(spec.get("Version") or "$Default"))


def template_version(found: Any, version: str) -> Any:
    """`$Latest`, `$Default` or a number that exists. Source: [ERR] InvalidLaunchTemplateId.VersionNotFound."""
    if version == "$Latest":
        return found.latest_version()
    number = found.default_version_number if version == "$Default" else version
    for candidate in found.versions:
        if str(candidate.number) == str(number):
            return candidate
    raise Refusal(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version {version} for the launch template with ID {found.id}.",
    )


def quota(world: World, type_name: str, wanted: int, market: str) -> None:
    """VCPUs of a family group per region. Source: [UG using-spot-limits]; [ERR] MaxSpotInstanceCountExceeded."""
    group = prices.quota_group(type_name)
    limit = world.quota.get(group)
    if limit is None:
        return
    used = sum(
        prices.vcpus(r.instance.instance_type)
        for r in world.live()
        if r.lifecycle == market and prices.quota_group(r.instance.instance_type) == group
    )
    if used + wanted * prices.vcpus(type_name) <= limit:
        return
    if market == "spot":
        raise Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise Refusal(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket "
        "that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to "
        "request an adjustment to this limit.",
    )


def free_places(world: World, type_name: str, zone_name: str, market: str) -> int | None:
    """How many instances the pool can still start; None is no limit. Source: set by the control call `capacity`."""
    for limit in reversed(world.capacity):
        if limit.type in ("*", type_name) and limit.zone in ("*", zone_name) and limit.market in ("*", market):
            held = sum(
                1
                for r in world.live()
                if r.instance.instance_type == type_name
                and r.instance.availability_zone == zone_name
                and limit.market in ("*", r.lifecycle)
            )
            return max(0, limit.count - held)
    return None


def capacity(free: int | None, wanted: int, type_name: str, zone_name: str, market: str) -> None:
    """The pool must have room. Source: [ERR] InsufficientInstanceCapacity (HTTP 500); texts [OBS]."""
    if free is None or wanted <= free:
        return
    if market == "spot":
        raise Refusal("InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request.")
    raise Refusal(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {type_name} capacity in the Availability Zone you requested "
        f"({zone_name}). Our system will be working on provisioning additional capacity. You can currently get "
        f"{type_name} capacity by not specifying an Availability Zone in your request.",
    )


def free_addresses(found: Any, count: int) -> None:
    """Every instance needs an address of its subnet. Source: [ERR] InsufficientFreeAddressesInSubnet."""
    if found.available_ip_address_count < count:
        raise Refusal(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{found.id}' to satisfy the requested number of instances.",
        )


def network_of_request(request: dict[str, Any]) -> None:
    """Groups and subnet stand at one place. Source: [API RunInstances] NetworkInterfaces."""
    if request.get("NetworkInterfaces") and (
        request.get("SecurityGroupIds") or request.get("SubnetId") or request.get("SecurityGroups")
    ):
        raise Refusal(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same "
            "request",
        )
