# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: the price history of Spot pools as a picture."""

from __future__ import annotations

DOCUMENTATION = r"""
name: price_plot
short_description: The price history of Spot pools as a picture
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Draws what M(experiments.spot.spot_pool_info) returned as one self-contained SVG, a line for each of the eight
    cheapest pools, the on-demand prices of their types dashed.
options:
  _input:
    description: What the module returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Draw the prices of the last days
  ansible.builtin.copy:
    content: "{{ found | experiments.spot.price_plot }}"
    dest: prices.svg
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The text of an SVG file.
  type: str
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ansible.errors import AnsibleFilterError


def price_plot(found: Mapping[str, Any]) -> str:
    """See the documentation of the filter."""
    from ansible_collections.experiments.spot.plugins.plugin_utils import _price_plot

    try:
        start, end = (datetime.fromisoformat(str(found["period"][key])) for key in ("start", "end"))
        return _price_plot.svg(list(found["pools"]), start, end)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"price_plot: wants what spot_pool_info returned ({error})") from None


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"price_plot": price_plot}
