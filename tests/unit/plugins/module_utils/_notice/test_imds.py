"""The metadata service over real HTTP: tokens, faults, and that no proxy is used."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice.imds import (
    ENDPOINT,
    ENDPOINT_VARIABLE,
    TOKEN_HEADER,
    Imds,
    ImdsError,
    endpoint,
)

PATH = "spot/instance-action"
FULL = f"/latest/meta-data/{PATH}"


def test_where_it_is() -> None:
    assert endpoint(None, {}) == ENDPOINT
    assert endpoint("http://127.0.0.1:9/", {}) == "http://127.0.0.1:9"
    assert endpoint("http://a", {ENDPOINT_VARIABLE: "http://[fd00:ec2::254]"}) == "http://[fd00:ec2::254]"


def test_nothing_is_no_error_and_something_is_its_text(service: Any) -> None:
    imds = Imds(service.url)
    assert imds.get(PATH).status == 404 and imds.text(PATH) is None
    service.answers[FULL] = " x \n"
    assert imds.text(PATH) == "x"
    assert service.puts() == 1, "one token for all"
    assert [headers.get(TOKEN_HEADER) is None for headers in service.headers] == [True, False, False, False]


def test_token_is_renewed_before_it_expires(service: Any) -> None:
    now = [100.0]
    service.ttl = 300
    imds = Imds(service.url, lambda: now[0])
    imds.get(PATH)
    now[0] += 239
    imds.get(PATH)
    assert service.puts() == 1
    now[0] += 2
    imds.get(PATH)
    assert service.puts() == 2


def test_refused_token_is_renewed_once(service: Any) -> None:
    imds = Imds(service.url)
    imds.get(PATH)
    service.tokens.clear()
    service.answers[FULL] = "x"
    assert imds.text(PATH) == "x" and service.puts() == 2


def test_a_service_that_refuses_every_token_is_a_fault(service: Any) -> None:
    imds = Imds(service.url)
    imds.get(PATH)
    service.fault = 401
    with pytest.raises(ImdsError, match="no token, status 401"):
        imds.get(PATH)
    assert service.asked[-1][0] == "PUT" and len(service.asked) == 4, "asked once more, not for ever"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (500, "status 500"),
        (503, "status 503"),
        (403, "status 403"),
        ("hang", "no answer"),
        ("drop", "."),
        ("noise", "."),
    ],
)
@pytest.mark.parametrize("with_token", [True, False])
@pytest.mark.slow
def test_faults(service: Any, fault: Any, text: str, with_token: bool) -> None:
    imds = Imds(service.url)
    if with_token:
        imds.get(PATH)
    service.fault = fault
    with pytest.raises(ImdsError, match=text) as first:
        imds.get(PATH)
    with pytest.raises(ImdsError) as second:
        imds.get(PATH)
    assert str(first.value) == str(second.value), "told once, so it must read the same"
    service.fault = ""
    assert imds.get(PATH).status == 404


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ImdsError, match="refused"):
        Imds(f"http://127.0.0.1:{port}").get(PATH)


def test_proxies_are_not_used(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert Imds(service.url).get(PATH).status == 404


def test_time_of_aws_comes_with_each_answer(service: Any) -> None:
    imds = Imds(service.url)
    service.offset = 7200.0
    date = imds.get(PATH).date
    assert date is not None
    service.date = None
    assert imds.get(PATH).date is None


def test_endless_answer_is_cut(service: Any) -> None:
    service.answers[FULL] = "x" * 200_000
    assert len(Imds(service.url).get(PATH).body) == 65536
