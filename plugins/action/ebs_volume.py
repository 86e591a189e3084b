# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module ebs_volume in this process where it can; documentation in modules/ebs_volume.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import ebs_volume
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Makes and attaches volumes."""

    NAME = "experiments.spot.ebs_volume"
    SPEC = ebs_volume.ARGUMENT_SPEC
    work = staticmethod(ebs_volume.run)
