"""`make bench`: measures on the lab, prints tables, keeps the raw numbers in bench/results/.

`python -m bench overhead`, `recovery`, `channels`, `job` and `notebook` do one part; see
`python -m bench recovery --help`.
`python -m bench channels --huge` takes large amounts instead.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from typing import Any

from bench import channels, huge, job, notebook, overhead, recovery
from bench.user import ROOT, User, user

PAIRS = 3
LIMITS = {
    "overhead_ratio": 2.0,
    "overhead_more_s": 6.0,
    "rerun_s": 8.0,
    "rerun_changing_calls": 0,
    "second_demo_s": 60.0,
}


def rerun(one: User) -> dict[str, Any]:
    """`launch.yml` again with nothing to do, three times; and what the first launch cost in tasks and calls."""
    launch = ("launch", "-e", "profile=lab", "-e", "experiment=rerun")
    before = len(one.calls())
    first = one.play(*launch)
    first_calls = one.calls()[before:]
    again, calls = [], []
    for _ in range(PAIRS):
        before = len(one.calls())
        again.append(one.play(*launch))
        calls.append(one.calls()[before:])
    one.play("close", "-e", "experiment=rerun", "-e", "delete_volumes=all")
    return {
        "first_s": first.seconds,
        "first_remote_tasks": first.remote_tasks(),
        "first_calls": len(first_calls),
        "first_changing_calls": sum(call["mutating"] for call in first_calls),
        "rerun_s": [play.seconds for play in again],
        "rerun_remote_tasks": again[0].remote_tasks(),
        "rerun_calls": [len(some) for some in calls],
        "rerun_changing_calls": [sum(call["mutating"] for call in some) for some in calls],
    }


def demos() -> list[float]:
    """Seconds of `make demo` with everything cached."""
    seconds = []
    for _ in range(PAIRS):
        started = time.monotonic()
        subprocess.run([str(ROOT / "scripts/demo")], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - started)
    return seconds


def provisioning() -> int:
    """Measures, prints, keeps; exit status 1 when a limit is passed."""
    with user() as one:
        pairs = [(overhead.product(one, number), overhead.script(one, number)) for number in range(PAIRS)]
        again = rerun(one)
    raw: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "overhead": [{"product_s": ours, "script_s": theirs} for ours, theirs in pairs],
        "rerun": again,
        "demo_s": demos(),
    }
    figures: dict[str, float] = {
        "overhead_ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        "overhead_more_s": statistics.median(ours - theirs for ours, theirs in pairs),
        "rerun_s": statistics.median(again["rerun_s"]),
        "rerun_changing_calls": max(again["rerun_changing_calls"]),
        "second_demo_s": statistics.median(raw["demo_s"]),
    }
    raw["figures"] = figures
    target = ROOT / f"bench/results/{raw['date']}.json"
    target.write_text(json.dumps(raw, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:<24}{value:>8.2f}   at most {LIMITS[name]}   {'ok' if value <= LIMITS[name] else 'TOO MUCH'}")
    print(f"raw numbers: {target.relative_to(ROOT)}")
    return int(any(figures[name] > LIMITS[name] for name in figures))


def main(argv: list[str]) -> int:
    """One part or all."""
    parts = {
        "overhead": provisioning,
        "recovery": lambda: recovery.main(argv[1:]),
        "channels": huge.main if argv[1:] == ["--huge"] else channels.main,
        "job": job.main,
        "notebook": notebook.main,
    }
    if argv and argv[0] not in parts:
        raise SystemExit(f"there are {', '.join(parts)}, not {argv[0]}")
    return max(parts[name]() for name in (argv[:1] or parts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
