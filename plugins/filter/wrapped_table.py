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
  - Nothing is shortened, as P(experiments.spot.table#filter) would do.
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
      - V(0) is that of the environment variable E(COLUMNS), else of the terminal where that is wider than 79, else 120.
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
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.plugin_utils import _text

# What Ansible takes for the width where there is no terminal, or a narrower one.
NO_TERMINAL = 79
USUAL = 120


def terminal_width(environ: Mapping[str, str], known: int) -> int:
    """Characters in a line: as the environment says, else as Ansible knows.

    Args:
        environ: the environment.
        known: width of the terminal as Ansible's display has it.
    """
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return known if known > NO_TERMINAL else USUAL


def wrapped_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Any], width: int = 0) -> str:
    """See the documentation of the filter."""
    if isinstance(rows, (str, bytes, Mapping)) or any(not isinstance(row, Mapping) for row in rows):
        raise AnsibleFilterError("wrapped_table: wants a list of dictionaries")
    try:
        return _text.wrapped(rows, columns, int(width) or terminal_width(os.environ, Display().columns))
    except (_text.ColumnError, TypeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"wrapped_table": wrapped_table}
