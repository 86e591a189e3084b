# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of a new profile: what is set stands on top, every other key of the schema follows as a comment. Pure."""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from .document import Document, Origin
from .imports import Import
from .kinds import allowed
from .load import load_text
from .problem import Problem, dotted, plain
from .schema import SCHEMA, Key
from .validate import Setting, examine

WIDTH = 112
# What to put in for a key that has no default, when its list or section is written.
SAMPLES = {
    "volumes[].name": "data",
    "volumes[].mount_point": "/data",
    "file_systems[].name": "shared",
    "file_systems[].mount_point": "/shared",
    "file_systems[].access_point.path": "/work",
    "channels[].direction": "out",
    "channels[].local_path": "../src/",
    "channels[].remote_path": "~/src/",
    "results.bucket": "s3://my-bucket",
    "job.image": "python:3.12-slim",
    "job.command": "python /src/train.py",
}
# Stands in where neither the file nor the environment says one.
REGION = "us-east-1"
# Each round takes a mistake out; a profile has some hundred values.
ROUNDS = 50


class DraftFailed(Exception):
    """No right profile came out; `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problem.text for problem in problems))


def complete(found: Import, start: Mapping[str, Any], setting: Setting) -> None:
    """Make a profile right: values that no profile may have go and are named, what is missing comes from `start`.

    Args:
        found: The profile, changed in place.
        start: Data of the built-in profile that lends what is missing.
        setting: What the profile does not say itself.

    Raises:
        DraftFailed: When it is still wrong.
    """
    problems: list[Problem] = []
    for _round in range(ROUNDS):
        found.profile = {name: value for name, value in found.profile.items() if value not in ({}, [])}
        checked = examine(Document(found.profile, {(): Origin("")}), setting)
        problems = checked.problems
        if not problems:
            return
        if not any(
            _mend(found, at, start, problems) for at in sorted(checked.bad, key=lambda path: (-len(path), dotted(path)))
        ):
            break
    raise DraftFailed(problems)


def _mend(found: Import, at: tuple[Any, ...], start: Mapping[str, Any], problems: Sequence[Problem]) -> bool:
    """Mend one mistake; one at a time, the deepest first, as it may be what another one comes from."""
    problem = next((one for one in problems if one.path == dotted(at)), None)
    return problem is not None and (_lend(found, at, start) or _take_out(found, at, problem))


def _lend(found: Import, path: tuple[Any, ...], start: Mapping[str, Any]) -> bool:
    """Fill in what every profile needs."""
    profile = found.profile
    if path == ("region",) and not profile.get("region"):
        profile["region"] = REGION
        found.remarks.append(f"No region is known: {REGION} stands in the profile, change it if you like.")
    elif path == ("capacity", "instance_types") and not (profile.get("capacity") or {}).get("instance_types"):
        profile.setdefault("capacity", {})["instance_types"] = start["capacity"]["instance_types"]
        found.remarks.append("No instance type is named: those of the built-in profile default stand in the profile.")
    elif path == ("image",) and not set(SCHEMA["image"].exclusive) & set(profile.get("image", {})):
        profile.setdefault("image", {})["ssm_parameter"] = start["image"]["ssm_parameter"]
        _lend_user(found, start["access"]["remote_user"])
        found.remarks.append("No image is named: Ubuntu 24.04, with the user ubuntu, stands in the profile.")
    else:
        return False
    return True


def _lend_user(found: Import, user: str) -> None:
    """Another image lets in another user than the one of the file."""
    access = found.profile.setdefault("access", {})
    if access.get("remote_user") == user:
        return
    access.pop("remote_group", None)
    access["remote_user"] = user
    gone = [one for one in found.carried if one[1] in (("access", "remote_user"), ("access", "remote_group"))]
    found.carried = [one for one in found.carried if one not in gone]
    found.left += [(source, f"the image that stands in lets in {user}") for source, _target in gone]


def _take_out(found: Import, path: tuple[Any, ...], problem: Problem) -> bool:
    """Take out the value at a path, or the list's entry that it spoils, and name where it came from."""
    at = path
    parent = _get(found.profile, at[:-1])
    missing = isinstance(parent, dict) and at[-1] not in parent
    if missing and len(at) > 2 and isinstance(at[1], int):
        at = at[:2]  # an entry without what it needs
        parent = _get(found.profile, at[:-1])
    if not isinstance(parent, (dict, list)) or (isinstance(parent, dict) and at[-1] not in parent):
        return False
    del parent[at[-1]]
    if not parent and len(at) > 1 and isinstance(at[-1], int):
        del _get(found.profile, at[:-2])[at[-2]]
    why = f"{problem.path}: {problem.what}" + (f"; {problem.todo}" if problem.todo else "")
    gone = [one for one in found.carried if one[1] == at[: len(one[1])] or one[1][: len(at)] == at]
    found.left += [(source, why) for source, _target in gone]
    found.carried = _closed_up([one for one in found.carried if one not in gone], at)
    return True


def _closed_up(carried: list[tuple[str, tuple[Any, ...]]], gone: tuple[Any, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    """The entries behind one that was taken out have moved up."""
    if not isinstance(gone[-1], int):
        return carried
    level = len(gone) - 1

    def moved(target: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(target) > level and target[:level] == gone[:level] and target[level] > gone[level]:
            return (*target[:level], target[level] - 1, *target[level + 1 :])
        return target

    return [(source, moved(target)) for source, target in carried]


def _get(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        if not isinstance(data, (dict, list)) or (isinstance(data, dict) and part not in data):
            return None
        data = data[part]
    return data


def first(start: Mapping[str, Any], name: str) -> Import:
    """The few values that a new profile needs, out of the built-in profile."""
    profile = {
        "description": "What this experiment is",
        "capacity": {"instance_types": start["capacity"]["instance_types"]},
        "image": {"ssm_parameter": start["image"]["ssm_parameter"]},
        "access": {"remote_user": start["access"]["remote_user"]},
    }
    return Import(name, profile=copy.deepcopy(profile))


def text(found: Import, origin: str = "") -> str:
    """The file of a profile.

    Args:
        found: The profile and what was not carried over.
        origin: Where it was imported from, "" for a draft.
    """
    lines = [
        "---",
        *_comment(f"Profile {found.name}. Look first, then launch; docs/profile.md explains more:"),
        f"#   ansible-playbook launch.yml -e profile={found.name} --check",
        *(_comment(f"Imported from {origin}.") if origin else []),
        *(line for one in found.remarks for line in _comment(one)),
        *(["#", "# Not carried over:"] if found.left else []),
        *(line for source, why in found.left for line in _comment(f"{source}: {why}", "#   ")),
        "#",
        "# Every other key stands below as a comment, with its default: take the # in front of it away to set it.",
        "",
        *_body(found.profile),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def loads(written: str, found: Import, setting: Setting) -> list[Problem]:
    """All that is wrong with a written profile; [] when it means what it should."""
    document, problems = load_text(written, found.name)
    return [*problems, *examine(document, setting).problems]


def _comment(said: str, lead: str = "# ") -> list[str]:
    return textwrap.wrap(plain(said), WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False) or [
        lead
    ]


def _body(profile: Mapping[str, Any]) -> Iterator[str]:
    given = [name for name in SCHEMA if name in profile]
    for name in given:
        yield from _key(name, SCHEMA[name], profile[name], name)
        yield ""
    for name in [name for name in SCHEMA if name not in profile]:
        yield from _key(name, SCHEMA[name], None, name)
        yield ""


def _key(name: str, key: Key, value: Any, path: str) -> Iterator[str]:
    """One key with all below it: as it is when it has a value, else as a comment under its explanation."""
    if value is not None:
        yield from _set(name, key, value, path)
        return
    yield from _comment(_explained(key), "## ")
    if key.kind == "section":
        block = [f"{name}:", *_indent(_keys(key, {}, path))]
    elif key.kind == "items":
        block = [f"{name}:", *_indent(_sample(key, path))]
    else:
        block = [f"{name}: {_default(key, path)}".rstrip()]
    yield from _hash(block)


def _set(name: str, key: Key, value: Any, path: str) -> Iterator[str]:
    if key.kind == "section":
        yield f"{name}:"
        yield from _indent(_keys(key, value, path))
    elif key.kind == "items":
        yield f"{name}:"
        for item in value:
            yield from _indent(_entry([f"{one}: {scalar(item[one])}" for one in key.keys if one in item]))
        yield from _indent(_hash(_sample(key, path)))
    else:
        yield f"{name}: {scalar(value)}"


def _keys(key: Key, given: Mapping[str, Any], path: str) -> Iterator[str]:
    """The keys of a section: those with a value, then those that it needs, then the rest as comments."""
    inside = {name: SAMPLES.get(f"{path}.{name}") if key.keys[name].required else None for name in key.keys}
    values = {**inside, **given} if not given else dict(given)
    for name in [name for name in key.keys if values.get(name) is not None]:
        yield from _set(name, key.keys[name], values[name], f"{path}.{name}")
    for name in [name for name in key.keys if values.get(name) is None]:
        yield from _key(name, key.keys[name], None, f"{path}.{name}")


def _sample(key: Key, path: str) -> list[str]:
    return _entry(list(_keys(key, {}, f"{path}[]")))


def _entry(lines: list[str]) -> list[str]:
    return [f"{'- ' if not index else '  '}{line}" for index, line in enumerate(lines)]


def _indent(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _hash(lines: Iterable[str]) -> Iterator[str]:
    return (f"# {line}" for line in lines)


def _explained(key: Key) -> str:
    said = allowed(key)
    notes = [said if key.kind != "text" or said == "text" else f"text, {said}"]
    if key.shown and key.kind != "section":
        notes.append(f"default: {key.shown}")
    kind = {"section": "", "items": ""}.get(key.kind, f" ({'; '.join(notes)})")
    return f"{key.text.rstrip('.')}.{kind}"


def _default(key: Key, path: str) -> str:
    sample = SAMPLES.get(path)
    if sample is not None:
        return scalar(sample)
    return "" if key.shown or key.default is None else scalar(key.default)


def scalar(value: Any) -> str:
    """A value on one line of YAML, which reads as the same value again."""
    if isinstance(value, (dict, list)):
        return yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False).strip()
    if isinstance(value, str) and ("\n" in value or not value.isprintable()):
        return yaml.safe_dump(value, default_style='"', width=float("inf")).strip()
    if isinstance(value, bool):
        return json.dumps(value)
    written = yaml.safe_dump(value, width=float("inf"), allow_unicode=True)
    return written.removesuffix("...\n").strip() if isinstance(value, str) else written.split("\n")[0]
