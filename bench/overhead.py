"""Provisioning overhead: from "sshd answers" to the first line of the job's log, against a hand-written ssh script.

Both do the same steps from a fresh instance of the lab, and make and attach a volume: by modules there, by boto3 here.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import boto3

from bench.user import ROOT, User

BARE = json.dumps({"job": None, "volumes": [], "channels": [], "runtime": {"docker": False}})
IMAGE = "registry.lab:5000/experiments/digits:1"
SCRIPT = """
set -eu
dev=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume}
until [ -e $dev ]; do sleep 0.1; done
sudo mkfs.ext4 -q $dev
sudo mkdir -p /data
sudo mount $dev /data
echo "$dev /data ext4 defaults,nofail 0 2" | sudo tee -a /etc/fstab >/dev/null
sudo chown admin:admin /data
sudo systemctl start docker
mkdir -p /home/admin/digits /data/script
sudo docker pull -q {image} >/dev/null
sudo docker run -d --name job -v /home/admin/digits:/code:ro -v /data:/data -e SPOT_STATE_DIR=/data/script {image} \
  python3 /code/train.py --epochs 30 --results /data/results >/dev/null
until [ -n "$(sudo docker logs job 2>/dev/null)" ]; do sleep 0.05; done
"""


def product(user: User, number: int) -> float:
    """Seconds from the end of the stage hosts to the job's first line in the journal."""
    name = f"product-{number}"
    started = time.time()
    play = user.play("launch", "-e", "profile=lab", "-e", f"experiment={name}")
    sshd_answers = started + play.first(r"^TASK \[experiments\.spot\.(ebs|docker|channels) ")
    first_line = first_line_of_job(user, name)
    user.play("close", "-e", f"experiment={name}", "-e", "delete_volumes=all")
    return first_line - sshd_answers


def script(user: User, number: int) -> float:
    """Seconds that the script needs on a machine on which nothing was set up."""
    name = f"script-{number}"
    user.play("launch", "-e", "profile=lab", "-e", f"experiment={name}", "-e", BARE)
    ec2 = client(user)
    instance = find(ec2, name)
    ssh = ssh_command(user, name, instance)
    started = time.monotonic()
    zone = instance["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, VolumeType="gp3", Encrypted=True)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    ec2.attach_volume(VolumeId=volume, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    target = f"admin@{instance['PublicIpAddress']}:/home/admin/digits/"
    rsync = ["rsync", "-a", "--mkpath", "-e", " ".join(ssh[:-1]), f"{ROOT}/examples/digits/", target]
    subprocess.run(rsync, check=True)
    text = SCRIPT.format(volume=volume.replace("-", ""), image=IMAGE)
    subprocess.run([*ssh, "sh", "-s"], input=text, text=True, check=True)
    seconds = time.monotonic() - started
    user.play("close", "-e", f"experiment={name}")
    ec2.delete_volume(VolumeId=volume)
    return seconds


def client(user: User) -> Any:
    """EC2 of the lab."""
    return boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=user.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=user.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=user.env["AWS_SECRET_ACCESS_KEY"],
    )


def find(ec2: Any, experiment: str) -> dict[str, Any]:
    """The running instance of an experiment."""
    filters = [
        {"Name": "tag:spot:experiment", "Values": [experiment]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    instance: dict[str, Any] = ec2.describe_instances(Filters=filters)["Reservations"][0]["Instances"][0]
    return instance


def ssh_command(user: User, experiment: str, instance: dict[str, Any]) -> list[str]:
    """Ssh with the verified host key and a fresh connection; its last word is the address."""
    folder = user.folder / ".ssh/experiments.spot"
    return [
        "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", f"HostKeyAlias={instance['InstanceId']}",
        "-o", f"UserKnownHostsFile={folder}/known_hosts", "-i", f"{folder}/{experiment}",
        f"admin@{instance['PublicIpAddress']}",
    ]  # fmt: skip


def first_line_of_job(user: User, experiment: str) -> float:
    """When the container said its first word, seconds since the epoch, from the journal of the instance."""
    journal = ["sudo", "journalctl", "-u", "experiments-spot-job", "-o", "short-unix", "--no-pager"]
    ssh = ssh_command(user, experiment, find(client(user), experiment))
    text = subprocess.run([*ssh, *journal], capture_output=True, text=True, check=True).stdout
    return first_word(text)


def first_word(journal: str) -> float:
    """When a job said its first word, seconds since the epoch.

    Args:
        journal: of the job's unit, with the output `short-unix`.

    Raises:
        ValueError: it has not said anything.
    """
    lines = journal.splitlines()
    for running, first in zip(lines, lines[1:]):
        if "experiments-spot: running " in running:
            return float(first.split()[0])
    raise ValueError("the job has not said anything")
