# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Parameters of a job, `-e job_params=lr=0.1,epochs=3`: values of its environment that need no line in the profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .problem import Problem, show

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WHERE = "job_params"


def with_job(
    extra: Mapping[str, Any],
    job: Mapping[str, Any],
    params: Any,
    typed: tuple[str | None, frozenset[str]] = (None, frozenset()),
) -> tuple[dict[str, Any], list[Problem]]:
    """The extra variables with those of one job added, as if they were typed as `job.KEY` and `job.env.NAME`.

    Args:
        extra: extra variables.
        job: keys of the job; None where nothing was given. Then `image` is that of the job and not the machine's.
        params: text or mapping.
        typed: see `typed_command`.

    Returns:
        The variables, and what is wrong with the parameters.
    """
    command, misread = typed if job else (None, frozenset())
    whole = {name: value for name, value in job.items() if name not in misread}
    whole.update({"command": command} if command else {})
    given = {f"job.{name}": value for name, value in whole.items() if value is not None}
    known = {name: value for name, value in extra.items() if name not in misread and (name != "image" or not job)}
    found, problems = parse(params)
    return {**known, **given, **{f"job.env.{name}": value for name, value in found.items()}}, problems


def typed_command(
    texts: Sequence[str], parse_kv: Callable[[str], Mapping[str, Any]]
) -> tuple[str | None, frozenset[str]]:
    """The command that was typed as `-e command='train.py --lr=0.1'`, of which Ansible takes the first word only.

    Args:
        texts: what was typed after each `-e`.
        parse_kv: how Ansible reads such a text.

    Returns:
        What stands behind `command=`, None where Ansible has read all of it; and the names it has made of the rest.
    """
    found = next((text for text in reversed(texts) if text.lstrip().startswith("command=")), "")
    names = frozenset(parse_kv(found)) - {"command"} if found else frozenset()
    return (found.partition("=")[2].strip() if names else None), names


def parse(params: Any) -> tuple[dict[str, str], list[Problem]]:
    """Names and values of `a=1,b=2`, or of a mapping where a value has a comma; and all that is wrong."""
    if params is None or params == "":
        return {}, []
    if isinstance(params, Mapping):
        pairs = [(str(name), "=", str(value)) for name, value in params.items()]
    elif isinstance(params, str):
        pairs = [part.strip().partition("=") for part in params.split(",")]
    else:
        return {}, [Problem("-e", WHERE, "is neither NAME=VALUE,… nor a mapping", "", show(params))]
    problems = [_wrong(name, equals) for name, equals, _value in pairs if not (equals and NAME.fullmatch(name))]
    names = [name for name, _equals, _value in pairs]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    problems += [Problem("-e", WHERE, f"{show(name)} is given twice", "say it once") for name in twice]
    return ({} if problems else {name: value for name, _equals, value in pairs}), problems


def _wrong(name: str, equals: str) -> Problem:
    if equals:
        what = f"{show(name)} is no name of letters, digits and underscores"
        return Problem("-e", WHERE, what, "write NAME=VALUE,NAME=VALUE")
    todo = 'write NAME=VALUE,NAME=VALUE; for a value with a comma: -e \'{"job_params": {"NAME": "a,b"}}\''
    return Problem("-e", WHERE, f"{show(name)} has no value" if name else "there is nothing between two commas", todo)
