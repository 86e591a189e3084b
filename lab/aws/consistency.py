"""Eventual consistency: what a call has made is not seen by the next ones for a while, neither by id nor in a list.

Source: EC2 API "Eventual consistency". While a call is answered, what it must not see yet is taken out of the tables
and put back afterwards, so no action needs to know. A call that makes a kind of thing sees all of that kind: AWS lets
no name be used twice, however young it is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

from lab.aws.world import World

LAUNCHES = ("RunInstances", "CreateFleet", "ModifyFleet", "RequestSpotInstances", "RequestSpotFleet")
TEMPLATES = ("CreateLaunchTemplate",)
# table -> actions that see all of it
MAKERS: dict[str, tuple[str, ...]] = {
    "instance": LAUNCHES,
    "reservation": LAUNCHES,
    "volume": (*LAUNCHES, "CreateVolume"),
    "spot-request": LAUNCHES,
    "fleet": ("CreateFleet", "RequestSpotFleet"),
    "key-pair": ("CreateKeyPair", "ImportKeyPair"),
    "template": TEMPLATES,
    "template-name": TEMPLATES,
    "group": ("CreateSecurityGroup",),
}


def tables(world: World) -> dict[str, MutableMapping[str, Any]]:
    """Where things are kept; security groups have a table for each VPC."""
    backend = world.backend
    found: dict[str, MutableMapping[str, Any]] = {
        "instance": world.records,
        "reservation": backend.reservations,
        "volume": backend.volumes,
        "spot-request": world.spot_requests,
        "fleet": world.fleets,
        "key-pair": backend.key_pairs,
        "template": backend.launch_templates,
        "template-name": backend.launch_template_name_to_ids,
    }
    return found | {f"group/{vpc_id}": groups for vpc_id, groups in backend.groups.items()}


@contextlib.contextmanager
def lagging(world: World, action: str) -> Iterator[None]:
    """One call, with the lock held."""
    if not world.lag and not world.hidden:
        yield
        return
    before = {(name, key) for name, table in tables(world).items() for key in table}
    taken = hide(world, action)
    try:
        yield
    finally:
        found = tables(world)
        for (name, key), value in taken.items():
            found[name].setdefault(key, value)
        until = time.monotonic() + world.delay(world.lag)
        for name, table in found.items():
            world.hidden |= {(name, key): until for key in table if world.lag and (name, key) not in before}


def hide(world: World, action: str) -> dict[tuple[str, str], Any]:
    """Take out what this action must not see; what is old enough is forgotten."""
    now = time.monotonic()
    world.hidden = {young: until for young, until in world.hidden.items() if until > now}
    found, taken = tables(world), {}
    for name, key in world.hidden:
        if action not in MAKERS[name.split("/", maxsplit=1)[0]] and key in found.get(name, {}):
            taken[name, key] = found[name].pop(key)
    return taken
