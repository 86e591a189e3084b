"""Key pairs, security groups, the default network."""

from __future__ import annotations

import dataclasses
from typing import Any

from lab.aws.config import Config
from lab.aws.network import Addresses, default_network

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMZmEz0X2J7iS8byn4Ulom0tfK4mTLTePs+4KQg/ob5 me@here"


def test_key_pairs(ec2: Any) -> None:
    made = ec2.create_key_pair(KeyName="made", KeyType="ed25519")
    assert made["KeyMaterial"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}]
    ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=PUBLIC.encode(), TagSpecifications=tags)
    found = {k["KeyName"]: k for k in ec2.describe_key_pairs()["KeyPairs"]}
    assert {n: k["KeyType"] for n, k in found.items()} == {"made": "ed25519", "mine": "ed25519"}
    assert "PublicKey" not in found["mine"]
    (mine,) = ec2.describe_key_pairs(KeyNames=["mine"], IncludePublicKey=True)["KeyPairs"]
    assert mine["PublicKey"].strip() == PUBLIC
    (tagged,) = ec2.describe_key_pairs(Filters=[{"Name": "tag:a", "Values": ["b"]}])["KeyPairs"]
    assert tagged["KeyPairId"] == mine["KeyPairId"]
    assert ec2.create_key_pair(KeyName="old")["KeyFingerprint"]


def test_deleting_a_key_pair_that_is_gone_is_no_error(ec2: Any, refused: Any) -> None:
    """[API DeleteKeyPair]"""
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    for _ in range(2):
        assert ec2.delete_key_pair(KeyName="k")["Return"]
    with refused("InvalidKeyPair.NotFound"):
        ec2.describe_key_pairs(KeyNames=["k"])


def test_security_group_leaves_no_tags(ec2: Any) -> None:
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}]
    group = ec2.create_security_group(GroupName="g", Description="g", TagSpecifications=tags)["GroupId"]
    assert [t["ResourceId"] for t in ec2.describe_tags()["Tags"]] == [group]
    ec2.delete_security_group(GroupId=group)
    assert ec2.describe_tags()["Tags"] == []


def test_default_network(ec2: Any, subnets: dict[str, str]) -> None:
    found = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    assert sorted(subnets) == list("abcdef")
    assert all(s["MapPublicIpOnLaunch"] for s in found)
    assert {s["CidrBlock"] for s in found} >= {"172.31.0.0/20", "172.31.80.0/20"}


def test_another_range(ec2: Any, app: Any, run: Any) -> None:
    """Several labs on one machine have different networks"""
    world = dataclasses.replace(app.world, config=Config(vpc_cidr="10.77.0.0/16"))
    default_network(world)
    found = ec2.describe_subnets()["Subnets"]
    assert sorted(s["CidrBlock"] for s in found) == [f"10.77.{n}.0/20" for n in (0, 16, 32, 48, 64, 80)]
    assert all(s["DefaultForAz"] and s["MapPublicIpOnLaunch"] for s in found)
    assert ec2.describe_vpcs()["Vpcs"][0]["CidrBlock"] == "10.77.0.0/16"
    assert run()["PrivateIpAddress"].startswith("10.77.")


def test_public_addresses_are_taken_in_turn_and_run_out(ec2: Any, app: Any, run: Any, refused: Any) -> None:
    pool = Addresses([dataclasses.replace(app.world, config=Config(public_cidr="192.0.2.0/30"))])
    assert [pool.take(), pool.take(), pool.take()] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    first, second = run()["PublicIpAddress"], run()["PublicIpAddress"]
    assert first != second
