# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: channels for files that are named on the command line."""

from __future__ import annotations

DOCUMENTATION = r"""
name: one_off_channels
short_description: Channels for files that are named on the command line
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Makes an outbound channel of each file to upload and an inbound one of each file to download. Directories go whole.
options:
  _input:
    description: Local paths to upload, as a list or as one text with commas.
    type: raw
    required: true
  download:
    description: Paths on the instance to download, as a list or as one text with commas.
    type: raw
    default: []
  remote_path:
    description:
      - Directory on the instance for what is uploaded, and that relative paths to download start from. A relative one
        starts from the home directory of the login user.
    type: str
    default: "~/"
  local_path:
    description: Directory here for what is downloaded.
    type: str
    default: "./"
"""

EXAMPLES = r"""
- name: Show what would go
  experiments.spot.show:
    msg: "{{ 'a.csv,b.zip' | experiments.spot.one_off_channels(remote_path='efs/data') | to_nice_json }}"
"""

RETURN = r"""
_value:
  description: The channels, those to upload first.
  type: list
  elements: dict
"""

import posixpath
from collections.abc import Callable, Sequence
from typing import Any


def _words(given: str | Sequence[str]) -> list[str]:
    words = given.split(",") if isinstance(given, str) else given
    return [word.strip() for word in words if word.strip()]


def one_off_channels(
    upload: str | Sequence[str], download: str | Sequence[str] = (), remote_path: str = "~/", local_path: str = "./"
) -> list[dict[str, Any]]:
    """See the documentation of the filter."""
    there, here = remote_path.rstrip("/") + "/", local_path.rstrip("/") + "/"
    common = {"recursive": True}
    sent = [{"direction": "out", "local_path": word, "remote_path": there, **common} for word in _words(upload)]
    fetched = [
        {
            "direction": "in",
            "local_path": here,
            "remote_path": word if word.startswith("~") else posixpath.join(there, word),
            **common,
        }
        for word in _words(download)
    ]
    return sent + fetched


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        """Names as Jinja sees them."""
        return {"one_off_channels": one_off_channels}
