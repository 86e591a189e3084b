# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads several regions at the same time and plans the launch in the best of them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from .. import _aws_errors
from . import api, crew, elsewhere, plan, problems, reads, regions, successors

if TYPE_CHECKING:
    from .connection import Clients
    from .facts import Facts
    from .regions import Home

    Resource = dict[str, Any]
    Profile = dict[str, Any]

T = TypeVar("T")

# What a region answers that the account has not enabled, that a policy of its organization closes, or that does not
# exist. Source: EC2 API, error codes AuthFailure, OptInRequired, UnauthorizedOperation; a name without an address.
CLOSED_CODES = _aws_errors.PERMISSION_CODES | {
    "AuthFailure",
    "InvalidClientTokenId",
    "OptInRequired",
    "PendingVerification",
    "UnrecognizedClientException",
}
CLOSED_ERRORS = ("EndpointConnectionError", "InvalidRegionError")


class ProblemsFound(Exception):
    """The launch would fail; ``problems`` says why, one line each."""

    def __init__(self, experiment: str, found: list[str]) -> None:
        super().__init__(message(experiment, found))
        self.problems = found


def message(experiment: str, found: list[str]) -> str:
    """One text for all problems; a single one stands on the first line."""
    if len(found) == 1:
        return f"Cannot launch {experiment}: {found[0]}"
    return "\n".join([f"Cannot launch {experiment}, {len(found)} problems:", *(f"  - {line}" for line in found)])


@dataclass
class Place:
    """One region: what it is judged by, and why nothing can be launched there (empty when it can)."""

    case: problems.Case
    lines: list[str]
    pools: list[Resource]


@dataclass
class Seen:
    """What all regions answered.

    Attributes:
        places: those in which the experiment may be launched, or is.
        closed: region -> why it cannot be used.
        homes: what the experiment has in each.
    """

    places: dict[str, Place]
    closed: dict[str, str]
    homes: dict[str, Home]


def make(clients: Clients, profile: Profile, params: Resource) -> Resource:
    """Read, judge and plan.

    Args:
        clients: of any region.
        profile: the normalised profile.
        params: of the module launch_plan_info.

    Raises:
        ReadError: a call failed that the plan needs.
        ProblemsFound: the launch would fail.
    """
    experiment = params["experiment"] or profile["experiment"]
    names = regions.allowed(profile) or [clients.region]
    if len(names) == 1:
        return _one(clients, profile, experiment, params)
    everywhere = {name: clients.in_region(name) for name in names}
    homes, closed = at_once({name: partial(reads.home, place, experiment) for name, place in everywhere.items()})
    living = regions.lives(profile, homes.values())
    if len(living) > 1:
        raise ProblemsFound(experiment, [regions.two_homes(experiment, living)])
    candidates = [name for name in homes if not living or name in living]
    if params["try_region"] in candidates:
        candidates = [params["try_region"]]
    places, more = at_once(
        {name: partial(_place, everywhere[name], profile, experiment, homes, params) for name in candidates}
    )
    return _choose(experiment, profile, Seen(places, {**closed, **more}, homes), params)


def at_once(calls: dict[str, Callable[[], T]]) -> tuple[dict[str, T], dict[str, str]]:
    """Ask all regions at the same time.

    Returns:
        The answers by region, and why for each region that is closed to this account.

    Raises:
        ReadError: a call failed for another reason, or all regions are closed: then the credentials are wrong.
    """
    answers: dict[str, T] = {}
    failed: dict[str, reads.ReadError] = {}
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = {name: pool.submit(call) for name, call in calls.items()}
    for name, future in futures.items():
        try:
            answers[name] = future.result()
        except api.ApiError as error:
            failed[name] = reads.ReadError(reads.failures([error]), [error])
        except reads.ReadError as error:
            failed[name] = error
    closed = {name: error for name, error in failed.items() if all(is_closed(cause) for cause in error.errors)}
    told = failed if not answers else {name: error for name, error in failed.items() if name not in closed}
    if told:
        raise _together(told, len(calls) > 1)
    return answers, {name: f"{name} cannot be used: {_reason(error.errors[0])}" for name, error in closed.items()}


def _together(failed: dict[str, reads.ReadError], several: bool) -> reads.ReadError:
    """One error of all regions; what is wrong with all of them alike, such as the credentials, is told once."""
    where: dict[str, list[str]] = {}
    for name, error in failed.items():
        for line in error.lines:
            where.setdefault(line, []).append(name)
    lines = [f"{', '.join(names)}: {line}" if several else line for line, names in where.items()]
    return reads.ReadError(lines, [cause for error in failed.values() for cause in error.errors])


def is_closed(error: api.ApiError) -> bool:
    """Whether a region answers so to everything: not enabled, forbidden, or no such region."""
    return error.code in CLOSED_CODES or type(error.error).__name__ in CLOSED_ERRORS


def _reason(error: api.ApiError) -> str:
    if type(error.error).__name__ in CLOSED_ERRORS:
        return f"no such region, or it cannot be reached ({type(error.error).__name__})"
    if error.denied:
        return f"no permission there ({error.action}: {error.code})"
    return f"it is not enabled for this account ({error.code})"


def _one(clients: Clients, profile: Profile, experiment: str, params: Resource) -> Resource:
    profile = regions.profile_in(profile, clients.region)
    whose = clients.whose() if params["cache"] else None
    kept = reads.Kept(whose, os.environ)
    facts = _facts(clients, profile, experiment, params, kept)
    found = problems.find(problems.Case(profile, experiment, facts))
    if found and kept.taken:  # What is wrong must be so now.
        facts = _facts(clients, profile, experiment, params, reads.Kept(whose, os.environ, take=False))
        found = problems.find(problems.Case(profile, experiment, facts))
    if found:
        raise ProblemsFound(experiment, found)
    made = _plan(problems.Case(profile, experiment, facts), params)
    pools = {clients.region: made["pools"]}
    return {**made, **_regions(clients.region, pools), "elsewhere": elsewhere.make(profile, facts)}


def _facts(clients: Clients, profile: Profile, experiment: str, params: Resource, kept: reads.Kept) -> Facts:
    facts = reads.facts(clients, profile, experiment, kept)
    facts.spot_requests = crew.marked(facts.spot_requests, params["leaving_instance_ids"])
    return facts


def _place(
    clients: Clients, profile: Profile, experiment: str, homes: dict[str, Home], params: Resource, *, take: bool = True
) -> Place:
    """Judge one region; of the wanted types only those count that it offers.

    Something that is wrong by answers of earlier runs (``take``) must be so now.
    """
    here = regions.profile_in(profile, clients.region)
    kept = reads.Kept(clients.whose() if params["cache"] else None, os.environ, take=take)
    facts = _facts(clients, here, experiment, params, kept)
    facts.other_regions = regions.past(homes.values(), clients.region)
    missing = problems.not_offered(here["capacity"]["instance_types"], facts.offered)
    offered = [name for name in here["capacity"]["instance_types"] if name not in missing]
    if offered:
        here = {**here, "capacity": {**here["capacity"], "instance_types": offered}}
    case = problems.Case(here, experiment, facts)
    lines = problems.of_place(case)
    if kept.taken and (lines or problems.besides_place(case)):
        return _place(clients, profile, experiment, homes, params, take=False)
    return Place(case, lines, [] if lines or not case.launching else plan.pools(here, facts))


def _choose(experiment: str, profile: Profile, seen: Seen, params: Resource) -> Resource:
    usable = {name: place for name, place in seen.places.items() if not place.lines}
    found = _problems(profile, seen.places, bool(usable), len(seen.places) == len(seen.homes))
    if found:
        raise ProblemsFound(experiment, found)
    ranked = regions.rank({name: place.pools for name, place in usable.items()}) or list(usable)
    pools = {name: usable[name].pools for name in ranked}
    best = usable[ranked[0]].case
    made = _plan(best, params)
    left_out = [f"{name} is left out: {line}" for name, place in seen.places.items() for line in place.lines]
    return {
        **made,
        **_regions(ranked[0], pools),
        "elsewhere": elsewhere.make(best.profile, best.facts),
        "turns": regions.turns(ranked, profile["capacity"]["wait"], profile["capacity"]["on_demand"]),
        "left_out": [*seen.closed.values(), *left_out],
        "abandoned_regions": regions.abandoned(seen.homes.values(), ranked[0]),
    }


def _plan(case: problems.Case, params: Resource) -> Resource:
    made = plan.make(case.profile, case.experiment, case.facts, params["caller_cidr"], params["tags"])
    return {**made, "elsewhere": elsewhere.make(case.profile, case.facts)}


def _regions(region: str, pools: dict[str, list[Resource]]) -> Resource:
    found = {"region": region, "regions": list(pools), "all_pools": regions.table(pools)}
    return {**found, "turns": [], "left_out": [], "abandoned_regions": []}


def _problems(profile: Profile, places: dict[str, Place], usable: bool, everywhere: bool) -> list[str]:
    found = [line for place in places.values() for line in problems.besides_place(place.case)]
    if not usable:
        found += [line for place in places.values() for line in place.lines]
    elif everywhere:
        found += _offered_nowhere(profile, places)
    return list(dict.fromkeys(found))


def _offered_nowhere(profile: Profile, places: dict[str, Place]) -> list[str]:
    """Types that none of the regions offers."""
    facts = [place.case.facts for place in places.values() if place.case.launching]
    known = sorted({name for one in facts for name in one.region_types})
    where = ", ".join(one.region for one in facts)
    return [
        f"capacity.instance_types: {name} is not offered in {where}; {successors.suggestion(name, known)}"
        for name in problems.not_offered(
            profile["capacity"]["instance_types"], [pair for one in facts for pair in one.offered]
        )
        if facts
    ]
