# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The data mover: what two ends mean, and the profile of the instance that copies from one to the other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

S3, EFS, EBS = "s3", "efs", "ebs"
FORMS = "s3://BUCKET/PREFIX, efs:NAME/PATH (or fs-ID) or ebs:NAME/PATH (or vol-ID)"
# Source: S3 user guide, "General purpose bucket naming rules".
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_PATTERNS = {
    S3: re.compile(rf"s3://(?P<name>{_BUCKET})(?:/(?P<path>.*))?"),
    EFS: re.compile(r"efs:/{0,2}(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<path>.*))?"),
    EBS: re.compile(r"ebs:/{0,2}(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<path>.*))?"),
}
CODE = "~/mover"
MOUNTS = {"source": "/mnt/source", "target": "/mnt/target"}


class MoverError(ValueError):
    """What the user gave cannot be used; the text says why."""


@dataclass(frozen=True)
class End:
    """One end of a copy.

    Attributes:
        kind: `s3`, `efs` or `ebs`.
        name: bucket, file system (name or id) or volume (name or id).
        path: below it, without slashes at either side; empty for all.
    """

    kind: str
    name: str
    path: str

    @property
    def url(self) -> str:
        """An S3 end as the program that copies takes it."""
        return f"s3://{self.name}/{self.path}"


@dataclass(frozen=True)
class Sent:
    """What is sent: files by name (`program` and, for S3, `sdk`), and the address of an S3 that is not AWS's."""

    files: Mapping[str, str]
    endpoint: str = ""


def end_of(given: str, which: str) -> End:
    """An end as the user writes it.

    Raises:
        MoverError: it is none.
    """
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(given.strip())
        if found:
            path = (found["path"] or "").strip("/")
            if ".." in path.split("/"):
                raise MoverError(f"{which}={given}: .. leads out of it; name the path itself")
            return End(kind, found["name"], path)
    raise MoverError(f"{which}={given}: this is no place to copy {'from' if which == 'source' else 'to'}")


def ends_of(source: str, target: str) -> tuple[End, End]:
    """Both ends.

    Raises:
        MoverError: all mistakes at once.
    """
    ends, mistakes = [], []
    for which, given in (("source", source), ("target", target)):
        try:
            ends.append(end_of(given, which))
        except MoverError as error:
            mistakes.append(str(error))
    if len(ends) == 2:
        mistakes += _contradictions(*ends)
    if len(ends) < 2:
        mistakes.append(f"places look like {FORMS}")
    if mistakes:
        raise MoverError("; ".join(mistakes))
    return ends[0], ends[1]


def _contradictions(source: End, target: End) -> Iterable[str]:
    if source.kind == target.kind == S3:
        yield "source and target: S3 copies from bucket to bucket by itself, type: aws s3 sync SOURCE TARGET"
    elif (source.kind, source.name) == (target.kind, target.name) and _within(source.path, target.path):
        yield "source and target: one lies within the other"


def _within(one: str, other: str) -> bool:
    if not one or not other:
        return True
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def experiment_of(source: End, target: End) -> str:
    """The name of the copy's experiment: the same ends are the same experiment, which so is gone on with."""
    text = "\0".join([source.kind, source.name, source.path, target.kind, target.name, target.path])
    return f"mover-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def volume_of(end: End, volumes: Iterable[Mapping[str, Any]]) -> str:
    """The id of an EBS end.

    Args:
        end: it.
        volumes: what there is, with `volume_id`, `name`, `experiment` and `attached_to`.
    Raises:
        MoverError: there is none, several, or another instance has it.
    """
    found = [one for one in volumes if end.name in (one["volume_id"], one["name"])]
    if not found:
        raise MoverError(f"ebs:{end.name}: there is no such volume; ansible-playbook volumes.yml lists them")
    if len(found) > 1:
        ids = ", ".join(f"{one['volume_id']} (experiment {one['experiment']})" for one in found)
        raise MoverError(f"ebs:{end.name}: several volumes have this name: {ids}; take the id: ebs:vol-…")
    return str(found[0]["volume_id"])


def profile_of(base: str, source: End, target: End, volume_id: Callable[[End], str], sent: Sent) -> dict[str, Any]:
    """The profile of the instance that copies.

    Args:
        base: the profile that it extends.
        source: from where.
        target: to where.
        volume_id: says the id of an EBS end.
        sent: what goes to the instance.
    """
    ends = {"source": source, "target": target}
    volumes, systems, words, mounts = [], [], {}, [f"{CODE}:/mover:ro"]
    for which, end in ends.items():
        place = MOUNTS[which]
        words[which] = end.url if end.kind == S3 else f"/{which}/{end.path}".rstrip("/")
        if end.kind != S3:
            mounts.append(f"{place}:/{which}{':ro' if which == 'source' else ''}")
        if end.kind == EBS:
            volume = {"name": f"mover-{which}", "volume_id": volume_id(end), "mount_point": place}
            volumes.append({**volume, "read_only": which == "source"})
        if end.kind == EFS:
            systems.append({**_file_system(end, place), "read_only": which == "source"})
    return {
        "extends": base,
        "description": f"Copies {source.kind} to {target.kind}",
        "capacity": {"count": 1},
        "volumes": volumes,
        "file_systems": systems,
        "channels": [
            {"direction": "out", "local_path": path, "remote_path": f"{CODE}/{name}"}
            for name, path in sent.files.items()
        ],
        "job": {
            "name": "mover",
            "command": ["python3", "/mover/program", words["source"], words["target"]],
            "mounts": mounts,
            "network": "host",  # the role's credentials come from the metadata service, which is one hop away
            "at_end": "terminate",
            "keep_on_success": 0,
            "keep_on_failure": 0,
            "state_dir": "/var/lib/experiments-spot/mover",
            "env": {"AWS_ENDPOINT_URL": sent.endpoint} if sent.endpoint else {},
        },
    }


def _file_system(end: End, place: str) -> dict[str, Any]:
    known = {"file_system_id": end.name} if re.fullmatch(r"fs-[0-9a-f]{8,17}", end.name) else {}
    return {"name": end.name, "mount_point": place, **known}
