#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: make and attach the EBS volumes of an instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ebs_volume
short_description: Make and attach the EBS volumes of an instance
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Attaches all volumes of one instance of an experiment, and makes those that do not exist yet, in one run.
  - A volume without an ID is made once for an experiment, a name and a rank, with a client token, and found again by
    its tags C(spot:experiment), C(spot:volume) and C(spot:rank), so that two runs at once do not make two.
  - Volumes are never modified or detached. Only a volume that this very run has made and could not attach is deleted.
  - Runs on the controller. For the same on the instance, see M(experiments.spot.ebs_mount).
options:
  instance_id:
    description: ID of the instance. Without it the volumes are only made.
    type: str
  zone:
    description: Availability Zone of the instance and of the volumes.
    type: str
    required: true
  experiment:
    description: Name of the experiment.
    type: str
    required: true
  rank:
    description: Rank of the instance within the experiment.
    type: int
    default: 0
  tags:
    description: Tags of volumes that are made. C(Name), C(spot:experiment), C(spot:volume) and C(spot:rank) are added.
    type: dict
    default: {}
  volumes:
    description: The volumes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name, becomes the tag C(Name).
        type: str
        required: true
      volume:
        description: Value of the tag C(spot:volume) where it differs from the name.
        type: str
      volume_id:
        description: ID of an existing volume.
        type: str
      size:
        description: Size of a new volume in GiB.
        type: int
      type:
        description: Type of a new volume.
        type: str
        default: gp3
      iops:
        description: IOPS of a new volume.
        type: int
      throughput:
        description: Throughput of a new volume in MiB/s.
        type: int
      snapshot_id:
        description: Snapshot from which a new volume is made.
        type: str
      encrypted:
        description: Whether a new volume is encrypted.
        type: bool
        default: true
      device:
        description: Device name to attach as. The first free one from V(/dev/sdf) on by default.
        type: str
      launched:
        description:
          - The volume has come with the instance as O(volumes[].device), by a block device mapping of its launch. It is
            looked for there, and neither made nor attached.
        type: bool
        default: false
  leaving_instance_ids:
    description:
      - Instances that AWS is taking or has taken. A volume that one of them still holds is waited for.
    type: list
    elements: str
    default: []
  unmounted_volume_ids:
    description:
      - Volumes that a leaving instance has unmounted. They are detached from it right away, so that nobody has to wait
        for its end.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds until a volume that is not attached is an error; also how long one may take to be given back.
    type: int
    default: 120
extends_documentation_fragment:
  - experiments.spot.attributes.changes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Make and attach a volume
  experiments.spot.ebs_volume:
    region: eu-west-1
    instance_id: i-0123456789abcdef0
    zone: eu-west-1a
    experiment: mnist
    tags: {"spot:experiment": mnist, "spot:owner": alice}
    volumes:
      - name: data
        size: 50
"""

RETURN = r"""
volumes:
  description: The volumes, in the order of the option.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name.
      type: str
      sample: data
    volume_id:
      description: ID, null for one that check mode would make.
      type: str
      sample: vol-0123456789abcdef0
    size:
      description: Size in GiB.
      type: int
      sample: 50
    device:
      description: Device name that AWS knows.
      type: str
      sample: /dev/sdf
    created:
      description: Whether it was made.
      type: bool
    attached:
      description: Whether it was attached now.
      type: bool
"""

import time
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._ebs import api, attach
from ansible_collections.experiments.spot.plugins.module_utils._ebs.attach import Resource, Step, Target
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._volumes import api as volumes_api
from ansible_collections.experiments.spot.plugins.module_utils._volumes import rows

VOLUME_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "volume": {"type": "str"},
    "volume_id": {"type": "str"},
    "size": {"type": "int"},
    "type": {"type": "str", "default": "gp3"},
    "iops": {"type": "int"},
    "throughput": {"type": "int"},
    "snapshot_id": {"type": "str"},
    "encrypted": {"type": "bool", "default": True},
    "device": {"type": "str"},
    "launched": {"type": "bool", "default": False},
}
# A client token whose volume was deleted meanwhile answers with that volume: then the next token is used. Tokens change
# every so many seconds as well, so that such volumes are soon forgotten.
TOKENS = 3
TOKEN_PERIOD = 600
# Seconds until a new volume is seen by DescribeVolumes. Source: EC2 API reference, "Eventual consistency".
VISIBLE = 10


class VolumeError(Exception):
    """The run cannot go on; the text is for the user."""


@dataclass(frozen=True)
class Former:
    """Instances that give their volumes back, and the volumes that they have unmounted already."""

    instance_ids: frozenset[str] = frozenset()
    unmounted: frozenset[str] = frozenset()


class Volumes:
    """The effects on AWS for one instance. `clock` has monotonic(), time() and sleep()."""

    def __init__(
        self,
        ec2: Any,
        target: Target,
        tags: dict[str, str],
        timeout: float,
        *,
        former: Former | None = None,
        clock: Any = time,
    ) -> None:
        self.former = former or Former()
        self.ec2 = ec2
        self.target = target
        self.tags = tags
        self.end = clock.monotonic() + timeout
        self.timeout = timeout
        self.clock = clock

    def wait(self, volume_id: str, ready: Callable[[Resource], bool], what: str, patience: float = 0) -> Resource:
        """Ask for a volume until it is as wanted, for `patience` seconds or until the module's time is over.

        Raises:
            VolumeError: the time is over; says what the volume was last.
        """
        pause, last = 0.2, "not visible"
        end = min(self.end, self.clock.monotonic() + patience) if patience else self.end
        while True:
            for volume in api.volumes_by_id(self.ec2, [volume_id]):
                if ready(volume):
                    return volume
                last = ", ".join([volume["State"], *attach.holders(volume)])
            if self.clock.monotonic() >= end:
                raise VolumeError(f"{volume_id} is not {what} after {patience or self.timeout:g} s (it is: {last})")
            self.clock.sleep(pause)
            pause = min(pause * 1.5, 3)

    def create(self, wanted: Resource) -> Resource:
        """Make the volume, or take the one that another run made at the same time."""
        target = self.target
        period = int(self.clock.time() // TOKEN_PERIOD)
        for attempt in range(TOKENS):
            args = attach.creation(wanted, target, self.tags, f"{period}-{attempt}")
            made = api.create_volume(self.ec2, args)["VolumeId"]
            if self.is_there(made):
                break
        else:
            raise VolumeError(f"{wanted['name']}: {made} vanished right after it was made; who deletes it?")
        volume = self.wait(made, lambda one: one["State"] != "creating", "available")
        other = attach.surplus(made, wanted, target, api.own_volumes(self.ec2, target))
        if other is None:
            return volume
        self.remove(made)
        return self.wait(other, lambda one: one["State"] != "creating", "available")

    def is_there(self, volume_id: str) -> bool:
        """Whether a volume exists: a token of an earlier run may answer with one that is deleted."""
        try:
            volume = self.wait(volume_id, lambda _volume: True, "there", VISIBLE)
        except VolumeError:
            return False
        return volume["State"] not in attach.GONE

    def remove(self, volume_id: str) -> None:
        """Delete a volume that this run has made, if nobody uses it."""
        for volume in api.volumes_by_id(self.ec2, [volume_id]):
            if volume["State"] == "available":
                api.delete_volume(self.ec2, volume_id)

    def attach(self, volume: Resource, wanted: Resource, device: str) -> str:
        """Attach a volume; returns the device name. What another run has done meanwhile is taken as it is."""
        for _dummy in attach.DEVICE_NAMES:
            volume = self.wait_given_back(volume, wanted)
            if self.target.instance_id in attach.holders(volume):
                break
            try:
                self.forget_move(volume)
                api.attach_volume(self.ec2, volume["VolumeId"], self.target.instance_id, device)
                break
            except ApiError as error:
                device = self.after_refusal(error, wanted, device)
        attached = self.wait(volume["VolumeId"], self.is_attached, "attached")
        return next(iter(attach.used_devices(self.target.instance_id, [attached])))

    def forget_move(self, volume: Resource) -> None:
        """What is written from now on is not in the snapshot of a move that was cut off, which therefore is void."""
        if rows.MOVING in attach.tags_of(volume):
            volumes_api.untag(self.ec2, volume["VolumeId"], [rows.MOVING])

    def is_attached(self, volume: Resource) -> bool:
        """Whether a volume is attached to the instance for good."""
        return any(
            one["InstanceId"] == self.target.instance_id and one["State"] == "attached"
            for one in volume.get("Attachments", [])
        )

    def wait_given_back(self, volume: Resource, wanted: Resource) -> Resource:
        """The volume as it is now; one that its last instance is just giving back is waited for."""
        volume = self.wait(volume["VolumeId"], lambda _volume: True, "there")
        others = attach.held_by_others(volume, self.target)
        leaving = any(one["State"] in ("detaching", "busy") for one in volume.get("Attachments", []))
        if others and not leaving and not self.former.instance_ids.issuperset(others):
            raise VolumeError(
                f"{wanted['name']} ({volume['VolumeId']}) is attached to {', '.join(others)}; close that experiment, or"
                " detach the volume there first"
            )
        if not (leaving or others):
            return volume
        if volume["VolumeId"] in self.former.unmounted and not leaving:
            api.detach_volume(self.ec2, volume["VolumeId"])
        return self.wait(volume["VolumeId"], lambda one: one["State"] == "available", f"given back by {others}")

    def after_refusal(self, error: ApiError, wanted: Resource, device: str) -> str:
        """Device name for the next try.

        Raises:
            ApiError: a refusal that another try does not change.
        """
        if error.code == "VolumeInUse":
            self.clock.sleep(1)  # what is seen may be older than what is
            return device
        taken = attach.used_devices(self.target.instance_id, api.volumes_here(self.ec2, self.target.instance_id))
        following = attach.next_device(taken)
        # Source: EC2 API error codes, InvalidParameterValue: a device name that is in use.
        if error.code != "InvalidParameterValue" or device not in taken or wanted.get("device") or not following:
            raise error
        return following

    def do(self, step: Step) -> Resource:
        """Make and attach one volume."""
        wanted = step.wanted
        volume = step.found or self.create(wanted)
        try:
            device = self.attach(volume, wanted, step.device) if step.attach else step.device
        except (ApiError, VolumeError):
            if step.found is None:
                self.remove(volume["VolumeId"])
            raise
        return answer(step, volume, device)


def answer(step: Step, volume: Resource | None, device: str) -> Resource:
    """One element of the return value."""
    return {
        "name": step.wanted["name"],
        "volume_id": volume["VolumeId"] if volume else None,
        "size": volume["Size"] if volume else step.wanted.get("size"),
        "device": device,
        "created": step.found is None,
        "attached": step.attach,
    }


def read(ec2: Any, target: Target, wanted: list[Resource], clock: Any = time) -> attach.Facts:
    """What AWS says; volumes that have come with the instance may be seen a moment later than the instance."""
    end = clock.monotonic() + VISIBLE
    while True:
        facts = api.read(ec2, target, wanted)
        unseen = [one for one in wanted if one.get("launched") and attach.find(one, target, facts) is None]
        if not unseen or clock.monotonic() >= end:
            return facts
        clock.sleep(1)


def do(ec2: Any, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """The module's work.

    Raises:
        ApiError, VolumeError: what is wrong, for the user.
    """
    target = Target(params["instance_id"] or "", params["zone"], params["experiment"], params["rank"])
    facts = read(ec2, target, params["volumes"])
    problems = attach.problems(params["volumes"], target, facts)
    if problems:
        raise VolumeError("; ".join(problems))
    steps = attach.plan(params["volumes"], target, facts)
    diff = {"before": attach.state_of(steps, target, False), "after": attach.state_of(steps, target, True)}
    if check_mode:
        volumes = [answer(step, step.found, step.device) for step in steps]
    else:
        former = Former(frozenset(params["leaving_instance_ids"]), frozenset(params["unmounted_volume_ids"]))
        effects = Volumes(ec2, target, params["tags"], params["timeout"], former=former)
        volumes = [effects.do(step) for step in steps]
        for volume in volumes:
            diff["after"][volume["name"]].update(volume_id=volume["volume_id"], device=volume["device"])
    return {"changed": any(step.attach or step.found is None for step in steps), "volumes": volumes, "diff": diff}


ARGUMENT_SPEC: dict[str, Any] = {
    "instance_id": {"type": "str"},
    "zone": {"type": "str", "required": True},
    "experiment": {"type": "str", "required": True},
    "rank": {"type": "int", "default": 0},
    "tags": {"type": "dict", "default": {}},
    "volumes": {"type": "list", "elements": "dict", "options": VOLUME_OPTIONS, "required": True},
    "leaving_instance_ids": {"type": "list", "elements": "str", "default": []},
    "unmounted_volume_ids": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 120},
}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        return do(Clients(module)("ec2"), module.params, module.check_mode)
    except VolumeError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        what = f"make or attach the volumes of {module.params['instance_id'] or 'the experiment'} ({error.action})"
        module.fail_json(msg=_aws_errors.explain(error.error, what))
    raise AssertionError("fail_json does not come back")


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
