# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends what the fleets of an experiment left: fleets first, so that none replaces what ends, then instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import api, progress
from .launch import Clock, find_tagged
from .options import INSTANT
from .results import diff_entry, fleet_result, with_diff
from .transformations import FLEET_TAG, GONE_FLEET_STATES, fleets_of, instance_from_boto
from .values import Instance

# Why DeleteFleets leaves a fleet: True when it may work a little later, False when the fleet is gone anyway.
# Source: EC2 API DeleteFleetError. What is not here is told at once.
LATER = {"fleetNotInDeletableState": True, "unexpectedError": True, "fleetIdDoesNotExist": False}
DELETE_PAUSES_S = (2.0, 4.0, 8.0)
LOOK_PAUSES_S = (2.0, 3.0, 5.0, 8.0, 12.0)


@dataclass(frozen=True)
class Remains:
    """What is left of an experiment's fleets.

    Attributes:
        instances: Those that are alive.
        fleets: The type of each fleet that is to be deleted, by id.
        keepers: Fleets of types request and maintain, also deleted ones: they may have more instances.
    """

    instances: tuple[Instance, ...] = ()
    fleets: Mapping[str, str] = field(default_factory=dict)
    keepers: tuple[str, ...] = ()


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
    fleets = fleets_of(api.known_fleets(client, named) if named else [], generation)
    keepers = tuple(fleet["FleetId"] for fleet in fleets if fleet.get("Type", INSTANT) != INSTANT)
    deletable = [fleet for fleet in fleets if fleet.get("FleetState") not in GONE_FLEET_STATES]
    kinds = {fleet["FleetId"]: fleet.get("Type", INSTANT) for fleet in deletable}
    return Remains(_with_members(client, instances, keepers), kinds, keepers)


def _with_members(client: Any, instances: tuple[Instance, ...], keepers: Iterable[str]) -> tuple[Instance, ...]:
    """Add the live instances of fleets; their launch template need not have given them the experiment's tags."""
    members = [instance_from_boto(item) for item in api.instances_with(client, f"tag:{FLEET_TAG}", keepers)]
    known = {instance.instance_id: instance for instance in (*members, *instances) if instance.alive}
    return tuple(sorted(known.values(), key=lambda item: (item.launch_time, item.instance_id)))


def remove(client: Any, clock: Clock, remains: Remains, *, terminate: bool = True) -> list[str]:
    """Delete the fleets and, if wanted, terminate the instances.

    Returns:
        Why a fleet could not be deleted, one line each.
    """
    problems = _delete(client, clock, remains.fleets, terminate) if remains.fleets else []
    if terminate and remains.instances:
        api.terminate_instances(client, [instance.instance_id for instance in remains.instances])
    return problems


def _delete(client: Any, clock: Clock, fleets: Mapping[str, str], terminate: bool) -> list[str]:
    left, problems, failed = list(fleets), dict[str, str](), dict[str, tuple[str, str]]()
    for pause in (*DELETE_PAUSES_S, 0.0):
        failed = _delete_once(client, fleets, left, terminate)
        problems |= {fleet_id: text for fleet_id, (code, text) in failed.items() if code not in LATER}
        left = [fleet_id for fleet_id, (code, _text) in failed.items() if LATER.get(code)]
        if not left:
            break
        if pause:
            clock.sleep(pause)
    ended = {fleet["FleetId"]: fleet.get("FleetState") for fleet in (api.known_fleets(client, left) if left else [])}
    problems |= {fleet_id: failed[fleet_id][1] for fleet_id in left if ended.get(fleet_id) not in GONE_FLEET_STATES}
    return [f"{fleet_id}: {text}" for fleet_id, text in problems.items()]


def _delete_once(
    client: Any, fleets: Mapping[str, str], ids: Iterable[str], terminate: bool
) -> dict[str, tuple[str, str]]:
    """Delete fleets; returns code and text of those that could not be, by id."""
    instant = [fleet_id for fleet_id in ids if fleets[fleet_id] == INSTANT]
    others = [fleet_id for fleet_id in ids if fleets[fleet_id] != INSTANT]
    failed = api.delete_fleets(client, instant, instant=True) if instant else []
    failed += api.delete_fleets(client, others, instant=False, terminate=terminate) if others else []
    errors = {item["FleetId"]: item.get("Error") or {} for item in failed}
    return {
        fleet_id: (error.get("Code", ""), f"{error.get('Code')}: {error.get('Message')}")
        for fleet_id, error in errors.items()
    }


def wait_until_gone(
    client: Any, clock: Clock, remains: Remains, timeout: float, teller: progress.Teller
) -> tuple[Instance, ...]:
    """Look until no instance is left, and terminate those that a fleet launched while it was being deleted.

    Returns:
        Those that are left when the time is over.
    """
    deadline, asked, told = clock.now() + timeout, {item.instance_id for item in remains.instances}, -1
    pauses = iter((*LOOK_PAUSES_S, *[LOOK_PAUSES_S[-1]] * int(timeout + 1)))
    while True:
        left = _left(client, remains, asked)
        late = [item.instance_id for item in left if item.alive and item.instance_id not in asked]
        if late:
            api.terminate_instances(client, late)
            asked |= set(late)
        if not left or clock.now() >= deadline:
            return left
        teller.tell([f"{len(left)} instance{'s' if len(left) > 1 else ''} still ending"] if len(left) != told else [])
        told = len(left)
        clock.sleep(min(next(pauses), max(deadline - clock.now(), 0.1)))


def _left(client: Any, remains: Remains, ids: Iterable[str]) -> tuple[Instance, ...]:
    described = api.instances_with(client, "instance-id", sorted(ids))
    described += api.instances_with(client, f"tag:{FLEET_TAG}", remains.keepers)
    found = {item["InstanceId"]: instance_from_boto(item) for item in described}
    return tuple(item for _id, item in sorted(found.items()) if item.state != "terminated")


def ensure_absent(module: Any, reader: Any, clock: Clock) -> dict[str, Any]:
    """Remove fleets and instances, or predict it, and return the result; fails when something is left."""
    tags, terminate = module.params["tags"], module.params["terminate_instances"]
    remains = find_remains(
        reader, tags["spot:experiment"], tags.get("spot:generation") or "", module.params["fleet_ids"]
    )
    if not terminate:
        remains = replace(remains, instances=())
        _check_types(module, remains)
    result = _absent_result(module, remains)
    if module.check_mode or not result["changed"]:
        return result
    failed = remove(reader, clock, remains, terminate=terminate)
    left = _wait(module, reader, clock, remains) if terminate and module.params["wait"] else ()
    if failed:
        module.fail_json(msg="Could not delete these fleets: " + "; ".join(failed), **result)
    if left:
        names = ", ".join(instance.instance_id for instance in left)
        seconds = module.params["wait_timeout"]
        noun = "instance" if len(left) == 1 else "instances"
        text = f"{len(left)} {noun} had not ended after {seconds} s ({names}); repeat the task to wait on"
        module.fail_json(msg=text, **result)
    return result


def _check_types(module: Any, remains: Remains) -> None:
    instant = sorted(fleet_id for fleet_id, kind in remains.fleets.items() if kind == INSTANT)
    if instant:
        text = f"terminate_instances: AWS ends the instances of an instant fleet with it: {', '.join(instant)}"
        module.fail_json(msg=text, changed=False)


def _wait(module: Any, reader: Any, clock: Clock, remains: Remains) -> tuple[Instance, ...]:
    teller = progress.File(module.params["progress_file"] or "")
    return wait_until_gone(reader, clock, remains, module.params["wait_timeout"], teller)


def _absent_result(module: Any, remains: Remains) -> dict[str, Any]:
    ids, fleet_ids = [instance.instance_id for instance in remains.instances], sorted(remains.fleets)
    fleet = fleet_result((), fleet_ids=fleet_ids, terminated=ids)
    before = {**diff_entry(remains.instances), "fleets": fleet_ids}
    changed = bool(ids or fleet_ids)
    return with_diff(module, {"changed": changed, "fleet": fleet}, before, {**diff_entry(()), "fleets": []})
