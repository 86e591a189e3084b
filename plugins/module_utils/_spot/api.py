# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The AWS calls of the Spot modules: one small function a call, no decisions.

Note that this module util is private to the collection and may change at any time.

As in ``_experiment/api.py``, whose helpers it uses, every function raises ``ApiError``, and reads use filters instead
of ids: an id that AWS does not know is left out of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .._experiment.api import LINUX_PRODUCTS, calls, filters, marked, pages

Client = Any
Resource = dict[str, Any]

# Source: EC2 user guide, "Filtering": at most 200 values in one filter.
FILTER_VALUES = 200


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
