"""An experiment that goes on with every machine of the user switched off: recovery mode self, on machines that boot."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import User, interrupt, until

pytestmark = pytest.mark.lab

BUCKET = "spot-self-tests"
PROFILE = """
extends: lab
access: {instance_profile: spot-self}
recovery: {mode: self, bucket: "s3://spot-self-tests/experiments", notice_period: 1}
channels:
  - {direction: out, local_path: CODE/, remote_path: /home/admin/digits/, recursive: true, exclude: [__pycache__]}
  - {direction: in, remote_path: "/data/{{ experiment }}/results/", local_path: "results/{{ experiment }}/", recursive: true}
volumes:
  - {name: "{{ experiment }}-data", size: 1, mount_point: /data}
job:
  name: digits
  image: registry.lab:5000/experiments/digits:1
  command: python3 /code/train.py --epochs 45 --pause 1.0 --results /data/{{ experiment }}/results
  mounts: ["/home/admin/digits:/code:ro"]
  env: {WORD: "{{ 'rumpel' ~ 'stilzchen' }}"}
  secrets: [WORD]
  at_end: terminate
"""
# The volume is looked at from outside, by the same profile in the other mode.
OUTSIDE = '{"job": null, "recovery": {"mode": "controller", "bucket": null}}'

SHARED = """{"job": {"image": "registry.lab:5000/experiments/shell:1", "command": ["sleep", "600"]}, "file_systems": [{"name": "self-shared", "mount_point": "/shared"}],
 "capacity": {"time_limit": 7200}}"""


@pytest.fixture(scope="module")
def role(user: User) -> User:
    code = Path(__file__).resolve().parents[3] / "examples/digits"
    (user.folder / "profiles/alone.yml").write_text(PROFILE.replace("CODE", str(code)))
    iam = user.client("iam")
    iam.create_role(RoleName="spot-self", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    iam.create_instance_profile(InstanceProfileName="spot-self")
    iam.add_role_to_instance_profile(InstanceProfileName="spot-self", RoleName="spot-self")
    user.client("s3").create_bucket(Bucket=BUCKET)
    return user


def objects(user: User) -> dict[str, bytes]:
    s3 = user.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def state(user: User, experiment: str) -> dict[str, Any]:
    return user.told(BUCKET, experiment)


def launch(user: User, experiment: str, *args: str, fails: bool = False) -> str:
    return user.play("launch", "-e", "profile=alone", "-e", f"experiment={experiment}", *args, fails=fails)


def test_it_is_taken_suddenly_and_ends_with_the_same_model(role: User) -> None:
    assert "switched off" in launch(role, "alone")
    (first,) = role.alive("alone")
    until(lambda: state(role, "alone").get("phase") == "running")
    until(lambda: role.status("-e", "experiment=alone")[0]["job_state"])  # reads its host keys
    until(lambda: int(json.loads(role.ssh(first, "alone", "cat /data/alone/progress.json"))["step"]) > 1000)

    interrupt(role, first)
    (second,) = until(lambda: [one for one in role.alive("alone") if one != first])
    until(lambda: state(role, "alone").get("generation") == 2)
    assert state(role, "alone")["former"] == [first]
    until(lambda: not role.alive("alone"), 180)

    assert {key: state(role, "alone")[key] for key in ("phase", "instance_id")} == {
        "phase": "ended",
        "instance_id": second,
    }
    assert state(role, "alone")["job"]["state"] == "succeeded"
    assert "fleet" not in role.tagged("alone"), "nothing follows"

    launch(role, "alone", "-e", OUTSIDE)
    (outside,) = role.alive("alone")
    role.play("sync", "-e", "profile=alone", "-e", "experiment=alone", "-e", "direction=in", "-e", OUTSIDE)
    runs = json.loads(role.ssh(outside, "alone", "sudo cat /data/alone/ledger.json"))["runs"]
    assert [(run["state"], run["generation"]) for run in runs] == [("failed", 1), ("succeeded", 2)]
    assert runs[1]["progress"]["start"] > 0, "it went on from a checkpoint"
    launch(
        role,
        "plain",
        "-e",
        '{"recovery": {"mode": "controller", "bucket": null}, "access": {"instance_profile": null}}',
    )
    models = [(role.folder / f"results/{name}/model.npz").read_bytes() for name in ("alone", "plain")]
    assert models[0] == models[1]

    role.play("close", "-e", "experiment=all", "-e", "confirm=true", "-e", "delete_volumes=all")
    assert role.tagged("alone") == {} and objects(role) == {}


def test_the_bundle_holds_no_secret_and_is_uploaded_once(role: User) -> None:
    launch(role, "once", "-e", SHARED)
    until(lambda: state(role, "once").get("phase") == "running")
    before = objects(role)
    assert b"rumpelstilzchen" in before["experiments/once/secrets.json"]
    rest = {key: data for key, data in before.items() if not key.endswith("secrets.json")}
    plain = [gzip.decompress(data) if key.endswith(".gz") else data for key, data in rest.items()]
    assert any(b"train.py" in data for data in plain) and not any(b"rumpelstilzchen" in data for data in plain)
    data = role.client().describe_launch_template_versions(
        Filters=[{"Name": "is-default-version", "Values": ["true"]}], Versions=["$Default"]
    )
    assert "rumpelstilzchen" not in json.dumps(data, default=str)
    calls = role.changing_calls()
    launch(role, "once", "-e", SHARED)
    assert role.changing_calls()[len(calls) :] == [], "the same command again changes nothing"
    (instance,) = role.alive("once")
    role.status("-e", "experiment=once")  # reads its host keys
    assert role.ssh(instance, "once", "findmnt --noheadings --output TARGET /shared") == "/shared\n"
    assert role.ssh(instance, "once", "systemctl is-active experiments-spot-limit.timer") == "active\n"
    assert role.ssh(instance, "once", "sudo cat /run/experiments-spot-secrets/files/WORD") == "rumpelstilzchen"
    places = "sudo docker inspect $(sudo docker ps -q); sudo journalctl; ps -eo args; sudo cat /data/once/ledger.json"
    told = role.ssh(instance, "once", places)
    assert "/run/secrets" in told and "rumpelstilzchen" not in told
    (fleet,) = [one for one in role.client().describe_fleets()["Fleets"] if one["FleetState"] == "active"]
    assert fleet["ValidUntil"] > fleet["CreateTime"], "AWS ends it where no instance may"
    role.play("close", "-e", "experiment=once", "-e", "delete_volumes=all", "-e", "delete_file_systems=all")
    assert role.tagged("once") == {} and objects(role) == {}


def test_what_cannot_be_set_up_does_not_go_on_for_ever(role: User) -> None:
    volumes = '{"volumes": [{"name": "broken", "size": 1, "mount_point": "/data", "options": "nosuchoption"}]}'
    launch(role, "broken", "-e", volumes)
    until(lambda: state(role, "broken").get("phase") == "given-up", 400)
    assert state(role, "broken")["failures"] == 3 and "ebs_mount" in state(role, "broken")["message"]
    until(lambda: not role.alive("broken"))
    assert "fleet" not in role.tagged("broken")
    role.play("close", "-e", "experiment=broken", "-e", "delete_volumes=all")


def test_a_failing_job_ends_the_fleet_too(role: User) -> None:
    launch(
        role,
        "failing",
        "-e",
        '{"job": {"image": "registry.lab:5000/experiments/shell:1", "command": ["sh", "-c", "exit 7"]}}',
    )
    until(lambda: state(role, "failing").get("phase") == "ended")
    assert state(role, "failing")["job"] == {
        "state": "failed",
        "exit_code": 7,
        "message": state(role, "failing")["job"]["message"],
    }
    until(lambda: not role.alive("failing"))
    assert "fleet" not in role.tagged("failing")
    role.play("close", "-e", "experiment=failing", "-e", "delete_volumes=all")


# The watcher gets another limit than the launch gave it, so that nobody waits for that. The processors of a machine of the
# lab are those of its host, which are never idle while tests run. And the
# connection that Ansible keeps open is closed, which counts as a login for ten minutes.
LIMITED = """sudo sed -i 's/^CORES = .*/CORES = 1e6/' /usr/local/lib/experiments-spot/notice/idle.py && sudo python3 -c '
import json, time
path = "/etc/experiments-spot/notice.json"
config = json.load(open(path))
config.update(LIMIT)
json.dump(config, open(path, "w"))
' && sudo systemctl restart experiments-spot-notice && sudo systemd-run --quiet --on-active=2 pkill -f '^sshd: admin'"""
SOON = 'expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 15))'


@pytest.mark.parametrize(("limit", "setting"), [("time", SOON), ("idle", "idle_limit=10")], ids=["time", "idle"])
def test_a_limit_ends_the_fleet_before_the_instance(role: User, limit: str, setting: str) -> None:
    """Without a job nothing takes time at the end, and a fleet that still stands would launch another instance."""
    name = f"{limit}-limit"
    launch(role, name, "-e", '{"job": null, "channels": []}')
    until(lambda: state(role, name).get("phase") == "running")
    until(lambda: role.status("-e", f"experiment={name}")[0]["job_state"])  # reads its host keys
    (instance,) = role.alive(name)
    role.ssh(instance, name, LIMITED.replace("LIMIT", setting))
    until(lambda: not role.alive(name))
    assert state(role, name)["phase"] == "ended" and "fleet" not in role.tagged(name)
    assert state(role, name)["generation"] == 1
    role.play("close", "-e", f"experiment={name}", "-e", "delete_volumes=all")


def test_what_it_needs_is_said_before_anything_is_made(role: User) -> None:
    before = role.changing_calls()
    bad = '{"recovery": {"bucket": null}, "access": {"instance_profile": null}, "capacity": {"count": 2}}'
    text = launch(role, "bad", "-e", bad, fails=True)
    for word in ("recovery.bucket", "access.instance_profile", "capacity.count", "docs/self.md"):
        assert word in text
    text = launch(role, "bad", "-e", "access.instance_profile=nosuch", fails=True)
    assert "nosuch" in text
    text = launch(role, "bad", "-e", "recovery.bucket=s3://no-such-bucket-of-mine", fails=True)
    assert "no-such-bucket-of-mine" in text
    assert role.alive("bad") == [] and "CreateFleet" not in role.changing_calls()[len(before) :]
    role.play("close", "-e", "experiment=bad", "-e", "delete_volumes=all")
