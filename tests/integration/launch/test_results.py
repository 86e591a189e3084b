"""Results in a bucket: an experiment without a volume goes on in another zone, and its results outlive its instances."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import User, interrupt, until

pytestmark = pytest.mark.lab

BUCKET = "spot-results-tests"
PROFILE = """
extends: lab
access: {instance_profile: spot-results}
recovery: {notice_period: 1}
volumes: []
channels:
  - {direction: out, local_path: CODE/, remote_path: /home/admin/digits/, recursive: true, exclude: [__pycache__]}
results:
  bucket: "s3://spot-results-tests/runs/{{ experiment }}"
  checkpoints: [checkpoints/*]
  interval: 2
  pull: "results/{{ experiment }}"
job:
  name: digits
  image: registry.lab:5000/experiments/digits:1
  command: python3 /code/train.py --epochs 40 --pause 0.4
  mounts: ["/home/admin/digits:/code:ro"]
  at_end: terminate
"""


@pytest.fixture(scope="module")
def role(user: User) -> User:
    code = Path(__file__).resolve().parents[3] / "examples/digits"
    (user.folder / "profiles/stored.yml").write_text(PROFILE.replace("CODE", str(code)))
    iam = user.client("iam")
    iam.create_role(RoleName="spot-results", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    iam.create_instance_profile(InstanceProfileName="spot-results")
    iam.add_role_to_instance_profile(InstanceProfileName="spot-results", RoleName="spot-results")
    user.client("s3").create_bucket(Bucket=BUCKET)
    return user


def latest(user: User, experiment: str) -> dict[str, Any]:
    s3 = user.client("s3")
    try:
        return dict(json.loads(s3.get_object(Bucket=BUCKET, Key=f"runs/{experiment}/LATEST")["Body"].read()))
    except s3.exceptions.NoSuchKey:
        return {}


def zone(user: User, instance: str) -> str:
    found = user.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(found["Placement"]["AvailabilityZone"])


def launch(user: User, experiment: str, *args: str, fails: bool = False) -> str:
    return user.play("launch", "-e", "profile=stored", "-e", f"experiment={experiment}", *args, fails=fails)


def test_it_goes_on_in_another_zone_without_a_volume(role: User) -> None:
    launch(role, "moved", "-e", "wait=false", "-e", '{"capacity": {"zones": ["us-east-1a"]}}')
    (first,) = role.alive("moved")
    until(lambda: int(latest(role, "moved").get("step") or 0) > 500)
    assert latest(role, "moved")["generation"] == 1

    interrupt(role, first, notice=40)
    until(lambda: first not in role.alive("moved"))
    kept = latest(role, "moved")
    assert kept["mode"] == "notice" and any("/checkpoints/" in f"/{one['path']}" for one in kept["files"])

    text = role.play(
        "resume", "-e", "profile=stored", "-e", "experiment=moved", "-e", '{"capacity": {"zones": ["us-east-1b"]}}'
    )
    assert "of generation 1" in text and "came from s3://" in text
    assert not role.alive("moved"), "at_end terminate"
    end = latest(role, "moved")
    assert (end["generation"], end["job_state"]) == (2, "succeeded")
    runs = json.loads((role.folder / "results/moved/ledger.json").read_text())["runs"]
    assert [(run["state"], run["generation"]) for run in runs] == [("interrupted", 1), ("succeeded", 2)]
    assert runs[1]["progress"]["start"] > 500, "it went on from a checkpoint"

    launch(role, "straight")
    models = [(role.folder / f"results/{name}/results/model.npz").read_bytes() for name in ("moved", "straight")]
    assert models[0] == models[1]

    role.play("close", "-e", "profile=stored", "-e", "experiment=moved")
    shutil.rmtree(role.folder / "results/moved")
    role.play("sync", "-e", "profile=stored", "-e", "experiment=moved")
    assert (role.folder / "results/moved/results/model.npz").read_bytes() == models[0], "after everything is closed"
    text = role.play("sync", "-e", "profile=stored", "-e", "experiment=moved")
    assert "results: 0 files came" in text


def test_close_sends_what_is_new_before_the_instance_ends(role: User) -> None:
    launch(role, "closed", "-e", "wait=false", "-e", "results.interval=0")
    (instance,) = role.alive("closed")
    until(lambda: json.loads(role.ssh(instance, "closed", "cat /home/admin/closed/progress.json"))["step"] > 300)
    assert latest(role, "closed") == {}, "no timer"
    role.play("close", "-e", "profile=stored", "-e", "experiment=closed")
    assert latest(role, "closed")["mode"] == "end" and role.tagged("closed") == {}
    role.play("sync", "-e", "profile=stored", "-e", "experiment=closed")
    runs = json.loads((role.folder / "results/closed/ledger.json").read_text())["runs"]
    assert runs[-1]["state"] == "stopped" and list((role.folder / "results/closed/checkpoints").iterdir())


def test_what_results_need_is_said_before_the_job_starts(role: User) -> None:
    before = role.changing_calls()
    text = launch(role, "wrong", "-e", "results.bucket=s3://no-such-bucket", fails=True)
    assert "results.bucket: there is no bucket no-such-bucket" in text
    text = launch(role, "wrong", "-e", '{"access": {"instance_profile": null}}', fails=True)
    assert "access.instance_profile" in text and "docs/results.md" in text
    assert role.changing_calls() == before, "before anything is made"

    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    try:
        text = launch(role, "wrong", fails=True)
    finally:
        role.client("s3").delete_bucket_policy(Bucket=BUCKET)
    assert "s3:PutObject" in text and f"s3://{BUCKET}/runs/wrong/OWNER" in text
    assert not role.alive("wrong")
    role.play("close", "-e", "profile=stored", "-e", "experiment=wrong")


def test_instances_that_set_themselves_up_go_on_from_the_bucket(role: User) -> None:
    own = '{"recovery": {"mode": "self", "bucket": "s3://spot-results-tests/self"}}'
    launch(role, "alone-stored", "-e", own)
    (first,) = role.alive("alone-stored")
    until(lambda: int(latest(role, "alone-stored").get("step") or 0) > 500, 180)
    interrupt(role, first)
    until(lambda: latest(role, "alone-stored").get("job_state") == "succeeded", 240)
    assert latest(role, "alone-stored")["generation"] == 2
    until(lambda: not role.alive("alone-stored"), 120)
    role.play("sync", "-e", "profile=stored", "-e", "experiment=alone-stored", "-e", own)
    model = (role.folder / "results/alone-stored/results/model.npz").read_bytes()
    assert model == (role.folder / "results/straight/results/model.npz").read_bytes()
