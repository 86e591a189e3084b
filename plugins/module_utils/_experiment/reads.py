# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads all facts of a launch plan: every call that does not depend on another one runs at the same time."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from .. import _aws_errors
from .._self import userdata
from .._spot import api as spot_api
from . import api, keys, plan, problems, transformations
from .facts import Facts
from .regions import Home
from .summary import Found, Prices

if TYPE_CHECKING:
    from collections.abc import Iterable

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
}
SILENT = ("quota", "instance_profile")


class ReadError(Exception):
    """Calls that the plan cannot do without failed; ``lines`` says which and why, one line each."""

    def __init__(self, lines: list[str], errors: Iterable[api.ApiError] = ()) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.errors = list(errors)


def facts(clients: Clients, profile: Profile, experiment: str) -> Facts:
    """Read everything a plan is decided on.

    Raises:
        ReadError: when a call that the plan needs failed; all of them are named at once.
    """
    reads: Reads = {
        **_account_reads(clients),
        **_capacity_reads(clients, profile),
        **_access_reads(clients, profile, experiment),
        **_storage_reads(clients, profile, experiment),
        "key_file": partial(_key_file, profile, experiment),
    }
    answers, errors = api.gather(reads)
    found = _facts(clients.region, profile, answers, _notes(errors))
    found.instance_endpoint = userdata.instance_endpoint(os.environ)
    if problems.not_offered(profile["capacity"]["instance_types"], found.offered):
        found.region_types = _region_types(clients)
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


def _account_reads(clients: Clients) -> Reads:
    return {"identity": lambda: api.caller_identity(clients("sts"))}


def _capacity_reads(clients: Clients, profile: Profile) -> Reads:
    capacity = profile["capacity"]
    types = list(dict.fromkeys(capacity["instance_types"]))
    reads: Reads = {
        "image": partial(_image, clients, profile["image"]),
        "types": lambda: api.instance_types(clients("ec2"), types),
        "offered": lambda: api.offerings(clients("ec2"), types),
        "subnets": partial(_subnets, clients, capacity["subnet_ids"]),
        "spot_prices": lambda: api.spot_prices(clients("ec2"), types),
    }
    if capacity["zones"]:
        reads["zones"] = lambda: api.zone_names(clients("ec2"))
    for name in types:
        reads[f"on_demand {name}"] = partial(_on_demand, clients, name)
    for code in sorted({problems.quota_code(name, capacity["market"]) for name in types} - {""}):
        reads[f"quota {code}"] = partial(_quota, clients, code)
    return reads


def _access_reads(clients: Clients, profile: Profile, experiment: str) -> Reads:
    access = profile["access"]
    reads: Reads = {
        "key_pairs": lambda: api.key_pairs_by_name(clients("ec2"), plan.key_name(profile, experiment)),
    }
    if access["security_group_ids"]:
        reads["security_groups"] = lambda: api.security_groups_by_id(clients("ec2"), access["security_group_ids"])
    else:
        reads["own_groups"] = lambda: api.security_groups_by_name(clients("ec2"), plan.resource_name(experiment))
    if access["instance_profile"]:
        name = access["instance_profile"].rsplit("/", 1)[-1]
        reads["instance_profile"] = lambda: api.instance_profile_exists(clients("iam"), name)
    return reads


def _storage_reads(clients: Clients, profile: Profile, experiment: str) -> Reads:
    reads: Reads = {
        "instances": lambda: api.marked_instances(clients("ec2"), experiment),
        "spot_requests": lambda: api.marked_spot_requests(clients("ec2"), experiment),
        "fleets": partial(_fleets, clients, experiment),
        "own_volumes": lambda: api.marked_volumes(clients("ec2"), experiment),
        "launch_templates": partial(_launch_templates, clients, experiment),
    }
    ids = [volume["volume_id"] for volume in profile["volumes"] if volume["volume_id"]]
    if ids:
        reads["volumes_by_id"] = lambda: api.volumes_by_id(clients("ec2"), ids)
    snapshots = [volume["snapshot_id"] for volume in profile["volumes"] if volume["snapshot_id"]]
    if snapshots:
        reads["snapshots"] = lambda: api.snapshots_by_id(clients("ec2"), snapshots)
    return reads


def _image(clients: Clients, wanted: dict[str, Any]) -> Any:
    if wanted["id"]:
        return transformations.newest_image(api.images_by_id(clients("ec2"), wanted["id"]))
    if wanted["ssm_parameter"]:
        image_id = api.ssm_value(clients("ssm"), wanted["ssm_parameter"])
        return transformations.newest_image(api.images_by_id(clients("ec2"), image_id)) if image_id else None
    if wanted["name"]:
        return transformations.newest_image(api.images_by_name(clients("ec2"), wanted["name"], wanted["owner"]))
    return None


def _subnets(clients: Clients, ids: list[str]) -> Any:
    return api.subnets_by_id(clients("ec2"), ids) if ids else api.default_subnets(clients("ec2"))


def _on_demand(clients: Clients, name: str) -> float | None:
    return transformations.on_demand_price(api.on_demand_products(clients("pricing"), name, clients.region))


def _quota(clients: Clients, code: str) -> float:
    return api.quota(clients("service-quotas"), code)


def _launch_templates(clients: Clients, experiment: str) -> Any:
    return [
        {**template, "Data": api.launch_template_data(clients("ec2"), template["LaunchTemplateId"])}
        for template in api.marked_launch_templates(clients("ec2"), experiment)
    ]


def _fleets(clients: Clients, experiment: str) -> Any:
    tags = api.tagged_resources(clients("ec2"), experiment)
    ids = [tag["ResourceId"] for tag in tags if tag["ResourceType"] == "fleet"]
    return api.fleets_by_id(clients("ec2"), ids) if ids else []


def _key_file(profile: Profile, experiment: str) -> Any:
    path = keys.key_path(profile, experiment)
    return keys.read(path) if path else None


def _region_types(clients: Clients) -> list[str]:
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
    prices = {name.split()[1]: value for name, value in answers.items() if name.startswith("on_demand ")}
    return Facts(
        region=region,
        account=answers["identity"]["Account"],
        arn=answers["identity"]["Arn"],
        image=answers["image"],
        types=answers["types"],
        offered=answers["offered"],
        zones=answers.get("zones", []),
        subnets=answers["subnets"],
        spot_prices=transformations.price_table(answers.get("spot_prices", [])),
        on_demand={name: prices.get(name) for name in profile["capacity"]["instance_types"]},
        quotas={name.split()[1]: value for name, value in answers.items() if name.startswith("quota ")},
        key_pair=next(iter(answers["key_pairs"]), None),
        security_groups=answers.get("security_groups", []),
        own_groups=answers.get("own_groups", []),
        instance_profile=answers.get("instance_profile"),
        volumes_by_id=answers.get("volumes_by_id", []),
        own_volumes=answers["own_volumes"],
        snapshots=answers.get("snapshots", []),
        instances=answers["instances"],
        spot_requests=answers.get("spot_requests", []),
        fleets=answers.get("fleets", []),
        launch_templates=answers["launch_templates"],
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


def prices(clients: Clients, instances: list[Any]) -> tuple[Prices, list[str]]:
    """Prices of now for these instances (boto3), and notes on those that could not be had."""
    types = sorted({raw["InstanceType"] for raw in instances})
    reads: Reads = {f"on_demand {name}": partial(_on_demand, clients, name) for name in types}
    if types:
        reads["spot_prices"] = lambda: api.spot_prices(clients("ec2"), types)
    answers, errors = api.gather(reads)
    on_demand = {name.split()[1]: value for name, value in answers.items() if name.startswith("on_demand ")}
    return Prices(transformations.price_table(answers.get("spot_prices", [])), on_demand), _notes(errors)


def _ec2(clients: Clients, read: Callable[..., Any], experiment: str | None) -> Any:
    return read(clients("ec2"), experiment)


def _all(reads: Reads) -> dict[str, Any]:
    answers, errors = api.gather(reads)
    if errors:
        raise ReadError(failures(errors.values()), errors.values())
    return answers
