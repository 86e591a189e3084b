# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The AWS calls of the module event_rule: one small function a call, no decisions.

Note that this module util is private to the collection and may change at any time.

As in ``_experiment/api.py``, whose helpers it uses, every function raises ``ApiError``. All rules are of the default
bus, the only one that gets the events of AWS services.
"""

from __future__ import annotations

import contextlib
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    from botocore.exceptions import ClientError

from .. import _aws_errors
from .._experiment.api import calls, pages

Client = Any
Resource = dict[str, Any]


@calls("events:DescribeRule")
def rule(events: Client, name: str) -> Resource | None:
    """One rule, None when there is none. Source: EventBridge API DescribeRule."""
    try:
        found: Resource = events.describe_rule(Name=name)
    except ClientError as error:
        if _aws_errors.error_code(error) != "ResourceNotFoundException":
            raise
        return None
    return found


@calls("events:ListTargetsByRule")
def targets(events: Client, name: str) -> list[Resource]:
    """The targets of a rule. Source: EventBridge API Target."""
    return pages(events, "list_targets_by_rule", "Targets", Rule=name)


@calls("events:ListTagsForResource")
def tags(events: Client, arn: str) -> dict[str, str]:
    """The tags of a rule. Source: EventBridge API ListTagsForResource."""
    return {tag["Key"]: tag["Value"] for tag in events.list_tags_for_resource(ResourceARN=arn)["Tags"]}


@calls("events:PutRule")
def put_rule(events: Client, request: Resource) -> str:
    """Make a rule or replace its properties, and return its ARN. Source: EventBridge API PutRule."""
    return str(events.put_rule(**request)["RuleArn"])


@calls("events:DeleteRule")
def delete_rule(events: Client, name: str) -> None:
    """Delete a rule without targets; no error when there is none. Source: EventBridge API DeleteRule."""
    events.delete_rule(Name=name)


@calls("events:PutTargets")
def put_targets(events: Client, name: str, wanted: list[Resource]) -> None:
    """Add targets, or replace those of the same id. Source: EventBridge API PutTargets."""
    _all_done(events.put_targets(Rule=name, Targets=wanted), "PutTargets")


@calls("events:RemoveTargets")
def remove_targets(events: Client, name: str, ids: list[str]) -> None:
    """Remove targets. Source: EventBridge API RemoveTargets."""
    _all_done(events.remove_targets(Rule=name, Ids=ids), "RemoveTargets")


@calls("events:TagResource")
def tag(events: Client, arn: str, wanted: dict[str, str]) -> None:
    """Set tags. Source: EventBridge API TagResource."""
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": key, "Value": wanted[key]} for key in sorted(wanted)])


@calls("events:UntagResource")
def untag(events: Client, arn: str, keys: list[str]) -> None:
    """Remove tags. Source: EventBridge API UntagResource."""
    events.untag_resource(ResourceARN=arn, TagKeys=keys)


def _all_done(answer: Resource, operation: str) -> None:
    """Turn a failure inside of a good answer into an error. Source: EventBridge API, FailedEntries."""
    for entry in answer.get("FailedEntries") or []:
        message = f"target {entry.get('TargetId')}: {entry.get('ErrorMessage', '')}"
        raise ClientError({"Error": {"Code": entry.get("ErrorCode", ""), "Message": message}}, operation)
