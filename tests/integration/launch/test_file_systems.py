"""One file system for two instances and for the next one: launched, rebooted, taken by AWS, resumed, closed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

SHARED = """
extends: default
region: us-east-1
capacity: {instance_types: [t3.medium, t3.large], count: 2}
image: {ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64, root_volume_size: 8}
access: {remote_user: admin}
runtime: {docker: false}
file_systems:
  - {name: shared-team, mount_point: /mnt/team, path: /projects/one, mode: "0770", transition_to_ia: 30}
"""
RUN = ("-e", "profile=shared")
READ, MOUNTED = "cat /mnt/team/note", "findmnt --noheadings --output TARGET /mnt/team"


@pytest.fixture(scope="module", autouse=True)
def shared(user: User) -> None:
    (user.folder / "profiles/shared.yml").write_text(SHARED)


def the_file_system(user: User) -> dict[str, Any]:
    (found,) = user.client("efs").describe_file_systems(CreationToken="shared-team")["FileSystems"]
    return dict(found)


def test_two_instances_share_the_files(user: User) -> None:
    text = user.play("launch", *RUN)
    assert "File system shared-team: new, encrypted, elastic throughput, mounted at /mnt/team" in text
    assert "mount target in us-east-1" in text
    assert "at /mnt/team, plain NFS inside the VPC" in text
    first, second = user.alive("shared")
    user.ssh(first, "shared", "echo of the first > /mnt/team/note")
    assert user.ssh(second, "shared", READ) == "of the first\n"
    made = the_file_system(user)
    assert (made["ThroughputMode"], made["Encrypted"]) == ("elastic", True)
    calls = len(user.changing_calls())
    user.play("launch", *RUN)
    assert len(user.changing_calls()) == calls
    (row, _other) = user.status("-e", "experiment=shared")
    assert "shared-team EFS" in row["volumes"]


def test_a_reboot_mounts_it_again(user: User) -> None:
    first = user.alive("shared")[0]
    user.reboot(first, "shared")
    assert user.ssh(first, "shared", f"{MOUNTED} | wc -l") == "1\n"
    assert user.ssh(first, "shared", READ) == "of the first\n"


def test_the_next_generation_has_them_too(user: User) -> None:
    first, second = user.alive("shared")
    user.control("interrupt", instance_id=first, notice=0)
    until = time.monotonic() + 60
    while first in user.alive("shared") and time.monotonic() < until:
        time.sleep(0.5)
    user.play("resume", *RUN)
    (new,) = set(user.alive("shared")) - {first, second}
    assert user.ssh(new, "shared", READ) == "of the first\n"


def test_close_keeps_it_until_it_is_named(user: User) -> None:
    text = user.play("close", *RUN)
    assert "shared-team" in text and "-e delete_file_systems=NAME" in text
    assert user.alive("shared") == []
    assert set(user.tagged("shared")) == {"security-group"}  # of the mount targets
    assert the_file_system(user)["NumberOfMountTargets"] > 0
    user.play("close", *RUN, "-e", "delete_file_systems=shared-team")
    assert user.client("efs").describe_file_systems()["FileSystems"] == []
    assert user.tagged("shared") == {}
    assert user.status("-e", "experiment=shared") == []
