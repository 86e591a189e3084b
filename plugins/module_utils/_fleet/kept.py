# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""State present for types request and maintain, as the module returns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import api, progress, report, standing, template, upkeep
from .launch import Clock
from .removal import Remains, remove
from .results import fleet_result, refusal_result, with_diff
from .transformations import pool_from_override
from .upkeep import Fleet, Ports, Waited
from .values import Instance


def ensure_present(module: Any, reader: Any, clock: Clock) -> dict[str, Any]:
    """Make, change and await the fleet of a generation, or predict that; fails when it cannot be as it shall be."""
    params = module.params
    wanted = standing.request(params)
    fleet = _existing(module, reader)
    comparison = standing.compare(fleet, wanted) if fleet else standing.Comparison()
    if fleet and comparison.fixed:
        module.fail_json(msg=report.fixed_message(fleet["FleetId"], comparison.fixed), changed=False)
    before = upkeep.members(reader, fleet)
    if module.check_mode:
        return _prediction(module, fleet, comparison, wanted, before)
    ports = Ports(reader, api.connect(module, attempts=1), clock, progress.File(params["progress_file"] or ""))
    created = fleet is None
    present: Fleet = _create(module, ports, wanted) if fleet is None else fleet
    if comparison.modify:
        upkeep.modify(ports, present, comparison.modify)
    waited = Waited(present)
    if params["wait"]:
        waited = upkeep.wait_until_fulfilled(ports, params, present, created=created)
    after = upkeep.members(reader, waited.fleet)
    result = _result(waited, before, after, created=created)
    answer = _with_config_diff(module, {"changed": created or bool(comparison.modify), "fleet": result}, fleet, wanted)
    return _judged(module, ports, waited, answer, created=created) if params["wait"] else answer


def _existing(module: Any, reader: Any) -> Fleet | None:
    found = upkeep.live_fleets(reader, module.params["tags"])
    if len(found) > 1:
        module.fail_json(msg=report.several_message([fleet["FleetId"] for fleet in found]), changed=False)
    return next(iter(found), None)


def _create(module: Any, ports: Ports, wanted: Mapping[str, Any]) -> Fleet:
    """Make the fleet; of two that two runs made at once the younger is deleted by the run that made it."""
    template.ensure(ports.reader, module.params)
    fleet = upkeep.create(ports, module.params, wanted)
    if not fleet:
        module.fail_json(msg="Could not create the fleet: AWS knows every client token of a fleet that has ended")
    ports.teller.tell([f"made {fleet['FleetId']} of type {wanted['Type']}"])
    live = upkeep.live_fleets(ports.reader, module.params["tags"])
    eldest = standing.elder([fleet, *(item for item in live if item["FleetId"] != fleet["FleetId"])])[0]
    if eldest["FleetId"] != fleet["FleetId"]:
        remove(ports.reader, ports.clock, Remains((), {fleet["FleetId"]: wanted["Type"]}))
        text = (
            f"Another run has just made {eldest['FleetId']} for this generation; {fleet['FleetId']} was deleted again"
        )
        module.fail_json(msg=f"{text}. Repeat the task.", changed=False)
    return fleet


def _prediction(
    module: Any,
    fleet: Fleet | None,
    comparison: standing.Comparison,
    wanted: Mapping[str, Any],
    before: tuple[Instance, ...],
) -> dict[str, Any]:
    pools = [] if fleet else [pool_from_override(item).label for item in module.params["overrides"]]
    have = float(fleet.get("FulfilledCapacity") or 0) if fleet else 0.0
    lacking = max(module.params["target_capacity"] - have, 0)
    result = {**_result(Waited(fleet or {}), before, before), "missing": _number(lacking), "pools": pools}
    changed = fleet is None or bool(comparison.modify)
    return _with_config_diff(module, {"changed": changed, "fleet": result}, fleet, wanted)


def _result(
    waited: Waited, before: tuple[Instance, ...], after: tuple[Instance, ...], *, created: bool = False
) -> dict[str, Any]:
    fleet, known = waited.fleet, {instance.instance_id for instance in before}
    have, target = float(fleet.get("FulfilledCapacity") or 0), standing.target_of(fleet)
    more = {
        "fleet_id": fleet.get("FleetId"),
        "fleet_ids": [fleet["FleetId"]] if created else [],
        "type": fleet.get("Type"),
        "state": fleet.get("FleetState"),
        "activity_status": fleet.get("ActivityStatus"),
        "launched": [instance.instance_id for instance in after if instance.instance_id not in known],
        "errors": [refusal_result(refusal) for refusal in waited.refusals],
        "missing": _number(max(target - have, 0)),
    }
    return fleet_result(after, **more)


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _with_config_diff(
    module: Any, result: dict[str, Any], fleet: Fleet | None, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    before = standing.summary(fleet or {})
    # What is not given stays as it is.
    after = {**before, **{key: value for key, value in standing.summary(wanted).items() if value is not None}}
    return with_diff(module, result, before, after if result["changed"] else before)


def _judged(module: Any, ports: Ports, waited: Waited, answer: dict[str, Any], *, created: bool) -> dict[str, Any]:
    """Return the result of a wait, or fail; a fleet that this run made in vain is deleted with its instances."""
    if waited.done:
        return answer
    have = float(waited.fleet.get("FulfilledCapacity") or 0)
    if have >= 1 and not module.params["all_or_nothing"]:
        module.warn(report.short_fleet_warning(waited.fleet["FleetId"], have, standing.target_of(waited.fleet)))
        return answer
    message = report.standing_failure(module.params, waited.fleet, waited.refusals, waited.seconds)
    if not created:
        module.fail_json(msg=f"{message}\nThe fleet stays as it is.", **answer)
    gone = tuple(upkeep.members(ports.reader, waited.fleet))
    problems = remove(ports.reader, ports.clock, Remains(gone, {waited.fleet["FleetId"]: module.params["type"]}))
    if problems:
        module.fail_json(msg=f"{message}\nThe fleet could not be deleted: {'; '.join(problems)}.", **answer)
    ids = [instance.instance_id for instance in gone]
    fleet = {**answer["fleet"], "terminated": ids, "instances": [], "launched": []}
    module.fail_json(msg=f"{message}\nThe fleet was deleted with its instances.", changed=False, fleet=fleet)
    return answer
