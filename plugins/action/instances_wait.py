# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Waits for instances on the controller and shows that it is alive; documentation in modules/instances_wait.py."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import error_code, explain
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import BotoCoreError, ClientError, ec2_client
from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import KnownHosts, parse_keys, verified_how
from ansible_collections.experiments.spot.plugins.plugin_utils._instances import (
    Raw,
    Settings,
    Waiter,
    Watched,
    failure_message,
    view_of,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._parent import end_with_parent
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import is_quiet

display = Display()

KEY_DIRECTORY = "~/.ssh/experiments.spot"
# Answers to Latest=True from instances that are not built on Nitro.
NO_LATEST = ("UnsupportedOperation", "InvalidParameterCombination", "InvalidParameterValue", "InvalidParameter")
PARALLEL = 32
KNOCK_S = 3.0

SPEC: dict[str, Any] = {
    "instance_ids": {"type": "list", "elements": "str", "required": True},
    "state": {"type": "str", "choices": ["ssh", "running", "terminated"], "default": "ssh"},
    "timeout": {"type": "float"},
    "access": {"type": "dict", "default": {}},
    "experiment": {"type": "str", "default": ""},
    "known_hosts_file": {"type": "path", "default": "~/.ssh/experiments.spot/known_hosts"},
    "quiet": {"type": "bool"},
}


# ------------------------------------------------------------------------------------------------------ API calls


def describe_instances(client: Any, instance_ids: Collection[str]) -> list[dict[str, Any]]:
    """One DescribeInstances; by filter, which leaves out what does not exist instead of failing."""
    pages = client.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-id", "Values": list(instance_ids)}]
    )
    return [
        {**instance, "OwnerId": reservation.get("OwnerId", "")}
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]


def console_output(client: Any, instance_id: str) -> str:
    """GetConsoleOutput, the latest where the instance type can give it; botocore has decoded it already."""
    try:
        answer = client.get_console_output(InstanceId=instance_id, Latest=True)
    except ClientError as error:
        if error_code(error) not in NO_LATEST:
            raise
        answer = client.get_console_output(InstanceId=instance_id)
    return answer.get("Output") or ""


def public_key(client: Any, key_name: str) -> str:
    """DescribeKeyPairs: the public half of a key pair, as a line; empty when AWS does not have it."""
    pairs = client.describe_key_pairs(KeyNames=[key_name], IncludePublicKey=True)["KeyPairs"]
    return pairs[0].get("PublicKey", "") if pairs else ""


class AwsAndSsh:
    """The ports of the waiting loop: EC2 and OpenSSH."""

    def __init__(self, client: Any, access: Mapping[str, Any], known_hosts: str) -> None:
        self.client = client
        self.access = access
        self.known_hosts = known_hosts

    def describe(self, instance_ids: Collection[str]) -> list[Raw]:
        """See Ports."""
        names = list(instance_ids)
        # A filter takes 200 values (Source: EC2 API DescribeInstances).
        return [raw for i in range(0, len(names), 200) for raw in describe_instances(self.client, names[i : i + 200])]

    def console(self, instance_id: str) -> str:
        """See Ports."""
        return console_output(self.client, instance_id)

    def knock(self, view: Raw) -> bool:
        """See Ports."""
        with contextlib.suppress(OSError):
            socket.create_connection((view["address"], self.access["port"]), KNOCK_S).close()
            return True
        return False

    def scan(self, view: Raw) -> list[Any]:
        """See Ports."""
        argv = ["ssh-keyscan", "-T", "5", "-p", str(self.access["port"]), "--", view["address"]]
        return parse_keys(_ssh.run(argv, 30).stdout.splitlines())

    def target(self, view: Raw) -> _ssh.Target:
        """How to reach an instance."""
        checking = "accept-new" if self.access["host_keys"] == "accept-new" else "yes"
        access = self.access
        return _ssh.instance_target(
            view["instance_id"],
            view["address"],
            user=access["remote_user"],
            port=access["port"],
            private_key_file=access["private_key_file"],
            known_hosts=self.known_hosts,
            checking=checking,
        )

    def login(self, view: Raw) -> _ssh.Attempt:
        """See Ports."""
        return _ssh.try_login(self.target(view))

    def forget_connection(self, view: Raw) -> None:
        """See Ports."""
        path = _ssh.control_path().replace("%k", view["instance_id"])
        if "%" in path or os.path.exists(path):
            _ssh.close_master(self.target(view))

    def key_problem(self, view: Raw) -> str | None:
        """See Ports."""
        key, name = self.access["private_key_file"], view.get("key_name")
        if not key or not name:
            return None
        # A helper for the message only: without the permission there is no hint.
        with contextlib.suppress(ClientError, BotoCoreError):
            if _ssh.same_key(key, public_key(self.client, name)) is False:
                return f"the private key {key} does not belong to the key pair {name} of the instance"
        return None


# ---------------------------------------------------------------------------------------------------------- arguments


def access_of(given: Mapping[str, Any], experiment: str) -> dict[str, Any]:
    """The access section with its defaults; the key we make ourselves is taken when no other is named.

    Raises:
        AnsibleActionFail: all wrong values at once.
    """
    access: dict[str, Any] = {
        "remote_user": given.get("remote_user") or "ubuntu",
        "port": given.get("port") or 22,
        "address": given.get("address") or "public",
        "host_keys": given.get("host_keys") or "console",
        "private_key_file": given.get("private_key_file") or own_key(experiment),
        "wait": given.get("wait") or 300,
    }
    if access["private_key_file"]:
        access["private_key_file"] = os.path.abspath(os.path.expanduser(access["private_key_file"]))
    problems = [
        f"access.{key}: {access[key]!r} is none of {', '.join(allowed)}"
        for key, allowed in (("address", ("public", "private")), ("host_keys", ("console", "accept-new")))
        if access[key] not in allowed
    ]
    problems += [f"access.{key}: {access[key]!r} is no number" for key in ("port", "wait") if not _number(access[key])]
    if problems:
        raise AnsibleActionFail("; ".join(problems))
    return {**access, "port": int(access["port"]), "wait": float(access["wait"])}


def _number(value: Any) -> bool:
    try:
        return float(value) > 0
    except (TypeError, ValueError):
        return False


def own_key(experiment: str) -> str | None:
    """The key file that we made for an experiment, if there is one."""
    path = Path(os.path.expanduser(KEY_DIRECTORY)) / experiment
    return str(path) if experiment and path.is_file() else None


@contextlib.contextmanager
def clear_aws_errors() -> Iterator[None]:
    """Turns errors of AWS into one clear line."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        action = getattr(error, "operation_name", "") or "talk to EC2"
        raise AnsibleActionFail(explain(error, f"wait for the instances ({action})")) from None


class ActionModule(ActionBase):
    """Waits until instances are running, take logins, or are gone."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        access = access_of(args["access"], args["experiment"])
        known_hosts = KnownHosts(args["known_hosts_file"])
        common = {
            "changed": False,
            "instances": [],
            "known_hosts": str(known_hosts.path),
            "private_key_file": access["private_key_file"],
            "control_path": _ssh.control_path(),
        }
        if not args["instance_ids"]:
            return {**result, **common}
        if args["state"] == "ssh":
            check_key(access["private_key_file"])
        with clear_aws_errors():
            client, region = ec2_client("experiments.spot.instances_wait", args)
            ports = AwsAndSsh(client, access, str(known_hosts.path))
            if self._task.check_mode:
                return {**result, **common, "instances": snapshot(ports, args["instance_ids"], access, known_hosts)}
            end_with_parent()
            found = self._wait(args, access, ports, known_hosts, region)
            return {**result, **found} if found.get("failed") else {**result, **common, **found}

    def _wait(
        self, args: dict[str, Any], access: dict[str, Any], ports: AwsAndSsh, known_hosts: KnownHosts, region: str
    ) -> dict[str, Any]:
        label = f"[{args['experiment']}] " if args["experiment"] else ""
        settings = Settings(
            args["state"], args["timeout"] or access["wait"], access["address"], access["host_keys"], label
        )
        if settings.state == "ssh" and settings.host_keys == "accept-new":
            display.warning(
                "host keys are accepted unseen (access.host_keys: accept-new); the first login is not verified"
            )
        Path(os.path.dirname(_ssh.control_path())).mkdir(mode=0o700, parents=True, exist_ok=True)
        known_hosts.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        quiet = is_quiet(args["quiet"], os.environ)
        with ThreadPoolExecutor(min(PARALLEL, len(args["instance_ids"]))) as executor:
            say = (lambda _line: None) if quiet else display.display
            waiter = Waiter(settings, ports, known_hosts, say=say, executor=executor, region=region)
            fleet = waiter.run(args["instance_ids"])
        return outcome(fleet, waiter, access, ports)


def check_key(private_key_file: str | None) -> None:
    """Looks at the private key before anything is waited for."""
    problem = _ssh.private_key_problem(private_key_file) if private_key_file else None
    if problem:
        raise AnsibleActionFail(problem)


def snapshot(
    ports: AwsAndSsh, instance_ids: list[str], access: Mapping[str, Any], known_hosts: KnownHosts
) -> list[dict[str, Any]]:
    """What check mode returns: the instances as they are now, nothing waited for and nothing written."""
    text = known_hosts.read()
    views = [view_of(raw, access["address"]) for raw in ports.describe(sorted(set(instance_ids)))]
    return [
        {**view, "host_key_verified": verified_how(text, view["instance_id"])}
        for view in sorted(views, key=lambda view: view["instance_id"])
    ]


def outcome(fleet: list[Watched], waiter: Waiter, access: Mapping[str, Any], ports: AwsAndSsh) -> dict[str, Any]:
    """The result of the task; a failure carries the text for each instance that failed."""
    if waiter.settings.state == "terminated":
        gone = [watched.instance_id for watched in fleet if watched.done]
        waiter.changed |= waiter.known_hosts.remove(gone)
    answer: dict[str, Any] = {
        "changed": waiter.changed,
        "instances": [{**watched.view, "host_key_verified": watched.verified} for watched in fleet],
        "waited": round(waiter.elapsed(), 1),
    }
    failed = [watched for watched in fleet if watched.error]
    if failed:
        texts = [failure_message(w, waiter.settings, access, last_console(w, ports, waiter.settings)) for w in failed]
        # Without the instances, which would bury the message in the output of the task.
        names = [watched.instance_id for watched in failed]
        return {"failed": True, "changed": waiter.changed, "msg": "\n".join(texts), "failed_instances": names}
    return answer


def last_console(watched: Watched, ports: AwsAndSsh, settings: Settings) -> str:
    """The console output for an error message, as new as can be had."""
    if settings.state != "ssh" or watched.view.get("state") != "running":
        return watched.console_text
    with contextlib.suppress(ClientError, BotoCoreError):
        return ports.console(watched.instance_id) or watched.console_text
    return watched.console_text
