# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what AWS knows of the past of experiments, in several regions at the same time.

PRIVATE to the collection.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable

from .._experiment import api, reads, survey
from .._experiment.connection import Clients
from .._experiment.summary import Found
from .._experiment.transformations import on_demand_prices
from .._spot import api as spot_api
from .._spot import prices
from . import facts, ledgers

Resource = dict[str, Any]

UNKNOWN = {
    "spot": "the Spot prices, so costs are not known",
    "on_demand": "the on-demand prices, so the saving is not known",
}


def gather(clients: Clients, params: dict[str, Any], now: datetime) -> Resource:
    """Everything that the module report_info returns.

    Raises:
        ReadError: a call failed without which nothing can be told.
    """
    experiment = params["experiment"] or None
    names = params["regions"] or [clients.region]
    asked: dict[str, Callable[[], Resource]] = {
        name: partial(_of_region, clients.in_region(name), experiment, now) for name in names
    }
    answers, closed = survey.at_once(asked)
    kept, notes = ledgers.find(params["results"], experiment)
    notes = [*(note for one in answers.values() for note in one["notes"]), *notes]
    return {
        "regions": list(answers),
        "left_out": list(closed.values()),
        "notes": list(dict.fromkeys(notes)),
        "experiments": [one for answer in answers.values() for one in answer["experiments"]],
        "ledgers": kept,
    }


def _of_region(clients: Clients, experiment: str | None, now: datetime) -> Resource:
    found = reads.found(clients, experiment)
    answers, errors = api.gather(_price_reads(clients, found, now))
    changes = prices.changes(answers.get("spot", []))
    notes = [f"No answer about {UNKNOWN[kind]} ({error.action}: {error.reason})" for kind, error in errors.items()]
    return {
        "notes": notes,
        "experiments": facts.experiments(found, clients.region, changes, answers.get("on_demand", {})),
    }


def _price_reads(clients: Clients, found: Found, now: datetime) -> dict[str, Callable[[], Any]]:
    start = facts.oldest(found)
    types = sorted({raw["InstanceType"] for raw in found.instances})
    if start is None:
        return {}
    asked: dict[str, Callable[[], Any]] = {"on_demand": partial(_on_demand, clients, types)}
    if any(raw.get("InstanceLifecycle") == "spot" for raw in found.instances):
        # AWS looks back 90 days at most.
        start = max(start, now - timedelta(hours=prices.MAX_HOURS))
        zones = sorted({raw["Placement"]["AvailabilityZone"] for raw in found.instances if raw.get("Placement")})
        asked["spot"] = partial(_history, clients, types, zones, (start, now))
    return asked


def _history(clients: Clients, types: list[str], zones: list[str], times: tuple[datetime, datetime]) -> Any:
    return prices.rows(spot_api.price_history(clients("ec2"), types, zones, *times))


def _on_demand(clients: Clients, types: list[str]) -> dict[str, float | None]:
    return on_demand_prices(api.on_demand_products(clients("pricing"), types, clients.region), types)
