"""infrastructure.yml typed against the API of the lab: made once, changed, refused, removed; AWS is asked what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from lab.aws.config import ACCESS_KEY, SECRET_KEY
from tests.unit.plugins.modules.fleet_lab import REGION, Api, serve

# Resources that moto has not are left out, with a warning; lab/aws/stacks.py.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse AWS::")]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    yield from serve()


@pytest.fixture
def aws(api: Api) -> Callable[[str], Any]:
    api.control("reset")
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return lambda name: boto3.client(name, region_name=REGION, endpoint_url=api.url, **keys)  # type: ignore[call-overload]


@pytest.fixture
def play(api: Api, tmp_path: Path) -> Callable[..., str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_", "EXPERIMENTS_"))
    }
    env = clean | {
        "AWS_ENDPOINT_URL": api.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_NOCOLOR": "1", "HOME": str(tmp_path), "EXPERIMENTS_SPOT_SSH_CIDR": "203.0.113.7/32",
    }  # fmt: skip

    def run(*words: str, fails: bool = False, verb: str = "infrastructure") -> str:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / f"{verb}.yml")]
        given = [part if part.startswith("-") else f"-e{part}" for part in words]
        done = subprocess.run([*command, *given], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        assert "Traceback (most recent call last)" not in text, text
        assert (done.returncode != 0) == fails, text
        return text

    return run


def stacks(aws: Callable[[str], Any]) -> list[str]:
    return [stack["StackName"] for stack in aws("cloudformation").describe_stacks()["Stacks"]]


def outputs(aws: Callable[[str], Any], name: str = "experiments-spot") -> dict[str, str]:
    (stack,) = aws("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def test_all_mistakes_are_told_at_once_and_nothing_is_made(aws: Callable[[str], Any], play: Callable[..., str]) -> None:
    text = play(
        "stack=Mine_", "experiment=Mnist", "ssh_location=300.1.1.1/32", "vpc_id=vpc", "instance_types=g5.xlarge,huge",
        "keep_versions=0", "timeout=1", "budget=5", "results_bucket=nobody-has-this", "key_name=none", "remove_after=-1",
        fails=True,
    )  # fmt: skip
    for option in ("stack", "experiment", "ssh_location", "vpc_id", "instance_types", "keep_versions", "timeout",
                   "budget_email", "results_bucket", "key_name", "remove_after"):  # fmt: skip
        assert f"{option}: " in text
    assert stacks(aws) == []
    text = play("timeout=soon", "remove_after=8h", fails=True)
    assert all(f"'{given}'" in text for given in ("soon", "8h")) and text.count("unable to convert to int") >= 2
    text = play("remove_after=60", "ssh_location=none", fails=True)
    for reason in (
        "60 is not a number of minutes from 1440 (timeout",
        "give -e experiment=NAME",
        "ssh_location cannot be none",
    ):
        assert reason in text
    assert "There is no stack experiments-spot here." in play("state=absent")


def test_made_once_then_changed_as_the_check_said(aws: Callable[[str], Any], play: Callable[..., str]) -> None:
    assert "would be made, with a role and an instance profile, a bucket" in play("--check")
    assert stacks(aws) == []

    text = play()
    assert stacks(aws) == ["experiments-spot"]
    found = outputs(aws)
    profile = yaml.safe_load(text.split("---\n")[1].split("...\n")[0])
    assert profile["access"]["instance_profile"] == found["InstanceProfile"] == f"experiments-spot-{REGION}"
    assert profile["results"]["bucket"] == f"s3://{found['BucketName']}/runs"
    (role,) = aws("iam").get_instance_profile(InstanceProfileName=found["InstanceProfile"])["InstanceProfile"]["Roles"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    aws("s3").head_bucket(Bucket=found["BucketName"])
    (group,) = aws("ec2").describe_security_groups(GroupIds=[found["SecurityGroupId"]])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert [one["CidrIp"] for one in rule["IpRanges"]] == ["203.0.113.7/32"]
    (target,) = aws("events").list_targets_by_rule(Rule="experiments-spot-events")["Targets"]
    assert target["Arn"].endswith(":experiments-spot-events")

    assert "changed=0" in play() and outputs(aws) == found
    assert "modify SecurityGroup" in play("--check", "ssh_location=203.0.113.8/32")
    assert "is as it shall be" in play("--check")
    play("ssh_location=203.0.113.8/32", "timeout=60")
    group_id = outputs(aws)["SecurityGroupId"]
    (group,) = aws("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    assert [one["CidrIp"] for one in group["IpPermissions"][0]["IpRanges"]] == ["203.0.113.8/32"]
    assert outputs(aws)["Timeout"] == "60" and outputs(aws)["BucketName"] == found["BucketName"]


def test_parts_that_are_not_wanted_are_not_made(aws: Callable[[str], Any], play: Callable[..., str]) -> None:
    before = aws("s3").list_buckets()["Buckets"]
    aws("s3").create_bucket(Bucket="mine")
    aws("ec2").create_key_pair(KeyName="mine")
    text = play("results_bucket=mine", "key_name=mine", "ssh_location=none", "events=false", "experiment=mnist")
    assert "s3://mine/runs" in text and 'key_name: "mine"' in text and "security_group_ids" not in text
    assert len(aws("s3").list_buckets()["Buckets"]) == len(before) + 1
    assert aws("events").list_rules()["Rules"] == []
    document = aws("iam").get_role_policy(RoleName=f"experiments-spot-{REGION}", PolicyName="experiment")[
        "PolicyDocument"
    ]
    text = document if isinstance(document, str) else json.dumps(document)
    assert "arn:aws:s3:::mine/runs/mnist/*" in text
    aws("s3").delete_bucket(Bucket="mine")


def test_removed_but_for_what_may_hold_data(aws: Callable[[str], Any], play: Callable[..., str]) -> None:
    play()
    found = outputs(aws)
    bucket, ec2 = found["BucketName"], aws("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (instance,) = ec2.run_instances(
        ImageId=image, InstanceType="t3.large", MinCount=1, MaxCount=1,
        IamInstanceProfile={"Name": found["InstanceProfile"]},
    )["Instances"]  # fmt: skip
    assert f"{instance['InstanceId']} would lose their role" in play("state=absent", fails=True)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])

    aws("s3").put_object(Bucket=bucket, Key="runs/mnist/LATEST", Body=b"{}")
    assert "BucketNotEmpty" in play("state=absent", "delete_data=true", fails=True)
    assert stacks(aws) == ["experiments-spot"]

    assert f"would be removed. Kept, because it may hold what you made:\n  bucket {bucket} " in play(
        "--check", "state=absent"
    )
    assert stacks(aws) == ["experiments-spot"]
    assert f"bucket {bucket} with its policy; about $0.023" in play("state=absent")
    assert stacks(aws) == []
    aws("s3").head_object(Bucket=bucket, Key="runs/mnist/LATEST")
    aws("s3").delete_object(Bucket=bucket, Key="runs/mnist/LATEST")
    aws("s3").delete_bucket(Bucket=bucket)


def schedule(aws: Callable[[str], Any]) -> Any:
    return aws("scheduler").get_schedule(Name="experiments-spot-mnist")


def removers(aws: Callable[[str], Any]) -> list[str]:
    path = f"/experiments-spot/{REGION}/experiments-spot-mnist/"
    return [one["Arn"] for one in aws("iam").list_roles(PathPrefix=path)["Roles"]]


def test_a_stack_of_an_experiment_removes_itself(aws: Callable[[str], Any], play: Callable[..., str]) -> None:
    own = ("experiment=mnist", "timeout=60", "remove_after=480")
    assert "It would remove itself after 480 minutes." in play("--check", *own)
    begun = time.time()
    text = play(*own)
    assert stacks(aws) == ["experiments-spot-mnist"]
    made = schedule(aws)
    assert begun + 480 * 60 - 1 <= made["StartDate"].timestamp() <= time.time() + 480 * 60
    assert f"removal: by itself at {made['StartDate'].astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}" in text
    (stack,) = aws("cloudformation").describe_stacks()["Stacks"]
    assert {"Key": "spot:stack-of", "Value": "mnist"} in stack["Tags"]
    target = made["Target"]
    assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack"
    assert json.loads(target["Input"]) == {"StackName": stack["StackId"]}
    assert [target["RoleArn"]] == removers(aws)

    assert "changed=0" in play(*own)
    assert schedule(aws)["StartDate"] == made["StartDate"]
    assert "modify Schedule" in play("--check", *own[:2], "remove_after=960")
    play(*own[:2], "remove_after=960")
    assert 479 * 60 < (schedule(aws)["StartDate"] - made["StartDate"]).total_seconds() < 482 * 60
    assert [target["RoleArn"]] == removers(aws)

    assert "remove Schedule" in play("--check", "stack=experiments-spot-mnist", *own[:2])
    play("stack=experiments-spot-mnist", *own[:2])
    assert aws("scheduler").list_schedules()["Schedules"] == [] and removers(aws) == []
    assert stacks(aws) == ["experiments-spot-mnist"]


def test_the_role_that_a_stack_removed_itself_with_can_be_removed_later(
    aws: Callable[[str], Any], play: Callable[..., str]
) -> None:
    play("experiment=mnist", "timeout=60", "remove_after=480")
    aws("cloudformation").delete_stack(StackName=json.loads(schedule(aws)["Target"]["Input"])["StackName"])
    assert stacks(aws) == [] and len(removers(aws)) == 1
    play("--check", "stack=experiments-spot-mnist", "state=absent")
    assert len(removers(aws)) == 1
    assert "There is no stack experiments-spot-mnist here." in play("stack=experiments-spot-mnist", "state=absent")
    assert removers(aws) == []


def test_a_stack_that_is_kept_by_an_instance_is_not_changed(
    aws: Callable[[str], Any], play: Callable[..., str]
) -> None:
    own = ("experiment=mnist", "timeout=60", "remove_after=480")
    play(*own)
    group, ec2 = outputs(aws, "experiments-spot-mnist")["SecurityGroupId"], aws("ec2")
    (instance,) = ec2.run_instances(
        ImageId=ec2.describe_images()["Images"][0]["ImageId"], InstanceType="t3.large", MinCount=1, MaxCount=1,
        SecurityGroupIds=[group],
    )["Instances"]  # fmt: skip
    aws("cloudformation").delete_stack(StackName="experiments-spot-mnist")
    assert "is being removed (DELETE_FAILED)" in play(*own, fails=True)
    assert schedule(aws)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    play("stack=experiments-spot-mnist", "state=absent")
    assert stacks(aws) == []


def test_close_removes_the_stack_of_its_experiment_and_no_other(
    aws: Callable[[str], Any], play: Callable[..., str]
) -> None:
    play("experiment=mnist", "timeout=60", "remove_after=480")
    bucket = outputs(aws, "experiments-spot-mnist")["BucketName"]
    # Its name begins in the same way, and that it was made for an experiment is not said of it.
    topic = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    aws("cloudformation").create_stack(StackName="experiments-spot-mnist2", TemplateBody=topic)
    play("experiment=mnist2", "delete_stack=true", verb="close")
    play("experiment=mnist", verb="close")
    assert sorted(stacks(aws)) == ["experiments-spot-mnist", "experiments-spot-mnist2"]
    text = play("experiment=mnist", "delete_stack=true", "--check", verb="close")
    assert "The stack experiments-spot-mnist would be removed." in text and len(stacks(aws)) == 2
    assert "The stack experiments-spot-mnist is removed." in play("experiment=mnist", "delete_stack=true", verb="close")
    assert stacks(aws) == ["experiments-spot-mnist2"] and removers(aws) == []
    aws("s3").head_bucket(Bucket=bucket)
    assert aws("scheduler").list_schedules()["Schedules"] == []
