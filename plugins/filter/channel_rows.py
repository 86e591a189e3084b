# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: what channels moved, a row a channel and host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: channel_rows
short_description: What channels moved, a row a channel and host
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Turns what a loop over M(experiments.spot.channel) registered on each host into rows for a table or for JSON.
positional: ranks
options:
  _input:
    description: What was registered, one element a host.
    type: list
    elements: dict
    required: true
  ranks:
    description: The rank of each host, in the same order.
    type: list
    elements: int
    required: true
"""

EXAMPLES = r"""
- name: Show what was moved
  experiments.spot.show:
    msg: "{{ moved | experiments.spot.channel_rows([0, 1]) | experiments.spot.table(['channel', 'files', 'moved']) }}"
"""

RETURN = r"""
_value:
  description: Rows with the keys C(channel), C(rank), C(files), C(bytes), C(moved), C(deleted) and C(seconds).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils._progress import size

Row = dict[str, "str | int | float"]


def channel_rows(registered: Sequence[Mapping[str, Any]], ranks: Sequence[int]) -> list[Row]:
    """See the documentation of the filter."""
    return [
        row(result[result["ansible_loop_var"]], int(rank), result)
        for rank, one in zip(ranks, registered)
        for result in one.get("results", [])
        if "files" in result
    ]


def row(channel: Mapping[str, Any], rank: int, result: Mapping[str, Any]) -> Row:
    """One channel on one host."""
    from ansible_collections.experiments.spot.plugins.plugin_utils._channel import name_of

    return {
        "channel": name_of(channel),
        "rank": rank,
        "files": result["files"],
        "bytes": result["bytes"],
        "moved": size(result["bytes"]),
        "deleted": result["deleted"],
        "seconds": result["duration"],
    }


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., list[Row]]]:
        """Names as Jinja sees them."""
        return {"channel_rows": channel_rows}
