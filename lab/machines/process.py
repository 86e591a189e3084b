"""Which process is a lab's daemon: written down with its start time, because process ids are used again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from lab import engine
from lab.machines.slots import Slot

START_TIME = 21  # index after the process name. Source: proc(5), /proc/[pid]/stat field 22
STATE = 2


def stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat counted as proc(5) does from 0, empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    name_end = text.rindex(")")  # the name may contain blanks and parentheses
    return [str(pid), text[text.index("(") + 1 : name_end], *text[name_end + 2 :].split()]


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" when it is gone or a zombie."""
    fields = stat_fields(pid)
    return fields[START_TIME] if fields and fields[STATE] != "Z" else ""


def remember(slot: Slot, pid: int) -> None:
    """Write down the daemon."""
    note = json.dumps({"pid": pid, "started": started(pid)}) + "\n"
    # Others read it meanwhile: `up` and its daemon both write it.
    engine.write_atomically(slot.path / "daemon.json", note.encode())


def daemon(slot: Slot) -> int:
    """Process id of the lab's living daemon, 0 without one."""
    try:
        note = json.loads((slot.path / "daemon.json").read_text())
        pid, began = int(note["pid"]), str(note["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return pid if began and started(pid) == began else 0


def end(slot: Slot, patience: float = 5.0) -> None:
    """Stop the daemon, by force when it does not listen."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pid = daemon(slot)
        if not pid:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        wait_gone(slot, patience)
    (slot.path / "daemon.json").unlink(missing_ok=True)


def wait_gone(slot: Slot, patience: float) -> None:
    """Until the daemon is gone or patience ends."""
    until = time.monotonic() + patience
    while daemon(slot) and time.monotonic() < until:
        time.sleep(0.05)
