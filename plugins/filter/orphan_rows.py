# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that decides with what jobs say which leftovers are of no use."""

from __future__ import annotations

DOCUMENTATION = r"""
name: orphan_rows
short_description: Leftovers that are of no use, now that the jobs have spoken
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Leaves out what belongs to an experiment with a job that lives, or with an instance that does not answer.
  - The instance that does not answer stays in the list with C(sure=false).
positional: jobs, grace
options:
  _input:
    description: The return value RV(experiments.spot.orphans_info#module:rows).
    type: list
    elements: dict
    required: true
  jobs:
    description: What M(experiments.spot.job_info) said, by id of the instance that was asked.
    type: dict
    required: true
  grace:
    description: Seconds for which a job that has ended counts as alive.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Show what is of no use
  experiments.spot.show:
    msg: "{{ (left.rows | experiments.spot.orphan_rows({})).rows | to_nice_json }}"
"""

RETURN = r"""
_value:
  description:
    - The C(rows) that stay, and C(in_use), the experiments whose jobs live, each with C(experiment), C(region), C(why),
      C(cost_per_hour).
  type: dict
"""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any


def orphan_rows(rows: list[dict[str, Any]], jobs: dict[str, dict[str, Any]], grace: int = 3600) -> dict[str, Any]:
    """See the documentation of the filter."""
    from ansible_collections.experiments.spot.plugins.module_utils._orphans import find

    kept, in_use = find.settle(rows, jobs, datetime.now(timezone.utc), int(grace))
    return {"rows": kept, "in_use": in_use}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Names as Jinja sees them."""
        return {"orphan_rows": orphan_rows}
