# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The AWS calls of the Spot modules: one small function a call, no decisions.

Note that this module util is private to the collection and may change at any time.

As in ``_experiment/api.py``, whose helpers it uses, every function raises ``ApiError``, and reads use filters instead
of ids: an id that AWS does not know is left out of the answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    from botocore.exceptions import ClientError

from .. import _aws_errors
from .._experiment.api import LINUX_PRODUCTS, calls, filters, marked, pages

Client = Any
Resource = dict[str, Any]

# Source: EC2 user guide, "Filtering": at most 200 values in one filter.
FILTER_VALUES = 200
# Source: EC2 API CancelSpotFleetRequests, "up to 100 fleets in a single request".
CANCEL_CHUNK = 100


def chunks(values: list[str], size: int = FILTER_VALUES) -> Iterator[list[str]]:
    """The values in lists of at most ``size``."""
    return (values[start : start + size] for start in range(0, len(values), size))


@calls("ec2:DescribeInstances")
def instances(ec2: Client, ids: list[str]) -> list[Resource]:
    """Instances of these ids, in every state; unknown ones are left out. Source: EC2 API DescribeInstances."""
    return [found for chunk in chunks(ids) for found in _instances(ec2, filters(instance_id=chunk))]


@calls("ec2:DescribeInstances")
def marked_instances(ec2: Client, experiment: str) -> list[Resource]:
    """Instances of one experiment, in every state. Source: EC2 API DescribeInstances."""
    return _instances(ec2, marked(experiment))


def _instances(ec2: Client, wanted: list[Resource]) -> list[Resource]:
    reservations = pages(ec2, "describe_instances", "Reservations", Filters=wanted)
    return [instance for reservation in reservations for instance in reservation["Instances"]]


@calls("ec2:DescribeSpotInstanceRequests")
def spot_requests(ec2: Client, instance_ids: list[str]) -> list[Resource]:
    """The Spot requests of these instances. Source: EC2 API DescribeSpotInstanceRequests, filter instance-id."""
    operation, key = "describe_spot_instance_requests", "SpotInstanceRequests"
    return [
        request
        for chunk in chunks(instance_ids)
        for request in pages(ec2, operation, key, Filters=filters(instance_id=chunk))
    ]


@calls("ec2:DescribeAvailabilityZones")
def zones(ec2: Client) -> dict[str, str]:
    """Name -> id of the zones of the region that this account may use. Source: EC2 API DescribeAvailabilityZones."""
    found = ec2.describe_availability_zones()["AvailabilityZones"]
    return {zone["ZoneName"]: zone.get("ZoneId", "") for zone in found}


@calls("ec2:DescribeInstanceTypes")
def spot_types(ec2: Client) -> list[Resource]:
    """Data of all types that the region sells as Spot. Source: EC2 API DescribeInstanceTypes."""
    return pages(ec2, "describe_instance_types", "InstanceTypes", Filters=filters(supported_usage_class="spot"))


@calls("ec2:DescribeSpotPriceHistory")
def price_history(
    ec2: Client, names: list[str], zone_names: list[str], start: datetime, end: datetime
) -> list[Resource]:
    """Changes of the Spot prices of Linux, and the last one before the start, of all types at once.

    Args:
        ec2: client.
        names: instance types.
        zone_names: zones; empty for all.
        start: not more than 90 days back; the same as ``end`` for the price of then.
        end: end of the period.

    Source: EC2 API DescribeSpotPriceHistory.
    """
    return pages(
        ec2,
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=names,
        ProductDescriptions=list(LINUX_PRODUCTS),
        StartTime=start,
        EndTime=end,
        **({"Filters": filters(availability_zone=zone_names)} if zone_names else {}),
    )


@calls("ec2:GetSpotPlacementScores")
def placement_scores(ec2: Client, request: Resource) -> list[Resource]:
    """``[{Region, AvailabilityZoneId, Score}]``, the ten best. Source: EC2 API GetSpotPlacementScores."""
    return pages(ec2, "get_spot_placement_scores", "SpotPlacementScores", **request)


# Spot Fleet


@calls("ec2:DescribeSpotFleetRequests")
def spot_fleets(ec2: Client) -> list[Resource]:
    """All Spot Fleet requests, with those that were over in the last 48 hours.

    Source: EC2 API DescribeSpotFleetRequests; EC2 user guide, "Cancel a Spot Fleet request".
    """
    return pages(ec2, "describe_spot_fleet_requests", "SpotFleetRequestConfigs")


@calls("ec2:DescribeSpotFleetRequests")
def spot_fleet(ec2: Client, fleet_id: str) -> Resource | None:
    """One Spot Fleet request, None when AWS does not see it (yet). Source: EC2 API DescribeSpotFleetRequests."""
    try:
        found = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"]
    except ClientError as error:
        if _aws_errors.error_code(error) != "InvalidSpotFleetRequestId.NotFound":
            raise
        return None
    return found[0] if found else None


@calls("ec2:DescribeSpotFleetInstances")
def fleet_instances(ec2: Client, fleet_id: str) -> list[Resource]:
    """The live instances of a Spot Fleet request. Source: EC2 API ActiveInstance."""
    return pages(ec2, "describe_spot_fleet_instances", "ActiveInstances", SpotFleetRequestId=fleet_id)


@calls("ec2:DescribeSpotFleetRequestHistory")
def fleet_history(ec2: Client, fleet_id: str, start: datetime) -> list[Resource]:
    """Events of a Spot Fleet request since a moment; botocore has no paginator for them.

    Source: EC2 API DescribeSpotFleetRequestHistory.
    """
    found: list[Resource] = []
    more: dict[str, str] = {}
    while True:
        page = ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet_id, StartTime=start, **more)
        found += page.get("HistoryRecords") or []
        if not page.get("NextToken"):
            return found
        more = {"NextToken": page["NextToken"]}


@calls("ec2:RequestSpotFleet")
def request_spot_fleet(ec2: Client, config: Resource) -> str:
    """Make a Spot Fleet request and return its id. Source: EC2 API RequestSpotFleet.

    With its own client token, so botocore may repeat it.
    """
    return str(ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"])


@calls("ec2:ModifySpotFleetRequest")
def modify_spot_fleet(ec2: Client, fleet_id: str, changes: Resource) -> None:
    """Change a Spot Fleet request of type maintain. Source: EC2 API ModifySpotFleetRequest."""
    ec2.modify_spot_fleet_request(SpotFleetRequestId=fleet_id, **changes)


@calls("ec2:CancelSpotFleetRequests")
def cancel_spot_fleets(ec2: Client, ids: list[str], terminate: bool) -> list[str]:
    """Cancel Spot Fleet requests, with their instances or without.

    Returns:
        A line for each request that could not be cancelled and is not gone anyway. Source: EC2 API
        CancelSpotFleetRequests, which fails for single requests inside a good answer.
    """
    failed: list[Resource] = []
    for chunk in chunks(ids, CANCEL_CHUNK):
        answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=chunk, TerminateInstances=terminate)
        failed += answer.get("UnsuccessfulFleetRequests") or []
    return [
        f"{one['SpotFleetRequestId']}: {one['Error']['Code']}: {one['Error'].get('Message', '')}"
        for one in failed
        if one["Error"]["Code"] not in ("fleetRequestIdDoesNotExist", "fleetRequestNotInCancellableState")
    ]
