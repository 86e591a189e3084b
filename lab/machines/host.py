"""Limits of the host that twenty machines with systemd exceed; put back when the last lab is down."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from lab.machines import slots

# Every systemd takes some, and all machines count as one user. Source: inotify(7)
WANTED = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}
SYSCTL = Path("/proc/sys")


def too_low(now: dict[str, int]) -> dict[str, int]:
    """What must be raised, and to what."""
    return {key: value for key, value in WANTED.items() if now.get(key, value) < value}


def read_limits() -> dict[str, int]:
    """Limits as they are; those this kernel lacks are left out."""
    found = {}
    for key in WANTED:
        with contextlib.suppress(OSError, ValueError):
            found[key] = int((SYSCTL / key).read_text())
    return found


def write_limits(values: dict[str, int]) -> None:
    """Set limits; where the host forbids it a small number of machines still works."""
    for key, value in values.items():
        with contextlib.suppress(OSError):
            (SYSCTL / key).write_text(f"{value}\n")


def raise_limits() -> None:
    """Make room for many machines, and note what was there before."""
    with slots.locked("host"):
        now = read_limits()
        raised = too_low(now)
        if not raised:
            return
        if not note().exists():
            note().write_text(json.dumps({key: now[key] for key in raised}) + "\n")
        write_limits(raised)


def restore_limits() -> None:
    """Put back what was there before the first lab, once no lab is left."""
    with slots.locked("host"):
        if slots.labs() or not note().exists():
            return
        with contextlib.suppress(ValueError):
            write_limits(json.loads(note().read_text()))
        note().unlink()


def note() -> Path:
    """Where the values before the first lab are kept."""
    return slots.root() / "limits-before.json"
