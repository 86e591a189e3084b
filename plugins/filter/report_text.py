# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a report on experiments for a terminal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_text
short_description: A report on experiments for a terminal
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes the figures and tables of a report as plain text.
positional: width
options:
  _input:
    description: What P(experiments.spot.report#filter) returned.
    type: list
    elements: dict
    required: true
  width:
    description:
      - The longest line, in characters, where no single word is longer and there is no terminal that has another one.
      - That of a terminal is the environment variable E(COLUMNS), else what the terminal says.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Show what happened
  experiments.spot.show:
    msg: "{{ past | experiments.spot.report({}) | experiments.spot.report_text }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def report_text(reports: Sequence[Mapping[str, Any]], width: int = 120) -> str:
    """See the documentation of the filter."""
    from ansible_collections.experiments.spot.plugins.plugin_utils import _terminal
    from ansible_collections.experiments.spot.plugins.plugin_utils._report import exits, words

    with exits.wants("report_text", "what the filter report returned"):
        return words.text(reports, _terminal.width(os.environ, int(width)))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Names as Jinja sees them."""
        return {"report_text": report_text}
