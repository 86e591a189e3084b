"""Volumes by hand, and a launch that takes its volumes to another zone: the same bytes are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
image: {ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64}
capacity: {instance_types: [t3.medium], wait: 1}
channels: []
job: null
runtime: {docker: false}
volumes:
  - {name: ext, size: 1, mount_point: /ext}
  - {name: fast, size: 1, mount_point: /fast, fs_type: xfs}
recovery: {move_volumes: true}
"""
CAP_SYS_RESOURCE = 24  # source: capabilities(7), linux/capability.h; ext4's online resize
NAME = "moving"
PLAY = ("-e", f"profile={NAME}")


def volumes(user: User, *args: str) -> dict[str, dict[str, Any]]:
    """What volumes.yml lists of the experiment, by name."""
    text = user.play("volumes", "-e", f"experiment={NAME}", "-e", "format=json", *args)
    found = json.JSONDecoder().raw_decode(text, text.index('{\n    "cost_per_month"'))[0]
    return {one["name"]: one for one in found["volumes"]}


def snapshots(user: User) -> list[str]:
    """Ids of the snapshots of the experiment."""
    wanted = [{"Name": "tag:spot:experiment", "Values": [NAME]}]
    return [one["SnapshotId"] for one in user.client().describe_snapshots(Filters=wanted)["Snapshots"]]


def size_of(user: User, instance: str, path: str) -> int:
    """MiB of a mounted file system, as statvfs tells them."""
    return int(user.ssh(instance, NAME, f"stat -f -c '%b %S' {path} | awk '{{print int($1 * $2 / 1048576)}}'"))


def may_resize() -> bool:
    """Whether this machine may grow a mounted ext4: its kernel asks for CAP_SYS_RESOURCE, which some builders lack."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(status["CapEff"], 16) >> CAP_SYS_RESOURCE & 1)


def test_a_volume_is_grown_while_it_is_written_to(user: User) -> None:
    (user.folder / f"profiles/{NAME}.yml").write_text(PROFILE)
    user.play("launch", *PLAY)
    (instance,) = user.alive(NAME)
    user.ssh(
        instance, NAME, "for d in /ext /fast; do dd if=/dev/urandom of=$d/data bs=1M count=20 status=none; sync; done"
    )
    assert size_of(user, instance, "/ext") < 1024 and size_of(user, instance, "/fast") < 1024
    before = user.changing_calls()
    predicted = user.play("volumes", "-e", "do=update", "-e", "volume=ext", "-e", "size=2", "--check")
    assert "would be: 2 GiB" in predicted and user.changing_calls() == before
    text = user.play("volumes", "-e", "do=update", "-e", "volume=fast", "-e", "size=2")
    assert "is now: 2 GiB" in text and "/fast: file system grown" in text and "four in 24 hours" in text
    assert size_of(user, instance, "/fast") > 1800
    before = user.changing_calls()
    assert "is already: 2 GiB" in user.play("volumes", "-e", "do=update", "-e", "volume=fast", "-e", "size=2")
    assert user.changing_calls() == before
    text = user.play("volumes", "-e", "do=update", "-e", "volume=ext", "-e", "size=2", fails=not may_resize())
    if may_resize():
        assert "/ext: file system grown" in text and size_of(user, instance, "/ext") > 1800
    else:
        assert "the file system at /ext was not grown: " in text and "Permission denied to resize" in text
    refused = user.play("volumes", "-e", "do=delete", "-e", "volume=ext", fails=True)
    assert f"is attached to {instance} ({NAME})" in refused


def test_the_next_generation_takes_its_volumes_to_another_zone(user: User) -> None:
    (instance,) = user.alive(NAME)
    sums = user.ssh(instance, NAME, "cat /ext/data /fast/data | md5sum")
    known = volumes(user)
    old_zone, old_ids = known["ext"]["zone"], {one["volume_id"] for one in known.values()}
    user.client().terminate_instances(InstanceIds=[instance])
    user.client().get_waiter("instance_terminated").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    user.control("capacity", type="*", zone=old_zone, count=0)

    stays = user.play("launch", *PLAY, "-e", "recovery.move_volumes=false", fails=True)
    assert "volumes.yml -e do=move -e volume=vol-" in stays and "does not say recovery.move_volumes" in stays
    assert {one["volume_id"] for one in volumes(user).values()} == old_ids

    # Cut off where it hurts most: the instance is there, its volumes are not.
    user.control("fail", action="CreateVolume", code="OperationNotPermitted")
    text = user.play("launch", *PLAY, "-e", "keep=true", fails=True)
    assert f"No capacity in {old_zone}" in text and "ec2:CreateVolume" in text
    (second,) = user.alive(NAME)
    assert {one["volume_id"] for one in volumes(user).values()} == old_ids

    text = user.play("launch", *PLAY)
    assert "the old one is kept" in text and user.alive(NAME) == [second]
    assert user.ssh(second, NAME, "cat /ext/data /fast/data | md5sum") == sums
    now = volumes(user)
    assert now["ext"]["attached_to"] == [second] == now["fast"]["attached_to"]
    assert now["ext"]["zone"] != old_zone and {now["ext.old"]["volume_id"], now["fast.old"]["volume_id"]} == old_ids
    assert not snapshots(user)
    before = user.changing_calls()
    user.play("launch", *PLAY)
    assert user.changing_calls() == before and user.alive(NAME) == [second]


def test_back_again_by_hand_and_away_with_the_old_ones(user: User) -> None:
    now = volumes(user)
    home = now["ext.old"]["zone"]
    sums = user.ssh(user.alive(NAME)[0], NAME, "cat /ext/data /fast/data | md5sum")
    user.control("reset", controls=True)
    closed = user.play("close", *PLAY)
    assert "ext.old" in closed
    user.play(
        "volumes", "-e", "do=delete", "-e", f"volume={now['ext.old']['volume_id']},{now['fast.old']['volume_id']}"
    )
    args = ("-e", "do=move", "-e", "volume=ext,fast", "-e", f"zone={home}", "-e", "delete_old=true")
    assert "Would be moved" in user.play("volumes", *args, "--check")
    text = user.play("volumes", *args)
    assert "Moved" in text and "do=delete -e snapshot=snap-" in text
    moved = volumes(user)
    assert {one["zone"] for one in moved.values()} == {home} and set(moved) == {"ext", "fast"}
    user.play("launch", *PLAY)
    (third,) = user.alive(NAME)
    assert user.ssh(third, NAME, "cat /ext/data /fast/data | md5sum") == sums
    user.play("close", *PLAY, "-e", "delete_volumes=all")
    assert len(snapshots(user)) == 2, "instead of the old volumes"
    (user.folder / "sums").write_text(sums)


DATA_SET = """
extends: lab
image: {ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64}
capacity: {instance_types: [t3.medium], count: 2}
channels: []
job: null
runtime: {docker: false}
volumes:
  - {name: out, size: 1, mount_point: /out}
  - {name: ext, snapshot_id: SNAP0, read_only: true, mount_point: /ext}
  - {name: fast, snapshot_id: SNAP1, read_only: true, mount_point: /fast, fs_type: xfs}
"""


def test_snapshots_are_data_sets_of_every_instance(user: User) -> None:
    wanted = [{"Name": "tag:spot:experiment", "Values": [NAME]}]
    found = user.client().describe_snapshots(Filters=wanted)["Snapshots"]
    names = {tag["Value"]: one["SnapshotId"] for one in found for tag in one["Tags"] if tag["Key"] == "spot:volume"}
    text = DATA_SET.replace("SNAP0", names["ext"]).replace("SNAP1", names["fast"])
    (user.folder / "profiles/sets.yml").write_text(text)
    predicted = user.play("launch", "-e", "profile=sets", "--check")
    assert f"Data set ext: 2 GiB gp3 of {names['ext']}, comes and goes with the instance" in predicted
    user.play("launch", "-e", "profile=sets")
    for instance in user.alive("sets"):
        assert user.ssh(instance, "sets", "cat /ext/data /fast/data | md5sum") == (user.folder / "sums").read_text()
        assert "Read-only" in user.ssh(instance, "sets", "sudo touch /ext/new 2>&1 || true")
    first = user.alive("sets")[0]
    user.ssh(first, "sets", "echo kept > /out/note")
    user.reboot(first, "sets")
    sums = user.ssh(first, "sets", "cat /out/note; cat /ext/data /fast/data | md5sum")
    assert sums == "kept\n" + (user.folder / "sums").read_text()
    before = user.changing_calls()
    user.play("launch", "-e", "profile=sets")
    assert user.changing_calls() == before
    user.ssh(first, "sets", "cd /out; setsid sleep 3600 < /dev/null > /dev/null 2>&1 &")
    refused = user.play("close", "-e", "profile=sets", fails=True)
    assert "sleep (pid" in refused and "-e force=true" in refused and first in user.alive("sets")
    assert len(user.alive("sets")) == 2, "the other one has not ended either"
    predicted = user.play("close", "-e", "profile=sets", "-e", "force=true", "--check")
    assert f"Would go: instances {first}" in predicted and "lists nothing" not in predicted
    user.play("close", "-e", "profile=sets", "-e", "force=true")
    assert len(user.tagged("sets")["volume"]) == 2, "of each instance its own; the data sets have gone with them"
    user.play("close", "-e", "profile=sets", "-e", "delete_volumes=all")
    for one in found:
        user.client().delete_snapshot(SnapshotId=one["SnapshotId"])
    assert user.tagged("sets") == {} == user.tagged(NAME)
