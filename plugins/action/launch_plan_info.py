# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module launch_plan_info in this process where it can; documentation in modules/launch_plan_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import launch_plan_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Plans a launch."""

    NAME = "experiments.spot.launch_plan_info"
    SPEC = launch_plan_info.ARGUMENT_SPEC
    work = staticmethod(launch_plan_info.run)
