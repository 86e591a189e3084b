"""The action ssh_config: the two files, and a login with them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.experiments.spot.plugins.action import ssh_config

ALIAS = "i-0123456789abcdef0"


def hosts(**more: Any) -> dict[str, Any]:
    variables = {
        "ansible_host": "203.0.113.7",
        "ansible_user": "ubuntu",
        "ansible_port": 22,
        "ansible_ssh_private_key_file": "/k/digits",
        "spot_rank": 0,
        "spot_instance_id": ALIAS,
        "spot_generation": 1,
    }
    return {"hostvars": {"h": {**variables, **more}}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(make_action: Any, variables: dict[str, Any] | None = None, check_mode: bool = False, **args: Any) -> Any:
    given = {"experiment": "digits", "hosts": ["h"], **args}
    plugin = make_action(ssh_config, given, transport="local", check_mode=check_mode, diff=True)
    return plugin.run(task_vars=variables or hosts())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_a_folder_both_files_are_made_for_their_owner_alone(make_action: Any, home: Path) -> None:
    answer = write(make_action)
    assert (answer["changed"], answer["ssh"], answer["hosts"]) == (True, "ssh", ["spot-digits"])
    assert [one["after_header"] for one in answer["diff"]] == [
        str(home / ".ssh/experiments.spot/config"),
        str(home / ".ssh/config"),
    ]
    for name, expected in {
        "": 0o700,
        "config": 0o600,
        "experiments.spot": 0o700,
        "experiments.spot/config": 0o600,
    }.items():
        assert mode(home / ".ssh" / name) == expected
    again = write(make_action)
    assert again["changed"] is False and again["diff"] == [] and again["hosts"] == ["spot-digits"]


def test_check_mode_tells_and_writes_nothing(make_action: Any, home: Path) -> None:
    answer = write(make_action, check_mode=True)
    assert answer["changed"] is True and "Host spot-digits\n" in answer["diff"][0]["after"]
    assert not (home / ".ssh").exists()


def test_the_users_file_keeps_its_text_its_permissions_and_its_link(make_action: Any, home: Path) -> None:
    mine = b"# J\xfcrgen\nHost x\n  User y\n"
    (home / ".ssh").mkdir()
    (home / "dotfiles").write_bytes(mine)
    (home / "dotfiles").chmod(0o644)
    (home / ".ssh/config").symlink_to(home / "dotfiles")
    write(make_action)
    first, _end, rest = (home / "dotfiles").read_bytes().partition(b"\n")
    assert first.startswith(b"Include ") and rest == mine
    assert (home / ".ssh/config").is_symlink() and mode(home / "dotfiles") == 0o644


def test_close_removes_the_entry_and_leaves_the_rest(make_action: Any, home: Path) -> None:
    write(make_action)
    write(make_action, experiment="other")
    assert write(make_action, state="absent")["changed"] is True
    text = (home / ".ssh/experiments.spot/config").read_text()
    assert "spot-digits" not in text and "Host spot-other\n" in text
    assert write(make_action, state="absent")["changed"] is False
    # A name that no profile can have is no reason for close to fail.
    assert write(make_action, state="absent", experiment="A b")["changed"] is False


def test_close_removes_both_halves_of_the_key(make_action: Any, home: Path) -> None:
    write(make_action)
    for name in ("digits", "digits.pub", "other"):
        (home / ".ssh/experiments.spot" / name).write_text("a key")
    keys = home / ".ssh/experiments.spot"
    given = {"state": "absent", "private_key_file": str(keys / "digits")}
    foreseen = write(make_action, check_mode=True, **given)
    assert foreseen["changed"] is True and (keys / "digits").exists() and (keys / "digits.pub").exists()
    answer = write(make_action, **given)
    assert foreseen["diff"] == answer["diff"]
    assert [one["before_header"] for one in answer["diff"]] == [
        str(keys / n) for n in ("digits", "digits.pub", "config")
    ]
    assert sorted(path.name for path in keys.iterdir()) == ["config", "config.lock", "other"]
    again = write(make_action, **given)
    assert (again["changed"], again["diff"]) == (False, [])


def test_a_name_that_leads_elsewhere_removes_no_key(make_action: Any, home: Path) -> None:
    (home / "mine").write_text("a key")
    for name in ("../mine", "A b"):
        given = {"state": "absent", "experiment": name, "private_key_file": str(home / ".ssh/../mine")}
        assert write(make_action, **given)["changed"] is False
    assert (home / "mine").exists()


def test_a_key_that_cannot_be_removed_is_told(make_action: Any, home: Path) -> None:
    (home / "key").mkdir()  # nobody, root neither, unlinks a directory
    with pytest.raises(AnsibleActionFail, match=r"The key .*/key cannot be removed: Is a directory"):
        write(make_action, state="absent", private_key_file=str(home / "key"))


def test_nothing_is_made_to_forget_an_experiment(make_action: Any, home: Path) -> None:
    assert write(make_action, state="absent")["changed"] is False
    assert not (home / ".ssh").exists()


def test_an_entry_stays_while_all_instances_are_being_taken(make_action: Any, home: Path) -> None:
    write(make_action)
    assert write(make_action, hosts=[])["changed"] is False
    assert "spot-digits" in (home / ".ssh/experiments.spot/config").read_text()


def test_permissions_that_are_too_wide_are_mended(make_action: Any, home: Path) -> None:
    write(make_action)
    config = home / ".ssh/experiments.spot/config"
    config.chmod(0o644)
    assert write(make_action)["changed"] is True and mode(config) == 0o600


def test_a_file_of_the_user_that_cannot_be_written_is_told(make_action: Any, home: Path) -> None:
    (home / ".ssh/config").mkdir(parents=True)
    answer = write(make_action)
    assert "failed" not in answer
    assert "Include" in answer["warnings"][0] and str(home / ".ssh/config") in answer["warnings"][0]
    assert answer["ssh"] == f"ssh -F {home}/.ssh/experiments.spot/config"


def test_a_folder_that_cannot_be_written_is_told(make_action: Any, home: Path) -> None:
    (home / ".ssh").write_text("")
    answer = write(make_action)
    assert "failed" not in answer and answer["ssh"] == ""
    assert "access.ssh_config: false" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("args", "more", "expected"),
    [({"experiment": "a b"}, {}, "lower-case"), ({}, {"ansible_host": "a\nHost *"}, "address")],
)
def test_what_cannot_stand_in_the_file(make_action: Any, home: Path, args: Any, more: Any, expected: str) -> None:
    with pytest.raises(AnsibleActionFail, match=expected):
        write(make_action, hosts(**more), **args)
    assert not (home / ".ssh").exists()


def test_ssh_logs_in_by_the_name_and_only_to_the_host_with_the_key(make_action: Any, home: Path, sshd: Any) -> None:
    variables = hosts(
        ansible_host=sshd.address, ansible_port=sshd.port, ansible_user=sshd.user, ansible_ssh_private_key_file=sshd.key
    )
    write(make_action, variables, known_hosts_file=sshd.known_hosts)

    def typed() -> subprocess.CompletedProcess[str]:
        options = ["-o", "BatchMode=yes", "-o", "ControlPath=none"]
        argv = ["ssh", "-F", str(home / ".ssh/config"), *options, "spot-digits", "echo", "in"]
        return subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ})

    assert typed().stdout == "in\n"
    write(make_action, variables, known_hosts_file="/dev/null")
    assert "Host key verification failed" in typed().stderr
