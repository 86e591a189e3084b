"""Leftovers of real runs: what works is left alone, what does not is found over ssh, removed and proven gone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
capacity: {instance_types: [t3.medium]}
channels: []
volumes: [{name: kept, size: 1, mount_point: /kept}]
job: {name: train, image: "registry.lab:5000/experiments/shell:1", command: sleep 600, mounts: []}
"""
NAME = "left"
PLAY = ("-e", f"experiment={NAME}", "-e", "grace=0")


def orphans(user: User, *args: str, fails: bool = False) -> dict[str, Any]:
    """What orphans.yml tells of the experiment."""
    text = user.play("orphans", *PLAY, "-e", "format=json", *args, fails=fails)
    return json.JSONDecoder().raw_decode(text, text.index('{\n    "cost_per_hour"'))[0]


def test_an_instance_whose_job_has_failed(user: User) -> None:
    (user.folder / f"profiles/{NAME}.yml").write_text(PROFILE)
    user.play("launch", "-e", f"profile={NAME}", "-e", "wait=false")
    (instance,) = user.alive(NAME)
    busy = orphans(user, "-e", "delete=true,volumes,instances", "-e", "confirm=true")
    assert busy["orphans"] == [] and busy["deleted"] == [] and user.alive(NAME) == [instance]
    assert [(one["experiment"], one["why"]) for one in busy["in_use"]] == [(NAME, "its job is running")]

    user.ssh(instance, NAME, "sudo docker kill $(sudo docker ps -q)")
    user.ssh(instance, NAME, "while systemctl is-active -q experiments-spot-job; do sleep 0.2; done")
    idle = orphans(user)
    found = {row["kind"]: row for row in idle["orphans"]}
    assert {"instances", "volumes", "security_groups", "key_pairs", "launch_templates"} <= set(found)
    assert found["instances"]["id"] == instance and "its job failed" in found["instances"]["why"]
    assert "confirm=true" in user.play("orphans", *PLAY, "-e", "delete=true", fails=True)
    assert user.alive(NAME) == [instance]
    user.play("orphans", *PLAY, "-e", "delete=true", "--check")
    assert user.alive(NAME) == [instance]

    gone = orphans(user, "-e", "delete=true", "-e", "confirm=true")
    assert instance in gone["deleted"] and [row["kind"] for row in gone["orphans"]] == ["volumes"]
    assert set(user.tagged(NAME)) == {"volume"}
    assert orphans(user, "-e", "delete=volumes", "-e", "confirm=true")["orphans"] == []
    assert user.tagged(NAME) == {}
