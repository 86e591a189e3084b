# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWS error codes as data: how to react to each, and one clear line for people.

Note that this module util is private to the collection and may change at any time.

Nothing here calls an API or imports botocore: errors are recognised by their code and by the names of their classes,
so the file works for ``botocore.exceptions.ClientError``, for any ``BotoCoreError`` and for ``AnsibleAWSError``
(its ``.exception`` is read).

Source: EC2 API reference, page "Error codes for the Amazon EC2 API"; EC2 user guide, page "Spot Instance quotas".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class ErrorClass(str, Enum):
    """What a caller should do after an error.

    Attributes:
        RETRY: The same call with the same client token, after a back-off; the outcome of the former call is unknown.
        POOL: Another instance type or zone; this pool has nothing now.
        AZ: Another zone or subnet.
        REGION: Another instance family or region (a quota); never loop.
        WAIT: Something is not visible or not ready yet; poll, then repeat.
        NEWTOKEN: Repeat with a new client token.
        FATAL: Stop and tell.
    """

    RETRY = "RETRY"
    POOL = "POOL"
    AZ = "AZ"
    REGION = "REGION"
    WAIT = "WAIT"
    NEWTOKEN = "NEWTOKEN"
    FATAL = "FATAL"


@dataclass(frozen=True)
class ErrorRule:
    """The reaction to one error code.

    Attributes:
        kind: The class of the error.
        hint: What the user can do, without a full stop; empty when the message of AWS says all there is to say.
        fresh: True when the code only means "not visible yet" if the caller has just created the resource.
    """

    kind: ErrorClass
    hint: str = ""
    fresh: bool = False


@dataclass(frozen=True)
class QuotaGroup:
    """A group of instance families that share one vCPU quota.

    Attributes:
        name: The name of the group as AWS writes it.
        families: The letters an instance type starts with, before the first digit.
        spot: The quota code for Spot.
        on_demand: The quota code for On-Demand, empty when not known for sure.
    """

    name: str
    families: tuple[str, ...]
    spot: str
    on_demand: str = ""


# Source: EC2 user guide, "Spot Instance quotas". A new account has 0 vCPUs for "G and VT" and for "P".
QUOTA_GROUPS: tuple[QuotaGroup, ...] = (
    QuotaGroup(
        "Standard (A, C, D, H, I, M, R, T, Z)",
        ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"),
        "L-34B43A08",
        "L-1216C47A",
    ),
    QuotaGroup("G and VT", ("g", "gr", "vt"), "L-3819A6DF", "L-DB2E81BA"),
    QuotaGroup("P", ("p",), "L-7212CCBC", "L-417A185B"),
    QuotaGroup("F", ("f",), "L-88CF9481"),
    QuotaGroup("Inf", ("inf",), "L-B5D1601B"),
    QuotaGroup("Trn", ("trn",), "L-6B0D517C"),
    QuotaGroup("DL", ("dl",), "L-85EED4F7"),
    QuotaGroup("X", ("x",), "L-E3A00192"),
)

_OTHER_POOL = "use more instance types or zones, or try again in some minutes"
_WRONG_REGION = "check the id and the region"
_CLOCK = "set the clock of this machine (NTP); a wrong secret key gives the same error"
_LOGIN_AGAIN = "get new ones (for instance 'aws sso login', or assume the role again) and repeat the command"
_QUOTA = "raise the vCPU quota in Service Quotas, or use another instance family or region"

_RETRY, _POOL, _AZ, _REGION = ErrorClass.RETRY, ErrorClass.POOL, ErrorClass.AZ, ErrorClass.REGION
_WAIT, _NEWTOKEN, _FATAL = ErrorClass.WAIT, ErrorClass.NEWTOKEN, ErrorClass.FATAL

CAPACITY_CODES = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "ReservationCapacityExceeded",
        "UnfulfillableCapacity",
    }
)
SPOT_QUOTA_CODES = frozenset({"MaxSpotInstanceCountExceeded"})
ON_DEMAND_QUOTA_CODES = frozenset({"VcpuLimitExceeded", "InstanceLimitExceeded"})
QUOTA_CODES = SPOT_QUOTA_CODES | ON_DEMAND_QUOTA_CODES
PERMISSION_CODES = frozenset({"AccessDenied", "AccessDeniedException", "SsmAccessDenied", "UnauthorizedOperation"})
CREDENTIAL_CODES = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "UnrecognizedClientException",
    }
)
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
CLOCK_CODES = frozenset({"InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})
THROTTLING_CODES = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
# Errors of the account or of its credentials: fatal wherever they appear, also inside the Errors of an HTTP 200.
ACCOUNT_CODES = frozenset({"Blocked", "OptInRequired", "PendingVerification"})
AUTH_CODES = (
    PERMISSION_CODES
    | CREDENTIAL_CODES
    | EXPIRED_CODES
    | CLOCK_CODES
    | ACCOUNT_CODES
    | {"AuthFailure.ServiceLinkedRoleCreationNotPermitted"}
)

SERVICE_LINKED_ROLE_HINT = (
    "the service-linked role of EC2 Spot is missing; create it once per account: "
    "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
)


def _rules(codes: Iterable[str], kind: ErrorClass, hint: str = "", *, fresh: bool = False) -> dict[str, ErrorRule]:
    return {code: ErrorRule(kind, hint, fresh) for code in codes}


RULES: dict[str, ErrorRule] = {
    **_rules(CAPACITY_CODES, _POOL, _OTHER_POOL),
    **_rules(SPOT_QUOTA_CODES | {"VcpuLimitExceeded"}, _REGION, _QUOTA),
    **_rules({"InstanceLimitExceeded"}, _REGION, f"{_QUOTA}; terminated instances may count for some minutes"),
    **_rules({"SpotMaxPriceTooLow"}, _POOL, "remove the maximum price (the default maximum is the On-Demand price)"),
    **_rules({"Unsupported", "InvalidFleetConfiguration"}, _POOL, "this instance type is not offered in this zone"),
    **_rules({"EncryptedVolumesNotSupported"}, _POOL, "this instance type takes no encrypted volumes"),
    **_rules({"InsufficientFreeAddressesInSubnet"}, _AZ, "the subnet has no free address; use another subnet"),
    **_rules({"MaxSpotFleetRequestCountExceeded"}, _FATAL, "delete old Spot Fleet requests"),
    **_rules({"RequestResourceCountExceeded"}, _FATAL, "ask for fewer instances at once"),
    **_rules({"UnsupportedOperation"}, _FATAL, "architecture or boot mode of the image does not fit the instance type"),
    **_rules({"OptInRequired"}, _FATAL, "accept the terms of the image in AWS Marketplace, or activate the account"),
    **_rules({"PendingVerification"}, _FATAL, "AWS is still verifying the account; this can take some hours"),
    **_rules({"Blocked"}, _FATAL, "the account is blocked; contact AWS support"),
    **_rules(CREDENTIAL_CODES, _FATAL, "check the credentials and the clock of this machine"),
    **_rules({"AuthFailure.ServiceLinkedRoleCreationNotPermitted"}, _FATAL, SERVICE_LINKED_ROLE_HINT),
    **_rules(PERMISSION_CODES, _FATAL, "allow the action in the policy of the caller"),
    **_rules(CLOCK_CODES, _FATAL, _CLOCK),
    **_rules(EXPIRED_CODES, _FATAL, _LOGIN_AGAIN),
    **_rules(THROTTLING_CODES, _RETRY, "AWS limits the rate of calls; repeat the command in a minute"),
    **_rules(
        {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "ServerInternal"},
        _RETRY,
        "a fault inside AWS; repeat the command",
    ),
    **_rules({"ConcurrentSnapshotLimitExceeded", "SnapshotCreationPerVolumeRateExceeded"}, _RETRY, "wait 15 s or more"),
    **_rules({"ConcurrentTagAccess"}, _RETRY),
    **_rules({"IdempotentParameterMismatch", "IdempotentInstanceTerminated"}, _NEWTOKEN, "use a new client token"),
    **_rules({"InvalidClientToken"}, _FATAL, "a client token has at most 64 ASCII characters"),
    **_rules(
        {
            "InvalidParameterValue",
            "InvalidParameterCombination",
            "InvalidParameter",
            "MissingParameter",
            "UnknownParameter",
            "MalformedQueryString",
            "InvalidFleetConfig",
            "InvalidSpotFleetRequestConfig",
            # Not a code of AWS: botocore refuses to send the request.
            "ParamValidationError",
        },
        _FATAL,
    ),
    **_rules({"InvalidUserData.Malformed"}, _FATAL, "user data must be base64 and at most 16 KiB"),
    **_rules({"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"}, _FATAL, _WRONG_REGION),
    **_rules(
        {"InvalidKeyPair.NotFound", "InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound"},
        _FATAL,
        _WRONG_REGION,
        fresh=True,
    ),
    **_rules(
        {
            "InvalidLaunchTemplateName.NotFoundException",
            "InvalidLaunchTemplateId.NotFound",
            "InvalidLaunchTemplateId.VersionNotFound",
        },
        _FATAL,
        _WRONG_REGION,
        fresh=True,
    ),
    **_rules({"InvalidVolume.NotFound", "InvalidInstanceID.NotFound"}, _FATAL, _WRONG_REGION, fresh=True),
    **_rules(
        {
            "InvalidFleetId.NotFound",
            "InvalidSpotFleetRequestId.NotFound",
            "InvalidSpotInstanceRequestID.NotFound",
        },
        _FATAL,
        _WRONG_REGION,
        fresh=True,
    ),
    **_rules(
        {
            "InvalidGroupId.Malformed",
            "InvalidInstanceID.Malformed",
            "InvalidSubnetID.NotFound",
            "InvalidVpcID.NotFound",
        },
        _FATAL,
        _WRONG_REGION,
    ),
    **_rules({"InvalidKeyPair.Duplicate"}, _FATAL, "another key has this name; delete it or choose another name"),
    **_rules(
        {"InvalidGroup.Duplicate", "InvalidLaunchTemplateName.AlreadyExistsException"}, _FATAL, "use the existing one"
    ),
    **_rules({"IncorrectInstanceState", "IncorrectState", "IncorrectSpotRequestState"}, _WAIT),
    **_rules({"FleetNotInModifiableState", "IncorrectModificationState"}, _WAIT),
    **_rules({"VolumeModificationRateExceeded"}, _FATAL, "a volume can be modified again after some hours"),
    **_rules({"VolumeInUse"}, _WAIT, "the volume is still attached; detach it from the other instance"),
    **_rules({"InvalidVolume.ZoneMismatch"}, _FATAL, "use the volume's zone, or move the volume through a snapshot"),
    **_rules({"DependencyViolation"}, _WAIT, "something still uses it"),
    **_rules(
        {"AttachmentLimitExceeded", "VolumeLimitExceeded", "MaxIOPSLimitExceeded"}, _FATAL, "raise the quota of volumes"
    ),
    **_rules({"CustomerKeyHasBeenRevoked"}, _FATAL, "the KMS key must be enabled and its policy must allow the caller"),
    # EFS. Source: EFS API, errors of each action; EFS user guide, "Amazon EFS quotas".
    **_rules(
        {"IncorrectFileSystemLifeCycleState", "IncorrectMountTargetState", "FileSystemInUse", "DependencyTimeout"},
        _WAIT,
        "it is being changed; repeat the command in a minute",
    ),
    **_rules({"IpAddressInUse"}, _RETRY, "somebody took the address at the same moment; repeat the command"),
    **_rules(
        {"InternalServerError", "InsufficientThroughputCapacity"}, _RETRY, "a fault inside AWS; repeat the command"
    ),
    **_rules({"SecurityGroupNotFound"}, _FATAL, _WRONG_REGION, fresh=True),
    **_rules({"FileSystemNotFound", "MountTargetNotFound", "SubnetNotFound"}, _FATAL, _WRONG_REGION),
    **_rules({"AccessPointNotFound"}, _FATAL, _WRONG_REGION),
    **_rules({"FileSystemAlreadyExists", "AccessPointAlreadyExists"}, _FATAL, "use the existing one"),
    **_rules({"MountTargetConflict"}, _FATAL, "a file system has one mount target a zone, all of them in one VPC"),
    **_rules({"NoFreeAddressesInSubnet"}, _AZ, "the subnet has no free address; use another subnet"),
    **_rules({"UnsupportedAvailabilityZone", "AvailabilityZonesMismatch"}, _AZ, "EFS is not to be had in this zone"),
    **_rules(
        {"SecurityGroupLimitExceeded"},
        _FATAL,
        "a mount target has at most 5 security groups; take one off, or reuse it",
    ),
    **_rules(
        {"FileSystemLimitExceeded", "AccessPointLimitExceeded", "NetworkInterfaceLimitExceeded"},
        _FATAL,
        "delete what nobody needs, or ask for a larger quota (Service Quotas, Amazon Elastic File System)",
    ),
    **_rules({"ThroughputLimitExceeded"}, _FATAL, "lower provisioned_throughput, or use throughput_mode elastic"),
    **_rules({"TooManyRequests"}, _FATAL, "throughput may be changed or lowered once in 24 hours; wait, or leave it"),
    **_rules({"TagLimitExceeded"}, _FATAL, "a resource has at most 50 tags"),
    **_rules({"ResourceCountExceeded", "FilterLimitExceeded"}, _FATAL),
}

# Families of codes whose members are too many to list.
_PREFIX_RULES: tuple[tuple[str, ErrorRule], ...] = (
    ("KMS", ErrorRule(_FATAL, "the KMS key must be enabled and its policy must allow the caller")),
    ("AuthFailure.", ErrorRule(_FATAL, "check the credentials and the permissions of the caller")),
)
_UNKNOWN = ErrorRule(_FATAL)

# botocore raises these before or instead of an answer: class name -> (what is wrong, what to do).
_LOCAL_ERRORS: dict[str, tuple[str, str]] = {
    "NoCredentialsError": (
        "no AWS credentials found",
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run 'aws configure'",
    ),
    "PartialCredentialsError": (
        "the AWS credentials are not complete",
        "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose another AWS_PROFILE",
    ),
    "ProfileNotFound": (
        "the AWS profile does not exist",
        "correct AWS_PROFILE; 'aws configure list-profiles' lists those that exist",
    ),
    "UnauthorizedSSOTokenError": ("the AWS SSO session has expired", "run 'aws sso login' for this AWS_PROFILE"),
    "SSOTokenLoadError": ("there is no AWS SSO session", "run 'aws sso login' for this AWS_PROFILE"),
    "TokenRetrievalError": ("the AWS SSO session cannot be renewed", "run 'aws sso login' for this AWS_PROFILE"),
    "NoAuthTokenError": ("there is no AWS login token", "run 'aws sso login' for this AWS_PROFILE"),
    "LoginError": ("the AWS login session is not valid", "run 'aws login' for this AWS_PROFILE"),
    "SSOError": ("the AWS SSO session is not valid", "run 'aws sso login' for this AWS_PROFILE"),
    "CredentialRetrievalError": ("the AWS credentials cannot be read", "check the credential source of AWS_PROFILE"),
    "RefreshWithMFAUnsupportedError": ("these credentials need an MFA code", "get a session first, then repeat"),
    "NoRegionError": ("no AWS region is set", "set the region in the profile, or AWS_REGION"),
    "InvalidRegionError": ("the AWS region is not valid", "correct the region in the profile, or AWS_REGION"),
    "SSLError": ("the TLS connection to AWS failed", "check proxies and the CA bundle (AWS_CA_BUNDLE)"),
    "ProxyConnectionError": ("the proxy does not answer", "check HTTPS_PROXY and NO_PROXY"),
    "ReadTimeoutError": ("AWS did not answer in time", "check the network and repeat the command"),
    "ConnectionClosedError": ("AWS closed the connection", "check the network and repeat the command"),
    "EndpointConnectionError": (
        "the AWS endpoint cannot be reached",
        "check the network, the region and AWS_ENDPOINT_URL",
    ),
    "ConnectTimeoutError": ("the AWS endpoint cannot be reached", "check the network, the region and AWS_ENDPOINT_URL"),
    "HTTPClientError": ("the AWS endpoint cannot be reached", "check the network, the region and AWS_ENDPOINT_URL"),
    "ConnectionError": ("the AWS endpoint cannot be reached", "check the network, the region and AWS_ENDPOINT_URL"),
}
# Whether AWS acted or not is unknown after these.
_UNKNOWN_OUTCOME = frozenset({"HTTPClientError", "ConnectionError"})

# Actions outside EC2 that this collection calls; an answer of AWS names the operation but not the service.
_SERVICE_OF_OPERATION = {
    "CreateServiceLinkedRole": "iam",
    "DecodeAuthorizationMessage": "sts",
    "GetCallerIdentity": "sts",
    "GetInstanceProfile": "iam",
    "GetParameter": "ssm",
    "GetParameters": "ssm",
    "GetParametersByPath": "ssm",
    "GetProducts": "pricing",
    "GetServiceQuota": "servicequotas",
    "ListServiceQuotas": "servicequotas",
}
_ACTION_IN_MESSAGE = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")
_CALLER_IN_MESSAGE = re.compile(r"(arn:aws[a-z-]*:(?:iam|sts)::\d*:\S+)")
_ENCODED_IN_MESSAGE = "Encoded authorization failure message"
_INSTANCE_FAMILY = re.compile(r"^([a-z]+)[0-9-]")


def rule_of(code: str) -> ErrorRule:
    """Return the rule of an error code; an unknown code is FATAL without a hint.

    Args:
        code: A code such as ``InsufficientInstanceCapacity``; the prefixes ``Client.`` and ``Server.`` of state
            reasons are ignored.
    """
    plain = _plain(code)
    if plain in RULES:
        return RULES[plain]
    return next((rule for prefix, rule in _PREFIX_RULES if plain.startswith(prefix)), _UNKNOWN)


def is_known(code: str) -> bool:
    """Say whether the code has a rule; what has none is reported verbatim."""
    return rule_of(code) is not _UNKNOWN


def classify(code: str, *, fresh: bool = False) -> ErrorClass:
    """Return how to react to an error code.

    Args:
        code: The ``Error.Code`` of an answer, or an ``ErrorCode`` of a fleet's ``Errors``.
        fresh: True when the caller has just created what the call names: then "not found" means WAIT
            (EC2 is eventually consistent).

    Returns:
        The class; FATAL for a code that is not known.
    """
    rule = rule_of(code)
    return ErrorClass.WAIT if fresh and rule.fresh else rule.kind


def classify_error(error: BaseException, *, fresh: bool = False) -> ErrorClass:
    """Return how to react to an exception of botocore or amazon.aws.

    A lost connection, a timeout and an unknown code with HTTP status 5xx are RETRY: the outcome is unknown, so the
    same client token must be used again.
    """
    cause = cause_of(error)
    code = error_code(cause)
    if not code:
        return ErrorClass.RETRY if _is_unknown_outcome(cause) else ErrorClass.FATAL
    if not is_known(code) and _http_status(cause) >= 500:
        return ErrorClass.RETRY
    return classify(code, fresh=fresh)


def cause_of(error: BaseException) -> BaseException:
    """Return the botocore error inside an ``AnsibleAWSError``, or the error itself."""
    inner = getattr(error, "exception", None)
    return inner if isinstance(inner, BaseException) else error


def error_code(error: BaseException) -> str:
    """Return the code AWS answered with, or an empty string when there was no answer."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def error_message(error: BaseException) -> str:
    """Return AWS's message, or the text of the exception when there was no answer."""
    cause = cause_of(error)
    return _one_line(_answer(cause).get("Error", {}).get("Message") or str(cause))


def request_id(error: BaseException) -> str:
    """Return the request id of an answer, or an empty string."""
    answer = _answer(error)
    return str(answer.get("ResponseMetadata", {}).get("RequestId") or answer.get("RequestId") or "")


def quota_group(instance_type: str) -> QuotaGroup | None:
    """Return the quota group of an instance type such as ``g5.xlarge``, or None when it is not known."""
    match = _INSTANCE_FAMILY.match(instance_type)
    family = match.group(1) if match else ""
    return next((group for group in QUOTA_GROUPS if family in group.families), None)


def quota_hint(code: str, instance_types: Iterable[str] = ()) -> str:
    """Say which quota is exhausted and what to do.

    Args:
        code: A code of QUOTA_CODES; decides between the Spot and the On-Demand quotas.
        instance_types: The types that were asked for; without them all groups are named.
    """
    found = [quota_group(name) for name in instance_types]
    groups = [group for group in QUOTA_GROUPS if group in found] or list(QUOTA_GROUPS)
    spot = _plain(code) in SPOT_QUOTA_CODES
    names = ", ".join(_quota_name(group, spot) for group in groups)
    rule = rule_of(code)
    return f"{rule.hint or _QUOTA}; {'Spot' if spot else 'On-Demand'} quota: {names}"


def explain_code(code: str, message: str, *, instance_types: Iterable[str] = ()) -> str:
    """Return one line for a code and a message of AWS, with what to do after a semicolon.

    Args:
        code: The error code.
        message: AWS's own message.
        instance_types: The types asked for; used to name the right quota.
    """
    if _plain(code) in QUOTA_CODES:
        return f"{code}: {_one_line(message)}; {quota_hint(code, instance_types)}"
    hint = hint_of(code, message)
    return f"{code}: {_one_line(message)}" + (f"; {hint}" if hint else "")


def hint_of(code: str, message: str = "") -> str:
    """Return what to do about a code, or an empty string; the message adds a hint, it never decides."""
    if "service-linked role" in message.lower():
        return SERVICE_LINKED_ROLE_HINT
    return rule_of(code).hint


def explain(error: BaseException, action: str) -> str:
    """Return one clear line for an error of AWS: what failed, why, what to do.

    Args:
        error: An exception of botocore, or an ``AnsibleAWSError`` that holds one.
        action: What was tried, as an infinitive without "to", for instance ``create the fleet``.

    Returns:
        One line without a trailing full stop, for instance ``Could not create the fleet: no permission for
        ec2:CreateFleet; …``. Authorization messages are not decoded and not shown.
    """
    return f"Could not {action}: {reason_of(error)}"


def reason_of(error: BaseException) -> str:
    """Return why an error of AWS happened and what to do, in one line: ``explain`` without what was tried."""
    cause = cause_of(error)
    code = error_code(cause)
    return _one_line(_explain_answer(cause, code) if code else _explain_local(cause))


def _explain_answer(error: BaseException, code: str) -> str:
    plain, message = _plain(code), error_message(error)
    suffix = f" (RequestId {request_id(error)})" if request_id(error) else ""
    if plain in PERMISSION_CODES:
        return f"{no_permission(message, denied_action(error))}{suffix}"
    if plain in EXPIRED_CODES:
        # Source: EC2 API, error code RequestExpired: credentials that have expired, or, more rarely, a wrong clock.
        clock = "; if they are new, set the clock of this machine (NTP)" if plain == "RequestExpired" else ""
        return f"the AWS credentials have expired ({code}); {_LOGIN_AGAIN}{clock}"
    if plain in CLOCK_CODES:
        return f"AWS refused the signature ({code}: {message}); {_CLOCK}"
    if plain in CREDENTIAL_CODES:
        return f"AWS refused the credentials ({code}: {message}); {rule_of(code).hint}"
    return f"{explain_code(code, message)}{suffix}"


def _explain_local(error: BaseException) -> str:
    names = _class_names(error)
    # The most special class comes first in the method resolution order.
    known = next((_LOCAL_ERRORS[name] for name in names if name in _LOCAL_ERRORS), None)
    detail = _one_line(str(error)) or type(error).__name__
    if known is None:
        return detail
    if "NoCredentialsError" in names:
        return f"{known[0]}; {known[1]}"
    return f"{known[0]} ({detail}); {known[1]}"


def no_permission(message: str, action: str) -> str:
    """Return one line that names the action that was denied.

    Args:
        message: AWS's message; when it names an action or the caller, these are used.
        action: What was called, such as ``ec2:CreateFleet``.
    """
    named, caller = _ACTION_IN_MESSAGE.search(message), _CALLER_IN_MESSAGE.search(message)
    who = f" for {caller.group(1)}" if caller else ""
    denied = named.group(1) if named else action
    return f"no permission: {denied} is not allowed{who}; {rule_of('UnauthorizedOperation').hint}"


def plain_message(message: str) -> str:
    """Return AWS's message without the encoded authorization failure, which is long and means nothing to people."""
    return _one_line(message.split(_ENCODED_IN_MESSAGE, 1)[0])


def denied_action(error: BaseException) -> str:
    """Return the action that was denied, such as ``ec2:CreateFleet``.

    AWS may name another action than the one called (``iam:PassRole`` for CreateFleet); then that one is returned.
    """
    cause = cause_of(error)
    named = _ACTION_IN_MESSAGE.search(error_message(cause))
    if named:
        return named.group(1)
    operation = str(getattr(cause, "operation_name", "") or "this operation")
    return f"{_SERVICE_OF_OPERATION.get(operation, 'ec2')}:{operation}"


def _answer(error: BaseException) -> dict[str, Any]:
    response = getattr(cause_of(error), "response", None)
    return response if isinstance(response, dict) else {}


def _http_status(error: BaseException) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def _is_unknown_outcome(error: BaseException) -> bool:
    names = _class_names(error)
    # A certificate that is refused stays refused.
    return "SSLError" not in names and not _UNKNOWN_OUTCOME.isdisjoint(names)


def _class_names(error: BaseException) -> dict[str, None]:
    """Names of the classes of an error, most special first (a dict keeps the order)."""
    return dict.fromkeys(cls.__name__ for cls in type(error).__mro__)


def _quota_name(group: QuotaGroup, spot: bool) -> str:
    code = group.spot if spot else group.on_demand
    return f"{group.name} {code}".rstrip()


def _plain(code: str) -> str:
    for prefix in ("Client.", "Server."):
        if code.startswith(prefix):
            return code[len(prefix) :]
    return code


def _one_line(text: str) -> str:
    return " ".join(str(text).split()).rstrip(".")
