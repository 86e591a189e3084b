#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: channel
short_description: Move files between the controller and an instance, once
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs rsync over the ssh connection that the tasks use too, and shows how far it is, first after 5 seconds, then each
    15.
  - A trailing slash means what it means to rsync. C(code/) is the content of the directory, C(code) the directory
    itself, which then is created below the destination.
  - Without O(owner) the transfer runs as the login user, never as root, and the files belong to who receives them.
    Permissions and times are kept.
  - Missing directories are made on both sides. A broken connection is tried again, three times in all.
  - Needs rsync on both sides and a host that is reached by ssh.
options:
  direction:
    description: V(out) goes to the instance, V(in) comes from it.
    type: str
    choices: [in, out]
    required: true
  local_path:
    description: Path on the controller. A relative one counts from the working directory.
    type: str
    required: true
  remote_path:
    description:
      - Path on the instance. A relative one, or one that begins with C(~/), counts from the home directory there.
      - With O(direction=in) rsync expands wildcards in it.
    type: str
    required: true
  recursive:
    description:
      - Whether to go into directories. Without it a source with a slash at the end brings the files directly in it, and
        a warning names what stays behind. A directory without the slash is refused.
    type: bool
    default: false
  delete:
    description:
      - Whether to delete at the destination what the source does not have.
      - Refused when the destination is a home directory or the root.
      - When that would be more than a quarter of what lies at the destination, it asks, once for a channel and a rank.
        Where nobody can be asked the task fails before anything is moved; see O(confirm).
    type: bool
    default: false
  confirm:
    description: Deletes however much it is, without a question.
    type: bool
    default: false
  exclude:
    description: Patterns of rsync for what to leave alone. C(lost+found/) always is.
    type: list
    elements: str
    default: []
  filter:
    description: Filter rules of rsync, in order, before O(exclude).
    type: list
    elements: str
    default: []
  gitignore:
    description:
      - Leaves out C(.git) and what git ignores where the files come from. Git is asked there, so it must be installed;
        a directory that is in no repository is looked at as if it were one.
      - With O(delete) what git would ignore there stays.
    type: bool
    default: false
  partial:
    description: Keeps what came of a file when the connection breaks, and goes on from there the next time.
    type: bool
    default: true
  checksum:
    description: Compares contents instead of size and time.
    type: bool
    default: false
  sparse:
    description:
      - Blocks of zeros take no room at the destination, so that a file with holes keeps them. Without it such a file
        arrives whole. Large files are written a fifth slower.
    type: bool
    default: false
  bwlimit:
    description: Rate limit in bytes a second with a suffix, such as V(500k) or V(1.5m). Empty means none.
    type: str
    default: ""
  links:
    description:
      - What happens to symlinks. V(keep) copies them, V(safe) only those that stay inside, V(follow) copies what they
        point to, V(skip) leaves them out.
    type: str
    choices: [keep, safe, follow, skip]
    default: keep
  owner:
    description: Owner C(USER) or C(USER:GROUP) on the instance of what goes out. Takes C(sudo) there.
    type: str
    default: ""
  chmod:
    description: Permissions at the destination, as rsync's C(--chmod) has them. Empty keeps those of the source.
    type: str
    default: ""
  compress:
    description:
      - V(auto) lets the two sides agree on a fast compression when the controller's rsync knows zstd, else uses none.
    type: str
    choices: [auto, none, zstd, zlib]
    default: auto
  rank:
    description: Rank of the instance in its experiment.
    type: int
    default: 0
  count:
    description:
      - Number of instances of the experiment. With more than one, what comes in lands in a directory C(rank-N) below
        O(local_path) for each.
    type: int
    default: 1
  quiet:
    description: Shows no progress. Without it the environment variable E(EXPERIMENTS_SPOT_QUIET) decides.
    type: bool
attributes:
  check_mode:
    support: full
    description: Lets rsync say what it would do.
  diff_mode:
    support: full
    description: Lists the paths that change, the first 200.
  idempotent:
    support: full
    description: Files with the same size and time are not moved again.
"""

EXAMPLES = r"""
- name: Send the code
  experiments.spot.channel:
    direction: out
    local_path: ./code/
    remote_path: /data/code
    recursive: true
    delete: true
    exclude: [__pycache__/]

- name: Fetch the results
  experiments.spot.channel:
    direction: in
    local_path: ./results/
    remote_path: /data/results/
    recursive: true
    rank: "{{ spot_rank }}"
    count: "{{ spot_count }}"
"""

RETURN = r"""
bytes:
  description: Size of the files that were moved.
  type: int
  returned: always
files:
  description: Number of files that were moved.
  type: int
  returned: always
deleted:
  description: Number of files and directories that were deleted.
  type: int
  returned: always
changes:
  description: Number of paths that changed in any way.
  type: int
  returned: always
duration:
  description: Seconds that it took.
  type: float
  returned: always
tries:
  description: How often rsync was started.
  type: int
  returned: always
local_path:
  description: The absolute path on the controller, with the directory of the rank.
  type: str
  returned: always
remote_path:
  description: The path on the instance, as given.
  type: str
  returned: always
"""
