# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a report on experiments as a page."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_html
short_description: A report on experiments as a page
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes a report as one HTML page with its pictures in it, without scripts and without anything from outside.
options:
  _input:
    description: What P(experiments.spot.report#filter) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Write a page
  ansible.builtin.copy:
    content: "{{ past | experiments.spot.report({}) | experiments.spot.report_html }}"
    dest: report.html
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The text of an HTML file.
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def report_html(reports: Sequence[Mapping[str, Any]]) -> str:
    """See the documentation of the filter."""
    from ansible_collections.experiments.spot.plugins.plugin_utils._report import exits, page

    with exits.wants("report_html", "what the filter report returned"):
        return page.html(reports)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"report_html": report_html}
