# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why instances ended, one entry an instance: pure functions over the shapes of boto3.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from .._experiment.transformations import ended, number, tags_of
from . import status

Resource = dict[str, Any]

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")


def problems(instance_ids: list[str]) -> list[str]:
    """What is wrong with ids, a line each. Source: EC2 user guide, resource ids: 8 or 17 hexadecimal digits."""
    return [
        f"instance_ids[{place}]: {text!r} is not the id of an instance, which looks like i-0123456789abcdef0"
        for place, text in enumerate(instance_ids)
        if not INSTANCE_ID.fullmatch(text)
    ]


def spot_ids(instances: list[Resource]) -> list[str]:
    """Ids of the Spot Instances among them: only these have a request to ask for."""
    return [raw["InstanceId"] for raw in instances if raw.get("InstanceLifecycle") == "spot"]


def ids_by_launch(instances: list[Resource]) -> list[str]:
    """Ids, the oldest launch first."""
    return [
        raw["InstanceId"]
        for raw in sorted(instances, key=lambda raw: (_iso(raw.get("LaunchTime")) or "", raw["InstanceId"]))
    ]


def entries(ids: list[str], instances: list[Resource], requests: list[Resource]) -> list[Resource]:
    """One entry for each id, in their order.

    Args:
        ids: ids of instances, which AWS may have forgotten.
        instances: entries of DescribeInstances.
        requests: entries of DescribeSpotInstanceRequests.
    """
    by_id = {raw["InstanceId"]: raw for raw in instances}
    by_instance = {
        request["InstanceId"]: request for request in sorted(requests, key=_updated) if "InstanceId" in request
    }
    return [entry(one, by_id.get(one, {}), by_instance.get(one)) for one in dict.fromkeys(ids)]


def entry(instance_id: str, raw: Resource, request: Resource | None) -> Resource:
    """What is known about the end of one instance; an empty ``raw`` is an instance that AWS has forgotten."""
    end = status.end_of(raw, request)
    tags, told = tags_of(raw), request or {}
    return {
        "instance_id": instance_id,
        "kind": end.kind,
        "retry": end.retry,
        "code": end.code,
        "text": end.text,
        "when": when(end, raw, told),
        "state": (raw.get("State") or {}).get("Name"),
        "instance_type": raw.get("InstanceType") or (told.get("LaunchSpecification") or {}).get("InstanceType"),
        "zone": (raw.get("Placement") or {}).get("AvailabilityZone") or told.get("LaunchedAvailabilityZone"),
        "lifecycle": _lifecycle(raw, request),
        "experiment": tags.get("spot:experiment"),
        "generation": number(tags.get("spot:generation"), 1) if "spot:generation" in tags else None,
        "state_reason": (raw.get("StateReason") or {}).get("Code") or None,
        "spot_instance_request_id": raw.get("SpotInstanceRequestId") or told.get("SpotInstanceRequestId"),
        "spot_request_state": told.get("State"),
        "spot_request_status": (told.get("Status") or {}).get("Code"),
    }


def when(end: status.End, raw: Resource, request: Resource) -> str | None:
    """When it ended or was marked (ISO 8601, UTC), None for an instance that is alive or when AWS does not say."""
    told = request.get("Status") or {}
    if end.kind == status.ALIVE:
        return None
    if end.code and end.code == told.get("Code"):
        return _iso(told.get("UpdateTime")) or _iso(ended(raw))
    return _iso(ended(raw)) or (None if end.kind == status.UNKNOWN else _iso(told.get("UpdateTime")))


def _lifecycle(raw: Resource, request: Resource | None) -> str | None:
    if raw:
        return raw.get("InstanceLifecycle") or "on-demand"
    return "spot" if request else None


def _updated(request: Resource) -> str:
    return _iso((request.get("Status") or {}).get("UpdateTime")) or ""


def _iso(moment: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC."""
    return moment.astimezone(timezone.utc).isoformat() if isinstance(moment, datetime) else None
