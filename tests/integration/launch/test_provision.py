"""A profile on machines that nobody launched for it: a plain inventory, no credentials, not one call to AWS."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
region: null
channels:
  - {direction: out, local_path: ../code/, remote_path: /home/admin/code/, recursive: true}
  - {direction: in, remote_path: "/data/{{ experiment }}/", local_path: "back/", recursive: true, exclude: [ledger.json]}
runtime: {extra_python_packages: []}
job:
  name: answer
  image: registry.lab:5000/experiments/shell:1
  command: [sh, -c, 'cp /code/answer $SPOT_STATE_DIR/answer && echo "$SPOT_RANK of $SPOT_COUNT" > $SPOT_STATE_DIR/me']
  mounts: ["/home/admin/code:/code:ro"]
  at_end: terminate
"""
FAULTY = """
extends: there
access: {instance_profile: team}
results: {bucket: "s3://team/results"}
"""


@pytest.fixture(scope="module")
def inventory(user: User) -> Iterator[Path]:
    """Two machines as an administrator would have made them, in a file as an administrator would have written it."""
    ec2 = user.client()
    key = user.folder / "admin"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    ec2.import_key_pair(KeyName="admin", PublicKeyMaterial=key.with_suffix(".pub").read_bytes())
    group = ec2.create_security_group(GroupName="admin", Description="ssh")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    image = user.client("ssm").get_parameter(Name="/aws/service/debian/release/12/latest/amd64")["Parameter"]["Value"]
    made = ec2.run_instances(
        ImageId=image, InstanceType="t3.medium", MinCount=2, MaxCount=2, KeyName="admin", SecurityGroupIds=[group]
    )["Instances"]
    ids = [one["InstanceId"] for one in made]
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
    pages = ec2.describe_instances(InstanceIds=ids)["Reservations"]
    addresses = sorted(one["PublicIpAddress"] for page in pages for one in page["Instances"])
    known = user.folder / "known_hosts"
    until = time.monotonic() + 90
    scanned = ""
    while not all(address in scanned for address in addresses):
        assert time.monotonic() < until, "sshd does not answer"
        scanned = subprocess.run(["ssh-keyscan", *addresses], capture_output=True, text=True, check=False).stdout
    known.write_text(scanned)
    lines = [f"box{number} ansible_host={address}" for number, address in enumerate(addresses)]
    common = f"ansible_ssh_private_key_file={key}\nansible_ssh_common_args='-o UserKnownHostsFile={known}'"
    file = user.folder / "hosts.ini"
    file.write_text("\n".join(["[gpu]", *lines, "", "[other]", "elsewhere", "", "[gpu:vars]", common, ""]))
    yield file
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
    ec2.delete_security_group(GroupId=group)
    ec2.delete_key_pair(KeyName="admin")


def on(inventory: Path, user: User, command: str) -> str:
    """What a command prints on each machine of the group."""
    argv = ["-i", str(inventory), "gpu", "-b", "-o", "-m", "ansible.builtin.command", "-a", command]
    program = Path(sys.executable).parent / "ansible"
    env = user.env | {"ANSIBLE_REMOTE_USER": "admin"}
    return subprocess.run([str(program), *argv], env=env, capture_output=True, text=True, check=True).stdout


def test_a_profile_runs_on_machines_that_are_there(user: User, inventory: Path) -> None:
    (user.folder / "code").mkdir()
    (user.folder / "code/answer").write_text("42\n")
    (user.folder / "profiles/there.yml").write_text(PROFILE)
    (user.folder / "profiles/faulty.yml").write_text(FAULTY)
    # Whoever has such machines needs no AWS: no credentials, no region, and an endpoint that nobody answers.
    away = dict.fromkeys((name for name in user.env if name.startswith(("AWS_", "EXPERIMENTS_SPOT_"))), "")
    away |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_CONFIG_FILE": "/nowhere"}
    args = ["-i", str(inventory), "-e", "profile=there", "-e", "provision_hosts=gpu"]
    calls = len(user.control("calls"))

    text = user.play("provision", "-i", str(inventory), "-e", "profile=faulty", fails=True, env=away)
    assert "results.bucket: s3://team/results opens by the role of an instance" in text and "changed=0" in text
    text = user.play("provision", "--check", *args, env=away)
    assert "volumes.lab-data: not attached; /data is what is there, else a folder" in text
    assert "job.at_end: terminate ends no machine" in text
    assert "Permission denied" not in text and "/data" not in on(inventory, user, "find / -maxdepth 1 -name data")

    text = user.play("provision", *args, env=away)
    assert "box0 (rank 0): job succeeded" in text and "box1 (rank 1): job succeeded" in text
    for rank in (0, 1):
        back = user.folder / f"back/rank-{rank}"
        assert (back / "answer").read_text() == "42\n"
        assert (back / "me").read_text() == f"{rank} of 2\n"

    text = user.play("provision", *args, env=away)
    assert text.count("changed=0") >= 2 and "changed=1" not in text, text
    assert on(inventory, user, "systemctl list-units --all experiments-spot-*").count("notice") == 0
    assert len(user.control("calls")) == calls, "something asked AWS"
