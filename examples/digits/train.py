"""Trains a small network to read handwritten digits (the data set ships with scikit-learn), and survives being stopped.

Every epoch leaves a checkpoint in $SPOT_STATE_DIR/checkpoints; a later start goes on from the newest one that is whole.
SIGTERM ends the run after the batch at hand, with a checkpoint and exit code 143.
"""

from __future__ import annotations

import argparse
import csv
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # tiny matrices: more threads only wait for each other
    os.environ.setdefault(name, "1")

KEEP = 2
COLUMNS = ("epoch", "loss", "train_accuracy", "test_accuracy", "seconds")
STOPPED = 128 + signal.SIGTERM

Row = dict[str, Any]


class Stop(Exception):
    """SIGTERM came."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file so that a reader, or a crash, sees the old content or the new, never half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def save(folder: Path, epoch: int, model: Any, rows: list[Row]) -> None:
    """Writes the checkpoint of an epoch and drops all but the last few."""
    folder.mkdir(parents=True, exist_ok=True)
    data = pickle.dumps({"epoch": epoch, "model": model, "rows": rows})
    write_atomically(folder / f"epoch-{epoch:05d}.pickle", data)
    for old in sorted(folder.glob("epoch-*.pickle"))[:-KEEP]:
        old.unlink()


def load(folder: Path) -> tuple[int, Any, list[Row]]:
    """Reads the newest whole checkpoint: (epoch, model, rows of metrics), or (0, None, []) when there is none."""
    for path in sorted(folder.glob("epoch-*.pickle"), reverse=True):
        try:
            state = pickle.loads(path.read_bytes())
            return state["epoch"], state["model"], state["rows"]
        except (pickle.UnpicklingError, EOFError, KeyError, AttributeError, OSError) as error:
            print(f"checkpoint {path.name} cannot be read ({error}); trying the one before", flush=True)
    return 0, None, []


def write_metrics(path: Path, rows: list[Row]) -> None:
    """Writes one line an epoch; whole, so that a run that goes on never has an epoch twice."""
    lines: list[str] = []

    class Sink:
        def write(self, text: str) -> None:
            lines.append(text)

    writer = csv.DictWriter(Sink(), COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, "".join(lines).encode())


def draw(path: Path, rows: list[Row]) -> None:
    """Draws the learning curve."""
    os.environ.setdefault("MPLCONFIGDIR", "/tmp/matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, accuracy = pyplot.subplots(figsize=(7, 4))
    epochs = [row["epoch"] for row in rows]
    accuracy.plot(epochs, [row["train_accuracy"] for row in rows], label="training")
    accuracy.plot(epochs, [row["test_accuracy"] for row in rows], label="test")
    accuracy.set(xlabel="epoch", ylabel="accuracy", title="Handwritten digits")
    accuracy.grid(alpha=0.3)
    accuracy.legend(loc="lower right")
    figure.tight_layout()
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png", dpi=120)
    temporary.replace(path)


def data() -> tuple[Any, Any, Any, Any]:
    """Images as rows of 64 numbers in 0..1, labels 0..9; a fifth is kept for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16.0, labels, test_size=0.2, random_state=0, stratify=labels)


def new_model() -> Any:
    """One hidden layer; every call of partial_fit is one epoch over what it is given."""
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(hidden_layer_sizes=(48,), learning_rate_init=0.003, batch_size=64, random_state=0)


def train(epochs: int, state: Path, results: Path, pause: float = 0.0) -> None:
    """Trains up to an epoch, from the newest checkpoint on.

    Args:
        epochs: last epoch.
        state: folder of the checkpoints.
        results: folder of metrics.csv and learning-curve.png.
        pause: seconds to wait after each epoch, to watch a run that would be over too soon.
    """
    checkpoints = state / "checkpoints"
    done, model, rows = load(checkpoints)
    print(f"going on after epoch {done}" if done else "starting at epoch 1", flush=True)
    model = model or new_model()
    x_train, x_test, y_train, y_test = data()
    for epoch in range(done + 1, epochs + 1):
        started = time.monotonic()
        model.partial_fit(x_train, y_train, classes=range(10))
        row = {
            "epoch": epoch,
            "loss": round(float(model.loss_), 5),
            "train_accuracy": round(float(model.score(x_train, y_train)), 4),
            "test_accuracy": round(float(model.score(x_test, y_test)), 4),
            "seconds": round(time.monotonic() - started, 3),
        }
        rows.append(row)
        save(checkpoints, epoch, model, rows)
        write_metrics(results / "metrics.csv", rows)
        print(
            f"epoch {epoch} of {epochs}: loss {row['loss']:.4f}, test accuracy {row['test_accuracy']:.3f}", flush=True
        )
        time.sleep(pause)
    write_metrics(results / "metrics.csv", rows)
    if rows:
        draw(results / "learning-curve.png", rows)
    print(f"done: test accuracy {rows[-1]['test_accuracy']:.3f}" if rows else "nothing to do", flush=True)


def stop(_signal: int, _frame: FrameType | None) -> None:
    """Handler of SIGTERM: the epoch at hand is given up, the one before is saved."""
    raise Stop


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="Train a digit reader; goes on from its checkpoint.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("SPOT_STATE_DIR", "state")))
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between epochs")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, stop)
    try:
        train(options.epochs, options.state, options.results, options.pause)
    except Stop:
        print("stopped by SIGTERM; the checkpoint of the last whole epoch is kept", flush=True)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
