"""Snapshots taken, waited for and deleted on the API of the lab, with real boto3."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import volume_snapshot
from tests.unit.plugins.module_utils._experiment import wire
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws  # noqa: F401


@pytest.fixture
def run(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: wire.run(volume_snapshot.main, capsys, **{"timeout": 60, **args})


def snapshots(aws: Aws) -> list[dict[str, Any]]:  # noqa: F811
    return aws.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]


def test_named_snapshot_is_taken_once(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume()
    assert run(volume=source, snapshot="before", _ansible_check_mode=True).changed and not snapshots(aws)
    made = run(volume="data", snapshot="before", tags={"a": "b"})
    assert made.changed and (made.snapshot["state"], made.snapshot["progress"]) == ("completed", "100%")
    assert made.snapshot["tags"].items() >= {"Name": "before", "spot:volume": "data", "a": "b"}.items()
    assert made.snapshot["volume_id"] == source and made.snapshot["cost_per_month"] == pytest.approx(0.1)
    assert not run(volume="data", snapshot="before").changed
    assert len(snapshots(aws)) == 1


@pytest.mark.slow
def test_progress_is_told_until_it_is_complete(aws: Aws, run: Any, tmp_path: Path) -> None:  # noqa: F811
    source, told = aws.volume(), tmp_path / "told"
    aws.app.world.machines.delay = 60

    def slowly() -> None:
        while not aws.app.world.snapshot_states:
            time.sleep(0.02)
        (made,) = aws.app.world.snapshot_states
        aws.app.cloud.snapshot_progress(made, 50)
        while not (told.exists() and "50%" in told.read_text()):
            time.sleep(0.02)
        aws.app.cloud.snapshot_completed(made)

    threading.Thread(target=slowly, daemon=True).start()
    assert run(volume=source, progress_file=str(told)).changed
    assert "50%" in told.read_text()


def test_one_that_is_under_way_is_waited_for(
    aws: Aws,  # noqa: F811
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = aws.volume()
    aws.app.world.machines.delay = 60
    late = run(volume=source, timeout=0)
    assert late.rc and "the same command goes on waiting" in late.msg and "0%" in late.msg
    original = volume_snapshot.known

    def complete_when_seen(*args: Any) -> Any:
        found = original(*args)
        aws.app.cloud.snapshot_completed(found["SnapshotId"])
        return found

    monkeypatch.setattr(volume_snapshot, "known", complete_when_seen)
    again = run(volume=source)
    assert not again.changed and len(snapshots(aws)) == 1


@pytest.mark.slow
def test_a_snapshot_that_fails(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume()
    aws.app.world.machines.delay = 60
    assert run(volume=source, snapshot="x", timeout=0).rc
    for one in aws.app.world.snapshot_states:
        aws.app.world.snapshot_states[one] = "error"
    assert run(volume=source, snapshot="x", timeout=0).rc, "one that failed does not count"
    found = volume_snapshot.known([{"SnapshotId": "s", "State": "error"}], None)
    assert found is None


def test_wrong_names(aws: Aws, run: Any) -> None:  # noqa: F811
    assert "there is no volume nothing" in run(volume="nothing").msg
    aws.volume()
    aws.deny("CreateSnapshot")
    denied = run(volume="data")
    assert "ec2:CreateSnapshot is not allowed" in denied.msg and "take a snapshot of data" in denied.msg


def test_delete(aws: Aws, run: Any) -> None:  # noqa: F811
    source = aws.volume()
    first, second = [run(volume=source, snapshot=name).snapshot["snapshot_id"] for name in ("one", "two")]
    foreign = aws.ec2.create_snapshot(VolumeId=source)["SnapshotId"]
    assert "was not made by this collection" in run(state="absent", snapshot=foreign).msg
    assert run(state="absent", snapshot=foreign, force=True).changed
    assert run(state="absent", snapshot="one", _ansible_check_mode=True).changed
    assert run(state="absent", snapshot="one").changed and run(state="absent", snapshot=second).changed
    assert not run(state="absent", snapshot=first).changed and not snapshots(aws)
