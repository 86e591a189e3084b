"""Key pair and security group over the wire: real boto3, the lab's API."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import access as doing
from ansible_collections.experiments.spot.plugins.module_utils._experiment import api
from ansible_collections.experiments.spot.plugins.modules import access
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401

CIDR = "198.51.100.7/32"
THREE = ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair"]


@pytest.fixture
def make(aws: Aws, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:  # noqa: F811
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    aws.forget_calls()

    def call(**changes: Any) -> Any:
        given = {
            "experiment": "lab",
            "private_key_file": str(tmp_path / "keys/lab"),
            "vpc_id": vpc,
            "cidr": CIDR,
            "tags": {"spot:generation": "1"},
            **changes,
        }
        return run(access.main, capsys, region="us-east-1", **{k: v for k, v in given.items() if v is not None})

    return call


def group(aws: Aws) -> dict[str, Any]:  # noqa: F811
    (found,) = aws.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["spot-lab"]}])[
        "SecurityGroups"
    ]
    return dict(found)


def key_pair(aws: Aws) -> dict[str, Any]:  # noqa: F811
    (found,) = aws.ec2.describe_key_pairs(KeyNames=["spot-lab"], IncludePublicKey=True)["KeyPairs"]
    return dict(found)


def let_in(found: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [
        (rule["IpProtocol"], rule["FromPort"], one.get("CidrIp") or one.get("CidrIpv6"))
        for rule in found["IpPermissions"]
        for one in [*rule["IpRanges"], *rule["Ipv6Ranges"]]
    ]


def tags(found: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


def test_three_calls_make_access_for_a_new_experiment(aws: Aws, make: Any, tmp_path: Path) -> None:  # noqa: F811
    done = make(assume_absent=True)
    assert (done.rc, done.changed) == (0, True), done.msg
    assert aws.calls() == THREE
    assert let_in(group(aws)) == [("tcp", 22, CIDR)]
    assert tags(group(aws)) == tags(key_pair(aws)) == {"spot:experiment": "lab", "spot:generation": "1"}
    assert (done.security_group["id"], done.key_pair["id"]) == (group(aws)["GroupId"], key_pair(aws)["KeyPairId"])
    private = tmp_path / "keys/lab"
    assert (private.stat().st_mode & 0o777, private.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert key_pair(aws)["PublicKey"].split()[:2] == private.with_suffix(".pub").read_text().split()[:2]


def test_a_second_run_changes_nothing(aws: Aws, make: Any) -> None:  # noqa: F811
    make()
    aws.forget_calls()
    done = make()
    assert (done.rc, done.changed) == (0, False)
    assert sorted(aws.calls()) == ["DescribeKeyPairs", "DescribeSecurityGroups"]
    assert done.diff["before"] == done.diff["after"]


def test_check_mode_predicts_and_makes_nothing(aws: Aws, make: Any, tmp_path: Path) -> None:  # noqa: F811
    done = make(_ansible_check_mode=True, _ansible_diff=True)
    assert (done.rc, done.changed) == (0, True)
    assert aws.calls(mutating=True) == []
    assert not (tmp_path / "keys").exists()
    assert done.diff == {
        "before": {"key_pair": None, "security_group": None, "lets_in": []},
        "after": {"key_pair": "spot-lab", "security_group": "spot-lab", "lets_in": [CIDR]},
    }
    make()
    assert make(_ansible_check_mode=True).changed is False


def test_what_a_run_that_was_cut_off_has_made_is_found_and_used(aws: Aws, make: Any) -> None:  # noqa: F811
    first = make(assume_absent=True)
    before = aws.ec2.describe_security_groups()["SecurityGroups"]
    again = make(assume_absent=True)
    assert again.rc == 0, again.msg
    assert again.security_group == first.security_group
    assert again.key_pair == first.key_pair
    assert aws.ec2.describe_security_groups()["SecurityGroups"] == before


def test_a_group_without_its_rule_gets_it(aws: Aws, make: Any) -> None:  # noqa: F811
    make()
    aws.ec2.revoke_security_group_ingress(GroupId=group(aws)["GroupId"], IpPermissions=group(aws)["IpPermissions"])
    assert make(assume_absent=True).rc == 0
    assert let_in(group(aws)) == [("tcp", 22, CIDR)]


def test_a_new_address_takes_the_place_of_the_old_one(aws: Aws, make: Any) -> None:  # noqa: F811
    make()
    known = group(aws)["GroupId"]
    aws.forget_calls()
    done = make(cidr="203.0.113.9/32", group_id=known, private_key_file=None)
    assert done.changed is True
    assert aws.calls() == [
        "DescribeSecurityGroups",
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
    ]
    assert let_in(group(aws)) == [("tcp", 22, "203.0.113.9/32")]
    assert done.key_pair is None


def test_another_port_and_an_address_of_version_6(aws: Aws, make: Any) -> None:  # noqa: F811
    make(cidr="2001:db8::7/128", port=2222)
    assert let_in(group(aws)) == [("tcp", 2222, "2001:db8::7/128")]
    aws.forget_calls()
    assert make(cidr="2001:db8::7/128", port=2222).changed is False


def test_a_key_that_nobody_has_any_more_is_replaced(aws: Aws, make: Any, tmp_path: Path) -> None:  # noqa: F811
    make()
    done = make(private_key_file=str(tmp_path / "other/lab"), assume_absent=True)
    assert done.rc == 0, done.msg
    assert key_pair(aws)["PublicKey"].split()[1] == (tmp_path / "other/lab.pub").read_text().split()[1]


@pytest.mark.parametrize("assumed", [True, False])
def test_a_group_of_somebody_else_is_refused_and_nothing_made(aws: Aws, make: Any, assumed: bool) -> None:  # noqa: F811
    aws.ec2.create_security_group(GroupName="spot-lab", Description="mine")
    done = make(assume_absent=assumed)
    assert done.rc == 1
    assert "was not made for this experiment" in done.msg
    assert aws.ec2.describe_key_pairs()["KeyPairs"] == []
    assert let_in(group(aws)) == []


@pytest.mark.parametrize("action", ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair"])
def test_a_missing_permission_is_named(aws: Aws, make: Any, action: str) -> None:  # noqa: F811
    aws.deny(action)
    done = make(assume_absent=True)
    assert done.rc == 1
    assert f"ec2:{action} is not allowed" in done.msg


def test_a_key_with_a_passphrase_needs_its_public_half(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True)
    assert make(private_key_file=str(path)).rc == 0
    path.with_suffix(".pub").unlink()
    done = make(private_key_file=str(path))
    assert done.rc == 1
    assert "the public half of" in done.msg


def test_a_key_that_cannot_be_made(make: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = make(private_key_file=str(tmp_path / "file/lab"))
    assert done.rc == 1
    assert "cannot be made" in done.msg
    assert "Traceback" not in done.msg


def test_a_group_that_is_not_known_everywhere_yet_is_waited_for(aws: Aws) -> None:  # noqa: F811
    refusals = [2]
    slept: list[float] = []

    def authorize() -> None:
        if refusals[0]:
            refusals[0] -= 1
            api.calls("ec2:AuthorizeSecurityGroupIngress")(
                lambda: aws.ec2.authorize_security_group_ingress(
                    GroupId="sg-0123456789abcdef0",
                    IpPermissions=[doing.Rule(22, CIDR).permission],
                )
            )()

    doing._once_known(authorize, slept.append)
    assert slept == [1.0, 2.0]
    refusals[0] = 99
    with pytest.raises(api.ApiError):
        doing._once_known(authorize, slept.append)
