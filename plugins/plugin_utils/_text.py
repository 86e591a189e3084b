# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Numbers and tables as plain text for a terminal: what the filters and the stages table print."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils._progress import duration

NOTHING = "-"
GAP = "  "
SHORTEST = 8
NARROWEST = 20
UNLIMITED = 10_000
KEEP_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def usd(value: float) -> str:
    """An amount of US dollars, with as many decimals as its size asks for: ``$0.0104``, ``$0.526``, ``$12.24``."""
    magnitude = abs(value)
    decimals = 4 if 0 < magnitude < 0.1 else 3 if 0 < magnitude < 1 else 2
    sign = "-" if value < 0 else ""
    return f"{sign}${magnitude:,.{decimals}f}"


def percent(value: float) -> str:
    """A share between 0 and 1 as per cent."""
    return f"{value * 100:.0f} %"


FORMATS: dict[str, Callable[[float], str]] = {"usd": usd, "percent": percent, "duration": duration}
# Text that stands at the right edge of its column.
RIGHT = "right"


class ColumnError(ValueError):
    """A column is not described as it must be; the text is for the user."""


def column_of(given: Any) -> tuple[str, str, str | None]:
    """Title, key and format of a column.

    Args:
        given: a key, ``[title, key]``, or ``[title, key, format]`` with a format of FORMATS, or ``right``.
    Raises:
        ColumnError: for anything else.
    """
    if isinstance(given, str):
        return given, given, None
    parts = [str(part) for part in given] if isinstance(given, Sequence) else []
    if not 2 <= len(parts) <= 3:
        raise ColumnError(f"table: a column is a key, [title, key] or [title, key, format], not {given!r}")
    kind = parts[2] if len(parts) == 3 else None
    if kind is not None and kind not in (*FORMATS, RIGHT):
        raise ColumnError(f"table: unknown format {kind!r}; there are {', '.join(sorted([*FORMATS, RIGHT]))}")
    return parts[0], parts[1], kind


def cell(value: Any, kind: str | None) -> str:
    """One value as text: a dash for nothing, lists joined, no line ends and control characters."""
    if value is None or value == "":
        return NOTHING
    if kind in FORMATS:
        return FORMATS[kind](float(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(part) for part in value)
    text = " ".join(str(value).split())
    return "".join(char for char in text if char.isprintable())


def is_number(value: Any) -> bool:
    """Whether a value stands at the right edge of its column."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fitted(widths: list[int], shrinkable: list[bool], limit: int) -> list[int]:
    """Column widths that fit into limit: the widest text column gives way first, none below a few characters."""
    widths = list(widths)
    while sum(widths) + len(GAP) * (len(widths) - 1) > limit:
        candidates = [i for i, width in enumerate(widths) if shrinkable[i] and width > SHORTEST]
        if not candidates:
            break
        widths[max(candidates, key=lambda i: widths[i])] -= 1
    return widths


def shortened(text: str, width: int) -> str:
    """A text that is not longer than width."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[Any], width: int = 120) -> str:
    """Rows as aligned plain text with a head line.

    Args:
        rows: dictionaries; a missing key is an empty cell.
        columns: see `column_of`.
        width: the longest line; text is shortened when it does not fit, numbers are not.
    Raises:
        ColumnError: a column is not described as it must be.
    """
    described = [column_of(column) for column in columns]
    data = list(rows)
    titles = [title for title, _key, _kind in described]
    cells = [[cell(row.get(key), kind) for _title, key, kind in described] for row in data]
    right = [
        kind is not None or (bool(data) and all(is_number(row.get(key)) or row.get(key) is None for row in data))
        for _title, key, kind in described
    ]
    widths = [max(len(line[i]) for line in [titles, *cells]) for i in range(len(described))]
    widths = fitted(widths, [not flag for flag in right], width)
    return "\n".join(_line(line, widths, right) for line in [titles, *cells])


def fitting(rows: Iterable[Mapping[str, Any]], columns: Sequence[Any], width: int) -> str:
    """Rows as `table` has them where they fit as they are, else as `wrapped` has them: nothing is shortened.

    Args:
        rows: dictionaries; a missing key is an empty cell.
        columns: see `column_of`.
        width: the longest line, where no single word is longer.
    Raises:
        ColumnError: a column is not described as it must be.
    """
    data = list(rows)
    text = table(data, columns, UNLIMITED)
    return text if max(map(len, text.splitlines())) <= width else wrapped(data, columns, width)


def wrapped(rows: Iterable[Mapping[str, Any]], columns: Sequence[Any], width: int = 120) -> str:
    """Rows as a table whose last column goes on in the next line, or, where that is too narrow, one block a row.

    Nothing is shortened.

    Args:
        rows: dictionaries; a missing key is an empty cell.
        columns: see `column_of`.
        width: the longest line, where no single word is longer.
    Raises:
        ColumnError: a column is not described as it must be.
    """
    described = [column_of(column) for column in columns]
    data = [[cell(row.get(key), kind) for _title, key, kind in described] for row in rows]
    titles = [title for title, _key, _kind in described]
    right = [kind is not None for _title, _key, kind in described]
    widths = [max(len(line[i]) for line in [titles, *data]) for i in range(len(described) - 1)]
    indent = sum(widths) + len(GAP) * len(widths)
    if width - indent < NARROWEST:
        return "\n".join(_block(line, titles, width) for line in data)
    parts = []
    for line in [titles, *data]:
        head, *rest = textwrap.wrap(line[-1], width - indent, **KEEP_WORDS) or [""]
        parts += [_line([*line[:-1], head], [*widths, 0], right), *(" " * indent + text for text in rest)]
    return "\n".join(parts)


def _block(line: list[str], titles: list[str], width: int) -> str:
    """One row: its first two cells, the others with their titles, the last one."""
    middle = [f"{title} {text}" for title, text in zip(titles[2:-1], line[2:-1]) if text != NOTHING]
    texts = [", ".join(middle), line[-1] if len(line) > 2 else ""]
    parts = [textwrap.wrap(text, width, initial_indent=GAP, subsequent_indent=GAP, **KEEP_WORDS) for text in texts]
    return "\n".join([GAP.join(line[:2]), *(text for part in parts for text in part)])


def _line(line: list[str], widths: list[int], right: list[bool]) -> str:
    texts = (shortened(text, width) if width else text for text, width in zip(line, widths))
    padded = (text.rjust(width) if flag else text.ljust(width) for text, width, flag in zip(texts, widths, right))
    return GAP.join(padded).rstrip()
