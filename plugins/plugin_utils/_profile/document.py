# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A profile's data together with where each value was written."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .problem import Path
from .schema import SCHEMA, Key


class Loose(str):
    """Text whose type nobody could choose: from the command line or out of a template. The schema converts it."""


class Unknown:
    """Stands for a value that could not be worked out; the mistake is reported already."""


UNKNOWN = Unknown()


def has_unknown(value: Any) -> bool:
    """Whether a value, or a part of a list or mapping, could not be worked out."""
    if isinstance(value, dict):
        return any(has_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(has_unknown(inner) for inner in value)
    return isinstance(value, Unknown)


@dataclass(frozen=True)
class Origin:
    """Where a value was written.

    Attributes:
        file: The file as the user knows it, or `-e`.
        line: Line, from 1; None where there are no lines.
        base: Directory that relative local paths start from.
    """

    file: str
    line: int | None = None
    base: str = ""


@dataclass
class Document:
    """Data of a profile and the origin of each of its paths ("" of the root is at `()`)."""

    data: Any
    origins: dict[Path, Origin] = field(default_factory=dict)

    def origin(self, path: Path) -> Origin:
        """The origin of a path, else of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            found = self.origins.get(path[:length])
            if found:
                return found
        return Origin("profile")


def merge(base: Document, top: Document) -> Document:
    """Lay one document over another: mappings are merged, everything else is replaced.

    Of keys that exclude each other (image.id, image.name, …) only those of the upper document stay, so that a profile
    may choose another image than the one it extends.
    """
    if not isinstance(base.data, Mapping) or not isinstance(top.data, Mapping):
        return top if top.data is not None else base
    merged = Document(copy.deepcopy(dict(base.data)), dict(base.origins))
    for name, value in top.data.items():
        _lay(merged, (name,), value, top, SCHEMA.get(name) if isinstance(name, str) else None)
    if () in top.origins:
        merged.origins[()] = top.origins[()]
    return merged


def assign(document: Document, path: Path, value: Any, origin: Origin, key: Key | None = None) -> None:
    """Put one value at a path whose parents are mappings or list entries, making missing mappings.

    Where a parent is neither, nothing happens: the check of the document reports the parent.
    """
    parent = document.data
    for part in path[:-1]:
        if isinstance(parent, dict) and parent.get(part) is None:
            parent[part] = {}
        parent = parent[part]
        if not isinstance(parent, (dict, list)):
            return
    _drop(document, path)
    parent[path[-1]] = value
    document.origins[path] = origin
    if key and len(path) > 1:
        _drop_rivals(document, path[:-1], {path[-1]}, key)


def _lay(merged: Document, path: Path, value: Any, top: Document, key: Key | None) -> None:
    parent = _at(merged.data, path[:-1])
    below = parent.get(path[-1])
    if isinstance(below, dict) and isinstance(value, Mapping):
        if key and key.exclusive:
            _drop_rivals(merged, path, {name for name, given in value.items() if given is not None}, key)
        for name, inner in value.items():
            inside = key.keys.get(name) if key and isinstance(name, str) else None
            _lay(merged, (*path, name), inner, top, inside)
        return
    _drop(merged, path)
    parent[path[-1]] = copy.deepcopy(value)
    merged.origins[path] = top.origin(path)
    merged.origins.update({at: origin for at, origin in top.origins.items() if at[: len(path)] == path})


def _drop_rivals(document: Document, path: Path, given: set[Any], key: Key) -> None:
    section = _at(document.data, path)
    if not given & set(key.exclusive):
        return
    for rival in set(key.exclusive) - given:
        if section.pop(rival, None) is not None:
            _drop(document, (*path, rival))


def _drop(document: Document, path: Path) -> None:
    for at in [at for at in document.origins if at[: len(path)] == path]:
        del document.origins[at]


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data
