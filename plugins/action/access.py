# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module access in this process where it can; documentation in modules/access.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import access
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Makes key pair and security group."""

    NAME = "experiments.spot.access"
    SPEC = access.ARGUMENT_SPEC
    RULES = access.RULES
    work = staticmethod(access.run)
