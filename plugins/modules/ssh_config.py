#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_config
short_description: Write the entries with which ssh logs in to an experiment by its name
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes an entry for each instance of an experiment into a configuration file of our own, so that C(ssh spot-NAME)
    logs in to the first one and C(ssh spot-NAME-1) or C(ssh spot-NAME.1) to the second one. Host key, key and shared
    connection are those of all the rest.
  - Puts one C(Include) line at the top of the user's own file, when there is no such line, and changes nothing else.
  - A file that cannot be written is a warning, since nothing else depends on it.
  - Runs on the controller.
options:
  experiment:
    description: Name of the experiment.
    type: str
    required: true
  hosts:
    description:
      - Inventory hosts of the experiment; they replace those that the file has. Their variables C(ansible_host),
        C(ansible_port), C(ansible_user), C(ansible_ssh_private_key_file), C(spot_rank), C(spot_generation) and
        C(spot_instance_id) are read.
    type: list
    elements: str
    default: []
  state:
    description: V(absent) removes all entries of the experiment.
    type: str
    choices: [present, absent]
    default: present
  private_key_file:
    description: With O(state=absent), a key that only this experiment used; it and its public half are removed.
    type: path
  known_hosts_file:
    description: Where the verified host keys are.
    type: path
    default: ~/.ssh/experiments.spot/known_hosts
  config_file:
    description: Our configuration file.
    type: path
    default: ~/.ssh/experiments.spot/config
  user_config_file:
    description: The file that ssh reads.
    type: path
    default: ~/.ssh/config
attributes:
  check_mode:
    description: Can run in check mode and return what it would do outside of it.
    support: full
  diff_mode:
    description: Returns both files before and after.
    support: full
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Let ssh know the instances
  experiments.spot.ssh_config:
    experiment: digits
    hosts: "{{ groups['spot_experiment'] }}"

- name: Forget them, and remove the key that only they had
  experiments.spot.ssh_config:
    experiment: digits
    private_key_file: ~/.ssh/experiments.spot/digits
    state: absent
"""

RETURN = r"""
hosts:
  description: What to type after RV(ssh), one an instance.
  returned: always
  type: list
  elements: str
  sample: [spot-digits, spot-digits-1]
ssh:
  description:
    - What to type before one of RV(hosts). It names our file where the user's own cannot include it; empty when no
      entry was written.
  returned: always
  type: str
  sample: ssh
"""
