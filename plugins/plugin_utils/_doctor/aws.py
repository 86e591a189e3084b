# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What AWS says: reachable, at what time, to whom, with which quotas, about a profile. PRIVATE to the collection."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.error import HTTPError

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._experiment import api, reads, survey
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import calls
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients

from . import rights
from .check import FAILED, OK, WARNING, Check, skipped, split

Resource = dict[str, Any]

NETWORK, CLOCK, CREDENTIALS, QUOTAS = "network to AWS", "clock", "credentials", "quotas"
PERMISSIONS = "permissions"
NEEDS_CREDENTIALS = (PERMISSIONS, QUOTAS)
# AWS refuses a signature that is 5 minutes off. Source: IAM user guide, "Troubleshoot Signature Version 4".
WRONG_S, ODD_S = 290, 60
GPU_GROUPS = ("G and VT", "P")


def reach(url: str, get: Callable[[str], Mapping[str, str]], now: Callable[[], datetime]) -> list[Check]:
    """Whether the endpoint answers, and what time it is there.

    Args:
        url: the endpoint.
        get: asks it and returns the headers of the answer; raises OSError when there is none.
        now: the time here (UTC).
    """
    try:
        headers = get(url)
    except HTTPError as error:  # Any answer is one.
        headers = dict(error.headers.items())
    except OSError as error:
        what = f"{url} cannot be reached ({getattr(error, 'reason', None) or error})"
        todo = "check the network, the proxy (HTTPS_PROXY), the region and AWS_ENDPOINT_URL"
        return [Check(NETWORK, FAILED, what, todo), *skipped([CLOCK], "AWS does not answer")]
    named = {name.lower(): value for name, value in headers.items()}
    return [Check(NETWORK, OK, f"{url} answers"), clock(named.get("date"), now())]


def clock(date: str | None, now: datetime) -> Check:
    """Whether the clock here goes as that of AWS does."""
    try:
        there = email.utils.parsedate_to_datetime(date or "")
    except ValueError:
        return skipped([CLOCK], "the answer has no date")[0]
    off = round((now - there).total_seconds())
    found = f"{abs(off)} s {'ahead of' if off > 0 else 'behind'} AWS" if abs(off) > 1 else "as that of AWS"
    result = FAILED if abs(off) > WRONG_S else WARNING if abs(off) > ODD_S else OK
    return Check(CLOCK, result, found, "" if result == OK else "set the clock of this machine (NTP)")


def identity(clients: Clients) -> tuple[Check, str]:
    """Who the credentials are, and the ARN, '' when they do not work."""
    try:
        found = api.caller_identity(clients("sts"))
    except api.ApiError as error:
        return split(CREDENTIALS, FAILED, _aws_errors.reason_of(error.error)), ""
    arn = str(found["Arn"])
    if arn.endswith(":root"):
        return Check(CREDENTIALS, WARNING, arn, "use a role or a user instead of the root of the account"), arn
    return Check(CREDENTIALS, OK, arn), arn


def permissions(clients: Clients, arn: str) -> Iterator[Check]:
    """Which of the needed actions are allowed."""
    try:
        told = rights.rights(clients("ec2"), lambda: clients("iam"), arn)
    except api.ApiError as error:
        yield split(PERMISSIONS, FAILED, _aws_errors.explain(error.error, f"ask for {error.action}"))
    else:
        yield from rights.checks(told)


@calls("servicequotas:ListServiceQuotas")
def quota_values(quotas: Any) -> dict[str, float]:
    """Code -> value of the EC2 quotas. Source: Service Quotas API ListServiceQuotas."""
    found = api.pages(quotas, "list_service_quotas", "Quotas", ServiceCode="ec2")
    return {one["QuotaCode"]: float(one["Value"]) for one in found if "Value" in one}


def quotas(clients: Clients) -> Iterator[Check]:
    """The vCPU quotas of both markets."""
    try:
        values = quota_values(clients("service-quotas"))
    except api.ApiError as error:
        yield split(QUOTAS, WARNING, _aws_errors.explain(error.error, "read the quotas"))
        return
    for market in ("Spot", "On-Demand"):
        codes = {one.name: one.spot if market == "Spot" else one.on_demand for one in _aws_errors.QUOTA_GROUPS}
        yield market_quota(market, {name: (code, values[code]) for name, code in codes.items() if code in values})


def market_quota(market: str, known: Mapping[str, tuple[str, float]]) -> Check:
    """The quotas of one market: group -> code and vCPUs. A new account has none for GPUs."""
    check = f"quota {market}"
    if not known:
        return Check(check, WARNING, "AWS names none", "look at Service Quotas, Amazon EC2")
    found = "vCPUs: " + ", ".join(f"{name} {value:g}" for name, (_code, value) in known.items())
    none = [f"{name} ({code})" for name, (code, value) in known.items() if not value]
    everything = len(none) == len(known)
    gpus = [one for one in none if one.startswith(GPU_GROUPS)]
    todo = f"ask Service Quotas for more of {', '.join(none if everything else gpus)} before you launch them"
    return Check(check, FAILED if everything else WARNING if gpus else OK, found, todo if everything or gpus else "")


def plan(clients: Clients, name: str, profile: Resource, experiment: str) -> Iterator[Check]:
    """What AWS says to a profile: images, types, zones, quotas, what it names; nothing is made."""
    check = f"profile {name} at AWS"
    params: Resource = {
        "experiment": experiment,
        "caller_cidr": None,
        "leaving_instance_ids": [],
        "try_region": "",
        "tags": {},
        "cache": False,
    }
    try:
        made = survey.make(clients, profile, params)
    except survey.ProblemsFound as error:
        yield from (split(check, FAILED, line) for line in error.problems)
    except reads.ReadError as error:
        yield from (split(check, FAILED, line) for line in error.lines)
    else:
        pools = made["all_pools"]
        yield Check(check, OK, f"can be launched in {made['region']}, {len(pools)} pools")
        yield from (Check(check, WARNING, line) for line in [*made.get("notes", []), *made["left_out"]])
