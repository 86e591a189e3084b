#!/usr/bin/env python3
"""Trains a small neural network to read handwritten digits, and goes on where it stopped when it is started again.

The data are the 1797 pictures of 8 x 8 pixels that come with scikit-learn. Every epoch is checkpointed under
$SPOT_STATE_DIR, and SIGTERM checkpoints the very step; randomness belongs to its place in the training, so that a run
with interruptions ends with the numbers of one without, bit for bit. Writes metrics.csv, model.npz and
learning-curve.png into the results directory, and how far it is into progress.json.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # the matrices are small: more threads only wait for each other

import durable
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Digits: TypeAlias = NDArray[np.int64]
COLUMNS = ["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"]
HIDDEN = 96
BATCH = 32
PASSES = 6  # an epoch is that often through all pictures, each time shifted anew
LEARNING_RATE = 0.002
TEST_SHARE = 0.25


class Stopped(Exception):
    """Somebody sent SIGTERM: the instance goes away, or the experiment is closed. Its text is the step."""


@dataclass
class Data:
    """Pictures (one a row, 64 numbers from 0 to 1) and their digits, to learn from and to test with."""

    train_x: Array
    train_y: Digits
    test_x: Array
    test_y: Digits


def main() -> int:
    """Trains; 0 when done, 143 when stopped by SIGTERM."""
    options = arguments()
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    try:
        run(options, stop)
    except Stopped as stopped:
        print(f"SIGTERM: stopped at step {stopped}, which is on the disk", flush=True)
        return 128 + signal.SIGTERM
    return 0


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    state = os.environ.get("SPOT_STATE_DIR", ".")
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=30, help="train until this many epochs are done (default 30)")
    parser.add_argument("--results", type=Path, default=Path(state, "results"), help="directory of metrics and picture")
    parser.add_argument("--checkpoints", type=Path, default=Path(state, "checkpoints"), help="directory of checkpoints")
    parser.add_argument("--data", type=Path, default=None, help="digits.csv.gz (default: scikit-learn's)")
    parser.add_argument("--progress", type=Path, default=Path(state, "progress.json"), help="file that tells how far")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--pause", type=float, default=0, help="seconds to rest after each epoch (default 0)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace, stop: list[int]) -> None:
    """All epochs that are still to do, then the picture."""
    for directory in (options.results, options.checkpoints):
        directory.mkdir(parents=True, exist_ok=True)
    data = load(options.data or find_digits(), options.seed)
    model = resume(options.checkpoints, options.seed)
    length = PASSES * batches_of(data)
    progress = durable.Progress(options.progress, model.steps, options.epochs * length)
    metrics = durable.Metrics(options.results / "metrics.csv", COLUMNS, model.steps // length)
    for epoch in range(len(metrics.rows) + 1, options.epochs + 1):
        began = time.monotonic()
        try:
            model.epoch(data, (options.seed, epoch), stop)
        except Stopped:
            durable.save(options.checkpoints, model.steps, model.dump())
            raise
        finally:
            progress.tell(model.steps)
        loss, accuracy = model.evaluate(data.train_x, data.train_y)
        test_loss, test_accuracy = model.evaluate(data.test_x, data.test_y)
        durable.save(options.checkpoints, model.steps, model.dump())
        values = [loss, accuracy, test_loss, test_accuracy, time.monotonic() - began]
        metrics.append({"epoch": str(epoch), **{name: f"{v:.4f}" for name, v in zip(COLUMNS[1:], values)}})
        print(
            f"epoch {epoch}/{options.epochs}  loss {loss:.4f}  accuracy {accuracy:.1%}  test {test_accuracy:.1%}",
            flush=True,
        )
        time.sleep(options.pause)
    durable.write(options.results / "model.npz", model.dump())
    draw(metrics.rows, options.results / "learning-curve.png")
    print(f"Done: {options.results}/metrics.csv, {options.results}/learning-curve.png", flush=True)


def resume(checkpoints: Path, seed: int) -> Network:
    """The network as of the newest checkpoint, or a new one."""
    model = Network(np.random.default_rng([seed, 0]))
    found = durable.newest(checkpoints)
    if found is None:
        print("No checkpoint: starting from the beginning", flush=True)
        return model
    step, state = found
    model.restore(state)
    print(f"Going on from the checkpoint of step {step}", flush=True)
    return model


# ------------------------------------------------------------------------------------------------------------ data


def find_digits() -> Path:
    """The data set inside the installed scikit-learn, found without importing that."""
    spec = importlib.util.find_spec("sklearn")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place, "datasets", "data", "digits.csv.gz")
        if path.exists():
            return path
    sys.exit("There is no digits.csv.gz here: pip install scikit-learn, or name the file with --data")


def load(path: Path, seed: int) -> Data:
    """Reads 65 numbers a line (64 pixels from 0 to 16, the digit) and splits them, the same way for the same seed."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    table = np.random.default_rng(seed).permutation(table)
    split = int(len(table) * TEST_SHARE)
    x, y = table[:, :64] / 16, table[:, 64].astype(np.int64)
    return Data(x[split:], y[split:], x[:split], y[:split])


def shifted(x: Array, rng: np.random.Generator) -> Array:
    """Moves each picture by at most one pixel, so that the same ones are not seen again."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    rows, columns = rng.integers(0, 3, (2, len(x), 1, 1))
    every = np.arange(8)
    moved: Array = padded[np.arange(len(x))[:, None, None], rows + every[:, None], columns + every]
    return moved.reshape(-1, 64)


def batches_of(data: Data) -> int:
    """Batches, and so steps, of one pass through the pictures."""
    return -(-len(data.train_x) // BATCH)


def batches(count: int, rng: np.random.Generator) -> Iterator[Digits]:
    """The numbers 0 … count-1 in random order, `BATCH` at a time."""
    order = rng.permutation(count)
    for start in range(0, count, BATCH):
        yield order[start : start + BATCH]


# --------------------------------------------------------------------------------------------------------- network


class Network:
    """64 pixels → hidden layer (ReLU) → 10 digits (softmax), trained by Adam."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draws the first weights."""
        sizes = [(64, HIDDEN), (HIDDEN, 10)]
        self.weights: list[Array] = []
        for rows, columns in sizes:
            self.weights += [rng.normal(0, np.sqrt(2 / rows), (rows, columns)), np.zeros(columns)]
        self.mean = [np.zeros_like(w) for w in self.weights]
        self.square = [np.zeros_like(w) for w in self.weights]
        self.steps = 0

    def forward(self, x: Array) -> tuple[Array, Array]:
        """Hidden activations and probabilities of the digits, one row a picture."""
        w1, b1, w2, b2 = self.weights
        hidden = np.maximum(x @ w1 + b1, 0)
        scores = hidden @ w2 + b2
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def evaluate(self, x: Array, y: Digits) -> tuple[float, float]:
        """Mean cross-entropy and share of right answers."""
        probability = self.forward(x)[1]
        loss = -np.log(probability[np.arange(len(y)), y] + 1e-12).mean()
        return float(loss), float((probability.argmax(axis=1) == y).mean())

    def epoch(self, data: Data, place: tuple[int, int], stop: list[int]) -> None:
        """Learns from every picture `PASSES` times, from the step on where it stands.

        Args:
            data: What to learn from.
            place: Seed and number of the epoch; with the pass they decide what is random.
            stop: Filled from outside to make it stop.

        Raises:
            Stopped: As soon as `stop` is filled, between two steps.
        """
        step = (place[1] - 1) * PASSES * batches_of(data)
        for number in range(PASSES):
            rng = np.random.default_rng([*place, number])
            x = shifted(data.train_x, rng)
            for batch in batches(len(x), rng):
                step += 1
                if step <= self.steps:
                    continue
                if stop:
                    raise Stopped(self.steps)
                self.learn(x[batch], data.train_y[batch])

    def learn(self, x: Array, y: Digits) -> None:
        """One step of Adam on one batch."""
        hidden, slope = self.forward(x)
        slope[np.arange(len(y)), y] -= 1
        slope /= len(y)
        back = (slope @ self.weights[2].T) * (hidden > 0)
        gradients = [x.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]
        self.steps += 1
        for n, gradient in enumerate(gradients):
            self.mean[n] += 0.1 * (gradient - self.mean[n])
            self.square[n] += 0.001 * (gradient**2 - self.square[n])
            mean, square = self.mean[n] / (1 - 0.9**self.steps), self.square[n] / (1 - 0.999**self.steps)
            self.weights[n] -= LEARNING_RATE * mean / (np.sqrt(square) + 1e-8)

    def dump(self) -> bytes:
        """Everything that the next epoch depends on."""
        file = io.BytesIO()
        np.savez(file, np.array(self.steps), *self.weights, *self.mean, *self.square)
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Takes over what `dump` gave."""
        with np.load(io.BytesIO(state)) as archive:
            steps, *arrays = (archive[f"arr_{n}"] for n in range(1 + 3 * len(self.weights)))
        self.steps = int(steps)
        third = len(self.weights)
        self.weights, self.mean, self.square = arrays[:third], arrays[third : 2 * third], arrays[2 * third :]


# --------------------------------------------------------------------------------------------------------- picture


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """The learning curve: loss and accuracy over the epochs."""
    import matplotlib  # slow to import, and only needed at the end

    matplotlib.use("Agg")
    from matplotlib import pyplot

    epochs = [int(row["epoch"]) for row in rows]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, name in zip(axes, ("loss", "accuracy")):
        for part in ("train", "test"):
            axis.plot(epochs, [float(row[f"{part}_{name}"]) for row in rows], label=part)
        axis.set(xlabel="epoch", ylabel=name)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle("Handwritten digits")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    pyplot.close(figure)
    durable.write(path, picture.getvalue())


if __name__ == "__main__":
    sys.exit(main())
