#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: tell what an instance has of a Python environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_env_info
short_description: Tell what an instance has of a Python environment
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance, as the user who uses the environment. Finds virtual environments, and those that Deep Learning
    AMIs bring, of conda or under C(/opt), by name.
options:
  name:
    description: Path of an environment, which need not exist, or name of one that the machine image has.
    type: str
    required: true
  requirements:
    description: Requirements file, of which RV(problem) tells when it is missing.
    type: path
extends_documentation_fragment:
  - experiments.spot.attributes.looks
"""

EXAMPLES = r"""
- name: Look at the environment pytorch of a Deep Learning AMI
  experiments.spot.python_env_info:
    name: pytorch
  register: env
"""

RETURN = r"""
kind:
  description: V(venv) or V(conda).
  type: str
  returned: success
prefix:
  description: Directory of the environment.
  type: str
  returned: success
  sample: /opt/pytorch
activate:
  description: Script that activates it, and its argument.
  type: list
  elements: str
  returned: success
  sample: [/opt/pytorch/bin/activate]
exists:
  description: Whether it is there.
  type: bool
  returned: success
pip:
  description: Whether it has pip.
  type: bool
  returned: success
writable:
  description: Whether the user may install into it.
  type: bool
  returned: success
can_make:
  description: Whether the Python of the machine can make virtual environments.
  type: bool
  returned: success
packaging:
  description: Whether M(ansible.builtin.pip) finds the Python library packaging.
  type: bool
  returned: success
os_family:
  description: V(Debian), V(RedHat) or the distribution's own name.
  type: str
  returned: success
problem:
  description: Why it cannot be used, empty when it can.
  type: str
  returned: success
"""

import importlib.util
import os
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils import _python_env
from ansible_collections.experiments.spot.plugins.module_utils._os_release import os_family


def tell(params: dict[str, Any]) -> dict[str, Any]:
    """The answer of the module."""
    env = _python_env.find(params["name"], pwd.getpwuid(os.getuid()).pw_dir)
    file = params["requirements"]
    missing = f"{file} is not on the instance; correct runtime.python_requirements" if file else ""
    problems = [env.problem, "" if not file or os.path.isfile(file) else missing]
    return {
        "kind": env.kind,
        "prefix": env.prefix,
        "activate": list(env.activate),
        "exists": env.exists,
        "pip": os.path.exists(f"{env.prefix}/bin/pip"),
        "writable": not env.exists or os.access(env.prefix, os.W_OK),
        "can_make": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
        "packaging": importlib.util.find_spec("packaging") is not None,
        "os_family": os_family(),
        "problem": "; ".join(filter(None, problems)),
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "requirements": {"type": "path"}},
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **tell(module.params))
    except OSError as error:
        module.fail_json(msg=f"python_env: {error}")


if __name__ == "__main__":
    main()
