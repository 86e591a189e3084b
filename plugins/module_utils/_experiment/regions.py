# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""In which region an experiment is, or is to be launched: pure functions, no API calls.

An experiment is in one region at a time. What holds it there are its instances, and volumes that its profile wants: an
EBS volume belongs to one zone. Without them it goes where the cheapest pools are, also when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import crew, transformations

Resource = dict[str, Any]
Profile = dict[str, Any]

# A region that refused is asked again after the others, for so long at least: as a pool cools, see ec2_fleet.
TURN_S = 60
# A wait of hours is shared out into so many turns.
MOST_TURNS = 20


def allowed(profile: Profile) -> list[str]:
    """The regions that may be used, in the order of the profile."""
    regions = profile["capacity"].get("regions") or [profile.get("region")]
    return [region for region in regions if region]


def in_region(zone: str, region: str) -> bool:
    """Whether a zone is one of a region. Source: EC2 user guide, "Regions and Zones" (us-east-1a, us-west-2-lax-1a)."""
    rest = zone.removeprefix(region)
    return rest != zone and (rest.startswith("-") or len(rest) == 1)


def profile_in(profile: Profile, region: str) -> Profile:
    """The profile as it is in one region: its zones and its image."""
    image, capacity = profile["image"], profile["capacity"]
    ids = image.get("ids") or {}
    if len(allowed(profile)) > 1:
        capacity = {**capacity, "zones": [zone for zone in capacity["zones"] if in_region(zone, region)]}
    return {
        **profile,
        "region": region,
        "capacity": capacity,
        "image": {**image, "id": ids.get(region)} if ids else image,
    }


@dataclass
class Home:
    """What an experiment has in one region, in the shapes of boto3."""

    region: str
    instances: list[Resource] = field(default_factory=list)
    requests: list[Resource] = field(default_factory=list)
    volumes: list[Resource] = field(default_factory=list)
    templates: list[Resource] = field(default_factory=list)


def holds(profile: Profile, home: Home) -> list[str]:
    """What keeps the experiment in a region, in words: ids of working instances and of wanted volumes.

    An instance that AWS has announced to take, or that has ended, holds nothing.
    """
    working = [one["instance_id"] for one in crew.crew(home.instances, home.requests)]
    names = {volume["name"] for volume in profile["volumes"]}
    kept = [
        raw["VolumeId"]
        for raw in home.volumes
        if transformations.tags_of(raw).get("spot:volume") in names and raw.get("State") not in ("deleting", "deleted")
    ]
    return [*working, *sorted(kept)]


def lives(profile: Profile, homes: Iterable[Home]) -> dict[str, list[str]]:
    """Region -> what keeps the experiment there; more than one region is a mistake, none leaves the choice."""
    found = {home.region: holds(profile, home) for home in homes}
    return {region: ids for region, ids in found.items() if ids}


def two_homes(experiment: str, found: Mapping[str, list[str]]) -> str:
    """The problem of an experiment that is in more than one region."""
    where = "; ".join(f"{', '.join(ids)} in {region}" for region, ids in found.items())
    return (
        f"capacity.regions: {experiment} is in {len(found)} regions: {where}; an experiment is in one: name it with "
        f"-e region=REGION, or close the other: ansible-playbook close.yml -e experiment={experiment} -e region=REGION"
    )


def past(homes: Iterable[Home], region: str) -> Home:
    """What the experiment had in all other regions, as one: the generation and the reason of a loss stand there."""
    others = [home for home in homes if home.region != region]
    return Home(
        "",
        [raw for home in others for raw in home.instances],
        [raw for home in others for raw in home.requests],
        [],
        [raw for home in others for raw in home.templates],
    )


def abandoned(homes: Iterable[Home], region: str) -> list[str]:
    """Other regions in which something of the experiment is left."""
    return [home.region for home in homes if home.region != region and (home.instances or home.templates)]


# Choice


def rank(pools: Mapping[str, list[Resource]]) -> list[str]:
    """Regions with pools, that of the cheapest pool first.

    A region whose pools all cool (they refused, or lost an instance, a moment ago) comes after the others, one whose
    prices are not known after those of known price; else the order is that of the mapping.

    Args:
        pools: region -> its pools, as :func:`plan.pools` has them, cheapest first.
    """
    return sorted((region for region, found in pools.items() if found), key=lambda region: _price(pools[region]))


def _price(pools: list[Resource]) -> tuple[bool, bool, float]:
    usable = [pool for pool in pools if not pool["cooling"]]
    prices = [pool["price"] for pool in usable or pools if pool["price"] is not None]
    return not usable, not prices, min(prices, default=0.0)


def turns(ranked: list[str], wait: int, on_demand: str = "never") -> list[Resource]:
    """In which order regions are asked, and for how long each: all once, then in turn until the time is over.

    Args:
        ranked: regions, the best one first.
        wait: ``capacity.wait``, seconds for all of them together.
        on_demand: ``capacity.on_demand``; what fills in (``fallback``) is asked for when Spot has refused everywhere.

    Returns:
        ``region``, ``wait`` (seconds) and ``on_demand`` of each turn; empty where there is no choice.
    """
    if len(ranked) < 2:
        return []
    fallback = on_demand == "fallback"
    first = "never" if fallback else on_demand
    length = max(TURN_S, -(-wait // MOST_TURNS))
    waits = [min(length, wait - begin) for begin in range(0, wait, length)]
    return [
        *({"region": region, "wait": 0, "on_demand": first} for region in ranked),
        *(
            {"region": ranked[turn % len(ranked)], "wait": seconds, "on_demand": first}
            for turn, seconds in enumerate(waits)
        ),
        *({"region": region, "wait": 0, "on_demand": on_demand} for region in ranked if fallback),
    ]


def table(pools: Mapping[str, list[Resource]]) -> list[Resource]:
    """The pools of all regions, with their region, those that cool last and else the cheapest first."""
    found = [{**pool, "region": region} for region, here in pools.items() for pool in here]
    return sorted(found, key=lambda pool: (pool["cooling"], pool["price"] is None, pool["price"] or 0))
