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
    from collections.abc import Iterable, Mapping

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
    return sts.get_caller_identity()


@calls("ec2:DescribeAvailabilityZones")
def zone_names(ec2: Client) -> list[str]:
    """Names of the zones of the region that this account may use. Source: EC2 API DescribeAvailabilityZones."""
    return sorted(zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"])


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
def on_demand_products(pricing: Client, instance_type: str, region: str) -> list[Resource]:
    """Price list entries of one Linux type on shared hardware. Source: Price List Query API GetProducts."""
    terms = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    found = pricing.get_products(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in terms.items()],
    )["PriceList"]
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


@calls("ec2:DescribeVolumes")
def volumes_of_experiment(ec2: Client, experiment: str) -> list[Resource]:
    """Volumes tagged with the experiment, root volumes included. Source: EC2 API DescribeVolumes."""
    return pages(ec2, "describe_volumes", "Volumes", Filters=tagged(experiment=experiment))


@calls("ec2:DescribeSnapshots")
def snapshots_by_id(ec2: Client, ids: list[str]) -> list[Resource]:
    """Snapshots of these ids; unknown ones are left out. Source: EC2 API DescribeSnapshots."""
    return pages(ec2, "describe_snapshots", "Snapshots", Filters=filters(snapshot_id=ids))


# What the experiment has


@calls("ec2:DescribeInstances")
def instances_of_experiment(ec2: Client, experiment: str) -> list[Resource]:
    """Instances tagged with the experiment, in every state. Source: EC2 API DescribeInstances."""
    reservations = pages(ec2, "describe_instances", "Reservations", Filters=tagged(experiment=experiment))
    return [instance for reservation in reservations for instance in reservation["Instances"]]


@calls("ec2:DescribeLaunchTemplates")
def launch_templates_of_experiment(ec2: Client, experiment: str) -> list[Resource]:
    """Launch templates tagged with the experiment. Source: EC2 API DescribeLaunchTemplates."""
    return pages(ec2, "describe_launch_templates", "LaunchTemplates", Filters=tagged(experiment=experiment))


@calls("ec2:DescribeLaunchTemplateVersions")
def launch_template_data(ec2: Client, template_id: str) -> Resource:
    """Data of the template's default version. Source: EC2 API DescribeLaunchTemplateVersions."""
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["$Default"])
    found = versions["LaunchTemplateVersions"]
    return found[0]["LaunchTemplateData"] if found else {}
