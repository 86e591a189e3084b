# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: the profile of an instance that copies data."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mover_profile
short_description: The profile of an instance that copies data
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Turns a source and a target into a profile whose job copies from one to the other and whose instance ends itself.
  - All mistakes of both are one text, in C(problem).
options:
  _input:
    description: "Source and target, each C(s3://BUCKET/PREFIX), C(efs:NAME/PATH) or C(ebs:NAME/PATH)."
    type: list
    elements: str
    required: true
  base:
    description: Profile that it extends.
    type: str
    required: true
  files:
    description: Paths of the files that are sent, C(program) and, for S3, C(sdk).
    type: dict
    required: true
  volumes:
    description: What M(experiments.spot.volume_info) has found, for C(ebs:).
    type: list
    elements: dict
    default: []
  endpoint:
    description: Address of an S3 that is not AWS's, as the instance reaches it.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ ['s3://mine/x', 'efs:team'] | experiments.spot.mover_profile(base='datasync', files={'program': 'x'}) }}"
"""

RETURN = r"""
_value:
  description: C(experiment), the name that the same copy always has, C(profile), and C(problem), which should be empty.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def mover_profile(
    ends: Sequence[str],
    base: str,
    files: Mapping[str, str],
    volumes: Sequence[Mapping[str, Any]] = (),
    endpoint: str = "",
) -> dict[str, Any]:
    """See the documentation of the filter."""
    from ansible_collections.experiments.spot.plugins.plugin_utils import _mover

    sent = _mover.Sent(files, endpoint)
    try:
        source, target = _mover.ends_of(str(ends[0]), str(ends[1]))
        profile = _mover.profile_of(base, source, target, lambda end: _mover.volume_of(end, volumes), sent)
    except _mover.MoverError as error:
        return {"experiment": "", "profile": {}, "problem": str(error)}
    return {"experiment": _mover.experiment_of(source, target), "profile": profile, "problem": ""}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Names as Jinja sees them."""
        return {"mover_profile": mover_profile}
