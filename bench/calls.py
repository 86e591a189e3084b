"""How many API calls a launch takes, by its number of instances, and a watched hour while all is well."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench import timeline
from bench.user import Play, User

Call = dict[str, Any]
Counts = dict[str, int]

MACHINES: dict[str, Any] = {"channels": [], "volumes": [], "job": None, "runtime": {"docker": False}}
# AWS has no call for the consoles of many instances, and host keys are read there: one a machine at least.
CONSOLE = "GetConsoleOutput"
# The stage that looks until the machines have started, and what it asks.
LOOKS = ("hosts", "DescribeInstances")
INVENTORY = "inventory"  # is read before the first play
WATCHED_S = 120.0
# Calls of one look at AWS are closer together than this, two looks are further apart.
LOOK_GAP_S = 8.0


def key(call: Call) -> str:
    """How a call stands in the tables: EC2's by its action, another service's with its name."""
    action, service = str(call["action"]), str(call["service"])
    return action if service == "ec2" else f"{service}:{action}"


def count(calls: Sequence[Call]) -> Counts:
    """Calls by action, the most frequent first."""
    return dict(Counter(key(call) for call in calls).most_common())


def by_stage(calls: Sequence[Call], play: Play) -> dict[str, Counts]:
    """Calls by the stage of the run in which they came, and by action."""
    found = timeline.steps([(play.began + second, line) for second, line in play.lines])
    stages: dict[str, list[Call]] = {}
    for call in calls:
        stages.setdefault(timeline.stage_at(found, call["time"]) or INVENTORY, []).append(call)
    return {stage: count(some) for stage, some in stages.items()}


def measured(calls: Sequence[Call], play: Play) -> dict[str, Any]:
    """What is kept of one launch."""
    changing = sorted({key(call) for call in calls if call["mutating"]})
    return {
        "seconds": round(play.seconds, 2),
        "total": len(calls),
        "changing": sum(bool(call["mutating"]) for call in calls),
        "changing_actions": changing,
        "refused": sum((call["status"] or 200) >= 400 for call in calls),
        "by_action": count(calls),
        "by_stage": by_stage(calls, play),
    }


def growing(launches: Mapping[int, Counts]) -> list[str]:
    """Actions that the largest launch needs more often than the smallest; their number is not constant in N."""
    small, large = launches[min(launches)], launches[max(launches)]
    return sorted(action for action in large if large[action] > small.get(action, 0))


def polls(stages: Mapping[str, Counts]) -> int:
    """Looks after the first while machines start."""
    stage, action = LOOKS
    return max(0, stages.get(stage, {}).get(action, 0) - 1)


def launch(user: User, count_: int, name: str, *more: str, changes: Mapping[str, Any] = MACHINES) -> dict[str, Any]:
    """A first launch of so many instances, without a job and volumes unless `changes` says otherwise; then its end."""
    before = len(user.calls())
    args = ("-e", "profile=lab", "-e", f"experiment={name}", "-e", f"capacity.count={count_}", "-e", "wait=false")
    try:
        play = user.play("launch", *args, "-e", json.dumps(changes), *more)
        return measured(user.calls()[before:], play)
    finally:
        user.play("close", "-e", f"experiment={name}", "-e", "delete_volumes=all")


def launches(user: User, counts: Sequence[int]) -> dict[str, Any]:
    """Launches of several sizes, each from nothing; a size that this machine cannot carry is told and ends the row.

    Before them comes the first one of this user, who has no answers of earlier runs.
    """
    first = launch(user, 1, "calls-first")
    found: dict[int, dict[str, Any]] = {}
    given_up = ""
    for number in counts:
        try:
            found[number] = launch(user, number, f"calls-{number}")
        except SystemExit as error:
            given_up = f"{number} instances: {last_problem(str(error))}"
            break
    return {
        "first": first,
        "machines": {str(number): one for number, one in found.items()},
        "with_volume_and_job": launch(user, 1, "calls-job", changes={}),
        "grow_with_instances": growing({number: one["by_action"] for number, one in found.items()}),
        "given_up": given_up,
    }


def last_problem(output: str) -> str:
    """The last failure of an output, in one line."""
    lines = [line.strip() for line in output.splitlines()]
    failures = [line for line in lines if line.startswith(("fatal:", "[ERROR]", "msg:"))]
    return (failures or lines or [""])[-1][:300]


def watched(calls: Sequence[Call], seconds: float) -> dict[str, Any]:
    """What a healthy experiment costs in calls while it is watched.

    Args:
        calls: those of the time.
        seconds: how long it was.
    """
    looks = timeline.clusters([call["time"] for call in calls], LOOK_GAP_S)
    return {
        "seconds": seconds,
        "total": len(calls),
        "changing": sum(bool(call["mutating"]) for call in calls),
        "by_action": count(calls),
        "looks": looks,
        "per_look": round(len(calls) / looks, 2) if looks else 0.0,
        "per_hour": round(len(calls) * 3600 / seconds, 1),
    }


def quiet_time(user: User, seconds: float = WATCHED_S) -> dict[str, Any]:
    """Lets a healthy experiment be watched for a while; nobody else may ask the lab meanwhile."""
    before = len(user.calls())
    time.sleep(seconds)
    return watched(user.calls()[before:], seconds)


def watch_machines(user: User, count_: int = 5) -> dict[str, Any]:
    """Instances without a job, where the watch asks AWS."""
    name = "watched"
    args = ("-e", "profile=lab", "-e", f"experiment={name}", "-e", f"capacity.count={count_}", "-e", "watch=true")
    running = user.start("launch", *args, "-e", json.dumps(MACHINES))
    try:
        while not running.has_printed(r"PLAY RECAP"):
            time.sleep(0.5)
        time.sleep(5)
        return {"instances": count_, **quiet_time(user)}
    finally:
        running.stop()
        user.play("close", "-e", f"experiment={name}")


def table(document: Mapping[str, Any]) -> list[str]:
    """The launches as lines: an action a row, a size a column, `+` where the number grows, `*` where it changes AWS."""
    columns = {"first": document["first"], **document["machines"], "full": document["with_volume_and_job"]}
    actions = dict.fromkeys(action for one in columns.values() for action in one["by_action"])
    changing = {action for one in columns.values() for action in one["changing_actions"]}
    width = max(map(len, actions)) + 3
    lines = ["calls of a first launch".ljust(width) + "".join(f"{name:>6}" for name in columns)]
    for action in actions:
        mark = ("*" if action in changing else "") + ("+" if action in document["grow_with_instances"] else "")
        cells = "".join(f"{one['by_action'].get(action, 0):>6}" for one in columns.values())
        lines.append(f"{action} {mark}".ljust(width) + cells)
    for title in ("total", "changing"):
        lines.append(title.ljust(width) + "".join(f"{one[title]:>6}" for one in columns.values()))
    return [
        *lines,
        "* changes something   + grows with the number of instances   first: with no answers of earlier runs",
        "full: one instance with docker, job and volume",
    ]
