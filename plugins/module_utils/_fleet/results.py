# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the module returns: pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .options import INSTANT
from .values import Instance, Pool, Refusal


def fleet_result(instances: Iterable[Instance], **more: Any) -> dict[str, Any]:
    """Return the key ``fleet`` of the module's result, with all its keys."""
    seen = tuple(instances)
    base: dict[str, Any] = {
        "fleet_id": next((item.fleet_id for item in reversed(seen) if item.fleet_id), None),
        "fleet_ids": [],
        "type": INSTANT,
        "state": None,
        "activity_status": None,
        "instances": [instance_result(instance) for instance in seen],
        "launched": [],
        "terminated": [],
        "errors": [],
        "missing": 0,
        "pools": [],
    }
    return {**base, **more}


def instance_result(instance: Instance) -> dict[str, Any]:
    """Return an instance as the module returns it."""
    return {
        "instance_id": instance.instance_id,
        "instance_type": instance.instance_type,
        "zone": instance.zone,
        "lifecycle": instance.lifecycle,
        "subnet_id": instance.subnet_id,
        "state": instance.state,
        "rank": instance.index,
    }


def refusal_result(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as the module returns it."""
    pool = refusal.pool or Pool("")
    return {
        "pool": pool.label,
        "instance_type": pool.instance_type,
        "zone": pool.zone,
        "subnet_id": pool.subnet_id,
        "code": refusal.code,
        "message": refusal.message,
        "class": refusal.kind.value,
        "market": refusal.market,
    }


def diff_entry(instances: Iterable[Instance], new: int = 0) -> dict[str, Any]:
    """Return one side of the diff: the fleet's instances by id, type and zone, and how many are still to come."""
    entry: dict[str, Any] = {
        "instances": [
            f"{instance.instance_id} {instance.instance_type} {instance.zone}".rstrip()
            + ("" if instance.index is None else f" rank {instance.index}")
            for instance in sorted(instances, key=lambda item: item.instance_id)
        ]
    }
    return {**entry, "to_launch": new} if new else entry


def with_diff(module: Any, result: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the result of the module with its diff, if that is wanted."""
    return {**result, "diff": {"before": before, "after": after}} if module._diff else result
