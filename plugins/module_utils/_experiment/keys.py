# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The private key file on the controller. Its content is never read into the module, only its public half."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

from . import plan
from .facts import KeyFile

if TYPE_CHECKING:
    Profile = dict[str, Any]

OWN_KEYS = "~/.ssh/experiments.spot"


def key_path(profile: Profile, experiment: str) -> str | None:
    """Path of the private key file: the profile's, else ours; None for a named key pair without a file (an agent)."""
    named = profile["access"]["private_key_file"]
    if named:
        return os.path.expanduser(named)
    return os.path.join(os.path.expanduser(OWN_KEYS), experiment) if plan.own_key(profile) else None


def read(path: str) -> KeyFile:
    """What can be told of a private key file without asking anybody for a pass phrase."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return KeyFile(path=path)
    return KeyFile(path=path, exists=True, mode=mode, public=plan.public_key(public_half(path)))


def public_half(path: str) -> str | None:
    """The public key line of a private key file, None for one with a pass phrase or that ssh-keygen cannot read."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-y", "-P", "", "-f", path],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
