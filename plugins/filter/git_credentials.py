# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that gives the line in which git finds a token."""

from __future__ import annotations

DOCUMENTATION = r"""
name: git_credentials
short_description: The line in which git finds a token
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Gives the line that C(git credential-store) keeps for a repository. It is a secret.
positional: user, token
options:
  _input:
    description: Address of the repository.
    type: str
    required: true
  user:
    description: User that goes with the token.
    type: str
    required: true
  token:
    description: The token.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Let git in
  ansible.builtin.copy:
    dest: /run/experiments-spot-code/credentials
    content: "{{ 'https://github.com/alice/train.git' | experiments.spot.git_credentials('git', git_token) }}"
    mode: "0600"
  no_log: true
"""

RETURN = r"""
_value:
  description: The line, empty for an address that takes no token.
  type: str
"""

from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._code.repository import credentials_line, parse


def git_credentials(repository: str, user: str, token: str) -> str:
    """See the documentation of the filter."""
    found = parse(repository)
    return credentials_line(found, user, token) if found and found.host and token else ""


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names as Jinja sees them."""
        return {"git_credentials": git_credentials}
