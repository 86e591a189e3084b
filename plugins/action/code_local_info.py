# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tells what a clone on this machine has that instances do not get; documentation in modules/code_local_info.py."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.module_utils._code.local import warnings

display = Display()

SPEC: dict[str, Any] = {
    "repository": {"type": "str", "required": True},
    "version": {"type": "str", "default": ""},
    "path": {"type": "path"},
}
# Seconds; a clone on a slow network file system must not hold up a launch.
PATIENCE = 20


def git_in(folder: str) -> Any:
    """A function that runs git there: exit status and output. It changes nothing, not even git's index."""
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}

    def git(*argv: str) -> tuple[int, str]:
        try:
            done = subprocess.run(
                ["git", "-C", folder, *argv], capture_output=True, text=True, check=False, timeout=PATIENCE, env=env
            )
        except (OSError, subprocess.TimeoutExpired):
            return 127, ""
        return done.returncode, done.stdout

    return git


class ActionModule(ActionBase):
    """Looks at a clone of the controller."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(SPEC)
        found = warnings(args["repository"], args["version"], git_in(args["path"] or os.getcwd()))
        for text in found:
            # Ansible's own warnings come with the line of the task, which ansible.cfg hides when nothing changed.
            display.display(f"Warning: {text}", color=C.COLOR_WARN)
        return {**result, "changed": False, "differences": found}
