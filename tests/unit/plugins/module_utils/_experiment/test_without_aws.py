"""What of a profile does not apply to machines that are there: named, each by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.experiments.spot.plugins.filter.without_aws import without_aws
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting, validate

PLAIN = {
    "region": "us-east-1",
    "capacity": {"instance_types": ["g5.xlarge"]},
    "image": {"id": "ami-0123456789abcdef0"},
}
ROLE = {"access": {"instance_profile": "team"}}


def told(more: str = "") -> dict[str, Any]:
    profile, problems = validate(
        {**PLAIN, **(yaml.safe_load(more) or {})}, "there.yml", Setting("there", home="/home/a")
    )
    assert problems == [] and profile
    return without_aws(profile)


def keys(notes: list[str]) -> list[str]:
    return [note.partition(":")[0] for note in notes]


def test_a_profile_of_a_job_alone_has_only_what_every_profile_has() -> None:
    plain = told("job: {image: python, command: 'true'}")
    assert plain["problems"] == []
    assert keys(plain["notes"]) == ["capacity, image, access", "recovery"]


@pytest.mark.parametrize(
    ("more", "key", "text"),
    [
        ("volumes: [{name: data, size: 9, mount_point: /data}]", "volumes.data", "/data is what is there, else a folder"),
        ("file_systems: [{name: team, mount_point: /mnt/team}]", "file_systems.team", "an NFS mount of yours"),
        ("job: {image: python, command: 'true', at_end: terminate}", "job.at_end", "ends no machine"),
        ("recovery: {webhook: 'https://example.com/x'}", "recovery.webhook", "nothing is sent"),
        ("notify: {desktop: true}", "notify", "nothing is told"),
        ("recovery: {mode: self, bucket: 's3://team/x'}\naccess: {instance_profile: t}", "recovery (mode self)", "typed again"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_named(more: str, key: str, text: str) -> None:
    (note,) = [note for note in told(more)["notes"] if note.startswith(f"{key}: ")]
    assert text in note


@pytest.mark.parametrize("key", ["time_limit", "idle_limit"])
def test_limits_of_the_instances(key: str) -> None:
    profile = {**PLAIN, "capacity": {"instance_types": ["g5.xlarge"], key: 3600}}
    checked, _problems = validate(profile, "there.yml", Setting("there"))
    assert checked and f"capacity.{key}: no machine is ended" in without_aws(checked)["notes"]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("results: {bucket: 's3://team/results', paths: [/data/out]}", "results.bucket"),
        ("code: {repository: 'https://git-codecommit.us-east-1.amazonaws.com/v1/repos/x'}", "code.repository"),
    ],
)
def test_what_needs_the_role_of_an_instance_is_a_problem(more: str, key: str) -> None:
    (problem,) = told(yaml.safe_dump({**yaml.safe_load(more), **ROLE}))["problems"]
    assert problem.startswith(f"{key}: ") and "channel with direction" in problem


def test_ecr_needs_a_login_where_there_is_no_role() -> None:
    job = {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/train:1", "command": "true"}
    (problem,) = told(yaml.safe_dump({"job": job, **ROLE}))["problems"]
    assert problem.startswith("job.image: Amazon ECR")
    login = {"registry_username": "AWS", "registry_password": "once"}
    assert told(yaml.safe_dump({"job": {**job, **login}, **ROLE}))["problems"] == []


def test_the_playbook_hides_what_may_be_secret() -> None:
    plays: list[dict[str, Any]] = yaml.safe_load(
        (Path(__file__).resolve().parents[5] / "playbooks/provision.yml").read_text()
    )
    (kept,) = [task for play in plays for task in play["tasks"] if "spot" in task.get("ansible.builtin.set_fact", {})]
    assert kept["no_log"] == "{{ spot.has_secrets }}"
