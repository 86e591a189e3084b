#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Key pair and security group of an experiment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: access
version_added: 1.0.0
short_description: Make the key pair and the security group by which the instances of an experiment are reached
description:
  - Makes a key pair and a security group of the name C(spot-EXPERIMENT), with few calls - three for a new experiment.
  - The private key is made on the controller and stays there; AWS gets its public half.
  - The group lets one address range reach one TCP port and nobody else. Rules that let others in are taken back.
  - What another run has made already is found and used. A group of this name that was not made for the experiment is
    refused, and then nothing is made.
author:
  - experiments.spot authors (@experiments-spot)
options:
  experiment:
    description:
      - Name of the experiment.
    type: str
    required: true
  private_key_file:
    description:
      - The private key. It is made (ed25519, mode 0600) when there is no such file.
      - A key pair of the same name with another key is replaced; nobody can log in with it any more.
      - Without this option no key pair is made.
    type: path
  cidr:
    description:
      - Who may reach O(port), such as V(198.51.100.7/32), also an IPv6 range.
      - Without this option no security group is made.
    type: str
  port:
    description:
      - The TCP port.
    type: int
    default: 22
  vpc_id:
    description:
      - The VPC of the security group; needed with O(cidr).
    type: str
  group_id:
    description:
      - The security group, where it is known to be there already.
    type: str
  tags:
    description:
      - Tags of key pair and group. C(spot:experiment) is added.
    type: dict
    default: {}
  assume_absent:
    description:
      - The caller has just seen that neither exists, so both are made without looking first.
    type: bool
    default: false
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode and return what it would outside of it.
    support: full
  diff_mode:
    description: Returns what exists before and after.
    support: full
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: experiments.spot.experiment
  - module: experiments.spot.launch_plan_info
"""

EXAMPLES = r"""
- name: Make key pair and security group
  experiments.spot.access:
    experiment: digits
    private_key_file: ~/.ssh/experiments.spot/digits
    vpc_id: vpc-0123456789abcdef0
    cidr: 198.51.100.7/32
"""

RETURN = r"""
key_pair:
  description: The key pair with C(name) and C(id), null when none was asked for. Without an id in check mode.
  returned: success
  type: dict
  sample: {"name": "spot-digits", "id": "key-0123456789abcdef0"}
security_group:
  description: The group with C(name) and C(id), null when none was asked for. Without an id in check mode.
  returned: success
  type: dict
  sample: {"name": "spot-digits", "id": "sg-0123456789abcdef0"}
private_key_file:
  description: Absolute path of the private key, null when none was asked for.
  returned: success
  type: str
"""

import os
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._experiment import access, reads
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients

ARGUMENT_SPEC: dict[str, Any] = {
    "experiment": {"type": "str", "required": True},
    "private_key_file": {"type": "path", "no_log": False},
    "cidr": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "vpc_id": {"type": "str"},
    "group_id": {"type": "str"},
    "tags": {"type": "dict", "default": {}},
    "assume_absent": {"type": "bool", "default": False},
}
RULES: dict[str, Any] = {
    "required_by": {"cidr": ["vpc_id"]},
    "required_one_of": [["private_key_file", "cidr"]],
}
NEW_KEY = "ssh-ed25519 new"


def wish_of(params: dict[str, Any], check: bool) -> access.Wish:
    """What is wanted, with the public half of the key; in check mode a key that would be made stands for itself.

    Raises:
        AccessError: the private key cannot be made or read.
    """
    experiment, path = params["experiment"], params["private_key_file"]
    line = None
    if path:
        line = access.public_line(os.path.abspath(path), f"experiments.spot {experiment}", not check) or NEW_KEY
    rule = access.Rule(params["port"], params["cidr"]) if params["cidr"] else None
    tags = {**{str(key): str(value) for key, value in params["tags"].items()}, "spot:experiment": experiment}
    return access.Wish(experiment, tags, line, params["vpc_id"] or "", rule, params["group_id"] or "")


def do(module: Any) -> dict[str, Any]:
    """Bring it about, or predict it.

    Raises:
        ApiError: a call failed.
        AccessError: see ``access``.
    """
    params, check = module.params, module.check_mode
    wish = wish_of(params, check)
    ec2 = Clients(module)("ec2")
    assumed = params["assume_absent"] and not check
    before = access.Seen() if assumed else access.look(ec2, wish)
    changed = access.todo(wish, before).anything
    after = access.ensure(ec2, wish, before) if changed and not check else before
    result = {
        "changed": changed,
        "key_pair": {"name": wish.name, **_id(after.key_pair, "KeyPairId")} if wish.public_key else None,
        "security_group": {"name": wish.name, **_id(after.group, "GroupId")} if wish.rule else None,
        "private_key_file": os.path.abspath(params["private_key_file"]) if wish.public_key else None,
    }
    shown = access.told(wish, before)
    return {**result, "diff": {"before": shown, "after": access.told_after(wish) if changed else shown}}


def _id(resource: dict[str, Any] | None, key: str) -> dict[str, str]:
    return {"id": resource[key]} if resource else {}


def run(module: Any) -> dict[str, Any]:
    """What the module answers; fails through it."""
    try:
        return do(module)
    except access.AccessError as error:
        module.fail_json(msg=str(error))
    except ApiError as error:
        module.fail_json(msg="\n".join(reads.failures([error])))
    raise AssertionError("fail_json does not come back")


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
