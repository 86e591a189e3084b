# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module report_info in this process where it can; documentation in modules/report_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import report_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Reads what a report needs."""

    NAME = "experiments.spot.report_info"
    SPEC = report_info.ARGUMENT_SPEC
    work = staticmethod(report_info.run)
