# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: Spot pools as a table that fits the terminal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: price_table
short_description: Spot pools as a table that fits the terminal
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Turns what M(experiments.spot.spot_pool_info) returned into a table. In a narrow terminal the columns that say least
    give way, and a last line names them. Where a call failed, the cells of its column say why.
positional: width
options:
  _input:
    description: What the module returned.
    type: dict
    required: true
  width:
    description: Length of the longest line, in characters. By default E(COLUMNS), or the width of the terminal, or 120.
    type: int
"""

EXAMPLES = r"""
- name: Show the cheapest pools
  experiments.spot.show:
    msg: "{{ found | experiments.spot.price_table }}"
"""

RETURN = r"""
_value:
  description: The table, without a line end at the end.
  type: str
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.plugin_utils import _prices, _terminal


def price_table(found: Mapping[str, Any], width: int | None = None) -> str:
    """See the documentation of the filter."""
    if not isinstance(found, Mapping) or "pools" not in found:
        raise AnsibleFilterError("price_table: wants what spot_pool_info returned")
    columns = int(width) if width else _terminal.width(os.environ)
    return _prices.table(list(found["pools"]), found.get("unknown") or {}, columns)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"price_table": price_table}
