"""The action instances_wait against a real sshd; EC2 answers from a table."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from botocore.exceptions import ClientError, EndpointConnectionError

from ansible_collections.experiments.spot.plugins.action import instances_wait
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import KnownHosts


class Ec2:
    """The few calls the plugin makes."""

    def __init__(self, sshd: Any) -> None:
        self.calls: list[str] = []
        self.latest = True
        self.error: Exception | None = None
        self.public_key = (sshd.directory / "id.pub").read_text()
        self.output = f"ec2: -----BEGIN SSH HOST KEY KEYS-----\r\nec2: {sshd.host_key} root@x\r\n" + (
            "ec2: -----END SSH HOST KEY KEYS-----\r\n"
        )
        self.instance = {
            "InstanceId": sshd.alias,
            "State": {"Name": "running"},
            "InstanceType": "t3.medium",
            "Placement": {"AvailabilityZone": "us-east-1b"},
            "PublicIpAddress": sshd.address,
            "KeyName": "spot-x",
        }

    def get_paginator(self, name: str) -> Ec2:
        assert name == "describe_instances"
        return self

    def paginate(self, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.calls.append("DescribeInstances")
        if self.error:
            raise self.error
        wanted = Filters[0]["Values"]
        found = [self.instance] if self.instance["InstanceId"] in wanted else []
        return [{"Reservations": [{"OwnerId": "111111111111", "Instances": found}]}]

    def get_console_output(self, InstanceId: str, Latest: bool = False) -> dict[str, Any]:
        self.calls.append("GetConsoleOutput")
        if Latest and not self.latest:
            raise ClientError({"Error": {"Code": "UnsupportedOperation", "Message": "no"}}, "GetConsoleOutput")
        return {"Output": self.output}

    def describe_key_pairs(self, KeyNames: list[str], IncludePublicKey: bool) -> dict[str, Any]:
        self.calls.append("DescribeKeyPairs")
        return {"KeyPairs": [{"PublicKey": self.public_key}]}


@pytest.fixture
def ec2(sshd, monkeypatch):
    fake = Ec2(sshd)
    monkeypatch.setattr(instances_wait, "ec2_client", lambda *_a: (fake, "us-east-1"))
    return fake


@pytest.fixture
def wait(sshd, ec2, make_action: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_ssh, "control_path", lambda: sshd.control_path)

    def run(access: dict[str, Any] | None = None, check_mode: bool = False, **args: Any) -> Any:
        section = {"remote_user": sshd.user, "port": sshd.port, "private_key_file": sshd.key, **(access or {})}
        given = {
            "instance_ids": [sshd.alias],
            "access": section,
            "experiment": "x",
            "region": "us-east-1",
            "timeout": 20,
            "known_hosts_file": str(tmp_path / "ssh" / "known_hosts"),
            **args,
        }
        plugin = make_action(instances_wait, given, check_mode=check_mode, transport="local")
        result = plugin.run(task_vars={})
        result["shown"] = plugin.shown
        return result

    yield run
    target = _ssh.instance_target(
        sshd.alias, sshd.address, user=sshd.user, port=sshd.port, private_key_file=sshd.key, known_hosts="x"
    )
    _ssh.close_master(target)


def other_key(directory: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "other")], check=True)
    return str(directory / "other")


@pytest.mark.slow
def test_login_with_the_key_from_the_console_then_again_without_it(wait, ec2, sshd, tmp_path):
    result = wait()
    assert "failed" not in result, result.get("msg")
    assert result["changed"]
    assert ec2.calls == ["DescribeInstances", "GetConsoleOutput"]
    (instance,) = result["instances"]
    assert instance["host_key_verified"] == "console"
    assert (instance["address"], instance["type"], instance["zone"]) == ("127.0.0.1", "t3.medium", "us-east-1b")
    assert result["known_hosts"] == str(tmp_path / "ssh" / "known_hosts")
    assert result["private_key_file"] == sshd.key
    assert result["shown"][-1].startswith(f"[x] {sshd.alias} t3.medium us-east-1b: ssh ready at 127.0.0.1")
    # The master connection stays for those who come after.
    assert len(list(sshd.sockets.iterdir())) == 1
    ec2.calls.clear()
    again = wait()
    assert not again["changed"]
    assert ec2.calls == ["DescribeInstances"]


def test_console_without_latest(wait, ec2):
    ec2.latest = False
    assert "failed" not in wait()
    assert ec2.calls.count("GetConsoleOutput") == 2


def test_foreign_host_key_is_refused(wait, ec2, tmp_path):
    ec2.output = f"-----BEGIN SSH HOST KEY KEYS-----\n{Path(other_key(tmp_path) + '.pub').read_text()}" + (
        "-----END SSH HOST KEY KEYS-----\n"
    )
    result = wait()
    assert result["failed"]
    assert "the host key is not the one its console shows" in result["msg"]


@pytest.mark.slow
def test_fingerprints_are_checked_by_a_scan(wait, ec2, sshd):
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(sshd.directory / "host.pub")], capture_output=True, text=True, check=True
    )
    ec2.output = f"-----BEGIN SSH HOST KEY FINGERPRINTS-----\n{listed.stdout}-----END SSH HOST KEY FINGERPRINTS-----\n"
    result = wait()
    assert "failed" not in result, result.get("msg")
    assert result["instances"][0]["host_key_verified"] == "console"


@pytest.mark.slow
def test_accept_new_warns(wait, ec2, monkeypatch, tmp_path):
    warned: list[str] = []
    monkeypatch.setattr(instances_wait.display, "warning", warned.append, raising=False)
    result = wait(access={"host_keys": "accept-new"})
    assert result["instances"][0]["host_key_verified"] == "accept-new"
    assert "accepted unseen" in warned[0]
    assert "GetConsoleOutput" not in ec2.calls
    # Not verified, so a later run that wants the console asks it.
    assert wait()["instances"][0]["host_key_verified"] == "console"


def test_wrong_private_key_is_told_at_once(wait, ec2, tmp_path):
    result = wait(access={"private_key_file": other_key(tmp_path)})
    assert result["failed"]
    assert "does not belong to the key pair spot-x" in result["msg"]
    assert "access.remote_user" in result["msg"]


@pytest.mark.slow
def test_timeout_shows_what_to_check_and_the_console(wait, ec2, sshd):
    result = wait(access={"port": 1}, timeout=1)
    assert result["failed"]
    assert "timed out after 1 s waiting for ssh" in result["msg"]
    assert "security group" in result["msg"]
    assert "| ec2: -----END SSH HOST KEY KEYS-----" in result["msg"]
    assert result["failed_instances"] == [sshd.alias]


def test_private_key_is_looked_at_first(wait, ec2, sshd, tmp_path):
    with pytest.raises(AnsibleActionFail, match="does not exist"):
        wait(access={"private_key_file": str(tmp_path / "no")})
    loose = tmp_path / "loose"
    loose.write_bytes(Path(sshd.key).read_bytes())
    loose.chmod(0o644)
    with pytest.raises(AnsibleActionFail, match=r"mode 0644 lets others read it; run: chmod 600"):
        wait(access={"private_key_file": str(loose)})
    assert ec2.calls == []


def test_nothing_to_wait_for(wait, ec2):
    result = wait(instance_ids=[])
    assert (result["instances"], result["changed"]) == ([], False)
    assert ec2.calls == []


def test_check_mode_looks_once_and_writes_nothing(wait, ec2, sshd, tmp_path):
    result = wait(check_mode=True)
    assert result["instances"][0]["instance_id"] == sshd.alias
    assert result["instances"][0]["host_key_verified"] is None
    assert ec2.calls == ["DescribeInstances"]
    assert not (tmp_path / "ssh").exists()


@pytest.mark.slow
def test_terminated_forgets_the_key(wait, ec2, sshd, tmp_path):
    wait()
    ec2.instance = {**ec2.instance, "State": {"Name": "terminated"}}
    result = wait(state="terminated")
    assert result["changed"]
    assert KnownHosts(str(tmp_path / "ssh" / "known_hosts")).read() == ""
    assert not wait(state="terminated")["changed"]


def test_errors_of_aws_are_one_line(wait, ec2):
    ec2.error = ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeInstances")
    with pytest.raises(AnsibleActionFail, match="no permission: ec2:DescribeInstances"):
        wait()
    ec2.error = EndpointConnectionError(endpoint_url="http://x")
    with pytest.raises(AnsibleActionFail, match="Could not wait for the instances"):
        wait()


def test_wrong_access_values_all_at_once(wait):
    with pytest.raises(AnsibleActionFail) as error:
        wait(access={"address": "both", "host_keys": "never", "port": "x"})
    assert all(name in str(error.value) for name in ("access.address", "access.host_keys", "access.port"))


@pytest.mark.slow
def test_quiet(wait, monkeypatch):
    assert wait(quiet=True)["shown"] == []
    monkeypatch.setenv("EXPERIMENTS_SPOT_QUIET", "1")
    assert wait()["shown"] == []
    assert len(wait(quiet=False)["shown"]) == 1


def test_own_key_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(instances_wait, "KEY_DIRECTORY", str(tmp_path))
    assert instances_wait.access_of({}, "lab1")["private_key_file"] is None
    (tmp_path / "lab1").write_text("")
    assert instances_wait.access_of({}, "lab1")["private_key_file"] == str(tmp_path / "lab1")
    assert instances_wait.access_of({"private_key_file": "~/k"}, "lab1")["private_key_file"] == os.path.expanduser(
        "~/k"
    )


@pytest.mark.slow
def test_one_connection_carries_wait_tasks_and_files(wait, sshd, tmp_path):
    """What the wait has opened, Ansible's own tasks and the channel use: sshd sees one login."""
    _ssh.close_master(_ssh.connection_target(sshd.options))
    logins = (sshd.directory / "sshd.log").read_text().count("Accepted publickey")
    result = wait()
    assert "failed" not in result
    variables = {
        "ansible_host": sshd.address,
        "ansible_port": sshd.port,
        "ansible_user": sshd.user,
        "ansible_ssh_private_key_file": sshd.key,
        "ansible_ssh_common_args": f"-o HostKeyAlias={sshd.alias} -o UserKnownHostsFile={result['known_hosts']} "
        "-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        "ansible_control_path": sshd.control_path.replace("%", "%%"),
    }
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print(1)\n")
    task = {"direction": "out", "local_path": f"{tmp_path}/code/", "remote_path": f"{tmp_path}/there"}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": variables,
        "tasks": [
            {"ansible.builtin.raw": "true"},
            {"experiments.spot.channel": task},
            {"experiments.spot.channel": task, "register": "again", "failed_when": "again is changed"},
        ],
    }
    (tmp_path / "book.yml").write_text(json.dumps([play]))
    root = Path(instances_wait.__file__).resolve().parents[2]
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "x-1,", tmp_path / "book.yml"],
        cwd=root,
        env={**os.environ, "ANSIBLE_CONFIG": str(root / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "there" / "train.py").exists(), done.stdout + done.stderr
    assert (sshd.directory / "sshd.log").read_text().count("Accepted publickey") == logins + 1


@pytest.mark.slow
def test_connection_of_another_user_is_not_taken_for_ours(sshd):
    ours = dataclasses.replace(_ssh.connection_target(sshd.options), options=(f"ControlPath={sshd.sockets}/%k",))
    assert _ssh.try_login(ours).meaning == _ssh.READY
    # The socket has no user in its name: plain ssh goes on as the first user.
    other = dataclasses.replace(ours, user="nobody-here")
    assert _ssh.run(_ssh.ssh_argv(other, "true"), 10).returncode == 0
    assert _ssh.try_login(other).meaning == _ssh.REFUSED
