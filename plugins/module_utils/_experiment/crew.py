# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which instances of an experiment work for it, under which rank, and which ones AWS is taking away. Pure functions.

An instance that AWS has announced to take (its Spot request is marked) still runs, but nothing is built on it any more:
it is *leaving*. The *crew* are the others that run, one a rank. Shapes are those of boto3 unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from .._fleet.index import index_from
from .._spot import status
from . import transformations

Resource = dict[str, Any]

RANK_TAG = "spot:rank"


def requests_by_instance(requests: Iterable[Resource]) -> dict[str, Resource]:
    """Spot requests by the instance that fulfilled them. Source: EC2 API SpotInstanceRequest."""
    return {request["InstanceId"]: request for request in requests if request.get("InstanceId")}


def marked(requests: Iterable[Resource], instance_ids: Iterable[str]) -> list[Resource]:
    """Spot requests as if AWS had marked these instances: they have told of a notice, or of its recommendation."""
    wanted, kept = set(instance_ids), []
    for request in requests:
        code = (request.get("Status") or {}).get("Code", "")
        if request.get("InstanceId") not in wanted or status.of(code).verdict is not status.Verdict.RUNNING:
            kept.append(request)
    known = {request.get("InstanceId") for request in kept}
    mark = {"Code": "marked-for-termination", "UpdateTime": datetime.now(timezone.utc)}
    marks = ({"InstanceId": name, "State": "active", "Status": mark} for name in sorted(wanted - known))
    return [*kept, *marks]


def end_of(raw: Resource, requests: dict[str, Resource]) -> status.End:
    """Why an instance ended or is about to, ``alive`` when neither."""
    return status.end_of(raw, requests.get(raw["InstanceId"]))


def rank_of(raw: Resource) -> int | None:
    """The rank in the tag of an instance, None when it has none."""
    return index_from(transformations.tags_of(raw).get(RANK_TAG), raw["InstanceId"])


def crew(raws: Iterable[Resource], requests: Iterable[Resource] = ()) -> list[Resource]:
    """Pending and running instances that are not leaving, one a rank, in the order of their ranks.

    The rank is a tag that an instance keeps for life, so it does not change when another instance is replaced. One that
    has no tag yet gets the lowest free number, the oldest first. Of two that claim the same rank the older has it, as
    with ec2_fleet, which writes the tags.

    Returns:
        Instances as :func:`transformations.instance` has them, with ``rank``.
    """
    known = requests_by_instance(requests)
    usable = [raw for raw in raws if _alive(raw) and end_of(raw, known).kind != "doomed"]
    places: dict[int, Resource] = {}
    for raw in sorted(usable, key=_age):
        rank = rank_of(raw)
        if rank is not None:
            places.setdefault(rank, raw)
    free = (rank for rank in range(len(usable) + len(places)) if rank not in places)
    unranked = sorted((raw for raw in usable if rank_of(raw) is None), key=_age)
    placed = {**places, **dict(zip(list(free), unranked))}
    return [{**transformations.instance(placed[rank]), "rank": rank} for rank in sorted(placed)]


def leaving(raws: Iterable[Resource], requests: Iterable[Resource] = ()) -> list[Resource]:
    """Pending and running instances that AWS has announced to take, with ``rank`` (None without a tag)."""
    known = requests_by_instance(requests)
    found = [raw for raw in raws if _alive(raw) and end_of(raw, known).kind == "doomed"]
    return [{**transformations.instance(raw), "rank": rank_of(raw)} for raw in sorted(found, key=_age)]


def generation(
    raws: Iterable[Resource], requests: Iterable[Resource] = (), others: Iterable[Resource] = (), count: int = 1
) -> int:
    """Generation of what runs when that is complete or was only cut off half way, else the next one.

    The same command run again after an interruption half way comes to the same generation; once an instance of the
    newest generation is lost, what is launched in its place is a new one. Terminated instances stay describable for
    about an hour; volumes remember longer. Launch templates do not count: they are made before the instances.

    Args:
        raws: all instances of the experiment that AWS still shows.
        requests: its Spot requests.
        others: more resources with the tag ``spot:generation``.
        count: how many instances are wanted.
    """
    seen = list(raws)
    members = crew(seen, requests)
    newest = max((_generation(raw) for raw in [*seen, *others]), default=0)
    if not members:
        return newest + 1
    ids = {one["instance_id"] for one in members}
    lost = any(_generation(raw) == newest and raw["InstanceId"] not in ids for raw in seen)
    if len(members) < count and lost:
        return newest + 1
    return max(one["generation"] for one in members)


def _alive(raw: Resource) -> bool:
    return raw["State"]["Name"] in transformations.ALIVE


def _generation(raw: Resource) -> int:
    return transformations.number(transformations.tags_of(raw).get("spot:generation"))


def _age(raw: Resource) -> tuple[str, str]:
    return str(raw.get("LaunchTime", "")), str(raw["InstanceId"])
