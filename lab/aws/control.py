"""Controls of the lab, JSON over HTTP on the API's port under /lab/: faults, capacity, permissions, the call log.

GET  /lab/NAME          what is set
POST /lab/capacity      {type, zone, market, count}   count: instances the pool can run at once; null: no limit
POST /lab/fail          {action, code, message, http, times, match, after, in_fleet}   times null: until reset
POST /lab/deny          {action}       like ec2's RunInstances, or PassRole; a pattern; {allow: action} takes it back
POST /lab/quota         {group, vcpus} group: Standard, "G and VT", P; null: no limit; {new_account: true}: AWS's
GET  /lab/calls         every API call; ?mutating=true, ?since=NUMBER   DELETE empties
POST /lab/reset         {controls: true} only faults and limits, else everything: instances, volumes, names
POST /lab/event         {instance_id, event}   event: running, stopped, terminated, failed, powered_off
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qs

from lab.aws.calls import Environ
from lab.aws.config import NEW_ACCOUNT_VCPUS
from lab.aws.world import Capacity, Fault, World

LOG_LIMIT = 20000


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
            return 200, _change(world, name, args, reset, cloud)
    except (BadControl, TypeError, ValueError) as err:
        return 400, {"error": f"/lab/{name}: {err}"}


def _show(world: World, name: str, query: dict[str, list[str]]) -> Any:
    if name == "calls":
        since = int(query.get("since", ["0"])[0])
        only = query.get("mutating", [""])[0] == "true"
        return [c for c in world.calls if c["number"] > since and (c["mutating"] or not only)]
    shown: dict[str, Callable[[], Any]] = {
        "capacity": lambda: [asdict(c) for c in world.capacity],
        "fail": lambda: [asdict(f) for f in world.faults],
        "deny": lambda: sorted(world.denied),
        "quota": lambda: world.quota,
        "health": lambda: {"instances": len(world.live()), "region": world.config.region},
    }
    if name not in shown:
        raise BadControl(f"no such control; there are {', '.join(sorted([*shown, 'calls', 'event', 'reset']))}")
    return shown[name]()


def _change(world: World, name: str, args: dict[str, Any], reset: Callable[[], None], cloud: Any) -> Any:
    if name == "reset":
        if args.get("controls"):
            clear(world)
        else:
            reset()
        return {"reset": True}
    if name == "event":
        return _event(cloud, args)
    actions = {"capacity": _capacity, "fail": _fail, "deny": _deny, "quota": _quota}
    if name not in actions:
        raise BadControl("no such control to set")
    actions[name](world, args)
    return _show(world, name, {})


def clear(world: World) -> None:
    """No faults, no limits, nothing denied."""
    world.capacity.clear()
    world.faults.clear()
    world.denied.clear()
    world.quota.clear()
    world.quota.update(world.config.vcpu_quota)


def _capacity(world: World, args: dict[str, Any]) -> None:
    kind, zone = args.get("type") or "*", args.get("zone") or "*"
    market = args.get("market") or "*"
    world.capacity[:] = [c for c in world.capacity if (c.type, c.zone, c.market) != (kind, zone, market)]
    if args.get("count") is not None:
        world.capacity.append(Capacity(kind, zone, int(args["count"]), market))


def _fail(world: World, args: dict[str, Any]) -> None:
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
    if args.get("new_account"):
        world.quota.update(NEW_ACCOUNT_VCPUS)
    elif args.get("vcpus") is None:
        world.quota.pop(args.get("group", ""), None)
    else:
        world.quota[args["group"]] = int(args["vcpus"])


def _event(cloud: Any, args: dict[str, Any]) -> dict[str, Any]:
    event, instance_id = args.get("event"), args.get("instance_id")
    if event not in ("running", "stopped", "terminated", "failed", "powered_off") or not instance_id:
        raise BadControl("needs instance_id and event: running, stopped, terminated, failed or powered_off")
    extra = (args.get("reason", "ordered by /lab/event"),) if event == "failed" else ()
    getattr(cloud, event)(instance_id, *extra)
    return {"event": event}
