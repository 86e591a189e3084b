# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module experiment_info in this process where it can; documentation in modules/experiment_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import experiment_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Reads what there is of experiments."""

    NAME = "experiments.spot.experiment_info"
    SPEC = experiment_info.ARGUMENT_SPEC
    work = staticmethod(experiment_info.run)
