# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that says in words why code did not come from its repository."""

from __future__ import annotations

DOCUMENTATION = r"""
name: code_problem
short_description: Why code did not come from its repository, and what to do
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Turns what git, ssh or M(ansible.builtin.git) said into one line that says what to do.
positional: repository, version, path
options:
  _input:
    description: What was said.
    type: str
    required: true
  repository:
    description: Address of the repository.
    type: str
    required: true
  version:
    description: Branch, tag or commit that was wanted.
    type: str
    required: true
  path:
    description: Where it was to go.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say why
  ansible.builtin.fail:
    msg: "{{ ansible_failed_result.msg | experiments.spot.code_problem(repository, 'main', '/home/ubuntu/train') }}"
"""

RETURN = r"""
_value:
  description: One line.
  type: str
"""

from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._code.problems import explain


def code_problem(said: Any, repository: str, version: str | None, path: str) -> str:
    """See the documentation of the filter."""
    return explain(str(said), repository, version or "", path)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names as Jinja sees them."""
        return {"code_problem": code_problem}
