# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: an amount of money."""

from __future__ import annotations

DOCUMENTATION = r"""
name: usd
short_description: An amount of US dollars
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes an amount of US dollars with as many decimals as its size asks for. Prices of small instances need four.
options:
  _input:
    description: The amount. Null becomes V(unknown).
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Say what it costs
  experiments.spot.show:
    msg: "{{ 0.0104 | experiments.spot.usd }} an hour"  # $0.0104
"""

RETURN = r"""
_value:
  description: For instance V($0.0104), V($0.526) or V($12.24).
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.plugin_utils import _text


def usd(value: float | None) -> str:
    """See the documentation of the filter."""
    if value is None:
        return "unknown"
    try:
        return _text.usd(float(value))
    except (TypeError, ValueError):
        raise AnsibleFilterError(f"usd: {value!r} is no amount") from None


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"usd": usd}
