#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: an EFS file system that instances can mount."""

from __future__ import annotations

DOCUMENTATION = r"""
module: efs_file_system
short_description: Make or find an EFS file system that instances can mount
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Makes a file system, or finds it by its creation token or ID, with elastic throughput and encrypted unless told
    otherwise; a mount target in the zone of each subnet; a security group that lets only the clients' groups in on
    port 2049 (NFS); an access point.
  - A mount target that lets the clients in already is left as it is. One that does not gets the group of this module
    besides its own groups.
  - Tags are set at creation, never afterwards. Two runs at once make one of each.
  - Compared to M(community.aws.efs) it knows elastic throughput and access points, and makes the security group.
options:
  name:
    description:
      - Name of the file system. Without O(file_system_id) it is the creation token, by which the file system is found
        again. A creation token is used once in an account and region.
    type: str
    required: true
  file_system_id:
    description:
      - A file system that exists. Its throughput, life cycle and encryption are left as they are.
    type: str
  state:
    description:
      - V(present) as described. V(absent) deletes the file system with B(all its data), its mount targets, access
        points and the security group that was made for it.
    type: str
    choices: [present, absent]
    default: present
  throughput_mode:
    description: Throughput of a file system that is found by its name; a changed one is set.
    type: str
    choices: [elastic, bursting, provisioned]
    default: elastic
  provisioned_throughput:
    description: MiB per second, for O(throughput_mode=provisioned).
    type: float
  performance_mode:
    description: Performance mode of a new file system. V(maxIO) does not go with elastic throughput.
    type: str
    choices: [generalPurpose, maxIO]
    default: generalPurpose
  encrypted:
    description: Encrypt a new file system.
    type: bool
    default: true
  kms_key_id:
    description: KMS key of a new file system. Without it AWS uses its own key for EFS.
    type: str
  transition_to_ia:
    description:
      - Move files that were not used for so many days to Infrequent Access, which is cheaper to keep.
      - Without it the life cycle policies are left as they are.
    type: int
    choices: [1, 7, 14, 30, 60, 90, 180, 270, 365]
  access_point:
    description: An access point to be there.
    type: dict
    suboptions:
      path:
        description: Directory that clients see as the root, made when missing.
        type: str
        required: true
      uid:
        description: User that every client is.
        type: int
        default: 1000
      gid:
        description: Group that every client is.
        type: int
        default: 1000
      permissions:
        description: Permissions of a directory that is made, octal, quoted.
        type: str
        default: "0755"
  access_point_id:
    description: An access point that exists, instead of O(access_point).
    type: str
  subnet_ids:
    description: Subnets of the clients. Each of their zones gets a mount target, in the first of its subnets by ID.
    type: list
    elements: str
    default: []
  client_security_group_ids:
    description: Security groups of the clients, which may reach the mount targets.
    type: list
    elements: str
    default: []
  instance_ids:
    description:
      - Instances that are to mount it. Their subnets and security groups (of each the first by ID) are added to
        O(subnet_ids) and O(client_security_group_ids).
    type: list
    elements: str
    default: []
  tags:
    description: Tags of what is made. C(Name) and C(spot:file-system) are added.
    type: dict
    default: {}
  wait:
    description: Wait until the mount targets are available, or until all is gone.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. A mount target takes one to two minutes.
    type: int
    default: 300
  progress_file:
    description:
      - A file to which a line is appended for each thing that is made or waited for.
      - With a local connection these lines are shown while the task runs, also without this option.
    type: path
  quiet:
    description: Shows no progress. Without it the environment variable E(EXPERIMENTS_SPOT_QUIET) decides.
    type: bool
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  action:
    description: Has an action plugin, which shows the progress.
    support: full
  async:
    description: Can be run with C(async).
    support: full
  check_mode:
    description: Can run in check mode and return what it would do outside of it.
    support: full
  diff_mode:
    description: Returns what exists before and after.
    support: full
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: experiments.spot.efs_mount
  - module: community.aws.efs
"""

EXAMPLES = r"""
- name: A file system for the instances of two zones
  experiments.spot.efs_file_system:
    region: us-east-1
    name: team-data
    subnet_ids: [subnet-0123456789abcdef0, subnet-0fedcba9876543210]
    client_security_group_ids: [sg-0123456789abcdef0]
    transition_to_ia: 30
  register: data

- name: One that exists, through an access point
  experiments.spot.efs_file_system:
    name: archive
    file_system_id: fs-0123456789abcdef0
    access_point: {path: /team, uid: 1000, gid: 1000}
    subnet_ids: [subnet-0123456789abcdef0]
    client_security_group_ids: [sg-0123456789abcdef0]

- name: Delete it with its data
  experiments.spot.efs_file_system:
    name: team-data
    state: absent
"""

RETURN = r"""
file_system:
  description: The file system. What does not exist, or not yet, is null or missing.
  returned: success
  type: dict
  contains:
    name:
      description: As given.
      type: str
    file_system_id:
      description: Its ID.
      type: str
      sample: fs-0123456789abcdef0
    state:
      description: Its life cycle state.
      type: str
      sample: available
    dns_name:
      description: The name that a VPC with DNS resolves to the mount target of the zone.
      type: str
      sample: fs-0123456789abcdef0.efs.us-east-1.amazonaws.com
    mount_targets:
      description: Zone and address of each mount target.
      type: dict
      sample: {"us-east-1a": "172.31.0.9"}
    access_point_id:
      description: ID of the wanted access point.
      type: str
    security_group_id:
      description: The group that was made for the mount targets.
      type: str
    throughput_mode:
      description: Its throughput mode.
      type: str
    encrypted:
      description: Whether it is encrypted.
      type: bool
    size_bytes:
      description: What it holds, as AWS counts it.
      type: int
    ready:
      description: Whether it and its mount targets are available.
      type: bool
deleted:
  description: IDs of what O(state=absent) deleted, in check mode would delete.
  returned: success and state=absent
  type: list
  elements: str
"""

import time
from dataclasses import replace
from functools import partial
from typing import Any, Callable

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._efs import api, waiters
from ansible_collections.experiments.spot.plugins.module_utils._efs import plan as plans
from ansible_collections.experiments.spot.plugins.module_utils._efs.plan import Facts, Plan, Resource, Wanted
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import (
    ApiError,
    delete_security_group,
    gather,
)
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.transformations import tags_of
from ansible_collections.experiments.spot.plugins.module_utils._fleet.progress import File

RETRIES = 5
ACCESS_POINT: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "uid": {"type": "int", "default": 1000},
    "gid": {"type": "int", "default": 1000},
    "permissions": {"type": "str", "default": "0755"},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "file_system_id": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "throughput_mode": {"type": "str", "choices": ["elastic", "bursting", "provisioned"], "default": "elastic"},
    "provisioned_throughput": {"type": "float"},
    "performance_mode": {"type": "str", "choices": ["generalPurpose", "maxIO"], "default": "generalPurpose"},
    "encrypted": {"type": "bool", "default": True},
    "kms_key_id": {"type": "str", "no_log": False},
    "transition_to_ia": {"type": "int", "choices": [1, 7, 14, 30, 60, 90, 180, 270, 365]},
    "access_point": {"type": "dict", "options": ACCESS_POINT},
    "access_point_id": {"type": "str"},
    "subnet_ids": {"type": "list", "elements": "str", "default": []},
    "client_security_group_ids": {"type": "list", "elements": "str", "default": []},
    "instance_ids": {"type": "list", "elements": "str", "default": []},
    "tags": {"type": "dict", "default": {}},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 300},
    "progress_file": {"type": "path"},
    "quiet": {"type": "bool"},
}


class Refused(Exception):
    """Nothing was changed; the text says why."""


def wanted_of(params: Resource) -> Wanted:
    """The options of the module."""
    return replace(
        plans.from_keys(params, params["tags"]),
        subnet_ids=tuple(params["subnet_ids"]),
        client_group_ids=tuple(params["client_security_group_ids"]),
        state=params["state"],
    )


class FileSystem:
    """The effects on AWS. `clock` has monotonic() and sleep(), `poll` are the seconds between two looks."""

    def __init__(self, clients: Clients, wanted: Wanted, params: Resource, clock: Any = time) -> None:
        self.efs, self.ec2 = clients("efs"), clients("ec2")
        self.wanted = wanted
        self.wait = params["wait"]
        self.end = clock.monotonic() + params["wait_timeout"]
        self.timeout = params["wait_timeout"]
        self.progress = File(params["progress_file"] or "")
        self.clock = clock
        self.poll: float = waiters.POLL

    def tell(self, line: str) -> None:
        """Show what happens."""
        self.progress.tell([f"file system {self.wanted.name}: {line}"])

    def wait_for(self, name: str, file_system_id: str) -> None:
        """Wait until the module's time is over."""
        left = max(self.poll, self.end - self.clock.monotonic())
        try:
            waiters.wait(self.efs, name, file_system_id, left, self.poll)
        except waiters.WaitError as error:
            raise Refused(f"{self.wanted.name}: {error}; repeat the command, which goes on from here") from error

    def patiently(self, call: Callable[[], Any]) -> Any:
        """Call again while AWS says that something is being changed, or is not seen yet."""
        for attempt in range(RETRIES):
            try:
                return call()
            except ApiError as error:
                kind = _aws_errors.classify(error.code, fresh=True)
                if attempt == RETRIES - 1 or kind not in (_aws_errors.ErrorClass.WAIT, _aws_errors.ErrorClass.RETRY):
                    raise
            self.clock.sleep(min(self.poll * 2**attempt, 15))
        raise AssertionError("the last attempt ends in one of the two ways")

    def group(self, facts: Facts, plan: Plan) -> str:
        """Id of the group of the mount targets, made if it is missing, with the rules that it lacks."""
        found = plans.own_group(facts)
        group = found["GroupId"] if found else None
        if group is None:
            self.tell("security group for NFS")
            group = api.create_group(self.ec2, self.wanted, plans.vpc_of(facts))
        if group is None:  # made by another run meanwhile
            facts.named_groups = api.groups_named(self.ec2, self.wanted.group_name)
            group = str((plans.own_group(facts) or {}).get("GroupId"))
        for client in plan.admits:
            self.patiently(partial(api.admit, self.ec2, group, client))
        return str(group)

    def present(self, facts: Facts, plan: Plan) -> None:
        """Make what is missing: the group first, so that whoever finds the group knows of the file system."""
        group = self.group(facts, plan) if plan.targets or plan.closed or plan.admits else ""
        identity = self.file_system(facts, plan)
        if plan.targets:
            zones = ", ".join(plans.zone_of(one) for one in plan.targets)
            self.tell(f"mount target in {zones}; AWS needs a minute or two")
        together: dict[str, Callable[[], Any]] = {}
        for one in plan.targets:
            make = partial(api.create_mount_target, self.efs, identity, one["SubnetId"], [group])
            together[one["SubnetId"]] = partial(self.patiently, make)
        for one in plan.closed:
            groups = [*one["SecurityGroups"], group]
            change = partial(api.set_groups, self.efs, one["MountTargetId"], groups)
            together[one["MountTargetId"]] = partial(self.patiently, change)
        _answers, errors = gather(together)
        for error in errors.values():
            raise error
        if self.wait and self.wanted.subnet_ids:
            self.wait_for("MountTargetsAvailable", identity)

    def file_system(self, facts: Facts, plan: Plan) -> str:
        """Make the file system, its throughput, life cycle and access point as wanted; returns its id."""
        wanted = self.wanted
        if plan.create:
            self.tell("is made")
        identity = str(
            api.create_file_system(self.efs, plans.creation(wanted))
            if facts.file_system is None
            else facts.file_system["FileSystemId"]
        )
        if plan.create or facts.file_system is None or facts.file_system["LifeCycleState"] != "available":
            self.wait_for("FileSystemAvailable", identity)
        if plan.update:
            self.tell(f"throughput {wanted.throughput_mode}")
            self.patiently(partial(api.update_file_system, self.efs, plan.update))
            self.wait_for("FileSystemAvailable", identity)
        if plan.lifecycle:
            self.patiently(partial(api.put_lifecycle, self.efs, identity, plan.lifecycle))
        if plan.access_point:
            args = plans.access_point_creation(wanted, identity)
            self.patiently(partial(api.create_access_point, self.efs, args))
        return identity

    def absent(self, facts: Facts) -> list[str]:
        """Delete access points and mount targets, then the file system, then its group; returns the ids."""
        found = facts.file_system
        deleted = [one["MountTargetId"] for one in facts.mount_targets]
        deleted += [one["AccessPointId"] for one in facts.access_points]
        if found:
            identity = found["FileSystemId"]
            self.tell("is deleted with its mount targets")
            for point in facts.access_points:
                self.patiently(partial(api.delete_access_point, self.efs, point["AccessPointId"]))
            for target in facts.mount_targets:
                self.patiently(partial(api.delete_mount_target, self.efs, target["MountTargetId"]))
            self.wait_for("MountTargetsGone", identity)
            self.patiently(partial(api.delete_file_system, self.efs, identity))
            if self.wait:
                self.wait_for("FileSystemGone", identity)
            deleted.append(identity)
        for group in facts.named_groups:
            if tags_of(group).get(plans.MARK):
                self.delete_group(group["GroupId"])
                deleted.append(group["GroupId"])
        return deleted

    def delete_group(self, group_id: str) -> None:
        """The network interfaces of mount targets hold their group for a moment longer than they are seen."""
        for attempt in range(RETRIES):
            if delete_security_group(self.ec2, group_id):
                return
            self.clock.sleep(min(self.poll * 2**attempt, 15))
        raise Refused(f"the security group {group_id} is still in use; repeat the command in a minute")


def do(clients: Clients, params: Resource, check_mode: bool) -> Resource:
    """The module's work.

    Raises:
        ApiError, Refused: what is wrong, for the user.
    """
    wanted = wanted_of(params)
    if params["instance_ids"]:
        wanted = plans.with_clients(wanted, api.instances(clients("ec2"), params["instance_ids"]))
    file_system = FileSystem(clients, wanted, params)
    facts = api.read(file_system.efs, file_system.ec2, wanted)
    before = plans.lines(wanted, facts)
    if wanted.state == "absent":
        return remove(file_system, facts, before, check_mode)
    found = plans.problems(wanted, facts)
    if found:
        raise Refused("; ".join(found))
    todo = plans.plan(wanted, facts)
    after = plans.lines(wanted, facts, todo)
    pending = bool(facts.mount_targets) and any(one["LifeCycleState"] == "creating" for one in facts.mount_targets)
    if not check_mode and (todo.changes or pending):
        file_system.present(facts, todo)
        facts = api.read(file_system.efs, file_system.ec2, wanted)
    return {
        "changed": todo.changes,
        "file_system": plans.answer(wanted, facts, clients.region),
        "diff": {"before": _text(before), "after": _text(after)},
    }


def remove(file_system: FileSystem, facts: Facts, before: list[str], check_mode: bool) -> Resource:
    """Delete all of it, or say what would be deleted."""
    predicted = [one["FileSystemId"] for one in (facts.file_system,) if one]
    predicted += [one["MountTargetId"] for one in facts.mount_targets]
    predicted += [one["AccessPointId"] for one in facts.access_points]
    predicted += [one["GroupId"] for one in facts.named_groups if tags_of(one).get(plans.MARK)]
    deleted = predicted if check_mode else file_system.absent(facts)
    gone = replace(facts, file_system=None, mount_targets=[], access_points=[])
    return {
        "changed": bool(deleted),
        "deleted": sorted(deleted),
        "file_system": plans.answer(file_system.wanted, gone, ""),
        "diff": {"before": _text(before), "after": ""},
    }


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


RULES: dict[str, Any] = {
    "required_if": [("throughput_mode", "provisioned", ("provisioned_throughput",))],
    "mutually_exclusive": [("access_point", "access_point_id")],
}


def run(module: Any) -> Resource:
    """The answer of the module, or its failure."""
    try:
        return do(Clients(module), module.params, module.check_mode)
    except Refused as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        verb = "delete" if module.params["state"] == "absent" else "provide"
        what = f"{verb} the file system {module.params['name']} ({error.action})"
        module.fail_json(msg=_aws_errors.explain(error.error, what))
    raise AssertionError("fail_json does not come back")


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
