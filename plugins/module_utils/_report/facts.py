# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What AWS and ledgers know of the past of experiments: pure functions over what was read, no API calls.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from .._experiment import crew, summary, transformations
from .._experiment.summary import Found
from .._spot.prices import Change, Pool, within

Resource = dict[str, Any]


def experiments(
    found: Found, region: str, prices: Mapping[Pool, list[Change]], on_demand: Mapping[str, float | None]
) -> list[Resource]:
    """One entry an experiment with all the instances that AWS still shows, and with what was refused.

    Args:
        found: what was read of the region.
        region: its name.
        prices: changes of the Spot price (USD per hour) of each pool.
        on_demand: instance type -> USD per hour.
    """
    parts = summary.split(found)
    return [
        {
            "experiment": name,
            "region": region,
            **summary.about(part),
            "instances": [{**one, "region": region} for one in instances(part, prices, on_demand)],
            "refusals": list(refusals(part.fleets)),
        }
        for name, part in sorted(parts.items())
        if part.instances or part.volumes or part.fleets
    ]


def instances(
    found: Found, prices: Mapping[Pool, list[Change]], on_demand: Mapping[str, float | None]
) -> list[Resource]:
    """The instances, the oldest first."""
    requests = crew.requests_by_instance(found.spot_requests)
    listed = [instance(raw, requests, prices, on_demand) for raw in found.instances]
    return sorted(listed, key=lambda one: (one["launch_time"] or "", one["instance_id"]))


def instance(
    raw: Resource,
    requests: dict[str, Resource],
    prices: Mapping[Pool, list[Change]],
    on_demand: Mapping[str, float | None],
) -> Resource:
    """One instance with how it ended, and with the prices of the time in which it ran."""
    known = transformations.instance(raw)
    end = crew.end_of(raw, requests)
    launched = raw.get("LaunchTime")
    changes = prices.get(Pool(known["type"], known["zone"]), [])
    held = within(changes, launched) if isinstance(launched, datetime) and known["lifecycle"] == "spot" else []
    ended = (
        ended_at(raw, requests.get(raw["InstanceId"]) or {}) if known["state"] not in ("pending", "running") else None
    )
    return {
        **known,
        "address": known["public_ip"] or known["private_ip"],
        "image_id": raw.get("ImageId"),
        "rank": crew.rank_of(raw),
        "end_time": ended.isoformat() if ended else None,
        "end": end.kind,
        "end_code": end.code,
        "end_reason": end.text,
        "on_demand_price": on_demand.get(known["type"]),
        "changes": [{"time": change.at.isoformat(), "price": float(change.price)} for change in held],
        "tags": transformations.tags_of(raw),
    }


def ended_at(raw: Resource, request: Resource) -> datetime | None:
    """When an instance ended: as its state reason says, else when its Spot request learned of it.

    Source: EC2 API SpotInstanceStatus, UpdateTime.
    """
    told = (request.get("Status") or {}).get("UpdateTime") if request.get("State") != "active" else None
    return transformations.ended(raw) or (told if isinstance(told, datetime) else None)


def refusals(fleets: Iterable[Resource]) -> Iterable[Resource]:
    """What fleets could not launch. Source: EC2 API FleetData.Errors, which AWS keeps for instant fleets only."""
    for fleet in sorted(fleets, key=lambda one: str(one.get("CreateTime") or "")):
        made = fleet.get("CreateTime")
        for error in fleet.get("Errors") or []:
            override = (error.get("LaunchTemplateAndOverrides") or {}).get("Overrides") or {}
            yield {
                "time": made.isoformat() if isinstance(made, datetime) else None,
                "type": override.get("InstanceType"),
                "zone": override.get("AvailabilityZone") or override.get("SubnetId"),
                "code": error.get("ErrorCode") or "",
                "text": error.get("ErrorMessage") or "",
            }


def oldest(found: Found) -> datetime | None:
    """When the oldest instance was launched, None without one."""
    return min((raw["LaunchTime"] for raw in found.instances if raw.get("LaunchTime")), default=None)
