"""The job itself: `run.yml` on a machine that is up against `ssh HOST docker run`, and how soon an end stops the bill.

The end is counted from the job's last word, by the clock that all machines of the lab share, to the moment at which EC2
says `terminated`: with the controller there, which ends the instance itself, and with the controller gone.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import time
from datetime import date
from typing import Any

from bench.overhead import IMAGE, client, find, ssh_command
from bench.user import ROOT, User, user

PAIRS = 3
LAB = "bench-job"
# About ten seconds of training: a job that does nothing would only measure how a program starts.
TRAINING = "python3 /code/train.py --epochs 60 --results /tmp/results"
LAST_WORD = """python3 -c "import time; time.sleep(8); print('LAST WORD', time.time(), flush=True)\""""
LIMITS = {"run_ratio": 2.0, "run_more_s": 6.0}
# README: an instance that nobody ends waits at least so long, so that a controller still hears of the end.
KEPT_S = 30


def overrides(**job: Any) -> str:
    """The profile of the lab without volumes and results, with another job."""
    target = "/home/admin/digits/"
    code = {"direction": "out", "local_path": f"{ROOT}/examples/digits/", "remote_path": target, "recursive": True}
    return json.dumps({"volumes": [], "channels": [code], "job": {"image": IMAGE, **job}})


def run_pair(one: User, experiment: str, command: list[str]) -> dict[str, float]:
    """Seconds of one job both ways on the same warm machine."""
    play = one.play(
        "run", "-e", "profile=lab", "-e", f"experiment={experiment}", "-e", overrides(), "-e", f"command={TRAINING}",
        "-e", "rerun=true",
    )  # fmt: skip
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"ours_s": play.seconds, "ssh_s": time.monotonic() - started}


def runs(one: User) -> list[dict[str, float]]:
    """`run.yml` and ssh by turns, the image pulled and the code sent before."""
    name = "run"
    one.play("launch", "-e", "profile=lab", "-e", f"experiment={name}", "-e", overrides(command="true"))
    ssh = ssh_command(one, name, find(client(one), name))
    docker = f"sudo docker run --rm -v /home/admin/digits:/code:ro {IMAGE} {TRAINING}"
    pairs = [run_pair(one, name, [*ssh, docker]) for _ in range(PAIRS)]
    one.play("close", "-e", f"experiment={name}")
    return pairs


def terminated(ec2: Any, instance_id: str) -> float:
    """When EC2 says that an instance is terminated, seconds since the epoch. Raises TimeoutError after 3 minutes."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        if found["State"]["Name"] == "terminated":
            return time.time()
        time.sleep(0.2)
    raise TimeoutError(f"{instance_id} still lives")


def last_word(text: str) -> float:
    """When the job said its last word, seconds since the epoch. Raises ValueError where it did not."""
    found = re.search(r"LAST WORD ([0-9.]+)", text)
    if not found:
        raise ValueError("the job did not say its last word:\n" + text)
    return float(found[1])


def end(one: User, number: int, *, controller: bool) -> float:
    """Seconds from the last word of a job to the end of its instance."""
    name = f"end-{number}-{'there' if controller else 'gone'}"
    job = overrides(command=LAST_WORD, at_end="terminate", keep_on_success=KEPT_S)
    one.play("launch", "-e", "profile=lab", "-e", f"experiment={name}", "-e", job, "-e", "wait=false")
    ec2 = client(one)
    instance = find(ec2, name)
    journal = "sudo journalctl -f -n 100 -o cat -u experiments-spot-job"
    heard = subprocess.Popen([*ssh_command(one, name, instance), journal], stdout=subprocess.PIPE, text=True)
    watched = one.start("launch", "-e", "profile=lab", "-e", f"experiment={name}", "-e", job) if controller else None
    over = terminated(ec2, instance["InstanceId"])
    heard.kill()
    text = heard.communicate()[0]
    if watched:
        watched.process.wait(60)
    one.play("close", "-e", f"experiment={name}")
    return over - last_word(text)


def table(raw: dict[str, Any]) -> dict[str, float]:
    """The figures."""
    return {
        "run_ratio": statistics.median(pair["ours_s"] / pair["ssh_s"] for pair in raw["run"]),
        "run_more_s": statistics.median(pair["ours_s"] - pair["ssh_s"] for pair in raw["run"]),
        "end_with_controller_s": statistics.median(raw["end_with_controller_s"]),
        "end_alone_s": statistics.median(raw["end_alone_s"]),
    }


def main() -> int:
    """Measures, prints, keeps; exit status 1 when a limit is passed."""
    raw: dict[str, Any] = {"date": date.today().isoformat(), "load": os.getloadavg()[0], "cores": os.cpu_count()}
    with user(LAB) as one:
        raw["run"] = runs(one)
        raw["end_with_controller_s"] = [end(one, number, controller=True) for number in range(PAIRS)]
        raw["end_alone_s"] = [end(one, number, controller=False) for number in range(PAIRS)]
    figures = table(raw)
    target = ROOT / f"bench/results/{raw['date']}-job.json"
    target.write_text(json.dumps({**raw, "figures": figures}, indent=2) + "\n")
    for name, value in figures.items():
        limit = LIMITS.get(name)
        said = "" if limit is None else f"   at most {limit}   {'ok' if value <= limit else 'TOO MUCH'}"
        print(f"{name:<24}{value:>8.2f}{said}")
    print(f"raw numbers: {target.relative_to(ROOT)}")
    return int(any(figures[name] > limit for name, limit in LIMITS.items()))
