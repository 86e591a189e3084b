# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What to remove of an experiment, what must wait, what is kept. Pure functions, no API calls.

Tags decide: only what carries the tag ``spot:experiment`` of this experiment was made by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import summary, transformations

if TYPE_CHECKING:
    from .summary import Found

    Resource = dict[str, Any]

ALL_VOLUMES = "all"


@dataclass
class Removal:
    """What one run does.

    Attributes:
        instances: ids to terminate.
        terminating: ids that are to be terminated now or are on their way already.
        fleets: ids of fleet records to delete.
        spot_fleets: ids of Spot Fleet requests to cancel.
        spot_requests: ids of Spot requests to cancel.
        snapshots: ids of snapshots to delete.
        key_pairs: key pair id -> name.
        launch_templates: launch template id -> name.
        security_groups: ids that can be tried now.
        volumes: ids that can be deleted now.
        pending: ids that wait until the instances are gone.
        file_systems: file systems to be deleted, as ``experiment_info`` shows them. The caller does it, when the
            instances are gone.
        kept_file_systems: file systems that stay.
        kept: volumes that stay, as ``experiment_info`` shows them.
        problems: why nothing may be done, one line each.
        notes: names of volumes that fit nothing.
    """

    instances: list[str] = field(default_factory=list)
    terminating: list[str] = field(default_factory=list)
    fleets: list[str] = field(default_factory=list)
    spot_fleets: list[str] = field(default_factory=list)
    spot_requests: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    key_pairs: dict[str, str] = field(default_factory=dict)
    launch_templates: dict[str, str] = field(default_factory=dict)
    security_groups: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    kept: list[Resource] = field(default_factory=list)
    file_systems: list[Resource] = field(default_factory=list)
    kept_file_systems: list[Resource] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def removed(self) -> list[str]:
        """Ids of all that this run removes when everything works."""
        return [
            *self.instances,
            *self.fleets,
            *self.spot_fleets,
            *self.spot_requests,
            *self.key_pairs,
            *self.launch_templates,
            *self.security_groups,
            *self.volumes,
            *self.snapshots,
        ]


def is_in_use(found: Found) -> bool:
    """Whether an instance of the experiment runs, or may run again."""
    return any(raw["State"]["Name"] not in (*transformations.GONE, "shutting-down") for raw in found.instances)


def decide(
    experiment: str,
    found: Found,
    delete_volumes: list[str],
    named: list[Resource],
    *,
    delete_file_systems: list[str] | None = None,
    users: dict[str, str] | None = None,
) -> Removal:
    """What to do now.

    Args:
        experiment: name of the experiment.
        found: all that carries its tag.
        delete_volumes: names or ids of volumes to delete, or ``all``.
        named: volumes (boto3) whose ids ``delete_volumes`` holds, whoever made them.
        delete_file_systems: names or ids of file systems to delete, or ``all``.
        users: security group -> experiment, of those that file systems let in.
    """
    removal = Removal()
    _instances(found, removal)
    removal.fleets = sorted(raw["FleetId"] for raw in summary.standing_fleets(found))
    removal.spot_fleets = sorted(raw["SpotFleetRequestId"] for raw in summary.standing_spot_fleets(found))
    removal.key_pairs = {raw["KeyPairId"]: raw["KeyName"] for raw in found.key_pairs}
    removal.launch_templates = {raw["LaunchTemplateId"]: raw["LaunchTemplateName"] for raw in found.launch_templates}
    standing = summary.standing_groups(found)
    groups = sorted(raw["GroupId"] for raw in found.security_groups if raw not in standing)
    if removal.terminating:
        removal.pending += groups
    else:
        removal.security_groups = groups
    _volumes(experiment, found, delete_volumes, removal)
    _foreign(experiment, named, removal)
    _file_systems(experiment, found, delete_file_systems or [], removal)
    _shared(experiment, found, users or {}, removal)
    return removal


def _instances(found: Found, removal: Removal) -> None:
    states = {raw["InstanceId"]: raw["State"]["Name"] for raw in found.instances}
    removal.terminating = sorted(one for one, state in states.items() if state not in transformations.GONE)
    removal.instances = [one for one in removal.terminating if states[one] != "shutting-down"]
    removal.pending += removal.terminating


def _volumes(experiment: str, found: Found, wanted: list[str], removal: Removal) -> None:
    own = [one for one in summary.volumes(found) if one["ours"]]
    chosen = [one for one in own if chooses(wanted, one)]
    removal.kept = [one for one in own if one not in chosen]
    for one in chosen:
        holder = one["attached_to"]
        if holder and holder not in removal.terminating:
            removal.problems.append(
                f"delete_volumes: {_label(one)} is attached to {holder}, which does not belong to experiment "
                f"{experiment}; detach it there first"
            )
        elif holder or one["state"] not in ("available", "error"):
            removal.pending.append(one["volume_id"])
        else:
            removal.volumes.append(one["volume_id"])
    left = ", ".join(sorted(_label(one) for one in own))
    for name in wanted if own else []:  # A run that has deleted them all is no typing mistake.
        if name != ALL_VOLUMES and not name.startswith("vol-") and not any(chooses([name], one) for one in own):
            removal.notes.append(f"Experiment {experiment} has no volume named {name} (it has: {left})")


def chooses(wanted: list[str], volume: Resource) -> bool:
    """Whether a list of names and ids means a volume; a plain name means the volumes of all ranks."""
    return not {ALL_VOLUMES, volume["volume_id"], volume["name"], volume["volume"]}.isdisjoint(filter(None, wanted))


def _label(volume: Resource) -> str:
    return f"{volume['name'] or volume['volume']} ({volume['volume_id']})".strip()


def _foreign(experiment: str, named: list[Resource], removal: Removal) -> None:
    removal.problems += [
        f"delete_volumes: {raw['VolumeId']} was not made by experiment {experiment} (it has no tag spot:experiment "
        f"of this name), so it is not deleted; take it off the list, or delete it yourself"
        for raw in named
        if summary.experiment_of(raw) != experiment
    ]


def _file_systems(experiment: str, found: Found, wanted: list[str], removal: Removal) -> None:
    known = summary.file_systems(found)
    every = ALL_VOLUMES in wanted
    for one in known:
        chosen = not {one["file_system_id"], one["name"]}.isdisjoint(wanted)
        if chosen and not one["ours"]:
            removal.problems.append(
                f"delete_file_systems: {one['name']} ({one['file_system_id']}) was not made by experiment "
                f"{experiment}, so it is not deleted; take it off the list, or delete it yourself"
            )
        elif chosen or (every and one["ours"]):
            removal.file_systems.append(one)
        else:
            removal.kept_file_systems.append(one)
    names = {name for one in known for name in (one["name"], one["file_system_id"])}
    left = ", ".join(f"{one['name']} ({one['file_system_id']})" for one in known)
    removal.notes += [
        f"Experiment {experiment} has no file system named {name} (it has: {left})"
        for name in wanted
        if known and name not in names and name != ALL_VOLUMES
    ]


def let_in(file_system: Resource, found: Found) -> list[str]:
    """Security groups that may reach a file system."""
    return [
        pair["GroupId"]
        for group in summary.groups_of(file_system, found)
        for rule in group.get("IpPermissions") or []
        for pair in rule.get("UserIdGroupPairs") or []
    ]


def _shared(experiment: str, found: Found, users: dict[str, str], removal: Removal) -> None:
    """What another experiment mounts is not deleted under it."""
    ids = {one["file_system_id"]: one["name"] for one in removal.file_systems}
    for raw in found.file_systems:
        others = {users.get(group, "") for group in let_in(raw, found)} - {"", experiment}
        if raw["FileSystemId"] in ids and others:
            removal.problems.append(
                f"delete_file_systems: {ids[raw['FileSystemId']]} ({raw['FileSystemId']}) is used by experiment "
                f"{', '.join(sorted(others))}; close that first"
            )


def bucket(found: Found) -> str:
    """The bucket that the experiment uses, as its tags say, '' for none."""
    kinds = (found.launch_templates, found.instances, found.volumes, found.security_groups, found.key_pairs)
    named = [transformations.tags_of(raw).get("spot:bucket", "") for kind in kinds for raw in kind]
    return next(filter(None, named), "")


def lines(found: Found, gone: list[str]) -> list[str]:
    """What exists of an experiment, one line a resource, without what is gone. For the diff."""
    kinds = [
        ("instance", {raw["InstanceId"]: raw["State"]["Name"] for raw in found.instances}),
        ("fleet", {raw["FleetId"]: "" for raw in summary.standing_fleets(found)}),
        ("Spot Fleet request", {raw["SpotFleetRequestId"]: "" for raw in summary.standing_spot_fleets(found)}),
        ("key pair", {raw["KeyPairId"]: raw["KeyName"] for raw in found.key_pairs}),
        ("launch template", {raw["LaunchTemplateId"]: raw["LaunchTemplateName"] for raw in found.launch_templates}),
        ("security group", {raw["GroupId"]: raw["GroupName"] for raw in found.security_groups}),
        ("file system", {one["file_system_id"]: one["name"] for one in summary.file_systems(found) if one["ours"]}),
        ("volume", {one["volume_id"]: one["name"] for one in summary.volumes(found) if one["ours"]}),
    ]
    return [
        f"{kind} {one} {text}".rstrip()
        for kind, resources in kinds
        for one, text in sorted(resources.items())
        if one not in gone and text not in transformations.GONE
    ]
