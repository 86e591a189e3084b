# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What of a profile cannot apply to machines that nobody launches. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._code.repository import parse

Profile = Mapping[str, Any]
# Source: Amazon ECR user guide, "Private registry authentication".
ECR = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.")


def problems(profile: Profile) -> list[str]:
    """What would fail on the machines, because only the role of an instance opens it; with what to do."""
    found = []
    if profile["results"]:
        found.append(
            f"results.bucket: {profile['results']['bucket']} opens by the role of an instance, and machines that are"
            " there have none; write results: null and bring the results back by a channel with direction: in"
        )
    repository = parse((profile["code"] or {}).get("repository") or "")
    if repository is not None and repository.kind == "codecommit":
        found.append(
            "code.repository: CodeCommit opens by the role of an instance, and machines that are there have none; use a"
            " repository with a deploy key or a token, or a channel with direction: out"
        )
    job = profile["job"] or {}
    if ECR.match(job.get("image") or "") and not job.get("registry_username"):
        found.append(
            "job.image: Amazon ECR opens by the role of an instance, and machines that are there have none; give"
            " job.registry_username AWS and job.registry_password, or use another registry"
        )
    return found


def notes(profile: Profile) -> list[str]:
    """What has no effect, a line each."""
    return [f"{key}: {text}" for key, text in _notes(profile)]


def _notes(profile: Profile) -> Iterator[tuple[str, str]]:
    capacity = profile["capacity"]
    yield "capacity, image, access", "nothing is launched; address, user and key are those of the inventory"
    if capacity["time_limit"]:
        yield "capacity.time_limit", "no machine is ended"
    if capacity["idle_limit"]:
        yield "capacity.idle_limit", "no machine is ended"
    for volume in profile["volumes"]:
        at = volume["mount_point"]
        yield f"volumes.{volume['name']}", f"not attached; {at} is what is there, else a folder"
    for one in profile["file_systems"]:
        at = one["mount_point"]
        yield (
            f"file_systems.{one['name']}",
            f"not mounted; {at} is what is there, such as an NFS mount of yours, else a folder",
        )
    yield from _afterwards(profile)


def _afterwards(profile: Profile) -> Iterator[tuple[str, str]]:
    """What would happen while the job runs, and after it."""
    recovery, job = profile["recovery"], profile["job"]
    mode = " (mode self)" if recovery["mode"] == "self" else ""
    yield f"recovery{mode}", "no notice is watched for; typed again, the command starts a job that was cut off"
    if recovery["webhook"]:
        yield "recovery.webhook", "nothing is sent"
    notify = profile.get("notify") or {}
    if any(notify.get(key) for key in ("webhook", "topic", "desktop")):
        yield "notify", "nothing is told"
    if job and job["at_end"] == "terminate":
        yield "job.at_end", "terminate ends no machine"
