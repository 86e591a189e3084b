# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Carries out what ``teardown.py`` decided: all calls at once, every failure kept for the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from .. import _aws_errors
from .._spot import api as spot_api
from . import api

if TYPE_CHECKING:
    from .connection import Clients
    from .teardown import Removal


@dataclass
class Done:
    """What became of a removal: ids that are gone, ids that wait, and a line for each failure."""

    deleted: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def predict(removal: Removal) -> Done:
    """What would become of it when every call works."""
    return Done(deleted=removal.removed, pending=list(removal.pending))


def carry_out(clients: Clients, removal: Removal) -> Done:
    """Remove, in parallel; what AWS says is still in use becomes pending."""
    targets = _targets(clients("ec2"), removal)
    answers, errors = api.gather({name: call for name, (_ids, call) in targets.items()})
    done = Done(pending=list(removal.pending))
    for name, (ids, _call) in targets.items():
        if name in errors:
            done.failures.append(_aws_errors.explain(errors[name].error, f"{name} ({errors[name].action})"))
        elif answers[name] is False:
            done.pending += ids
        else:
            lines = answers[name] if isinstance(answers[name], list) else []
            done.failures += [f"Could not {name}: {line}" for line in lines]
            done.deleted += [one for one in ids if not any(line.startswith(one) for line in lines)]
    return done


def _targets(ec2: Any, removal: Removal) -> dict[str, tuple[list[str], Callable[[], Any]]]:
    """``what is done`` -> (ids, call). A call answers False for "still in use", a list for partial failures."""
    targets: dict[str, tuple[list[str], Callable[[], Any]]] = {}
    if removal.instances:
        targets[f"terminate {', '.join(removal.instances)}"] = (
            removal.instances,
            partial(api.terminate_instances, ec2, removal.instances),
        )
    if removal.fleets:
        targets[f"delete fleet {', '.join(removal.fleets)}"] = (
            removal.fleets,
            partial(api.delete_fleets, ec2, removal.fleets),
        )
    if removal.spot_fleets:
        targets[f"cancel Spot Fleet request {', '.join(removal.spot_fleets)}"] = (
            removal.spot_fleets,
            partial(spot_api.cancel_spot_fleets, ec2, removal.spot_fleets, terminate=True),
        )
    if removal.spot_requests:
        targets[f"cancel Spot request {', '.join(removal.spot_requests)}"] = (
            removal.spot_requests,
            partial(api.cancel_spot_requests, ec2, removal.spot_requests),
        )
    for key_id, key_name in removal.key_pairs.items():
        targets[f"delete key pair {key_name}"] = ([key_id], partial(api.delete_key_pair, ec2, key_name))
    singles: list[tuple[str, Any, Callable[..., Any]]] = [
        ("launch template", removal.launch_templates, api.delete_launch_template),
        ("security group", removal.security_groups, api.delete_security_group),
        ("volume", removal.volumes, api.delete_volume),
        ("snapshot", removal.snapshots, api.delete_snapshot),
    ]
    for kind, ids, call in singles:
        for one in ids:
            targets[f"delete {kind} {one}"] = ([one], partial(call, ec2, one))
    return targets
