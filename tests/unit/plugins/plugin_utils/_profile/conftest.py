"""A profile that is right, and a way to change one thing of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import Problem
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting, validate

GOOD: dict[str, Any] = {
    "region": "us-east-1",
    "capacity": {"instance_types": ["t3.medium", "t3.large"]},
    "image": {"id": "ami-0123456789abcdef0"},
    "volumes": [{"name": "data", "mount_point": "/data"}],
    "channels": [{"direction": "in", "local_path": "results/", "remote_path": "~/results/"}],
    "job": {"image": "python:3.12-slim", "command": ["python3", "-V"]},
}
SETTING = Setting("good", "", str, "/work dir", "/home/me")

Check = Callable[..., tuple[dict[str, Any] | None, list[Problem]]]


def put(data: dict[str, Any], key: str, value: Any) -> None:
    parent: Any = data
    parts = [int(part) if part.isdigit() else part for part in key.split(".")]
    for part in parts[:-1]:
        parent = parent.setdefault(part, {}) if isinstance(parent, dict) else parent[part]
    parent[parts[-1]] = value


@pytest.fixture
def good() -> dict[str, Any]:
    return copy.deepcopy(GOOD)


@pytest.fixture
def check(good: dict[str, Any]) -> Check:
    """Validate the good profile after some changes: check({"capacity.count": 3})."""

    def run(changes: dict[str, Any] | None = None) -> tuple[dict[str, Any] | None, list[Problem]]:
        for key, value in (changes or {}).items():
            put(good, key, value)
        return validate(good, "x.yml", SETTING)

    return run
