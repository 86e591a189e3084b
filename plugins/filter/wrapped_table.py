# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: rows as plain text that fits the terminal and shortens nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wrapped_table
short_description: Rows as plain text that fits the terminal
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Turns a list of dictionaries into a table whose last column goes on in the next line. Where the terminal is too
    narrow for that, each row becomes a block of lines.
  - Nothing is shortened. P(experiments.spot.table#filter) does the same and has numbers at the right.
positional: columns, width
options:
  _input:
    description: The rows.
    type: list
    elements: dict
    required: true
  columns:
    description: The columns, as P(experiments.spot.table#filter) takes them.
    type: list
    elements: raw
    required: true
  width:
    description:
      - Length of the longest line, in characters.
      - V(0) is that of the environment variable E(COLUMNS), else of the terminal, else 120.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Show what was found
  experiments.spot.show:
    msg: "{{ checks | experiments.spot.wrapped_table(['check', 'result', ['what to do', 'todo']]) }}"
"""

RETURN = r"""
_value:
  description: The text, without a line end at the end.
  type: str
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.plugin_utils import _terminal, _text


def wrapped_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Any], width: int = 0) -> str:
    """See the documentation of the filter."""
    if isinstance(rows, (str, bytes, Mapping)) or any(not isinstance(row, Mapping) for row in rows):
        raise AnsibleFilterError("wrapped_table: wants a list of dictionaries")
    try:
        return _text.wrapped(rows, columns, int(width) or _terminal.width(os.environ))
    except (_text.ColumnError, TypeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"wrapped_table": wrapped_table}
