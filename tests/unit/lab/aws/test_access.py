"""Who may call, and how each service says no."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.aws.config import ACCESS_KEY

CALLS = {
    "ec2": lambda c: c.describe_instances(),
    "sts": lambda c: c.get_caller_identity(),
    "ssm": lambda c: c.get_parameter(Name="/x"),
    "pricing": lambda c: c.get_products(ServiceCode="AmazonEC2"),
}


def test_caller(client: Any) -> None:
    caller = client("sts").get_caller_identity()
    assert caller["Arn"] == "arn:aws:iam::123456789012:user/lab"
    assert caller["Account"] == "123456789012"


@pytest.mark.parametrize(
    ("service", "code", "http"),
    [
        ("ec2", "AuthFailure", 401),
        ("sts", "InvalidClientTokenId", 403),
        ("ssm", "UnrecognizedClientException", 400),
        ("pricing", "UnrecognizedClientException", 400),
    ],
)
def test_unknown_key(client: Any, refused: Any, service: str, code: str, http: int) -> None:
    """[ERR] AuthFailure; common errors of the other services"""
    with refused(code, http=http):
        CALLS[service](client(service, "AKIANOBODYKNOWSTHIS0"))


@pytest.mark.parametrize(
    ("service", "code", "http"),
    [("ec2", "RequestExpired", 400), ("sts", "ExpiredToken", 403), ("ssm", "ExpiredTokenException", 400)],
)
def test_expired_session(client: Any, refused: Any, service: str, code: str, http: int) -> None:
    """[ERR] RequestExpired, ExpiredToken"""
    with refused(code, http=http, text="expired"):
        CALLS[service](client(service, "ASIAEXPIRED000000000"))


@pytest.mark.parametrize(
    ("service", "code", "http"),
    [("ec2", "AuthFailure", 401), ("sts", "SignatureDoesNotMatch", 403), ("ssm", "InvalidSignatureException", 400)],
)
def test_wrong_secret(url: str, refused: Any, service: str, code: str, http: int) -> None:
    """[ERR] AuthFailure, SignatureDoesNotMatch"""
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": "mistyped"}
    one: Any = boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)  # type: ignore[call-overload]
    with refused(code, http=http):
        CALLS[service](one)


def test_unsigned(url: str, client: Any) -> None:
    """[ERR] MissingAuthenticationToken"""
    unsigned = boto3.client("ec2", endpoint_url=url, region_name="us-east-1", config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError) as err:
        unsigned.describe_instances()
    assert err.value.response["Error"]["Code"] == "MissingAuthenticationToken"


def test_keys_made_through_the_api_work(client: Any) -> None:
    iam = client("iam")
    iam.create_user(UserName="bob")
    key = iam.create_access_key(UserName="bob")["AccessKey"]["AccessKeyId"]
    assert client("sts", key).get_caller_identity()["Arn"].endswith("user/bob")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]["AccessKeyId"]
    assert client("ec2", session).describe_instances()["Reservations"] == []


def test_denied_action(client: Any, ec2: Any, control: Any, refused: Any) -> None:
    """[ERR] UnauthorizedOperation (HTTP 403) names action and caller; AccessDenied elsewhere"""
    control("deny", action="ec2:CreateKeyPair")
    control("deny", action="GetParameter*")
    with refused("UnauthorizedOperation", http=403, text="user/lab is not authorized to perform: ec2:CreateKeyPair"):
        ec2.create_key_pair(KeyName="k")
    with refused("AccessDeniedException", text="ssm:GetParameter"):
        client("ssm").get_parameter(Name="/x")
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    control("deny", allow="CreateKeyPair")
    assert ec2.create_key_pair(KeyName="k", KeyType="ed25519")
