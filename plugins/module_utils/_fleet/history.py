# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the events of a fleet's history mean: pure functions and a table.

Source: EC2 API EventInformation; EC2 user guide, "EC2 Fleet event types".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .._aws_errors import classify, plain_message
from .values import Pool, Refusal


@dataclass(frozen=True)
class Meaning:
    """What an event says.

    Attributes:
        code: The error code of AWS that says the same.
        lasting: Waiting does not help.
    """

    code: str
    lasting: bool = False


MEANINGS: dict[str, Meaning] = {
    "iamFleetRoleInvalid": Meaning("UnauthorizedOperation", lasting=True),
    "spotInstanceCountLimitExceeded": Meaning("MaxSpotInstanceCountExceeded", lasting=True),
    "spotFleetRequestConfigurationInvalid": Meaning("InvalidFleetConfiguration", lasting=True),
    "allLaunchSpecsTemporarilyBlacklisted": Meaning("UnfulfillableCapacity"),
    "fleetProgressHalted": Meaning("SpotMaxPriceTooLow"),
    "launchSpecTemporarilyBlacklisted": Meaning("UnfulfillableCapacity"),
    "launchSpecUnusable": Meaning("SpotMaxPriceTooLow"),
    "registerWithLoadBalancersFailed": Meaning("InvalidFleetConfiguration"),
}
_CODE = re.compile(r"Error Code: ([A-Za-z0-9.]+)")


def identity(event: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what tells events apart."""
    information = event.get("EventInformation") or {}
    return (str(event.get("Timestamp")), information.get("EventSubType", ""), information.get("EventDescription", ""))


def refusals(events: Iterable[Mapping[str, Any]], pools: Iterable[Pool] = ()) -> tuple[Refusal, ...]:
    """Return what the events say that went wrong, each once, in their order.

    Args:
        events: Entries of DescribeFleetHistory.
        pools: Those of the fleet; an event that speaks of one of them is about it.
    """
    known = tuple(pools)
    found: dict[Refusal, None] = {}
    for event in events:
        information = event.get("EventInformation") or {}
        kind = information.get("EventSubType", "")
        if kind in MEANINGS or event.get("EventType") == "error":
            found[_refusal(kind, information.get("EventDescription") or "", known)] = None
    return tuple(found)


def _refusal(kind: str, text: str, pools: tuple[Pool, ...]) -> Refusal:
    named = _CODE.search(text)
    code = named.group(1) if named else MEANINGS.get(kind, Meaning(kind or "UnknownError")).code
    message = plain_message(f"{kind}: {text}" if text else kind)
    return Refusal(_pool_in(text, pools), code, message, classify(code))


def _pool_in(text: str, pools: tuple[Pool, ...]) -> Pool | None:
    fitting = [pool for pool in pools if pool.instance_type and _names(text, pool.instance_type)]
    placed = [pool for pool in fitting if pool.zone and _names(text, pool.zone)]
    best = placed or fitting
    return best[0] if len(best) == 1 else None


def _names(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])", text) is not None


def lasting(events: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether an event tells that waiting does not help."""
    kinds = [(event.get("EventInformation") or {}).get("EventSubType", "") for event in events]
    return any(MEANINGS[kind].lasting for kind in kinds if kind in MEANINGS)


def event_result(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as the modules return it."""
    information, when = event.get("EventInformation") or {}, event.get("Timestamp")
    return {
        "time": when.astimezone(timezone.utc).isoformat() if isinstance(when, datetime) else "",
        "type": event.get("EventType", ""),
        "event": information.get("EventSubType", ""),
        "description": information.get("EventDescription", ""),
        "instance_id": information.get("InstanceId", ""),
    }
