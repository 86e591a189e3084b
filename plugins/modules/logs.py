#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: logs
short_description: Show or follow logs of an experiment
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Shows the last lines of a log of all instances of an experiment, or of some, over ssh with verified host keys. Lines
    of several instances begin with the rank.
  - With O(follow) it goes on until the job is over. A lost connection is opened again, and the log goes on behind the
    last line that was shown; when AWS takes an instance, it goes on with the instance that takes its place.
  - Of an experiment that has no instance it says where the results are, and shows the end of the last console output.
  - Runs on the controller. Needs the permissions C(ec2:DescribeInstances), C(ec2:DescribeSpotInstanceRequests) and
    C(ec2:GetConsoleOutput).
options:
  experiment:
    description: Name of the experiment. Empty takes the only one.
    type: str
    default: ""
  experiments:
    description: The experiments, as M(experiments.spot.experiment_info) returns them.
    type: list
    elements: dict
    required: true
  regions:
    description: Where they were looked for.
    type: list
    elements: str
    required: true
  source:
    description: V(job), V(notice) (what the watcher for notices does), V(cloud-init), V(docker) or V(system) (all).
    type: str
    default: job
  lines:
    description: Number of lines from the end, 1 to 1000000.
    type: str
    default: "100"
  follow:
    description: Whether to go on as V(true) or V(false).
    type: str
    default: "false"
  rank:
    description: Ranks of the instances, joined by commas. Empty takes all.
    type: str
    default: ""
  access:
    description:
      - Section C(access) of the profile. Without it the entry that M(experiments.spot.ssh_config) wrote and the tags of
        the instance say how to log in.
    type: dict
    default: {}
  results:
    description: Where results are kept, for the message about an experiment without an instance.
    type: str
    default: ""
  wait:
    description: Seconds until an instance that does not let in is an error.
    type: float
    default: 20
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode and return what it would do outside of it.
    support: full
    details: [This module changes nothing.]
  diff_mode:
    description: Will return details on what has changed.
    support: none
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: experiments.spot.job_wait
"""

EXAMPLES = r"""
- name: Show the end of the job's log
  experiments.spot.logs:
    experiment: digits
    experiments: "{{ found.experiments }}"  # of experiments.spot.experiment_info
    regions: "{{ found.regions }}"
"""

RETURN = r"""
instances:
  description: Ids of the instances that were read.
  returned: always
  type: list
  elements: str
  sample: [i-0123456789abcdef0]
console:
  description: The last lines of the console output of the last instance.
  returned: when no instance runs
  type: list
  elements: str
"""
