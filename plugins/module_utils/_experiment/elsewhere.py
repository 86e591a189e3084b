# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a launch may leave the zone of its volumes, taking them along by snapshots. Pure functions, no API calls.

The volumes pin the zone. Where it has no capacity, and the profile allows it (``recovery.move_volumes``), a snapshot of
each is taken, capacity is asked for in every zone, and the volumes follow to where there was some.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import plan

if TYPE_CHECKING:
    from .facts import Facts

    Resource = dict[str, Any]
    Profile = dict[str, Any]


def unpinned(facts: Facts) -> Facts:
    """The facts as if there were no volumes yet."""
    return dataclasses.replace(facts, own_volumes=[])


def pools(profile: Profile, facts: Facts, now: datetime | None = None) -> list[Resource]:
    """Pools of all zones that the profile allows, as :func:`plan.pools` has them."""
    return plan.pools(profile, unpinned(facts), now) if plan.placed_volumes(profile, facts) else []


def target(profile: Profile, facts: Facts) -> str | None:
    """The zone where the instances are while volumes are elsewhere: an earlier run was cut off between the two."""
    zones = sorted({str(one["zone"]) for one in plan.members(facts)})
    away = [one for one in plan.placed_volumes(profile, facts) if zones and one["zone"] != zones[0]]
    return zones[0] if len(zones) == 1 and away and plan.may_move(profile, facts) else None


def make(profile: Profile, facts: Facts) -> Resource:
    """What a launch can do when the zone of its volumes has no capacity.

    Returns:
        ``move`` (whether it may), ``why_not``, ``pools`` (of all zones), ``zones`` (the others, cheapest first),
        ``zone`` (where the volumes are to go now, or None) and ``volume_ids``.
    """
    here = plan.pinned_zones(profile, facts)
    found = pools(profile, facts)
    why_not = plan.move_obstacle(profile, facts)
    return {
        "move": not why_not and any(pool["zone"] not in here for pool in found),
        "why_not": why_not,
        "pools": found,
        "zones": list(dict.fromkeys(pool["zone"] for pool in found if pool["zone"] not in here)),
        "zone": target(profile, facts),
        "volume_ids": [one["volume_id"] for one in plan.placed_volumes(profile, facts)],
    }
