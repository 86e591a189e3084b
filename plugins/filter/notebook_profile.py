# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter: the profile of an instance that runs a notebook."""

from __future__ import annotations

DOCUMENTATION = r"""
name: notebook_profile
short_description: The profile of an instance that runs a notebook
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Reads a notebook of the controller and says the name of its experiment; with the profile to extend, also its own.
  - All mistakes are one text, in C(problem).
options:
  _input:
    description: Path of the notebook.
    type: str
    required: true
  base:
    description: Name of the profile that it extends.
    type: str
    required: true
  job_params:
    description: Parameters, C(NAME=VALUE,…) or a mapping.
    type: raw
    default: ""
  found:
    description: That profile as M(experiments.spot.profile) returns it; without it only the notebook is looked at.
    type: dict
    default: {}
  where:
    description: V(run) is papermill on an instance, V(remote) JupyterLab on an instance, V(local) JupyterLab here.
    type: str
    default: run
  programs:
    description: Directory of the programs that call papermill and JupyterLab.
    type: str
    default: ""
  install:
    description: Whether these may install what the image lacks.
    type: bool
    default: false
  idle:
    description: Seconds without use after which JupyterLab ends, 0 for never.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Show the name of its experiment
  ansible.builtin.debug:
    msg: "{{ ('train.ipynb' | experiments.spot.notebook_profile(base='g5', job_params='lr=0.1')).experiment }}"
"""

RETURN = r"""
_value:
  description:
    - C(experiment), C(notes) and C(problem), which should be empty.
    - C(profile), empty for V(local), and C(image) and C(path) of the notebook for it.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils import _notebook


def notebook_profile(
    path: str,
    base: str,
    job_params: Any = "",
    *,
    where: str = _notebook.RUN,
    found: Mapping[str, Any] | None = None,
    programs: str = "",
    install: bool = False,
    idle: Any = _notebook.IDLE,
) -> dict[str, Any]:
    """See the documentation of the filter."""
    profile: dict[str, Any] = {}
    image = ""
    try:
        notebook = _notebook.read(str(path), job_params, where, idle)
        wish = _notebook.Wish(base, where, programs, install, int(idle))
        if found:
            image = _notebook.image_of(found, base)
            profile = {} if where == _notebook.LOCAL else _notebook.profile_of(notebook, found, wish)
    except _notebook.NotebookError as error:
        return {"experiment": "", "profile": {}, "image": "", "path": "", "notes": [], "problem": str(error)}
    name = _notebook.experiment_of(notebook, base, where)
    made = {"experiment": name, "profile": profile, "image": image, "path": notebook.path}
    return {**made, "notes": list(notebook.notes), "problem": ""}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Names as Jinja sees them."""
        return {"notebook_profile": notebook_profile}
