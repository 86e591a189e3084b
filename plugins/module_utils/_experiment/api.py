# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The AWS calls of the experiment modules: one small function a call, no decisions.

Every function raises :class:`ApiError`, which knows the IAM action of the call, so that an error can name the
permission that is missing. Reads use filters instead of ids: an id that does not exist is then an empty answer,
which the pure functions of ``problems.py`` turn into a message, and not an exception that hides the other mistakes.
"""

from __future__ import annotations

import contextlib
import functools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, TypeVar

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    from botocore.exceptions import BotoCoreError, ClientError

from .. import _aws_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Client = Any
    Resource = dict[str, Any]

T = TypeVar("T")

PARALLEL_CALLS = 16
LINUX_PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


class ApiError(Exception):
    """An AWS call failed.

    Attributes:
        action: IAM action of the call, for instance ``ec2:DescribeImages``.
        error: the botocore exception.
    """

    def __init__(self, action: str, error: Exception) -> None:
        super().__init__(f"{action}: {error}")
        self.action = action
        self.error = error

    @property
    def code(self) -> str:
        """The error code AWS gave, empty when there was no answer."""
        return _aws_errors.error_code(self.error)

    @property
    def reason(self) -> str:
        """Why, in a word or a short clause."""
        return "no permission" if self.denied else self.code or type(self.error).__name__

    @property
    def denied(self) -> bool:
        """Whether a permission is missing (the credentials themselves are good)."""
        return self.code in _aws_errors.PERMISSION_CODES


def calls(action: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Declare the IAM action of a call and turn botocore's exceptions into :class:`ApiError`."""

    def decorate(func: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> T:
            try:
                return func(*args, **kwargs)
            except (ClientError, BotoCoreError) as error:
                raise ApiError(action, error) from error

        return call

    return decorate


def gather(reads: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, Any], dict[str, ApiError]]:
    """Run calls in parallel.

    Args:
        reads: name of the answer -> function without arguments.

    Returns:
        The answers by name, and the errors by name of those that failed.
    """
    answers: dict[str, Any] = {}
    errors: dict[str, ApiError] = {}
    with ThreadPoolExecutor(max_workers=PARALLEL_CALLS) as pool:
        futures = {name: pool.submit(read) for name, read in reads.items()}
    for name, future in futures.items():
        try:
            answers[name] = future.result()
        except ApiError as error:
            errors[name] = error
    return answers, errors


def filters(**values: str | Iterable[str]) -> list[dict[str, Any]]:
    """EC2 ``Filters`` from keywords; ``_`` in a name stands for ``-``."""
    return [
        {"Name": name.replace("_", "-"), "Values": [value] if isinstance(value, str) else list(value)}
        for name, value in values.items()
    ]


def tagged(**tags: str) -> list[dict[str, Any]]:
    """EC2 ``Filters`` on our own tags: ``tagged(experiment="x")`` is ``tag:spot:experiment = x``."""
    return [{"Name": f"tag:spot:{key}", "Values": [value]} for key, value in tags.items()]


def pages(client: Client, operation: str, key: str, **request: Any) -> list[Resource]:
    """All pages of one operation.

    Source: botocore paginators of EC2, Pricing and Resource Groups (an empty page may still carry a token).
    """
    found: list[Resource] = []
    for page in client.get_paginator(operation).paginate(**request):
        found.extend(page.get(key) or [])
    return found


# Who and where


@calls("sts:GetCallerIdentity")
def caller_identity(sts: Client) -> Resource:
    """``{Account, Arn, UserId}`` of the credentials. Source: STS API GetCallerIdentity."""
    found = sts.get_caller_identity()
    return {key: found[key] for key in ("Account", "Arn", "UserId")}


@calls("ec2:DescribeAvailabilityZones")
def zone_names(ec2: Client) -> list[str]:
    """Names of the zones of the region that this account may use. Source: EC2 API DescribeAvailabilityZones."""
    return sorted(zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"])


# Results


@calls("s3:ListBucket")
def bucket(s3: Client, name: str) -> Resource:
    """``{state, region}`` of a bucket: ``there``, ``missing`` or ``forbidden``. Source: S3 API HeadBucket.

    HeadBucket has no body, so its errors are known by their status; a bucket in another region answers there.
    """
    try:
        found = s3.head_bucket(Bucket=name)
    except ClientError as error:
        state = {"404": "missing", "NoSuchBucket": "missing", "403": "forbidden", "AccessDenied": "forbidden"}
        code = error.response["Error"]["Code"]
        if code not in state:
            raise
        return {"state": state[code], "region": ""}
    return {"state": "there", "region": found.get("BucketRegion") or ""}


# Image


@calls("ssm:GetParameter")
def ssm_value(ssm: Client, name: str) -> str | None:
    """Value of a parameter, None when there is none of this name. Source: Systems Manager API GetParameter."""
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] in {"ParameterNotFound", "ParameterVersionNotFound"}:
            return None
        raise


@calls("ec2:DescribeImages")
def images_by_id(ec2: Client, image_id: str) -> list[Resource]:
    """The image of this id, as a list of at most one. Source: EC2 API DescribeImages."""
    return ec2.describe_images(Filters=filters(image_id=image_id))["Images"]


@calls("ec2:DescribeImages")
def images_by_name(ec2: Client, pattern: str, owner: str | None) -> list[Resource]:
    """Available images whose name matches a pattern with ``*`` and ``?``. Source: EC2 API DescribeImages."""
    request: dict[str, Any] = {"Filters": filters(name=pattern, state="available")}
    if owner:
        request["Owners"] = [owner]
    return pages(ec2, "describe_images", "Images", **request)


# Capacity


@calls("ec2:DescribeInstanceTypes")
def instance_types(ec2: Client, names: list[str]) -> list[Resource]:
    """Data of the types that the region knows; unknown names are left out. Source: EC2 API DescribeInstanceTypes."""
    return pages(ec2, "describe_instance_types", "InstanceTypes", Filters=filters(instance_type=names))


@calls("ec2:DescribeInstanceTypeOfferings")
def offerings(ec2: Client, names: list[str] | None = None) -> list[tuple[str, str]]:
    """``(type, zone)`` pairs that are offered; all types when no names are given.

    Source: EC2 API DescribeInstanceTypeOfferings, location type availability-zone.
    """
    request = {"Filters": filters(instance_type=names)} if names else {}
    found = pages(
        ec2,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        **request,
    )
    return [(offer["InstanceType"], offer["Location"]) for offer in found]


@calls("ec2:DescribeSubnets")
def subnets_by_id(ec2: Client, ids: list[str]) -> list[Resource]:
    """Subnets of these ids; unknown ones are left out. Source: EC2 API DescribeSubnets."""
    return pages(ec2, "describe_subnets", "Subnets", Filters=filters(subnet_id=ids))


@calls("ec2:DescribeSubnets")
def default_subnets(ec2: Client) -> list[Resource]:
    """The default subnet of each zone. Source: EC2 API DescribeSubnets, filter default-for-az."""
    return pages(ec2, "describe_subnets", "Subnets", Filters=filters(default_for_az="true"))


@calls("ec2:DescribeSpotPriceHistory")
def spot_prices(ec2: Client, types: list[str], now: datetime | None = None) -> list[Resource]:
    """The Spot prices of now, one entry per type and zone.

    Source: EC2 API DescribeSpotPriceHistory: start and end at the same moment give the price that holds then.
    """
    moment = now or datetime.now(timezone.utc)
    return pages(
        ec2,
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=types,
        ProductDescriptions=list(LINUX_PRODUCTS),
        StartTime=moment,
        EndTime=moment,
    )


@calls("pricing:GetProducts")
def on_demand_products(pricing: Client, instance_types: list[str], region: str) -> list[Resource]:
    """Price list entries of Linux types on shared hardware. Source: Price List Query API GetProducts, Filter."""
    terms = {
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    of_types = {"Type": "ANY_OF", "Field": "instanceType", "Value": ",".join(instance_types)}
    conditions = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in terms.items()]
    found: list[Any] = pages(
        pricing, "get_products", "PriceList", ServiceCode="AmazonEC2", Filters=[of_types, *conditions]
    )
    return [json.loads(entry) if isinstance(entry, str) else entry for entry in found]


@calls("servicequotas:GetServiceQuota")
def quota(quotas: Client, code: str) -> float:
    """Value of an EC2 quota in this region. Source: Service Quotas API GetServiceQuota."""
    return float(quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])


# Access


@calls("ec2:DescribeKeyPairs")
def key_pairs_by_name(ec2: Client, name: str) -> list[Resource]:
    """The key pair of this name with its public key, as a list. Source: EC2 API DescribeKeyPairs, IncludePublicKey."""
    return ec2.describe_key_pairs(Filters=filters(key_name=name), IncludePublicKey=True)["KeyPairs"]


@calls("ec2:DescribeSecurityGroups")
def security_groups_by_id(ec2: Client, ids: list[str]) -> list[Resource]:
    """Security groups of these ids; unknown ones are left out. Source: EC2 API DescribeSecurityGroups."""
    return pages(ec2, "describe_security_groups", "SecurityGroups", Filters=filters(group_id=ids))


@calls("ec2:DescribeSecurityGroups")
def security_groups_by_name(ec2: Client, name: str) -> list[Resource]:
    """Security groups of this name, one per VPC at most. Source: EC2 API DescribeSecurityGroups."""
    return pages(ec2, "describe_security_groups", "SecurityGroups", Filters=filters(group_name=name))


@calls("ec2:DescribeSecurityGroups")
def security_groups_in(ec2: Client, name: str, vpc_id: str) -> list[Resource]:
    """The security group of this name in a VPC, as a list of at most one. Source: EC2 API DescribeSecurityGroups."""
    return pages(ec2, "describe_security_groups", "SecurityGroups", Filters=filters(group_name=name, vpc_id=vpc_id))


def tag_specification(kind: str, tags: Mapping[str, str]) -> list[Resource]:
    """``TagSpecifications`` for one resource of a kind."""
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": str(value)} for key, value in tags.items()]}]


@calls("ec2:ImportKeyPair")
def import_key_pair(ec2: Client, name: str, public_key: str, tags: Mapping[str, str]) -> str:
    """Give AWS the public half of a key and return the id of the key pair. Source: EC2 API ImportKeyPair."""
    specification = tag_specification("key-pair", tags)
    answer = ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public_key.encode(), TagSpecifications=specification)
    return str(answer["KeyPairId"])


@calls("ec2:CreateSecurityGroup")
def create_security_group(ec2: Client, name: str, text: str, vpc_id: str, tags: Mapping[str, str]) -> str:
    """Make a security group that lets nobody in, and return its id. Source: EC2 API CreateSecurityGroup."""
    specification = tag_specification("security-group", tags)
    answer = ec2.create_security_group(GroupName=name, Description=text, VpcId=vpc_id, TagSpecifications=specification)
    return str(answer["GroupId"])


@calls("ec2:AuthorizeSecurityGroupIngress")
def authorize_ingress(ec2: Client, group_id: str, permissions: list[Resource]) -> None:
    """Let somebody in; a rule that is there already is no error. Source: EC2 error InvalidPermission.Duplicate."""
    with ignoring(lambda error: _aws_errors.error_code(error) == "InvalidPermission.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=permissions)


@calls("ec2:RevokeSecurityGroupIngress")
def revoke_ingress(ec2: Client, group_id: str, permissions: list[Resource]) -> None:
    """Let somebody in no longer; a rule that is gone is no error. Source: EC2 error InvalidPermission.NotFound."""
    with ignoring(_forgotten):
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=permissions)


@calls("iam:GetInstanceProfile")
def instance_profile_exists(iam: Client, name: str) -> bool:
    """Whether an instance profile of this name exists. Source: IAM API GetInstanceProfile."""
    try:
        iam.get_instance_profile(InstanceProfileName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return False
        raise
    return True


# Storage


@calls("ec2:DescribeVolumes")
def volumes_by_id(ec2: Client, ids: list[str]) -> list[Resource]:
    """Volumes of these ids; unknown ones are left out. Source: EC2 API DescribeVolumes."""
    return pages(ec2, "describe_volumes", "Volumes", Filters=filters(volume_id=ids))


@calls("ec2:DescribeSnapshots")
def snapshots_by_id(ec2: Client, ids: list[str]) -> list[Resource]:
    """Snapshots of these ids; unknown ones are left out. Source: EC2 API DescribeSnapshots."""
    return pages(ec2, "describe_snapshots", "Snapshots", Filters=filters(snapshot_id=ids))


@calls("ec2:DescribeLaunchTemplateVersions")
def launch_template_data(ec2: Client, template_id: str) -> Resource:
    """Data of the template's default version. Source: EC2 API DescribeLaunchTemplateVersions."""
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["$Default"])
    found = versions["LaunchTemplateVersions"]
    return found[0]["LaunchTemplateData"] if found else {}


# All experiments


def marked(experiment: str | None) -> list[dict[str, Any]]:
    """``Filters`` for what belongs to one experiment, or to any when None."""
    return tagged(experiment=experiment) if experiment else filters(tag_key="spot:experiment")


@calls("ec2:DescribeTags")
def tagged_resources(ec2: Client, experiment: str | None) -> list[Resource]:
    """``{ResourceId, ResourceType, Key, Value}`` of all that is tagged. Source: EC2 API DescribeTags.

    The only call that finds instant fleets, which DescribeFleets leaves out unless their ids are given.
    """
    wanted = filters(key="spot:experiment") + (filters(value=experiment) if experiment else [])
    return pages(ec2, "describe_tags", "Tags", Filters=wanted)


@calls("ec2:DescribeInstances")
def marked_instances(ec2: Client, experiment: str | None) -> list[Resource]:
    """Instances of one or of all experiments, in every state. Source: EC2 API DescribeInstances."""
    reservations = pages(ec2, "describe_instances", "Reservations", Filters=marked(experiment))
    return [instance for reservation in reservations for instance in reservation["Instances"]]


@calls("ec2:DescribeSpotInstanceRequests")
def marked_spot_requests(ec2: Client, experiment: str | None) -> list[Resource]:
    """Spot requests of one or of all experiments: EC2 marks them before it takes an instance.

    Source: EC2 API DescribeSpotInstanceRequests; EC2 user guide, "Get the status of a Spot Instance request".
    """
    return pages(ec2, "describe_spot_instance_requests", "SpotInstanceRequests", Filters=marked(experiment))


@calls("ec2:DescribeVolumes")
def marked_volumes(ec2: Client, experiment: str | None) -> list[Resource]:
    """Volumes of one or of all experiments. Source: EC2 API DescribeVolumes."""
    return pages(ec2, "describe_volumes", "Volumes", Filters=marked(experiment))


@calls("ec2:DescribeVolumes")
def attached_volumes(ec2: Client, instance_ids: list[str]) -> list[Resource]:
    """Volumes attached to these instances, whoever made them. Source: EC2 API DescribeVolumes."""
    return pages(
        ec2, "describe_volumes", "Volumes", Filters=[{"Name": "attachment.instance-id", "Values": instance_ids}]
    )


@calls("ec2:DescribeSecurityGroups")
def marked_security_groups(ec2: Client, experiment: str | None) -> list[Resource]:
    """Security groups of one or of all experiments. Source: EC2 API DescribeSecurityGroups."""
    return pages(ec2, "describe_security_groups", "SecurityGroups", Filters=marked(experiment))


@calls("ec2:DescribeKeyPairs")
def marked_key_pairs(ec2: Client, experiment: str | None) -> list[Resource]:
    """Key pairs of one or of all experiments. Source: EC2 API DescribeKeyPairs."""
    return ec2.describe_key_pairs(Filters=marked(experiment))["KeyPairs"]


@calls("ec2:DescribeLaunchTemplates")
def marked_launch_templates(ec2: Client, experiment: str | None) -> list[Resource]:
    """Launch templates of one or of all experiments. Source: EC2 API DescribeLaunchTemplates."""
    return pages(ec2, "describe_launch_templates", "LaunchTemplates", Filters=marked(experiment))


@calls("ec2:DescribeFleets")
def fleets_by_id(ec2: Client, ids: list[str]) -> list[Resource]:
    """Fleets of these ids, instant ones too; those AWS has forgotten are left out. Source: EC2 API DescribeFleets."""
    try:
        return ec2.describe_fleets(FleetIds=ids)["Fleets"]
    except ClientError as error:
        if not _aws_errors.error_code(error).startswith("InvalidFleetId"):
            raise
        return [fleet for one in ids for fleet in fleets_by_id(ec2, [one])] if len(ids) > 1 else []


# Removing


def _forgotten(error: Exception) -> bool:
    """Whether the resource was already gone, which is what a removal wants."""
    return "NotFound" in _aws_errors.error_code(error)


@calls("ec2:TerminateInstances")
def terminate_instances(ec2: Client, ids: list[str]) -> None:
    """Terminate all of them with one call. Source: EC2 API TerminateInstances."""
    ec2.terminate_instances(InstanceIds=ids)


@calls("ec2:DeleteFleets")
def delete_fleets(ec2: Client, ids: list[str]) -> list[str]:
    """Delete fleet records, and what instances they still have.

    Returns:
        A line for each fleet that could not be deleted. Source: EC2 API DeleteFleets; an instant fleet can be deleted
        only together with its instances.
    """
    answer = ec2.delete_fleets(FleetIds=ids, TerminateInstances=True)
    return [
        f"{failed['FleetId']}: {failed['Error']['Code']}: {failed['Error']['Message']}"
        for failed in answer.get("UnsuccessfulFleetDeletions") or []
        if failed["Error"]["Code"] not in ("fleetIdDoesNotExist", "fleetNotInDeletableState")
    ]


@calls("ec2:CancelSpotInstanceRequests")
def cancel_spot_requests(ec2: Client, ids: list[str]) -> None:
    """Cancel Spot requests; their instances go on. Source: EC2 API CancelSpotInstanceRequests."""
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)


@calls("ec2:DeleteKeyPair")
def delete_key_pair(ec2: Client, name: str) -> None:
    """Delete a key pair; one that is gone is no error. Source: EC2 API DeleteKeyPair."""
    with ignoring(_forgotten):
        ec2.delete_key_pair(KeyName=name)


@calls("ec2:DeleteLaunchTemplate")
def delete_launch_template(ec2: Client, template_id: str) -> None:
    """Delete a launch template; one that is gone is no error. Source: EC2 API DeleteLaunchTemplate."""
    with ignoring(_forgotten):
        ec2.delete_launch_template(LaunchTemplateId=template_id)


@calls("ec2:DeleteSecurityGroup")
def delete_security_group(ec2: Client, group_id: str) -> bool:
    """Delete a security group; False while something still uses it. Source: EC2 error DependencyViolation.

    The group of a file system's mount targets lets it in, and such a rule keeps a group, too: the rule goes first.
    """
    return _try_delete(ec2, group_id) or (_shut_out(ec2, group_id) and _try_delete(ec2, group_id))


def _try_delete(ec2: Client, group_id: str) -> bool:
    try:
        with ignoring(_forgotten):
            ec2.delete_security_group(GroupId=group_id)
    except ClientError as error:
        if _aws_errors.error_code(error) not in ("DependencyViolation", "InvalidGroup.InUse"):
            raise
        return False
    return True


def _shut_out(ec2: Client, group_id: str) -> bool:
    """Take the rules that let a group reach file systems out of the groups of mount targets; whether there were any."""
    wanted = [*filters(tag_key="spot:file-system"), {"Name": "ip-permission.group-id", "Values": [group_id]}]
    found = pages(ec2, "describe_security_groups", "SecurityGroups", Filters=wanted)
    for group in found:
        pair = {"UserIdGroupPairs": [{"GroupId": group_id}]}
        rules = [
            {key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in rule} | pair
            for rule in group["IpPermissions"]
            if group_id in [one["GroupId"] for one in rule.get("UserIdGroupPairs") or []]
        ]
        with ignoring(lambda error: _aws_errors.error_code(error) == "InvalidPermission.NotFound"):
            ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=rules)
    return bool(found)


@calls("ec2:DeleteVolume")
def delete_volume(ec2: Client, volume_id: str) -> bool:
    """Delete a volume; False while it is attached. Source: EC2 error VolumeInUse."""
    try:
        with ignoring(_forgotten):
            ec2.delete_volume(VolumeId=volume_id)
    except ClientError as error:
        if _aws_errors.error_code(error) in ("VolumeInUse", "IncorrectState"):
            return False
        raise
    return True


@calls("ec2:DeleteSnapshot")
def delete_snapshot(ec2: Client, snapshot_id: str) -> None:
    """Delete a snapshot; one that is gone is no error. Source: EC2 API DeleteSnapshot."""
    with ignoring(_forgotten):
        ec2.delete_snapshot(SnapshotId=snapshot_id)


@contextlib.contextmanager
def ignoring(harmless: Callable[[Exception], bool]) -> Iterator[None]:
    """Pass over an error of AWS that is no error for the caller."""
    try:
        yield
    except ClientError as error:
        if not harmless(error):
            raise
