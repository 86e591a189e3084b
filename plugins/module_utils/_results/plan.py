# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is pushed, under which keys, and what the manifest says. Pure functions.

Part of what runs on the instance. Below the prefix of an experiment (and of its rank, where it has several instances):

    LATEST                        the manifest, written last: a reader sees a whole push or the one before
    OWNER                         which instance may write; a newer generation takes it over
    NAME/PATH                     a file of the directory NAME; another content replaces it
    checkpoints/DIGEST/NAME/PATH  a file of a checkpoint, never replaced; removed when no manifest names it any more

Source: Amazon S3 User Guide "Amazon S3 data consistency model" (one object changes at once, several do not).
"""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1
LATEST = "LATEST"
OWNER = "OWNER"
CHECKPOINTS = "checkpoints"
STATE = "state"
RESERVED = (LATEST, OWNER, CHECKPOINTS)
# Written by programs while they write the real file; whoever renames in the end loses nothing.
TEMPORARY: tuple[str, ...] = (
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.swp",
    "*~",
    "*.new",
    ".*.new",
    ".ledger-*",
    ".notice-*",
)
TEMPORARY += (".spot-*", "*.tmp.*", "tmp.*", ".~*", "*.incomplete")
# Never results of anybody.
EXCLUDED = ("lost+found", "__pycache__", ".experiments-spot-*")
FIRST = ("ledger.json", "progress.json")


class PlanError(Exception):
    """A document or a name that cannot be used; the text is for the user."""


@dataclass(frozen=True)
class Place:
    """Where an experiment's results are: bucket, and prefix without slashes at its ends."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """As people write it."""
        return f"s3://{self.bucket}/{self.prefix}/"

    def key(self, name: str) -> str:
        """Key of an object."""
        return f"{self.prefix}/{name}"


def place_of(url: str, experiment: str, rank: int = 0, count: int = 1) -> Place:
    """Where the results of one instance are: each experiment below a prefix of its own, each rank of several too.

    Args:
        url: s3://BUCKET or s3://BUCKET/PREFIX; a prefix that ends with the experiment's name is its own already.
        experiment: its name.
        rank: rank of the instance.
        count: number of instances.
    """
    bucket, _slash, prefix = url[len("s3://") :].partition("/")
    parts = [part for part in prefix.split("/") if part]
    if parts[-1:] != [experiment]:
        parts.append(experiment)
    return Place(bucket, "/".join([*parts, *([f"rank-{rank}"] if count > 1 else [])]))


def names_of(paths: Iterable[str], state_dir: str = "") -> dict[str, str]:
    """Name in the bucket -> directory on the instance.

    Raises:
        PlanError: two directories would have one name, or a name is taken.
    """
    names: dict[str, str] = {}
    for path in (posixpath.normpath(one) for one in paths):
        name = STATE if path == state_dir else posixpath.basename(path)
        if not name or name in RESERVED:
            raise PlanError(
                f"{path} would be called {name or '/'} in the bucket, which is taken; use another directory"
            )
        if names.setdefault(name, path) != path:
            raise PlanError(f"{names[name]} and {path} would both be called {name} in the bucket; rename one of them")
    return names


# ---- which files --------------------


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a relative path, or any part of it, fits a pattern; one with a slash is for the whole path.

    A slash at the end of a pattern changes nothing: a directory and what is in it fit alike.
    """
    parts = path.split("/")
    whole = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    for pattern in (one.strip("/") for one in patterns):
        candidates = whole if "/" in pattern else parts
        if any(fnmatch.fnmatchcase(one, pattern) for one in candidates):
            return True
    return False


def is_temporary(path: str) -> bool:
    """Whether the name says that the file is being written."""
    return matches(posixpath.basename(path), TEMPORARY)


def group_of(path: str, patterns: Iterable[str]) -> str:
    """The checkpoint that a file belongs to, '' for none.

    A directory that fits a pattern is one checkpoint; files that fit are one together with those beside them.
    """
    parts = path.split("/")
    for pattern in (one.strip("/") for one in patterns):
        for length in range(1, len(parts) + 1):
            whole = "/".join(parts[:length])
            tried = whole if "/" in pattern else parts[length - 1]
            if fnmatch.fnmatchcase(tried, pattern):
                return whole if length < len(parts) else posixpath.dirname(path) or "."
    return ""


@dataclass(frozen=True)
class File:
    """One file on the instance.

    Attributes:
        name: of its directory in the bucket.
        path: below that directory, with slashes.
        size: bytes.
        mtime_ns: time of its last change.
        mode: permissions.
        uid: owner.
        gid: group.
        busy: why it is left for later, '' when it is complete.
        group: see `group_of`, with the directory's name in front.
    """

    name: str
    path: str
    size: int
    mtime_ns: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    busy: str = ""
    group: str = ""

    @property
    def label(self) -> str:
        """As people and the manifest call it."""
        return f"{self.name}/{self.path}"


@dataclass(frozen=True)
class Choice:
    """What one push sends: `send` in order, `left` label -> why it is left for later."""

    send: tuple[File, ...]
    left: dict[str, str] = field(default_factory=dict)


def choose(files: Iterable[File]) -> Choice:
    """Complete files in the order in which they are worth most: ledger, newest checkpoints, small before large.

    A checkpoint with one file that is being written is left for later as a whole.
    """
    found = list(files)
    left = {one.label: one.busy for one in found if one.busy}
    waiting = {one.group: one for one in found if one.busy and one.group}
    for one in found:
        if one.group in waiting and not one.busy:
            left[one.label] = f"belongs to a checkpoint that is being written ({waiting[one.group].path})"
    newest = _newest(found)
    send = sorted((one for one in found if one.label not in left), key=lambda one: _worth(one, newest))
    return Choice(tuple(send), left)


def _newest(files: list[File]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for one in files:
        if one.group:
            newest[one.group] = max(newest.get(one.group, 0), one.mtime_ns)
    return newest


def _worth(one: File, newest: Mapping[str, int]) -> tuple[int, int, int, str]:
    if one.path in FIRST:
        return (0, 0, one.size, one.label)
    if one.group:
        return (1, -newest[one.group], one.size, one.label)
    return (2, 0, one.size, one.label)


# ---- keys and manifest --------------------


def key_of(one: File, sha256: str) -> str:
    """Name of a file's object below the prefix."""
    return f"{CHECKPOINTS}/{sha256[:32]}/{one.label}" if one.group else one.label


def entry_of(one: File, sha256: str) -> dict[str, Any]:
    """A file as the manifest has it."""
    told = {key: getattr(one, key) for key in ("name", "path", "size", "mtime_ns", "mode", "uid", "gid", "group")}
    return {**told, "sha256": sha256, "key": key_of(one, sha256)}


def label(entry: Mapping[str, Any]) -> str:
    """As people call a file of the manifest."""
    return f"{entry['name']}/{entry['path']}"


def merge(
    former: list[dict[str, Any]], sent: list[dict[str, Any]], present: set[str], waiting: set[str]
) -> list[dict[str, Any]]:
    """The files of the next manifest.

    Args:
        former: those of the last manifest.
        sent: entries of files that are in the bucket as they are on the instance.
        present: labels of all files on the instance, those left for later too.
        waiting: checkpoints of which a file is left for later or could not be sent: they stay as they were, for what
            the last manifest says of them is still in the bucket.
    """
    entries = {label(one): one for one in former if label(one) in present or one.get("group") in waiting}
    entries.update({label(one): one for one in sent if one["group"] not in waiting})
    return [entries[name] for name in sorted(entries)]


def manifest(identity: Mapping[str, Any], names: Mapping[str, str], files: list[dict[str, Any]]) -> dict[str, Any]:
    """The document LATEST.

    Args:
        identity: experiment, generation, rank, instance_id, time, step, state and the like.
        names: see `names_of`.
        files: see `merge`.
    """
    return {"schema": SCHEMA, **identity, "directories": dict(names), "files": files}


def text_of(document: Mapping[str, Any]) -> bytes:
    """A document as bytes that do not change by themselves."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def parse(data: bytes, what: str = LATEST) -> dict[str, Any]:
    """A manifest.

    Raises:
        PlanError: it is damaged, or of a later version, or names a file outside of its directory.
    """
    try:
        found = json.loads(data)
    except ValueError as error:
        raise PlanError(f"{what} is no JSON") from error
    if not isinstance(found, dict) or not isinstance(found.get("files"), list):
        raise PlanError(f"{what} is no manifest of results")
    if found.get("schema") != SCHEMA:
        raise PlanError(f"{what} is of version {found.get('schema')}, and this is for version {SCHEMA}")
    for one in found["files"]:
        _check(one, what)
    return found


def _check(one: Any, what: str) -> None:
    """A path of a manifest must not lead out of its directory, whoever has written it."""
    kinds = {"name": str, "path": str, "key": str, "sha256": str, "size": int}
    if not isinstance(one, dict) or any(not isinstance(one.get(key), kind) for key, kind in kinds.items()):
        raise PlanError(f"{what} has an entry that is not usable")
    name, path = one["name"], one["path"]
    if "/" in name or name in ("", ".", "..") or "\0" in path:
        raise PlanError(f"{what} has an entry that is not usable: {name!r}")
    if path.startswith("/") or posixpath.normpath(path) != path or path.split("/")[0] in ("..", ".", ""):
        raise PlanError(f"{what} has a path that leads out of its directory: {path!r}")
    if not re.fullmatch("[0-9a-f]{64}", one["sha256"]) or one["size"] < 0:
        raise PlanError(f"{what} has an entry that is not usable: {path!r}")


def unused(former: list[dict[str, Any]], current: list[dict[str, Any]]) -> list[str]:
    """Keys of checkpoints that the last manifest named and this one does not."""
    used = {one["key"] for one in current}
    return sorted({one["key"] for one in former if one["key"].startswith(f"{CHECKPOINTS}/")} - used)
