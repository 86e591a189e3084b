"""Channels against rsync as one would type it, and against Portal Gun's rule, on one machine of the lab.

Portal Gun's rule: rsync each `delay` seconds after the last one has ended, each over a connection of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from bench.overhead import BARE, client, find, ssh_command
from bench.user import ROOT, User, user

SAVES = 40
PAIRS = 6
CUT_S = 30
CUTS = 3
LAB = "bench-channels"
IDLE_S = 60
DELAY = 1.0
RATE = 0.9
LIMITS = {
    # At least nine tenths of rsync's own rate, and at most a second more, however much there is to move.
    "nothing_over_s": 1.0,
    "large_over_s": 1.0,
    "small_over_s": 1.0,
    "latency_p50_s": DELAY + 0.4,
    "latency_p99_s": DELAY + 1.5,
    "idle_cpu_percent": 1.0,
    "back_after_cut_s": 5.0,
}
OURS = """
import json, sys, time
sys.path[:0] = [{root!r} + "/collections"]
from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _ssh
started = time.monotonic()
given = json.loads(sys.argv[1])
transfer = _channel.transfer_of(given["channel"], _channel.compression(given["channel"]["compress"]))
assert not _channel.path_problems(transfer)
target = _ssh.Target(**given["target"])
report, finished = _channel.run_rsync(transfer, target, lambda _report: None)
assert finished.code == 0, finished
print(time.monotonic() - started)
"""


class Machine:
    """A machine of the lab and ways to move files to it.

    Args:
        place: where the files go, a directory there.
    """

    def __init__(self, one: User, name: str, place: str = "there") -> None:
        self.place = place
        instance = find(client(one), name)
        self.fresh = ssh_command(one, name, instance)
        self.socket = f"{one.folder}/b"
        self.shared = [
            *self.fresh[:-1],
            "-o",
            "ControlMaster=auto",
            "-o",
            f"ControlPath={self.socket}",
            "-o",
            "ControlPersist=600",
        ]
        self.address = self.fresh[-1]
        self.do("true")

    def do(self, command: str) -> str:
        """What a command there says."""
        done = subprocess.run([*self.shared, self.address, command], capture_output=True, text=True, check=True)
        return done.stdout

    def clear(self) -> None:
        """Nothing is there, and the disk has nothing left to do of what was."""
        self.do(f"rm -rf {self.place} && sync")

    def pair(self, source: Path, ours_first: bool) -> dict[str, float]:
        """Both ways, one after the other: the disk may get slower from one to the next, so they take turns."""
        if ours_first:
            return {"ours_s": self.ours(source), "raw_s": self.raw(source)}
        return {"raw_s": self.raw(source), "ours_s": self.ours(source)}

    def raw(self, source: Path) -> float:
        """Seconds of ``rsync -a`` over the shared connection."""
        self.clear()
        started = time.monotonic()
        subprocess.run(
            ["rsync", "-a", "-e", " ".join(self.shared), f"{source}/", f"{self.address}:{self.place}/"], check=True
        )
        return time.monotonic() - started

    def ours(self, source: Path) -> float:
        """Seconds of a channel over the same connection, with its checks."""
        self.clear()
        return self.again(source)

    def again(self, source: Path, **keys: Any) -> float:
        """The same, with what is there already; keys of the channel."""
        with self.start(source, **keys) as process:
            output, error = process.communicate()
        if process.returncode:
            raise RuntimeError(error)
        return float(output)

    def start(self, source: Path, **keys: Any) -> subprocess.Popen[str]:
        """Starts a channel; it prints its seconds."""
        channel = {"direction": "out", "local_path": f"{source}/", "remote_path": f"{self.place}/", "recursive": True}
        options = [word for word in self.shared[1:] if word != "-o"]
        key = options.index("-i")
        identity = options[key + 1]
        login, address = self.address.split("@")
        target = {
            "address": address,
            "user": login,
            "private_key_file": identity,
            "options": [*options[:key], *options[key + 2 :]],
        }
        given = json.dumps({"channel": {**channel, "compress": "none", **keys}, "target": target})
        command = [sys.executable, "-c", OURS.format(root=str(ROOT)), given]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def arrived(self, path: str, content: str) -> bool:
        """Whether a file there has a content."""
        return self.do(f"cat {path} 2>/dev/null || true") == content

    def since(self, path: str) -> float:
        """When a file there got its name, by the clock that all machines of the lab share."""
        return float(self.do(f"stat -c %.9Z {path}"))


def latencies(machine: Machine, source: Path, path: str) -> list[float]:
    """Seconds from a save to its arrival, for saves at odd moments."""
    taken = []
    for number in range(SAVES):
        time.sleep(1.5 + 0.37 * (number % 5))
        saved = time.time()
        (source / "saved").write_text(str(number))
        until = time.monotonic() + 30
        while not machine.arrived(path, str(number)) and time.monotonic() < until:
            time.sleep(0.1)
        taken.append(machine.since(path) - saved)
    return taken


@contextlib.contextmanager
def cut(address: str) -> Iterator[None]:
    """No packet reaches the address."""
    rules = [(chain, "-d", address, "-j", "DROP") for chain in ("OUTPUT", "FORWARD")]
    for rule in rules:
        subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-D", *rule], check=True)


def returns(machine: Machine, source: Path, path: str) -> list[float]:
    """Seconds from the end of a cut of the network to the arrival of what was saved meanwhile."""
    taken = []
    for number in range(CUTS):
        content = f"cut {number}"
        with cut(machine.address.rpartition("@")[2]):
            time.sleep(CUT_S / 2)
            (source / "saved").write_text(content)
            time.sleep(CUT_S / 2)
        healed, until = time.time(), time.monotonic() + 60
        subprocess.run([*machine.shared, "-O", "exit", machine.address], check=False, stderr=subprocess.DEVNULL)
        while not machine.arrived(path, content) and time.monotonic() < until:
            time.sleep(0.2)
        taken.append(machine.since(path) - healed)
    return taken


def cpu_of(pids: Callable[[], list[int]]) -> float:
    """Seconds of processor time of processes and of the children that they waited for."""
    total = 0
    for pid in pids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def tree_of(pid: int) -> list[int]:
    """A process and its descendants, those included that one of its threads has started."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [child for text in lists for child in text.split()]
    return [pid, *(inner for child in children for inner in tree_of(int(child)))]


def portal_gun(machine: Machine, source: Path, over: threading.Event, count: list[int]) -> None:
    """Its rule, until the end; counts the connections."""
    while not over.wait(DELAY):
        ssh = " ".join(machine.fresh[:-1])
        pair = [f"{source}/", f"{machine.address}:gun/"]
        subprocess.run(["rsync", "-pthrvz", "--delete", "-e", ssh, *pair], check=True, stdout=subprocess.DEVNULL)
        count[0] += 1


def fill(large: Path, small: Path) -> None:
    """One file of 200 MB, and 10,000 small ones."""
    (large / "file").write_bytes(os.urandom(200_000_000))
    for number in range(10_000):
        folder = small / str(number % 100)
        folder.mkdir(exist_ok=True)
        (folder / str(number)).write_bytes(os.urandom(100))


def measure(one: User) -> dict[str, Any]:
    """All numbers."""
    name = "channels"
    small, large, live, empty = (one.folder / word for word in ("small", "large", "live", "empty"))
    for folder in (small, large, live, empty):
        folder.mkdir()
    fill(large, small)
    shutil.copytree(small, live, dirs_exist_ok=True)
    one.play("launch", "-e", "profile=lab", "-e", f"experiment={name}", "-e", BARE)
    machine = Machine(one, name)
    # To memory: a disk takes ever longer to make 10,000 files, two and three times as long from one try to the next.
    memory = Machine(one, name, "/dev/shm/there")
    raw: dict[str, Any] = {
        kind: [there.pair(folder, bool(number % 2)) for number in range(PAIRS)]
        for kind, folder, there in (("large", large, machine), ("small", small, memory), ("nothing", empty, memory))
    }
    raw |= continuous(one, name, machine, live)
    raw |= by_portal_guns_rule(machine, live)
    one.play("close", "-e", f"experiment={name}")
    return raw


def continuous(one: User, name: str, machine: Machine, live: Path) -> dict[str, Any]:
    """A channel that keeps going: what it costs while nothing happens, how soon a save arrives, how soon it is back."""
    raw: dict[str, Any] = {}
    channel = {"direction": "out", "local_path": f"{live}/", "remote_path": "/home/admin/live/", "recursive": True}
    given = json.dumps({"channels": [channel], "job": None, "volumes": [], "runtime": {"docker": False}})
    running = one.start("sync", "-e", "profile=lab", "-e", f"experiment={name}", "-e", "continuous=true", "-e", given)
    while not running.has_printed("keep going") or not machine.do("ls live/99/9999 2>/dev/null || true"):
        time.sleep(0.5)
    time.sleep(3)
    before = cpu_of(lambda: tree_of(running.process.pid))
    time.sleep(IDLE_S)
    raw["idle_cpu_percent"] = 100 * (cpu_of(lambda: tree_of(running.process.pid)) - before) / IDLE_S
    raw["latency_s"] = latencies(machine, live, "live/saved")
    raw["back_after_cut_s"] = returns(machine, live, "live/saved")
    running.process.send_signal(2)
    running.process.wait(60)
    return raw


def by_portal_guns_rule(machine: Machine, live: Path) -> dict[str, Any]:
    """The same save by rsync again and again."""
    over, count, started = threading.Event(), [0], time.monotonic()
    rule = threading.Thread(target=portal_gun, args=(machine, live, over, count))
    rule.start()
    time.sleep(5)
    taken = latencies(machine, live, "gun/saved")
    over.set()
    rule.join()
    connections = 60 * count[0] / (time.monotonic() - started)
    return {"portal_gun_latency_s": taken, "portal_gun_connections_a_minute": connections}


def main() -> int:
    """Measures, prints, keeps; exit status 1 when a limit is passed."""
    with user(LAB) as one:
        raw = measure(one)
    figures: dict[str, float] = {}
    for kind in ("nothing", "large", "small"):
        figures[f"{kind}_ratio"] = statistics.median(pair["ours_s"] / pair["raw_s"] for pair in raw[kind])
        figures[f"{kind}_over_s"] = statistics.median(pair["ours_s"] - pair["raw_s"] / RATE for pair in raw[kind])
    for prefix in ("", "portal_gun_"):
        taken = sorted(raw[f"{prefix}latency_s"])
        figures[f"{prefix}latency_p50_s"] = statistics.median(taken)
        figures[f"{prefix}latency_p99_s"] = taken[-1]
    figures["idle_cpu_percent"] = raw["idle_cpu_percent"]
    figures["back_after_cut_s"] = max(raw["back_after_cut_s"])
    raw = {
        "date": date.today().isoformat(),
        "load": os.getloadavg(),
        "cores": os.cpu_count(),
        **raw,
        "figures": figures,
    }
    target = ROOT / f"bench/results/{raw['date']}-channels.json"
    target.write_text(json.dumps(raw, indent=2) + "\n")
    for key, value in figures.items():
        limit = LIMITS.get(key)
        said = "" if limit is None else f"at most {limit:.2f}   {'ok' if value <= limit else 'TOO MUCH'}"
        print(f"{key:<28}{value:>8.2f}   {said}".rstrip())
    print(f"raw numbers: {target.relative_to(ROOT)}")
    return int(any(figures[key] > limit for key, limit in LIMITS.items()))
