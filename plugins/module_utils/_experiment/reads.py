# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads all facts of a launch plan: every call that does not depend on another one runs at the same time."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from .. import _aws_errors
from .._ebs import data_sets
from .._efs import api as efs_api
from .._efs import plan as efs_plan
from .._results.plan import place_of
from .._self import userdata
from .._spot import api as spot_api
from .._spot import cache
from . import api, keys, plan, problems, transformations
from .facts import Facts
from .regions import Home
from .summary import Found, Prices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .connection import Clients

    Profile = dict[str, Any]
    Reads = dict[str, Callable[[], Any]]

# Answers a plan can do without: prefix of the read's name -> what is then not known.
OPTIONAL = {
    "on_demand": "the on-demand price, so the saving is not known",
    "quota": "the Spot quota, so it is not checked",
    "instance_profile": "the instance profile, so it is not checked",
    "spot_prices": "the Spot price",
    "spot_requests": "the Spot requests, so an instance that AWS is about to take is not told from the others",
    "fleets": "former fleets, so pools that have just refused are asked again",
    "tags": "the tags, so former fleets are not known and pools that have just refused are asked again",
}
SILENT = ("quota", "instance_profile")
# Source: Systems Manager user guide, public parameters.
PUBLIC_PARAMETERS = "/aws/service/"
HOUR_S, DAY_S = 3600.0, 86400.0


class ReadError(Exception):
    """Calls that the plan cannot do without failed; ``lines`` says which and why, one line each."""

    def __init__(self, lines: list[str], errors: Iterable[api.ApiError] = ()) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.errors = list(errors)


class Kept:
    """Answers that hardly ever change, from earlier runs with the same access key in the same region.

    Args:
        whose: see ``Clients.whose``; None keeps nothing.
        environment: environment variables, for the folder.
        take: False asks for everything again.
    """

    def __init__(self, whose: Any, environment: Mapping[str, str], take: bool = True) -> None:
        folder = cache.directory(environment) if whose else None
        self.day = cache.Cache(folder, DAY_S, whose, take=take)
        self.hour = cache.Cache(folder, HOUR_S, whose, take=take)

    @property
    def taken(self) -> bool:
        """Whether an answer came from an earlier run."""
        return self.day.oldest is not None or self.hour.oldest is not None


NOTHING_KEPT = Kept(None, {})


def facts(clients: Clients, profile: Profile, experiment: str, kept: Kept = NOTHING_KEPT) -> Facts:
    """Read everything a plan is decided on, in parallel; of an experiment that has nothing yet, nothing else is asked.

    Args:
        clients: of AWS.
        profile: the normalised one.
        experiment: its name.
        kept: answers of earlier runs.

    Raises:
        ReadError: when a call that the plan needs failed; all of them are named at once.
    """
    answers, errors = api.gather(
        {
            **_account_reads(clients, kept),
            **_capacity_reads(clients, profile, kept),
            **_access_reads(clients, profile),
            **_storage_reads(clients, profile, experiment),
            "key_file": partial(_key_file, profile, experiment),
        }
    )
    # Filters by tag lag behind: what one of the two shows is there.
    if answers.get("tags", True) or answers.get("instances", True):
        more, more_errors = api.gather(_present_reads(clients, profile, experiment, answers))
        answers, errors = {**answers, **more}, {**errors, **more_errors}
    found = _facts(clients.region, profile, answers, _notes(errors))
    if {*profile["capacity"]["zones"]} - {subnet["AvailabilityZone"] for subnet in found.subnets}:
        found.zones = _all({"zones": lambda: api.zone_names(clients("ec2"))})["zones"]
    found.instance_endpoint = userdata.instance_endpoint(os.environ)
    if problems.not_offered(profile["capacity"]["instance_types"], found.offered):
        found.region_types = region_types(clients)
    return found


def home(clients: Clients, experiment: str) -> Home:
    """What decides in which region an experiment is: four calls.

    Raises:
        ApiError: a call failed.
    """
    kinds: dict[str, Callable[..., Any]] = {
        "instances": api.marked_instances,
        "requests": api.marked_spot_requests,
        "volumes": api.marked_volumes,
        "templates": api.marked_launch_templates,
    }
    answers, errors = api.gather({kind: partial(_ec2, clients, read, experiment) for kind, read in kinds.items()})
    for kind in sorted(errors):
        if kind != "requests":  # without them no instance is taken for one that AWS has announced to take
            raise errors[kind]
    return Home(clients.region, **answers)


def _account_reads(clients: Clients, kept: Kept) -> Reads:
    return {"identity": partial(kept.day, ["identity"], lambda: api.caller_identity(clients("sts")))}


def _capacity_reads(clients: Clients, profile: Profile, kept: Kept) -> Reads:
    capacity = profile["capacity"]
    types = list(dict.fromkeys(capacity["instance_types"]))
    names = sorted(types)
    reads: Reads = {
        "image": partial(_image, clients, profile["image"], kept),
        "types": partial(
            kept.day,
            ["types", names],
            lambda: api.instance_types(clients("ec2"), types),
            lambda found: {one["InstanceType"] for one in found} == {*types},
        ),
        "offered": partial(
            kept.day,
            ["offered", names],
            lambda: api.offerings(clients("ec2"), types),
            lambda found: {name for name, _zone in found} == {*types},
        ),
        "subnets": partial(_subnets, clients, capacity["subnet_ids"]),
        "spot_prices": lambda: api.spot_prices(clients("ec2"), types),
        "on_demand": partial(kept.day, ["on_demand", names], partial(_on_demand, clients, names), _all_known),
    }
    for code in problems.quota_codes(capacity):
        reads[f"quota {code}"] = partial(kept.hour, ["quota", code], partial(_quota, clients, code))
    return reads


def _all_known(prices: dict[str, float | None]) -> bool:
    return None not in prices.values()


def _access_reads(clients: Clients, profile: Profile) -> Reads:
    """What the profile names."""
    access = profile["access"]
    reads: Reads = {}
    if access["key_name"]:
        reads["key_pairs"] = lambda: api.key_pairs_by_name(clients("ec2"), access["key_name"])
    if access["security_group_ids"]:
        reads["security_groups"] = lambda: api.security_groups_by_id(clients("ec2"), access["security_group_ids"])
    if access["instance_profile"]:
        name = access["instance_profile"].rsplit("/", 1)[-1]
        reads["instance_profile"] = lambda: api.instance_profile_exists(clients("iam"), name)
    return reads


def _storage_reads(clients: Clients, profile: Profile, experiment: str) -> Reads:
    """What tells whether the experiment has anything, and the volumes, which outlive everything else."""
    reads: Reads = {
        "tags": lambda: api.tagged_resources(clients("ec2"), experiment),
        "instances": lambda: api.marked_instances(clients("ec2"), experiment),
    }
    if data_sets.lasting(profile["volumes"]):
        reads["own_volumes"] = lambda: api.marked_volumes(clients("ec2"), experiment)
    ids = [volume["volume_id"] for volume in profile["volumes"] if volume["volume_id"]]
    if ids:
        reads["volumes_by_id"] = lambda: api.volumes_by_id(clients("ec2"), ids)
    if profile.get("results"):
        name = place_of(profile["results"]["bucket"], experiment).bucket
        reads["results_bucket"] = lambda: api.bucket(clients("s3"), name)
    snapshots = [volume["snapshot_id"] for volume in profile["volumes"] if volume["snapshot_id"]]
    if snapshots:
        reads["snapshots"] = lambda: api.snapshots_by_id(clients("ec2"), snapshots)
    for index, one in enumerate(profile.get("file_systems") or []):
        wanted = efs_plan.from_keys(one, {})
        reads[f"file_system {index}"] = partial(_file_system, clients, wanted)
    return reads


def _present_reads(clients: Clients, profile: Profile, experiment: str, answers: dict[str, Any]) -> Reads:
    """What an experiment that exists may have, as far as it is not read yet."""
    access, name = profile["access"], plan.resource_name(experiment)
    reads: Reads = {
        "spot_requests": lambda: api.marked_spot_requests(clients("ec2"), experiment),
        "launch_templates": partial(_launch_templates, clients, experiment),
        "own_volumes": lambda: api.marked_volumes(clients("ec2"), experiment),
        "fleets": partial(_fleets, clients, answers.get("tags", [])),
    }
    if not access["key_name"]:
        reads["key_pairs"] = lambda: api.key_pairs_by_name(clients("ec2"), name)
    if not access["security_group_ids"]:
        reads["own_groups"] = lambda: api.security_groups_by_name(clients("ec2"), name)
    return {kind: read for kind, read in reads.items() if kind not in answers}


def _file_system(clients: Clients, wanted: efs_plan.Wanted) -> Any:
    return efs_api.read(clients("efs"), clients("ec2"), wanted)


def _image(clients: Clients, wanted: dict[str, Any], kept: Kept) -> Any:
    if wanted["id"]:
        return _image_of_id(clients, wanted["id"], kept)
    if name := wanted["ssm_parameter"]:
        read = partial(api.ssm_value, clients("ssm"), name)
        # AWS changes its own parameters every some days; the user may have changed another one just now.
        image_id = kept.hour(["parameter", name], read, bool) if name.startswith(PUBLIC_PARAMETERS) else read()
        return _image_of_id(clients, image_id, kept) if image_id else None
    if wanted["name"]:
        return transformations.newest_image(api.images_by_name(clients("ec2"), wanted["name"], wanted["owner"]))
    return None


def _image_of_id(clients: Clients, image_id: str, kept: Kept) -> Any:
    """An image never changes once it is available."""
    return kept.hour(
        ["image", image_id],
        lambda: transformations.newest_image(api.images_by_id(clients("ec2"), image_id)),
        lambda found: bool(found) and found.get("State") == "available",
    )


def _subnets(clients: Clients, ids: list[str]) -> Any:
    return api.subnets_by_id(clients("ec2"), ids) if ids else api.default_subnets(clients("ec2"))


def _on_demand(clients: Clients, names: list[str]) -> dict[str, float | None]:
    found = api.on_demand_products(clients("pricing"), names, clients.region)
    return transformations.on_demand_prices(found, names)


def _quota(clients: Clients, code: str) -> float:
    return api.quota(clients("service-quotas"), code)


def _launch_templates(clients: Clients, experiment: str) -> Any:
    return [
        {**template, "Data": api.launch_template_data(clients("ec2"), template["LaunchTemplateId"])}
        for template in api.marked_launch_templates(clients("ec2"), experiment)
    ]


def _fleets(clients: Clients, tags: list[Any]) -> Any:
    ids = [tag["ResourceId"] for tag in tags if tag["ResourceType"] == "fleet"]
    return api.fleets_by_id(clients("ec2"), ids) if ids else []


def _key_file(profile: Profile, experiment: str) -> Any:
    path = keys.key_path(profile, experiment)
    return keys.read(path) if path else None


def region_types(clients: Clients) -> list[str]:
    """Instance types of the region; none where that cannot be read."""
    try:
        return sorted({name for name, _zone in api.offerings(clients("ec2"))})
    except api.ApiError:  # Only a suggestion depends on it.
        return []


def _notes(errors: dict[str, api.ApiError]) -> list[str]:
    """What is not known for want of a permission; anything else that failed ends the plan."""
    needed = {name: error for name, error in errors.items() if name.split()[0] not in OPTIONAL}
    if needed:
        raise ReadError(failures(needed.values()), needed.values())
    missing = sorted({name.split()[0] for name in errors} - set(SILENT))
    return [
        f"No answer about {OPTIONAL[kind]} ({_first(kind, errors).action}: {_first(kind, errors).reason})"
        for kind in missing
    ]


def _first(kind: str, errors: dict[str, api.ApiError]) -> api.ApiError:
    return next(error for name, error in errors.items() if name.split()[0] == kind)


def failures(errors: Any) -> list[str]:
    """One line an error; what is wrong with all calls alike (credentials, network) is said once."""
    everywhere = [
        error
        for error in errors
        if not error.code or error.code in _aws_errors.AUTH_CODES - _aws_errors.PERMISSION_CODES
    ]
    chosen = everywhere[:1] or list(errors)
    return list(dict.fromkeys(_aws_errors.explain(error.error, f"call {error.action}") for error in chosen))


def _facts(region: str, profile: Profile, answers: dict[str, Any], notes: list[str]) -> Facts:
    prices = answers.get("on_demand", {})
    return Facts(
        region=region,
        account=answers["identity"]["Account"],
        arn=answers["identity"]["Arn"],
        image=answers["image"],
        types=answers["types"],
        offered=[(str(name), str(zone)) for name, zone in answers["offered"]],
        subnets=answers["subnets"],
        spot_prices=transformations.price_table(answers.get("spot_prices", [])),
        on_demand={name: prices.get(name) for name in profile["capacity"]["instance_types"]},
        quotas={name.split()[1]: value for name, value in answers.items() if name.startswith("quota ")},
        key_pair=next(iter(answers.get("key_pairs", [])), None),
        security_groups=answers.get("security_groups", []),
        own_groups=answers.get("own_groups", []),
        instance_profile=answers.get("instance_profile"),
        volumes_by_id=answers.get("volumes_by_id", []),
        own_volumes=answers.get("own_volumes", []),
        snapshots=answers.get("snapshots", []),
        file_systems=[answers[f"file_system {index}"] for index in range(len(profile.get("file_systems") or []))],
        results_bucket=answers.get("results_bucket"),
        instances=answers["instances"],
        spot_requests=answers.get("spot_requests", []),
        fleets=answers.get("fleets", []),
        launch_templates=answers.get("launch_templates", []),
        key_file=answers["key_file"],
        notes=notes,
    )


# What experiments have


def found(clients: Clients, experiment: str | None) -> Found:
    """Everything that carries the tag of one experiment, or of any when None.

    Raises:
        ReadError: when a call failed.
    """
    kinds: dict[str, Callable[..., Any]] = {
        "tags": api.tagged_resources,
        "instances": api.marked_instances,
        "spot_requests": api.marked_spot_requests,
        "volumes": api.marked_volumes,
        "security_groups": api.marked_security_groups,
        "key_pairs": api.marked_key_pairs,
        "launch_templates": api.marked_launch_templates,
    }
    answers = _all({kind: partial(_ec2, clients, read, experiment) for kind, read in kinds.items()})
    more: Reads = {}
    fleets = [tag["ResourceId"] for tag in answers["tags"] if tag["ResourceType"] == "fleet"]
    if fleets:
        more["fleets"] = lambda: api.fleets_by_id(clients("ec2"), fleets)
    if any(tag["ResourceType"] == "spot-fleet-request" for tag in answers["tags"]):
        more["spot_fleets"] = lambda: spot_api.spot_fleets(clients("ec2"))
    if any(efs_plan.MARK in transformations.tags_of(raw) for raw in answers["security_groups"]):
        more["file_systems"] = lambda: efs_api.file_systems(clients("efs"))
    holders = [raw["InstanceId"] for raw in answers["instances"] if raw["State"]["Name"] not in transformations.GONE]
    if holders:
        more["attached"] = lambda: api.attached_volumes(clients("ec2"), holders)
    return Found(**answers, **_all(more))


def volumes_named(clients: Clients, ids: list[str]) -> list[Any]:
    """Volumes of these ids, whoever made them.

    Raises:
        ReadError: when the call failed.
    """
    return _all({"volumes": lambda: api.volumes_by_id(clients("ec2"), ids)})["volumes"] if ids else []


def experiments_of_groups(clients: Clients, ids: list[str]) -> dict[str, str]:
    """Security group -> the experiment it belongs to, for those that belong to one.

    Raises:
        ReadError: when the call failed.
    """
    found = _all({"groups": lambda: api.security_groups_by_id(clients("ec2"), ids)})["groups"] if ids else []
    tags = {raw["GroupId"]: transformations.tags_of(raw) for raw in found}
    return {group: kept["spot:experiment"] for group, kept in tags.items() if "spot:experiment" in kept}


def prices(clients: Clients, instances: list[Any]) -> tuple[Prices, list[str]]:
    """Prices of now for these instances (boto3), and notes on those that could not be had."""
    types = sorted({raw["InstanceType"] for raw in instances})
    reads: Reads = {}
    if types:
        reads["spot_prices"] = lambda: api.spot_prices(clients("ec2"), types)
        reads["on_demand"] = partial(_on_demand, clients, types)
    answers, errors = api.gather(reads)
    table = transformations.price_table(answers.get("spot_prices", []))
    return Prices(table, answers.get("on_demand", {})), _notes(errors)


def _ec2(clients: Clients, read: Callable[..., Any], experiment: str | None) -> Any:
    return read(clients("ec2"), experiment)


def _all(reads: Reads) -> dict[str, Any]:
    answers, errors = api.gather(reads)
    if errors:
        raise ReadError(failures(errors.values()), errors.values())
    return answers
