"""Bad input and faults: one clear error each, and nothing left that costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from lab.registry import SHELL_IMAGE
from tests.unit.hook import Hook

from .conftest import LIGHT, User, until

pytestmark = pytest.mark.lab

DEMO = ("-e", "profile=lab")
MACHINE = ("-e", '{"volumes": [], "channels": [], "job": null, "runtime": {"docker": false}}')


def no_traces(user: User, experiment: str = "lab") -> None:
    assert user.alive(experiment) == []


BAD_PROFILE = """
capacity:
  instance_typ: [t3.medium]
  count: three
image:
  ssm_parameter: /aws/service/debian/release/12/latest/amd64
acess: {}
job:
  command: [true]
"""


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["-e", "profile=nosuch"], ["nosuch", "g5", "lab"]),
        (["-e", "profile=p2"], ["p2.xlarge", "g4dn.xlarge", "not offered"]),
        (["-e", "profile=lab", "-e", "image.id=ami-0123456789abcdef0", "-e", '{"image": {"ssm_parameter": null}}'], ["ami-0123456789abcdef0"]),
        (["-e", "profile=lab", "-e", "capacity.subnet_ids=subnet-0123456789abcdef0"], ["subnet-0123456789abcdef0"]),
        (["-e", "profile=lab", "-e", "access.security_group_ids=sg-0123456789abcdef0"], ["sg-0123456789abcdef0"]),
        (["-e", "profile=lab", "-e", "capacity.zones=us-east-1z"], ["us-east-1z"]),
        (["-e", "profile=lab", "-e", "capacity.instance_types=t3.mediun"], ["t3.mediun"]),
        (["-e", "profile=lab", "-e", "capacity.conut=2"], ["capacity.conut", "capacity.count"]),
        (["-e", "profile=bad"], ["instance_typ", "instance_types", "count", "acess", "access", "bad.yml"]),
        (["-e", "profile=broken"], ["broken.yml:3", "close the bracket"]),
    ],
    ids=["profile", "retired-type", "image", "subnet", "group", "zone", "type", "override", "keys", "yaml"],
)  # fmt: skip
def test_bad_input(user: User, args: list[str], told: list[str]) -> None:
    (user.folder / "profiles/bad.yml").write_text(BAD_PROFILE)
    (user.folder / "profiles/broken.yml").write_text("capacity:\n  count: [1\nimage: {}\n")
    before = user.changing_calls()
    text = user.play("launch", *args, fails=True)
    for word in told:
        assert word in text
    assert user.changing_calls() == before
    no_traces(user)


def test_volume_and_key_that_do_not_fit(user: User) -> None:
    volume = user.client().create_volume(AvailabilityZone="us-east-1e", Size=1, VolumeType="gp3")["VolumeId"]
    key = user.folder / "open.pem"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    key.chmod(0o644)
    text = user.play("launch", *DEMO, "-e", f"access.private_key_file={key}", fails=True)
    assert "open.pem" in text and "600" in text
    volumes = f'{{"volumes": [{{"name": "mine", "volume_id": "{volume}", "mount_point": "/data"}}], "capacity": {{"zones": ["us-east-1a"]}}}}'
    text = user.play("launch", *DEMO, "-e", volumes, fails=True)
    assert volume in text and "us-east-1e" in text
    text = user.play("launch", *DEMO, "-e", volumes.replace(volume, "vol-0123456789abcdef0"), fails=True)
    assert "vol-0123456789abcdef0" in text
    no_traces(user)
    user.client().delete_volume(VolumeId=volume)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "redentials"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOSUCHKEY0000000"}, "credentials"),
        ({"AWS_ACCESS_KEY_ID": "ASIAEXPIRED000000000", "AWS_SESSION_TOKEN": "expired"}, "expired"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
    ids=["none", "unknown", "expired", "unreachable"],
)
def test_bad_credentials(user: User, env: dict[str, str], told: str) -> None:
    text = user.play("launch", *DEMO, fails=True, env=env | {"AWS_EC2_METADATA_DISABLED": "true"})
    assert told in text


def test_no_permission_names_the_action(user: User) -> None:
    user.control("deny", action="CreateFleet")
    text = user.play("launch", *DEMO, "-e", "capacity.wait=5", fails=True)
    assert "ec2:CreateFleet" in text
    no_traces(user)
    user.forget()


def test_no_capacity_anywhere_lists_the_pools(user: User) -> None:
    user.control("capacity", count=0)
    text = user.play("launch", *DEMO, "-e", "capacity.wait=3", fails=True)
    assert "InsufficientInstanceCapacity" in text
    for word in ("t3.medium", "t3.large", "m5.large", "us-east-1a"):
        assert word in text
    no_traces(user)
    user.play("close", *DEMO)
    assert user.tagged("lab") == {}


def test_one_pool_without_capacity_is_passed_over(user: User) -> None:
    user.control("capacity", type="t3.medium", count=0)
    text = user.play("launch", *DEMO, *MACHINE)
    (instance,) = user.alive("lab")
    found = user.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["InstanceType"] != "t3.medium", text
    user.forget()


def test_ssh_never_answers(user: User) -> None:
    hook = Hook()
    asked = ["-e", "access.port=2222", "-e", "access.wait=10", "-e", f"notify.webhook={hook.url}"]
    text = user.play("launch", *DEMO, *asked, fails=True)
    hook.close()
    assert [told["event"] for _path, told in hook.told] == ["failure"]
    assert "2222" in text and "security group" in text and "console" in text.lower()
    assert user.tagged("lab") == {}, "a failed launch leaves nothing that costs"


def test_failed_preparation_ends_what_it_started_unless_told_to_keep(user: User) -> None:
    volumes = '{"volumes": [{"name": "x", "size": 1, "mount_point": "/data", "options": "nosuchoption"}]}'
    text = user.play("launch", *DEMO, "-e", volumes, fails=True)
    assert "nosuchoption" in text and "keep=true" in text
    assert set(user.tagged("lab")) <= {"volume"}
    user.play("launch", *DEMO, "-e", volumes, "-e", "keep=true", fails=True)
    assert len(user.alive("lab")) == 1
    user.play("close", *DEMO, "-e", "delete_volumes=all")
    assert user.tagged("lab") == {}


def test_failing_job_shows_its_log_and_fails(user: User) -> None:
    command = ["sh", "-c", "echo the disk of dreams is full; exit 7"]
    job = json.dumps({"job": {"image": SHELL_IMAGE, "command": command}})
    hook = Hook()
    limit = ("-e", "capacity.time_limit=7200")
    text = user.play("launch", *DEMO, "-e", job, *limit, "-e", f"notify.webhook={hook.url}", fails=True)
    hook.close()
    assert [told["event"] for _path, told in hook.told] == ["start", "failure"]
    assert "failed" in hook.told[1][1]["text"] and hook.url not in text
    assert "the disk of dreams is full" in text and "exit code 7" in text and "rerun=true" in text
    (row,) = user.status()
    assert (row["job_state"], row["exit_code"]) == ("failed (7)", 7)
    (instance,) = user.alive("lab")
    timer = "systemctl is-active experiments-spot-limit.timer || true"
    until(lambda: user.ssh(instance, "lab", timer) == "active\n")
    missing = '{"job": {"image": "registry.lab:5000/experiments/nosuch:1"}}'
    text = user.play("launch", *DEMO, "-e", missing, "-e", "rerun=true", fails=True)
    assert "nosuch:1" in text and ("not found" in text or "manifest unknown" in text or "does not exist" in text)
    channel = '{"channels": [{"direction": "out", "local_path": "no/such/path/", "remote_path": "/home/admin/x/"}]}'
    text = user.play("launch", *DEMO, "-e", channel, fails=True)
    assert "no/such/path" in text
    # Nobody looks: the instance ends itself.
    (instance,) = user.alive("lab")
    end = {"command": ["sh", "-c", "exit 7"], "at_end": "terminate", "keep_on_failure": 3}
    ends = json.dumps({"job": {"image": SHELL_IMAGE, **end}})
    text = user.play("launch", *DEMO, "-e", ends, "-e", "rerun=true", fails=True)
    assert "ends itself 3 s after the job" in text
    user.client().get_waiter("instance_terminated").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    found = user.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    user.forget()


def test_a_job_that_hangs_is_killed_at_its_time_limit_and_its_instance_ends(user: User) -> None:
    command = ["sh", "-c", "trap true TERM; echo it hangs; while true; do sleep 1; done"]
    limits = {"time_limit": 60, "stop_grace": 1, "at_end": "terminate", "keep_on_failure": 3}
    job = json.dumps({"job": {"image": SHELL_IMAGE, "command": command, **limits}})
    text = user.play("launch", *DEMO, "-e", job, "-e", "experiment=hangs", fails=True)
    assert "it hangs" in text and "the time limit of 60 s" in text
    until(lambda: not user.alive("hangs"))
    user.play("close", *DEMO, "-e", "experiment=hangs", "-e", "delete_volumes=all")
    assert user.tagged("hangs") == {}


def test_three_instances_in_every_step(user: User) -> None:
    three = (*DEMO, *LIGHT, "-e", "capacity.count=3", "-e", "experiment=three")
    user.play("launch", *three)
    assert len(user.alive("three")) == 3
    for rank in range(3):
        (metrics,) = list((user.folder / "results/three").glob(f"**/rank-{rank}/**/metrics.csv"))
        assert metrics.read_text() == "epoch\n"
    assert sorted(row["rank"] for row in user.status("-e", "experiment=three")) == [0, 1, 2]
    before = user.changing_calls()
    user.play("launch", *three)
    assert user.changing_calls() == before
    user.play("close", "-e", "experiment=three", "-e", "delete_volumes=all")
    assert user.tagged("three") == {}


@pytest.mark.parametrize(
    "stage",
    [
        "experiments.spot.access",
        "experiments.spot.capacity",
        "experiments.spot.hosts",
        "experiments.spot.ebs",
        "experiments.spot.job :",
    ],
)
def test_interrupted_launch_is_continued_by_the_same_command(user: User, stage: str) -> None:
    process = user.start("launch", *DEMO, *LIGHT)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("TASK") and stage in line:
            break
    else:
        pytest.fail(f"the stage {stage} never came")
    os.killpg(process.pid, signal.SIGINT)
    assert "same command" in process.communicate(timeout=60)[0]
    user.play("launch", *DEMO, *LIGHT)
    assert len(user.alive("lab")) == 1
    assert (user.folder / "results/lab/metrics.csv").is_file()
    user.play("close", *DEMO, "-e", "delete_volumes=all")
    assert user.tagged("lab") == {}
    user.forget()


def test_two_terminals_launch_once(user: User) -> None:
    first, second = (user.start("launch", *DEMO, *LIGHT) for _terminal in range(2))
    texts = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert len(user.alive("lab")) == 1, texts
    assert 0 in (first.returncode, second.returncode), texts
    assert (
        len(user.client().describe_volumes(Filters=[{"Name": "tag:spot:volume", "Values": ["lab-data"]}])["Volumes"])
        == 1
    )
    user.play("close", *DEMO, "-e", "delete_volumes=all")
    assert user.tagged("lab") == {}


def test_a_run_that_fails_does_not_end_what_another_run_uses(user: User) -> None:
    """Both get the same instance, as their requests have the same client token."""
    wrong = '{"channels": [{"direction": "out", "local_path": "profiles/", "remote_path": "/nobody/may/"}]}'
    user.play("launch", *DEMO, *MACHINE)
    user.control("interrupt", instance_id=user.alive("lab")[0], notice=None)
    good = user.start("resume", *DEMO, *MACHINE)
    bad = user.start("resume", *DEMO, *MACHINE, "-e", wrong)
    texts = [process.communicate(timeout=300)[0] for process in (good, bad)]
    assert (good.returncode, bad.returncode != 0) == (0, True), "\n".join(texts)
    assert "/nobody/may" in texts[1]
    assert "so they stay and cost" in texts[1] or "Its instances still run and cost" in texts[1], texts[1]
    assert len(user.alive("lab")) == 1
    user.play("close", *DEMO)
    assert user.tagged("lab") == {}
