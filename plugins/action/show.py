# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Prints text to the terminal as it is; documentation in modules/show.py."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.plugin_utils._progress import is_quiet

display = Display()

SPEC: dict[str, Any] = {
    "msg": {"type": "raw", "required": True, "aliases": ["text"]},
    "quiet": {"type": "bool", "default": False},
}


def text_of(given: Any) -> str:
    """The text to print: a list is one line an element; line ends at the end go."""
    lines = [str(line) for line in given] if isinstance(given, (list, tuple)) else [str(given)]
    return "\n".join(lines).rstrip("\n")


class ActionModule(ActionBase):
    """Prints a text, verbatim, once."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(SPEC)
        if not is_quiet(args["quiet"], os.environ):
            display.display(text_of(args["msg"]))
        return {**result, "changed": False}
