# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what spot_price_info and spot_placement_score_info tell: independent calls at the same time, each kept.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable

from .._experiment import api as plan_api
from .._experiment import successors
from .._experiment.connection import Clients
from .._experiment.problems import not_offered
from .._experiment.reads import ReadError, failures, region_types
from .._experiment.transformations import on_demand_prices
from . import api, cache, prices, scores

Resource = dict[str, Any]


class WrongInput(Exception):
    """The options name what does not exist; ``lines`` says what, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def answer(module: Any, gather: Callable[[Any, datetime], dict[str, Any]]) -> dict[str, Any]:
    """What `gather` reads as a module's answer; fails through it with its one error."""
    try:
        gathered = gather(module, datetime.now(timezone.utc))
    except WrongInput as error:
        module.fail_json(msg=f"Invalid options: {error}")
    except ReadError as error:
        module.fail_json(msg=str(error))
    except plan_api.ApiError as error:
        module.fail_json(msg="\n".join(failures([error])))
    return {"changed": False, **gathered}


@dataclass(frozen=True)
class Source:
    """Where answers come from: clients of AWS, and what is kept of former answers."""

    clients: Clients
    kept: cache.Cache

    @property
    def region(self) -> str:
        """The region that is asked."""
        return str(self.clients.region)

    @property
    def cached(self) -> bool:
        """Whether nothing had to be asked."""
        return not self.kept.asked

    def asked_at(self, now: datetime) -> str:
        """When the oldest of the answers was given (ISO 8601, UTC)."""
        oldest = self.kept.oldest
        moment = now if oldest is None else datetime.fromtimestamp(oldest, timezone.utc)
        return moment.isoformat(timespec="seconds")


def source(module: Any, clients: Clients) -> Source:
    """Answers for the connection options and ``cache_seconds`` of a module."""
    whose = cache.whose(module.params, os.environ, clients.region, endpoint_of(module))
    return Source(clients, cache.Cache(cache.directory(os.environ), module.params["cache_seconds"], whose))


def endpoint_of(module: Any) -> str | None:
    """URL that is asked, None for that of AWS."""
    return module.params.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_URL")


def price_table(asked: Source, params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Spot and on-demand prices.

    Args:
        asked: where answers come from.
        params: options of spot_price_info.
        now: end of the period.

    Raises:
        WrongInput: a type or a zone does not exist.
        ReadError: a call failed that is needed.
    """
    names = list(dict.fromkeys(params["instance_types"]))
    start, end = prices.period(params, now)
    answers, errors = plan_api.gather(_price_reads(asked, names, params, (start, end)))
    if "spot" in errors:
        raise ReadError(failures([errors["spot"]]))
    found = prices.changes(answers["spot"])
    wrong, notes = _about_unpriced(asked, prices.unpriced(names, found), params["zones"])
    if "zones" in answers:
        wrong += prices.zone_problems(params["zones"], answers["zones"], asked.region)
    if wrong:
        raise WrongInput(wrong)
    return {
        "notes": notes + _notes(errors),
        "period": {"start": start.isoformat(), "end": end.isoformat()},
        "prices": prices.table(found, start, end, answers.get("on_demand", {}), answers.get("zones", {})),
        "unknown": {name: error.reason for name, error in errors.items()},
    }


def _price_reads(
    asked: Source, names: list[str], params: Mapping[str, Any], times: tuple[datetime, datetime]
) -> dict[str, Callable[[], Any]]:
    zones = sorted(set(params["zones"]))
    key = ["spot", sorted(names), zones, params["hours"], params["days"]]
    found: dict[str, Callable[[], Any]] = {
        "spot": partial(asked.kept, key, partial(_history, asked.clients, sorted(names), zones, times)),
        "zones": partial(asked.kept, ["zones"], lambda: api.zones(asked.clients("ec2"))),
    }
    if params["on_demand"]:
        wanted = sorted(names)
        found["on_demand"] = partial(asked.kept, ["on_demand", wanted], partial(_on_demand, asked.clients, wanted))
    return found


def _history(clients: Clients, names: list[str], zones: list[str], times: tuple[datetime, datetime]) -> Any:
    return prices.rows(api.price_history(clients("ec2"), names, zones, *times))


def _on_demand(clients: Clients, names: list[str]) -> dict[str, float | None]:
    return on_demand_prices(plan_api.on_demand_products(clients("pricing"), names, clients.region), names)


def _notes(errors: Mapping[str, plan_api.ApiError]) -> list[str]:
    """What is not known because an optional call failed, a line each."""
    about = {"zones": "the zones, so their names and ids are not known", "on_demand": "the on-demand prices"}
    first: dict[str, plan_api.ApiError] = {}
    for name, error in errors.items():
        first.setdefault(name.split()[0], error)
    return [f"No answer about {about[kind]} ({error.action}: {error.reason})" for kind, error in first.items()]


def _about_unpriced(asked: Source, names: list[str], zones: list[str]) -> tuple[list[str], list[str]]:
    """What is wrong with types that have no price in these zones, and what else there is to say about them."""
    if not names:
        return [], []
    try:
        offered = plan_api.offerings(asked.clients("ec2"), names)
    except plan_api.ApiError as error:
        return [], [f"No Spot price for {', '.join(names)}; why is not known ({error.action}: {error.reason})"]
    absent = not_offered(names, offered)
    known = region_types(asked.clients) if absent else []
    wrong = [
        f"instance_types: {name} is not offered in {asked.region}; {successors.suggestion(name, known)}"
        for name in absent
    ]
    places = {name: [zone for kind, zone in offered if kind == name] for name in names}
    notes = [prices.why_unpriced(name, zones, places[name], asked.region) for name in names if places[name]]
    return wrong, notes


def placement_scores(asked: Source, params: Mapping[str, Any]) -> dict[str, Any]:
    """Spot placement scores.

    Args:
        asked: where answers come from.
        params: options of spot_placement_score_info.

    Returns:
        ``scores``, ``notes``, and ``limit``: the code of AWS when it gave none because of a limit on asking, else None.

    Raises:
        ReadError: the scores cannot be read.
    """
    request = scores.request(params, asked.region)
    reads: dict[str, Callable[[], Any]] = {
        "scores": partial(asked.kept, ["scores", request], partial(_scores, asked.clients, request))
    }
    if params["single_zone"]:
        reads["zones"] = partial(asked.kept, ["zones"], lambda: api.zones(asked.clients("ec2")))
    answers, errors = plan_api.gather(reads)
    refused = errors.pop("scores", None)
    notes = scores.notes(params["instance_types"]) + _notes(errors)
    if refused is None:
        return {"scores": scores.table(answers["scores"], answers.get("zones", {})), "notes": notes, "limit": None}
    text = scores.limit(refused.code)
    if text is None:
        raise ReadError(failures([refused]))
    return {"scores": [], "notes": [f"{text} ({refused.code})", *notes], "limit": refused.code}


def _scores(clients: Clients, request: Resource) -> list[Resource]:
    return scores.rows(api.placement_scores(clients("ec2"), request))
