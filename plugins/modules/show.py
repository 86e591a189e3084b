#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Print a text to the terminal as it is
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Prints a text verbatim, without the quotes and the indentation that M(ansible.builtin.debug) adds. Meant for tables,
    summaries and JSON.
  - Runs on the controller.
options:
  msg:
    description: The text. A list is printed one line an element.
    type: raw
    required: true
    aliases: [text]
  quiet:
    description: Prints nothing.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Prints all the same.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
seealso:
  - plugin: experiments.spot.table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show a table
  experiments.spot.show:
    msg: "{{ rows | experiments.spot.table(['name', ['age', 'age', 'duration']]) }}"
"""

RETURN = r""" # """
