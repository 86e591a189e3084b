# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module experiment in this process where it can; documentation in modules/experiment.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import experiment
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Removes an experiment."""

    NAME = "experiments.spot.experiment"
    SPEC = experiment.ARGUMENT_SPEC
    work = staticmethod(experiment.run)
