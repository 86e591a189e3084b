#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watch
short_description: Launch an experiment again whenever AWS takes an instance
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs the command that was typed as a process of its own, with what tells it that somebody watches, and shows its
    output. When AWS has taken an instance, or has announced to, it is run again with C(spot_resume=true) and launches
    what is missing. It ends when the job is over, or when the user has to decide.
  - All that it knows it asks AWS for, so a watch that was killed is taken up by the same command.
  - Made for the playbook C(experiments.spot.launch) with C(-e watch=true).
options:
  profile:
    description:
      - The normalised profile, as M(experiments.spot.profile) returns it, without secrets.
      - In this module the named profile of the AWS credentials is O(aws_profile).
    type: dict
    required: true
    aliases: []
  aws_profile:
    description: A named AWS profile to use for the credentials, the option C(profile) of the modules of amazon.aws.
    type: str
  experiment:
    description: Name of the experiment.
    type: str
    required: true
  poll:
    description:
      - Seconds between two looks at an experiment without a job; with one the run itself watches.
      - A look is one call, whatever the number of instances - DescribeSpotInstanceRequests, and every fourth time, or
        every other where On-Demand Instances work too, DescribeInstances.
    type: float
    default: 30
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: none
    description: Fails, since there is nothing to watch.
  diff_mode:
    support: none
    description: Its runs show their own.
  idempotent:
    support: N/A
    description: Its runs launch what is missing.
notes:
  - A run gives up as the profile says (C(capacity.wait), C(recovery.max_generations), C(recovery.deadline)); after 10
    runs in a row without a new generation the watch gives up.
seealso:
  - module: experiments.spot.job_wait
  - module: experiments.spot.launch_plan_info
"""

EXAMPLES = r"""
- name: Launch, and launch again what AWS takes
  experiments.spot.watch:
    profile: "{{ spot.profile }}"
    experiment: "{{ spot.experiment }}"
"""

RETURN = r"""
runs:
  description: How many runs there were.
  returned: always
  type: int
  sample: 3
generation:
  description: The generation of the last run that launched anything again, 0 when nothing was taken.
  returned: always
  type: int
  sample: 3
"""
