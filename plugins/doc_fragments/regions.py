# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The option of modules that look in several regions at the same time."""

from __future__ import annotations


class ModuleDocFragment:
    """`extends_documentation_fragment: experiments.spot.regions`; the module returns `left_out`."""

    DOCUMENTATION = r"""
options:
  regions:
    description:
      - Regions to look in, all at the same time. Those that are not enabled for the account are passed over, and
        RV(left_out) says so.
      - Empty for O(region) alone.
    type: list
    elements: str
    default: []
"""
