# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a watch does after each run of the launch, and asks while all is well: pure, no processes, no AWS, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._spot import status

# Runs in a row that ended without a new generation: then something is wrong that another try does not change.
MAX_FRUITLESS = 10
PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0

RUN = "run"
POLL = "poll"
DONE = "done"
FAIL = "fail"


@dataclass(frozen=True)
class Watched:
    """What the watch knows.

    Attributes:
        runs: how many runs it has started.
        generation: that of the last run.
        fruitless: runs in a row without a new generation.
        leaving: instances that told of an interruption, with the kind of their notice. The next runs count them as
            taken, whether AWS shows it already or not.
    """

    runs: int = 0
    generation: int = 0
    fruitless: int = 0
    leaving: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Seen:
    """What there is after a run.

    Attributes:
        status: exit status of the run.
        has_job: the profile has a job, so a run that went well is the end.
        recovery: ``recovery`` of launch_plan_info (do, text, generation).
    """

    status: int
    has_job: bool
    recovery: Mapping[str, Any]


@dataclass(frozen=True)
class Move:
    """What to do: ``run`` (after ``pause`` seconds), ``poll`` (look again after ``pause``), ``done`` or ``fail``."""

    do: str
    pause: float = 0.0
    text: str = ""


def after(state: Watched, seen: Seen) -> tuple[Watched, Move]:
    """The next state and move after a run, or after a look that the last move asked for."""
    do, text = seen.recovery["do"], seen.recovery["text"]
    if do == "resume":
        return _again(state, int(seen.recovery["generation"]), text)
    if seen.status == 0 and seen.has_job:
        return replace(state, generation=int(seen.recovery["generation"])), Move(DONE, text="the job is over")
    if seen.status == 0:
        return (state, Move(POLL)) if do == "nothing" else (state, Move(DONE, text=text))
    return state, Move(FAIL, text=f"the run failed, see above{'' if do == 'nothing' else f' ({text})'}")


def _again(state: Watched, generation: int, text: str) -> tuple[Watched, Move]:
    """Another run: at once for a new generation, ever later for one that does not come about."""
    if generation > state.generation:
        return replace(state, generation=generation, fruitless=0), Move(RUN, text=text)
    if state.fruitless + 1 >= MAX_FRUITLESS:
        return state, Move(FAIL, text=f"gave up after {MAX_FRUITLESS} runs without a new generation ({text})")
    pause = min(PAUSE_S * 2**state.fruitless, LONGEST_PAUSE_S)
    return replace(state, fruitless=state.fruitless + 1), Move(RUN, pause, text)


REQUESTS, INSTANCES = "requests", "instances"
# While all instances are Spot, their requests tell everything; the instances are asked now and then for certainty.
SELDOM, MIXED = 4, 2


def question(number: int, spot: int, count: int) -> str:
    """The one thing a look asks for: ``requests`` or ``instances``.

    A mark before an interruption shows only on the Spot request, and an On-Demand Instance has none.

    Args:
        number: of the look, from 0.
        spot: how many Spot Instances the last look at the instances has seen.
        count: how many instances there shall be.
    """
    if spot == 0 or number % (SELDOM if spot >= count else MIXED) == 0:
        return INSTANCES
    return REQUESTS


def alive(instances: Sequence[Mapping[str, Any]]) -> int:
    """How many instances run or are about to. Source: EC2 API DescribeInstances."""
    return sum(status.end_of(raw).kind == status.ALIVE for raw in instances)


def spot(instances: Sequence[Mapping[str, Any]]) -> int:
    """How many of those are Spot Instances."""
    return alive([raw for raw in instances if raw.get("InstanceLifecycle") == "spot"])


def undisturbed(requests: Sequence[Mapping[str, Any]]) -> int:
    """How many Spot requests have an instance that EC2 has not marked. Source: EC2 API DescribeSpotInstanceRequests."""
    told_of = ((raw.get("Status") or {}).get("Code", "") for raw in requests if raw.get("State") == "active")
    return sum(status.of(code, "active").verdict is status.Verdict.RUNNING for code in told_of)


def told(text: str) -> dict[str, str]:
    """What the waits of a run have written: a line an instance, its id and the kind of its notice."""
    words = (line.split() for line in text.splitlines())
    return {first: (rest[0] if rest else "") for first, *rest in (one for one in words if one)}


def at_once(state: Watched, found: Mapping[str, str]) -> tuple[Watched, Move]:
    """What to do when instances have told of an interruption: the next run decides, AWS need not be asked first."""
    leaving = {**dict(state.leaving), **found}
    text = ", ".join(f"{name}: {kind or 'no answer any more'}" for name, kind in sorted(found.items()))
    return replace(state, leaving=tuple(sorted(leaving.items())), fruitless=0), Move(RUN, text=text)


def command(
    interpreter: str, argv: Sequence[str], together: str, resume: bool, leaving: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """The command of one run: the one that was typed, with what tells it that somebody watches.

    Args:
        interpreter: the Python that runs us.
        argv: the command line that was typed, its program first.
        together: path by which all waits of the run end together.
        resume: whether this is not the first run.
        leaving: instances that are to be left, with the kind of their notice.
    """
    advised = [name for name, kind in leaving if kind == "rebalance"]
    told_of = {"spot_told": [name for name, _kind in leaving], "spot_advised": advised}
    lists = ["-e", json.dumps(told_of)] if leaving else []
    extra = {"watch": "false", "spot_watched": together, **({"spot_resume": "true"} if resume else {})}
    return [interpreter, *argv, *(part for key, value in extra.items() for part in ("-e", f"{key}={value}")), *lists]
