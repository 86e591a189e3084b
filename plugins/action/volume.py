# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module volume and shows what happens meanwhile; documentation in modules/volume.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.experiments.spot.plugins.action import ec2_fleet


class ActionModule(ec2_fleet.ActionModule):
    """Runs the module and, when it runs on the controller, shows its progress."""

    NAME = "experiments.spot.volume"
    work = None  # it may take hours, in a process of its own

    def _label(self, args: dict[str, Any]) -> str:
        return f"[{args.get('volume')}] "
