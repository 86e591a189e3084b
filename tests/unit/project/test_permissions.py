"""The controller's policy holds every call that the sources make, and nothing that is not limited."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.roles.iam import allows

ROOT = Path(__file__).resolve().parents[3]
EC2 = "arn:aws:ec2:us-east-1:1:"
OURS = {"tag": {"spot:experiment": "mnist"}}
THEIRS = {"tag": {"Name": "production"}}


def script() -> Any:
    spec = importlib.util.spec_from_file_location("permissions", ROOT / "scripts/permissions.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PERMISSIONS = script()
POLICY = json.loads(PERMISSIONS.POLICY.read_text())


def test_the_policy_is_made_from_the_sources_as_they_are() -> None:
    assert PERMISSIONS.POLICY.read_text() == PERMISSIONS.policy(), "stale: run `make docs`"


@pytest.mark.parametrize("name", sorted(PERMISSIONS.TABLES))
def test_the_tables_are_made_from_the_sources_as_they_are(name: str) -> None:
    page = (ROOT / name).read_text()
    assert page == PERMISSIONS.page(name), "stale: run `make docs`"
    assert page.count("| statement | may |") == len(PERMISSIONS.TABLES[name])


def test_iam_takes_a_policy_of_this_size() -> None:
    text = json.dumps(POLICY, separators=(",", ":"))
    assert len(text) <= 6144, "too long for a managed policy: `whole` in scripts/permissions.yml makes it shorter"


def test_calls_are_found_however_they_are_written() -> None:
    text = """
@calls("ec2:DescribeRegions")
def f(ec2, efs, client, events):
    ec2.create_volume(Size=1)
    self.s3.delete_objects(Bucket=b)
    pages(efs, "describe_file_systems", "FileSystems")
    ec2.get_paginator("describe_tags")
    _pages(client.describe_fleet_history, "HistoryRecords")
    events.tag_resource(ResourceARN=arn)
    needed.create_group()
    api.delete_volume(x)
"""
    assert PERMISSIONS.calls_of(text) == {
        "ec2:DescribeRegions",
        "ec2:CreateVolume",
        "s3:DeleteObject",
        "elasticfilesystem:DescribeFileSystems",
        "ec2:DescribeTags",
        "ec2:DescribeFleetHistory",
        "events:TagResource",
    }


def test_a_call_without_a_place_is_a_mistake() -> None:
    rules = yaml.safe_load(PERMISSIONS.RULES.read_text())
    with pytest.raises(SystemExit, match="no statement for iam:CreateUser"):
        PERMISSIONS.statements(rules, {"iam:CreateUser", "ec2:DescribeTags"})


def test_a_module_of_others_without_its_calls_is_a_mistake() -> None:
    rules = yaml.safe_load(PERMISSIONS.RULES.read_text())
    del rules["modules"]["amazon.aws.ec2_tag"]
    with pytest.raises(SystemExit, match=r"amazon\.aws\.ec2_tag"):
        PERMISSIONS.needed(rules)


def test_each_statement_is_needed() -> None:
    rules = yaml.safe_load(PERMISSIONS.RULES.read_text())
    assert [one["Sid"] for one in POLICY["Statement"]] == [rule["sid"] for rule in rules["statements"]]
    needed = PERMISSIONS.needed(rules)
    named = {action for rule in rules["statements"] for action in rule["actions"] if "*" not in action}
    assert named <= needed, "a right that no call needs"


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("ec2:DescribeInstances", "*", {}),
        ("ec2:DescribeFleetHistory", "*", {}),
        ("elasticfilesystem:DescribeMountTargets", "*", {}),
        ("ec2:RunInstances", f"{EC2}instance/*", {"request_tag": {"spot:experiment": "mnist"}}),
        ("ec2:RunInstances", f"{EC2}subnet/subnet-1", {}),
        ("ec2:CreateFleet", f"{EC2}fleet/*", {"request_tag": {"spot:experiment": "mnist"}}),
        ("ec2:CreateVolume", f"{EC2}volume/*", {"request_tag": {"Name": "data", "spot:volume": "data"}}),
        ("ec2:CreateTags", f"{EC2}volume/vol-1", {"ec2__CreateAction": "CreateVolume"}),
        ("ec2:CreateTags", f"{EC2}instance/i-1", OURS),
        ("ec2:TerminateInstances", f"{EC2}instance/i-1", OURS),
        ("ec2:DeleteVolume", f"{EC2}volume/vol-1", {"tag": {"spot:volume": "data"}}),
        ("ec2:RevokeSecurityGroupIngress", f"{EC2}security-group/sg-1", {"tag": {"spot:file-system": "team"}}),
        ("ec2:CreateNetworkInterface", f"{EC2}network-interface/*", {"aws__ViaAWSService": "true"}),
        (
            "iam:PassRole",
            "arn:aws:iam::1:role/experiments-spot-us-east-1",
            {"iam__PassedToService": "ec2.amazonaws.com"},
        ),
        ("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/ami", {}),
        ("s3:PutObject", "arn:aws:s3:::experiments-spot-1a2b3c4d/experiments/mnist/secrets.json", {}),
        ("sqs:CreateQueue", "arn:aws:sqs:us-east-1:1:experiments-spot", {}),
        ("sns:Publish", "arn:aws:sns:us-east-1:1:experiments-spot", {}),
    ],
)
def test_what_the_verbs_do_is_allowed(action: str, resource: str, context: dict[str, Any]) -> None:
    assert allows(POLICY, action, resource, **context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("ec2:RunInstances", f"{EC2}instance/*", {}),
        ("ec2:RunInstances", f"{EC2}instance/*", {"request_tag": {"Name": "x"}}),
        ("ec2:CreateVolume", f"{EC2}volume/*", {"request_tag": {"Name": "x"}}),
        ("ec2:TerminateInstances", f"{EC2}instance/i-1", THEIRS),
        ("ec2:TerminateInstances", f"{EC2}instance/i-1", {}),
        ("ec2:StopInstances", f"{EC2}instance/i-1", OURS),
        ("ec2:DeleteVolume", f"{EC2}volume/vol-1", THEIRS),
        ("ec2:CreateTags", f"{EC2}instance/i-1", {**THEIRS, "request_tag": {"spot:experiment": "mnist"}}),
        ("ec2:AuthorizeSecurityGroupIngress", f"{EC2}security-group/sg-1", THEIRS),
        ("ec2:DeleteSecurityGroup", f"{EC2}security-group/sg-1", {}),
        ("ec2:CreateNetworkInterface", f"{EC2}network-interface/*", {}),
        ("iam:PassRole", "arn:aws:iam::1:role/Administrator", {"iam__PassedToService": "ec2.amazonaws.com"}),
        (
            "iam:PassRole",
            "arn:aws:iam::1:role/experiments-spot-us-east-1",
            {"iam__PassedToService": "lambda.amazonaws.com"},
        ),
        ("iam:CreateRole", "arn:aws:iam::1:role/experiments-spot-us-east-1", {}),
        ("ssm:GetParameter", "arn:aws:ssm:us-east-1:1:parameter/password", {}),
        ("s3:GetObject", "arn:aws:s3:::payroll/2026", {}),
        ("s3:DeleteBucket", "arn:aws:s3:::experiments-spot-1a2b3c4d", {}),
        ("elasticfilesystem:DeleteFileSystem", "arn:aws:elasticfilesystem:us-east-1:1:file-system/fs-1", THEIRS),
        ("sqs:DeleteQueue", "arn:aws:sqs:us-east-1:1:orders", {}),
        ("sns:Publish", "arn:aws:sns:us-east-1:1:orders", {}),
    ],
)
def test_what_belongs_to_others_is_out_of_reach(action: str, resource: str, context: dict[str, Any]) -> None:
    assert not allows(POLICY, action, resource, **context)
