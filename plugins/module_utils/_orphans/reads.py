# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads all that carries one of our tags, every region at the same time. PRIVATE to the collection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .._efs import api as efs_api
from .._experiment import api, reads, summary, survey
from .._experiment.summary import Found, Prices
from .._volumes import api as volumes_api
from . import find, life

if TYPE_CHECKING:
    from .._experiment.connection import Clients

Resource = dict[str, Any]

# What a list can do without.
OPTIONAL = {"snapshots": "snapshots", "file_systems": "EFS file systems"}


def everywhere(clients: Clients, params: Resource, now: datetime) -> Resource:
    """What is of no use in the regions that are asked for, and what needs a word of its instances.

    Args:
        clients: of AWS.
        params: ``regions`` (empty for the one of the clients), ``experiment``, ``owner``, ``grace`` (seconds).
        now: the present moment.

    Returns:
        ``regions``, ``left_out``, ``notes``, ``rows``, ``in_use`` and ``ask`` (instances whose job decides).

    Raises:
        ReadError: a call failed that the list needs.
    """
    names = list(dict.fromkeys(params["regions"])) or [clients.region]
    answers, closed = survey.at_once({name: partial(_region, clients.in_region(name), params, now) for name in names})
    joined = {key: [one for answer in answers.values() for one in answer[key]] for key in ("rows", "in_use", "ask")}
    notes = [note for answer in answers.values() for note in answer["notes"]]
    return {"regions": list(answers), "left_out": list(closed.values()), "notes": list(dict.fromkeys(notes)), **joined}


def _region(clients: Clients, params: Resource, now: datetime) -> Resource:
    seen, notes = read(clients)
    prices, more = reads.prices(clients, life.living(seen.found))
    result = find.find(seen, prices, find.Look(clients.region, now, params["grace"]))
    rows = [row for row in result.rows if _wanted(row, params)]
    in_use = [one for one in result.in_use if params["experiment"] in (None, "", one["experiment"])]
    return {
        "rows": rows,
        "in_use": in_use,
        "ask": _ask(rows, seen.found, prices, clients.region, now),
        "notes": notes + more,
    }


def _wanted(row: Resource, params: Resource) -> bool:
    return all(not params[key] or row[key] == params[key] for key in ("experiment", "owner"))


def _ask(rows: list[Resource], found: Found, prices: Prices, region: str, now: datetime) -> list[Resource]:
    """Instances as ``experiment_info`` shows them."""
    ids = {name for row in rows for name in row["if_idle"]}
    shown = [summary.instance(raw, prices, now) for raw in found.instances if raw["InstanceId"] in ids]
    return [{**one, "region": region} for one in shown]


def read(clients: Clients) -> tuple[find.Seen, list[str]]:
    """All that carries one of our tags in one region, and notes on what could not be read.

    Raises:
        ReadError: a call failed that the list needs.
    """
    with ThreadPoolExecutor(1) as pool:
        main = pool.submit(reads.found, clients, None)
        answers, errors = api.gather(
            {
                "volumes": lambda: volumes_api.volumes(clients("ec2"), volumes_api.MINE),
                "snapshots": lambda: volumes_api.snapshots(clients("ec2"), volumes_api.MINE),
                "file_systems": lambda: efs_api.file_systems(clients("efs")),
            }
        )
        found = main.result()
    needed = [error for name, error in errors.items() if name not in OPTIONAL]
    if needed:
        raise reads.ReadError(reads.failures(needed), needed)
    notes = [f"No answer about {OPTIONAL[kind]} ({one.action}: {one.reason})" for kind, one in errors.items()]
    known = {raw["VolumeId"] for raw in found.volumes}
    found.volumes += [raw for raw in answers["volumes"] if raw["VolumeId"] not in known]
    return find.Seen(found, answers.get("snapshots", []), answers.get("file_systems")), notes
