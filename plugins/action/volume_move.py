# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module volume_move and shows what happens meanwhile; documentation in modules/volume_move.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.experiments.spot.plugins.action import ec2_fleet


class ActionModule(ec2_fleet.ActionModule):
    """Runs the module and, when it runs on the controller, shows its progress."""

    def _label(self, args: dict[str, Any]) -> str:
        return f"[{args.get('experiment') or 'volumes'}] "

    def _module(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return self._execute_module(module_name="experiments.spot.volume_move", module_args=args, task_vars=task_vars)
