# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: seconds for people."""

from __future__ import annotations

DOCUMENTATION = r"""
name: duration
short_description: Seconds for people
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes a number of seconds as people do, with two units at most.
options:
  _input:
    description: Seconds. Null becomes V(unknown).
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Say how long it took
  experiments.spot.show:
    msg: "The job ran for {{ 65 | experiments.spot.duration }}"  # 1m 05s
"""

RETURN = r"""
_value:
  description: For instance V(12 s), V(1m 05s), V(2h 03m) or V(3d 04h).
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.plugin_utils import _progress


def duration(value: float | None) -> str:
    """See the documentation of the filter."""
    if value is None:
        return "unknown"
    try:
        return _progress.duration(float(value))
    except (TypeError, ValueError):
        raise AnsibleFilterError(f"duration: {value!r} is no number of seconds") from None


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"duration": duration}
