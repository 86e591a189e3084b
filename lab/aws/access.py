"""Who may call: known keys, tokens that have not expired, actions that are not denied."""

from __future__ import annotations

import fnmatch
import hmac
from xml.sax.saxutils import escape

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.iam.models import iam_backends

from lab.aws.calls import Call
from lab.aws.config import OPT_IN_REGIONS
from lab.aws.world import World

EXPIRED = "ASIAEXPIRED"  # an access key id that starts so belongs to a session that is over
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
Problem = tuple[str, str, int]  # code, message, HTTP status

# protocol -> error of an unknown key / of an expired session. Source: [ERR] AuthFailure, RequestExpired; STS, SSM API
# common errors.
UNKNOWN: dict[str, Problem] = {
    "ec2": ("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
    "query": ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    "json": ("UnrecognizedClientException", "The security token included in the request is invalid.", 400),
    "rest": ("UnrecognizedClientException", "The security token included in the request is invalid.", 403),
}
OVER: dict[str, Problem] = {
    "ec2": ("RequestExpired", "Request has expired.", 400),
    "query": ("ExpiredToken", "The security token included in the request is expired", 403),
    "json": ("ExpiredTokenException", "The security token included in the request is expired", 400),
    "rest": ("ExpiredTokenException", "The security token included in the request is expired", 403),
}
WRONG: dict[str, Problem] = {**UNKNOWN, "query": ("SignatureDoesNotMatch", MISMATCH, 403),
                             "json": ("InvalidSignatureException", MISMATCH, 400)}  # fmt: skip
CHECKED = ("ec2", "sts", "ssm", "iam", "pricing", "servicequotas")  # S3 signs its paths in another way
MISSING: Problem = ("MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def check(world: World, call: Call) -> Problem | None:
    """What is wrong with the caller, or None."""
    if not call.signed:
        return MISSING
    if call.access_key.startswith(EXPIRED):
        return OVER[call.protocol]
    # A region that is not enabled answers as if it did not know the key. Source: AWS re:Post, "AuthFailure"; a region
    # that does not exist has no address there, here its signature is not accepted.
    if call.service in CHECKED and (call.region in OPT_IN_REGIONS or call.region not in RegionsAndZonesBackend.zones):
        return UNKNOWN[call.protocol]
    secret = world.config.access_keys.get(call.access_key)
    if secret is None and not _issued(world, call.access_key):
        return UNKNOWN[call.protocol]
    if secret is not None and not signed_with(secret, call):
        return WRONG[call.protocol]
    return denied(world, call)


def signed_with(secret: str, call: Call) -> bool:
    """Whether the request's signature is the one this secret makes. Source: AWS Signature Version 4."""
    if call.service not in CHECKED:
        return True
    auth = SigV4Auth(Credentials(call.access_key, secret), call.service, call.region)
    request = AWSRequest(call.method, call.url, data=call.body, headers=call.signed_headers)
    request.context["timestamp"] = call.signed_headers.get("x-amz-date", "")
    canonical = auth.canonical_request(request)
    return hmac.compare_digest(auth.signature(auth.string_to_sign(request, canonical), request), call.signature)


def _issued(world: World, access_key: str) -> bool:
    """Keys and sessions that were made through the API."""
    backend = iam_backends[world.config.account_id]["aws"]
    return access_key in backend.access_keys or access_key.startswith("ASIA")


def denied(world: World, call: Call) -> Problem | None:
    """A denied action, in the words of the service. Source: [ERR] UnauthorizedOperation; IAM User Guide, messages."""
    if not _is_denied(world, call.action):
        return None
    user = f"arn:aws:iam::{world.config.account_id}:user/{world.config.user_name}"
    reason = f"User: {user} is not authorized to perform: {call.service}:{call.action}"
    if call.protocol == "ec2":
        message = (
            f"You are not authorized to perform this operation. {reason} on resource: "
            f"arn:aws:ec2:{call.region}:{world.config.account_id}:* because no identity-based policy "
            f"allows the {call.service}:{call.action} action. Encoded authorization failure message: bGFiLWRlbmllZA"
        )
        return ("UnauthorizedOperation", message, 403)
    code = "AccessDenied" if call.protocol == "query" else "AccessDeniedException"
    return (
        code,
        f"{reason} because no identity-based policy allows the action",
        400 if code != "AccessDenied" else 403,
    )


def simulation(world: World, call: Call) -> bytes:
    """IAM API SimulatePrincipalPolicy, which moto lacks: what is not denied is allowed."""
    names = [value for key, value in sorted(call.form.items()) if key.startswith("ActionNames.member.")]
    told = {name: "implicitDeny" if _is_denied(world, name.split(":")[-1]) else "allowed" for name in names}
    results = "".join(
        f"<member><EvalActionName>{escape(name)}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{decision}</EvalDecision></member>"
        for name, decision in told.items()
    )
    result = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
    inner = f"<SimulatePrincipalPolicyResult>{result}</SimulatePrincipalPolicyResult>"
    space = "https://iam.amazonaws.com/doc/2010-05-08/"
    return f'<SimulatePrincipalPolicyResponse xmlns="{space}">{inner}</SimulatePrincipalPolicyResponse>'.encode()


def _is_denied(world: World, action: str) -> bool:
    return any(fnmatch.fnmatch(action, pattern) for pattern in world.denied)


def install(world: World) -> None:
    """The lab's keys belong to one IAM user, so that GetCallerIdentity can say who it is."""
    config = world.config
    backend = iam_backends[config.account_id]["aws"]
    if config.user_name not in backend.users:
        backend.create_user(config.region, config.user_name)
    user = backend.users[config.user_name]
    for access_key, secret in config.access_keys.items():
        key = backend.create_access_key(config.user_name)
        backend.access_keys.pop(key.access_key_id, None)
        key.access_key_id, key.secret_access_key = access_key, secret
        backend.access_keys[access_key] = key
    assert all(k in [x.access_key_id for x in user.access_keys] for k in config.access_keys)
