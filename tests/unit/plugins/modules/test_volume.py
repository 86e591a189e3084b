"""Volumes made, changed and deleted on the API of the lab, with real boto3."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import volume
from tests.unit.plugins.module_utils._experiment import wire
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws  # noqa: F401


@pytest.fixture
def run(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    def call(name: str = "data", **args: Any) -> Any:
        return wire.run(volume.main, capsys, volume=name, timeout=args.pop("timeout", 60), **args)

    return call


@pytest.fixture
def seen(aws: Aws) -> Any:  # noqa: F811
    return lambda volume_id: aws.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]


def tags(raw: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw["Tags"]}


def test_new_volume_is_encrypted_tagged_and_made_once(aws: Aws, run: Any, seen: Any) -> None:  # noqa: F811
    wish = {"size": 50, "throughput": 250, "iops": 4000, "zone": "us-east-1b", "tags": {"team": "vision"}}
    predicted = run(**wish, _ansible_check_mode=True, _ansible_diff=True)
    assert predicted.changed and predicted.volume["zone"] == "us-east-1b" and predicted.diff["before"] == {}
    assert not aws.ec2.describe_volumes()["Volumes"]
    made = run(**wish)
    raw = seen(made.volume["volume_id"])
    assert (raw["Size"], raw["VolumeType"], raw["Iops"], raw["Throughput"], raw["Encrypted"]) == (
        50,
        "gp3",
        4000,
        250,
        True,
    )
    assert tags(raw) == {"Name": "data", "spot:volume": "data", "spot:owner": "lab", "team": "vision"}
    assert made.volume["cost_per_month"] == pytest.approx(50 * 0.08 + 1000 * 0.005 + 125 * 0.04)
    aws.forget_calls()
    again = run(**wish)
    assert not again.changed and again.volume["volume_id"] == made.volume["volume_id"]
    assert not aws.calls(mutating=True)


def test_a_volume_of_an_experiment_has_the_tags_by_which_a_launch_finds_it(aws: Aws, run: Any, seen: Any) -> None:  # noqa: F811
    other = aws.volume("us-east-1c")
    made = run("more", experiment="lab", size=1)
    raw = seen(made.volume["volume_id"])
    assert tags(raw).items() >= {"spot:experiment": "lab", "spot:volume": "more", "spot:rank": "0"}.items()
    assert raw["AvailabilityZone"] == seen(other)["AvailabilityZone"], "beside the other one"
    assert run("data", experiment="lab").volume["volume_id"] == other, "one that a launch has made is found"
    assert run("data", experiment="another", size=1).changed, "another experiment has its own"


def test_an_existing_one_that_differs_is_not_changed_by_create(run: Any) -> None:
    run(size=5)
    found = run(size=6, zone="us-east-1b")
    assert found.rc and "size is 5 GiB, not 6" in found.msg and "zone is us-east-1a" in found.msg
    assert "-e do=update" in found.msg


@pytest.mark.parametrize(
    ("args", "texts"),
    [
        ({}, ["size: a new volume needs a size"]),
        ({"size": 1, "zone": "us-east-1z"}, ["zone: there is no zone us-east-1z", "us-east-1a, us-east-1b"]),
        ({"snapshot": "nothing", "zone": "mars"}, ["there is no snapshot nothing", "there is no zone mars"]),
        ({"size": 1, "encrypted": False, "kms_key_id": "alias/x"}, ["only an encrypted volume has a key"]),
        ({"name": "vol-0123456789abcdef0", "size": 1}, ["is an id and there is no such volume"]),
        ({"name": "one,two", "size": 1}, ["volume: 'one,two' is no good name"]),
    ],
)
def test_bad_wishes_are_told_at_once_and_nothing_is_made(
    aws: Aws,  # noqa: F811
    run: Any,
    args: dict[str, Any],
    texts: list[str],
) -> None:
    found = run(**args)
    assert found.rc
    for text in texts:
        assert text in found.msg
    assert not aws.calls(mutating=True)


def test_restore(aws: Aws, run: Any, seen: Any) -> None:  # noqa: F811
    source = run(size=5, tags={"team": "vision"}).volume["volume_id"]
    made = aws.ec2.create_snapshot(
        VolumeId=source, TagSpecifications=[{"ResourceType": "snapshot", "Tags": seen(source)["Tags"]}]
    )["SnapshotId"]
    small = run("again", snapshot=made, size=4)
    assert small.rc and "4 GiB is smaller than the snapshot data" in small.msg and "(5 GiB)" in small.msg
    plain = run("again", snapshot=made, encrypted=False)
    assert plain.rc and "is encrypted, and so is each volume of it" in plain.msg
    restored = run("again", snapshot="data", zone="us-east-1d", size=6)
    raw = seen(restored.volume["volume_id"])
    assert (raw["SnapshotId"], raw["Size"], raw["AvailabilityZone"]) == (made, 6, "us-east-1d")
    assert tags(raw)["Name"] == "again" and tags(raw)["team"] == "vision"
    aws.app.world.snapshot_states[made] = "pending"
    assert "is pending" in run("third", snapshot=made).msg


def test_a_key_that_may_not_be_used(aws: Aws, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("lab.aws.volumes.KEY_CHECK", 0.1)
    found = run(size=1, kms_key_id="alias/nobody")
    assert found.rc and "the KMS key alias/nobody does not exist, is disabled, or its policy" in found.msg
    assert not aws.ec2.describe_volumes()["Volumes"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("UnauthorizedOperation", "ec2:CreateVolume is not allowed"),
        ("VolumeLimitExceeded", "raise the quota of volumes"),
    ],
)
def test_refusals_of_aws_say_what_to_do(aws: Aws, run: Any, code: str, text: str) -> None:  # noqa: F811
    if code == "UnauthorizedOperation":
        aws.deny("CreateVolume")
    else:
        aws.fail("CreateVolume", code)
    found = run(size=1)
    assert found.rc and text in found.msg and "make the volume data" in found.msg


def test_grow_and_retag(run: Any, seen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.aws.modifications.OPTIMIZING", 3600)
    made = run(size=5).volume["volume_id"]
    predicted = run(state="updated", size=8, _ansible_check_mode=True)
    assert predicted.changed and predicted.volume["size"] == 8 and seen(made)["Size"] == 5
    grown = run(state="updated", size=8, iops=3500, tags={"a": "b"}, new_name="better")
    assert grown.changed and (grown.volume["size"], grown.volume["name"], grown.volume["iops"]) == (8, "better", 3500)
    assert grown.volume["note"].startswith("optimizing")
    assert tags(seen(made)).items() >= {"a": "b", "Name": "better", "spot:volume": "better"}.items()
    again = run("better", state="updated", size=8, iops=3500, tags={"a": "b"})
    assert not again.changed
    busy = run("better", state="updated", size=9)
    assert busy.rc and "still optimizing" in busy.msg and "at most four in 24 hours" in busy.msg
    shrunk = run("better", state="updated", size=7, zone="us-east-1b", encrypted=False)
    assert "never shrink" in shrunk.msg and "do=move" in shrunk.msg and "encrypted: that of" in shrunk.msg
    assert "is no good name" in run("better", state="updated", new_name="a b").msg
    assert "there is no volume data" in run(state="updated", size=9).msg


def test_a_change_that_was_cut_off_is_waited_for(
    aws: Aws,  # noqa: F811
    run: Any,
    seen: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = run(size=5).volume["volume_id"]
    aws.app.world.machines.delay = 60
    aws.ec2.modify_volume(VolumeId=made, Size=8)
    assert seen(made)["Size"] == 5
    original = volume.work.Volumes._modification

    def done_when_seen(self: Any, raw: Any) -> str:
        text = original(self, raw)
        aws.app.cloud.resized(made)
        return text

    monkeypatch.setattr(volume.work.Volumes, "_modification", done_when_seen)
    found = run(state="updated", size=8)
    assert not found.changed and found.volume["size"] == 8


def test_too_many_changes_are_told_in_words(aws: Aws, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("lab.aws.modifications.OPTIMIZING", 0)
    run(size=5)
    for size in range(6, 10):
        assert run(state="updated", size=size).changed
    found = run(state="updated", size=10)
    assert found.rc and "again at" in found.msg and "four changes of a volume in 24 hours" in found.msg


def test_delete(aws: Aws, run: Any) -> None:  # noqa: F811
    run(size=5)
    assert run(state="absent", _ansible_check_mode=True).changed and aws.ec2.describe_volumes()["Volumes"]
    assert run(state="absent").changed and not aws.ec2.describe_volumes()["Volumes"]
    assert not run(state="absent").changed


def test_delete_refuses_what_is_used_and_what_is_not_ours(aws: Aws, run: Any) -> None:  # noqa: F811
    instance = aws.instance()
    held = aws.volume()
    aws.ec2.attach_volume(VolumeId=held, InstanceId=instance, Device="/dev/sdf")
    assert f"is attached to {instance} (lab)" in run(held, state="absent").msg
    foreign = aws.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert "was not made by this collection" in run(foreign, state="absent").msg
    assert run(foreign, state="absent", force=True).changed


def test_a_name_that_means_several_is_refused(aws: Aws, run: Any) -> None:  # noqa: F811
    ids = [aws.volume(), aws.volume("us-east-1b", **{"spot:experiment": "other"})]
    found = run("lab", state="absent")
    assert found.rc and all(one in found.msg for one in ids) and "-e experiment=NAME" in found.msg
    assert run("lab", state="absent", experiment="other").changed
