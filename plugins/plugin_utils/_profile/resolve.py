# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a name to the normalised profile: find, read, extend, override, fill in templates, check."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .document import UNKNOWN, Document, Loose
from .find import Found, listing, load, pick
from .local import local_files, programs
from .override import override
from .problem import Path, Problem, ProfileError, dotted, show
from .validate import Checked, Setting, examine

# (text, variables) -> value; raises ValueError with a sentence when the template cannot be filled in.
Render = Callable[[str, Mapping[str, Any]], Any]
MARKS = ("{{", "{%", "{#")


@dataclass(frozen=True)
class Request:
    """What one wants to know.

    Attributes:
        name: Name (or path) of the profile.
        dirs: Directories to search, the first one first.
        setting: Circumstances; its `name` is that of the profile found.
        extra: Extra variables of the command line.
        render: Fills in a template.
        local: Whether what the profile names on this machine must be there.
        ssh: Whether machines are reached by ssh.
    """

    name: str
    dirs: Sequence[str]
    setting: Setting
    extra: Mapping[str, Any] = field(default_factory=dict)
    render: Render | None = None
    local: bool = True
    ssh: bool = True


def resolve(request: Request) -> tuple[Found, Checked]:
    """Find and check a profile.

    Returns:
        The file and the examined profile without problems.

    Raises:
        ProfileError: With every mistake of the profile, those of local files included.
    """
    setting = request.setting
    profiles = listing(request.dirs, setting.cwd)
    found = pick(request.name, profiles, setting.cwd)
    document, problems = load(found, profiles)
    document, wrong = override(document, request.extra, setting.cwd)
    setting = dataclasses.replace(setting, name=found.name)
    if request.render:
        document, unfilled = fill_in(document, request.render, setting)
        wrong += unfilled
    # Of a file that cannot be read, or a profile that is not there to start from, everything is missing: no news.
    complete = not any(problem.path in ("", "extends") for problem in problems)
    checked = examine(document, setting, complete)
    if request.local:
        local_files(checked)
        programs(checked, request.ssh)
    checked.problems[:0] = [*problems, *wrong]
    if checked.problems:
        raise ProfileError(in_order(checked.problems))
    return found, checked


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """File by file and line by line, each mistake once."""
    unique = {problem.text: problem for problem in problems}.values()
    files = list(dict.fromkeys(problem.file for problem in unique))
    return sorted(unique, key=lambda problem: (files.index(problem.file), problem.line or 0))


def fill_in(document: Document, render: Render, setting: Setting) -> tuple[Document, list[Problem]]:
    """Fill in the templates of all values.

    A template sees `experiment`, `profile_name` and `profile_dir` (the directory of the file in which it stands).
    """
    problems: list[Problem] = []
    named = document.data.get("experiment")
    plain = named if isinstance(named, str) and not any(mark in named for mark in MARKS) else ""
    experiment = setting.experiment or plain or setting.name
    variables = {"experiment": experiment, "profile_name": setting.name}

    def value(given: Any, path: Path) -> Any:
        if isinstance(given, dict):
            return {name: value(inner, (*path, name)) for name, inner in given.items()}
        if isinstance(given, list):
            return [value(inner, (*path, index)) for index, inner in enumerate(given)]
        if not isinstance(given, str) or not any(mark in given for mark in MARKS):
            return given
        origin = document.origin(path)
        try:
            return _loose(render(str(given), {**variables, "profile_dir": origin.base}))
        except ValueError as error:
            todo = "see the variable's name, or put the text in {% raw %} … {% endraw %}"
            what = f"the template cannot be filled in: {error}"
            problems.append(Problem(origin.file, dotted(path), what, todo, show(given), line=origin.line))
            return UNKNOWN

    return Document(value(document.data, ()), document.origins), problems


def _loose(value: Any) -> Any:
    """A plain copy of what a template gave; its texts may be converted, as nobody could choose their type."""
    if isinstance(value, str):
        return Loose(value)
    if isinstance(value, Mapping):
        return {str(name): _loose(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_loose(inner) for inner in value]
    return copy.copy(value)


def search_dirs(given: Sequence[str], cwd: str, playbook_dir: str, builtin: str) -> list[str]:
    """Directories of profiles: those given, ./profiles, the playbook's, the collection's."""
    places = [*given, os.path.join(cwd, "profiles")]
    if playbook_dir:
        places.append(os.path.join(playbook_dir, "profiles"))
    return list(dict.fromkeys(os.path.abspath(os.path.join(cwd, place)) for place in (*places, builtin)))
