# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tells how channels that keep going are; documentation in modules/channels_info.py."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import state

SPEC: dict[str, Any] = {"experiments": {"type": "list", "elements": "str", "required": True}}


class ActionModule(ActionBase):
    """Reads what the processes on this machine have written."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(SPEC)
        processes = state.found(args["experiments"])
        rows = state.rows(processes, datetime.now(timezone.utc))
        return {**result, "changed": False, "processes": processes, "rows": rows}
