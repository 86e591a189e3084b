"""The plan over the wire: real boto3, the lab's API."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.modules import launch_plan_info
from tests.unit.plugins.module_utils._experiment.builders import merge, profile, volume_of_profile
from tests.unit.plugins.module_utils._experiment.wire import DEBIAN, Aws, aws, run  # noqa: F401

Resource = dict[str, Any]
CIDR = "198.51.100.7/32"


@pytest.fixture
def plan(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    def run_module(args: Resource | None = None, **changes: Any) -> Any:
        by_parameter = profile(image={"id": None, "ssm_parameter": DEBIAN})
        wanted = merge(by_parameter, changes)
        return run(launch_plan_info.main, capsys, profile=wanted, caller_cidr=CIDR, **(args or {}))

    return run_module


def make_key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_bytes()


def make_access(aws: Aws, port: int = 22) -> str:  # noqa: F811
    """What the access role makes: a key pair, its file, and the group that admits the caller."""
    public = make_key(Path.home() / ".ssh/experiments.spot/lab")
    aws.ec2.import_key_pair(
        KeyName="spot-lab", PublicKeyMaterial=public, TagSpecifications=aws.tag_specification("key-pair")
    )
    group = aws.ec2.create_security_group(
        GroupName="spot-lab", Description="x", TagSpecifications=aws.tag_specification("security-group")
    )["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": CIDR}]}
    aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    return str(group)


def test_first_launch(aws: Aws, plan: Any) -> None:  # noqa: F811
    done = plan()
    assert done.rc == 0, done.msg
    assert done.changed is False
    assert (done.owner, done.account, done.generation) == ("lab", "123456789012", 1)
    assert done.image["id"] == aws.image()
    assert done.image["architecture"] == "x86_64"
    assert done.todo == {"key_pair": True, "security_group": True, "launch_template": True, "fleet": True}
    assert (done.instances, done.zone, done.notes) == ([], None, [])
    prices = [pool["price"] for pool in done.pools]
    assert prices == sorted(prices)
    assert {pool["instance_type"] for pool in done.pools} == {"t3.medium", "m5.large"}
    assert all(0 < pool["saving"] < 1 and pool["subnet_id"].startswith("subnet-") for pool in done.pools)
    assert done.cost["per_hour"] == prices[0] < done.cost["on_demand_per_hour"]


def test_it_changes_nothing(aws: Aws, plan: Any) -> None:  # noqa: F811
    assert plan().rc == 0
    assert aws.calls(mutating=True) == []


def test_each_call_is_made_once(aws: Aws, plan: Any) -> None:  # noqa: F811
    plan()
    assert sorted(aws.calls()) == sorted(set(aws.calls()))


NEW = ["DescribeInstances", "DescribeSpotPriceHistory", "DescribeSubnets", "DescribeTags"]
EXISTING = [
    "DescribeKeyPairs",
    "DescribeLaunchTemplates",
    "DescribeSecurityGroups",
    "DescribeSpotInstanceRequests",
    "DescribeVolumes",
]
HARDLY_EVER_CHANGES = [
    "DescribeImages",
    "DescribeInstanceTypeOfferings",
    "DescribeInstanceTypes",
    "GetCallerIdentity",
    "GetParameter",
    "GetProducts",
    "GetServiceQuota",
]


@pytest.mark.slow
def test_calls_of_a_new_experiment_and_of_the_next_one(aws: Aws, plan: Any) -> None:  # noqa: F811
    first = plan()
    assert sorted(aws.calls()) == sorted(NEW + HARDLY_EVER_CHANGES)
    aws.forget_calls()
    second = plan()
    assert sorted(aws.calls()) == NEW
    assert (second.pools, second.image, second.cost, second.owner) == (
        first.pools,
        first.image,
        first.cost,
        first.owner,
    )


def test_calls_for_an_experiment_that_exists(aws: Aws, plan: Any) -> None:  # noqa: F811
    plan()
    make_access(aws)
    aws.forget_calls()
    plan()
    assert sorted(aws.calls()) == sorted(NEW + EXISTING)


def test_an_instance_whose_tag_is_not_listed_yet_is_seen(aws: Aws, plan: Any) -> None:  # noqa: F811
    found = aws.instance()
    aws.deny("DescribeTags")
    done = plan()
    assert [one["instance_id"] for one in done.instances] == [found]
    assert any("ec2:DescribeTags" in note for note in done.notes)


def test_nothing_is_kept_when_the_caller_says_so(aws: Aws, plan: Any) -> None:  # noqa: F811
    for _run in range(2):
        aws.forget_calls()
        plan({"cache": False})
        assert sorted(aws.calls()) == sorted(NEW + HARDLY_EVER_CHANGES)


def test_what_is_kept_is_asked_again_before_it_is_held_against_a_launch(aws: Aws, plan: Any) -> None:  # noqa: F811
    aws.app.world.quota.update({"Standard": 0})
    assert "L-34B43A08 0 vCPUs" in plan().msg
    aws.app.world.quota.update({"Standard": 64})
    assert plan().rc == 0
    aws.forget_calls()
    assert plan().rc == 0
    assert sorted(aws.calls()) == NEW


def test_other_credentials_are_other_answers(aws: Aws, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    plan()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG0WRONG0WRONG")
    assert "credentials" in plan().msg


def test_a_parameter_of_the_user_is_asked_every_time(aws: Aws, plan: Any) -> None:  # noqa: F811
    boto3.client("ssm", region_name="us-east-1").put_parameter(Name="/mine/image", Value=aws.image(), Type="String")
    for _run in range(2):
        aws.forget_calls()
        assert plan(image={"ssm_parameter": "/mine/image"}).rc == 0
        assert "GetParameter" in aws.calls()


@pytest.mark.slow
def test_zones_are_asked_only_when_a_subnet_does_not_show_them(aws: Aws, plan: Any) -> None:  # noqa: F811
    assert plan(capacity={"zones": ["us-east-1a"]}).rc == 0
    assert "DescribeAvailabilityZones" not in aws.calls()
    assert "capacity.zones: us-east-1z is no zone" in plan(capacity={"zones": ["us-east-1z"]}).msg


def test_template_data_are_what_aws_takes(aws: Aws, plan: Any) -> None:  # noqa: F811
    group = make_access(aws)
    template = plan().launch_template
    assert template["data"]["SecurityGroupIds"] == [group]
    aws.ec2.create_launch_template(
        LaunchTemplateName=template["name"],
        LaunchTemplateData=template["data"],
        TagSpecifications=aws.tag_specification("launch-template"),
    )
    again = plan()
    assert again.launch_template["name"] == template["name"]
    assert (again.launch_template["exists"], again.launch_template["version"]) == (True, "1")
    assert again.todo == {"key_pair": False, "security_group": False, "launch_template": False, "fleet": True}


def test_nothing_to_do_once_it_runs(aws: Aws, plan: Any) -> None:  # noqa: F811
    group = make_access(aws)
    instance = aws.instance(SecurityGroupIds=[group], KeyName="spot-lab")
    done = plan()
    assert set(done.todo.values()) == {False}
    assert [one["instance_id"] for one in done.instances] == [instance]
    assert (done.instances[0]["type"], done.instances[0]["lifecycle"]) == ("t3.medium", "spot")


def test_generation_goes_up_after_an_end(aws: Aws, plan: Any) -> None:  # noqa: F811
    first = aws.instance()
    assert plan().generation == 1
    aws.ec2.terminate_instances(InstanceIds=[first])
    done = plan()
    assert (done.generation, done.instances) == (2, [])
    assert done.tags["spot:generation"] == "2"


def test_volume_by_tag_fixes_the_zone(aws: Aws, plan: Any) -> None:  # noqa: F811
    volume = aws.volume("us-east-1b")
    done = plan(volumes=[volume_of_profile()])
    assert done.zone == "us-east-1b"
    assert {pool["zone"] for pool in done.pools} == {"us-east-1b"}
    assert [one["volume_id"] for one in done.volumes] == [volume]


def test_volumes_may_follow_the_instances(aws: Aws, plan: Any) -> None:  # noqa: F811
    made = aws.volume("us-east-1b")
    wish = {"volumes": [volume_of_profile()], "recovery": {"move_volumes": True}}
    before = plan(**wish)
    assert before.zone == "us-east-1b" and before.elsewhere["move"] and before.elsewhere["volume_ids"] == [made]
    assert "us-east-1a" in before.elsewhere["zones"] and "us-east-1b" not in before.elsewhere["zones"]
    aws.instance("us-east-1c")
    after = plan(**wish)
    assert (after.rc, after.zone, after.elsewhere["zone"]) == (0, "us-east-1c", "us-east-1c"), after.msg


@pytest.mark.slow
def test_all_problems_in_one_error(aws: Aws, plan: Any) -> None:  # noqa: F811
    elsewhere = aws.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a", VolumeType="gp3")["VolumeId"]
    other = aws.ec2.run_instances(
        ImageId=aws.image(),
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": "us-east-1a"},
    )["Instances"][0]["InstanceId"]
    aws.ec2.attach_volume(VolumeId=elsewhere, InstanceId=other, Device="/dev/sdf")
    done = plan(
        capacity={"instance_types": ["p2.xlarge"], "zones": ["us-east-1z"]},
        image={"id": "ami-0123456789abcdef0", "ssm_parameter": None},
        access={
            "key_name": "nobody",
            "security_group_ids": ["sg-0123456789abcdef0"],
            "instance_profile": "nobody",
            "private_key_file": "/nowhere",
        },
        volumes=[
            volume_of_profile(volume_id=elsewhere),
            volume_of_profile(name="more", volume_id="vol-0123456789abcdef0"),
            volume_of_profile(name="old", snapshot_id="snap-0123456789abcdef0"),
        ],
    )
    assert done.rc == 1
    assert [line.split(": ")[0] for line in done.problems] == [
        "capacity.instance_types",
        "capacity.zones",
        "image.id",
        "access.key_name",
        "access.private_key_file",
        "access.security_group_ids",
        "access.instance_profile",
        "volumes.more.volume_id",
        "volumes.old.snapshot_id",
        "volumes.data",
        "volumes",
    ]
    assert all(line in done.msg for line in done.problems)
    assert "p2.xlarge" in done.msg
    assert "g4dn.xlarge, g5.xlarge, g6.xlarge" in done.msg
    assert other in done.msg


@pytest.mark.slow
def test_key_pair_of_another_private_key(aws: Aws, plan: Any, tmp_path: Path) -> None:  # noqa: F811
    aws.ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=make_key(tmp_path / "one"))
    make_key(tmp_path / "two")
    assert plan(access={"key_name": "mine", "private_key_file": str(tmp_path / "one")}).rc == 0
    done = plan(access={"key_name": "mine", "private_key_file": str(tmp_path / "two")})
    assert "is not the private half of the key pair mine" in done.msg
    assert len(done.problems) == 1


@pytest.mark.parametrize("action", ["DescribeSpotPriceHistory", "GetProducts", "GetServiceQuota"])
def test_a_permission_that_is_not_needed(aws: Aws, plan: Any, action: str) -> None:  # noqa: F811
    aws.deny(action)
    done = plan()
    assert done.rc == 0, done.msg
    assert len(done.pools) > 1
    assert any(action in note for note in done.notes) or action == "GetServiceQuota"


@pytest.mark.parametrize(
    "action",
    ["ec2:DescribeImages", "ec2:DescribeInstances", "ssm:GetParameter", "ec2:DescribeLaunchTemplates"],
)
def test_a_permission_that_is_needed_is_named(aws: Aws, plan: Any, action: str) -> None:  # noqa: F811
    make_access(aws)
    aws.deny(action.split(":")[1])
    done = plan()
    assert done.rc == 1
    assert action in done.msg
    assert "no permission" in done.msg
    assert "Traceback" not in done.msg


def test_all_missing_permissions_are_named_at_once(aws: Aws, plan: Any) -> None:  # noqa: F811
    for action in ("DescribeImages", "DescribeVolumes"):
        aws.deny(action)
    msg = plan(volumes=[volume_of_profile()]).msg
    assert "ec2:DescribeImages" in msg
    assert "ec2:DescribeVolumes" in msg


def test_no_credentials_is_said_once(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    done = plan()
    assert done.rc == 1
    assert "no AWS credentials found" in done.msg
    assert "\n" not in done.msg


def test_refused_credentials_are_said_once(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG0WRONG0WRONG")
    done = plan()
    assert done.rc == 1
    assert "credentials" in done.msg
    assert "\n" not in done.msg


@pytest.mark.slow
def test_named_aws_profile_that_does_not_exist(plan: Any) -> None:
    done = plan({"aws_profile": "nobody", "access_key": "", "secret_key": ""})
    assert done.rc == 1
    assert "nobody" in done.msg
    assert "AWS_PROFILE" in done.msg


def test_quota_of_a_new_account(aws: Aws, plan: Any) -> None:  # noqa: F811
    aws.app.world.quota.update({"G and VT": 0})
    done = plan(capacity={"instance_types": ["g5.xlarge", "g6.xlarge"]})
    assert "L-3819A6DF 0 vCPUs" in done.msg


def test_instances_whose_key_file_is_elsewhere(aws: Aws, plan: Any) -> None:  # noqa: F811
    make_access(aws)
    aws.instance(KeyName="spot-lab")
    (Path.home() / ".ssh/experiments.spot/lab").unlink()
    done = plan()
    assert done.rc == 1
    assert "copy the file from the machine that launched them" in done.msg


RESULTS: Resource = {"bucket": "s3://results-here/runs", "pull": "/tmp/x"}


def test_the_bucket_of_results_is_looked_at_before_anything_is_made(
    aws: Aws, plan: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setenv("EXPERIMENTS_SPOT_INSTANCE_ENDPOINT_URL", "http://192.0.2.1:4566")
    done = plan(results=RESULTS)
    assert done.rc and "results.bucket: there is no bucket results-here" in done.msg
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="results-here")
    assert plan(results=RESULTS).rc == 0
