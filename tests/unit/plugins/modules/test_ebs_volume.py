"""ebs_volume against an EC2 of a few lines that refuses what EC2 refuses."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.modules import ebs_volume

HERE, ELSEWHERE = "i-here", "i-elsewhere"


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "AnyOperation")


class Ec2:
    """Volumes as EC2 keeps them. `before` maps an operation to what happens just before its calls, one item a call."""

    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.ids = (f"vol-{number:04d}" for number in itertools.count(1))
        self.before: dict[str, list[Any]] = {}
        self.log: list[str] = []

    def _call(self, operation: str) -> None:
        self.log.append(operation)
        queue = self.before.get(operation) or [None]
        happening = queue.pop(0)
        if isinstance(happening, Exception):
            raise happening
        if happening:
            happening()

    def add(self, name: str = "data", rank: int = 0, zone: str = "a", holder: str = "", **more: Any) -> str:
        volume_id = next(self.ids)
        tags = {"spot:experiment": "exp", "spot:volume": name, "spot:rank": str(rank)}
        volume = {
            "VolumeId": volume_id,
            "State": "available",
            "AvailabilityZone": zone,
            "Size": 5,
            "CreateTime": volume_id,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "Attachments": [],
        }
        self.volumes[volume_id] = {**volume, **more}
        if holder:
            self.give(volume_id, holder)
        return volume_id

    def give(self, volume_id: str, holder: str, device: str = "/dev/sdf", state: str = "attached") -> None:
        attachment = {"InstanceId": holder, "Device": device, "State": state}
        self.volumes[volume_id].update(State="in-use", Attachments=[attachment])

    def get_paginator(self, name: str) -> Ec2:
        assert name == "describe_volumes"
        return self

    def paginate(self, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._call("DescribeVolumes")

        def has(volume: dict[str, Any], name: str, values: list[str]) -> bool:
            if name == "volume-id":
                return volume["VolumeId"] in values
            if name == "attachment.instance-id":
                return any(one["InstanceId"] in values for one in volume["Attachments"])
            return any(f"tag:{tag['Key']}" == name and tag["Value"] in values for tag in volume["Tags"])

        found = [v for v in self.volumes.values() if all(has(v, one["Name"], one["Values"]) for one in Filters)]
        return [{"Volumes": [dict(one) for one in found]}]

    def create_volume(self, **args: Any) -> dict[str, Any]:
        self._call("CreateVolume")
        self.created = args
        if args["ClientToken"] not in self.tokens:
            tags = args["TagSpecifications"][0]["Tags"]
            made = self.add(zone=args["AvailabilityZone"], Tags=tags, Size=args.get("Size", 8))
            self.tokens[args["ClientToken"]] = made
        return {"VolumeId": self.tokens[args["ClientToken"]]}

    def attach_volume(self, VolumeId: str, InstanceId: str, Device: str) -> None:
        self._call("AttachVolume")
        if self.volumes[VolumeId]["Attachments"]:
            raise refusal("VolumeInUse")
        if any(one["Device"] == Device for v in self.volumes.values() for one in v["Attachments"]):
            raise refusal("InvalidParameterValue", f"Attachment point {Device} is already in use")
        self.give(VolumeId, InstanceId, Device)

    def detach_volume(self, VolumeId: str) -> None:
        self._call("DetachVolume")
        self.volumes[VolumeId].update(State="available", Attachments=[])

    def delete_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:
        self._call("DeleteTags")
        for volume_id in Resources:
            kept = [tag for tag in self.volumes[volume_id]["Tags"] if {"Key": tag["Key"]} not in Tags]
            self.volumes[volume_id]["Tags"] = kept

    def delete_volume(self, VolumeId: str) -> None:
        self._call("DeleteVolume")
        del self.volumes[VolumeId]


class Clock:
    """Time passes only by sleeping; `then` happens at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.then: list[tuple[float, Any]] = []

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at, happening in [one for one in self.then if one[0] <= self.now]:
            self.then.remove((at, happening))
            happening()


@pytest.fixture()
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    original = ebs_volume.Volumes.__init__
    monkeypatch.setattr(
        ebs_volume.Volumes, "__init__", lambda self, *args, **more: original(self, *args, clock=made, **more)
    )
    return made


@pytest.fixture()
def ec2(clock: Clock) -> Ec2:
    return Ec2()


def run(ec2: Ec2, *volumes: dict[str, Any], check_mode: bool = False, rank: int = 0, **more: Any) -> dict[str, Any]:
    params = {
        "instance_id": HERE,
        "zone": "a",
        "experiment": "exp",
        "rank": rank,
        "tags": {"spot:owner": "alice"},
        "timeout": 60,
        "leaving_instance_ids": [],
        "unmounted_volume_ids": [],
        **more,
        "volumes": list(volumes) or [{"name": "data", "size": 5}],
    }
    return ebs_volume.do(ec2, params, check_mode)


WORDS = {"name": "words", "device": "/dev/sdp", "launched": True}


def test_a_volume_that_came_with_the_instance_is_found_by_its_device(ec2: Ec2) -> None:
    words = ec2.add("other", Tags=[])
    ec2.give(words, HERE, "/dev/sdp")
    found = run(ec2, {"name": "data", "size": 5}, WORDS)
    assert [(one["name"], one["device"]) for one in found["volumes"]] == [("data", "/dev/sdf"), ("words", "/dev/sdp")]
    assert found["volumes"][1] == {
        "name": "words",
        "volume_id": words,
        "size": 5,
        "device": "/dev/sdp",
        "created": False,
        "attached": False,
    }
    assert not run(ec2, {"name": "data", "size": 5}, WORDS)["changed"]
    assert ec2.log.count("CreateVolume") == ec2.log.count("AttachVolume") == 1


def test_a_volume_that_came_with_the_instance_is_waited_for(ec2: Ec2, clock: Clock) -> None:
    words = ec2.add("other", Tags=[])
    clock.then = [(3, lambda: ec2.give(words, HERE, "/dev/sdp"))]
    target = ebs_volume.Target(HERE, "a", "exp", 0)
    facts = ebs_volume.read(ec2, target, [WORDS], clock)
    assert [one["VolumeId"] for one in facts.here] == [words] and clock.now == 3
    ec2.volumes.clear()
    assert ebs_volume.read(ec2, target, [WORDS], clock).here == []
    assert clock.now <= 3 + ebs_volume.VISIBLE + 1


def test_an_instance_without_the_data_set_is_told(ec2: Ec2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ebs_volume, "VISIBLE", 0)
    with pytest.raises(ebs_volume.VolumeError, match="i-here was launched without this data set; close"):
        run(ec2, WORDS)
    assert set(ec2.log) == {"DescribeVolumes"}


def test_new_volume_is_made_tagged_encrypted_and_attached_once(ec2: Ec2) -> None:
    predicted = run(ec2, check_mode=True)
    assert predicted["changed"] and not ec2.volumes
    first = run(ec2)
    assert first["changed"] and first["volumes"][0] == {
        "name": "data",
        "volume_id": "vol-0001",
        "size": 5,
        "device": "/dev/sdf",
        "created": True,
        "attached": True,
    }
    assert (ec2.created["VolumeType"], ec2.created["Encrypted"], ec2.created["Size"]) == ("gp3", True, 5)
    assert len(ec2.created["ClientToken"]) <= 64
    tags = {tag["Key"]: tag["Value"] for tag in ec2.created["TagSpecifications"][0]["Tags"]}
    assert tags == {
        "Name": "data",
        "spot:experiment": "exp",
        "spot:volume": "data",
        "spot:rank": "0",
        "spot:owner": "alice",
    }
    ec2.log.clear()
    second = run(ec2)
    assert not second["changed"] and second["diff"]["before"] == second["diff"]["after"]
    assert set(ec2.log) == {"DescribeVolumes"}


def test_rank_has_a_name_and_a_tag_of_its_own(ec2: Ec2) -> None:
    ec2.add(rank=0)
    made = run(ec2, {"name": "data-1", "volume": "data", "size": 5}, rank=1)["volumes"][0]
    assert made["created"] and made["volume_id"] != "vol-0001"


def test_volume_of_an_earlier_launch_is_attached(ec2: Ec2) -> None:
    kept = ec2.add()
    found = run(ec2)["volumes"][0]
    assert (found["volume_id"], found["created"], found["attached"]) == (kept, False, True)


def test_a_volume_that_was_to_be_moved_forgets_its_snapshot_before_it_is_written_to(ec2: Ec2) -> None:
    kept = ec2.add()
    run(ec2)
    assert "DeleteTags" not in ec2.log, "one call more only where it is needed"
    ec2.detach_volume(kept)
    ec2.volumes[kept]["Tags"].append({"Key": "spot:moving", "Value": "snap-1"})
    ec2.log.clear()
    assert run(ec2)["volumes"][0]["attached"]
    assert ec2.log.index("DeleteTags") < ec2.log.index("AttachVolume")
    assert "spot:moving" not in [tag["Key"] for tag in ec2.volumes[kept]["Tags"]]


def test_volume_by_id_is_neither_made_nor_tagged(ec2: Ec2) -> None:
    mine = ec2.add("whatever")
    assert run(ec2, {"name": "data", "volume_id": mine})["volumes"][0]["volume_id"] == mine
    assert "CreateVolume" not in ec2.log


def test_all_mistakes_at_once(ec2: Ec2) -> None:
    far = ec2.add("far", zone="b")
    wanted = [
        {"name": "gone", "volume_id": "vol-gone"},
        {"name": "far", "volume_id": far},
        {"name": "small"},
    ]
    with pytest.raises(ebs_volume.VolumeError) as error:
        run(ec2, *wanted)
    text = str(error.value)
    assert "there is no volume vol-gone" in text and "needs a size" in text
    assert f"far ({far}) is in b, the instance i-here in a" in text
    assert set(ec2.log) == {"DescribeVolumes"}


def test_volume_that_another_instance_holds_names_it(ec2: Ec2) -> None:
    held = ec2.add(holder=ELSEWHERE)
    with pytest.raises(ebs_volume.VolumeError, match=rf"data \({held}\) is attached to {ELSEWHERE}"):
        run(ec2)
    assert held in ec2.volumes


def test_volume_that_is_being_given_back_is_waited_for(ec2: Ec2, clock: Clock) -> None:
    held = ec2.add()
    ec2.give(held, ELSEWHERE, state="detaching")
    clock.then.append((5, lambda: ec2.volumes[held].update(State="available", Attachments=[])))
    assert run(ec2)["volumes"][0]["attached"]
    assert clock.now >= 5


def test_volume_that_is_never_given_back_ends_the_wait(ec2: Ec2, clock: Clock) -> None:
    ec2.give(ec2.add(), ELSEWHERE, state="detaching")
    with pytest.raises(ebs_volume.VolumeError, match="after 60 s"):
        run(ec2)
    assert clock.now < 70


def test_volume_of_an_instance_that_aws_takes_is_waited_for(ec2: Ec2, clock: Clock) -> None:
    held = ec2.add(holder=ELSEWHERE)
    clock.then.append((7, lambda: ec2.volumes[held].update(State="available", Attachments=[])))
    assert run(ec2, leaving_instance_ids=[ELSEWHERE])["volumes"][0]["attached"]
    assert clock.now >= 7
    assert "DetachVolume" not in ec2.log  # it may still be mounted there


def test_volume_that_it_has_unmounted_is_detached_at_once(ec2: Ec2, clock: Clock) -> None:
    held = ec2.add(holder=ELSEWHERE)
    answer = run(ec2, leaving_instance_ids=[ELSEWHERE], unmounted_volume_ids=[held])
    assert answer["volumes"][0]["attached"]
    assert ec2.log.count("DetachVolume") == 1 and clock.now < 5


def test_device_names_follow_the_order_and_leave_out_what_is_taken_or_asked_for(ec2: Ec2) -> None:
    ec2.add("foreign", holder=HERE)  # has /dev/sdf
    wanted = [
        {"name": "one", "size": 1},
        {"name": "two", "size": 1, "device": "/dev/sdg"},
        {"name": "three", "size": 1},
    ]
    assert [one["device"] for one in run(ec2, *wanted)["volumes"]] == ["/dev/sdh", "/dev/sdg", "/dev/sdi"]


def test_device_name_taken_meanwhile(ec2: Ec2) -> None:
    foreign = ec2.add("foreign")
    ec2.before["AttachVolume"] = [lambda: ec2.give(foreign, HERE, "/dev/sdf")]
    assert run(ec2)["volumes"][0]["device"] == "/dev/sdg"


def test_another_run_attached_it_meanwhile(ec2: Ec2) -> None:
    kept = ec2.add()
    ec2.before["AttachVolume"] = [lambda: ec2.give(kept, HERE)]
    assert run(ec2)["volumes"][0]["volume_id"] == kept


def test_two_runs_at_once_share_a_token(ec2: Ec2) -> None:
    first = run(ec2)["volumes"][0]["volume_id"]
    made = ec2.volumes[first]
    made.update(State="available", Attachments=[])
    # The second run looked before the first one created.
    ec2.before["DescribeVolumes"] = [ec2.volumes.clear]
    ec2.before["CreateVolume"] = [lambda: ec2.volumes.update({first: made})]
    assert run(ec2)["volumes"][0]["volume_id"] == first and len(ec2.volumes) == 1


def test_two_runs_at_once_with_two_tokens_keep_the_first_volume(ec2: Ec2) -> None:
    winner: list[str] = []
    ec2.before["CreateVolume"] = [lambda: winner.append(ec2.add())]
    assert run(ec2)["volumes"][0]["volume_id"] == winner[0]
    assert list(ec2.volumes) == winner


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AttachmentLimitExceeded"])
def test_volume_that_cannot_be_attached_is_not_left_behind(ec2: Ec2, code: str) -> None:
    kept = ec2.add("other")
    ec2.before["AttachVolume"] = [refusal(code)]
    with pytest.raises(ApiError) as error:
        run(ec2)
    assert error.value.code == code and error.value.action == "ec2:AttachVolume"
    assert list(ec2.volumes) == [kept]
    assert run(ec2)["changed"], "the token of the deleted volume is passed over"


def test_existing_volume_that_cannot_be_attached_stays(ec2: Ec2) -> None:
    kept = ec2.add()
    ec2.before["AttachVolume"] = [refusal("UnauthorizedOperation")]
    with pytest.raises(ApiError):
        run(ec2)
    assert list(ec2.volumes) == [kept]


def test_new_volume_of_a_snapshot_needs_no_size(ec2: Ec2) -> None:
    run(ec2, {"name": "data", "snapshot_id": "snap-1", "iops": 4000, "throughput": 250, "encrypted": False})
    assert ec2.created["SnapshotId"] == "snap-1" and "Size" not in ec2.created
    assert (ec2.created["Iops"], ec2.created["Throughput"], ec2.created["Encrypted"]) == (4000, 250, False)


def test_without_an_instance_volumes_are_only_made(ec2: Ec2) -> None:
    assert run(ec2, instance_id=None, check_mode=True)["changed"] and not ec2.volumes
    first = run(ec2, instance_id=None)
    (made,) = first["volumes"]
    assert first["changed"] and (made["created"], made["attached"]) == (True, False)
    assert ec2.volumes[made["volume_id"]]["Attachments"] == [] and "AttachVolume" not in ec2.log
    assert first["diff"]["after"]["data"]["attached_to"] is None
    assert not run(ec2, instance_id=None)["changed"] and len(ec2.volumes) == 1
    ec2.give(made["volume_id"], ELSEWHERE)
    assert not run(ec2, instance_id=None)["changed"], "one that an instance holds is none of its business"


def test_without_an_instance_another_zone_has_another_token(ec2: Ec2) -> None:
    tokens = []
    for zone in ("a", "b"):
        run(ec2, instance_id=None, zone=zone)
        tokens.append(ec2.created["ClientToken"])
        ec2.volumes.clear()
    run(ec2, instance_id=None, zone="b", tags={"spot:generation": "2"})
    assert len({*tokens, ec2.created["ClientToken"]}) == 3
