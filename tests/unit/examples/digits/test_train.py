"""Runs the experiment for real, with numpy and matplotlib from where they are, else from the lab's cache by pip."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from lab import engine
from lab.image import job

pytestmark = pytest.mark.slow

TRAIN = Path(__file__).resolve().parents[4] / "examples" / "digits" / "train.py"
NEEDED = ("numpy", "matplotlib", "sklearn")


@pytest.fixture(scope="module")
def packages() -> str:
    """A PYTHONPATH with what train.py imports."""
    if all(find_spec(name) for name in NEEDED):
        return ""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = engine.cache_dir() / f"test-packages-{version}-{job.recipe()}"
    with engine.locked("test-packages"):
        if not target.exists():
            fetch(target)
    return str(target)


def fetch(target: Path) -> None:
    new = target.with_name(f".{target.name}")
    full, data = job.requirements(job.REQUIREMENTS.read_text())
    for wanted, more in ((full, []), (data, ["--no-deps"])):
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--upgrade", "--target", str(new)]
        argv = [*pip, *more, *wanted]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no {wanted} for this Python: {done.stderr.strip()[-200:]}")
    new.rename(target)


class Experiment:
    """The training in a directory of its own."""

    def __init__(self, base: Path, packages: str) -> None:
        self.state = base / "state"
        self.results = base / "results"
        self.environment = os.environ | {
            "PYTHONPATH": packages,
            "SPOT_STATE_DIR": str(self.state),
            "MPLCONFIGDIR": str(base / "matplotlib"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def argv(self, epochs: int) -> Sequence[str]:
        return [sys.executable, str(TRAIN), "--epochs", str(epochs), "--results", str(self.results)]

    def run(self, epochs: int) -> str:
        done = subprocess.run(
            self.argv(epochs), env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def started(self, epochs: int) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(self.argv(epochs), env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def progress(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.state / "progress.json").read_text())
        return found

    def metrics(self) -> list[dict[str, str]]:
        with open(self.results / "metrics.csv", newline="", encoding="utf-8") as file:
            return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture
def experiment(tmp_path: Path, packages: str) -> Experiment:
    return Experiment(tmp_path, packages)


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(words):
            return
    pytest.fail(f"it ended before it said {words!r}")


def test_it_learns_and_leaves_metrics_and_a_picture(experiment: Experiment) -> None:
    said = experiment.run(8)
    rows = experiment.metrics()
    assert [row["epoch"] for row in rows] == [str(n) for n in range(1, 9)]
    assert float(rows[-1]["test_accuracy"]) > 0.9
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    assert (experiment.results / "learning-curve.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert len(list((experiment.state / "checkpoints").iterdir())) == 2
    assert said.count("epoch ") >= 8


def test_sigterm_ends_it_with_143_and_the_next_run_goes_on_to_the_same_numbers(
    experiment: Experiment, tmp_path: Path, packages: str
) -> None:
    with experiment.started(100_000) as process:
        wait_for(process, "epoch 2/")
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "SIGTERM" in rest
    done = int(experiment.metrics()[-1]["epoch"])
    step = experiment.progress()["step"]
    assert f"from the checkpoint of step {step}" in experiment.run(done + 2)
    assert experiment.progress()["start"] == step  # nothing is computed twice

    whole = Experiment(tmp_path / "whole", packages)
    whole.run(done + 2)
    assert experiment.metrics() == whole.metrics()
    assert (experiment.results / "model.npz").read_bytes() == (whole.results / "model.npz").read_bytes()


def test_a_kill_at_any_moment_loses_no_finished_epoch(experiment: Experiment) -> None:
    with experiment.started(100_000) as process:
        wait_for(process, "epoch 3/")
        process.kill()
    done = int(experiment.metrics()[-1]["epoch"])
    assert done >= 3
    experiment.run(done + 3)
    assert [int(row["epoch"]) for row in experiment.metrics()] == list(range(1, done + 4))


def test_an_epoch_that_is_checkpointed_but_not_in_the_metrics_is_added(experiment: Experiment) -> None:
    experiment.run(3)
    before = experiment.metrics()
    table = experiment.results / "metrics.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    experiment.run(3)
    assert experiment.metrics() == before


def test_when_all_epochs_are_done_only_the_picture_is_drawn_again(experiment: Experiment) -> None:
    experiment.run(2)
    before = experiment.metrics()
    (experiment.results / "learning-curve.png").unlink()
    assert "epoch 3" not in experiment.run(2)
    assert experiment.metrics() == before
    assert (experiment.results / "learning-curve.png").exists()
