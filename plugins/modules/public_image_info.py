#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Public images for experiments."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: public_image_info
version_added: 1.0.0
short_description: Gather the newest Deep Learning, Ubuntu and Amazon Linux images of a region
description:
  - Lists the images that AWS and Canonical name in public parameters of Systems Manager, always the newest ones, with
    the user that they let in.
  - A parameter can stand in a profile instead of an id, as C(image.ssm_parameter). It means the right image in
    each region.
author:
  - experiments.spot authors (@experiments-spot)
options:
  kinds:
    description: Whose images are listed.
    type: list
    elements: str
    choices: [deep-learning, ubuntu, amazon-linux]
    default: [deep-learning, ubuntu, amazon-linux]
  architecture:
    description: Processor of the images.
    type: str
    choices: [x86_64, arm64]
    default: x86_64
  search:
    description: Words that must all occur in the name or the parameter of an image.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - experiments.spot.attributes.reads
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - C(ssm:GetParametersByPath) is needed. Without C(ec2:DescribeImages) names are null, and RV(notes) says so.
"""

EXAMPLES = r"""
- name: Deep Learning images with PyTorch
  experiments.spot.public_image_info:
    kinds: [deep-learning]
    search: [pytorch]
    region: us-east-1
  register: found

- name: Their ids
  ansible.builtin.debug:
    msg: "{{ found.images | map(attribute='image_id') }}"
"""

RETURN = r"""
region:
  description: The region that was asked.
  returned: success
  type: str
  sample: us-east-1
notes:
  description: What could not be read, a line each.
  returned: success
  type: list
  elements: str
images:
  description: The images by kind, the newest release first.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: One of O(kinds).
      type: str
      sample: deep-learning
    image_id:
      description: Its id in this region.
      type: str
      sample: ami-0123456789abcdef0
    ssm_parameter:
      description: The parameter that holds the id.
      type: str
      sample: /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id
    architecture:
      description: Its processor.
      type: str
      sample: x86_64
    remote_user:
      description: The user that it lets in.
      type: str
      sample: ubuntu
    name:
      description: Its name, null when not known.
      type: str
      sample: Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20260131
    description:
      description: What its maker says about it, null when not known.
      type: str
    creation_date:
      description: When it was made (ISO 8601, UTC), null when not known.
      type: str
      sample: "2026-01-31T04:01:11.000Z"
    driver:
      description: Version of its NVIDIA driver, null where neither its name nor its description tells it.
      type: str
      sample: "595.71.05"
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients
from ansible_collections.experiments.spot.plugins.module_utils._experiment.reads import ReadError, failures
from ansible_collections.experiments.spot.plugins.module_utils._images import reads

KINDS = ["deep-learning", "ubuntu", "amazon-linux"]
ARGUMENT_SPEC: dict[str, Any] = {
    "kinds": {"type": "list", "elements": "str", "choices": KINDS, "default": KINDS},
    "architecture": {"type": "str", "choices": ["x86_64", "arm64"], "default": "x86_64"},
    "search": {"type": "list", "elements": "str", "default": []},
}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        clients = Clients(module)
        found = reads.public_images(clients, module.params)
    except ReadError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        module.fail_json(msg="\n".join(failures([error])))
    return {"changed": False, "region": clients.region, **found}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
