"""A profile that infrastructure.yml prints, used as it is: role, bucket and security group of a stack that removes itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from .conftest import User

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[3]
PROFILE = {
    "extends": "lab",
    "volumes": [],
    "channels": [
        {"direction": "out", "local_path": f"{ROOT}/examples/digits/", "remote_path": "/home/admin/digits/", "recursive": True},
    ],
    "job": {
        "name": "digits",
        "image": "registry.lab:5000/experiments/digits:1",
        "command": "python3 /code/train.py --epochs 5",
        "mounts": ["/home/admin/digits:/code:ro"],
    },
}  # fmt: skip


def merged(profile: dict[str, object], more: dict[str, object]) -> dict[str, object]:
    return {**profile, **{key: value for key, value in more.items() if key != "capacity"}}


def test_the_printed_profile_runs_a_job_whose_results_are_in_the_bucket(user: User) -> None:
    own, stack = ["-e", "experiment=stacked", "-e", "timeout=60", "-e", "remove_after=480"], "experiments-spot-stacked"
    absent = ["-e", f"stack={stack}", "-e", "state=absent"]
    printed = yaml.safe_load(user.play("infrastructure", *own).split("---\n")[1].split("...\n")[0])
    (user.folder / "profiles/stacked.yml").write_text(yaml.safe_dump(merged(PROFILE, printed)))
    try:
        user.play("launch", "-e", "profile=stacked")
        (instance,) = user.alive("stacked")
        bucket = printed["results"]["bucket"].split("/")[2]
        latest = user.client("s3").get_object(Bucket=bucket, Key="runs/stacked/LATEST")["Body"].read()
        assert json.loads(latest)["files"]
        (found,) = user.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
        assert found["IamInstanceProfile"]["Arn"].endswith(f"/{printed['access']['instance_profile']}")
        assert [one["GroupId"] for one in found["SecurityGroups"]] == printed["access"]["security_group_ids"]
        assert f"{instance} would lose their role" in user.play("infrastructure", *absent, fails=True)
        # What its schedule asks for when the time is over.
        user.client("cloudformation").delete_stack(StackName=stack)
        (kept,) = user.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        assert kept["StackStatus"] == "DELETE_FAILED" and user.client("scheduler").get_schedule(Name=stack)
    finally:
        user.play("close", "-e", "profile=stacked")
    text = user.play("infrastructure", *absent)
    assert f"bucket {bucket} with its policy" in text
    assert user.client("cloudformation").describe_stacks()["Stacks"] == []
    assert user.client("scheduler").list_schedules()["Schedules"] == []
