# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding a profile by name in a list of directories, and joining it with what it extends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .document import Document, merge
from .load import load_file
from .problem import Problem, ProfileError, show
from .suggest import nearest

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True)
class Found:
    """A profile's file: its name, where it lies, and its path as messages write it."""

    name: str
    path: str
    shown: str


def shorten(path: str, cwd: str) -> str:
    """The path as one would type it: relative when it lies below the working directory."""
    relative = os.path.relpath(path, cwd)
    return path if relative.startswith("..") else relative


def listing(dirs: Iterable[str], cwd: str) -> list[Found]:
    """All profiles of the directories in the order of search, hidden ones too."""
    found: list[Found] = []
    seen: set[str] = set()
    for folder in dirs:
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            name, suffix = os.path.splitext(entry)
            path = os.path.join(os.path.abspath(folder), entry)
            real = os.path.realpath(path)
            if suffix in SUFFIXES and not name.startswith(".") and real not in seen and os.path.isfile(path):
                seen.add(real)
                found.append(Found(name, path, shorten(path, cwd)))
    return found


def pick(name: str, profiles: Sequence[Found], cwd: str) -> Found:
    """The first profile of a name; a name with a slash or a suffix is a path.

    Raises:
        ProfileError: When there is none; it lists those that exist.
    """
    if "/" in name or name.endswith(SUFFIXES):
        path = os.path.abspath(os.path.join(cwd, os.path.expanduser(name)))
        if os.path.isfile(path):
            return Found(os.path.splitext(os.path.basename(path))[0], path, shorten(path, cwd))
    found = next((profile for profile in profiles if profile.name == name), None)
    if found:
        return found
    raise ProfileError([_unknown(name, profiles)])


def load(found: Found, profiles: Sequence[Found], chain: Sequence[Found] = ()) -> tuple[Document, list[Problem]]:
    """Read a profile and all that it extends, the farthest first.

    A profile that extends its own name starts from the one that it hides.
    """
    top, problems = load_file(found.path, found.shown)
    parent = top.data.get("extends")
    if parent is None or parent == "":
        return top, problems
    base, trouble = _parent(parent, found, profiles, (*chain, found))
    if isinstance(trouble, str):
        origin = top.origin(("extends",))
        what, _sep, todo = trouble.partition("; ")
        return top, [*problems, Problem(origin.file, "extends", what, todo, show(parent), line=origin.line)]
    return merge(base, top), [*trouble, *problems]


def _parent(
    parent: object, found: Found, profiles: Sequence[Found], chain: Sequence[Found]
) -> tuple[Document, list[Problem] | str]:
    nothing = Document({})
    if not isinstance(parent, str):
        return nothing, f"{show(parent)} is no name of a profile; name one profile"
    candidates = [profile for profile in profiles if profile.name == parent]
    if parent == found.name:
        candidates = [profile for profile in candidates if profile not in chain]
    if not candidates:
        close = nearest(parent, [profile.name for profile in profiles if profile.name != found.name])
        hint = f'did you mean "{close}"?' if close else "known: " + ", ".join(_names(profiles))
        return nothing, f"there is no profile {show(parent)} to start from; {hint}"
    if candidates[0] in chain:
        circle = " → ".join(profile.name for profile in (*chain, candidates[0]))
        return nothing, f"profiles extend each other in a circle, {circle}; remove one extends"
    return load(candidates[0], profiles, chain)


def _unknown(name: str, profiles: Sequence[Found]) -> Problem:
    names = _names(profiles)
    close = nearest(name, names)
    lines = [f"there is no profile {show(name)}" if name else "no profile is named"]
    lines[0] += f'; did you mean "{close}"?' if close else "; give one with -e profile=NAME"
    lines.append("Those that exist:" if names else "There are none in the directories searched.")
    width = max(map(len, names), default=0)
    for entry in profiles:
        if entry.name in names:
            names.remove(entry.name)
            lines.append(f"  {entry.name:<{width}}  {description(entry)}  ({os.path.dirname(entry.shown) or '.'})")
    return Problem("-e", "profile", "\n".join(lines), given=show(name), nearest=close)


def description(found: Found) -> str:
    """The one line that a profile says of itself."""
    document, problems = load_file(found.path, found.shown)
    text = document.data.get("description")
    if not document.data and problems:
        return f"({problems[0].what})"
    return text if isinstance(text, str) else ""


def _names(profiles: Iterable[Found]) -> list[str]:
    return sorted({profile.name for profile in profiles})
