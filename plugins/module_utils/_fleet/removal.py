# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends what the fleets of an experiment left: instances and records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import api
from .launch import find_tagged
from .results import diff_entry, fleet_result, with_diff
from .transformations import fleets_to_delete
from .values import Instance


@dataclass(frozen=True)
class Remains:
    """What is left of an experiment's fleets: live instances and fleets that are still a record."""

    instances: tuple[Instance, ...] = ()
    fleet_ids: tuple[str, ...] = ()


def find_remains(client: Any, experiment: str, generation: str = "", fleet_ids: Iterable[str] = ()) -> Remains:
    """Return what ``remove`` would remove.

    Args:
        client: An EC2 client that retries.
        experiment: Value of the tag ``spot:experiment``.
        generation: Value of the tag ``spot:generation``, empty for all generations.
        fleet_ids: More fleets to remove.
    """
    instances = find_tagged(client, experiment, generation)
    tagged = api.describe_fleet_tags(client, "spot:experiment", experiment)
    named = dict.fromkeys([*fleet_ids, *tagged, *(item.fleet_id for item in instances if item.fleet_id)])
    # One by one only when needed: one unknown id makes AWS refuse the whole list.
    fleets = api.describe_fleets(client, named) if named else []
    if named and not fleets:
        fleets = [fleet for fleet_id in named for fleet in api.describe_fleets(client, [fleet_id])]
    return Remains(instances, fleets_to_delete(fleets, generation))


def remove(client: Any, remains: Remains) -> list[str]:
    """Terminate the instances and delete the fleets.

    Returns:
        Why a fleet could not be deleted, one line each.
    """
    if remains.instances:
        api.terminate_instances(client, [instance.instance_id for instance in remains.instances])
    failed = api.delete_fleets(client, remains.fleet_ids) if remains.fleet_ids else []
    return [f"{item['FleetId']}: {item['Error'].get('Code')}: {item['Error'].get('Message')}" for item in failed]


def ensure_absent(module: Any, reader: Any) -> dict[str, Any]:
    """Remove instances and fleets, or predict it, and return the result."""
    tags = module.params["tags"]
    remains = find_remains(
        reader, tags["spot:experiment"], tags.get("spot:generation") or "", module.params["fleet_ids"]
    )
    failed = [] if module.check_mode else remove(reader, remains)
    result = _absent_result(module, remains)
    if failed:
        module.fail_json(msg="Could not delete these fleets: " + "; ".join(failed), **result)
    return result


def _absent_result(module: Any, remains: Remains) -> dict[str, Any]:
    ids = [instance.instance_id for instance in remains.instances]
    fleet = fleet_result((), fleet_ids=list(remains.fleet_ids), terminated=ids)
    before = {**diff_entry(remains.instances), "fleets": list(remains.fleet_ids)}
    changed = bool(remains.instances or remains.fleet_ids)
    return with_diff(module, {"changed": changed, "fleet": fleet}, before, {**diff_entry(()), "fleets": []})
