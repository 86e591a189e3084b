# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The addresses that may log in: as the profile says, as the environment says, or the address seen by the world."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from .problem import Problem, ProfileError
from .rules import cidr

VARIABLE = "EXPERIMENTS_SPOT_SSH_CIDR"
# AWS's own service, the one that its documentation of security groups names.
URL = "https://checkip.amazonaws.com"
TIMEOUT = 5  # seconds

_TODO = f"set access.ssh_cidr (or the environment variable {VARIABLE}) to your address, such as 203.0.113.7/32"


def caller_cidr(
    access: Mapping[str, Any], environ: Mapping[str, str], ask: Callable[[], str] | None = None
) -> str | None:
    """The network that the security group lets in.

    Args:
        access: Section of the normalised profile.
        environ: Environment variables.
        ask: Returns what the address service answers; without it nobody is asked.

    Returns:
        An IPv4 network such as 203.0.113.7/32; None when it is not known and nobody may be asked.

    Raises:
        ProfileError: When the answer is of no use.
    """
    if access["ssh_cidr"] != "auto":
        return str(access["ssh_cidr"])
    given = environ.get(VARIABLE, "").strip()
    if given:
        return _from_environment(given, bool(access["allow_any_cidr"]))
    if ask is None:
        return None
    if access["address"] == "private":
        raise _error("your public address is not the one that instances see at their private address")
    try:
        answer = ask().strip()
    except OSError as error:  # URLError and its like
        raise _error(f"{URL} did not tell your address ({error})") from error
    try:
        return f"{ipaddress.IPv4Address(answer)}/32"
    except ValueError:
        raise _error(f"{URL} answered {answer[:40]!r}, which is no IPv4 address") from None


def _from_environment(given: str, allow_any: bool) -> str:
    try:
        return cidr(given, allow_any)
    except ValueError as error:
        what, _sep, todo = str(error).partition("; ")
        raise ProfileError([Problem("environment", VARIABLE, what, todo, given)]) from None


def _error(what: str) -> ProfileError:
    return ProfileError([Problem("profile", "access.ssh_cidr", what, _TODO, "auto")])
