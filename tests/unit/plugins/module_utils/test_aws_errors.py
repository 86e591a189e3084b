"""Error codes as data: classes, hints and the one line a user reads."""

from __future__ import annotations

import re
from typing import Any

import botocore.exceptions as boto
import pytest
from ansible_collections.amazon.aws.plugins.module_utils.exceptions import AnsibleAWSError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors as errors
from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import ErrorClass


def client_error(code: str, message: str = "text", operation: str = "CreateFleet", status: int = 400) -> Any:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-1"},
    }
    return boto.ClientError(answer, operation)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InsufficientInstanceCapacity", ErrorClass.POOL),
        ("Server.InsufficientInstanceCapacity", ErrorClass.POOL),
        ("UnfulfillableCapacity", ErrorClass.POOL),
        ("SpotMaxPriceTooLow", ErrorClass.POOL),
        ("Unsupported", ErrorClass.POOL),
        ("InvalidFleetConfiguration", ErrorClass.POOL),
        ("InsufficientFreeAddressesInSubnet", ErrorClass.AZ),
        ("MaxSpotInstanceCountExceeded", ErrorClass.REGION),
        ("VcpuLimitExceeded", ErrorClass.REGION),
        ("RequestLimitExceeded", ErrorClass.RETRY),
        ("InternalError", ErrorClass.RETRY),
        ("ConcurrentTagAccess", ErrorClass.RETRY),
        ("IncorrectInstanceState", ErrorClass.WAIT),
        ("VolumeInUse", ErrorClass.WAIT),
        ("IdempotentInstanceTerminated", ErrorClass.NEWTOKEN),
        ("IdempotentParameterMismatch", ErrorClass.NEWTOKEN),
        ("UnauthorizedOperation", ErrorClass.FATAL),
        ("Client.UnauthorizedOperation", ErrorClass.FATAL),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", ErrorClass.FATAL),
        ("KMSKeyDisabled", ErrorClass.FATAL),
        ("InvalidAMIID.NotFound", ErrorClass.FATAL),
        ("InvalidVolume.ZoneMismatch", ErrorClass.FATAL),
        ("SomethingNobodyHasSeen", ErrorClass.FATAL),
    ],
)
def test_classify(code: str, kind: ErrorClass) -> None:
    assert errors.classify(code) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidLaunchTemplateId.NotFound", ErrorClass.WAIT),
        ("InvalidKeyPair.NotFound", ErrorClass.WAIT),
        ("InvalidGroup.NotFound", ErrorClass.WAIT),
        ("InvalidInstanceID.NotFound", ErrorClass.WAIT),
        # Subnets and images are never made by us just before.
        ("InvalidSubnetID.NotFound", ErrorClass.FATAL),
        ("InvalidAMIID.NotFound", ErrorClass.FATAL),
    ],
)
def test_not_found_of_something_just_created_means_wait(code: str, kind: ErrorClass) -> None:
    assert errors.classify(code) is ErrorClass.FATAL
    assert errors.classify(code, fresh=True) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (boto.ReadTimeoutError(endpoint_url="http://x"), ErrorClass.RETRY),
        (boto.ConnectTimeoutError(endpoint_url="http://x"), ErrorClass.RETRY),
        (boto.EndpointConnectionError(endpoint_url="http://x"), ErrorClass.RETRY),
        (boto.ConnectionClosedError(endpoint_url="http://x"), ErrorClass.RETRY),
        (boto.SSLError(endpoint_url="https://x", error=ValueError("self-signed")), ErrorClass.FATAL),
        (boto.NoCredentialsError(), ErrorClass.FATAL),
        (boto.ParamValidationError(report="no"), ErrorClass.FATAL),
        (client_error("NeverSeen", status=500), ErrorClass.RETRY),
        (client_error("NeverSeen", status=400), ErrorClass.FATAL),
        (client_error("InsufficientInstanceCapacity", status=500), ErrorClass.POOL),
        (AnsibleAWSError("Failed to x", client_error("InternalError", status=500)), ErrorClass.RETRY),
        (AnsibleAWSError("Failed to x"), ErrorClass.FATAL),
        (ValueError("no"), ErrorClass.FATAL),
    ],
)
def test_classify_error(error: BaseException, kind: ErrorClass) -> None:
    assert errors.classify_error(error) is kind


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (boto.NoCredentialsError(), ["no AWS credentials found", "AWS_PROFILE", "aws configure"]),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), ["AWS_SECRET_ACCESS_KEY"]),
        (boto.ProfileNotFound(profile="nobody"), ["nobody", "aws configure list-profiles"]),
        (boto.UnauthorizedSSOTokenError(), ["SSO session has expired", "aws sso login"]),
        (boto.SSOTokenLoadError(error_msg="gone"), ["aws sso login"]),
        (boto.TokenRetrievalError(provider="sso", error_msg="gone"), ["aws sso login"]),
        (boto.NoRegionError(), ["no AWS region", "AWS_REGION"]),
        (boto.EndpointConnectionError(endpoint_url="http://nowhere:1/"), ["http://nowhere:1/", "AWS_ENDPOINT_URL"]),
        (boto.ReadTimeoutError(endpoint_url="http://x"), ["did not answer in time"]),
        (boto.SSLError(endpoint_url="https://x", error=ValueError("self-signed")), ["self-signed", "AWS_CA_BUNDLE"]),
        (client_error("ExpiredToken", "The provided token has expired."), ["credentials have expired", "sso login"]),
        (client_error("RequestExpired", "Request has expired."), ["credentials have expired", "sso login", "clock"]),
        (client_error("SignatureDoesNotMatch"), ["clock", "secret key"]),
        (client_error("AuthFailure", "not able to validate"), ["refused the credentials", "not able to validate"]),
        (client_error("UnauthorizedOperation"), ["ec2:CreateFleet is not allowed", "RequestId req-1"]),
        (client_error("AccessDeniedException", operation="GetParameter"), ["ssm:GetParameter is not allowed"]),
        (client_error("AccessDenied", operation="GetCallerIdentity"), ["sts:GetCallerIdentity is not allowed"]),
        (
            client_error("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"),
            ["L-3819A6DF", "L-7212CCBC"],
        ),
        (client_error("VcpuLimitExceeded"), ["On-Demand quota", "L-DB2E81BA"]),
        (client_error("RequestLimitExceeded", "Request limit exceeded."), ["limits the rate"]),
        (
            client_error("InvalidParameterValue", "Value (x) for y is invalid."),
            ["InvalidParameterValue: Value (x) for y"],
        ),
        (client_error("NeverSeen", "odd\n  text"), ["NeverSeen: odd text (RequestId req-1)"]),
        (client_error("UnfulfillableCapacity", "lacks the Service-Linked Role"), ["create-service-linked-role"]),
        (AnsibleAWSError("Failed to x", client_error("NeverSeen", "odd")), ["NeverSeen: odd"]),
        (AnsibleAWSError("Failed to x"), ["Failed to x"]),
        (ValueError(), ["ValueError"]),
    ],
)
def test_explain_gives_one_line_that_says_why(error: BaseException, parts: list[str]) -> None:
    text = errors.explain(error, "create the fleet")

    assert text.startswith("Could not create the fleet: ")
    assert "\n" not in text
    assert not text.endswith(".")
    for part in parts:
        assert part in text


def test_no_permission_names_the_action_and_the_caller_but_not_the_encoded_message() -> None:
    message = (
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/bob is not authorized "
        "to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/worker because no identity-based policy "
        "allows the iam:PassRole action. Encoded authorization failure message: 4Zk_long_secret"
    )

    text = errors.explain(client_error("UnauthorizedOperation", message), "create the fleet")

    assert "iam:PassRole is not allowed for arn:aws:iam::123456789012:user/bob" in text
    assert "4Zk_long_secret" not in text


@pytest.mark.parametrize(
    ("instance_type", "spot"),
    [
        ("m5.large", "L-34B43A08"),
        ("i3en.xlarge", "L-34B43A08"),
        ("im4gn.large", "L-34B43A08"),
        ("t3.medium", "L-34B43A08"),
        ("g4dn.xlarge", "L-3819A6DF"),
        ("gr6.4xlarge", "L-3819A6DF"),
        ("vt1.3xlarge", "L-3819A6DF"),
        ("p2.xlarge", "L-7212CCBC"),
        ("p4d.24xlarge", "L-7212CCBC"),
        ("inf2.xlarge", "L-B5D1601B"),
        ("trn1.2xlarge", "L-6B0D517C"),
        ("dl1.24xlarge", "L-85EED4F7"),
        ("x2gd.large", "L-E3A00192"),
        ("f1.2xlarge", "L-88CF9481"),
    ],
)
def test_quota_group_of_a_type(instance_type: str, spot: str) -> None:
    group = errors.quota_group(instance_type)
    assert group is not None
    assert group.spot == spot


@pytest.mark.parametrize("instance_type", ["", "mac1.metal", "u-6tb1.metal", "hpc6a.48xlarge", "5"])
def test_quota_group_of_other_types_is_not_guessed(instance_type: str) -> None:
    assert errors.quota_group(instance_type) is None


def test_quota_hint_names_only_the_groups_asked_for() -> None:
    hint = errors.quota_hint("MaxSpotInstanceCountExceeded", ["g5.xlarge", "g4dn.xlarge", "p2.xlarge"])

    assert "Spot quota: G and VT L-3819A6DF, P L-7212CCBC" in hint
    assert "L-34B43A08" not in hint


def test_auth_codes_are_all_fatal() -> None:
    assert {errors.classify(code) for code in errors.AUTH_CODES} == {ErrorClass.FATAL}


def test_hints_have_no_full_stop() -> None:
    assert [code for code, rule in errors.RULES.items() if rule.hint.endswith(".")] == []


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_code_and_message_give_one_line(code: str, message: str) -> None:
    text = errors.explain(client_error(code, message), "do it")
    assert not re.search(r"[\r\n]", text)
