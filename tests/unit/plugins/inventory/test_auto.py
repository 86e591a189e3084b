"""Our own playbooks leave the inventory file unread; whoever else asks sees what it tells."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.inventory.auto import ROOT, finds_its_hosts, stays_unread

pytestmark = pytest.mark.slow

# An inventory plugin of ansible-core that needs no network; what it tells shows that it was asked.
ASKED = "plugin: ansible.builtin.generator\nhosts:\n  name: '{{ name }}'\n  parents: []\nlayers:\n  name: [seen]\n"


@pytest.mark.parametrize(
    ("named", "ours"),
    [
        ([], False),
        (["experiments.spot.launch"], True),
        (["all"], False),
        (["experiment_lab"], False),
        ([str(ROOT / "launch.yml")], True),
        ([str(ROOT / "playbooks/launch.yml")], True),
        ([str(ROOT / "launch.yml"), "own.yml"], False),
        (["own.yml"], False),
        ([str(ROOT / "galaxy")], False),
    ],
)
def test_what_finds_its_hosts(named: list[str], ours: bool) -> None:
    assert finds_its_hosts(named) is ours


def test_own_playbook_of_the_same_name_is_not_ours(tmp_path: Path) -> None:
    own = tmp_path / "launch.yml"
    own.write_text("[]\n")
    assert finds_its_hosts([str(own)]) is False


def run(folder: Path, program: str, *args: str) -> str:
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_INVENTORY": str(folder / "hosts.yml")}
    command = [str(Path(sys.executable).parent / program), *args]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_ansible_inventory_and_other_playbooks_see_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(ASKED)
    assert "seen" in json.loads(run(tmp_path, "ansible-inventory", "--list"))["ungrouped"]["hosts"]
    (tmp_path / "own.yml").write_text("- hosts: all\n  tasks: []\n")
    assert "seen" in run(tmp_path, "ansible-playbook", "own.yml", "--list-hosts")
    assert "seen" not in run(tmp_path, "ansible-playbook", str(ROOT / "status.yml"), "--list-hosts")
    assert "seen" not in run(tmp_path, "ansible-playbook", "experiments.spot.status", "--list-hosts")


STATIC = {
    "hosts.yml": "all: {hosts: {seen: {ansible_host: '{{ 1 + 1 }}'}}}\n",
    "hosts.ini": "[gpu]\nseen ansible_host='{{ 1 + 1 }}'\n",
    "hosts": "seen ansible_host='{{ 1 + 1 }}'\n",
}


@pytest.mark.parametrize("name", STATIC)
def test_static_files_are_read_with_their_templates(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(STATIC[name])
    shown = run(tmp_path, "ansible", "-i", name, "all", "-m", "ansible.builtin.debug", "-a", "var=ansible_host")
    assert "seen | SUCCESS" in shown and re.search(r"ansible_host: '?2", shown), shown


def test_provision_reads_what_it_is_given_and_not_the_instances_of_experiments(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(ASKED)
    (tmp_path / "hosts.ini").write_text("seen\n")
    for playbook in (str(ROOT / "provision.yml"), "experiments.spot.provision"):
        assert "seen" in run(tmp_path, "ansible-playbook", playbook, "--list-hosts", "-i", "hosts.ini")
        assert stays_unread(str(ROOT / "inventory/spot.aws_ec2.yml"), [playbook])
    assert "seen" not in run(tmp_path, "ansible-playbook", str(ROOT / "status.yml"), "--list-hosts", "-i", "hosts.ini")


def test_a_mistake_in_a_file_is_told_once_and_a_program_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("[gpu]\nseen\n")
    text = run(tmp_path, "ansible-inventory", "--list")
    assert "Traceback" not in text and text.count("Unable to parse") == 1, text
    program = tmp_path / "hosts"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    run(tmp_path, "ansible-inventory", "--list", "-i", str(program))
    assert not (tmp_path / "ran").exists()
