"""CloudFormation in the lab: what counts as a change. Source: CloudFormation API UpdateStack, CreateChangeSet."""

from __future__ import annotations

import json
import time
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


SCHEDULED = json.dumps(
    {
        "Parameters": {"At": {"Type": "String", "Default": ""}},
        "Conditions": {"Ends": {"Fn::Not": [{"Fn::Equals": [{"Ref": "At"}, ""]}]}},
        "Resources": {
            "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "lab"}},
            "Role": {
                "Type": "AWS::IAM::Role",
                "Condition": "Ends",
                "DeletionPolicy": "Retain",
                "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
            },
            "Schedule": {
                "Type": "AWS::Scheduler::Schedule",
                "Condition": "Ends",
                "Properties": {
                    "Name": {"Ref": "AWS::StackName"},
                    "ScheduleExpression": "rate(1 hours)",
                    "StartDate": {"Ref": "At"},
                    "FlexibleTimeWindow": {"Mode": "OFF"},
                    "Target": {
                        "Arn": "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack",
                        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                        "Input": {"Fn::Sub": '{"StackName": "${AWS::StackId}"}'},
                    },
                },
            },
        },
    }
)


def at(seconds: float) -> dict[str, Any]:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds)) if seconds else ""
    return {
        "StackName": "s",
        "TemplateBody": SCHEDULED,
        "Parameters": [{"ParameterKey": "At", "ParameterValue": when}],
    }


def roles(client: Any) -> list[str]:
    return [one["RoleName"] for one in client("iam").list_roles()["Roles"] if one["RoleName"].startswith("s-Role")]


def test_a_condition_that_no_longer_holds_removes_its_resources_or_retains_them(stacks: Any, client: Any) -> None:
    stacks.create_stack(**at(0))
    assert client("scheduler").list_schedules()["Schedules"] == []
    made = stacks.create_change_set(ChangeSetName="more", **at(3600))
    changes = stacks.describe_change_set(ChangeSetName=made["Id"])["Changes"]
    assert {(one["ResourceChange"]["Action"], one["ResourceChange"]["LogicalResourceId"]) for one in changes} == {
        ("Add", "Role"),
        ("Add", "Schedule"),
    }
    stacks.update_stack(**at(3600))
    (role,) = roles(client)
    found = client("scheduler").get_schedule(Name="s")
    assert found["Target"]["RoleArn"].endswith(f":role/{role}")
    assert 3590 < found["StartDate"].timestamp() - time.time() <= 3600

    stacks.update_stack(**at(0))
    assert client("scheduler").list_schedules()["Schedules"] == []
    assert roles(client) == [role]
    listed = stacks.list_stack_resources(StackName="s")["StackResourceSummaries"]
    assert {one["LogicalResourceId"] for one in listed} - {""} == {"Group"}


@pytest.mark.slow
def test_a_schedule_that_is_due_removes_its_stack(stacks: Any, client: Any) -> None:
    stacks.create_stack(**at(2))
    assert len(stacks.describe_stacks()["Stacks"]) == 1
    time.sleep(2.1)
    assert stacks.describe_stacks()["Stacks"] == []
    assert client("scheduler").list_schedules()["Schedules"] == []
    assert len(roles(client)) == 1


def test_a_stack_whose_security_group_is_in_use_stays(stacks: Any, client: Any, ami: str) -> None:
    stacks.create_stack(**at(3600))
    (found,) = stacks.list_stack_resources(StackName="s")["StackResourceSummaries"][:1]
    client("ec2").run_instances(
        ImageId=ami, InstanceType="t3.large", MinCount=1, MaxCount=1, SecurityGroupIds=[found["PhysicalResourceId"]]
    )
    stacks.delete_stack(StackName="s")
    (stack,) = stacks.describe_stacks(StackName="s")["Stacks"]
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert client("scheduler").get_schedule(Name="s")
