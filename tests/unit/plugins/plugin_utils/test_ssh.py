"""ssh argument lists, its messages, private keys."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import (
    classify_ssh,
    connection_target,
    instance_target,
    private_key_problem,
    remote_command,
    same_key,
    ssh_argv,
)


def test_instance_target_checks_the_host_key_under_the_instance_id():
    target = instance_target("i-1", "203.0.113.5", user="admin", port=22, private_key_file="/k", known_hosts="/k h")
    argv = ssh_argv(target, "true")
    assert argv[0] == "ssh"
    assert argv[-3:] == ["--", "203.0.113.5", "true"]
    options = [argv[i + 1] for i, word in enumerate(argv) if word == "-o"]
    assert "BatchMode=yes" in options
    assert "ConnectTimeout=5" in options
    assert "StrictHostKeyChecking=yes" in options
    assert "HostKeyAlias=i-1" in options
    assert 'UserKnownHostsFile="/k h"' in options
    assert "IdentitiesOnly=yes" in options
    assert any(option.startswith("ControlPath=") and "%k" in option for option in options)
    assert not any("no" in option.lower().split("=") for option in options)


def test_without_a_key_file_the_agent_may_help():
    target = instance_target("i-1", "a", user="", port=22, private_key_file=None, known_hosts="/k")
    assert "IdentitiesOnly=yes" not in target.options
    assert "-l" not in ssh_argv(target)


def test_target_of_ansibles_connection():
    options = {
        "host": "203.0.113.5",
        "remote_user": "admin",
        "port": 2222,
        "private_key_file": "/key",
        "ssh_args": "-o ControlMaster=auto -o ControlPersist=10m",
        "ssh_common_args": '-o HostKeyAlias=i-1 -o UserKnownHostsFile="/with blank/k"',
        "ssh_extra_args": None,
        "control_path": "%(directory)s/spot-%%k-%%r",
        "control_path_dir": "/cp",
    }
    target = connection_target(options.get)
    assert (target.address, target.user, target.port, target.private_key_file) == ("203.0.113.5", "admin", 2222, "/key")
    assert target.options == ("ControlPath=/cp/spot-%k-%r",)
    assert target.arguments[-1] == "UserKnownHostsFile=/with blank/k"
    assert target.executable == "ssh"


def test_bare_connection_gets_a_shared_one():
    target = connection_target({"host": "h"}.get)
    assert "ControlMaster=auto" in target.arguments
    assert target.port == 22
    assert target.private_key_file is None
    assert target.options[0].endswith("spot-%k-%r")


@pytest.mark.parametrize("words", [["a b"], ["'"], ['"'], ["$(id)", ";", "*"], ["ü", ""], ["-x"]])
def test_remote_words_pass_a_shell_unharmed(words):
    command = remote_command("printf", "%s\\0", *words)
    assert shlex.split(command)[2:] == words
    out = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert out.split("\0")[:-1] == words


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (0, "", _ssh.READY),
        (255, "ssh: connect to host 203.0.113.5 port 22: Connection refused", _ssh.WAIT),
        (255, "ssh: connect to host 203.0.113.5 port 22: Connection timed out", _ssh.WAIT),
        (255, "kex_exchange_identification: read: Connection reset by peer", _ssh.WAIT),
        (255, "System is booting up. Unprivileged users are not permitted to log in yet.", _ssh.WAIT),
        (255, "admin@203.0.113.5: Permission denied (publickey).", _ssh.REFUSED),
        (255, "Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures", _ssh.REFUSED),
        (255, "Host key verification failed.", _ssh.MISMATCH),
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nPermission denied", _ssh.MISMATCH),
        (255, "No ED25519 host key is known for i-1 and you have requested strict checking.", _ssh.MISMATCH),
        (142, 'Please login as the user "ubuntu" rather than the user "root".', _ssh.WRONG_USER),
        (255, 'Load key "/k": invalid format\nadmin@1.2.3.4: Permission denied (publickey).', _ssh.BAD_KEY),
        (255, "WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermission denied (publickey).", _ssh.BAD_KEY),
        (255, "ssh: Could not resolve hostname nowhere: Name or service not known", _ssh.BAD_ADDRESS),
        (255, 'unix_listener: path "/x" too long for Unix domain socket', _ssh.BAD_CONTROL_PATH),
        (255, "", _ssh.WAIT),
        (1, "something else", _ssh.WAIT),
    ],
)
def test_classify_ssh(code, text, expected):
    assert classify_ssh(code, text) == expected


def test_a_command_that_hangs_counts_as_no_connection():
    result = _ssh.run(["sleep", "600"], 0.1)
    assert result.returncode == 255
    assert "no answer within" in result.stderr


def test_carriage_returns_stay():
    assert _ssh.run(["printf", "a\\rb\\n"], 5).stdout == "a\rb\n"


def test_a_command_that_is_missing():
    assert _ssh.run(["no-such-command-here"], 1).returncode == 127


@pytest.fixture
def key(tmp_path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
    return tmp_path / "k"


def test_good_key(key):
    assert private_key_problem(str(key)) is None
    assert same_key(str(key), key.with_suffix(".pub").read_text()) is True


def test_missing_key(tmp_path):
    assert "does not exist" in str(private_key_problem(str(tmp_path / "no")))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o677])
def test_key_that_others_can_read(key, mode):
    key.chmod(mode)
    assert f"mode {mode:04o} lets others read it; run: chmod 600" in str(private_key_problem(str(key)))


def test_something_that_is_no_key(tmp_path):
    path = tmp_path / "k"
    path.write_text("hello\n")
    path.chmod(0o600)
    assert "is not a private key" in str(private_key_problem(str(path)))


def test_public_half_of_another_key(key, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    key.with_suffix(".pub").write_text((tmp_path / "other.pub").read_text())
    assert "does not belong to" in str(private_key_problem(str(key)))
    assert same_key(str(key), (tmp_path / "other.pub").read_text()) is False
    assert same_key(str(key), "") is None


def test_key_with_a_passphrase_needs_an_agent(tmp_path, monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path = tmp_path / "k"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True)
    assert "ssh-add" in str(private_key_problem(str(path)))
