#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why instances ended, and whether others may be launched in their place."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: spot_end_info
version_added: 1.0.0
short_description: Tell why instances ended and whether that may be retried
description:
  - Tells for each instance whether it is alive, is about to be taken back by EC2, or why it ended, by its state reason
    and by the status of its Spot request.
  - Makes one C(DescribeInstances) and one C(DescribeSpotInstanceRequests) for up to 200 instances.
author:
  - experiments.spot authors (@experiments-spot)
options:
  instance_ids:
    description:
      - Ids of instances, also of ones that AWS has forgotten.
      - Exactly one of this and O(experiment) is needed.
    type: list
    elements: str
  experiment:
    description:
      - Name of an experiment. All its instances that AWS still knows are listed, of all generations.
    type: str
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - AWS forgets a terminated instance after about an hour. Its Spot request is known for longer, and then tells alone.
  - C(ec2:DescribeSpotInstanceRequests) is not needed; without it an instance that is about to be taken back counts as
    alive, and RV(notes) says so.
seealso:
  - module: experiments.spot.experiment_info
"""

EXAMPLES = r"""
- name: Why did the instances of an experiment end
  experiments.spot.spot_end_info:
    experiment: digits
  register: ends

- name: Those in whose place others may be launched
  ansible.builtin.debug:
    msg: "{{ ends.instances | selectattr('retry') | map(attribute='instance_id') }}"

- name: Is this instance about to be taken back
  experiments.spot.spot_end_info:
    instance_ids: [i-0123456789abcdef0]
  register: ends
  until: ends.instances[0].kind != 'alive'
  retries: 10
"""

RETURN = r"""
region:
  description: The region that was asked.
  returned: success
  type: str
  sample: us-east-1
notes:
  description: What could not be read for want of an optional permission.
  returned: success
  type: list
  elements: str
instances:
  description: One entry an instance, in the order of O(instance_ids), else the oldest launch first.
  returned: success
  type: list
  elements: dict
  contains:
    instance_id:
      description: Id of the instance.
      type: str
      sample: i-0123456789abcdef0
    kind:
      description:
        - V(alive) for a running instance, V(doomed) for one that EC2 has marked and that ends within minutes.
        - V(interrupted) when EC2 took it back, V(shutdown) when the machine shut itself down (its job may have
          finished), V(user) when a call of the account ended it, V(failed) when it could not start or the hardware
          failed, V(unknown) when AWS does not say.
      type: str
      sample: interrupted
    retry:
      description: Whether another instance may be launched in its place without asking anybody.
      type: bool
      sample: true
    code:
      description: The code of AWS that decided, of the state reason or of the Spot request, empty for none.
      type: str
      sample: instance-terminated-no-capacity
    text:
      description: What happened and what to do, one line.
      type: str
      sample: EC2 took the Spot Instance back; launch another one, with more instance types or zones if possible
    when:
      description: When it ended or was marked (ISO 8601, UTC), null when it is alive or AWS does not say.
      type: str
      sample: "2026-01-31T12:34:56+00:00"
    state:
      description: State of the instance, null when AWS has forgotten it.
      type: str
      sample: terminated
    instance_type:
      description: Instance type, null when not known.
      type: str
      sample: g5.xlarge
    zone:
      description: Availability Zone, null when not known.
      type: str
      sample: us-east-1a
    lifecycle:
      description: V(spot) or V(on-demand), null when not known.
      type: str
      sample: spot
    experiment:
      description: The experiment of its tags, null for none.
      type: str
      sample: digits
    generation:
      description: The generation of its tags, null for none.
      type: int
      sample: 1
    state_reason:
      description: Code of its state reason, null for none.
      type: str
      sample: Server.SpotInstanceTermination
    spot_instance_request_id:
      description: Id of its Spot request, null for none.
      type: str
      sample: sir-0123abcd
    spot_request_state:
      description: State of the Spot request, null when not known.
      type: str
      sample: closed
    spot_request_status:
      description: Status code of the Spot request, null when not known.
      type: str
      sample: instance-terminated-no-capacity
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment import reads
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._spot import api, ends

ARGUMENT_SPEC: dict[str, Any] = {
    "instance_ids": {"type": "list", "elements": "str"},
    "experiment": {"type": "str"},
}


def gather(clients: Clients, params: dict[str, Any]) -> dict[str, Any]:
    """Read and judge.

    Raises:
        ApiError: a call that cannot be done without failed.
    """
    ec2 = clients("ec2")
    ids, experiment = params["instance_ids"], params["experiment"]
    if ids is None:
        instances = api.marked_instances(ec2, experiment)
        ids, wanted = ends.ids_by_launch(instances), ends.spot_ids(instances)
    else:
        instances, wanted = api.instances(ec2, ids), ids
    requests, notes = spot_requests(ec2, wanted)
    return {"region": clients.region, "notes": notes, "instances": ends.entries(ids, instances, requests)}


def spot_requests(ec2: Any, ids: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The Spot requests of instances, and a note when the permission for them is missing.

    Raises:
        ApiError: the call failed for another reason.
    """
    try:
        return api.spot_requests(ec2, ids), []
    except ApiError as error:
        if not error.denied:
            raise
        why = f"{error.action}: {error.reason}"
        return [], [f"No answer about the Spot requests, so notices of interruption are not seen ({why})"]


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("instance_ids", "experiment")],
        required_one_of=[("instance_ids", "experiment")],
        supports_check_mode=True,
    )
    mistakes = ends.problems(module.params["instance_ids"] or [])
    if mistakes:
        module.fail_json(msg="Invalid options: " + "; ".join(mistakes))
    try:
        gathered = gather(Clients(module), module.params)
    except ApiError as error:
        module.fail_json(msg="\n".join(reads.failures([error])))
    module.exit_json(changed=False, **gathered)


if __name__ == "__main__":
    main()
