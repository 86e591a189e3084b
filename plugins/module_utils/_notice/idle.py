# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The idle limit: since when nobody and nothing uses the instance.

Part of the notice watcher on the instance. A notebook is a job here, so its unit tells of both. The time counts by the
uptime, which no wrong clock moves, and from the watcher's own start on.
Source: proc(5), proc_stat(5); sshd(8), whose connections stand in the table of processes as "sshd: USER@TTY";
nvidia-smi --help-query-gpu.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Callable

from . import ended, steps, system

# Seconds between two looks; processors are measured from one to the next.
EVERY = 60.0
# A machine with containers, agents and this watcher that does nothing needs less, whatever its size.
CORES = 0.5
# Percent of the busiest GPU.
GPU = 5.0
GPU_QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
GPU_TIMEOUT = 15.0
# Names of processes (15 characters of them) that somebody has started to come back to, or is logged in by.
SHELLS = ("tmux: server", "screen", "mosh-server", "ssm-session-wor", "login")
# Not the listener, and not who is still asked for a key: "[listener]", "[priv]", "[net]", "[accepted]".
CONNECTION = re.compile(r"sshd(-session)?: [^\s/\[\]][^\s\[\]]*")


@dataclass(frozen=True)
class Use:
    """What is going on.

    Attributes:
        stay: somebody has said that the instance stays.
        job: the unit of the job runs.
        login: who is logged in, '' for nobody.
        cores: processors that were busy since the last look, None while that is not known.
        gpu: use of the busiest GPU in percent, 0 where there is none or it does not answer.
    """

    stay: bool = False
    job: bool = False
    login: str = ""
    cores: float | None = 0.0
    gpu: float = 0.0


def used_by(use: Use) -> str:
    """What uses the instance, '' for nothing."""
    if use.stay:
        return f"{ended.STAY} is there"
    if use.job:
        return "the job"
    if use.login:
        return use.login
    if use.cores is None:
        return "not known yet"
    if use.cores > CORES:
        return f"{use.cores:.1f} processors"
    return f"a GPU ({use.gpu:.0f} %)" if use.gpu > GPU else ""


@dataclass(frozen=True)
class Idle:
    """What was found so far: since when nothing uses the instance (None: something does), and when that was seen."""

    since: float | None = None
    seen: float | None = None


def after(idle: Idle, used: str, up: float, every: float) -> Idle:
    """What is found after one more look, at the uptime `up` in seconds.

    Time in which nobody looked, as in a hibernation, is no idle time.
    """
    if used:
        return Idle(None, up)
    gap = idle.seen is None or up - idle.seen > 3 * every
    return Idle(up if gap or idle.since is None else idle.since, up)


def reached(idle: Idle, limit: float, up: float) -> bool:
    """Whether nothing has used the instance for `limit` seconds."""
    return idle.since is not None and up - idle.since >= limit


# ---- the machine --------------------


def processors(text: str) -> tuple[float, float, int]:
    """Ticks that the processors were busy, ticks in all, and how many processors there are; (0, 0, 0) for damage."""
    lines = text.splitlines()
    try:
        ticks = [float(word) for word in lines[0].split()[1:9]]
    except (IndexError, ValueError):
        return 0.0, 0.0, 0
    count = sum(re.match(r"cpu\d", line) is not None for line in lines)
    return sum(ticks) - sum(ticks[3:5]), sum(ticks), count


def busy_cores(before: tuple[float, float, int] | None, now: tuple[float, float, int]) -> float | None:
    """Processors that were busy on average between two looks, None where that cannot be told."""
    if before is None or now[1] <= before[1]:
        return None
    return max(0.0, now[2] * (now[0] - before[0]) / (now[1] - before[1]))


def connection(title: str) -> str:
    """Who is connected by ssh, from the command line of a process, '' for nobody."""
    plain = title.replace("\0", " ").strip()
    return plain.partition(": ")[2] if CONNECTION.fullmatch(plain) else ""


def login() -> str:
    """Who is logged in, or has left a shell to come back to; '' for nobody."""
    for pid, name in system.processes():
        if name in SHELLS:
            return f"{name} (pid {pid})"
        if name.startswith("sshd") and (who := connection(system.command_line(pid))):
            return f"ssh of {who}"
    return ""


def busiest_gpu() -> float:
    """Use of the busiest GPU in percent; 0 without one, and where it does not answer."""
    rc, out = system.run(list(GPU_QUERY), GPU_TIMEOUT)
    shares = [float(word) for word in out.split() if word.isdigit()] if rc == 0 else []
    return max(shares, default=0.0)


class Idleness:
    """The idle limit of one instance.

    Args:
        limit: seconds.
        unit: of the job.
        look: what is going on now; the machine's own answer when it is not given.
    """

    def __init__(self, limit: float, unit: str, look: Callable[[], Use] | None = None) -> None:
        self.limit, self.unit = limit, unit
        self.every = min(EVERY, limit / 5)
        self.look = look or self.use
        self.due = 0.0
        self.idle = Idle()
        self.ticks: tuple[float, float, int] | None = None

    def use(self) -> Use:
        """What is going on. A GPU is only asked when nothing else is known to use the machine, for that takes long."""
        now, before = processors(system.statistics()), self.ticks
        self.ticks = now
        found: dict[str, Any] = {
            "stay": os.path.exists(ended.STAY),
            "job": system.unit_state(self.unit) in steps.OPEN,
            "login": login(),
            "cores": busy_cores(before, now),
        }
        return Use(**found) if used_by(Use(**found)) else Use(**found, gpu=busiest_gpu())

    def reached(self, up: float) -> bool:
        """Whether the instance is idle for so long; it is looked at anew when that is due."""
        if up >= self.due:
            self.due = up + self.every
            self.idle = after(self.idle, used_by(self.look()), up, self.every)
        return reached(self.idle, self.limit, up)
