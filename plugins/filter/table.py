# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: rows as aligned plain text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: table
short_description: Rows as aligned plain text
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Turns a list of dictionaries into a table for a terminal, with a head line and two blanks between the columns.
  - Numbers stand at the right, nothing is shown as C(-).
  - Where the terminal is too narrow, the last column goes on in the next line, or each row becomes a block of lines.
    Nothing is shortened.
positional: columns, width
options:
  _input:
    description: The rows.
    type: list
    elements: dict
    required: true
  columns:
    description:
      - The columns, each a key of the rows, or a list of title, key and, if wanted, a format.
      - The formats are V(usd), V(percent) (of a share between 0 and 1), V(duration) (of seconds) and V(right)
        (text at the right edge).
    type: list
    elements: raw
    required: true
  width:
    description:
      - Length of the longest line, in characters, where there is no terminal that has another one.
      - That of a terminal is the environment variable E(COLUMNS), else what the terminal says.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Show the pools
  experiments.spot.show:
    msg: "{{ pools | experiments.spot.table(['zone', ['type', 'instance_type'], ['price/h', 'price', 'usd']]) }}"
"""

RETURN = r"""
_value:
  description: The table, without a line end at the end.
  type: str
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.plugin_utils import _terminal, _text


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Any], width: int = 120) -> str:
    """See the documentation of the filter."""
    wrong = next((row for row in rows if not isinstance(row, Mapping)), None) if _is_list(rows) else rows
    if wrong is not None:
        raise AnsibleFilterError(f"table: wants a list of dictionaries, not {type(wrong).__name__}")
    try:
        return _text.fitting(rows, columns, _terminal.width(os.environ, int(width)))
    except (_text.ColumnError, TypeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"table": table}
