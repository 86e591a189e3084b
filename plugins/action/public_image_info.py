# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the module public_image_info in this process where it can; documentation in modules/public_image_info.py."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.modules import public_image_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here


class ActionModule(_here.ActionHere):
    """Finds public images."""

    NAME = "experiments.spot.public_image_info"
    SPEC = public_image_info.ARGUMENT_SPEC
    work = staticmethod(public_image_info.run)
