#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Look whether a launch can work from here
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Looks at the controller (Ansible, Python, boto3, collections, rsync, ssh), at the address that would be let in, at
    the network, the clock, the credentials, the permissions and the quotas, and at a profile.
  - All checks are made; one that fails does not stop the others, and none is an error of the task.
  - Makes and changes nothing. Permissions are asked for with C(DryRun), and where this tells nothing with
    C(iam:SimulatePrincipalPolicy), if that is allowed.
  - Runs on the controller.
options:
  name:
    description: Name of a profile, or path to one, to be checked too. Empty for none.
    type: str
    default: ""
  dirs:
    description: Directories to search for it first, see M(experiments.spot.profile).
    type: list
    elements: path
    default: []
    aliases: [profiles_dir]
  experiment:
    description: Name of the experiment; without it that of the profile.
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
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
seealso:
  - module: experiments.spot.profile
  - module: experiments.spot.launch_plan_info
"""

EXAMPLES = r"""
- name: Look whether the profile g5 can be launched
  experiments.spot.doctor:
    name: g5
  register: looked

- name: Show it
  experiments.spot.show:
    msg: "{{ looked.checks | experiments.spot.wrapped_table(['check', 'result', 'text']) }}"
"""

RETURN = r"""
checks:
  description: One entry a check.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: What was looked at.
      type: str
      sample: rsync
    result:
      description: C(ok), C(warning) (a launch may work), C(failed) (it will not), C(skipped) (could not be looked at).
      type: str
      sample: failed
    found:
      description: What was found.
      type: str
      sample: is missing
    todo:
      description: What to do, empty for nothing.
      type: str
      sample: install rsync with the package manager of this machine
    text:
      description: What was found and what to do, in one line.
      type: str
      sample: is missing; install rsync with the package manager of this machine
counts:
  description: How many checks ended with each result.
  returned: success
  type: dict
  sample: {ok: 14, warning: 1, failed: 1, skipped: 0}
"""
