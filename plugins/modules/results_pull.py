#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: results_pull
short_description: Bring the results of an experiment from their bucket
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Reads the manifest C(LATEST) that M(experiments.spot.results_pusher) has written, and fetches what is not here yet.
    No instance needs to run any more.
  - Each file is fetched under another name, compared with its SHA-256 and renamed. A file that was cut off goes on
    where it ended. Nothing is ever deleted here.
  - Shows every 15 seconds how far it is, unless E(EXPERIMENTS_SPOT_QUIET) is set.
  - Runs on the controller, with its credentials.
options:
  bucket:
    description: The bucket, and a prefix if wanted, as in C(results.bucket) of the profile.
    type: str
    required: true
  experiment:
    description: Name of the experiment.
    type: str
    required: true
  local_path:
    description:
      - Directory that the files come to. With several directories of results each has a directory of its own in it, and
        with O(count) above 1 each instance has C(rank-N).
    type: str
    required: true
  ranks:
    description: Ranks of the instances whose results are wanted.
    type: list
    elements: int
    default: [0]
  count:
    description: Number of instances of the experiment.
    type: int
    default: 1
  required:
    description: Fail when the bucket holds no results.
    type: bool
    default: false
  quiet:
    description: Show no progress. By default what E(EXPERIMENTS_SPOT_QUIET) says.
    type: bool
attributes:
  check_mode:
    description: Predicts what would be fetched, without changes.
    support: full
  diff_mode:
    description: Shows the files that are fetched.
    support: full
  idempotent:
    description: What is here already is not fetched again.
    support: full
  action:
    description: Runs on the controller.
    support: full
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Bring the results of mnist
  experiments.spot.results_pull:
    bucket: s3://my-bucket/runs
    experiment: mnist
    local_path: results/mnist
"""

RETURN = r"""
url:
  description: Where the results are.
  type: str
  returned: success
  sample: s3://my-bucket/runs/mnist/
found:
  description: Whether there are results of every wanted instance.
  type: bool
  returned: success
files:
  description: Number of files that were fetched, or would be.
  type: int
  returned: success
bytes:
  description: Number of bytes that were fetched.
  type: int
  returned: success
unchanged:
  description: Number of files that were here already.
  type: int
  returned: success
duration:
  description: Seconds that it took.
  type: float
  returned: success
manifests:
  description: Of each instance C(generation), C(step), C(time) and C(job_state), null where it is not known.
  type: list
  elements: dict
  returned: success
"""
