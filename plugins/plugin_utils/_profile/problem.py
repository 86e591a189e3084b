# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A mistake in a profile, and how a list of them reads in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        file: File (or `-e` for the command line) where it stands.
        path: Dotted key, "" when it concerns the file as a whole.
        what: What is wrong.
        todo: What to do about it.
        given: The value given, as JSON and shortened; None when nothing was given or it may be a secret.
        allowed: What may be given, in words.
        nearest: The nearest valid key or value, for a typo.
        line: Line in the file, from 1.
    """

    file: str
    path: str
    what: str
    todo: str = ""
    given: str | None = None
    allowed: str | None = None
    nearest: str | None = None
    line: int | None = None

    @property
    def where(self) -> str:
        """File and line, in the form that terminals and editors make a link of."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def text(self) -> str:
        """One line: where, which key, what is wrong, what to do."""
        said = "; ".join(part for part in (self.what, self.todo) if part)
        path = plain(self.path)
        if self.file == "-e":
            return f"-e {path}: {said}"
        return ": ".join(part for part in (self.where, path, said) if part)


class ProfileError(Exception):
    """The profile cannot be used; `problems` says all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(report(self.problems))


def dotted(path: Path) -> str:
    """Write ("volumes", 0, "size") as volumes[0].size."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def show(value: Any, limit: int = 60) -> str:
    """Write a value on one short line, as JSON where that is possible."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    text = plain(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain(text: str) -> str:
    """A text without anything that a terminal might obey or that would end a comment."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def report(problems: Iterable[Problem]) -> str:
    """Write problems as a numbered list; a single one stands alone."""
    lines = [problem.text for problem in problems]
    if len(lines) < 2:
        return "".join(lines)
    width = len(str(len(lines)))
    numbered = (f"{number:>{width}}. {line}" for number, line in enumerate(lines, 1))
    return "\n".join([f"{len(lines)} mistakes in the profile:", *numbered])
