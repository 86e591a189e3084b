#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: channels_info
short_description: Tell how channels that keep going are
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Tells of each process of M(experiments.spot.channels_watch) on this machine whether it is there, and of each of its
    channels and instances how it is.
  - Such a process writes a file in C(~/.local/state/experiments.spot/channels/EXPERIMENT/), at least each 20 seconds,
    and takes it away when it ends well. A file whose process is gone is told as dead.
  - Runs on the controller.
options:
  experiments:
    description: Names of experiments.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode and return what it would do outside of it.
    support: full
  diff_mode:
    description: Returns what has changed.
    support: none
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: experiments.spot.channels_watch
"""

EXAMPLES = r"""
- name: See whether the files still move
  experiments.spot.channels_info:
    experiments: [mnist]
  register: moving
"""

RETURN = r"""
processes:
  description: The processes, and what each of them does.
  type: list
  elements: dict
  returned: always
  contains:
    experiment:
      description: Name of the experiment.
      type: str
    state:
      description:
        - V(running); V(failed), it has ended because a channel cannot work; V(dead), it was killed or its machine was
          switched off; V(silent), it has not written for a minute.
      type: str
    pid:
      description: Its process id.
      type: int
    began:
      description: When it has started, as the kernel counts; tells it from another process of the same id.
      type: str
    host:
      description: Name of the machine that it runs on.
      type: str
    since:
      description: When it has started, in UTC.
      type: str
    at:
      description: When it has written last, in UTC.
      type: str
    age:
      description: Seconds since then.
      type: float
    lines:
      description: A channel on an instance each.
      type: list
      elements: dict
      contains:
        channel:
          description: Name of the channel.
          type: str
        rank:
          description: Rank of the instance.
          type: int
        instance_id:
          description: ID of the instance, null while none has the rank.
          type: str
        state:
          description: V(moving), V(ok), V(waiting), V(no connection) or V(stopped), as it was written last.
          type: str
        synced:
          description: When both sides were last known to be the same, null for never.
          type: str
        moved:
          description: When files were last moved or deleted, null for never.
          type: str
        runs:
          description: How often it ran.
          type: int
        files:
          description: Number of files that it moved.
          type: int
        bytes:
          description: Size of what it moved.
          type: int
        retries:
          description: How often it failed and was tried again.
          type: int
        error:
          description: Why it has stopped, or what went wrong last.
          type: str
rows:
  description: The same as rows of a table, for people.
  type: list
  elements: dict
  returned: always
"""
