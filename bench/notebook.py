"""Notebooks: `notebook.yml` against what one would type with ssh and docker, on machines of the lab, in the same image.

JupyterLab is ready when its address is printed and answers 200 with its token. It is measured on a machine that is up,
with docker and the image there, and from nothing: an instance that has to come first and an image that it has to pull.
A run by papermill is measured until the output of the first cell is saved, on the machine that is up.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from bench.overhead import client, find, ssh_command
from bench.recovery import machine_like, until
from bench.user import ROOT, User, user
from lab import registry

PAIRS = 3
LAB = "bench-notebook"
PORT = 8888
IMAGE = registry.NOTEBOOK_IMAGE
WARM = "warm"
FILE = "train.ipynb"
PROFILE = {
    "extends": "lab",
    "volumes": [],
    "channels": [],
    "job": {"image": IMAGE, "command": [], "mounts": []},
}
# The second cell begins when papermill has saved what the first one printed.
CELLS = ("print('first')", "import time\nprint('SAVED', time.time())")
# What somebody types who has read the handbooks of ssh, docker and JupyterLab.
DOCKER = "sudo docker run --rm --name typed -v /home/admin/typed:/typed -w /typed"
JUPYTERLAB = (
    f"{DOCKER} -p 127.0.0.1:{PORT}:{PORT} {IMAGE} python3 -m jupyterlab --allow-root --no-browser --ip=0.0.0.0"
    f" --port={PORT} --IdentityProvider.token="
)
PAPERMILL = f"{DOCKER} {IMAGE} python3 -m papermill --no-progress-bar {FILE} out.ipynb"


def text_of(cells: tuple[str, ...]) -> str:
    """A notebook, as Jupyter saves it."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"c{number}", "metadata": {}, "source": source, "outputs": [],
         "execution_count": None}
        for number, source in enumerate(cells)
    ]  # fmt: skip
    return json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


def saved(text: str) -> float:
    """When the first cell's output was saved, seconds since the epoch. Raises ValueError if the second did not run."""
    cells = json.loads(text)["cells"]
    printed = "".join("".join(one.get("text", "")) for cell in cells for one in cell["outputs"])
    found = re.search(r"SAVED ([0-9.]+)", printed)
    if not found:
        raise ValueError(f"the second cell has not run: {printed}")
    return float(found[1])


def address_in(lines: list[str]) -> str:
    """JupyterLab's address in what notebook.yml has printed, '' before."""
    found = (re.search(r"Open (http://127\.0\.0\.1:[0-9]+/\S+)", line) for line in lines)
    return next((match[1] for match in found if match), "")


def answers(address: str) -> bool:
    """Whether JupyterLab answers with 200."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --------------------------------------------------------------------------------------------------------------- ours


def words(experiment: str, *more: str) -> tuple[str, ...]:
    """Of notebook.yml; the instance stays when the job is over."""
    named = ("-e", "profile=nb", "-e", f"notebook={FILE}", "-e", f"experiment={experiment}")
    return (*named, "-e", "job.at_end=keep", "-e", "rerun=true", *more)


def ours(one: User, experiment: str) -> float:
    """Seconds from the command to a JupyterLab that answers, which is shut down then."""
    started = time.monotonic()
    running = one.start("notebook", *words(experiment, "-e", "where=remote"))
    until(lambda: running.has_printed("Open http"), 0.05)
    address = address_in([line for _, line in running.lines])
    until(lambda: answers(address), 0.05)
    seconds = time.monotonic() - started
    base, _, token = address.partition("?token=")
    body = urllib.request.Request(f"{'/'.join(base.split('/')[:3])}/api/shutdown?token={token}", method="POST")
    urllib.request.urlopen(body, timeout=20).close()
    running.process.wait(120)
    return seconds


def our_cell(one: User) -> float:
    """Seconds from the command to the first cell's saved output."""
    play = one.play("notebook", *words(WARM))
    return saved((one.folder / f"results/{WARM}/{FILE}").read_text()) - play.began


# ------------------------------------------------------------------------------------------------------------- by hand


@dataclass(frozen=True)
class Hand:
    """Somebody with ssh.

    Attributes:
        one: whose notebook it is.
        ssh: words of the command; the last one is the address.
    """

    one: User
    ssh: list[str]

    def send(self) -> None:
        """The notebook."""
        there = "mkdir -p typed && cat > typed/" + FILE
        subprocess.run([*self.ssh, there], input=(self.one.folder / FILE).read_bytes(), check=True)

    def jupyterlab(self, started: float) -> float:
        """Seconds until JupyterLab answers, by one connection that is the tunnel too; it is ended then."""
        token, port = secrets.token_hex(24), free_port()
        self.send()
        tunnel = ["-L", f"127.0.0.1:{port}:127.0.0.1:{PORT}"]
        process = subprocess.Popen([*self.ssh[:-1], *tunnel, self.ssh[-1], JUPYTERLAB + token], stderr=subprocess.PIPE)
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/lab/tree/{FILE}?token={token}"), 0.05)
            return time.monotonic() - started
        finally:
            subprocess.run([*self.ssh, "sudo docker stop typed"], check=True, stdout=subprocess.DEVNULL)
            process.communicate()

    def cell(self) -> float:
        """Seconds until the first cell's output is saved."""
        began = time.time()
        self.send()
        subprocess.run([*self.ssh, PAPERMILL], check=True, capture_output=True)
        done = subprocess.run([*self.ssh, "cat typed/out.ipynb"], check=True, capture_output=True, text=True)
        return saved(done.stdout) - began


def by_hand(one: User, ec2: Any, model: dict[str, Any]) -> float:
    """Seconds from RunInstances, of the same type, image and network, to a JupyterLab that answers."""
    started = time.monotonic()
    with machine_like(one, ec2, model, WARM) as ssh:
        start = [*ssh, "sudo systemctl start docker"]
        until(lambda: subprocess.run(start, capture_output=True, check=False).returncode == 0, 0.1)
        return Hand(one, ssh).jupyterlab(started)


# -------------------------------------------------------------------------------------------------------------- pairs


def pairs(product: Callable[[int], float], hand: Callable[[int], float]) -> list[dict[str, float]]:
    """Both ways by turns, and how busy the machine was."""
    return [{"ours_s": product(number), "ssh_s": hand(number), "load": os.getloadavg()[0]} for number in range(PAIRS)]


def from_nothing(one: User, number: int) -> float:
    """JupyterLab on an instance that is not there yet, and is gone afterwards."""
    name = f"fresh-{number}"
    seconds = ours(one, name)
    one.play("close", "-e", f"experiment={name}")
    return seconds


def measure(one: User) -> dict[str, Any]:
    """All numbers."""
    gateway = one.env["EXPERIMENTS_SPOT_SSH_CIDR"].partition("/")[0]
    registry.ensure_notebook_image(registry.Registry(gateway, one.folder))
    (one.folder / "profiles").mkdir()
    (one.folder / "profiles/nb.yml").write_text(json.dumps(PROFILE))
    (one.folder / FILE).write_text(text_of(CELLS))
    ours(one, WARM)
    ec2 = client(one)
    model = find(ec2, WARM)
    hand = Hand(one, ssh_command(one, WARM, model))
    raw = {
        "warm": pairs(lambda _: ours(one, WARM), lambda _: hand.jupyterlab(time.monotonic())),
        "papermill": pairs(lambda _: our_cell(one), lambda _: hand.cell()),
        "fresh": pairs(lambda number: from_nothing(one, number), lambda _: by_hand(one, ec2, model)),
    }
    one.play("close", "-e", f"experiment={WARM}")
    return raw


def table(raw: dict[str, Any]) -> dict[str, float]:
    """The figures: medians of pairs."""
    figures = {}
    for kind in ("warm", "fresh", "papermill"):
        found = raw[kind]
        figures[f"{kind}_s"] = statistics.median(pair["ours_s"] for pair in found)
        figures[f"{kind}_ssh_s"] = statistics.median(pair["ssh_s"] for pair in found)
        figures[f"{kind}_ratio"] = statistics.median(pair["ours_s"] / pair["ssh_s"] for pair in found)
        figures[f"{kind}_more_s"] = statistics.median(pair["ours_s"] - pair["ssh_s"] for pair in found)
    return figures


def main() -> int:
    """Measures, prints, keeps; nothing has a limit."""
    raw: dict[str, Any] = {"date": date.today().isoformat(), "load": os.getloadavg()[0], "cores": os.cpu_count()}
    with user(LAB) as one:
        raw |= measure(one)
    raw["figures"] = table(raw)
    target = ROOT / f"bench/results/{raw['date']}-notebook.json"
    target.write_text(json.dumps(raw, indent=2) + "\n")
    for name, value in raw["figures"].items():
        print(f"{name:<24}{value:>8.2f}")
    print(f"raw numbers: {target.relative_to(ROOT)}")
    return 0
