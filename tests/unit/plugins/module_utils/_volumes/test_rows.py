"""Which volume a name means, and how volumes are shown."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._volumes import rows
from ansible_collections.experiments.spot.plugins.module_utils._volumes.rows import VolumeError


def volume(volume_id: str = "vol-00000001", zone: str = "a", state: str = "available", **tags: str) -> dict[str, Any]:
    named = {key.replace("__", ":"): value for key, value in tags.items()}
    return {
        "VolumeId": volume_id,
        "AvailabilityZone": zone,
        "State": state,
        "Size": 10,
        "VolumeType": "gp3",
        "Iops": 3000,
        "Throughput": 125,
        "Attachments": [],
        "Tags": [{"Key": key, "Value": value} for key, value in named.items()],
    }


MINE = volume(Name="data", spot__volume="data")
FOREIGN = volume("vol-00000002", Name="data")
GONE = volume("vol-00000003", state="deleting", Name="data", spot__volume="data")
STAGED = volume("vol-00000004", "b", Name="data", **{"spot:moving-from": "vol-00000001"})


def test_a_name_means_ours_before_others_and_nothing_that_goes_or_is_half_made() -> None:
    known = [FOREIGN, MINE, GONE, STAGED]
    assert rows.named("data", "", known) == [MINE]
    assert rows.named("data", "", [FOREIGN, GONE]) == [FOREIGN]
    assert rows.named("vol-00000003", "", known) == [GONE]
    assert rows.named("data", "other", known) == []


def test_one_of_several_must_be_said() -> None:
    other = volume("vol-00000005", "b", Name="data", spot__volume="data", spot__experiment="x")
    assert rows.only("data", []) is None
    with pytest.raises(
        VolumeError, match=r"vol-00000001 in a, vol-00000005 in b \(experiment x\); .*-e experiment=NAME"
    ):
        rows.only("data", [MINE, other])


def test_in_the_middle_of_the_last_step_of_a_move_the_source_counts() -> None:
    copy = volume("vol-00000006", "b", Name="data", spot__volume="data", **{"spot:moved-from": "vol-00000001"})
    assert rows.only("data", [copy, MINE]) == MINE
    assert rows.only("data", [copy]) == copy


@pytest.mark.parametrize(
    ("tags", "attachment", "ours"),
    [
        ({"spot:volume": "x"}, {}, True),
        ({"spot:moved-to": "vol-1"}, {}, True),
        ({"spot:experiment": "x"}, {"DeleteOnTermination": False}, True),
        ({"spot:experiment": "x"}, {"DeleteOnTermination": True}, False),
        ({"Name": "x"}, {}, False),
    ],
)
def test_ours(tags: dict[str, str], attachment: dict[str, Any], ours: bool) -> None:
    raw = volume(**tags)
    if attachment:
        raw["Attachments"] = [{"InstanceId": "i-1", **attachment}]
    assert rows.is_ours(raw) is ours


@pytest.mark.parametrize(
    ("state", "tags", "modification", "note"),
    [
        ("available", {}, {"ModificationState": "optimizing", "Progress": 40}, "optimizing, 40 %"),
        ("available", {}, {"ModificationState": "completed"}, ""),
        ("in-use", {"spot:moved-to": "vol-1"}, None, "moved to vol-1"),
        ("available", {"spot:moving-from": "vol-1"}, None, "half of a move of vol-1"),
        ("available", {"spot:moving": "snap-1"}, None, "is being moved"),
        ("error", {}, None, "error"),
    ],
)
def test_notes(state: str, tags: dict[str, str], modification: Any, note: str) -> None:
    assert rows.note(state, tags, modification) == note


def test_the_newest_complete_snapshot_of_a_name() -> None:
    def snapshot(number: int, state: str, start: str) -> dict[str, Any]:
        tags = [{"Key": "Name", "Value": "data"}]
        return {"SnapshotId": f"snap-{number}", "State": state, "StartTime": start, "Tags": tags}

    known = [snapshot(1, "completed", "1"), snapshot(2, "completed", "2"), snapshot(3, "pending", "3")]
    assert rows.snapshot_named("data", known) == known[1]
    assert rows.snapshot_named("snap-3", known) == known[2]
    assert rows.snapshot_named("other", known) is None
