# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module orphans_info in this process where it can; documentation in modules/orphans_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import orphans_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Finds what nobody uses."""

    NAME = "experiments.spot.orphans_info"
    SPEC = orphans_info.ARGUMENT_SPEC
    work = staticmethod(orphans_info.run)
