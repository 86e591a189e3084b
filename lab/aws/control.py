"""Controls of the lab, JSON over HTTP on the API's port under /lab/: faults, capacity, permissions, the call log.

GET  /lab/NAME          what is set
POST /lab/interrupt     {instance_id, notice, action, rebalance}   see interruptions.order
POST /lab/capacity      {type, zone, market, count}   count: instances the pool can run at once; null: no limit;
                        zone may be a region, for all its zones
POST /lab/fail          {action, code, message, http, times, skip, match, region, after, in_fleet}   times null: until
                        reset;
                        {action, clear: true} takes it back
POST /lab/deny          {action}       like ec2's RunInstances, or PassRole; a pattern; {allow: action} takes it back
POST /lab/quota         {group, vcpus} group: Standard, "G and VT", P; null: no limit; {new_account: true}: AWS's;
                        {…, region}: there only, else in all regions
POST /lab/throttle      {action, rate, burst}   calls a second; action may be a pattern; rate null: no limit;
                        {aws: true}: the limits that AWS documents
POST /lab/consistency   {seconds}      how long a new resource is not seen
POST /lab/credentials   {expired}      true: every call is refused as with an expired session
POST /lab/speed         {factor}       divides notice and the other delays of the lab
GET  /lab/calls         every API call; ?mutating=true, ?since=NUMBER   DELETE empties
GET  /lab/events        what EventBridge did with each event
GET  /lab/spot          Spot requests with all the statuses they have had
POST /lab/reset         {controls: true} only faults and limits, else everything: instances, volumes, names
POST /lab/event         {instance_id, event}   event: running, stopped, terminated, failed, powered_off,
                        impaired (status checks fail)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qs

from lab.aws import events, interruptions, rules, spot, throttle
from lab.aws.calls import Environ
from lab.aws.config import NEW_ACCOUNT_VCPUS
from lab.aws.world import Capacity, Fault, World

LOG_LIMIT = 20000
EVENTS = ("running", "stopped", "terminated", "failed", "powered_off", "impaired")
VERBS = ("calls", "event", "interrupt", "reset")  # controls with an answer of their own


class BadControl(Exception):
    """A control call that makes no sense; the text says why."""


def handle(world: World, reset: Callable[[], None], cloud: Any, environ: Environ) -> tuple[int, Any]:
    """Answer one control call with HTTP status and JSON data."""
    name = environ["PATH_INFO"].removeprefix("/lab/").strip("/")
    method = environ.get("REQUEST_METHOD", "GET")
    size = int(environ.get("CONTENT_LENGTH") or 0)
    try:
        args = json.loads(environ["wsgi.input"].read(size) or b"{}") if size else {}
        if method == "GET":
            return 200, _show(world, name, parse_qs(environ.get("QUERY_STRING", "")))
        with world.lock:
            if method == "DELETE" and name == "calls":
                world.calls.clear()
                return 200, []
            answer = _change(world, name, args, reset, cloud)
            events.flush(world)
            return 200, answer
    except (BadControl, TypeError, ValueError) as err:
        return 400, {"error": f"/lab/{name}: {err}"}


def _show(world: World, name: str, query: dict[str, list[str]]) -> Any:
    if name == "calls":
        since = int(query.get("since", ["0"])[0])
        only = query.get("mutating", [""])[0] == "true"
        return [c for c in world.calls if c["number"] > since and (c["mutating"] or not only)]
    if name not in SHOWN:
        raise BadControl(f"no such control; there are {', '.join(sorted([*SHOWN, *VERBS]))}")
    return SHOWN[name](world)


def _limits(world: World) -> list[dict[str, Any]]:
    """The limits of all regions; one that holds for all zones of some regions only names these."""
    everywhere = [c for c in world.capacity if all(c in one.capacity for one in world.regions.values())]
    there = [
        {**asdict(c), "zone": name if c.zone == "*" else c.zone}
        for name, one in world.regions.items()
        for c in one.capacity
        if c not in everywhere
    ]
    return [*map(asdict, everywhere), *there]


SHOWN: dict[str, Callable[[World], Any]] = {
    "capacity": _limits,
    "consistency": lambda world: {"seconds": world.lag},
    "credentials": lambda world: {"expired": world.expired},
    "deny": lambda world: sorted(world.denied),
    "events": lambda world: world.deliveries,
    "fail": lambda world: [asdict(f) for f in world.faults],
    "health": lambda world: {
        "instances": sum(len(one.live()) for one in world.regions.values()),
        "region": world.config.region,
        "regions": list(world.regions),
    },
    "quota": lambda world: dict(world.quota),
    "speed": lambda world: {"factor": world.speed},
    "spot": lambda world: [history for one in world.regions.values() for history in spot.histories(one)],
    "throttle": throttle.show,
}


def _change(world: World, name: str, args: dict[str, Any], reset: Callable[[], None], cloud: Any) -> Any:
    if name == "reset":
        if args.get("controls"):
            clear(world)
        else:
            reset()
        return {"reset": True}
    if name == "event":
        return _event(cloud, args)
    if name == "interrupt":
        return interruptions.order(_place(world, str(args.get("instance_id"))), args)
    if name not in SET:
        raise BadControl("no such control to set")
    SET[name](world, args)
    return _show(world, name, {})


def clear(world: World) -> None:
    """No faults, no limits, nothing denied."""
    world.faults.clear()
    world.denied.clear()
    world.buckets.clear()
    world.expired = False
    for one in world.regions.values():
        one.capacity.clear()
        one.quota.clear()
        one.quota.update(one.config.vcpu_quota)
        one.hidden.clear()
        one.lag = 0.0


def _place(world: World, instance_id: str) -> World:
    """The region of an instance, of which the beginning may be given; the first region when nobody has it."""
    has = (one for one in world.regions.values() if any(known.startswith(instance_id) for known in one.records))
    return next(has, world)


def _within(pool: tuple[str, ...], wider: tuple[str, ...]) -> bool:
    """Whether every pool of the first pattern is one of the second."""
    return all(whole in ("*", part) for part, whole in zip(pool, wider, strict=True))


def _capacity(world: World, args: dict[str, Any]) -> None:
    kind, zone = args.get("type") or "*", args.get("zone") or "*"
    market = args.get("market") or "*"
    places = _check_pool(world, kind, zone, market)
    for place in places:
        _limit(place, kind, "*" if zone in world.regions else zone, market, args.get("count"))


def _limit(world: World, kind: str, zone: str, market: str, count: int | None) -> None:
    if count is None:  # no limit any more: those of narrower pools go too
        wanted = (kind, zone, market)
        world.capacity[:] = [c for c in world.capacity if not _within((c.type, c.zone, c.market), wanted)]
    else:
        world.capacity[:] = [c for c in world.capacity if (c.type, c.zone, c.market) != (kind, zone, market)]
        world.capacity.append(Capacity(kind, zone, int(count), market))
    interruptions.restart(world)
    spot.evaluate(world)


def _check_pool(world: World, kind: str, zone: str, market: str) -> list[World]:
    """The regions of a pool; one that cannot exist would never be short."""
    zones = {z.name: one for one in world.regions.values() for z in one.backend.describe_availability_zones()}
    places = [one for name, one in world.regions.items() if zone in ("*", name) or zones.get(zone) is one]
    if not places:
        raise BadControl(f"no zone {zone!r}; there are {', '.join(zones)}, and their regions")
    if kind != "*" and not any(rules.offered_zones(one, kind) for one in places):
        raise BadControl(f"no instance type {kind!r} is sold here")
    if market not in ("*", "spot", "on-demand"):
        raise BadControl(f"market is spot or on-demand, not {market!r}")
    return places


def _fail(world: World, args: dict[str, Any]) -> None:
    if args.get("clear") and args.get("action"):
        world.faults[:] = [f for f in world.faults if f.action != args["action"]]
        return
    known = {f.name for f in fields(Fault)}
    unknown = set(args) - known
    if unknown or not args.get("action") or not args.get("code"):
        raise BadControl(f"needs action and code; may have {', '.join(sorted(known))}; unknown {sorted(unknown)}")
    world.faults.append(Fault(**args))


def _deny(world: World, args: dict[str, Any]) -> None:
    if args.get("allow"):
        world.denied.pop(args["allow"].split(":")[-1], None)
    elif args.get("action"):
        world.denied[args["action"].split(":")[-1]] = "*"
    else:
        raise BadControl("needs action or allow")


def _quota(world: World, args: dict[str, Any]) -> None:
    if args.get("region") not in (None, *world.regions):
        raise BadControl(f"no region {args['region']!r}; there are {', '.join(world.regions)}")
    for name, one in world.regions.items():
        if args.get("region") in (None, name):
            _set_quota(one, args)


def _set_quota(world: World, args: dict[str, Any]) -> None:
    if args.get("new_account"):
        world.quota.update(NEW_ACCOUNT_VCPUS)
    elif args.get("vcpus") is None:
        world.quota.pop(args.get("group", ""), None)
    else:
        world.quota[args["group"]] = int(args["vcpus"])


def _positive(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise BadControl(f"needs {what}, a number above 0")
    return float(value)


def _speed(world: World, args: dict[str, Any]) -> None:
    for one in world.regions.values():
        one.speed = _positive(args.get("factor"), "factor")


def _consistency(world: World, args: dict[str, Any]) -> None:
    for one in world.regions.values():
        one.lag = _positive(args["seconds"], "seconds") if args.get("seconds") else 0.0


def _credentials(world: World, args: dict[str, Any]) -> None:
    if not isinstance(args.get("expired"), bool):
        raise BadControl("needs expired: true or false")
    world.expired = args["expired"]


SET: dict[str, Callable[[World, dict[str, Any]], None]] = {
    "capacity": _capacity,
    "consistency": _consistency,
    "credentials": _credentials,
    "deny": _deny,
    "fail": _fail,
    "quota": _quota,
    "speed": _speed,
    "throttle": throttle.order,
}


def _event(cloud: Any, args: dict[str, Any]) -> dict[str, Any]:
    event, instance_id = args.get("event"), args.get("instance_id")
    if event not in EVENTS or not instance_id:
        raise BadControl(f"needs instance_id and event: one of {', '.join(EVENTS)}")
    extra = (args.get("reason", "ordered by /lab/event"),) if event == "failed" else ()
    getattr(cloud, event)(instance_id, *extra)
    return {"event": event}
