# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One small function per API call; no decisions here.

Retries belong to the clients: reads repeat inside botocore, CreateFleet is sent once per call (see ``connect``),
because botocore would repeat an InsufficientInstanceCapacity (HTTP 500) in a pool that has nothing to give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

try:
    import botocore.config
    import botocore.exceptions
except ImportError:  # The module tells: AnsibleAWSModule checks for boto3.
    pass

from ansible_collections.amazon.aws.plugins.module_utils.botocore import (
    get_aws_connection_info,
    is_boto3_error_code,
)
from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list
from ansible_collections.amazon.aws.plugins.module_utils.transformation import ansible_dict_to_boto3_filter_list

from .._experiment import sdk
from .errors import AnsibleFleetError, FleetErrorHandler

READ_ATTEMPTS = 10
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
# Source: EC2 API DeleteFleets: so many fleets in a single request.
DELETE_INSTANT, DELETE_OTHERS = 25, 100
# Source: EC2 API, filters take 200 values.
FILTER_VALUES = 200
TEMPLATE_EXISTS = ["InvalidLaunchTemplateName.AlreadyExistsException", "InvalidLaunchTemplateName.AlreadyExists"]
# Not documented for DescribeFleets; this is the number of results of one page.
DESCRIBE_CHUNK = 100


def connect(module: Any, *, attempts: int, region: str = "") -> Any:
    """Return an EC2 client for the connection options of a module.

    Args:
        module: An AnsibleAWSModule.
        attempts: How often botocore sends a request in total.
        region: Another region than that of the options.

    Raises:
        AnsibleFleetError: The profile does not exist or no region is set.
    """
    config = botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
    )
    configured, endpoint, options = get_aws_connection_info(module)
    given = options.pop("aws_config", None)
    try:
        return sdk.session(options.pop("profile_name", None)).client(
            "ec2",
            region_name=region or configured,
            endpoint_url=endpoint,
            config=config.merge(given) if given else config,
            **options,
        )
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        raise AnsibleFleetError(message="connect to AWS", exception=error) from error


@FleetErrorHandler.common_error_handler("create the fleet")
def create_fleet(client: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Call CreateFleet once.

    Args:
        client: A client that does not retry.
        request: The parameters of the call, ClientToken included.

    Returns:
        The answer, ``ResponseMetadata`` included.
    """
    return client.create_fleet(**request)


@FleetErrorHandler.common_error_handler("describe the instances")
def describe_instances(client: Any, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the instances that match filters such as ``{"tag:spot:experiment": "x"}``.

    An id that is not visible yet is left out of the answer (a filter, unlike InstanceIds, does not fail).
    """
    paginator = client.get_paginator("describe_instances")
    pages = paginator.paginate(Filters=ansible_dict_to_boto3_filter_list(dict(filters))).build_full_result()
    return [instance for reservation in pages.get("Reservations", []) for instance in reservation["Instances"]]


def instances_with(client: Any, name: str, values: Iterable[str]) -> list[dict[str, Any]]:
    """Return the instances with one of any number of values of a filter such as ``instance-id``."""
    chunks = _chunks(values, FILTER_VALUES)
    return [instance for chunk in chunks for instance in describe_instances(client, {name: chunk})]


@FleetErrorHandler.list_error_handler("describe the fleets", default_value=[])
def describe_fleets(client: Any, fleet_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return fleets by id; an empty list when one of the ids does not exist.

    The ids are needed: without them DescribeFleets leaves out fleets of type instant.
    """
    paginator = client.get_paginator("describe_fleets")
    pages = [paginator.paginate(FleetIds=chunk).build_full_result() for chunk in _chunks(fleet_ids, DESCRIBE_CHUNK)]
    return [fleet for page in pages for fleet in page.get("Fleets", [])]


def known_fleets(client: Any, fleet_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return those of the fleets that exist."""
    named = list(fleet_ids)
    found = describe_fleets(client, named)
    # One by one only when needed: one unknown id makes AWS refuse the whole list.
    return found or [fleet for fleet_id in named for fleet in describe_fleets(client, [fleet_id])]


@FleetErrorHandler.common_error_handler("describe the fleets")
def fleets_in_state(client: Any, states: Iterable[str]) -> list[dict[str, Any]]:
    """Return the fleets of types request and maintain in some states, written as AWS's filter wants them."""
    paginator = client.get_paginator("describe_fleets")
    filters = ansible_dict_to_boto3_filter_list({"fleet-state": list(states)})
    return paginator.paginate(Filters=filters).build_full_result().get("Fleets", [])


@FleetErrorHandler.common_error_handler("modify the fleet")
def modify_fleet(client: Any, fleet_id: str, changes: Mapping[str, Any]) -> None:
    """Change the capacity, the policy or the pools of a fleet of type maintain."""
    client.modify_fleet(FleetId=fleet_id, **changes)


@FleetErrorHandler.list_error_handler("describe the instances of the fleet", default_value=[])
def fleet_instances(client: Any, fleet_id: str) -> list[dict[str, Any]]:
    """Return what a fleet of type request or maintain counts; an empty list when it is not visible."""
    return _pages(client.describe_fleet_instances, "ActiveInstances", FleetId=fleet_id)


@FleetErrorHandler.list_error_handler("describe the history of the fleet", default_value=[])
def fleet_history(client: Any, fleet_id: str, since: datetime) -> list[dict[str, Any]]:
    """Return the events of a fleet of type request or maintain; an empty list when it is not visible."""
    return _pages(client.describe_fleet_history, "HistoryRecords", FleetId=fleet_id, StartTime=since)


def _pages(call: Callable[..., Any], key: str, **params: Any) -> list[dict[str, Any]]:
    """Return all pages of a call that botocore has no paginator for; an empty page need not be the last."""
    found: list[dict[str, Any]] = []
    while True:
        answer = call(**params)
        found += answer.get(key) or []
        if not answer.get("NextToken"):
            return found
        params["NextToken"] = answer["NextToken"]


def _chunks(values: Iterable[str], size: int) -> list[list[str]]:
    every = list(values)
    return [every[start : start + size] for start in range(0, len(every), size)]


@FleetErrorHandler.common_error_handler("describe the tags of the fleets")
def describe_fleet_tags(client: Any, key: str, value: str | None) -> list[str]:
    """Return the ids of fleets that have a tag, with any value for None (DescribeFleets has no filter for tags)."""
    paginator = client.get_paginator("describe_tags")
    wanted = {"resource-type": "fleet", "key": key, **({} if value is None else {"value": value})}
    pages = paginator.paginate(Filters=ansible_dict_to_boto3_filter_list(wanted)).build_full_result()
    return [tag["ResourceId"] for tag in pages.get("Tags", [])]


@FleetErrorHandler.common_error_handler("tag the instances")
def create_tags(client: Any, resource_ids: Iterable[str], tags: Mapping[str, str]) -> None:
    """Write the same tags of up to 1000 resources, of all or of none; those that are there already do no harm."""
    client.create_tags(Resources=list(resource_ids), Tags=ansible_dict_to_boto3_tag_list(dict(tags)))


@FleetErrorHandler.common_error_handler("make the launch template")
def create_launch_template(client: Any, name: str, data: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    """Make a launch template; False when there is one of this name already.

    Source: EC2 API CreateLaunchTemplate, error InvalidLaunchTemplateName.AlreadyExistsException.
    """
    specification = {"ResourceType": "launch-template", "Tags": ansible_dict_to_boto3_tag_list(dict(tags))}
    try:
        client.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData=dict(data), TagSpecifications=[specification]
        )
    except is_boto3_error_code(TEMPLATE_EXISTS):
        return False
    return True


@FleetErrorHandler.common_error_handler("terminate the instances")
def terminate_instances(client: Any, instance_ids: Iterable[str]) -> None:
    """Terminate instances; those that already are do no harm."""
    client.terminate_instances(InstanceIds=list(instance_ids))


@FleetErrorHandler.common_error_handler("delete the fleets")
def delete_fleets(
    client: Any, fleet_ids: Iterable[str], *, instant: bool, terminate: bool = True
) -> list[dict[str, Any]]:
    """Delete fleets of one kind.

    Args:
        client: An EC2 client.
        fleet_ids: The fleets.
        instant: They are of type instant; AWS deletes these only with their instances.
        terminate: Whether their instances end with them.

    Returns:
        What could not be deleted: ``[{"FleetId": …, "Error": {"Code": …, "Message": …}}]``.
    """
    failed: list[dict[str, Any]] = []
    for chunk in _chunks(fleet_ids, DELETE_INSTANT if instant else DELETE_OTHERS):
        answer = client.delete_fleets(FleetIds=chunk, TerminateInstances=terminate)
        failed += answer.get("UnsuccessfulFleetDeletions", [])
    return failed
