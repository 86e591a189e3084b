# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the figures of a report on experiments."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report
short_description: The figures of a report on experiments
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Joins what AWS knows of experiments with what the ledgers of their jobs tell - instances, costs, runs, lost work.
  - What is not known is null.
positional: jobs
options:
  _input:
    description: What M(experiments.spot.report_info) returned.
    type: dict
    required: true
  jobs:
    description:
      - What M(experiments.spot.job_info) said, by ID of the instance that was asked.
      - One that did not answer has V(unreachable=true), or is not there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: What it cost
  ansible.builtin.debug:
    msg: "{{ (past | experiments.spot.report({})).0.cost }} USD"
"""

RETURN = r"""
_value:
  description:
    - One report an experiment with experiment, regions, profile, owner, job, made, sources, instances, generations,
      notices, refusals, runs, cost, cost_known, unknown_costs, on_demand_cost, saving, saving_share, curve,
      on_demand_curve and notes.
    - Amounts are USD, lengths seconds, moments ISO 8601 in UTC.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any


def report(
    read: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]], now: datetime | None = None
) -> list[dict[str, Any]]:
    """See the documentation of the filter; ``now`` (UTC) is for tests."""
    from ansible_collections.experiments.spot.plugins.plugin_utils._report import data, exits

    with exits.wants("report", "what report_info and job_info returned"):
        return data.reports(read, jobs, now or datetime.now(timezone.utc))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names as Jinja sees them."""
        return {"report": report}
