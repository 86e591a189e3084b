#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: tell what an instance has of the code of a job, and what git needs to get it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: code_info
short_description: Tell what an instance has of the code of a job
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance, as the user who owns the code, and answers in one task what getting code from git depends on -
    git and its helpers, what is at the path, which commit the ledger of the job binds the experiment to.
  - Tells the address, the environment and the options of ssh for M(ansible.builtin.git). None of them holds a secret,
    only the names of files that do.
options:
  repository:
    description: Address of the repository - SSH, HTTPS or CodeCommit.
    type: str
    required: true
  version:
    description: Branch, tag or commit. Empty means the default branch.
    type: str
    default: ""
  path:
    description: Directory of the instance.
    type: path
    required: true
  submodules:
    description: Whether its submodules belong to it.
    type: bool
    default: true
  ledger:
    description: Ledger of the job.
    type: path
  rerun:
    description: Whether the commit of earlier runs does not count.
    type: bool
    default: false
  known_hosts:
    description: Lines of known_hosts. Well-known servers are known without.
    type: list
    elements: str
    default: []
  token:
    description: Whether a token is given, which lies in C(credentials) of O(secrets).
    type: bool
    default: false
  secrets:
    description: Directory where known_hosts, key and token are for the time they are needed.
    type: path
    default: /run/experiments-spot-code
  region:
    description: Region of CodeCommit, where the address does not say it.
    type: str
extends_documentation_fragment:
  - experiments.spot.attributes.looks
"""

EXAMPLES = r"""
- name: Look at the code
  experiments.spot.code_info:
    repository: https://github.com/alice/train.git
    version: main
    path: /home/ubuntu/train
  register: code
"""

RETURN = r"""
git:
  description: Whether git is there.
  type: bool
  returned: success
git_lfs:
  description: Whether git-lfs is there.
  type: bool
  returned: success
os_family:
  description: V(Debian), V(RedHat) or the distribution's own name.
  type: str
  returned: success
state:
  description: What is at the path - V(absent), V(ours), V(interrupted) or V(other).
  type: str
  returned: success
  sample: ours
commit:
  description: Commit that is checked out, empty for none.
  type: str
  returned: success
  sample: 8f0d6c0b8b1e0c1d5a6f3a2b4c5d6e7f8a9b0c1d
bound:
  description: Commit that must be there, because O(version) is one or because the job ran with it. Empty for none.
  type: str
  returned: success
locked:
  description: Whether a git that is gone has left its lock.
  type: bool
  returned: success
complete:
  description: Whether its submodules are there.
  type: bool
  returned: success
pointers:
  description: Some files of which only the pointer of git-lfs is there.
  type: list
  elements: str
  returned: success
changed_files:
  description: Some files that differ from the commit.
  type: list
  elements: str
  returned: success
job_active:
  description: Whether the job runs.
  type: bool
  returned: success
url:
  description: Address for git.
  type: str
  returned: success
environment:
  description: Environment of git.
  type: dict
  returned: success
ssh_opts:
  description: Options of ssh.
  type: str
  returned: success
ssh:
  description: Whether git goes by SSH.
  type: bool
  returned: success
known_host_lines:
  description: Lines of known_hosts.
  type: list
  elements: str
  returned: success
problem:
  description: Why the code cannot get there, empty when it can.
  type: str
  returned: success
"""

import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._code import checkout
from ansible_collections.experiments.spot.plugins.module_utils._code.repository import settings_of
from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._job.state import is_active
from ansible_collections.experiments.spot.plugins.module_utils._os_release import os_family

TOOLS = ("aws", "git-remote-codecommit")


def tell(params: dict[str, Any], run: remote.Run) -> dict[str, Any]:
    """The answer of the module."""
    has_git = shutil.which("git") is not None
    found = checkout.Found()
    if has_git:
        found = checkout.look(params["path"], params["repository"], params["submodules"], run)
    settings = settings_of(params, [tool for tool in TOOLS if shutil.which(tool)])
    runs = remote.read_runs(params["ledger"])
    answer = found.as_dict()
    return {
        **answer,
        "changed": False,
        "changed_files": answer["changed"],
        "git": has_git,
        "git_lfs": shutil.which("git-lfs") is not None,
        "os_family": os_family(),
        "bound": checkout.wanted_commit(runs, params["repository"], params["version"], params["rerun"]),
        "job_active": is_active(remote.show_unit(run)),
        **{key: settings[key] for key in ("url", "environment", "ssh_opts", "ssh")},
        "known_host_lines": settings["known_hosts"],
        "problem": found.problem or settings["problem"],
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "version": {"type": "str", "default": ""},
            "path": {"type": "path", "required": True},
            "submodules": {"type": "bool", "default": True},
            "ledger": {"type": "path"},
            "rerun": {"type": "bool", "default": False},
            "known_hosts": {"type": "list", "elements": "str", "default": []},
            "token": {"type": "bool", "default": False, "no_log": False},
            "secrets": {"type": "path", "default": "/run/experiments-spot-code", "no_log": False},
            "region": {"type": "str"},
        },
        supports_check_mode=True,
    )

    def run(argv: list[str]) -> tuple[int, str, str]:
        try:
            rc, out, err = module.run_command(argv, environ_update={"LC_ALL": "C"}, handle_exceptions=False)
        except OSError as error:
            return 127, "", str(error)
        return rc, out, err

    try:
        module.exit_json(**tell(module.params, run))
    except (remote.RemoteError, OSError) as error:
        module.fail_json(msg=f"code: {error}")


if __name__ == "__main__":
    main()
