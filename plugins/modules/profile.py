#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile
short_description: Read, complete and check the profile of an experiment
version_added: 1.0.0
description:
  - Finds a profile by name, lays it over the profile that it extends, applies what C(-e) says, fills in templates and
    completes it with defaults.
  - Every mistake of the profile is reported at once, before anything is created. Local files that it names are
    checked too.
  - The keys of a profile are explained in C(docs/profile.md) of the collection.
options:
  name:
    description:
      - Name of the profile, which is the name of its file without C(.yml); or a path to a file.
      - An unknown or empty name fails with a list of the profiles that exist.
    type: str
    default: ""
  dirs:
    description:
      - Directories to search first.
      - After them come C(profiles/) where the command was typed, C(profiles/) beside the playbook, and the profiles of
        the collection.
    type: list
    elements: path
    default: []
    aliases: [profiles_dir]
  experiment:
    description:
      - Name of the experiment.
      - Without it the profile says it, and otherwise it is the profile's name.
    type: str
    default: ""
  resolve_caller:
    description:
      - Whether to ask U(https://checkip.amazonaws.com) for your public address when C(access.ssh_cidr) of the profile
        is V(auto) and the environment variable E(EXPERIMENTS_SPOT_SSH_CIDR) is not set.
    type: bool
    default: false
  hosts_only:
    description:
      - Whether the profile is for machines that are there already, so that no region must be named.
    type: bool
    default: false
  local_files:
    description:
      - Whether the files that the profile names on this machine must be there, its results be writable here, and the
        programs be installed that a launch needs.
      - What only looks, or ends an experiment, needs none of them.
    type: bool
    default: true
  job:
    description:
      - Keys of the section C(job) that are taken as if they were typed as C(-e job.KEY). Those that are null are left
        out.
      - With it the extra variable C(image) belongs to the job and not to the machines.
    type: dict
    default: {}
  job_params:
    description:
      - Parameters of the job, C(NAME=VALUE,NAME=VALUE) or a mapping. They are taken as if they were typed as
        C(-e job.env.NAME).
    type: raw
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
author:
  - experiments.spot authors (@experiments-spot)
notes:
  - Extra variables (C(-e)) change single values, C(-e capacity.count=3), C(-e volumes.NAME.size=100), or whole
    sections as JSON.
seealso:
  - module: experiments.spot.launch_plan_info
"""

EXAMPLES = r"""
- name: Read the profile g5
  experiments.spot.profile:
    name: g5
    experiment: first-try
  register: spot

- name: Look for profiles in a directory of the team first
  experiments.spot.profile:
    name: nightly
    dirs: [/srv/team/profiles]
    resolve_caller: true
  register: spot
"""

RETURN = r"""
profile:
  description: The profile with all keys present, see C(docs/profile.md).
  returned: success
  type: dict
  sample: {name: g5, region: us-east-1, experiment: first-try, capacity: {instance_types: [g5.xlarge], count: 1}}
file:
  description: File of the profile.
  returned: success
  type: str
  sample: /home/alice/work/profiles/g5.yml
experiment:
  description: Name of the experiment.
  returned: success
  type: str
  sample: first-try
experiment_option:
  description: What to type after C(-e profile=NAME) to mean the same experiment again; empty when nothing is needed.
  returned: success
  type: str
  sample: " -e experiment=first-try"
region:
  description: AWS region.
  returned: success
  type: str
  sample: us-east-1
tags:
  description: The C(spot:*) tags that the profile alone decides.
  returned: success
  type: dict
  sample: {"spot:experiment": first-try, "spot:profile": g5, "spot:job": train}
caller_cidr:
  description:
    - The IPv4 network that may log in; null when the profile says V(auto) and O(resolve_caller=false).
  returned: success
  type: str
  sample: 203.0.113.7/32
has_secrets:
  description: Whether the profile may hold secrets (environment of its job, password, token, address of a webhook).
  returned: success
  type: bool
"""
