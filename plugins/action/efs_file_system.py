# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module efs_file_system and shows what happens meanwhile; documentation in modules/efs_file_system.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.action.ec2_fleet import ActionModule as Follows
from ansible_collections.experiments.spot.plugins.modules import efs_file_system


class ActionModule(Follows):
    """As ec2_fleet does it: the module tells by a file, the controller shows its lines."""

    NAME, SERVICE = "experiments.spot.efs_file_system", "EFS"
    SPEC, RULES = efs_file_system.ARGUMENT_SPEC, efs_file_system.RULES
    work = staticmethod(efs_file_system.run)
