# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looks whether a launch can work from here; documentation in modules/doctor.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.release import __version__ as ansible_version

from ..plugin_utils._doctor import controller
from ..plugin_utils._doctor.check import FAILED, OK, WARNING, Check, attempt, skipped, split
from ..plugin_utils._profile.caller import caller_cidr
from ..plugin_utils._profile.problem import Problem, ProfileError
from . import profile

# A controller without amazon.aws or boto3 is told so, and everything else is looked at all the same.
try:
    from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

    from ..module_utils import _aws_errors
    from ..module_utils._experiment.api import ApiError
    from ..module_utils._experiment.connection import Clients
    from ..plugin_utils._aws import Caller
    from ..plugin_utils._doctor import aws
except ImportError:
    AWS_IS_THERE = False
else:
    AWS_IS_THERE = controller.library("boto3") is not None

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 5  # seconds
SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "default": ""},
    "dirs": {"type": "list", "elements": "path", "default": [], "aliases": ["profiles_dir"]},
    "experiment": {"type": "str", "default": ""},
}
ANY_ACCESS = {"ssh_cidr": "auto", "allow_any_cidr": False, "address": "public"}
ADDRESS, AT_AWS = "address of this machine", "AWS"
ALL_OF_AWS = ("network to AWS", "clock", "credentials", "permissions", "quotas")


class ActionModule(profile.ActionModule):
    """Looks at everything and changes nothing; what is wrong is a line of the answer and never an error."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a line for each check; see the documentation of the module."""
        result: dict[str, Any] = super(profile.ActionModule, self).run(tmp, task_vars)
        more = aws_argument_spec() if AWS_IS_THERE else {"region": {"type": "str"}}
        _valid, args = self.validate_argument_spec(argument_spec={**more, **SPEC})
        found, wrong = self._read(args, task_vars or {})
        checks = [
            *attempt("software", lambda: controller.software(ROOT, ansible_version)),
            *attempt("programs", controller.programs),
            *attempt("folder for keys", lambda: controller.keys(os.environ)),
            *wrong,
            *attempt(ADDRESS, lambda: address(found.get("profile", {}).get("access", ANY_ACCESS))),
            *attempt(AT_AWS, lambda: of_aws(args, found)),
        ]
        counts = {name: sum(one.result == name for one in checks) for name in (OK, WARNING, FAILED, "skipped")}
        return {
            **result,
            "changed": False,
            "checks": [{**asdict(one), "text": one.text} for one in checks],
            "counts": counts,
        }

    def _read(self, args: dict[str, Any], variables: dict[str, Any]) -> tuple[dict[str, Any], list[Check]]:
        """The profile as the action of this name returns it, {} without one, and lines about its mistakes."""
        if not args["name"]:
            return {}, []
        check = f"profile {args['name']}"
        wanted = {name: args.get(name, option.get("default")) for name, option in profile.SPEC.items()}
        try:
            found = self._profile(wanted, variables)
        except ProfileError as error:
            return {}, [mistake(check, one) for one in error.problems]
        except Exception as error:
            return {}, [split(check, FAILED, f"cannot be read ({error})")]
        return found, [Check(check, OK, found["file"])]


def mistake(check: str, problem: Problem) -> Check:
    """A line about one mistake of a profile."""
    what, todo = (text.partition("\n")[0] for text in (problem.what, problem.todo))  # without the list of all profiles
    return Check(check, FAILED, ": ".join(part for part in (problem.where, problem.path, what) if part), todo)


def address(access: Mapping[str, Any]) -> Iterator[Check]:
    """The network that would be let in."""
    try:
        yield Check(ADDRESS, OK, str(caller_cidr(access, os.environ, profile._ask)))
    except ProfileError as error:
        yield from (Check(ADDRESS, FAILED, one.what, one.todo) for one in error.problems)


def headers_of(url: str) -> Mapping[str, str]:
    """Headers of what an address answers.

    Raises:
        OSError: it does not; HTTPError, when it does with an error or points elsewhere.
    """
    answer = open_url(url, timeout=TIMEOUT, follow_redirects="none", http_agent="experiments.spot")
    return dict(answer.headers.items())


def of_aws(args: Mapping[str, Any], found: Mapping[str, Any]) -> list[Check]:
    """Everything that AWS is asked, in this order; what needs what does not work is skipped."""
    if not AWS_IS_THERE:
        return skipped(ALL_OF_AWS, "boto3 or the collection amazon.aws is missing")
    region = args.get("region") or found.get("region") or None
    try:
        clients = Clients(Caller("experiments.spot.doctor", {**args, "region": region}), region)
        url = str(clients("ec2").meta.endpoint_url)
    except (AnsibleActionFail, ApiError) as error:
        what = _aws_errors.reason_of(error.error) if isinstance(error, ApiError) else str(error)
        return [split("AWS configuration", FAILED, what), *skipped(ALL_OF_AWS, "AWS cannot be asked so")]
    network = attempt(aws.NETWORK, lambda: aws.reach(url, headers_of, lambda: datetime.now(timezone.utc)))
    if any(one.result == FAILED and one.check == aws.NETWORK for one in network):
        return [*network, *_unasked(clients)]
    who, arn = aws.identity(clients)
    if not arn:
        return [*network, who, *skipped(aws.NEEDS_CREDENTIALS, "the credentials do not work")]
    return [*network, who, *_asked(clients, arn, found)]


def _unasked(clients: Any) -> list[Check]:
    """What is left to say where AWS does not answer."""
    text = "there are some; AWS cannot be asked about them"
    there = [Check(aws.CREDENTIALS, "skipped", text)]
    todo = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run 'aws configure'"
    none = [Check(aws.CREDENTIALS, FAILED, "no AWS credentials found", todo)]
    return [*(there if clients.whose() else none), *skipped(aws.NEEDS_CREDENTIALS, "AWS does not answer")]


def _asked(clients: Any, arn: str, found: Mapping[str, Any]) -> list[Check]:
    """What AWS says to somebody it knows, all asked at the same time."""
    looks: dict[str, Callable[[], Iterable[Check]]] = {
        aws.PERMISSIONS: partial(aws.permissions, clients, arn),
        aws.QUOTAS: partial(aws.quotas, clients),
    }
    if found:
        name, wanted = found["profile"]["name"], found["profile"]
        looks[f"profile {name} at AWS"] = partial(aws.plan, clients, name, wanted, found["experiment"])
    with ThreadPoolExecutor(len(looks)) as pool:
        lines = [pool.submit(attempt, check, look) for check, look in looks.items()]
    return [check for line in lines for check in line.result()]
