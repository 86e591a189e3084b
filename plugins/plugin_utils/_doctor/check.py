# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One check: what was looked at, how it stands, what to do. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        check: what was looked at.
        result: ``ok``, ``warning`` (a launch may work), ``failed`` (it will not), ``skipped`` (could not be looked at).
        found: what was found, one line.
        todo: what to do, one line, empty for nothing.
    """

    check: str
    result: str
    found: str
    todo: str = ""

    @property
    def text(self) -> str:
        """What was found and what to do, in one line."""
        return "; ".join(part for part in (self.found, self.todo) if part)


def split(check: str, result: str, text: str) -> Check:
    """A check out of one line that says what is wrong and, after a semicolon, what to do."""
    found, _sep, todo = text.partition("; ")
    return Check(check, result, found, todo)


def attempt(check: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """Run one check; one that breaks is told and does not stop the others."""
    try:
        return list(look())
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return [Check(check, FAILED, f"could not be checked ({what})", "report this, it is a mistake of the check")]


def skipped(names: Iterable[str], why: str) -> list[Check]:
    """Checks that make no sense as things stand."""
    return [Check(name, SKIPPED, why) for name in names]
