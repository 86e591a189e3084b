"""DetachVolume and the webhook on the wire: signatures against botocore and against an API that checks them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.serving import make_server

from ansible_collections.experiments.spot.plugins.module_utils._notice import ec2
from ansible_collections.experiments.spot.plugins.module_utils._notice.ec2 import ApiError, Caller
from ansible_collections.experiments.spot.plugins.module_utils._notice.imds import Imds, ImdsError
from lab.aws.app import create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines
from tests.unit.wire import DROP, Wire, error, xml

NOON = 1767268800.0
ROLE = "/latest/meta-data/iam/security-credentials/"


def caller(url: str, token: str = "session") -> Caller:
    return Caller(url, "us-east-1", ACCESS_KEY, SECRET_KEY, token)


@pytest.mark.parametrize("token", ["", "session"])
@pytest.mark.parametrize("url", ["https://ec2.us-east-1.amazonaws.com", "http://127.0.0.1:8080", "http://[::1]:80"])
def test_signature_is_that_of_botocore(url: str, token: str) -> None:
    body = "Action=DetachVolume&VolumeId=vol-1&Version=2016-11-15"
    ours = ec2.signed_headers(caller(url, token), body, NOON)
    given = {name: text for name, text in ours.items() if name != "authorization"}
    request = AWSRequest("POST", f"{url}/", data=body, headers=given)
    request.context["timestamp"] = ours["x-amz-date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, token or None), "ec2", "us-east-1")
    canonical = auth.canonical_request(request)
    assert ours["authorization"].endswith(
        f"Signature={auth.signature(auth.string_to_sign(request, canonical), request)}"
    )


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(NullMachines(), Config()), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


def test_detach_against_an_api_that_checks_signatures(api: str) -> None:
    client: Any = boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=api,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    (instance,) = client.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"]
    client.get_waiter("instance_running").wait(InstanceIds=[instance["InstanceId"]])
    zone = instance["Placement"]["AvailabilityZone"]
    volume_id = client.create_volume(AvailabilityZone=zone, Size=1, VolumeType="gp3")["VolumeId"]
    client.get_waiter("volume_available").wait(VolumeIds=[volume_id])
    client.attach_volume(VolumeId=volume_id, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    now = time.time()
    ec2.detach_volume(caller(api, ""), volume_id, instance["InstanceId"], now)
    client.get_waiter("volume_available").wait(VolumeIds=[volume_id])
    ec2.detach_volume(caller(api, ""), volume_id, instance["InstanceId"], now)
    with pytest.raises(ApiError, match="AuthFailure"):
        ec2.detach_volume(Caller(api, "us-east-1", ACCESS_KEY, "wrong", ""), volume_id, "", now)


def test_what_is_asked() -> None:
    with Wire() as wire:
        wire.script("DetachVolume", xml("<status>detaching</status>"))
        ec2.detach_volume(caller(wire.url), "vol-1", "i-1", NOON)
        ec2.detach_volume(caller(wire.url), "vol-1", "", NOON)
    assert wire.of("DetachVolume") == [
        {"Version": "2016-11-15", "VolumeId": "vol-1", "InstanceId": "i-1"},
        {"Version": "2016-11-15", "VolumeId": "vol-1"},
    ]


@pytest.mark.parametrize(
    ("reply", "text", "passes"),
    [
        (
            error("UnauthorizedOperation", "You may not. Encoded authorization failure message: c2VjcmV0", 403),
            "UnauthorizedOperation: You may not.",
            False,
        ),
        (error("RequestLimitExceeded", "slow", 503), "RequestLimitExceeded: slow", True),
        (error("InvalidVolume.NotFound", "none", 400), "InvalidVolume.NotFound: none", False),
        (error("IncorrectState", "Volume is in the creating state"), "IncorrectState: Volume is in the", False),
        (DROP, "127.0.0.1: no answer in time|127.0.0.1: no usable HTTP|127.0.0.1", True),
    ],
)
def test_refusals(reply: Any, text: str, passes: bool) -> None:
    with Wire() as wire:
        wire.script("DetachVolume", reply)
        with pytest.raises(ApiError, match=text) as refused:
            ec2.detach_volume(caller(wire.url), "vol-1", "i-1", NOON)
    assert refused.value.passes is passes and "c2VjcmV0" not in str(refused.value)


def test_detached_already_is_fine() -> None:
    with Wire() as wire:
        wire.script("DetachVolume", error("IncorrectState", "Volume 'vol-1' is in the 'available' state."))
        ec2.detach_volume(caller(wire.url), "vol-1", "i-1", NOON)


def test_credentials_of_the_role(service: Any) -> None:
    imds = Imds(service.url)
    assert ec2.caller_of(imds, None, None) is None
    service.answers[ROLE] = "worker"
    service.answers[f"{ROLE}worker"] = json.dumps({"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T"})
    service.answers["/latest/meta-data/placement/region"] = "cn-north-1"
    service.answers["/latest/meta-data/services/domain"] = "amazonaws.com.cn"
    assert ec2.caller_of(imds, None, None) == Caller(
        "https://ec2.cn-north-1.amazonaws.com.cn", "cn-north-1", "A", "S", "T"
    )
    assert ec2.caller_of(imds, "eu-west-1", "http://x:1/") == Caller("http://x:1", "eu-west-1", "A", "S", "T")
    for damaged in ("", "[]", '{"Code": "Failed"}'):
        service.answers[f"{ROLE}worker"] = damaged
        with pytest.raises(ImdsError):
            ec2.caller_of(imds, None, None)


def test_webhook(service: Any) -> None:
    with pytest.raises(ApiError, match="status 401"):
        ec2.tell(f"{service.url}/hook?key=hunter2", {"a": 1})
    assert service.asked == [("POST", "/hook?key=hunter2")]
    service.fault = "drop"
    with pytest.raises(ApiError) as refused:
        ec2.tell(f"{service.url}/hook?key=hunter2", {"a": 1})
    assert "hunter2" not in str(refused.value)
