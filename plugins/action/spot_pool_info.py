# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module spot_pool_info in this process where it can; documentation in modules/spot_pool_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import spot_pool_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Ranks pools."""

    NAME = "experiments.spot.spot_pool_info"
    SPEC = spot_pool_info.ARGUMENT_SPEC
    work = staticmethod(spot_pool_info.run)
