# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ledgers that came to the controller with the results: what happened is then known when nothing runs any more.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

Resource = dict[str, Any]

NAME = "ledger.json"
# Below a folder of results: one for the experiment, one for the rank, and one that a user's channel may add.
DEPTH = 3
MOST_BYTES = 16 * 2**20


def find(folders: Iterable[str], experiment: str | None) -> tuple[list[Resource], list[str]]:
    """All ledgers below folders, and a note for each file of that name that cannot be read.

    Args:
        folders: those that are not there count as empty.
        experiment: only ledgers of this one; None for all.

    Returns:
        Ledgers with ``path``, experiment, job, runs and notices.
    """
    ledgers: list[Resource] = []
    notes: list[str] = []
    for path in sorted({found for folder in folders for found in _paths(os.path.abspath(folder))}):
        try:
            ledger = read(path)
        except (OSError, ValueError) as error:
            notes.append(f"{path} is not read: {getattr(error, 'strerror', None) or error}")
            continue
        if experiment in (None, ledger["experiment"]):
            ledgers.append(ledger)
    return ledgers, notes


def _paths(top: str) -> Iterable[str]:
    for folder, inner, files in os.walk(top):
        if folder.count(os.sep) - top.count(os.sep) >= DEPTH:
            inner.clear()
        if NAME in files:
            yield os.path.join(folder, NAME)


def read(path: str) -> Resource:
    """One ledger.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ledger.
    """
    with open(path, encoding="utf-8") as stream:
        found = json.loads(stream.read(MOST_BYTES))
    runs = found.get("runs") if isinstance(found, dict) else None
    if not isinstance(runs, list) or not isinstance(found.get("experiment"), str):
        raise ValueError("it is no ledger of a job")
    notices = found.get("notices") if isinstance(found.get("notices"), list) else []
    return {
        "path": path,
        "experiment": found["experiment"],
        "job": str(found.get("job") or ""),
        "runs": [run for run in runs if isinstance(run, dict)],
        "notices": [notice for notice in notices or [] if isinstance(notice, dict)],
    }
