# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A profile's document to the normalised profile, or to all of its mistakes at once. Pure: touches nothing."""

from __future__ import annotations

import copy
import os
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._code.repository import parse
from . import rules
from .document import Document, Origin, Unknown, has_unknown
from .kinds import Wrong, allowed, check, container, named
from .problem import Path, Problem, dotted, show
from .schema import EXPERIMENT_FORM, EXPERIMENT_PATTERN, SCHEMA, Key
from .suggest import nearest_key, replacement


@dataclass(frozen=True)
class Setting:
    """What a profile does not say itself.

    Attributes:
        name: Name of the profile.
        experiment: Name of the experiment when the command gave one.
        region: Returns the region of the AWS environment, "" when it has none; asked only when needed.
        cwd: Directory where the command was typed.
        home: Home directory of the user, for ~.
    """

    name: str = "profile"
    experiment: str = ""
    region: Callable[[], str] = str
    cwd: str = ""
    home: str = ""


@dataclass
class Checked:
    """Result of an examination.

    Attributes:
        profile: The normalised profile. Where a value was wrong it holds the default, so use it only without problems.
        problems: All mistakes, in the order of the file.
        document: What was examined.
        setting: The circumstances.
        complete: False when a part of the document could not be read, so that what is missing is no news.
        bad: Paths whose value is wrong; a rule does not judge by them.
    """

    profile: dict[str, Any]
    problems: list[Problem]
    document: Document
    setting: Setting
    complete: bool = True
    bad: set[Path] = field(default_factory=set)

    def ok(self, *path: Any) -> bool:
        """Whether the value at a path may be judged: neither it nor anything around it is wrong."""
        return not any(path[:length] in self.bad for length in range(len(path) + 1))

    def report(self, path: Path, what: str, todo: str = "", given: Any = None, nearest: str | None = None) -> None:
        """Add a mistake at a path."""
        origin = self.document.origin(path)
        self.bad.add(path)
        shown = None if given is None else show(given)
        self.problems.append(Problem(origin.file, dotted(path), what, todo, shown, None, nearest, origin.line))


def validate(data: Any, file: str, setting: Setting | None = None) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Check the data of a profile and complete it.

    Args:
        data: What the YAML file holds.
        file: Its name, for messages.
        setting: What the profile does not say itself.

    Returns:
        The normalised profile and [], or None and every mistake.
    """
    checked = examine(Document(data, {(): Origin(file)}), setting or Setting())
    return (None if checked.problems else checked.profile), checked.problems


def examine(document: Document, setting: Setting, complete: bool = True) -> Checked:
    """Check a document by schema, then by the rules between keys; see `Checked`."""
    checked = Checked({}, [], document, setting, complete)
    if not isinstance(document.data, Mapping):
        checked.document = Document({}, document.origins)
        if document.data is not None:
            checked.report((), f"this is {named(document.data)}, not a mapping of keys to values")
    profile = _section(checked, SCHEMA, checked.document.data, ())
    profile.pop("extends")
    checked.profile = {"name": setting.name, **profile}
    _complete(checked)
    for rule in rules.RULES:
        rule(checked)
    return checked


def _section(checked: Checked, keys: Mapping[str, Key], data: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    if "on" in keys:  # YAML 1.1 reads the bare word as true
        data = {"on" if name is True else name: value for name, value in data.items()}
    for name in data:
        if name not in keys:
            _unknown(checked, keys, name, data[name], path)
    return {name: _value(checked, key, data.get(name), (*path, name)) for name, key in keys.items()}


def _value(checked: Checked, key: Key, given: Any, path: Path) -> Any:
    if isinstance(given, Unknown) or (key.kind not in ("section", "items") and has_unknown(given)):
        checked.bad.add(path)
        return _absent(checked, key, path)
    if given is None or given == "":
        return _absent(checked, key, path)
    if key.kind == "section":
        inside = container(given)
        if inside is None:
            return _absent(checked, key, path)
        if not isinstance(inside, Mapping):
            _wrong_container(checked, key, given, path)
            inside = None if key.optional else {}
        return None if inside is None else _section(checked, key.keys, inside, path)
    if key.kind == "items":
        return _items(checked, key, given, path)
    value, wrongs = check(key, given)
    for wrong in wrongs:
        _wrong(checked, key, given, path, wrong)
    return copy.deepcopy(key.default) if wrongs else value


def _absent(checked: Checked, key: Key, path: Path) -> Any:
    if key.required and checked.complete and checked.ok(*path):
        checked.report(path, "it is missing", f"{key.text.rstrip('.')}; allowed: {allowed(key)}")
    if key.kind == "section" and not key.optional:
        return _section(checked, key.keys, {}, path)
    return copy.deepcopy(key.default)


def _items(checked: Checked, key: Key, given: Any, path: Path) -> list[dict[str, Any]]:
    entries = container(given)
    if not isinstance(entries, list):
        _wrong_container(checked, key, given, path)
        return []
    out = []
    for index, entry in enumerate(entries):
        at = (*path, index)
        if isinstance(entry, Unknown):
            checked.bad.add(at)
        elif not isinstance(entry, Mapping):
            checked.report(at, f"{show(entry)} is {named(entry)}, not a mapping of keys to values", given=entry)
        out.append(_section(checked, key.keys, entry, at) if isinstance(entry, Mapping) else {})
    return out


def _wrong_container(checked: Checked, key: Key, given: Any, path: Path) -> None:
    what = f"{show(given)} is {named(given)}"
    if checked.document.origin(path).file == "-e":
        todo = f"give its keys, -e {path[-1]}.KEY=VALUE, or JSON"
    else:
        todo = f"allowed: {allowed(key)}, such as {', '.join(list(key.keys)[:3])}"
    checked.report(path, what, todo, given)


def _wrong(checked: Checked, key: Key, given: Any, path: Path, wrong: Wrong) -> None:
    todo = "; ".join(part for part in (wrong.todo, f'did you mean "{wrong.close}"?' if wrong.close else "") if part)
    at = (*path, *wrong.inside)
    origin = checked.document.origin(at)
    shown = None if key.secret else show(given)
    checked.bad.update((at, path))
    checked.problems.append(
        Problem(origin.file, dotted(at), wrong.what, todo, shown, allowed(key), wrong.close, origin.line)
    )


def _unknown(checked: Checked, keys: Mapping[str, Key], name: Any, given: Any, path: Path) -> None:
    at = (*path, name)
    origin = checked.document.origin(at)
    if not isinstance(name, str):
        checked.report(at, f"the key {show(name)} is not text", "put it in quotes if it is meant")
        return
    what, todo, near = unknown_key(name, keys, dotted(path))
    checked.bad.add(at)
    checked.problems.append(Problem(origin.file, dotted(at), what, todo, None, ", ".join(keys), near, origin.line))
    if todo.startswith("its keys") and isinstance(given, Mapping):
        for inner, value in given.items():
            _unknown(checked, {}, inner, value, at)


def unknown_key(name: str, keys: Mapping[str, Key], where: str) -> tuple[str, str, str | None]:
    """What to say of a key that does not exist.

    Args:
        name: The key.
        keys: Those that exist where it stands.
        where: Dotted path of that place.

    Returns:
        What is wrong, what to do, the nearest valid key.
    """
    replaced, gone = replacement(name)
    if gone:
        return "a key of other tools", gone, None
    if replaced:
        return "a key of other tools", f"use {replaced}", replaced
    near = nearest_key(name, keys, where)
    if near:
        return "unknown key", f"did you mean {near}?", near
    listed = f"known here: {', '.join(keys)}" if keys else "remove it"
    return "unknown key", listed, None


def _complete(checked: Checked) -> None:
    """Fill in what is worked out from other keys or from the circumstances."""
    profile, setting = checked.profile, checked.setting
    _complete_names(checked)
    access = profile["access"]
    access["remote_group"] = access["remote_group"] or access["remote_user"]
    home = remote_home(access["remote_user"])
    if access["private_key_file"]:
        base = checked.document.origin(("access", "private_key_file")).base or setting.cwd
        access["private_key_file"] = local_path(access["private_key_file"], base, setting.home)
    for mounted in filter(None, [*profile["volumes"], *profile["file_systems"]]):
        mounted["owner"] = mounted["owner"] or access["remote_user"]
        mounted["group"] = mounted["group"] or access["remote_group"]
        if mounted["mount_point"]:
            mounted["mount_point"] = posixpath.normpath("/" + mounted["mount_point"].lstrip("/"))
    for index, channel in enumerate(profile["channels"]):
        _complete_channel(checked, index, channel, home)
    if profile["code"]:
        _complete_code(checked, home)
    _complete_runtime(profile, home)
    if profile["job"]:
        _complete_job(profile, home)
    if profile["results"]:
        _complete_results(checked, home)


def _complete_names(checked: Checked) -> None:
    profile, setting = checked.profile, checked.setting
    if setting.experiment:
        profile["experiment"] = setting.experiment
        checked.document.origins[("experiment",)] = Origin("-e", None, setting.cwd)
    name = profile["experiment"] = profile["experiment"] or setting.name
    if checked.ok("experiment") and not re.fullmatch(EXPERIMENT_PATTERN, name):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "my-experiment"
        what = f"{show(name)} is no name for an experiment"
        checked.report(("experiment",), what, f"allowed: {EXPERIMENT_FORM}; try -e experiment={slug}", name, slug)
    regions = profile["capacity"]["regions"]
    profile["region"] = profile["region"] or (regions[0] if regions else setting.region()) or None
    if not profile["region"] and checked.ok("region") and checked.complete:
        checked.report(
            ("region",), "it is missing", "set it here, or AWS_REGION, or the region of your AWS configuration"
        )


def _complete_channel(checked: Checked, index: int, channel: dict[str, Any], home: str) -> None:
    if not channel:
        return
    if channel["local_path"]:
        setting = checked.setting
        beside = checked.document.origin(("channels", index, "local_path")).base
        base = beside if channel["direction"] == "out" and beside else setting.cwd
        channel["local_path"] = local_path(channel["local_path"], base, setting.home)
    if channel["remote_path"] and channel["remote_path"].startswith("~/"):
        channel["remote_path"] = home + channel["remote_path"][1:]


def _complete_code(checked: Checked, home: str) -> None:
    code, setting = checked.profile["code"], checked.setting
    repository = parse(code["repository"] or "")
    path = code["path"] or f"~/{repository.name if repository else 'code'}"
    code["path"] = posixpath.normpath(home + path[1:] if path.startswith("~/") else path)
    if code["deploy_key"]:
        base = checked.document.origin(("code", "deploy_key")).base or setting.cwd
        code["deploy_key"] = local_path(code["deploy_key"], base, setting.home)


def _complete_runtime(profile: dict[str, Any], home: str) -> None:
    runtime, code = profile["runtime"], profile["code"]
    file = runtime["python_requirements"]
    if file:
        file = home + file[1:] if file.startswith("~/") else file
        runtime["python_requirements"] = posixpath.join(code["path"], file) if code else file
    env = runtime["python_virtual_env"]
    if not env and (file or runtime["extra_python_packages"]):
        env = f"~/.venvs/{profile['experiment']}"
    runtime["python_virtual_env"] = posixpath.normpath(home + env[1:]) if env and env.startswith("~/") else env


def _complete_native_job(profile: dict[str, Any], home: str) -> None:
    """A job without a container: who runs it and where."""
    job, code = profile["job"], profile["code"]
    job["user"] = job["user"] or profile["access"]["remote_user"]
    own = remote_home(job["user"].partition(":")[0])
    workdir = job["workdir"] or (code["path"] if code else own)
    job["workdir"] = posixpath.normpath(home + workdir[1:] if workdir.startswith("~/") else workdir)


def _complete_job(profile: dict[str, Any], home: str) -> None:
    job = profile["job"]
    places = [one for one in profile["volumes"] if not one.get("read_only")]
    if profile["capacity"]["count"] == 1:  # several instances would write into one ledger
        places = [*places, *(one for one in profile["file_systems"] if not one.get("read_only"))]
    root = next((place["mount_point"] for place in places if place.get("mount_point")), home)
    job["state_dir"] = posixpath.normpath(job["state_dir"] or f"{root}/{profile['experiment']}")
    if job["archive"] and job["archive"].startswith("~/"):
        job["archive"] = home + job["archive"][1:]
    if job["build"]:
        _complete_build(profile, home)
    if not job["image"]:
        _complete_native_job(profile, home)
    job["mounts"] = [home + mount[1:] if mount.startswith("~/") else mount for mount in job["mounts"] or []]


def _complete_build(profile: dict[str, Any], home: str) -> None:
    """An image that is built on the instance: from where, and a name that no registry has."""
    job, build, code = profile["job"], profile["job"]["build"], profile["code"]
    context = build["context"] or (code["path"] if code else None)
    build["context"] = (
        posixpath.normpath(home + context[1:] if context.startswith("~/") else context) if context else None
    )
    job["image"] = job["image"] or f"localhost/{profile['experiment']}:{job['name']}"


def _complete_results(checked: Checked, home: str) -> None:
    profile, setting = checked.profile, checked.setting
    results, job = profile["results"], profile["job"]
    given = [home + path[1:] if path.startswith("~/") else path for path in results["paths"]]
    results["paths"] = [posixpath.normpath(path) for path in given] or ([job["state_dir"]] if job else [])
    if results["pull"]:
        results["pull"] = local_path(results["pull"], setting.cwd, setting.home)


def remote_home(user: str) -> str:
    """Home directory of a user of the instance."""
    return "/root" if user == "root" else f"/home/{user}"


def local_path(path: str, base: str, home: str) -> str:
    """An absolute local path; a slash at the end stays, because rsync gives it a meaning."""
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    full = os.path.normpath(os.path.join(base, path))
    return full.rstrip("/") + "/" if path.endswith("/") else full
