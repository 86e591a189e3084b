"""What is removed, what waits, what is kept and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import teardown
from ansible_collections.experiments.spot.plugins.module_utils._experiment.summary import Found
from tests.unit.plugins.module_utils._experiment.builders import instance, tags, volume

Resource = dict[str, Any]
MINE = tags(experiment="lab")


def found(*instances: Resource, volumes: list[Resource] | None = None) -> Found:
    return Found(
        instances=list(instances),
        volumes=volumes or [],
        security_groups=[{"GroupId": "sg-1", "GroupName": "spot-lab", "Tags": MINE}],
        key_pairs=[{"KeyPairId": "key-1", "KeyName": "spot-lab", "Tags": MINE}],
        launch_templates=[{"LaunchTemplateId": "lt-1", "LaunchTemplateName": "spot-lab-0", "Tags": MINE}],
        fleets=[
            {"FleetId": "fleet-1", "FleetState": "active", "Tags": MINE},
            {"FleetId": "fleet-2", "FleetState": "deleted", "Tags": MINE},
        ],
    )


def decide(
    known: Found, delete_volumes: list[str] | None = None, named: list[Resource] | None = None
) -> teardown.Removal:
    return teardown.decide("lab", known, delete_volumes or [], named or [])


def test_running_experiment_the_group_waits_for_the_instances() -> None:
    removal = decide(found(instance("i-1"), instance("i-2", "stopped"), instance("i-3", "shutting-down")))
    assert removal.removed == ["i-1", "i-2", "fleet-1", "key-1", "lt-1"]
    assert removal.terminating == ["i-1", "i-2", "i-3"]
    assert removal.pending == ["i-1", "i-2", "i-3", "sg-1"]


def test_once_the_instances_are_gone_the_group_goes() -> None:
    removal = decide(found(instance("i-1", "terminated")))
    assert removal.removed == ["fleet-1", "key-1", "lt-1", "sg-1"]
    assert (removal.terminating, removal.pending) == ([], [])


def test_volumes_are_kept_by_default() -> None:
    removal = decide(found(volumes=[volume("vol-1")]))
    assert [one["volume_id"] for one in removal.kept] == ["vol-1"]
    assert "vol-1" not in removal.removed + removal.pending


@pytest.mark.parametrize("name", ["data", "vol-1", "all"])
def test_volumes_are_deleted_by_name_by_id_or_all(name: str) -> None:
    removal = decide(found(volumes=[volume("vol-1")]), [name])
    assert (removal.volumes, removal.kept) == (["vol-1"], [])


def test_a_name_means_the_volumes_of_all_ranks() -> None:
    second = volume("vol-2", Tags=tags(experiment="lab", volume="data", rank="1", Name="data-1"))
    known = [volume("vol-1"), second]
    assert decide(found(volumes=known), ["data"]).volumes == ["vol-1", "vol-2"]
    assert decide(found(volumes=known), ["data-1"]).volumes == ["vol-2"]


def test_an_attached_volume_waits_for_its_instance() -> None:
    removal = decide(found(instance("i-1"), volumes=[volume("vol-1", holder="i-1")]), ["data"])
    assert removal.volumes == []
    assert "vol-1" in removal.pending


def test_a_volume_that_another_instance_holds_is_refused() -> None:
    removal = decide(found(volumes=[volume("vol-1", holder="i-other")]), ["data"])
    assert "vol-1" in removal.problems[0]
    assert "i-other" in removal.problems[0]


@pytest.mark.parametrize("mark", [[], tags(experiment="digits")], ids=["untagged", "of another experiment"])
def test_a_volume_that_we_did_not_make_is_refused(mark: list[Resource]) -> None:
    removal = decide(found(), ["vol-7"], [volume("vol-7", Tags=mark)])
    assert "vol-7 was not made by experiment lab" in removal.problems[0]


def test_a_volume_of_the_user_is_never_among_all() -> None:
    theirs = volume("vol-7", holder="i-1", Tags=[])
    known = found(instance("i-1"))
    known.attached = [theirs]
    removal = decide(known, ["all"])
    assert "vol-7" not in removal.removed + removal.pending
    assert removal.problems == []


def test_a_misspelt_name_is_noted_and_a_finished_deletion_is_not() -> None:
    removal = decide(found(volumes=[volume("vol-1")]), ["dta"])
    assert "no volume named dta (it has: data (vol-1))" in removal.notes[0]
    assert decide(found(), ["data"]).notes == []


def test_nothing_is_left_to_do() -> None:
    removal = decide(Found(instances=[instance("i-1", "terminated")]), ["data"])
    assert (removal.removed, removal.pending, removal.kept) == ([], [], [])


def test_lines_for_the_diff() -> None:
    known = found(instance("i-1"), instance("i-0", "terminated"), volumes=[volume("vol-1")])
    assert teardown.lines(known, []) == [
        "instance i-1 running",
        "fleet fleet-1",
        "key pair key-1 spot-lab",
        "launch template lt-1 spot-lab-0",
        "security group sg-1 spot-lab",
        "volume vol-1 data",
    ]
    assert teardown.lines(known, ["i-1", "key-1"])[:2] == ["fleet fleet-1", "launch template lt-1 spot-lab-0"]
