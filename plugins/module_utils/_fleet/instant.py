# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""State present for type instant: what is missing is launched and numbered, once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .._aws_errors import explain
from . import api, progress, template
from .errors import AnsibleFleetError, action_of
from .index import assign, numbered
from .launch import AwsFleet, Clock, Outcome, claim, find, launch, number
from .plan import fitting_pools, missing
from .regions import gives_way, looker
from .report import another_region, failure_message, partial_warning
from .results import diff_entry, fleet_result, instance_result, refusal_result, with_diff
from .transformations import wish_from_params
from .values import Instance, Wish


def outcome_result(wish: Wish, outcome: Outcome) -> dict[str, Any]:
    """Return the key ``fleet`` after a launch."""
    gone = set(outcome.terminated)
    more = {
        "fleet_ids": list(outcome.fleet_ids),
        "launched": [instance_id for instance_id in outcome.launched if instance_id not in gone],
        "terminated": list(outcome.terminated),
        "errors": [refusal_result(refusal) for refusal in outcome.state.refusals],
        "missing": missing(wish, outcome.instances),
        "another_region": not outcome.accepted and another_region(outcome.state),
    }
    result = fleet_result(outcome.instances, **more)
    return {**result, "fleet_id": result["fleet_id"] or next(reversed(outcome.fleet_ids), None)}


def ensure_present(module: Any, reader: Any, clock: Clock) -> dict[str, Any]:
    """Launch and number what is missing, or predict it, and return the result; fails when the launch fails."""
    wish = wish_from_params(module.params)
    assumed = module.params["assume_absent"] and not module.check_mode
    before = () if assumed else find(reader, wish)
    lacking = missing(wish, before)
    if module.check_mode:
        return _prediction(module, wish, before, lacking)
    if lacking:
        template.ensure(reader, module.params)
    fleet = AwsFleet(reader, api.connect(module, attempts=1) if lacking else None, wish, clock)
    after, result = before, fleet_result(before)
    if lacking:
        after, result = _launch(module, fleet, wish, clock, before)
    known = {instance.instance_id for instance in before} | set(result["launched"])
    shared = any(instance.instance_id not in known for instance in after)
    try:
        if module.params["claim_tag"]:
            claim(fleet, clock, of_generation(wish, after), module.params["claim_tag"])
        if not wish.index_tag or not assign(after):
            return _present_result(module, result, before, after)
        after = number(fleet, clock, after, shared=shared)
    except AnsibleFleetError as error:
        # What runs stays: running the same task again gives the numbers that are missing.
        module.fail_json(msg=explain(error, action_of(error)), **_present_result(module, result, before, after))
    return _present_result(module, {**result, "instances": list(map(instance_result, after))}, before, after)


def of_generation(wish: Wish, instances: Iterable[Instance]) -> list[Instance]:
    """Return the instances that runs of this generation launch, not those that have survived from earlier ones."""
    return [item for item in instances if item.generation in ("", wish.generation)]


def _prediction(module: Any, wish: Wish, before: tuple[Instance, ...], lacking: int) -> dict[str, Any]:
    pools = [pool.label for pool in fitting_pools(wish, before)] if lacking else []
    after = numbered(before, assign(before)) if wish.index_tag else before
    return _present_result(module, fleet_result(after, missing=lacking, pools=pools), before, after, lacking)


def _launch(
    module: Any, fleet: AwsFleet, wish: Wish, clock: Clock, before: tuple[Instance, ...]
) -> tuple[tuple[Instance, ...], dict[str, Any]]:
    outcome = launch(fleet, wish, clock, before, progress.File(module.params["progress_file"] or ""))
    if outcome.accepted and outcome.launched and module.params["other_regions"]:
        _keep_to_one_region(module, fleet, wish, clock, outcome)
    result = outcome_result(wish, outcome)
    if not outcome.accepted:
        failed = _present_result(module, result, before, outcome.instances)
        module.fail_json(msg=_failure(wish, outcome), **{**failed, "changed": False})
    if not outcome.complete:
        module.warn(partial_warning(wish, outcome.instances))
    return outcome.instances, result


def _keep_to_one_region(module: Any, fleet: AwsFleet, wish: Wish, clock: Clock, outcome: Outcome) -> None:
    """Take back what was launched when another run has launched the experiment in another region meanwhile."""
    found = gives_way(module.params["region"] or "", looker(module, wish), clock)
    if not found:
        return
    alive = {instance.instance_id for instance in outcome.instances}
    ours = tuple(name for name in outcome.launched if name in alive)
    fleet.terminate(ours)
    left = tuple(instance for instance in outcome.instances if instance.instance_id not in ours)
    result = outcome_result(wish, replace(outcome, instances=left, terminated=(*outcome.terminated, *ours)))
    where = "; ".join(f"{', '.join(one.instance_id for one in seen)} in {name}" for name, seen in found.items())
    msg = f"Another run has launched experiment {wish.experiment} meanwhile: {where}. Nothing new is left running here."
    module.fail_json(msg=msg, changed=False, fleet={**result, "another_region": True})


def _failure(wish: Wish, outcome: Outcome) -> str:
    taken = f"{len(outcome.terminated)} launched instances were terminated" if outcome.terminated else ""
    message = failure_message(wish, outcome.state, outcome.found, outcome.state.start + outcome.seconds)
    return f"{message}\nNothing new is left running{': ' + taken if taken else ''}."


def _present_result(
    module: Any, fleet: dict[str, Any], before: Iterable[Instance], after: Iterable[Instance], to_launch: int = 0
) -> dict[str, Any]:
    before, after = tuple(before), tuple(after)
    numbers = {instance.instance_id: instance.index for instance in before}
    renumbered = any(numbers.get(item.instance_id, item.index) != item.index for item in after)
    changed = bool(to_launch or fleet["launched"] or fleet["terminated"] or renumbered)
    return with_diff(module, {"changed": changed, "fleet": fleet}, diff_entry(before), diff_entry(after, to_launch))
