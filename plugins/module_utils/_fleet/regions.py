# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two runs at once may find capacity in two regions: one of them gives way, so that an experiment is in one region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .._aws_errors import explain
from . import api
from .errors import AnsibleFleetError, action_of
from .launch import SETTLE_PAUSE_S, Clock, find
from .values import Instance, Wish


class Look(Protocol):
    """Finds the live instances of the experiment in other regions."""

    def __call__(self) -> dict[str, tuple[Instance, ...]]:
        """Region -> its instances; regions without any are left out."""


def gives_way(region: str, look: Look, clock: Clock) -> dict[str, tuple[Instance, ...]]:
    """Where another run has launched the experiment, if this run is to take back what it launched; else nothing.

    Of two runs that see each other the one in the region whose name comes first stays. If the other one does not give
    way it was done before it could see ours, and then ours goes.
    """
    found = look()
    if not found or min(found) < region:
        return found
    clock.sleep(2 * SETTLE_PAUSE_S)
    return look()


def looker(module: Any, wish: Wish) -> Look:
    """Look in the regions of the option ``other_regions``; one that cannot be asked has nothing of ours."""
    clients: Mapping[str, Any] = {
        name: api.connect(module, attempts=api.READ_ATTEMPTS, region=name) for name in module.params["other_regions"]
    }

    def look() -> dict[str, tuple[Instance, ...]]:
        found: dict[str, tuple[Instance, ...]] = {}
        for name, client in clients.items():
            try:
                seen = find(client, wish)
            except AnsibleFleetError as error:
                module.warn(f"{name}: {explain(error, action_of(error))}")
                continue
            alive = tuple(instance for instance in seen if instance.alive and instance.generation == wish.generation)
            found.update({name: alive} if alive else {})
        return found

    return look
