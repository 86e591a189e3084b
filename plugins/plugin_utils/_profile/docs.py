# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tables of docs/profile.md out of the schema.

Run in a checkout, with its directory `collections` in PYTHONPATH:
`python -m ansible_collections.experiments.spot.plugins.plugin_utils._profile.docs docs/profile.md`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from .kinds import KIND_NAMES, bounds
from .schema import SCHEMA, Key

MARK = "<!-- What follows is made from"


def page(old: str) -> str:
    """The page with its tables made anew.

    Args:
        old: The page; what stands before the mark, and the mark itself, stays.
    """
    head, mark, rest = old.partition(MARK)
    comment = rest.partition("-->")[0]
    return f"{head}{mark}{comment}-->\n\n" + "\n".join(_sections()).rstrip() + "\n"


def _sections() -> Iterator[str]:
    yield from _table("Top level", "", {name: key for name, key in SCHEMA.items() if not key.keys})
    for name, key in SCHEMA.items():
        yield from _section(name, key)


def _section(name: str, key: Key) -> Iterator[str]:
    """The table of a section, and those of sections within it."""
    if not key.keys:
        return
    path = f"{name}[]" if key.kind == "items" else name
    yield from _table(path, key.text, key.keys)
    for inner, within in key.keys.items():
        yield from _section(f"{path}.{inner}", within)


def _table(title: str, text: str, keys: Mapping[str, Key]) -> Iterator[str]:
    yield f"### {title}\n" if title == "Top level" else f"### `{title}`\n"
    if text:
        yield f"{text}\n"
    yield "| key | type | unit | default | allowed | meaning |"
    yield "|---|---|---|---|---|---|"
    for name, key in keys.items():
        shown = f"**`{name}`**" if key.required else f"`{name}`"
        cells = (shown, KIND_NAMES[key.kind], key.unit, _default(key), _allowed(key), key.text)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _default(key: Key) -> str:
    if key.required:
        return "needed"
    if key.shown or key.default in (None, "", [], {}):
        return key.shown or "none"
    return f"`{key.default if isinstance(key.default, str) else json.dumps(key.default)}`"


def _allowed(key: Key) -> str:
    if key.choices:
        return ", ".join(f"`{choice}`" for choice in key.choices)
    if key.form:
        return ("each " if key.kind == "texts" else "") + key.form
    return bounds(key).removesuffix(f" {key.unit}") if key.kind in ("int", "float") else ""


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(page(target.read_text()))
