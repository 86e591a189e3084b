# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Public images as AWS and Canonical name them in parameters of Systems Manager: pure functions.

Note that this module util is private to the collection and may change at any time.

Sources: DLAMI developer guide, "Finding the ID of a DLAMI"; Amazon Linux 2023 user guide, "AL2023 on Amazon EC2";
Ubuntu on AWS, "Find Ubuntu images on AWS"; Systems Manager user guide, "Calling public parameters".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """Images of one maker.

    Attributes:
        title: as people call them.
        paths: folders of parameters.
        name: which of the parameters hold an image that is worth to be shown; group 1 is the architecture.
    """

    title: str
    paths: tuple[str, ...]
    name: re.Pattern[str]


# Releases of Ubuntu with standard support. Source: "Ubuntu release cycle".
UBUNTU = ("22.04", "24.04", "26.04")
KINDS = {
    "deep-learning": Kind(
        "Deep Learning",
        ("/aws/service/deeplearning/ami/x86_64", "/aws/service/deeplearning/ami/arm64"),
        re.compile(r"/aws/service/deeplearning/ami/(x86_64|arm64)/[^/]+/latest/ami-id"),
    ),
    "ubuntu": Kind(
        "Ubuntu",
        tuple(f"/aws/service/canonical/ubuntu/server/{release}/stable/current" for release in UBUNTU),
        re.compile(r"/aws/service/canonical/ubuntu/server/[\d.]+/stable/current/(amd64|arm64)/hvm/ebs-gp[23]/ami-id"),
    ),
    "amazon-linux": Kind(
        "Amazon Linux",
        ("/aws/service/ami-amazon-linux-latest",),
        re.compile(r"/aws/service/ami-amazon-linux-latest/al20\d\d-ami-kernel-default-(x86_64|arm64)"),
    ),
}
ARCHITECTURES = {"amd64": "x86_64"}
# What an image's description says about its driver, such as "NVIDIA driver 595.71.05".
DRIVER = re.compile(r"driver(?: version)?[ :-]*(\d{3}\.\d+(?:\.\d+)?)", re.IGNORECASE)


def rows(found: Iterable[Resource], kind: str, architecture: str) -> list[Resource]:
    """The images of a kind and an architecture out of parameters, sorted by parameter, the newest release first."""
    entries = []
    for parameter in found:
        match = KINDS[kind].name.fullmatch(parameter["Name"])
        if match and ARCHITECTURES.get(match[1], match[1]) == architecture:
            entries.append(
                {
                    "kind": kind,
                    "image_id": parameter["Value"],
                    "ssm_parameter": parameter["Name"],
                    "architecture": architecture,
                    "remote_user": remote_user(parameter["Name"]),
                }
            )
    return sorted(entries, key=lambda one: _natural(one["ssm_parameter"]), reverse=True)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def remote_user(parameter: str) -> str:
    """The user that an image lets in. Source: EC2 user guide, "Default user names for AMIs"."""
    return "ubuntu" if "ubuntu" in parameter else "ec2-user"


def described(entry: Resource, images: Mapping[str, Resource]) -> Resource:
    """An image with what EC2 says about it, null where it says nothing.

    Args:
        entry: of ``rows``.
        images: id -> image (boto3).
    """
    raw = images.get(entry["image_id"], {})
    driver = DRIVER.search(f"{raw.get('Name', '')} {raw.get('Description', '')}")
    return {
        **entry,
        "name": raw.get("Name"),
        "description": raw.get("Description"),
        "creation_date": raw.get("CreationDate"),
        "driver": driver[1] if driver else None,
    }


def matching(entry: Resource, words: Iterable[str]) -> bool:
    """Whether all words occur in the name or the parameter of an image, whatever their case."""
    text = f"{entry.get('name') or ''} {entry['ssm_parameter']}".lower()
    return all(word.lower() in text for word in words)
