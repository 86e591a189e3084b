"""`python -m bench channels --huge`: 100,000 small files, 5 GB cut in the middle, 5 GB of holes. Minutes and 15 GB."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

from bench.channels import LAB, Machine
from bench.overhead import BARE
from bench.user import ROOT, User, user

FILES, FOLDERS = 100_000, 1000
LARGE = 5_000_000_000
PIECE = 50_000_000


def small(folder: Path) -> None:
    """Many files of 100 bytes."""
    for number in range(FILES):
        place = folder / str(number % FOLDERS)
        place.mkdir(parents=True, exist_ok=True)
        (place / str(number)).write_bytes(os.urandom(100))


def large(folder: Path) -> None:
    """One file that cannot be compressed."""
    folder.mkdir()
    with (folder / "file").open("wb") as file:
        for _ in range(LARGE // PIECE):
            file.write(os.urandom(PIECE))


def sparse(folder: Path) -> None:
    """One file with data at its start, in its middle and at its end only."""
    folder.mkdir()
    with (folder / "file").open("wb") as file:
        for place in (0, LARGE // 2, LARGE - 1000):
            file.seek(place)
            file.write(os.urandom(1000))


def received(machine: Machine) -> int:
    """Bytes that have come over the machine's network so far."""
    return int(machine.do("cat /sys/class/net/eth0/statistics/rx_bytes"))


def sums(machine: Machine, source: Path) -> bool:
    """Whether the file is the same on both sides."""
    mine = subprocess.run(["sha256sum", str(source / "file")], capture_output=True, text=True, check=True).stdout
    return machine.do("sha256sum there/file").split()[0] == mine.split()[0]


def resumed(machine: Machine, source: Path) -> dict[str, Any]:
    """A transfer that is ended in its middle, and another one."""
    machine.clear()
    started, before = time.monotonic(), received(machine)
    with machine.start(source) as first:
        while received(machine) - before < LARGE / 2:
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.2)
        first.send_signal(signal.SIGINT)
        first.communicate()
    cut_s, before = time.monotonic() - started, received(machine)
    while not machine.do("ls there/.rsync-partial 2>/dev/null || true"):
        time.sleep(0.2)
    kept = int(machine.do("stat -c %s there/.rsync-partial/file"))
    with machine.start(source) as second:
        output, error = second.communicate()
        assert second.returncode == 0, error
    return {
        "until_cut_s": cut_s,
        "kept_bytes": kept,
        "resume_s": float(output),
        "resume_bytes": received(machine) - before,
        "same": sums(machine, source),
        "left_behind": machine.do("ls -A there").split(),
    }


def measure(one: User) -> dict[str, Any]:
    """All numbers."""
    folders = {word: one.folder / word for word in ("small", "large", "sparse")}
    for make in (small, large, sparse):
        make(folders[make.__name__])
    one.play("launch", "-e", "profile=lab", "-e", "experiment=huge", "-e", BARE)
    machine = Machine(one, "huge")
    raw: dict[str, Any] = {"small": machine.pair(folders["small"], True)}
    raw["small"]["again_s"] = machine.again(folders["small"])
    raw["large"] = machine.pair(folders["large"], True)
    raw["large"]["resumed"] = resumed(machine, folders["large"])
    machine.clear()
    before = received(machine)
    raw["sparse"] = {"ours_s": machine.again(folders["sparse"], sparse=True), "bytes": received(machine) - before}
    raw["sparse"]["blocks_of_512"] = int(machine.do("stat -c %b there/file"))
    raw["sparse"]["same"] = sums(machine, folders["sparse"])
    one.play("close", "-e", "experiment=huge")
    return raw


def main() -> int:
    """Measures, prints, keeps; exit status 1 when a file did not arrive as it is."""
    with user(LAB) as one:
        raw = measure(one)
    raw = {"date": date.today().isoformat(), "load": os.getloadavg(), "cores": os.cpu_count(), **raw}
    target = ROOT / f"bench/results/{raw['date']}-huge.json"
    target.write_text(json.dumps(raw, indent=2) + "\n")
    print(json.dumps(raw, indent=2))
    print(f"raw numbers: {target.relative_to(ROOT)}")
    return int(not (raw["large"]["resumed"]["same"] and raw["sparse"]["same"]))
