# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How wide the terminal is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

# For logs and pipes.
NO_TERMINAL = 120
NARROWEST = 20


def width(environ: Mapping[str, str], otherwise: int = NO_TERMINAL) -> int:
    """Characters in a line: ``COLUMNS`` if set, else those of the terminal, else as many as fit into ``otherwise``.

    A worker of Ansible has no terminal of its own since ansible-core 2.19; that of its parent is found where there is
    a /proc. Source: POSIX, environment variable COLUMNS; proc(5).
    """
    said = environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return max(NARROWEST, int(said))
    return max(NARROWEST, _of_terminal() or otherwise)


def _of_terminal() -> int:
    with contextlib.suppress(OSError):
        return os.get_terminal_size(1).columns
    with contextlib.suppress(OSError):
        handle = os.open(f"/proc/{os.getppid()}/fd/1", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            return os.get_terminal_size(handle).columns
        finally:
            os.close(handle)
    return 0
