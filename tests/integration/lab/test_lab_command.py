"""Labs come and go without a trace, and do not disturb each other or the host."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from lab_driver import Lab, lab_command, output, traces

from lab.machines import process


def command(verb: str, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(lab_command(verb, name), capture_output=True, text=True, check=False)


@pytest.fixture
def second(tmp_path):
    """Another lab, brought up here."""
    found = Lab("integration-2", tmp_path)
    assert command("up", found.name).returncode == 0
    yield found
    assert command("down", found.name).returncode == 0


def test_up_of_a_lab_that_is_up_changes_nothing(lab):
    before = process.daemon(lab.slot)
    again = command("up", lab.name)
    assert again.returncode == 0
    assert "up already" in again.stderr
    assert process.daemon(lab.slot) == before


def test_status_shows_machines(lab, machine):
    shown = command("status", lab.name)
    assert shown.returncode == 0
    assert machine.instance_id in shown.stdout
    assert machine.address in shown.stdout


def test_env_is_what_a_tool_needs(lab):
    script = f'eval "$({" ".join(lab_command("env", lab.name))})" && exec "$@"'
    probe = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    python = lab_command("", "")[0].replace("lab/lab", ".venv/bin/python")
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_PROFILE": "work"}
    done = subprocess.run(
        ["bash", "-c", script, "bash", python, "-c", probe], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "123456789012"


def test_the_hosts_own_metadata_route_is_left_alone(lab):
    route = json.loads(output("ip", "-json", "route", "get", "169.254.169.254"))[0]
    assert route["dev"] != lab.slot.bridge
    rules = [line for line in output("iptables-save", "-t", "nat").splitlines() if "169.254.169.254" in line]
    assert all(" -i br-" in line for line in rules)


def test_two_labs_then_a_crash_of_one_leaves_the_other_alone(lab, machine, second):
    theirs = second.launch()
    volume = second.volume(theirs.describe()["Placement"]["AvailabilityZone"])
    second.attach(volume, theirs)
    assert theirs.run("hostname")
    assert second.slot.vpc_cidr != lab.slot.vpc_cidr
    known = {i["InstanceId"] for r in lab.ec2.describe_instances()["Reservations"] for i in r["Instances"]}
    assert theirs.instance_id not in known

    slot = second.slot
    kinds = {"containers", "volumes", "networks", "loops", "routes", "links", "rules", "processes", "files"}
    assert set(traces(slot)) == kinds
    os.kill(process.daemon(slot), signal.SIGKILL)
    assert command("status", second.name).returncode == 3
    assert command("down", second.name).returncode == 0
    assert traces(slot) == {}
    assert command("down", second.name).returncode == 0
    assert machine.run("echo still here") == "still here"


def test_up_after_a_crash_starts_anew(second):
    machine, before = second.launch(), process.daemon(second.slot)
    os.kill(before, signal.SIGKILL)
    assert command("up", second.name).returncode == 0
    assert process.daemon(second.slot) not in (0, before)
    assert output("docker", "ps", "-aq", "--filter", f"name={machine.instance_id}") == ""
    assert second.ec2.describe_instances()["Reservations"] == []
