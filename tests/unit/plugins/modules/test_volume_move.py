"""Volumes moved between zones on the API of the lab, with real boto3; cut off at each step."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import volume_move
from tests.unit.plugins.module_utils._experiment import wire
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws  # noqa: F401

pytestmark = pytest.mark.slow

OLD, NEW = "us-east-1a", "us-east-1b"


@pytest.fixture
def run(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    def call(*names: str, **args: Any) -> Any:
        return wire.run(
            volume_move.main, capsys, **{"timeout": 60, "zone": NEW, **args}, volumes=list(names or ["data"])
        )

    return call


def volumes(aws: Aws) -> dict[str, dict[str, Any]]:  # noqa: F811
    """All volumes by id, tags as a dict."""
    found = aws.ec2.describe_volumes()["Volumes"]
    return {
        one["VolumeId"]: {**one, "tags": {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}} for one in found
    }


def snapshots(aws: Aws) -> list[dict[str, Any]]:  # noqa: F811
    return aws.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]


def named(aws: Aws) -> list[str]:  # noqa: F811
    """Ids of the volumes that a launch would find."""
    return [one for one, volume in volumes(aws).items() if volume["tags"].get("spot:volume") == "data"]


def test_moved_once_and_the_old_one_stays_without_its_name(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume(OLD, team="vision")
    predicted = run(_ansible_check_mode=True)
    assert predicted.changed and predicted.diff["after"] != predicted.diff["before"] and named(aws) == [source]
    moved = run()
    (row,) = moved.volumes
    assert moved.changed and row["zone"] == NEW and row["old_volume_id"] == source
    assert named(aws) == [row["volume_id"]] and row["volume_id"] != source
    new, old = volumes(aws)[row["volume_id"]], volumes(aws)[source]
    kept = {"spot:experiment": "lab", "spot:rank": "0", "spot:generation": "1", "Name": "lab", "team": "vision"}
    assert new["tags"] == {**kept, "spot:volume": "data", "spot:moved-from": source, "spot:profile": "lab"}
    assert old["tags"]["spot:moved-to"] == row["volume_id"] and old["tags"]["Name"] == "lab.old"
    assert "spot:moving" not in old["tags"] and not snapshots(aws)
    aws.forget_calls()
    assert not run().changed and not aws.calls(mutating=True)
    later = run(delete_old=True)
    assert later.changed and list(volumes(aws)) == [row["volume_id"]]
    assert not run(delete_old=True).changed


def test_the_old_one_is_deleted_only_when_asked_for_and_the_snapshot_stays_instead(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume(OLD)
    moved = run(delete_old=True)
    assert source not in volumes(aws) and named(aws) == [moved.volumes[0]["volume_id"]]
    (kept,) = snapshots(aws)
    assert moved.snapshot_ids == [kept["SnapshotId"]]
    assert not run(delete_old=True).changed and snapshots(aws)


def test_there_and_back(aws: Aws, run: Any) -> None:  # noqa: F811
    aws.volume(OLD)
    run()
    back = run(zone=OLD)
    assert back.changed and named(aws) == [back.volumes[0]["volume_id"]] and back.volumes[0]["zone"] == OLD
    assert len(volumes(aws)) == 3


@pytest.mark.parametrize("action", ["CreateSnapshot", "CreateVolume", "CreateTags", "DeleteTags", "DeleteSnapshot"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_a_move_that_is_cut_off_goes_on_and_a_launch_never_finds_none(
    aws: Aws,  # noqa: F811
    run: Any,
    action: str,
    number: int,
    after: bool,
) -> None:
    """The answer of the call, or the call itself, is lost; the same command leads to the same end."""
    aws.volume(OLD)
    aws.fail(action, after=after, skip=number - 1)
    first = run()
    assert named(aws), "an empty volume would be made"
    found = first
    if first.rc:
        aws.app.world.faults.clear()
        found = run()
    assert not found.rc, found.msg
    assert named(aws) == [found.volumes[0]["volume_id"]] and found.volumes[0]["zone"] == NEW
    assert len(volumes(aws)) == 2 and len(snapshots(aws)) <= after


def test_prepared_first_then_moved_by_the_same_snapshot(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume(OLD)
    ready = run(zone=None)
    assert ready.changed and len(snapshots(aws)) == 1 and named(aws) == [source]
    assert not run(zone=None, _ansible_check_mode=True).changed
    aws.forget_calls()
    assert run().volumes[0]["snapshot_id"] == ready.snapshot_ids[0]
    assert "CreateSnapshot" not in aws.calls()


def test_what_was_prepared_in_vain_is_removed(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume(OLD)
    run(zone=None)
    stayed = run(zone=OLD)
    assert stayed.changed and not snapshots(aws) and "spot:moving" not in volumes(aws)[source]["tags"]
    assert not run(zone=OLD).changed


def test_a_snapshot_from_before_the_volume_was_used_again_is_not_taken(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume(OLD)
    first = run(zone=None).snapshot_ids[0]
    aws.ec2.delete_tags(Resources=[source], Tags=[{"Key": "spot:moving"}])  # what attaching it does
    moved = run()
    assert moved.volumes[0]["snapshot_id"] != first and not snapshots(aws)


def test_nor_one_of_a_volume_that_somebody_still_holds(
    aws: Aws,  # noqa: F811
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, instance = aws.volume(OLD), aws.instance()
    first = run(zone=None).snapshot_ids[0]
    aws.ec2.attach_volume(VolumeId=source, InstanceId=instance, Device="/dev/sdf")  # by hand, so the tag stays
    original = volume_move.work.Mover.wait_free

    def end(self: Any, sources: Any) -> None:
        aws.ec2.terminate_instances(InstanceIds=[instance])
        original(self, sources)

    monkeypatch.setattr(volume_move.work.Mover, "wait_free", end)
    moved = run(leaving_instance_ids=[instance])
    assert not moved.rc and moved.volumes[0]["snapshot_id"] != first


def test_one_that_is_attached_while_it_is_moved_stays(aws: Aws, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    source = aws.volume(OLD)
    original = volume_move.work.Mover.copy

    def attached(self: Any, traces: Any, *args: Any) -> Any:
        aws.ec2.delete_tags(Resources=[source], Tags=[{"Key": "spot:moving"}])
        return original(self, traces, *args)

    monkeypatch.setattr(volume_move.work.Mover, "copy", attached)
    found = run()
    assert found.rc and "was attached while it was moved" in found.msg and named(aws) == [source]
    monkeypatch.undo()


def test_all_volumes_or_none(aws: Aws, run: Any) -> None:  # noqa: F811
    both = [aws.volume(OLD), aws.volume(OLD, **{"spot:rank": "1"})]
    aws.fail("CreateVolume", skip=1)
    assert run(*both).rc and sorted(named(aws)) == sorted(both)
    aws.app.world.faults.clear()
    moved = run(*both)
    assert not moved.rc and sorted(named(aws)) == sorted(one["volume_id"] for one in moved.volumes)
    assert [one["rank"] for one in moved.volumes] == [0, 1] and len(volumes(aws)) == 4


def test_bad_wishes(aws: Aws, run: Any) -> None:  # noqa: F811
    held, instance = aws.volume(OLD), aws.instance()
    aws.ec2.attach_volume(VolumeId=held, InstanceId=instance, Device="/dev/sdf")
    aws.forget_calls()
    found = run(held, "nothing", zone="mars")
    assert "there is no volume nothing" in found.msg and "there is no zone mars" in found.msg
    assert f"is attached to {instance} (lab)" in found.msg and not aws.calls(mutating=True)
    late = run(held, leaving_instance_ids=[instance], timeout=0)
    assert late.rc and f"from {instance}" in late.msg and not aws.calls(mutating=True)
    aws.ec2.detach_volume(VolumeId=held)
    aws.deny("CreateSnapshot")
    assert "ec2:CreateSnapshot is not allowed" in run(held).msg


def test_an_unproven_copy_changes_no_name(aws: Aws, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    source = aws.volume(OLD)
    monkeypatch.setattr(volume_move.move, "flaws", lambda *_args: ["size is 1, not 2"])
    found = run()
    assert found.rc and "size is 1, not 2" in found.msg and named(aws) == [source]
