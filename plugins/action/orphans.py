# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module orphans in this process where it can; documentation in modules/orphans.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import orphans
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Removes what nobody uses."""

    NAME = "experiments.spot.orphans"
    SPEC = orphans.ARGUMENT_SPEC
    work = staticmethod(orphans.run)
