from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.caller import VARIABLE, caller_cidr
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import ProfileError

AUTO: dict[str, Any] = {"ssh_cidr": "auto", "allow_any_cidr": False, "address": "public"}


def never() -> str:
    raise AssertionError("nobody is asked")


def test_the_profile_comes_first_then_the_environment() -> None:
    assert caller_cidr({**AUTO, "ssh_cidr": "10.0.0.0/8"}, {VARIABLE: "1.2.3.4/32"}, never) == "10.0.0.0/8"
    assert caller_cidr(AUTO, {VARIABLE: "1.2.3.4"}, never) == "1.2.3.4/32"
    assert caller_cidr(AUTO, {}, None) is None
    assert caller_cidr(AUTO, {VARIABLE: ""}, lambda: "203.0.113.7\n") == "203.0.113.7/32"


@pytest.mark.parametrize("answer", ["", "<html>", "2001:db8::1", "1.2.3.4/0", "0.0.0.0/0"])
def test_an_answer_that_is_no_address(answer: str) -> None:
    with pytest.raises(ProfileError, match=r"no IPv4 address; set access.ssh_cidr \(or the environment variable"):
        caller_cidr(AUTO, {}, lambda: answer)


def test_no_answer() -> None:
    def fail() -> str:
        raise TimeoutError("timed out")

    with pytest.raises(ProfileError, match=r"did not tell your address \(timed out\); set access.ssh_cidr"):
        caller_cidr(AUTO, {}, fail)


@pytest.mark.parametrize("given", ["0.0.0.0/0", "home"])
def test_a_wrong_environment_variable(given: str) -> None:
    with pytest.raises(ProfileError, match=f"environment: {VARIABLE}: "):
        caller_cidr(AUTO, {VARIABLE: given}, never)


def test_the_public_address_is_of_no_use_for_private_addresses() -> None:
    with pytest.raises(ProfileError, match=r"set access\.ssh_cidr"):
        caller_cidr({**AUTO, "address": "private"}, {}, never)
