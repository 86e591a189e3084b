"""The lists of volumes and snapshots, on the API of the lab."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import volume_info
from tests.unit.plugins.module_utils._experiment import wire
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws  # noqa: F401


@pytest.fixture
def run(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: wire.run(volume_info.main, capsys, **args)


def test_nothing(run: Any) -> None:
    found = run()
    assert (found.volumes, found.snapshots, found.cost_per_month, found.changed) == ([], [], 0, False)


def test_own_ones_and_all(aws: Aws, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("lab.aws.modifications.OPTIMIZING", 3600)
    instance, mine = aws.instance(), aws.volume()
    aws.ec2.attach_volume(VolumeId=mine, InstanceId=instance, Device="/dev/sdf")
    foreign = aws.ec2.create_volume(AvailabilityZone="us-east-1b", Size=10, VolumeType="gp2")["VolumeId"]
    tagged = aws.tag_specification("snapshot", **{"spot:volume": "data"})
    snapshot = aws.ec2.create_snapshot(VolumeId=mine, TagSpecifications=tagged)["SnapshotId"]
    other = aws.ec2.create_snapshot(VolumeId=foreign)["SnapshotId"]
    aws.ec2.modify_volume(VolumeId=mine, Size=3)
    found = run()
    (row,) = found.volumes
    assert (row["volume_id"], row["attached_to"], row["experiment"], row["size"]) == (mine, [instance], "lab", 3)
    assert row["note"].startswith("optimizing") and row["ours"]
    assert [one["snapshot_id"] for one in found.snapshots] == [snapshot]
    assert found.cost_per_month == pytest.approx(3 * 0.08 + 2 * 0.05)
    everything = run(all=True)
    assert {mine, foreign} < {one["volume_id"] for one in everything.volumes}, "and the root volume"
    assert {one["snapshot_id"] for one in everything.snapshots} == {snapshot, other}
    assert run(experiment="other").volumes == [] and run(experiment="lab").volumes
    assert [one["volume_id"] for one in run(volume="data").volumes] == [mine]


def test_permissions(aws: Aws, run: Any) -> None:  # noqa: F811
    aws.volume()
    aws.deny("DescribeVolumesModifications")
    found = run()
    assert len(found.volumes) == 1 and "ec2:DescribeVolumesModifications" in found.notes[0]
    aws.deny("DescribeVolumes")
    aws.deny("DescribeSnapshots")
    found = run()
    assert found.rc and "ec2:DescribeVolumes is not" in found.msg and "ec2:DescribeSnapshots is not" in found.msg
