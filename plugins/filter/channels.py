# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: the channels of one run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: channels
short_description: The channels of one run
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Picks from the channels of a profile those that a run is for. An unknown name is an error that lists the known ones.
options:
  _input:
    description: Section C(channels) of a profile.
    type: list
    elements: dict
    required: true
  names:
    description: Only channels of these names. Empty means all.
    type: list
    elements: str
    default: []
  direction:
    description: Only channels of this direction. Empty means both.
    type: str
    default: ""
  stage:
    description: Only channels whose key C(on) has this word. Empty means all.
    type: str
    default: ""
  rank:
    description: Only channels for the instance of this rank. Without it, those of all instances.
    type: int
"""

EXAMPLES = r"""
- name: Send what the launch sends
  experiments.spot.show:
    msg: "{{ spot.profile.channels | experiments.spot.channels(direction='out', stage='launch', rank=0) }}"
"""

RETURN = r"""
_value:
  description: The channels, as they were.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError


def channels(
    listed: list[Mapping[str, Any]],
    names: Sequence[str] = (),
    direction: str = "",
    stage: str = "",
    rank: int | None = None,
) -> list[Mapping[str, Any]]:
    """See the documentation of the filter."""
    from ansible_collections.experiments.spot.plugins.plugin_utils._channel import ChannelError, chosen, is_for

    if direction not in ("", "in", "out"):
        raise AnsibleFilterError(f"direction {direction!r}: allowed are in and out")
    try:
        picked = chosen(listed, names=names, direction=direction, stage=stage)
    except ChannelError as error:
        raise AnsibleFilterError(str(error)) from None
    return [channel for channel in picked if rank is None or is_for(channel, int(rank))]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., list[Mapping[str, Any]]]]:
        """Names as Jinja sees them."""
        return {"channels": channels}
