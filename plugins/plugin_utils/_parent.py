# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tasks that go on for long end with ansible-playbook, also when it was killed."""

from __future__ import annotations

import os
import signal
import threading

POLL_S = 1.0


def end_with_parent() -> None:
    """Send this process a SIGTERM when its parent is gone.

    An action plugin runs in a child of ansible-playbook, in a session of its own: a SIGKILL of the parent leaves it
    alone, and what it watches or moves goes on unseen. Where the plugin sets no handler, that of Ansible's worker ends
    the plugin's own children, too.
    """
    threading.Thread(target=_watch, args=(os.getpid(), os.getppid()), daemon=True).start()


def _watch(own: int, parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(POLL_S)
    os.kill(own, signal.SIGTERM)
