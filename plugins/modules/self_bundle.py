#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: self_bundle
short_description: Put into a bucket what instances need to set themselves up
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - For the recovery mode C(self). Packs Ansible, the AWS SDK, this collection, the profile, the plan and what the
    channels send into one archive, and uploads it to a bucket, where an instance fetches it with the rights of its
    role. Nothing is installed on the instance from a package index.
  - Equal contents make an equal archive under an equal name, which is uploaded once.
  - The environment of the job and the webhook are not in the archive but in an object of their own.
  - Runs on the controller.
options:
  state:
    description:
      - V(present) uploads what is missing. V(absent) removes everything of the experiment from the bucket.
    type: str
    choices: [present, absent]
    default: present
  bucket:
    description: The bucket, and a prefix if wanted, as in C(recovery.bucket) of the profile.
    type: str
    required: true
  experiment:
    description: Name of the experiment; its objects are below that name.
    type: str
    required: true
  spot:
    description: What M(experiments.spot.profile) returned; required with O(state=present).
    type: dict
  plan:
    description: What M(experiments.spot.launch_plan_info) returned; required with O(state=present).
    type: dict
  begin:
    description:
      - Forget what earlier instances wrote down, their generation and their failures. For a new fleet.
    type: bool
    default: false
attributes:
  check_mode:
    description: Predicts what would be uploaded or removed, without changes.
    support: full
  diff_mode:
    description: Shows no diff.
    support: none
  idempotent:
    description: What is there already is not uploaded again, unless O(begin=true).
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
- name: Provide what the instances need
  experiments.spot.self_bundle:
    bucket: s3://my-bucket/experiments
    experiment: mnist
    spot: "{{ spot }}"
    plan: "{{ spot_plan }}"

- name: Remove it
  experiments.spot.self_bundle:
    bucket: s3://my-bucket/experiments
    experiment: mnist
    state: absent
"""

RETURN = r"""
url:
  description: Where the objects of the experiment are.
  type: str
  returned: success
  sample: s3://my-bucket/experiments/mnist/
name:
  description: Name of the archive.
  type: str
  returned: with O(state=present)
  sample: bundle-0123456789abcdef.tar.gz
size:
  description: Size of the archive in bytes.
  type: int
  returned: with O(state=present)
written:
  description: Names of the objects that were written, or would be in check mode.
  type: list
  elements: str
  returned: with O(state=present)
removed:
  description: Names of the objects that were removed, or would be in check mode.
  type: list
  elements: str
  returned: with O(state=absent)
"""
