# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fleet is about: immutable values that the plans, the API calls and the messages share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._aws_errors import ErrorClass

LIVE_STATES = ("pending", "running", "stopping", "stopped")
SPOT = "spot"
ON_DEMAND = "on-demand"


@dataclass(frozen=True)
class Pool:
    """One instance type in one subnet or zone: the unit that has or has not capacity.

    Attributes:
        instance_type: Such as ``p2.xlarge``; empty with requirements.
        subnet_id: Empty to let AWS choose (default VPC).
        zone: Availability Zone, empty when not known or not wanted.
        weight: Units of capacity of one instance.
        max_price: USD per hour, None for no maximum.
        priority: Lower goes first, None for none.
        requirements: ``InstanceRequirements`` of the API as JSON, for any type that has these attributes.
        words: The requirements in words.
        cooling: It has refused, or lost an instance, just now: the others are asked first.
    """

    instance_type: str
    subnet_id: str = ""
    zone: str = ""
    weight: int = 1
    max_price: float | None = None
    priority: float | None = None
    requirements: str = ""
    words: str = ""
    cooling: bool = False

    @property
    def label(self) -> str:
        """The pool in words, such as ``p2.xlarge in us-east-1a (subnet-1)``."""
        what = self.instance_type or self.words
        if self.zone and self.subnet_id:
            return f"{what} in {self.zone} ({self.subnet_id})"
        place = self.zone or self.subnet_id
        return f"{what} in {place}" if place else what


@dataclass(frozen=True)
class Instance:
    """An instance as far as a fleet cares.

    Attributes:
        launch_time: ISO 8601 UTC, empty when not known.
        generation: Value of the tag ``spot:generation``, empty when not known.
        index: The number in the tag that ``Wish.index_tag`` names, None without one.
    """

    instance_id: str
    instance_type: str = ""
    zone: str = ""
    subnet_id: str = ""
    lifecycle: str = "on-demand"
    state: str = "pending"
    launch_time: str = ""
    fleet_id: str = ""
    reason: str = ""
    generation: str = ""
    index: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it exists, that is, is not terminated and not on its way there."""
        return self.state in LIVE_STATES


@dataclass(frozen=True)
class Wish:
    """What the user wants of a fleet.

    Attributes:
        experiment: Value of the tag ``spot:experiment``.
        generation: Value of the tag ``spot:generation``.
        launch_template: ``{"LaunchTemplateId" or "LaunchTemplateName": …, "Version": …}``.
        pools: Where instances may run.
        target: Units of capacity in total (instances, unless pools have weights).
        required: With fewer units than this the launch has failed and leaves nothing.
        market: ``spot`` or ``on-demand``.
        on_demand: Units of the target that are On-Demand though the market is Spot.
        fallback: Ask for On-Demand when Spot has given nothing until the time is over.
        allocation_strategy: For Spot.
        on_demand_allocation_strategy: For On-Demand.
        interruption_behavior: What AWS does with an interrupted Spot instance.
        single_instance_type: All instances of one type.
        single_zone: All instances in one Availability Zone.
        max_total_price: USD per hour for the whole fleet, None for no maximum.
        tags: Tags of fleet and instances.
        client_token: Base of the client tokens, empty to derive one.
        wait: Seconds to keep trying when there is no capacity.
        cooldown: Seconds a pool without capacity is left alone.
        all_generations: Count the instances of every generation, not only of this one.
        excluded: Ids of live instances that do not count.
        index_tag: The tag that numbers the instances, empty for none.
        kind: The fleet's type.
    """

    experiment: str
    generation: str
    launch_template: Mapping[str, str]
    pools: tuple[Pool, ...]
    target: int = 1
    required: int = 1
    market: str = SPOT
    on_demand: int = 0
    fallback: bool = False
    allocation_strategy: str = "price-capacity-optimized"
    on_demand_allocation_strategy: str = "lowest-price"
    interruption_behavior: str = "terminate"
    single_instance_type: bool = False
    single_zone: bool = False
    max_total_price: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    client_token: str = ""
    wait: float = 0.0
    cooldown: float = 60.0
    all_generations: bool = False
    excluded: frozenset[str] = frozenset()
    index_tag: str = ""
    kind: str = "instant"


@dataclass(frozen=True)
class Request:
    """One CreateFleet.

    Attributes:
        pools: Where the instances may run.
        capacity: Units of capacity.
        attempt: The number that makes the token new.
        market: ``spot`` or ``on-demand``; one request never asks for both, so that a refusal tells which it is about.
        index: The number of the only instance, set as a tag at its creation; None for none.
    """

    pools: tuple[Pool, ...]
    capacity: int
    attempt: int = 0
    market: str = SPOT
    index: int | None = None


@dataclass(frozen=True)
class Refusal:
    """AWS said no.

    Attributes:
        pool: None when the answer was for the whole request.
        code: AWS's error code.
        message: AWS's words.
        kind: How to react.
        reason: When the call itself failed: one line that says why and what to do.
        market: What was asked for.
    """

    pool: Pool | None
    code: str
    message: str
    kind: ErrorClass
    reason: str = ""
    market: str = SPOT

    @property
    def label(self) -> str:
        """What refused, in words."""
        place = self.pool.label if self.pool else "all pools"
        return place if self.market == SPOT else f"{place}, {self.market}"


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        fleet_id: Empty when the call failed.
        launched: The instances AWS named that are alive.
        refusals: One for each pool that AWS tried in vain.
        error: The call itself failed.
        stale: AWS repeated the answer of a former fleet of this token, which is of no use any more.
        seen: The live instances of the experiment right after it, None when nobody looked.
    """

    fleet_id: str = ""
    launched: tuple[Instance, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    error: Refusal | None = None
    stale: bool = False
    seen: tuple[Instance, ...] | None = None
