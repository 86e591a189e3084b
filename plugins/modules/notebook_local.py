#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: notebook_local
short_description: Serve JupyterLab in a container of this machine
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs an image with docker on the controller, shows a folder of it in JupyterLab at 127.0.0.1, and prints the address
    with its token once, not to Ansible's log file. The image is pulled where it is missing.
  - It goes on until Ctrl-C, or until JupyterLab is shut down in the browser; the container is removed then. What is
    saved is in the folder, owned by the user of the controller.
  - Made for C(notebook.yml -e where=local).
options:
  image:
    description: Container image with JupyterLab.
    type: str
    required: true
  notebook:
    description:
      - Path of the notebook to open; its directory is the folder. Empty for the directory where the command was typed.
    type: path
    default: ""
  programs:
    description: Directory with C(run.py) and C(serve.py) of the role C(notebook).
    type: path
    required: true
  install:
    description: Whether JupyterLab may be installed in the container where the image has none.
    type: bool
    default: false
  port:
    description: Port of this machine; another one where it is taken.
    type: int
    default: 8888
attributes:
  check_mode:
    support: full
    description: Is skipped.
  diff_mode:
    support: none
    description: What changes is up to the user of JupyterLab.
  idempotent:
    support: N/A
    description: It serves each time.
seealso:
  - module: experiments.spot.job_wait
"""

EXAMPLES = r"""
- name: Open a notebook
  experiments.spot.notebook_local:
    image: quay.io/jupyter/scipy-notebook:python-3.12
    notebook: train.ipynb
    programs: "{{ notebook_programs }}"
"""

RETURN = r"""
folder:
  description: The directory that was shown.
  type: str
  returned: success
"""
