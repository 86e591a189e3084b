"""`lab interrupt | capacity | fail`: the controls of the lab from a shell. What they mean stands in aws/control.py."""

from __future__ import annotations

import argparse
import json
import re
import urllib.error
import urllib.request
from typing import Any

from lab.machines.slots import Slot

POOL = re.compile(r"([^/=]+)(?:/([^/=]+))?(?:/([^/=]+))?=(\d+|any)")
FAULT = re.compile(r"([A-Z][A-Za-z0-9]+)=([A-Za-z0-9.]+)(?::(\d+|always))?(?:@([a-z0-9-]+))?")
SERVICES = ("ec2", "ssm", "sts", "iam", "s3", "pricing", "service-quotas", "events", "sqs")
TIMEOUT = 10  # seconds


class ControlError(Exception):
    """The lab refuses or does not answer; the text says why."""


def call(slot: Slot, name: str, args: dict[str, Any] | None = None) -> Any:
    """Read a control of the lab, or with `args` set it, past any proxy of the caller.

    Raises:
        ControlError: the lab refuses.
        OSError: it does not answer.
        ValueError: something else answers.
    """
    data = None if args is None else json.dumps(args).encode()
    request = urllib.request.Request(f"{slot.endpoint}/lab/{name}", data=data)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise ControlError(reason(error)) from error


def reason(error: urllib.error.HTTPError) -> str:
    """The lab's own words, without the path they begin with."""
    try:
        return str(json.loads(error.read())["error"]).split(": ", maxsplit=1)[-1]
    except (ValueError, KeyError, TypeError):
        return str(error)


# What is typed


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def pool(text: str) -> dict[str, Any]:
    """`TYPE[/ZONE[/MARKET]]=N`, or `=any` for no limit, as the control wants it; for argparse."""
    found = POOL.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not TYPE[/ZONE[/MARKET]]=N; e.g. t3.medium/us-east-1a/spot=0")
    kind, zone, market, count = found.groups()
    return {"type": kind, "zone": zone, "market": market, "count": None if count == "any" else int(count)}


def fault(text: str) -> dict[str, Any]:
    """`CALL=CODE[:TIMES][@REGION]`, or `CALL=none` to take it back, as the control wants it; for argparse."""
    found = FAULT.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not CALL=CODE[:TIMES][@REGION]; e.g. RunInstances=InsufficientInstanceCapacity:2"
        )
    action, code, times, region = found.groups()
    if not known(action):
        raise argparse.ArgumentTypeError(f"no service of {', '.join(SERVICES)} has a call {action}")
    if code == "none":
        return {"action": action, "clear": True}
    there = {"region": region} if region else {}
    return {"action": action, "code": code, "times": None if times == "always" else int(times or 1), **there}


def known(action: str) -> bool:
    """Whether AWS has such a call: one that is mistyped would never fail."""
    from botocore.session import Session  # noqa: PLC0415  half a second that only `fail` needs

    session = Session()
    return any(action in session.get_service_model(service).operation_names for service in SERVICES)


def interruption(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `lab interrupt` as the control wants them."""
    args = {"instance_id": options.instance, "rebalance": options.rebalance}
    return {**args, "notice": None if options.none else options.notice, "action": options.action}


# What is shown


def told(answer: dict[str, Any]) -> str:
    """What an interruption did."""
    instance_id = answer["instance_id"]
    if answer["kind"] == "rebalance":
        return f"{instance_id} has a rebalance recommendation"
    if answer["kind"] == "sudden":
        return f"{instance_id} is taken without a notice ({answer['action']})"
    return f"{instance_id} has its notice: {answer['action']} at {answer['time']}, in {answer['seconds']:g} s"


def limits(capacity: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of `lab capacity`, head included; the last that fits a pool counts."""
    rows = [[one["type"], one["zone"], one["market"], str(one["count"])] for one in capacity]
    return [["TYPE", "ZONE", "MARKET", "INSTANCES"], *rows]


def faults(ordered: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of `lab fail`, head included; used up ones are left out."""
    rows = [
        [one["action"], one["code"], "always" if one["times"] is None else str(one["times"]), one.get("region") or "*"]
        for one in ordered
        if one["times"] != 0
    ]
    return [["CALL", "CODE", "TIMES", "REGION"], *rows]
