# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tags say is ours and nobody uses, with what it costs. Pure functions, no API calls.

Of an experiment that is alive nothing is listed. PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._efs import plan as efs_plan
from .._experiment import cost, summary, transformations
from .._experiment.summary import Found, Prices
from . import life as lives
from .life import Life

Resource = dict[str, Any]

# In the order in which they are removed.
PLAIN = ("fleets", "spot_requests", "instances", "key_pairs", "launch_templates", "security_groups")
DATA = ("volumes", "snapshots", "file_systems")
KINDS = (*PLAIN, *DATA)
HOURS_A_MONTH = 730
DEAD_VOLUMES = ("deleting", "deleted")


@dataclass
class Seen:
    """All that carries one of our tags in a region, in the shapes of boto3.

    Attributes:
        found: what has the tag ``spot:experiment``; its volumes are also those that were made by hand.
        snapshots: of this account.
        file_systems: all of the region, None when they could not be read.
    """

    found: Found
    snapshots: list[Resource] = field(default_factory=list)
    file_systems: list[Resource] | None = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """How something is looked at: the region, the moment, the seconds for which something new counts as used."""

    region: str
    now: datetime
    grace: float


@dataclass
class Result:
    """Rows of what is of no use if the jobs of ``if_idle`` do not live, and the experiments that are in use."""

    rows: list[Resource] = field(default_factory=list)
    in_use: list[Resource] = field(default_factory=list)


def find(seen: Seen, prices: Prices, look: Look) -> Result:
    """What nobody uses, as far as AWS can tell."""
    parts = summary.split(seen.found)
    life = {name: lives.of(part, look.now, look.grace) for name, part in parts.items()}
    result = Result()
    for name, part in sorted(parts.items()):
        if life[name].alive:
            result.in_use.append(_in_use(name, part, life[name].alive, prices, look))
        else:
            result.rows += _of_experiment(name, part, life[name], prices, look)
    result.rows += [*_volumes(seen, life, look), *_snapshots(seen, life, look), *_file_systems(seen, life, look)]
    result.rows += _groups_of_nothing(seen, life, look)
    result.rows.sort(key=lambda row: (row["experiment"], KINDS.index(row["kind"]), row["name"], row["id"]))
    return result


def _in_use(name: str, part: Found, why: str, prices: Prices, look: Look) -> Resource:
    shown = [summary.instance(raw, prices, look.now) for raw in lives.living(part)]
    price = cost.total([one["price"] for one in shown if one["state"] in summary.BILLED])
    return {"experiment": name, "region": look.region, "why": why, "cost_per_hour": price}


def _row(kind: str, identity: str, raw: Resource, look: Look, **more: Any) -> Resource:
    tags = transformations.tags_of(raw)
    row = {
        "kind": kind,
        "id": identity,
        "name": tags.get("Name") or "",
        "experiment": tags.get("spot:experiment", ""),
        "owner": tags.get("spot:owner", ""),
        "region": look.region,
        "state": "",
        "age": None,
        "cost_per_hour": 0.0,
        "cost_per_month": 0.0,
        "why": "its experiment has no instance",
        "if_idle": [],
        "holds_data": kind in DATA,
        "sure": True,
        **more,
    }
    return {**row, "remove": command(row)}


def command(row: Resource) -> str:
    """What to type to remove it."""
    where = f"-e region={row['region']}"
    if row["kind"] in ("volumes", "snapshots"):
        return f"ansible-playbook volumes.yml -e do=delete -e {row['kind'][:-1]}={row['id']} {where}"
    if row["kind"] in ("file_systems", "spot_requests") or not row["experiment"]:
        whose = f" -e experiment={row['experiment']}" if row["experiment"] else ""
        return f"ansible-playbook orphans.yml -e delete={row['kind']} -e confirm=true{whose} -e regions={row['region']}"
    return f"ansible-playbook close.yml -e experiment={row['experiment']} {where}"


def seconds(raw: Resource, key: str, look: Look) -> float | None:
    """Age of a resource in seconds, None when AWS does not tell it."""
    return lives.age(raw[key], look.now) if raw.get(key) else None


def hourly(month: float | None) -> float | None:
    """USD an hour of what costs so much a month of 730 hours."""
    return None if month is None else round(month / HOURS_A_MONTH, 6)


# What goes with the experiment


def _of_experiment(name: str, part: Found, life: Life, prices: Prices, look: Look) -> Iterator[Resource]:
    for raw in lives.living(part):
        yield _instance(raw, part, life, prices, look)
    if life.resting:
        return  # what a stopped instance needs when it is started again
    shared = {"if_idle": life.ask, "experiment": name}
    why = {"why": "its instances are of no use"} if life.ask or life.expired else {}
    for raw in summary.standing_fleets(part):
        text = why or {"why": "asks for no instance any more"}
        yield _row("fleets", raw["FleetId"], raw, look, age=seconds(raw, "CreateTime", look), **shared, **text)
    for raw in lives.spot_fleets(part):
        text = why or {"why": "asks for no instance any more"}
        made = seconds(raw, "CreateTime", look)
        yield _row("fleets", raw["SpotFleetRequestId"], raw, look, age=made, **shared, **text)
    for raw in _requests(part):
        made, text = seconds(raw, "CreateTime", look), why or {"why": "may still launch an instance"}
        more = {"age": made, "state": raw["State"], **shared, **text}
        yield _row("spot_requests", raw["SpotInstanceRequestId"], raw, look, **more)
    yield from _access(part, {**shared, **why}, look)


def _access(part: Found, shared: Resource, look: Look) -> Iterator[Resource]:
    for raw in part.key_pairs:
        more = {"name": raw["KeyName"], "age": seconds(raw, "CreateTime", look)}
        yield _row("key_pairs", raw["KeyPairId"], raw, look, **more, **shared)
    for raw in part.launch_templates:
        more = {"name": raw["LaunchTemplateName"], "age": seconds(raw, "CreateTime", look)}
        yield _row("launch_templates", raw["LaunchTemplateId"], raw, look, **more, **shared)
    for raw in part.security_groups:
        if efs_plan.MARK not in transformations.tags_of(raw):
            yield _row("security_groups", raw["GroupId"], raw, look, name=raw["GroupName"], **shared)


def _instance(raw: Resource, part: Found, life: Life, prices: Prices, look: Look) -> Resource:
    identity, shown = raw["InstanceId"], summary.instance(raw, prices, look.now)
    running = shown["state"] in summary.BILLED
    disks = cost.total([_per_month(one) for one in part.attached if _ends_with(one, identity)])
    price = shown["price"] if running else hourly(disks)
    why = "running without a job that lives"
    if identity in life.resting:
        why = "stopped, only its disks are paid for; name its kind to lose them"
    if identity in life.expired:
        why = f"its time was over at {life.expired[identity]}"
    return _row(
        "instances",
        identity,
        raw,
        look,
        state=shown["state"],
        age=seconds(raw, "LaunchTime", look),
        cost_per_hour=price,
        cost_per_month=None if price is None else round(price * HOURS_A_MONTH, 4),
        why=why,
        holds_data=identity in life.resting,
        if_idle=[*life.ask],
    )


def _ends_with(volume: Resource, instance_id: str) -> bool:
    return any(
        one["InstanceId"] == instance_id and one.get("DeleteOnTermination") for one in volume.get("Attachments") or []
    )


def _per_month(volume: Resource) -> float:
    one = transformations.volume(volume)
    return cost.storage_per_month(one["type"], one["size"], one["iops"], one["throughput"])


def _requests(part: Found) -> list[Resource]:
    """Spot requests that may launch again and belong to no fleet. Source: EC2 API SpotInstanceRequest, State, Type."""
    of_fleet = ("aws:ec2:fleet-id", "aws:ec2spot:fleet-request-id")
    return [
        raw
        for raw in part.spot_requests
        if (raw["State"] in ("open", "disabled") or (raw["State"] == "active" and raw.get("Type") == "persistent"))
        and not any(key in transformations.tags_of(raw) for key in of_fleet)
    ]


# What holds data


def _unused(experiments: Iterable[str], life: Mapping[str, Life]) -> tuple[bool, list[str]]:
    """Whether none of the experiments is alive, and the instances whose jobs decide."""
    known = [life[name] for name in experiments if name in life]
    return not any(one.alive or one.resting for one in known), [name for one in known for name in one.ask]


def _volumes(seen: Seen, life: Mapping[str, Life], look: Look) -> Iterator[Resource]:
    for raw in seen.found.volumes:
        one = transformations.volume(raw)
        experiment = one["tags"].get("spot:experiment", "")
        unused, ask = _unused([experiment], life)
        mine = life.get(experiment, Life())
        foreign = set(one["instance_ids"]) - {*mine.ask, *mine.expired}
        young = lives.age(one["created"], look.now) < look.grace
        if not unused or foreign or young or one["state"] in DEAD_VOLUMES or one["delete_on_termination"]:
            continue
        month = _per_month(raw)
        held = f"held by {', '.join(one['instance_ids'])}, which is of no use" if one["instance_ids"] else ""
        why = held or "attached to nothing"
        shared = {"state": one["state"], "age": seconds(raw, "CreateTime", look), "if_idle": ask, "why": why}
        price = {"cost_per_hour": hourly(month), "cost_per_month": month}
        yield _row("volumes", one["volume_id"], raw, look, **shared, **price)


def _snapshots(seen: Seen, life: Mapping[str, Life], look: Look) -> Iterator[Resource]:
    for raw in seen.snapshots:
        unused, ask = _unused([summary.experiment_of(raw)], life)
        if not unused or lives.age(raw.get("StartTime"), look.now) < look.grace:
            continue
        month = cost.storage_per_month("snapshot", raw.get("VolumeSize"), None, None)
        shared = {"state": raw["State"], "age": seconds(raw, "StartTime", look), "if_idle": ask}
        price = {"cost_per_hour": hourly(month), "cost_per_month": month}
        why = (
            "costs at most this; its experiment has no instance" if summary.experiment_of(raw) else "costs at most this"
        )
        yield _row("snapshots", raw["SnapshotId"], raw, look, **shared, **price, why=why)


def _file_systems(seen: Seen, life: Mapping[str, Life], look: Look) -> Iterator[Resource]:
    experiments = {raw["GroupId"]: summary.experiment_of(raw) for raw in seen.found.security_groups}
    for raw in [one for one in seen.file_systems or [] if efs_plan.MARK in transformations.tags_of(one)]:
        users = {summary.experiment_of(raw)} | {
            experiments.get(pair["GroupId"], "")
            for group in summary.groups_of(raw, seen.found)
            for rule in group.get("IpPermissions") or []
            for pair in rule.get("UserIdGroupPairs") or []
        }
        unused, ask = _unused(users, life)
        gone = raw["LifeCycleState"] in ("deleting", "deleted")
        if not unused or gone or lives.age(raw.get("CreationTime"), look.now) < look.grace:
            continue
        month = cost.file_system_per_month(raw)
        shared = {"state": raw["LifeCycleState"], "age": seconds(raw, "CreationTime", look), "if_idle": ask}
        price = {"cost_per_hour": hourly(month), "cost_per_month": month, "name": raw.get("CreationToken") or ""}
        yield _row("file_systems", raw["FileSystemId"], raw, look, **shared, **price, why="no experiment uses it")


def _groups_of_nothing(seen: Seen, life: Mapping[str, Life], look: Look) -> Iterator[Resource]:
    """Security groups of file systems that are gone."""
    kept = [raw for one in seen.file_systems or [] for raw in summary.groups_of(one, seen.found)]
    for raw in seen.found.security_groups if seen.file_systems is not None else []:
        unused, ask = _unused([summary.experiment_of(raw)], life)
        if unused and efs_plan.MARK in transformations.tags_of(raw) and raw not in kept:
            more = {"name": raw["GroupName"], "why": "its file system is gone", "if_idle": ask}
            yield _row("security_groups", raw["GroupId"], raw, look, **more)


# With what the jobs say


def settle(
    rows: list[Resource], jobs: Mapping[str, Mapping[str, Any]], now: datetime, grace: float
) -> tuple[list[Resource], list[Resource]]:
    """Rows that stay, now that the jobs have spoken, and the experiments that turned out to be in use.

    An instance that does not answer stays listed, but is not sure: it is never removed. All else of its experiment
    is left out.

    Args:
        rows: of :func:`find`.
        jobs: instance -> what ``job_info`` said.
        now: the present moment.
        grace: seconds for which a job that has ended counts as alive.
    """
    ids = {name for row in rows for name in row["if_idle"]}
    told = {name: lives.job_of(jobs.get(name), now, grace) for name in sorted(ids)}
    kept: list[Resource] = []
    used: dict[tuple[str, str], Resource] = {}
    for row in rows:
        verdicts = [told[name].verdict for name in row["if_idle"]]
        own = told.get(row["id"])
        if "alive" in verdicts:
            if own and own.verdict == "alive":
                used[row["experiment"], row["region"]] = _used(row, own.why, used)
        elif "unknown" not in verdicts:
            kept.append({**row, **({"why": own.why} if own else {})})
        elif own and own.verdict == "unknown":
            kept.append({**row, "why": own.why, "sure": False})
    return kept, [used[key] for key in sorted(used)]


def _used(row: Resource, why: str, used: Mapping[Any, Resource]) -> Resource:
    so_far = used.get((row["experiment"], row["region"]), {"cost_per_hour": 0.0})["cost_per_hour"]
    price = cost.total([so_far, row["cost_per_hour"]])
    return {"experiment": row["experiment"], "region": row["region"], "why": why, "cost_per_hour": price}
