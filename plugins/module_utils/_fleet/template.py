# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The launch template of a fleet, where the caller gives what is to be in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import api


def ensure(client: Any, params: Mapping[str, Any]) -> bool:
    """Make the template of the options when its data are given, and say whether it was made.

    One of this name that is there already is left as it is: another run has just made the same.

    Raises:
        AnsibleFleetError: AWS refuses.
    """
    wanted = params["launch_template"]
    if not wanted.get("data"):
        return False
    tags = {str(key): str(value) for key, value in params["tags"].items()}
    return api.create_launch_template(client, wanted["name"], wanted["data"], tags)
