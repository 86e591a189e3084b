"""Data sets: what comes with each instance, under which names."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import data_sets
from ansible_collections.experiments.spot.plugins.module_utils._ebs.attach import DEVICE_NAMES
from tests.unit.plugins.module_utils._experiment.builders import volume_of_profile


def data_set(name: str = "words", **more: Any) -> dict[str, Any]:
    return volume_of_profile(name=name, snapshot_id="snap-1", read_only=True, **more)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"read_only": False}, False),
        ({"snapshot_id": None}, False),
        ({"volume_id": "vol-1"}, False),
    ],
)
def test_what_a_data_set_is(changes: dict[str, Any], expected: bool) -> None:
    one = {**data_set(), **changes}
    assert data_sets.is_data_set(one) is expected
    assert data_sets.lasting([one]) == ([] if expected else [one])


def test_names_come_from_the_end_and_each_once() -> None:
    volumes = [volume_of_profile(device="/dev/sdp"), data_set("a"), data_set("b", device="/dev/sdf"), data_set("c")]
    assert data_sets.devices(volumes) == {"a": "/dev/sdo", "b": "/dev/sdf", "c": "/dev/sdn"}
    many = [data_set(f"d{number}") for number in range(len(DEVICE_NAMES))]
    assert sorted(data_sets.devices(many).values()) == sorted(DEVICE_NAMES)


def test_mapping_goes_with_the_instance() -> None:
    (mapping,) = data_sets.mappings([volume_of_profile(), data_set(iops=4000)])
    assert mapping == {
        "DeviceName": "/dev/sdp",
        "Ebs": {
            "SnapshotId": "snap-1",
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
            "Iops": 4000,
        },
    }
