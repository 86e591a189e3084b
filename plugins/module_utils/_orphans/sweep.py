# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Removes what is of no use: what could launch again first, then the rest. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._experiment import removal
from .._experiment.removal import Done
from .._experiment.teardown import Removal

if TYPE_CHECKING:
    from .._experiment.connection import Clients

Resource = dict[str, Any]


def chosen(rows: Iterable[Resource], plain: Iterable[str], named: Iterable[str]) -> list[Resource]:
    """Rows to remove: those of the plain kinds that hold no data, and those whose kind is named."""
    wanted, by_name, listed = set(plain), set(named), list(rows)
    found = [
        row
        for row in listed
        if row["sure"] and (row["kind"] in by_name or (row["kind"] in wanted and not row["holds_data"]))
    ]
    # What an instance that stays holds cannot go, and its fleet would take it along.
    ids = {row["id"] for row in found}
    staying = {row["experiment"] for row in listed if row["kind"] == "instances" and row["id"] not in ids}
    held = ("fleets", "security_groups", "volumes")
    return [row for row in found if not (row["kind"] in held and row["experiment"] in staying)]


def decide(rows: list[Resource]) -> list[Removal]:
    """What to remove of one region, in order: a fleet or a persistent request would replace what is terminated.

    Security groups and volumes of instances that are still there wait for another turn, see ``Removal.pending``.
    """
    ids: dict[str, list[Resource]] = {}
    for row in rows:
        ids.setdefault(row["kind"], []).append(row)
    first, rest = Removal(), Removal()
    for row in ids.get("fleets", []):
        (first.spot_fleets if row["id"].startswith("sfr-") else first.fleets).append(row["id"])
    first.spot_requests = [row["id"] for row in ids.get("spot_requests", [])]
    rest.instances = rest.terminating = [row["id"] for row in ids.get("instances", [])]
    rest.key_pairs = {row["id"]: row["name"] for row in ids.get("key_pairs", [])}
    rest.launch_templates = {row["id"]: row["name"] for row in ids.get("launch_templates", [])}
    rest.snapshots = [row["id"] for row in ids.get("snapshots", [])]
    busy = {row["experiment"] for row in ids.get("instances", [])}
    for row in ids.get("security_groups", []):
        (rest.pending if row["experiment"] in busy else rest.security_groups).append(row["id"])
    for row in ids.get("volumes", []):
        (rest.pending if row["state"] == "in-use" else rest.volumes).append(row["id"])
    rest.pending += rest.terminating
    return [first, rest]


def carry_out(clients: Clients, removals: list[Removal], check_mode: bool) -> Done:
    """Remove, one after the other; what fails does not stop the rest."""
    done = Done()
    for one in removals:
        part = removal.predict(one) if check_mode else removal.carry_out(clients, one)
        done.deleted += part.deleted
        done.pending += part.pending
        done.failures += part.failures
    return done
