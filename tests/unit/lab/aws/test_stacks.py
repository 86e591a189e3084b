"""CloudFormation in the lab: what counts as a change. Source: CloudFormation API UpdateStack, CreateChangeSet."""

from __future__ import annotations

import json
from typing import Any

import pytest

TEMPLATE = json.dumps(
    {
        "Parameters": {"Days": {"Type": "Number", "Default": 3}, "Text": {"Type": "String", "Default": ""}},
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": {"Ref": "Days"}}},
            "Images": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "lab"}},
        },
    }
)


@pytest.fixture
def stacks(client: Any) -> Any:
    return client("cloudformation")


def given(days: int) -> dict[str, Any]:
    parameters = [{"ParameterKey": "Days", "ParameterValue": str(days)}]
    return {"StackName": "s", "TemplateBody": TEMPLATE, "Parameters": parameters}


def test_an_update_with_the_same_numbers_is_none(stacks: Any, refused: Any) -> None:
    stacks.create_stack(**given(3))
    with refused("ValidationError", text="No updates are to be performed."):
        stacks.update_stack(**given(3))
    stacks.update_stack(**given(4))
    (stack,) = stacks.describe_stacks(StackName="s")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"


def test_a_change_set_is_for_the_stack_that_exists(stacks: Any) -> None:
    stacks.create_stack(**given(3))
    made = stacks.create_change_set(ChangeSetName="more", **given(4))
    found = stacks.describe_change_set(ChangeSetName=made["Id"])
    assert found["Status"] == "CREATE_COMPLETE"
    assert [one["ResourceChange"]["LogicalResourceId"] for one in found["Changes"]] == ["Queue"]
    assert len(stacks.describe_stacks()["Stacks"]) == 1


def test_a_change_set_without_changes_fails(stacks: Any) -> None:
    stacks.create_stack(**given(3))
    made = stacks.create_change_set(ChangeSetName="same", **given(3))
    found = stacks.describe_change_set(ChangeSetName=made["Id"])
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in found["StatusReason"]


def test_an_empty_account_has_no_stacks(stacks: Any, client: Any) -> None:
    assert stacks.describe_stacks()["Stacks"] == []
    assert client("ecr").describe_repositories()["repositories"] == []
