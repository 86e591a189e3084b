# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module launch_plan_info in this process where it can; documentation in modules/launch_plan_info.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.experiments.spot.plugins.modules import launch_plan_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here

NAME = "experiments.spot.launch_plan_info"


class ActionModule(ActionBase):
    """Plans a launch."""

    TRANSFERS_FILES = False
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        args = dict(self._task.args)
        if _here.can_run(self):
            return {**result, **_here.run(self, NAME, launch_plan_info.ARGUMENT_SPEC, args, launch_plan_info.run)}
        wrap = bool(self._task.async_val)
        answer = self._execute_module(module_name=NAME, module_args=args, task_vars=task_vars, wrap_async=wrap)
        return {**result, **answer}
