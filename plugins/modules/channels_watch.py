#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: channels_watch
short_description: Keep the channels of an experiment going until somebody ends it
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs every channel on every instance of an experiment whenever something has changed where the channel reads, all of
    them at the same time, each over the one ssh connection that an instance has.
  - Changes on the controller are noticed when they happen by the Python library watchfiles; without it everything is
    compared each 5 seconds. Changes on an instance are noticed by a small program that is sent there over ssh, needs
    nothing but Python, and ends with the connection. Once a minute everything is compared anyway.
  - Between these looks at everything only the changed paths are moved, where that leads to the same.
  - While it runs it tells M(experiments.spot.channels_info) how the channels are, by a file on the controller.
  - A connection that is lost is made again. When an instance does not answer for 10 seconds, AWS is asked by the
    experiment's tags where its rank is now, so the channels follow an experiment into its next generation, with
    verified host keys.
  - A channel that cannot work (a full disk, no permission) stops and is told at once, the others go on,
    and the task fails at its end.
  - SIGINT (Ctrl-C) and SIGTERM end it after the transfers in hand, a second one at once.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
options:
  experiment:
    description: Name of the experiment.
    type: str
    required: true
  channels:
    description:
      - The channels, with the options of M(experiments.spot.channel), and C(delay), the seconds from a change to its
        transfer, and C(name).
    type: list
    elements: dict
    required: true
  count:
    description:
      - Number of instances of the experiment. One that does not run yet is waited for, while the others go on. With
        more than one, what comes in lands in a directory C(rank-N) for each.
    type: int
    default: 1
  mount_points:
    description:
      - Directories of the instances that are mount points of volumes or file systems. Nothing is moved while one that a
        channel's C(remote_path) lies on is not mounted, as in a new generation that is still set up.
    type: list
    elements: str
    default: []
  access:
    description: Section C(access) of the profile.
    type: dict
    default: {}
  confirm:
    description: Deletes however much it is. Otherwise a channel that would delete more than a quarter stops.
    type: bool
    default: false
  format:
    description: How to show at the end what the channels did.
    type: str
    choices: [table, json]
    default: table
  known_hosts_file:
    description: File of the verified host keys.
    type: path
    default: ~/.ssh/experiments.spot/known_hosts
  quiet:
    description: Shows no progress. Without it the environment variable E(EXPERIMENTS_SPOT_QUIET) decides.
    type: bool
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: none
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: experiments.spot.channel
  - module: experiments.spot.channels_info
"""

EXAMPLES = r"""
- name: Keep the channels going
  experiments.spot.channels_watch:
    experiment: mnist
    access: "{{ spot.profile.access }}"
    channels: "{{ spot.profile.channels }}"
"""

RETURN = r"""
lines:
  description: What each channel did on each instance.
  type: list
  elements: dict
  returned: always
  contains:
    channel:
      description: Name of the channel.
      type: str
    rank:
      description: Rank of the instance.
      type: int
    state:
      description: V(ok), V(no connection) or V(stopped).
      type: str
    runs:
      description: How often it ran.
      type: int
    files:
      description: Number of files that it moved.
      type: int
    moved:
      description: Size of what it moved, for people.
      type: str
    last:
      description: When it was last known to be the same on both sides.
      type: str
    reason:
      description: Why it has stopped, or what went wrong last.
      type: str
"""
