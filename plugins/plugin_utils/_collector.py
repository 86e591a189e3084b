# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Python's garbage collector in a command that imports much, forks often and soon ends.

Ansible forks for each task. The collector of a child looks, at its end at the latest, at every object that its parent
has made: a fifth of the processor time of a short command, and each page that it writes to is copied.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os

# New objects between two looks, 700 otherwise: those of the imports, of playbooks and of botocore's models stay.
EVERY = 100_000


@functools.cache
def spare() -> None:
    """Leave what is there at a fork, and at the end, out of what is looked at. What a child makes itself is collected.

    Source: docs.python.org, gc.freeze.
    """
    gc.set_threshold(EVERY)
    os.register_at_fork(after_in_child=gc.freeze)
    atexit.register(gc.freeze)
