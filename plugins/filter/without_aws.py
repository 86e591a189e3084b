# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that tells what of a profile cannot apply to machines that are there already."""

from __future__ import annotations

DOCUMENTATION = r"""
name: without_aws
short_description: What of a profile cannot apply to machines that are there already
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Machines of an inventory are not launched, and have no role, no volumes and no interruption notices of AWS.
options:
  _input:
    description: The normalised profile, as M(experiments.spot.profile) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what does not apply
  ansible.builtin.debug:
    msg: "{{ (spot.profile | experiments.spot.without_aws).notes }}"
"""

RETURN = r"""
_value:
  description:
    - C(problems), a list of what would fail, and C(notes), a list of what has no effect; a line each.
    - C(instead), the sections of the profile that are others there.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._experiment.without_aws import notes, problems


def without_aws(profile: Mapping[str, Any]) -> dict[str, Any]:
    """See the documentation of the filter."""
    return {"problems": problems(profile), "notes": notes(profile), "instead": {"volumes": [], "file_systems": []}}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names as Jinja sees them."""
        return {"without_aws": without_aws}
