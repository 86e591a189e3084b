"""Throttling: token buckets over actions. Source: EC2 API "Request throttling for the Amazon EC2 API"."""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass
from typing import Any

from lab.aws.access import Problem
from lab.aws.calls import Call
from lab.aws.world import World

# protocol -> how the service says it. Source: [ERR] RequestLimitExceeded; common errors of STS, SSM, SQS; S3 SlowDown.
PROBLEMS: dict[str, Problem] = {
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "query": ("Throttling", "Rate exceeded", 400),
    "json": ("ThrottlingException", "Rate exceeded", 400),
    "rest": ("SlowDown", "Please reduce your request rate.", 503),
}
# action, bucket, refill a second; the first that fits counts. Source: the page above, buckets per account and Region.
AWS = (
    ("RunInstances", 5, 2),
    ("StartInstances", 5, 2),
    ("TerminateInstances", 100, 5),
    ("CreateTags", 100, 10),
    ("CreateVolume", 100, 5),
    ("DeleteVolume", 100, 5),
    ("CreateSnapshot", 100, 5),
    ("CreateLaunchTemplateVersion", 100, 5),
    ("DescribeSpotFleetInstances", 100, 5),
    ("DescribeSpotFleetRequestHistory", 100, 5),
    ("DescribeSpotFleetRequests", 50, 3),
    ("Describe*", 100, 20),
    ("Get*", 100, 20),
    ("*", 50, 5),
)


@dataclass
class Bucket:
    """What is left of the right to call an action (a pattern); all actions that fit share it."""

    action: str
    rate: float
    burst: float
    tokens: float = 0.0
    at: float = 0.0

    def take(self, at: float) -> bool:
        """Fill up to `at`, then take one token if there is one."""
        self.tokens = min(self.burst, self.tokens + (at - self.at) * self.rate)
        self.at = at
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def check(world: World, call: Call) -> Problem | None:
    """The error of a call that comes too soon, or None; only the first bucket that fits counts."""
    with world.lock:
        for bucket in world.buckets:
            if fnmatch.fnmatchcase(call.action, bucket.action):
                return None if bucket.take(time.monotonic()) else PROBLEMS[call.protocol]
    return None


def order(world: World, args: dict[str, Any]) -> None:
    """Carry out `POST /lab/throttle`: {action, rate, burst}, rate null takes it back; {aws: true} sets AWS's limits.

    Raises:
        ValueError: a rate or burst that is none.
    """
    if args.get("aws"):
        world.buckets[:] = [full(*one) for one in AWS]
        return
    action = str(args.get("action") or "*")
    kept = [b for b in world.buckets if b.action != action]
    if args.get("rate") is None:
        world.buckets[:] = kept
        return
    rate, burst = float(args["rate"]), float(args.get("burst", 1))
    if rate < 0 or burst < 1:
        raise ValueError("rate (calls a second) must be 0 or more, burst 1 or more")
    world.buckets[:] = [full(action, burst, rate), *kept]


def full(action: str, burst: float, rate: float) -> Bucket:
    """A bucket of which nothing has been used."""
    return Bucket(action, rate, burst, burst, time.monotonic())


def show(world: World) -> list[dict[str, Any]]:
    """What is set."""
    return [{"action": b.action, "rate": b.rate, "burst": b.burst} for b in world.buckets]
