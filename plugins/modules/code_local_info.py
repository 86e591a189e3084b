#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: code_local_info
short_description: Warn about local changes that instances do not get
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Where a folder of the controller is a clone of the repository that instances get their code from, warns about
    changes that are not committed, commits that are not pushed, and another branch.
  - Runs on the controller, asks no server and changes nothing.
options:
  repository:
    description: Address of the repository. That of the clone may be written in another way.
    type: str
    required: true
  version:
    description: Branch, tag or commit that instances get. Empty means the default branch.
    type: str
    default: ""
  path:
    description: The folder. By default the one where the command was typed.
    type: path
attributes:
  check_mode:
    support: full
    description: It changes nothing.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
"""

EXAMPLES = r"""
- name: Say what the instances will not get
  experiments.spot.code_local_info:
    repository: git@github.com:alice/train.git
    version: main
"""

RETURN = r"""
differences:
  description: What was warned about.
  type: list
  elements: str
  returned: success
  sample: ["/src/train has 1 commit that is not pushed; the instances get what is pushed to https://github.com/alice/train"]
"""
