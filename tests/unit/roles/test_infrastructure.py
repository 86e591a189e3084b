"""The stack of the role infrastructure: linted, explained, and what its role may and may not do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from cfnlint.api import ManualArgs, lint

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting
from tests.unit.roles.iam import allows

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/infrastructure"
TEXT = (ROLE / "files/stack.yml").read_text()
STACK = yaml.safe_load(TEXT)
RESOURCES = STACK["Resources"]
EC2 = "arn:aws:ec2:us-east-1:1:"
OWN = {"tag": {"spot:experiment": "mnist"}}
OTHER = {"tag": {"spot:experiment": "cifar"}}
STACK_ID = "arn:aws:cloudformation:us-east-1:1:stack/mine/1a2b3c4d-1"
HERE = {"ec2__Region": "us-east-1", "ec2__SourceInstanceARN": f"{EC2}instance/i-1"}


@pytest.mark.slow
def test_the_template_has_no_faults() -> None:
    assert [str(fault) for fault in lint(TEXT, config=ManualArgs(regions=["us-east-1", "eu-west-1"]))] == []


def test_the_template_is_small_enough_to_be_sent() -> None:
    assert len(TEXT.encode()) <= 51200  # Source: CloudFormation quotas, template body in a request


def filled(value: Any, experiment: str) -> Any:
    """A part of the template with its functions carried out."""
    known = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "1"}
    known |= {"Experiment": experiment, "Name": "results", "AWS::StackName": "mine", "AWS::StackId": STACK_ID}
    if isinstance(value, list):
        return [filled(one, experiment) for one in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return known[value["Ref"]]
    if "Fn::GetAtt" in value:
        return f"arn:aws:x:us-east-1:1:{value['Fn::GetAtt'][0]}"
    if "Fn::Sub" in value:
        text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]
        return re.sub(r"\$\{([\w:]+)\}", lambda found: known[found[1]], text)
    return {key: filled(one, experiment) for key, one in value.items()}


def policies() -> list[dict[str, Any]]:
    """The documents of all policies of the role, as the template has them."""
    inline = [one["PolicyDocument"] for one in RESOURCES["Role"]["Properties"]["Policies"]]
    return [*inline, RESOURCES["CodePolicy"]["Properties"]["PolicyDocument"]]


def may(action: str, resource: str, experiment: str = "mnist", **context: Any) -> bool:
    """Whether an instance may do it, in the stack of an experiment."""
    statements = [one for document in policies() for one in document["Statement"]]
    return allows(filled({"Statement": statements}, experiment), action, resource, **(HERE | context))


def test_each_permission_has_a_reason_and_each_reason_a_permission() -> None:
    for resource in (RESOURCES["Role"], RESOURCES["CodePolicy"], RESOURCES["Remover"]):
        properties = resource["Properties"]
        documents = [one["PolicyDocument"] for one in properties.get("Policies", [properties])]
        sids = [one["Sid"] for document in documents for one in document["Statement"]]
        assert sids == list(resource["Metadata"]["Reasons"])


def test_no_permission_is_for_all_of_a_service_or_for_everything_that_could_be_named() -> None:
    for one in (one for document in policies() for one in document["Statement"]):
        assert not [action for action in json.dumps(one["Action"]).split() if "*" in action]
        if one["Resource"] == "*":
            assert one["Action"] in ("ec2:DescribeVolumes", "ec2:DescribeTags", "ecr:GetAuthorizationToken")


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("ec2:DescribeVolumes", "*", {}),
        ("ec2:DescribeTags", "*", {}),
        ("ec2:AttachVolume", f"{EC2}volume/vol-1", OWN),
        ("ec2:DetachVolume", f"{EC2}volume/vol-1", OWN),
        ("ec2:DetachVolume", f"{EC2}instance/i-1", {**OWN, "ec2__InstanceId": "i-1"}),
        ("ec2:DeleteFleets", f"{EC2}fleet/fleet-1", OWN),
        ("s3:GetObject", "arn:aws:s3:::results/runs/mnist/LATEST", {}),
        ("s3:PutObject", "arn:aws:s3:::results/runs/mnist/rank-1/state/a", {}),
        ("s3:DeleteObject", "arn:aws:s3:::results/runs/mnist/checkpoints/a", {}),
        ("s3:AbortMultipartUpload", "arn:aws:s3:::results/runs/mnist/state/a", {}),
        ("s3:ListBucket", "arn:aws:s3:::results", {"s3__prefix": "runs/mnist/"}),
        ("s3:GetObject", "arn:aws:s3:::results/experiments/mnist/bundle.tar.gz", {}),
        ("s3:PutObject", "arn:aws:s3:::results/experiments/mnist/state.json", {}),
        ("ecr:GetAuthorizationToken", "*", {}),
        ("ecr:BatchGetImage", "arn:aws:x:us-east-1:1:Images", {}),
        ("codecommit:GitPull", "arn:aws:x:us-east-1:1:Code", {}),
    ],
)
def test_what_instances_call_is_allowed(action: str, resource: str, context: dict[str, Any]) -> None:
    assert may(action, resource, **context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("ec2:DescribeVolumes", "*", {"ec2__Region": "eu-west-1"}),
        ("ec2:AttachVolume", f"{EC2}volume/vol-1", OTHER),
        ("ec2:DetachVolume", f"{EC2}volume/vol-1", {}),
        ("ec2:DetachVolume", f"{EC2}instance/i-2", {**OWN, "ec2__InstanceId": "i-2"}),
        ("ec2:DetachVolume", f"{EC2}instance/i-1", {**OTHER, "ec2__InstanceId": "i-1"}),
        ("ec2:DeleteVolume", f"{EC2}volume/vol-1", OWN),
        ("ec2:DeleteFleets", f"{EC2}fleet/fleet-1", OTHER),
        ("ec2:RunInstances", f"{EC2}instance/*", OWN),
        ("ec2:TerminateInstances", f"{EC2}instance/i-1", OWN),
        ("ec2:CreateTags", f"{EC2}volume/vol-1", OWN),
        ("iam:PassRole", "arn:aws:iam::1:role/experiments-spot-us-east-1", {}),
        ("s3:GetObject", "arn:aws:s3:::results/runs/cifar/LATEST", {}),
        ("s3:GetObject", "arn:aws:s3:::results/runs/mnist2/LATEST", {}),
        ("s3:GetObject", "arn:aws:s3:::other/runs/mnist/LATEST", {}),
        ("s3:ListBucket", "arn:aws:s3:::results", {"s3__prefix": "runs/cifar/"}),
        ("s3:ListBucket", "arn:aws:s3:::results", {}),
        ("s3:PutObject", "arn:aws:s3:::results/experiments/mnist/bundle.tar.gz", {}),
        ("s3:DeleteBucket", "arn:aws:s3:::results", {}),
        ("ecr:PutImage", "arn:aws:x:us-east-1:1:Images", {}),
        ("ecr:BatchGetImage", "arn:aws:x:us-east-1:1:Other", {}),
        ("codecommit:GitPush", "arn:aws:x:us-east-1:1:Code", {}),
    ],
)
def test_nothing_else_is_allowed(action: str, resource: str, context: dict[str, Any]) -> None:
    assert not may(action, resource, **context)


def test_a_stack_for_all_experiments_still_needs_the_tag() -> None:
    assert may("ec2:DetachVolume", f"{EC2}volume/vol-1", "*", **OTHER)
    assert not may("ec2:DetachVolume", f"{EC2}volume/vol-1", "*", tag={"Name": "production"})


def test_the_documented_policies_of_instances_are_covered() -> None:
    for page in ("self", "results"):
        (block,) = re.findall(r"```json\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)
        for one in json.loads(block)["Statement"]:
            wanted = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            assert set(wanted) <= {action for document in policies() for each in document["Statement"]
                                   for action in (each["Action"] if isinstance(each["Action"], list) else [each["Action"]])}  # fmt: skip


REMOVER = filled(RESOURCES["Remover"]["Properties"]["Policies"][0]["PolicyDocument"], "mnist")
IAM = "arn:aws:iam::1:"
CALLED = {"aws__CalledViaFirst": "cloudformation.amazonaws.com"}
MADE = {"tag": {"aws:cloudformation:stack-id": STACK_ID}}
REMOVED = [
    ("ec2:DescribeSecurityGroups", "*", {}),
    ("ec2:DeleteSecurityGroup", f"{EC2}security-group/sg-1", MADE),
    ("iam:RemoveRoleFromInstanceProfile", f"{IAM}instance-profile/mine-us-east-1", {}),
    ("iam:DeleteInstanceProfile", f"{IAM}instance-profile/mine-us-east-1", {}),
    ("iam:DeleteRolePolicy", f"{IAM}role/mine-us-east-1", {}),
    ("iam:DeleteRole", f"{IAM}role/mine-us-east-1", {}),
    ("scheduler:DeleteSchedule", "arn:aws:scheduler:us-east-1:1:schedule/default/mine", {}),
    ("events:RemoveTargets", "arn:aws:events:us-east-1:1:rule/mine-events", {}),
    ("events:DeleteRule", "arn:aws:events:us-east-1:1:rule/mine-events", {}),
    ("sqs:SetQueueAttributes", "arn:aws:sqs:us-east-1:1:mine-events", {}),
    ("sqs:DeleteQueue", "arn:aws:sqs:us-east-1:1:mine-events", {}),
    ("budgets:ModifyBudget", "arn:aws:budgets::1:budget/mine-us-east-1", {}),
]


@pytest.mark.parametrize(("action", "resource", "context"), REMOVED)
def test_the_schedule_may_remove_what_the_stack_made_but_only_by_cloudformation(
    action: str, resource: str, context: dict[str, Any]
) -> None:
    assert allows(REMOVER, action, resource, **(HERE | CALLED | context))
    assert not allows(REMOVER, action, resource, **(HERE | context))
    assert not allows(REMOVER, action, resource.replace("mine", "other"), **(HERE | CALLED)) or resource == "*"


def test_the_schedule_may_delete_this_one_stack_and_nothing_that_holds_data() -> None:
    assert allows(REMOVER, "cloudformation:DeleteStack", STACK_ID)
    for action, resource, context in [
        ("cloudformation:DeleteStack", STACK_ID.replace("1a2b", "2b3c"), {}),
        ("cloudformation:UpdateStack", STACK_ID, {}),
        ("ec2:DeleteSecurityGroup", f"{EC2}security-group/sg-1", {"tag": {"aws:cloudformation:stack-id": "other"}}),
        ("ec2:TerminateInstances", f"{EC2}instance/i-1", MADE),
        ("iam:PassRole", f"{IAM}role/mine-us-east-1", {}),
        ("iam:PutRolePolicy", f"{IAM}role/mine-us-east-1", {}),
        ("s3:DeleteBucket", "arn:aws:s3:::mine-1a2b3c4d", {}),
        ("s3:DeleteObject", "arn:aws:s3:::mine-1a2b3c4d/runs/mnist/LATEST", {}),
        ("ecr:DeleteRepository", "arn:aws:ecr:us-east-1:1:repository/mine-1a2b3c4d", {}),
        ("codecommit:DeleteRepository", "arn:aws:codecommit:us-east-1:1:mine-1a2b3c4d", {}),
    ]:
        assert not allows(REMOVER, action, resource, **(HERE | CALLED | context)), action
    (trust,) = filled(RESOURCES["Remover"]["Properties"]["AssumeRolePolicyDocument"], "mnist")["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "1",
        "aws:SourceArn": "arn:aws:scheduler:us-east-1:1:schedule-group/default",
    }


def test_the_schedule_is_there_only_if_asked_for_and_is_the_last_to_go() -> None:
    for name in ("Remover", "Schedule"):
        assert RESOURCES[name]["Condition"] == "RemovesItself"
    assert RESOURCES["Remover"]["DeletionPolicy"] == "Retain"
    group, schedule = RESOURCES["SecurityGroup"], RESOURCES["Schedule"]["Properties"]
    condition, with_it, _without = group["Properties"]["Tags"]["Fn::If"]
    assert condition == "RemovesItself" and {"Ref": "Schedule"} in [one["Value"] for one in with_it]
    assert group["DependsOn"] == "Profile"
    assert filled(schedule["Target"], "mnist")["Arn"] == "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack"
    assert json.loads(filled(schedule["Target"], "mnist")["Input"]) == {"StackName": STACK_ID}
    assert (schedule["StartDate"], schedule["FlexibleTimeWindow"]) == ({"Ref": "RemoveAt"}, {"Mode": "OFF"})


def test_each_resource_that_goes_with_the_stack_can_be_removed_by_the_schedule() -> None:
    goes = {name for name, one in RESOURCES.items() if one.get("DeletionPolicy") != "Retain"}
    # Policies go with the role and the queue that have them.
    kinds = {"Role", "Profile", "SecurityGroup", "Queue", "Rule", "Budget", "Schedule"}
    assert goes == kinds | {"CodePolicy", "QueuePolicy"}


def test_the_bucket_is_closed_encrypted_and_kept() -> None:
    bucket, policy = RESOURCES["Bucket"], RESOURCES["BucketPolicy"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == policy["DeletionPolicy"] == "Retain"
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert RESOURCES["Images"]["DeletionPolicy"] == RESOURCES["Code"]["DeletionPolicy"] == "Retain"


def test_one_port_is_open_for_one_network() -> None:
    (rule,) = RESOURCES["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == (22, 22, {"Ref": "SSHLocation"})


def test_events_are_those_of_events_yml() -> None:
    other = yaml.safe_load((ROOT / "roles/events/vars/main.yml").read_text())
    defaults = yaml.safe_load((ROOT / "roles/events/defaults/main.yml").read_text())
    assert RESOURCES["Rule"]["Properties"]["EventPattern"] == other["__events_pattern"]
    assert RESOURCES["Queue"]["Properties"]["MessageRetentionPeriod"] == defaults["events_retention"]
    (mine,) = RESOURCES["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (theirs,) = other["__events_policy"]["Statement"]
    assert {key: mine[key] for key in ("Sid", "Effect", "Principal", "Action")} == {
        key: theirs[key] for key in ("Sid", "Effect", "Principal", "Action")
    }


def test_the_role_gives_all_parameters_and_the_template_uses_all() -> None:
    given = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__infrastructure_parameters"]
    assert list(given) == list(STACK["Parameters"])


def test_what_is_kept_is_told_with_its_costs() -> None:
    kept = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__infrastructure_kept"]
    retained = {name for name, one in RESOURCES.items() if one.get("DeletionPolicy") == "Retain"}
    assert set(kept) == retained - {"BucketPolicy", "Remover"}  # told with its bucket; removed by the role itself


def test_the_printed_profile_is_right(tmp_path: Path) -> None:
    outputs = {
        "InstanceTypes": "g5.xlarge,g6.xlarge", "Timeout": "60", "InstanceProfile": "experiments-spot-us-east-1",
        "KeyName": "my: key", "SecurityGroupId": "sg-0123456789abcdef0", "BucketName": "experiments-spot-1a2b3c4d",
        "ImagesUri": "1.dkr.ecr.us-east-1.amazonaws.com/x", "GitRemote": "https://x", "QueueName": "x-events",
        "RemoveAt": "2026-11-27T20:00:00Z",
    }  # fmt: skip
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters |= {"split": str.split, "to_json": json.dumps}
    text = environment.from_string((ROLE / "templates/profile.txt.j2").read_text()).render(
        __infrastructure_made={"stack_outputs": outputs}, infrastructure_name="x"
    )
    profile = text.split("---\n")[1].split("...\n")[0]
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "id").chmod(0o600)
    profile = profile.replace("access:\n", "access:\n  private_key_file: id\n")
    (tmp_path / "p.yml").write_text(f"extends: g5\n{profile}job: {{image: a, command: b}}\n")
    setting = Setting("", "", lambda: "us-east-1", str(tmp_path), str(tmp_path))
    dirs = [str(tmp_path), str(ROOT / "profiles")]
    found = resolve(Request("p", dirs, setting, {}, lambda text, _variables: text))[1].profile
    assert found["access"]["instance_profile"] == "experiments-spot-us-east-1"
    assert (found["capacity"]["time_limit"], found["access"]["key_name"]) == (3600, "my: key")
    assert set(outputs) == set(STACK["Outputs"])
