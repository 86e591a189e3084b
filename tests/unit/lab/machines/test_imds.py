"""The protocol of IMDSv2, spoken over a real socket."""

from __future__ import annotations

import http.client
from dataclasses import replace

import pytest
from lab_views import view

from lab.aws.machines import MetadataOptions, Notices
from lab.machines import imds

REQUIRED = MetadataOptions(http_tokens="required")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """One machine on 127.0.0.1; its view can be changed while it runs."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.view = view(metadata_options=REQUIRED)
        service = imds.Service(lambda _address: self.view, lambda _id: Notices(), imds.Tokens(self.clock))
        self.server = imds.serve(("127.0.0.1", 0), service)

    def ask(self, method: str, path: str, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=10)
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer

    def token(self, seconds: int = 60) -> str:
        return self.ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=str(seconds))[1]

    def get(self, path: str = "/latest/meta-data/instance-id", token: str | None = None) -> int:
        headers = {} if token is None else {"X_aws_ec2_metadata_token": token}
        return self.ask("GET", path, **headers)[0]


@pytest.fixture
def caller():
    found = Caller()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_token_opens_the_door(caller):
    token = caller.token()
    assert len(token) == 56
    assert caller.get(token=token) == 200


def test_required_means_401_without_and_with_a_wrong_token(caller):
    assert caller.get() == 401
    assert caller.get(token="guessed") == 401


def test_optional_needs_no_token_but_refuses_a_wrong_one(caller):
    caller.view = view(metadata_options=MetadataOptions(http_tokens="optional"))
    assert caller.get() == 200
    assert caller.get(token="guessed") == 401


def test_a_token_is_one_instances(caller):
    token = caller.token()
    caller.view = replace(caller.view, instance_id="i-0ffffffffffffffff")
    assert caller.get(token=token) == 401


def test_a_token_ends(caller):
    token = caller.token(60)
    caller.clock.now = 61.0
    assert caller.get(token=token) == 401


@pytest.mark.parametrize("ttl", ["0", "21601", "x", "-1", ""])
def test_a_bad_lifetime_is_400(caller, ttl):
    status, _, _ = caller.ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=ttl)
    assert status == 400


def test_no_lifetime_is_400(caller):
    assert caller.ask("PUT", "/latest/api/token")[0] == 400


def test_a_forwarded_request_gets_no_token(caller):
    # Source: EC2 User Guide: PUT requests that contain X-Forwarded-For are rejected
    headers = {"X_aws_ec2_metadata_token_ttl_seconds": "60", "X_Forwarded_For": "198.51.100.1"}
    assert caller.ask("PUT", "/latest/api/token", **headers)[0] == 403


def test_a_disabled_endpoint_is_403(caller):
    caller.view = view(metadata_options=MetadataOptions(http_endpoint="disabled"))
    assert caller.get() == 403
    assert caller.ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")[0] == 403


def test_a_stranger_gets_nothing(caller):
    caller.view = None
    assert caller.get() == 404


def test_no_notice_is_404(caller):
    assert caller.get("/latest/meta-data/spot/instance-action", caller.token()) == 404


def test_changes_show_at_once(caller):
    token = caller.token()
    caller.view = replace(caller.view, public_ip="198.18.0.77")
    status, body, _ = caller.ask("GET", "/latest/meta-data/public-ipv4", X_aws_ec2_metadata_token=token)
    assert (status, body) == (200, "198.18.0.77")


def test_hop_limit_does_not_reach_later_answers(caller):
    _, _, answer = caller.ask("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")
    assert answer.getheader("Connection") == "close"
