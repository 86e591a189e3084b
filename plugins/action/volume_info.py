# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module volume_info in this process where it can; documentation in modules/volume_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import volume_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Lists volumes and snapshots."""

    NAME = "experiments.spot.volume_info"
    SPEC = volume_info.ARGUMENT_SPEC
    work = staticmethod(volume_info.run)
