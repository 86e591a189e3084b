# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The matrix of a job: every combination of its lists, and which instance takes which of them. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# As many as a matrix of GitHub Actions may have. Source: GitHub Docs, "Running variations of jobs in a workflow".
LARGEST = 256
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the work is made of: with another of these a combination that has ended is run again; with another time limit,
# or another commit of the same branch, only when the user asks for it.
WORK = ("image", "build", "command", "scripts", "workdir", "mounts", "user")
CODE = ("repository", "version")
# Folders have readable names that no file system and no shell minds.
UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]+")
LONGEST_NAME = 100

Lists = Mapping[str, Sequence[Any]]


def size_of(lists: Lists) -> int:
    """Number of combinations."""
    return math.prod(len(values) for values in lists.values()) if lists else 0


def problems(lists: Lists) -> list[str]:
    """All that is wrong with a matrix, [] when it can be run."""
    told = [f"the name {name!r} is not made of letters, digits and underscores" for name in lists if not _is_name(name)]
    for name, values in lists.items():
        texts = [str(value) for value in values] if isinstance(values, (list, tuple)) else []
        if not texts:
            told.append(f"{name} is not a list with at least one value")
        told += [f"{name} has {text!r} twice" for text in sorted({one for one in texts if texts.count(one) > 1})]
        if any("\n" in text or "\r" in text or "\0" in text for text in texts):
            told.append(f"{name} has a value of several lines, which an environment cannot carry")
    if not told and size_of(lists) > LARGEST:
        told.append(f"{size_of(lists)} combinations; allowed: at most {LARGEST}")
    return told


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None and not name.startswith("SPOT_")


def combinations(lists: Lists) -> list[dict[str, str]]:
    """Names and values of every combination, in order: the last list varies fastest."""
    if not lists:
        return []
    texts = [[str(value) for value in values] for values in lists.values()]
    return [dict(zip(lists, values)) for values in itertools.product(*texts)]


def name_of(params: Mapping[str, str]) -> str:
    """What a combination and its folder are called: `lr=0.1,seed=2`; a hash tells apart what would look the same."""
    plain = ",".join(f"{name}={value}" for name, value in params.items())
    safe = UNSAFE.sub("_", plain)
    if safe == plain and len(plain) <= LONGEST_NAME and plain.count(",") == len(params) - 1:
        return plain
    digest = hashlib.sha256(json.dumps(list(params.items())).encode()).hexdigest()[:8]
    return f"{safe[:LONGEST_NAME]}-{digest}"


def sha256_of(spec: Mapping[str, Any], params: Mapping[str, str]) -> str:
    """What a combination is recognised by in later generations: its parameters, and what the work is made of."""
    work = {key: spec[key] for key in WORK if spec.get(key) not in (None, [], {})}
    work.update({key: value for key, value in (spec.get("code") or {}).items() if key in CODE and value})
    return hashlib.sha256(json.dumps([work, dict(params)], sort_keys=True).encode()).hexdigest()


def share(spec: Mapping[str, Any], rank: int, count: int) -> list[dict[str, Any]]:
    """The combinations of one instance: rank, rank + count, rank + 2 * count …

    Args:
        spec: of the job, with `matrix`.
        rank: of the instance, from 0.
        count: number of instances.

    Returns:
        index (in the whole matrix, from 0), name, params and sha256 of each, in the order in which they are run.
    """
    everything = list(enumerate(combinations(spec.get("matrix") or {})))
    return [
        {"index": index, "name": name_of(params), "params": params, "sha256": sha256_of(spec, params)}
        for index, params in everything[rank :: max(1, count)]
    ]
