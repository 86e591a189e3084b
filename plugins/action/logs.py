# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Shows or follows logs of an experiment; documentation in modules/logs.py."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.action.instances_wait import (
    AwsAndSsh,
    access_of,
    clear_aws_errors,
    last_console,
)
from ansible_collections.experiments.spot.plugins.action.job_wait import described
from ansible_collections.experiments.spot.plugins.module_utils._experiment import crew
from ansible_collections.experiments.spot.plugins.module_utils._files import read_text
from ansible_collections.experiments.spot.plugins.module_utils._spot import status
from ansible_collections.experiments.spot.plugins.plugin_utils import _logs, _ssh, _sshconfig
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import BotoCoreError, ClientError, ec2_client
from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import KNOWN_HOSTS, KnownHosts
from ansible_collections.experiments.spot.plugins.plugin_utils._instances import (
    Settings,
    Waiter,
    console_tail,
    failure_message,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._logreader import Reader
from ansible_collections.experiments.spot.plugins.plugin_utils._parent import end_with_parent
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock
from ansible_collections.experiments.spot.plugins.plugin_utils._remote import LostConnection, Remote

display = Display()

SPEC: dict[str, Any] = {
    "experiment": {"type": "str", "default": ""},
    "experiments": {"type": "list", "elements": "dict", "required": True},
    "regions": {"type": "list", "elements": "str", "required": True},
    "source": {"type": "str", "default": "job"},
    "lines": {"type": "str", "default": "100"},
    "follow": {"type": "str", "default": "false"},
    "rank": {"type": "str", "default": ""},
    "access": {"type": "dict", "default": {}},
    "results": {"type": "str", "default": ""},
    "wait": {"type": "float", "default": 20},
}


class Unreachable(Exception):
    """An instance does not let us in; the text is for the user."""


class Cloud:
    """What AWS and ssh say about the instances of one rank.

    Args:
        args: the options of the action.
        experiment: as experiment_info returns it.
        instance: its instance, likewise.
    """

    def __init__(self, args: Mapping[str, Any], experiment: Mapping[str, Any], instance: Mapping[str, Any]) -> None:
        self.args = {**args, "region": instance["region"]}
        self.experiment = experiment["experiment"]
        self.rank = instance["rank"]
        with clear_aws_errors():
            self.client, self.region = ec2_client("experiments.spot.logs", self.args)
        self.access = access_of(self._access(instance), self.experiment)

    def _access(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        """How to log in: as the profile says; without one as its last launch from here did, or as the tags say."""
        before = _sshconfig.access_to(read_text(os.path.expanduser(_sshconfig.CONFIG)), instance["instance_id"])
        user = instance["tags"].get("spot:user")
        address = "public" if instance["public_ip"] else "private"
        given = {name: value for name, value in self.args["access"].items() if value is not None}
        return {"address": address, **({"remote_user": user} if user else {}), **before, **given}

    def connect(self, instance_id: str) -> Remote:
        """Commands on an instance, once it lets us in with a host key that is verified.

        Raises:
            Unreachable: it does not within the time.
        """
        known_hosts = KnownHosts(os.path.expanduser(KNOWN_HOSTS))
        for folder in (known_hosts.path.parent, Path(_ssh.control_path()).parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = Settings("ssh", self.args["wait"], self.access["address"], self.access["host_keys"])
        ports = AwsAndSsh(self.client, self.access, str(known_hosts.path))
        with clear_aws_errors(), ThreadPoolExecutor(1) as executor:
            waiter = Waiter(settings, ports, known_hosts, say=lambda _text: None, executor=executor, region=self.region)
            (watched,) = waiter.run([instance_id])
            if watched.error:
                raise Unreachable(
                    failure_message(watched, settings, self.access, last_console(watched, ports, settings))
                )
        return Remote(ports.target(watched.view))

    def fate(self, instance_id: str) -> status.End | None:
        """See World."""
        with contextlib.suppress(ClientError, BotoCoreError):
            return status.end_of(*described(self.client, instance_id))
        return None

    def successor(self, instance_id: str) -> tuple[str, Remote] | str:
        """See World."""
        found: str | None = None
        with contextlib.suppress(ClientError, BotoCoreError):
            found = member(self.client, self.experiment, self.rank)
        if found in (None, instance_id):
            return "waiting for the next generation; Ctrl-C ends the wait"
        try:
            return str(found), self.connect(str(found))
        except (Unreachable, AnsibleActionFail):
            return f"waiting until {found} lets us in"

    def console(self, instance_id: str) -> list[str]:
        """The last lines of a console output, which AWS keeps for about an hour after the end."""
        with contextlib.suppress(ClientError, BotoCoreError):
            answer = self.client.get_console_output(InstanceId=instance_id)
            return console_tail(answer.get("Output") or "", int(self.args["lines"]))
        return []


def member(client: Any, experiment: str, rank: int | None) -> str | None:
    """The instance that works for a rank of an experiment now. Source: EC2 API DescribeInstances."""
    mine = [
        {"Name": "tag:spot:experiment", "Values": [experiment]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    pages = client.get_paginator("describe_instances").paginate(Filters=mine)
    raws = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    wanted = [{"Name": "instance-id", "Values": [raw["InstanceId"] for raw in raws]}]
    requests = client.describe_spot_instance_requests(Filters=wanted)["SpotInstanceRequests"] if raws else []
    return next((one["instance_id"] for one in crew.crew(raws, requests) if one["rank"] == (rank or 0)), None)


class ActionModule(ActionBase):
    """Shows logs of an experiment."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        wanted, errors = _logs.wanted(args)
        experiment = _logs.choose(args["experiments"], args["experiment"], args["regions"])
        if isinstance(experiment, str):
            errors.append(experiment)
        if errors or isinstance(experiment, str):
            return {**result, "failed": True, "msg": "\n".join(errors)}
        instances = _logs.running(experiment)
        if not instances:
            return {**result, **self._console(args, experiment)}
        chosen = _logs.selected(instances, wanted.ranks)
        if isinstance(chosen, str):
            return {**result, "failed": True, "msg": f"-e rank: {chosen}"}
        end_with_parent()
        return {**result, **show(args, wanted, experiment, chosen)}

    def _console(self, args: dict[str, Any], experiment: Mapping[str, Any]) -> dict[str, Any]:
        """Without an instance: where to look, and what its console showed."""
        say(_logs.without_instance(experiment, args["results"]))
        last = _logs.last_instance(experiment)
        lines = Cloud(args, experiment, last).console(last["instance_id"]) if last else []
        if last and lines:
            say(f"The last lines of the console of {last['instance_id']} ({last['state']}):")
            say("\n".join(lines))
        return {"changed": False, "instances": [], "console": lines}


LOCK = threading.Lock()


def say(text: str) -> None:
    """Prints a text whole, whoever else prints."""
    with LOCK:
        display.display(text)


def show(
    args: dict[str, Any], wanted: _logs.Wanted, experiment: Mapping[str, Any], instances: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """Reads all instances at the same time; one that does not answer is told after what the others have said."""
    several = len(instances) > 1
    prefixes = [f"[{one['rank'] if one['rank'] is not None else one['instance_id']}] " * several for one in instances]
    work = partial(one_log, args, wanted, experiment)
    errors: list[str] = []
    with ThreadPoolExecutor(len(instances)) as executor:
        for prefix, answer in zip(prefixes, [*executor.map(work, instances, prefixes)]):
            errors += [f"{prefix}{answer}"] if isinstance(answer, str) else []
            for line in answer if isinstance(answer, list) else []:
                say(prefix + line)
    result = {"changed": False, "instances": [one["instance_id"] for one in instances]}
    return {**result, "failed": True, "msg": "\n".join(errors)} if errors else result


def one_log(
    args: Mapping[str, Any],
    wanted: _logs.Wanted,
    experiment: Mapping[str, Any],
    instance: Mapping[str, Any],
    prefix: str,
) -> list[str] | str:
    """The lines of an instance that are still to be shown, or why there are none."""

    def tell(line: str) -> None:
        say(prefix + line)

    try:
        cloud = Cloud(args, experiment, instance)
        remote = cloud.connect(instance["instance_id"])
        reader = Reader(instance["instance_id"], remote, wanted, tell, cloud, Clock())
        if wanted.follow:
            return [reader.follow()]
        lines = reader.read()
        state = [_logs.job_line(reader.view)] if wanted.source == _logs.JOB else []
        return [*(lines or ([] if state else ["nothing there"])), *state]
    except LostConnection as error:
        return f"{instance['instance_id']} does not answer any more ({error})"
    except (Unreachable, AnsibleActionFail) as error:
        return str(error)
