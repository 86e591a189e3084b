# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what spot_pool_info tells: all regions at the same time, the history only of the pools that are shown.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from .. import _aws_errors
from .._experiment import api as plan_api
from .._experiment import successors, survey, transformations
from .._experiment.connection import Clients
from .._experiment.reads import Kept, ReadError, failures
from . import api, market, prices, reads, scores

Resource = dict[str, Any]


@dataclass
class Region:
    """What a region offers.

    Attributes:
        types: type -> what is known about it.
        offers: pools with their prices of now.
        missing: types of the wish that it does not offer.
        notes: what to say about it.
        unknown: column -> why it is not known.
    """

    types: dict[str, Resource]
    offers: list[market.Offer]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


def pools(sources: Mapping[str, reads.Source], params: Mapping[str, Any], now: datetime) -> Resource:
    """The cheapest pools of all regions.

    Args:
        sources: region -> where its answers come from.
        params: options of spot_pool_info.
        now: end of the period.

    Raises:
        WrongInput: no region offers a type that is named.
        ReadError: a call failed that is needed, or all regions are closed.
    """
    found, closed = survey.at_once({name: partial(_look, one, params) for name, one in sources.items()})
    _check_missing(sources, found, params["instance_types"])
    chosen = market.cheapest((offer for one in found.values() for offer in one.offers), params["pools"])
    tables, more = (
        survey.at_once({name: partial(_history, sources[name], chosen, params, now) for name in _regions(chosen)})
        if chosen
        else ({}, {})
    )
    known = {name for one in found.values() for name in one.types}
    wanted = known & {*params["instance_types"]} or {offer.instance_type for offer in chosen}
    scored, said = _scores(sources, _regions(chosen), sorted(wanted), params)
    told = [*found.values(), *(_told(table) for table in tables.values()), said]
    rows = [
        market.row(entry, name, found[name].types, scored)
        for name, table in tables.items()
        for entry in table["prices"]
    ]
    return {
        "pools": sorted(rows, key=lambda one: (one["price"], one["instance_type"], one["zone"])),
        "fitting": sum(len(one.offers) for one in found.values()),
        "left_out": [*closed.values(), *more.values()],
        "need": market.need(params),
        "notes": list(dict.fromkeys(note for one in told for note in one.notes)),
        "unknown": {column: why for one in reversed(told) for column, why in one.unknown.items()},
        "period": dict(zip(("start", "end"), (at.isoformat() for at in prices.period(_back(params), now)))),
    }


def _look(source: reads.Source, params: Mapping[str, Any]) -> Region:
    """Which types of a region come into question, and what they cost now."""
    names, unknown = list(dict.fromkeys(params["instance_types"])), {}
    try:
        rows = _types(source.clients, names)
        types = {row["instance_type"]: row for row in rows if market.fits(row, params)}
        missing = sorted({*names} - {row["instance_type"] for row in rows})
    except plan_api.ApiError as error:
        if not names or not error.denied or market.need(params):
            raise
        types, missing, unknown = {name: {} for name in names}, [], {"types": error.reason}
    wanted = sorted(types)
    if not wanted:
        return Region({}, [], missing)
    table = transformations.price_table(plan_api.spot_prices(source.clients("ec2"), wanted))
    found = Region(types, market.offers(table, source.region), missing, [], unknown)
    unpriced = [name for name in names if name in types and name not in {offer.instance_type for offer in found.offers}]
    found.notes = [f"{name} has no Spot price in {source.region}" for name in unpriced]
    return found


def _types(clients: Clients, names: list[str]) -> list[Resource]:
    """Data of these types, of all of the region without names; kept for a day, since it hardly ever changes."""
    kept = Kept(clients.whose(), os.environ).day
    found: list[Resource] = kept(
        ["market types", sorted(names)],
        lambda: [market.type_row(raw) for raw in _raw_types(clients, names)],
        lambda rows: bool(rows) and {*names} <= {row["instance_type"] for row in rows},
    )
    return found


def _raw_types(clients: Clients, names: list[str]) -> list[Resource]:
    return plan_api.instance_types(clients("ec2"), names) if names else api.spot_types(clients("ec2"))


def _check_missing(sources: Mapping[str, reads.Source], found: Mapping[str, Region], names: Iterable[str]) -> None:
    """Refuse types that no region offers; those that only some offer are told."""
    nowhere = [name for name in dict.fromkeys(names) if all(name in one.missing for one in found.values())]
    if nowhere:
        first = sources[next(iter(found))]
        offered = _offered(first)
        raise reads.WrongInput(
            [
                f"instance_types: {name} is not offered in {', '.join(found)}; {successors.suggestion(name, offered)}"
                for name in nowhere
            ]
        )
    for region, one in found.items():
        one.notes += [f"{name} is not offered in {region}" for name in one.missing]


def _offered(source: reads.Source) -> list[str]:
    try:
        return sorted({name for name, _zone in plan_api.offerings(source.clients("ec2"))})
    except plan_api.ApiError:  # Only a suggestion depends on it.
        return []


def _regions(chosen: Iterable[market.Offer]) -> list[str]:
    return list(dict.fromkeys(offer.region for offer in chosen))


def _back(params: Mapping[str, Any]) -> Resource:
    return {"hours": None, "days": params["days"]}


def _history(source: reads.Source, chosen: list[market.Offer], params: Mapping[str, Any], now: datetime) -> Resource:
    """Prices of the chosen pools of a region over the period, with what is not known."""
    here = [offer for offer in chosen if offer.region == source.region]
    asked = {
        "instance_types": sorted({offer.instance_type for offer in here}),
        "zones": sorted({offer.zone for offer in here}),
        "on_demand": True,
        **_back(params),
    }
    table = reads.price_table(source, asked, now)
    wanted = {(offer.instance_type, offer.zone) for offer in here}
    table["prices"] = [one for one in table["prices"] if (one["instance_type"], one["zone"]) in wanted]
    return table


def _told(table: Resource) -> Region:
    """What ``reads.price_table`` said besides prices; without ids of zones there are no scores."""
    columns = {"on_demand": "on_demand_price", "zones": "score"}
    unknown = {columns[kind]: why for kind, why in table["unknown"].items()}
    return Region({}, [], [], table["notes"], unknown)


def _scores(
    sources: Mapping[str, reads.Source], regions: list[str], names: list[str], params: Mapping[str, Any]
) -> tuple[dict[tuple[str, str | None], int], Region]:
    """Region and zone id -> score for the types together, and what to say about it. One call for all regions."""
    said = Region({}, [])
    if not regions or not params["scores"]:
        return {}, said
    request = scores.request(
        {
            "instance_types": names,
            "regions": regions,
            "single_zone": True,
            "target_capacity": params["target_capacity"],
            "target_capacity_unit": "units",
        },
        regions[0],
    )
    source = sources[regions[0]]
    try:
        rows = source.kept(
            ["scores", request], lambda: scores.rows(api.placement_scores(source.clients("ec2"), request))
        )
    except plan_api.ApiError as error:
        if error.code in _aws_errors.AUTH_CODES - _aws_errors.PERMISSION_CODES:
            raise ReadError(failures([error]), [error]) from error
        text = scores.limit(error.code) or f"No answer about placement scores ({error.action}: {error.reason})"
        said.notes, said.unknown = [text], {"score": "limit" if scores.limit(error.code) else error.reason}
        return {}, said
    said.notes = scores.notes(names)
    return {(one["region"], one["zone_id"]): one["score"] for one in rows}, said
