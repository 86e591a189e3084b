# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `-e` says about the profile: `capacity.count=3`, `volumes.data.size=100`, `{"capacity": {"count": 3}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .document import Document, Loose, Origin, assign, merge
from .kinds import container
from .problem import Path, Problem, show
from .rules import in_region
from .schema import PLAIN_OVERRIDES, SCHEMA, Key
from .validate import unknown_key

FILE = "-e"


def override(document: Document, extra: Mapping[str, Any], cwd: str) -> tuple[Document, list[Problem]]:
    """Lay the command line's values over a profile.

    Args:
        document: The profile.
        extra: Extra variables. Those whose name is a section of the profile or starts with one and a dot are
            taken; every other name with a dot is a mistake; the rest belongs to somebody else. `region` says which
            regions may be used, one or several joined by commas.
        cwd: Directory that relative local paths start from.

    Returns:
        The new document and the mistakes.
    """
    origin = Origin(FILE, None, cwd)
    whole = {name: _whole(name, loosen(extra[name])) for name in PLAIN_OVERRIDES if name in extra}
    regions = _regions(document, extra)
    if regions:
        whole["region"] = loosen(regions[0])
    top = Document(whole, dict.fromkeys(((name,) for name in whole), origin))
    result = merge(document, top)
    if regions and isinstance(result.data, Mapping) and isinstance(result.data.get("capacity", {}), Mapping):
        result = merge(result, Document({"capacity": _restricted(result.data, regions)}, {(): origin}))
    problems: list[Problem] = []
    for name, value in extra.items():
        if "." in name:
            problem = _dotted(result, name, loosen(value), origin)
            problems += [problem] if problem else []
    return result, problems


def _regions(document: Document, extra: Mapping[str, Any]) -> list[str]:
    """The regions that `-e region=` names. That of an event says where its instance is, which restricts nothing."""
    given = extra.get("region")
    if not isinstance(given, str) or not given:
        return []
    capacity = document.data.get("capacity") if isinstance(document.data, Mapping) else None
    if "instance_id" in extra and isinstance(capacity, Mapping) and capacity.get("regions"):
        return []
    return [part.strip() for part in given.split(",") if part.strip()]


def _restricted(data: Mapping[str, Any], regions: list[str]) -> dict[str, Any]:
    """What the section capacity says with these regions only; of the zones of several regions theirs stay."""
    capacity = data.get("capacity") or {}
    zones = capacity.get("zones")
    found: dict[str, Any] = {"regions": loosen(regions[1:] and regions)}
    if capacity.get("regions") and isinstance(zones, list):
        found["zones"] = [zone for zone in zones if any(in_region(str(zone), region) for region in regions)]
    return found


def _whole(name: str, value: Any) -> Any:
    return value if SCHEMA[name].kind == "text" else container(value)


def loosen(value: Any) -> Any:
    """The value with every text marked as one that the schema may convert."""
    if isinstance(value, str):
        return Loose(value)
    if isinstance(value, Mapping):
        return {name: loosen(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [loosen(inner) for inner in value]
    return value


def _dotted(document: Document, name: str, value: Any, origin: Origin) -> Problem | None:
    parts = name.split(".")
    path: Path = ()
    keys: Mapping[str, Key] = SCHEMA
    key = rival = None
    while parts:
        part = parts.pop(0)
        if part not in keys:
            where = _where(path)
            what, todo, near = unknown_key(part, keys, where)
            return Problem(FILE, name, what, todo, show(value), ", ".join(keys), near)
        rival, key = key, keys[part]
        path = (*path, part)
        if key.kind in ("map", "lists") and parts:
            path, parts = (*path, ".".join(parts)), []
        elif key.kind == "items" and parts:
            index = _index(document, part, parts.pop(0))
            if isinstance(index, str):
                return Problem(FILE, name, index, f"write {part}.NAME.KEY or {part}.0.KEY", show(value))
            path = (*path, index)
        elif parts and key.kind != "section":
            return Problem(FILE, name, f"{_where(path)} has no keys of its own", f"use {_where(path)}", show(value))
        keys = key.keys
    assign(document, path, value, origin, rival)
    return None


def _where(path: Path) -> str:
    text = ""
    for part in path:
        text += "[]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _index(document: Document, section: str, name: str) -> int | str:
    """Position of a list's entry by number or by its name; a sentence when there is none."""
    entries = document.data.get(section)
    if not isinstance(entries, list) or not entries:
        return f"the profile has no {section}"
    names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in entries]
    if name in names:
        return names.index(name)
    if name.isascii() and name.isdigit() and int(name) < len(names) and isinstance(entries[int(name)], Mapping):
        return int(name)
    known = ", ".join(dict.fromkeys(f"{entry}" for entry in names if entry))
    return f"the profile has no {section} entry {show(name)}" + (f", only {known}" if known else "")
