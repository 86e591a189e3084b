"""Files that survive an interruption at any moment: checkpoints and a table of metrics. Standard library only.

A file is written under another name, forced to the disk, and renamed: who reads sees the old one or the new one, whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from pathlib import Path

KEEP = 2  # the newest checkpoint, and the one before it for the case that the newest cannot be read
DIGEST = 32  # bytes of SHA-256 at the end of a checkpoint file


def write(path: Path, data: bytes) -> None:
    """Replaces `path` by `data`, on the disk when this returns."""
    new = path.with_name(f".{path.name}.new")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself
    finally:
        os.close(directory)


def save(directory: Path, step: int, state: bytes) -> Path:
    """Writes the checkpoint of a step, then removes all but the newest `KEEP`."""
    path = directory / f"step-{step:09d}.ckpt"
    write(path, state + hashlib.sha256(state).digest())
    for old in _found(directory)[KEEP:]:
        old.unlink()
    return path


def newest(directory: Path) -> tuple[int, bytes] | None:
    """The newest checkpoint that is whole, as (step, state); None when there is none."""
    for path in _found(directory):
        data = path.read_bytes()
        state, digest = data[:-DIGEST], data[-DIGEST:]
        if hashlib.sha256(state).digest() == digest:
            return int(path.stem.split("-")[1]), state
        print(f"{path} is damaged; looking for an older one", flush=True)
    return None


def _found(directory: Path) -> list[Path]:
    paths = (path for path in directory.glob("step-*.ckpt") if re.fullmatch(r"step-\d+\.ckpt", path.name))
    return sorted(paths, reverse=True)


class Progress:
    """A small file that tells how far the work is; whoever runs the job copies it into its ledger."""

    def __init__(self, path: Path, start: int, total: int) -> None:
        """Says that the work goes on after step `start` of `total`."""
        self.path = path
        self.start = start
        self.total = total
        self.tell(start)

    def tell(self, step: int) -> None:
        """Says that `step` is done. Not forced to the disk: what counts is the checkpoint."""
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text(json.dumps({"start": self.start, "step": step, "of": self.total, "unit": "steps"}))
        os.replace(new, self.path)


class Metrics:
    """A CSV table with one row an epoch; what comes after the epoch that is continued from is dropped."""

    def __init__(self, path: Path, columns: list[str], last_epoch: int) -> None:
        """Opens the table `path`, whose first column is the epoch, and keeps the rows up to `last_epoch`."""
        self.path = path
        self.columns = columns
        self.rows = [row for row in self._read() if int(row["epoch"]) <= last_epoch]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write(path, text.getvalue().encode())

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with open(self.path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if all(row.get(column) for column in self.columns)]  # a torn last line is dropped

    def append(self, row: dict[str, str]) -> None:
        """Adds one row, on the disk when this returns."""
        self.rows.append(row)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)
            file.flush()
            os.fsync(file.fileno())
