# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a failed launch tells: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._aws_errors import (
    AUTH_CODES,
    PERMISSION_CODES,
    QUOTA_CODES,
    ErrorClass,
    hint_of,
    is_known,
    no_permission,
    quota_hint,
)
from .options import REQUEST
from .plan import State, fitting_pools, missing, units
from .values import ON_DEMAND, SPOT, Instance, Refusal, Wish

# Fatal in a region that the account has not enabled or may not use. Source: EC2 API, "Error codes".
REGION_CODES = PERMISSION_CODES | {"AuthFailure", "OptInRequired", "PendingVerification"}
PRICE_CODES = frozenset({"SpotMaxPriceTooLow"})


def failure_message(wish: Wish, state: State, instances: Iterable[Instance], now: float) -> str:
    """Return the error of a launch that gave fewer instances than required.

    The first line says what failed, then comes what to do about the most probable cause, then a table
    ``pool -> code: message``.

    Args:
        wish: What was wanted.
        state: The state at the end.
        instances: What the experiment had then, before anything was taken back.
        now: The time, on the clock of the state.
    """
    seen = tuple(instances)
    lines = [f"{_headline(wish, seen)}: {_summary(wish, state, seen, now)}."]
    # The first line tells all about a call that failed as a whole.
    causes = [refusal for refusal in ranked(state) if not (refusal.reason and refusal.pool is None)]
    advice = _advice(wish, causes, state)
    if advice:
        lines.append(f"What to do: {advice}.")
    if causes:
        lines += ["Refusals (pool -> code: message):", *table(causes)]
    return "\n".join(lines)


def _headline(wish: Wish, seen: tuple[Instance, ...]) -> str:
    noun = "instance" if wish.target == 1 else "instances"
    mixed = wish.market == SPOT and (wish.on_demand or wish.fallback)
    market = f"{SPOT} and {ON_DEMAND}" if mixed else wish.market
    return f"Could not launch {missing(wish, seen)} of {wish.target} {market} {noun} of experiment {wish.experiment}"


def _summary(wish: Wish, state: State, seen: tuple[Instance, ...], now: float) -> str:
    if state.fatal:
        unknown = ", the outcome is not known" if state.fatal.kind is ErrorClass.RETRY else ""
        return (state.fatal.reason or _inner_reason(state.fatal)) + unknown
    if not fitting_pools(wish, seen):
        places = ", ".join(sorted({f"{item.instance_type} in {item.zone}" for item in seen if item.alive}))
        return f"no override goes with the instances that are there ({places})"
    requests = f"{state.asks} request" + ("" if state.asks == 1 else "s")
    return f"no pool gave enough capacity ({requests} in {max(now - state.start, 0):.0f} s)"


def _inner_reason(refusal: Refusal) -> str:
    """Why a fatal error inside an HTTP 200 came; CreateFleet acts with the caller's rights for other actions."""
    if refusal.code in PERMISSION_CODES:
        return no_permission(refusal.message, "one of ec2:RunInstances, ec2:CreateTags, iam:PassRole")
    return f"AWS answered {refusal.code}"


def another_region(state: State) -> bool:
    """Say whether another region may give what this one refused.

    Not after an unknown outcome, as something may run here, nor after what is wrong everywhere.
    """
    if state.unknown:
        return False
    return state.fatal is None or state.fatal.code in REGION_CODES


def rank(refusal: Refusal) -> int:
    """Return how probable a refusal is the real cause: the lower, the more it explains (quota before capacity)."""
    if refusal.code in AUTH_CODES:
        return 0
    if refusal.code in QUOTA_CODES:
        return 1
    if refusal.kind is ErrorClass.FATAL and is_known(refusal.code):
        return 2
    if refusal.code in PRICE_CODES:
        return 3
    if not is_known(refusal.code):
        return 4
    return 6 if refusal.kind is ErrorClass.POOL else 5


def ranked(state: State) -> list[Refusal]:
    """Return each different refusal once, the most probable cause first."""
    unique = dict.fromkeys(state.refusals)
    if state.fatal:
        unique.setdefault(state.fatal)
        return sorted(unique, key=lambda refusal: (refusal != state.fatal, rank(refusal), refusal.label))
    return by_rank(unique)


def by_rank(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Return refusals, the most probable cause first."""
    return sorted(refusals, key=lambda refusal: (rank(refusal), refusal.label))


def table(refusals: Iterable[Refusal]) -> list[str]:
    """Return one aligned line for each refusal."""
    rows = [(refusal.label, f"{refusal.code}: {' '.join(refusal.message.split())}") for refusal in refusals]
    width = max((len(label) for label, _text in rows), default=0)
    return [f"  {label:<{width}} -> {text}" for label, text in rows]


def _advice(wish: Wish, causes: list[Refusal], state: State) -> str:
    if state.fatal and state.fatal.kind is ErrorClass.RETRY:
        return "repeat the same command; it finds what was launched and asks with the same client token"
    if state.fatal and state.fatal.reason:
        return ""
    if not causes:
        return "add instance types or zones" if wish.pools else ""
    if state.fatal and causes[0].code in PERMISSION_CODES:
        return ""
    return _advice_of(causes)


def _advice_of(causes: list[Refusal]) -> str:
    """Return what to do about the first of some refusals."""
    first = causes[0]
    if first.code in QUOTA_CODES:
        types = [item.pool.instance_type for item in causes if item.code == first.code and item.pool]
        return quota_hint(first.code, types)
    return hint_of(first.code, first.message)


def partial_warning(wish: Wish, instances: Iterable[Instance]) -> str:
    """Return the warning for a launch that gave fewer units than the target but as many as required."""
    have = units(wish, instances)
    return f"only {have} of {wish.target} units of capacity could be had; at least {wish.required} were required"


def fixed_message(fleet_id: str, differences: Iterable[str]) -> str:
    """Return the error about options that cannot be changed on the fleet that is there."""
    advice = "delete it with state absent, or choose another spot:generation"
    return f"Cannot change {fleet_id}: {'; '.join(differences)}. What to do: {advice}."


def several_message(fleet_ids: Iterable[str]) -> str:
    """Return the error about more than one live fleet with the same identity."""
    return (
        f"Several fleets have the same spot:experiment and spot:generation: {', '.join(fleet_ids)}. "
        "What to do: delete those that are not wanted, or all of them with state absent."
    )


def short_fleet_warning(fleet_id: str, have: float, target: float) -> str:
    """Return the warning about a fleet that stays though it has not yet what it shall have."""
    return f"{fleet_id} has only {have:g} of {target:g} units of capacity"


def standing_failure(
    params: Mapping[str, Any], fleet: Mapping[str, Any], refusals: Iterable[Refusal], seconds: float
) -> str:
    """Return the error of a fleet of type request or maintain that did not become what it shall be.

    Args:
        params: The module's options.
        fleet: The fleet as seen last.
        refusals: What its history says that went wrong.
        seconds: How long it was waited for.
    """
    have, target, causes = float(fleet.get("FulfilledCapacity") or 0), params["target_capacity"], by_rank(refusals)
    state = ", ".join(str(fleet[key]) for key in ("FleetState", "ActivityStatus") if fleet.get(key))
    lines = [
        f"{fleet['FleetId']} of experiment {params['tags']['spot:experiment']} has {have:g} of {target} units of "
        f"capacity after {seconds:.0f} s ({state})."
    ]
    advice = _advice_of(causes) if causes else ""
    if not advice and params["type"] == REQUEST:
        advice = "type request does not replace instances that have ended; use type maintain or another spot:generation"
    if advice:
        lines.append(f"What to do: {advice}.")
    if causes:
        lines += ["History of the fleet (pool -> code: event):", *table(causes)]
    return "\n".join(lines)
