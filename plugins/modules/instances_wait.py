#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instances_wait
short_description: Wait until instances can be logged in to, run, or are gone
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Waits for any number of instances at once and shows a line for each of them now and then, first after 5 seconds,
    then each 15.
  - For O(state=ssh) it takes the public host keys of an instance from its console output, writes them to a
    C(known_hosts) file under the instance id and logs in with strict host key checking. The connection stays open for
    the tasks, transfers and logs that follow.
  - An instance whose host key is known already and which answers costs one describe call for all and no console call.
  - An instance that goes away, a host key that is not the one of the console, and a login that is refused for good end
    the wait at once.
  - Runs on the controller. Needs the permissions C(ec2:DescribeInstances) and C(ec2:GetConsoleOutput), and for better
    error messages C(ec2:DescribeKeyPairs).
options:
  instance_ids:
    description: The instances. With an empty list nothing is done.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(ssh) waits until a login works.
      - V(running) waits until the instance runs and has the wanted address.
      - V(terminated) waits until the instance is gone, and forgets its host keys.
    type: str
    choices: [ssh, running, terminated]
    default: ssh
  timeout:
    description: Seconds for all instances together. Without it C(wait) of O(access).
    type: float
  access:
    description:
      - The section C(access) of a profile. Other keys than these are ignored.
      - C(remote_user) (default V(ubuntu)), C(port) (default V(22)), C(address) (V(public), the default, or V(private)).
      - C(private_key_file). Without it the file that was made for the O(experiment), else what ssh finds itself. It
        must be readable by you alone (C(chmod 600)).
      - C(host_keys). V(console) (the default) trusts only what the console shows. V(accept-new) trusts the key of the
        first login unseen, and warns.
      - C(wait) (default V(300)), the seconds for O(timeout).
    type: dict
    default: {}
  experiment:
    description: Name of the experiment, for the progress lines and to find its private key.
    type: str
    default: ""
  known_hosts_file:
    description: The file for the host keys. Keys of instances of this account and region that are gone are removed.
    type: path
    default: ~/.ssh/experiments.spot/known_hosts
  quiet:
    description: Shows no progress. Without it the environment variable E(EXPERIMENTS_SPOT_QUIET) decides.
    type: bool
attributes:
  check_mode:
    support: full
    description: Looks once, waits for nothing and writes nothing.
  diff_mode:
    support: none
    description: There is nothing to show.
  idempotent:
    support: full
    description: Writes host keys only when they are new.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - name: GetConsoleOutput
    description: Where the host keys come from.
    link: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
"""

EXAMPLES = r"""
- name: Wait until every host answers
  experiments.spot.instances_wait:
    instance_ids: [i-0123456789abcdef0, i-0fedcba9876543210]
    experiment: digits
    access:
      remote_user: admin
      private_key_file: ~/.ssh/id_ed25519
  register: ready

- name: Wait until they are gone
  experiments.spot.instances_wait:
    instance_ids: "{{ ready.instances | map(attribute='instance_id') }}"
    state: terminated
    timeout: 120
"""

RETURN = r"""
instances:
  description: The instances, sorted by id, which is by rank when all of an experiment are asked for.
  type: list
  elements: dict
  returned: success
  contains:
    instance_id:
      description: Id of the instance.
      type: str
    state:
      description: State of the instance.
      type: str
      sample: running
    state_reason:
      description: Why it is in this state.
      type: str
    type:
      description: Instance type, also as RV(instances[].instance_type).
      type: str
      sample: t3.medium
    instance_type:
      description: Instance type.
      type: str
    zone:
      description: Availability Zone.
      type: str
      sample: us-east-1b
    address:
      description: The public or the private address, as asked for.
      type: str
    public_ip:
      description: Public address.
      type: str
    private_ip:
      description: Private address.
      type: str
    launch_time:
      description: When it was launched, ISO 8601.
      type: str
    generation:
      description: Its tag C(spot:generation).
      type: int
    lifecycle:
      description: V(spot) or V(on-demand).
      type: str
    subnet_id:
      description: Its subnet.
      type: str
    key_name:
      description: Name of its key pair.
      type: str
    image_id:
      description: Its image.
      type: str
    host_key_verified:
      description: V(console), V(accept-new), or null when no key was looked at.
      type: str
known_hosts:
  description: Path of the file with the host keys.
  type: str
  returned: success
private_key_file:
  description: Path of the private key that is used, null for what ssh finds itself.
  type: str
  returned: success
control_path:
  description: The C(ControlPath) of the connections that stay open. Double its C(%) for C(ansible_control_path).
  type: str
  returned: success
  sample: /home/me/.ansible/cp/spot-%k-%r
waited:
  description: Seconds that the wait took.
  type: float
  returned: success, when something was waited for
failed_instances:
  description: Ids of the instances that failed.
  type: list
  elements: str
  returned: failure
"""
