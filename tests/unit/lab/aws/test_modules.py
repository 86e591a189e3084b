"""The modules of amazon.aws that the roles use, unmodified, each twice: the second time nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.aws.config import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.slow

PARAMETER = "/aws/service/debian/release/12/latest/amd64"
TASKS: dict[str, dict[str, Any]] = {
    "ec2_key": {"name": "k", "key_type": "ed25519", "tags": {"a": "b"}},
    "ec2_security_group": {
        "name": "g",
        "description": "g",
        "tags": {"a": "b"},
        "rules": [{"proto": "tcp", "ports": [22], "cidr_ip": "192.0.2.1/32", "rule_desc": "ssh"}],
    },
    "ec2_launch_template": {
        "name": "temp",
        "image_id": "{{ lookup('amazon.aws.ssm_parameter', '" + PARAMETER + "') }}",
        "key_name": "k",
        "instance_initiated_shutdown_behavior": "terminate",
        "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 1},
        "block_device_mappings": [{"device_name": "/dev/xvda", "ebs": {"volume_size": 10, "volume_type": "gp3"}}],
        "tag_specifications": [{"resource_type": "instance", "tags": {"a": "b"}}],
        "tags": {"a": "b"},
    },
    "ec2_vol": {
        "zone": "us-east-1a",
        "name": "v",
        "volume_size": 5,
        "volume_type": "gp3",
        "instance": "{{ instance }}",
        "device_name": "/dev/sdf",
    },
}


def play(tmp_path: Path, instance: str) -> Path:
    tasks: list[dict[str, Any]] = []
    for name, args in TASKS.items():
        tasks += [{f"amazon.aws.{name}": args, "register": "first"}, {f"amazon.aws.{name}": args, "register": "again"}]
        tasks.append({"ansible.builtin.assert": {"that": ["first is changed", "again is not changed"]}})
    book = tmp_path / "play.yml"
    variables = {"ansible_python_interpreter": sys.executable, "instance": instance}
    book.write_text(
        yaml.safe_dump(
            [{"hosts": "localhost", "gather_facts": False, "connection": "local", "vars": variables, "tasks": tasks}]
        )
    )
    return book


def ansible(url: str, tmp_path: Path, program: str, *args: str) -> str:
    env = {
        **os.environ,
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }
    path = Path(sys.executable).with_name(program)
    done = subprocess.run([str(path), *args], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_modules_are_idempotent(url: str, run: Any, ec2: Any, tmp_path: Path, subnets: dict[str, str]) -> None:
    one = run(SubnetId=subnets["a"])["InstanceId"]
    ansible(url, tmp_path, "ansible-playbook", "-i", "localhost,", str(play(tmp_path, one)))
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateName="temp")["LaunchTemplateVersions"]
    assert version["VersionNumber"] == 1


@pytest.mark.slow
def test_inventory_plugin(url: str, run: Any, tmp_path: Path) -> None:
    spot, _ = run(InstanceMarketOptions={"MarketType": "spot"})["InstanceId"], run()
    source = {
        "plugin": "amazon.aws.aws_ec2",
        "regions": ["us-east-1", "eu-west-1"],
        "hostnames": ["instance-id"],
        "filters": {"instance-lifecycle": ["spot"], "instance-state-name": ["pending", "running"]},
        "keyed_groups": [{"key": "placement.availability_zone", "prefix": "zone"}],
    }
    inventory = tmp_path / "lab.aws_ec2.yml"
    inventory.write_text(yaml.safe_dump(source))
    listed = ansible(url, tmp_path, "ansible-inventory", "-i", str(inventory), "--graph")
    assert [line.strip(" |-") for line in listed.splitlines() if "i-" in line] == [spot, spot]
    assert "zone_us_east_1" in listed
