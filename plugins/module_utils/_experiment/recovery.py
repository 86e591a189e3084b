# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether lost capacity of an experiment is asked for again: pure functions of what AWS shows and of the clock.

What AWS took is asked for again, within the bounds of the profile. What the user ended, or what shut itself down
because the job was over, is not: only the user starts that again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .._spot import status
from . import crew, transformations

Resource = dict[str, Any]

RESUME = "resume"
NOTHING = "nothing"
STOP = "stop"
START = "ansible-playbook launch.yml starts it again"


@dataclass(frozen=True)
class Bounds:
    """How far recovery goes.

    Attributes:
        enabled: False where the profile declines it.
        count: how many instances the experiment has.
        max_generations: no generation above this number.
        deadline: seconds after the first launch from which on nothing is asked for again, None for no end.
    """

    enabled: bool = True
    count: int = 1
    max_generations: int = 20
    deadline: float | None = None


@dataclass(frozen=True)
class Seen:
    """What AWS shows of an experiment, in the shapes of boto3.

    Attributes:
        instances: all that are still shown, terminated ones too.
        requests: its Spot requests.
        volumes: its volumes, which remember the generation longer than instances do.
        templates: its launch templates, which live until it is closed.
    """

    instances: list[Resource] = field(default_factory=list)
    requests: list[Resource] = field(default_factory=list)
    volumes: list[Resource] = field(default_factory=list)
    templates: list[Resource] = field(default_factory=list)


@dataclass(frozen=True)
class Loss:
    """One rank without an instance, with the instance it had last (empty when AWS has forgotten it)."""

    rank: int
    instance_id: str
    end: status.End

    @property
    def text(self) -> str:
        """The loss in words."""
        who = self.instance_id or "its instance"
        return f"rank {self.rank}: {who}: {self.end.text}"


@dataclass(frozen=True)
class Decision:
    """What is to be done.

    Attributes:
        do: ``resume`` (ask for the missing ranks), ``nothing`` (all ranks work) or ``stop`` (somebody else decides).
        losses: the ranks without an instance.
        generation: that of the next launch, or of what runs.
        text: why, for the user.
    """

    do: str
    losses: tuple[Loss, ...]
    generation: int
    text: str


def losses(seen: Seen, count: int) -> list[Loss]:
    """The ranks that have no working instance, lowest first."""
    taken = {one["rank"] for one in crew.crew(seen.instances, seen.requests)}
    known = crew.requests_by_instance(seen.requests)
    return [_loss(rank, seen, known) for rank in range(count) if rank not in taken]


def _loss(rank: int, seen: Seen, requests: dict[str, Resource]) -> Loss:
    gone = [raw for raw in seen.instances if crew.end_of(raw, requests).kind != "alive"]
    # One that was taken before it got its rank may have been anybody's.
    candidates = [raw for raw in gone if crew.rank_of(raw) == rank] or [
        raw for raw in gone if crew.rank_of(raw) is None
    ]
    if not candidates:
        return Loss(rank, "", status.End("unknown", True, "", "AWS shows no instance of it"))
    last = max(candidates, key=_age)
    return Loss(rank, last["InstanceId"], crew.end_of(last, requests))


def _age(raw: Resource) -> tuple[int, str]:
    tags = transformations.tags_of(raw)
    return transformations.number(tags.get("spot:generation")), str(raw.get("LaunchTime", ""))


def decide(seen: Seen, bounds: Bounds, now: datetime) -> Decision:
    """Say what is to be done about the ranks that have no instance.

    Args:
        seen: what AWS shows.
        bounds: how far recovery goes.
        now: the present moment, with a time zone.
    """
    missing = tuple(losses(seen, bounds.count))
    generation = crew.generation(seen.instances, seen.requests, seen.volumes, bounds.count)
    if not missing:
        return Decision(NOTHING, (), generation, "all instances run")
    why = _obstacle(seen, bounds, missing, generation, now)
    if why:
        return Decision(STOP, missing, generation, why)
    return Decision(RESUME, missing, generation, "; ".join(loss.text for loss in missing))


def _obstacle(seen: Seen, bounds: Bounds, missing: tuple[Loss, ...], generation: int, now: datetime) -> str:
    """Why nothing is asked for again, '' when it is."""
    # Volumes outlive the experiment; launch templates are there from its first launch until it is closed.
    if not (seen.instances or seen.templates):
        return f"nothing of this experiment is there; {START}"
    final = [loss for loss in missing if not loss.end.retry]
    if final:
        return "; ".join(loss.text for loss in final) + f"; {START}"
    if not bounds.enabled:
        return f"recovery.mode is none; {START}"
    if generation > bounds.max_generations:
        return (
            f"generation {generation} would be over recovery.max_generations ({bounds.max_generations}); raise it, or "
            "launch with -e recovery.max_generations=N"
        )
    return _late(seen, bounds, now)


def _late(seen: Seen, bounds: Bounds, now: datetime) -> str:
    begin = started(seen)
    if bounds.deadline is None or begin is None or now < begin + timedelta(seconds=bounds.deadline):
        return ""
    return (
        f"the first launch was at {begin:%Y-%m-%d %H:%M} UTC, more than recovery.deadline ({bounds.deadline:g} s) ago; "
        "raise it, or close the experiment and launch again"
    )


def started(seen: Seen) -> datetime | None:
    """When the experiment was launched first since it was closed last, as far as AWS still knows."""
    times = [raw.get("CreateTime") or raw.get("LaunchTime") for raw in [*seen.templates, *seen.instances]]
    return min((time for time in times if isinstance(time, datetime)), default=None)
