"""AWS takes Spot Instances.

Sources: [UG spot-instance-termination-notices] notice and metadata paths, [UG interruption-behavior] terminate, stop and
hibernate, [UG rebalance-recommendations], [UG spot-request-status] codes, [API StateReason].
"""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
STOPS = {
    "InstanceMarketOptions": {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
    }
}
SOON = 0.05


def until(true: Callable[[], Any]) -> Any:
    for _ in range(500):
        found = true()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("never came true")


class Seen:
    """What the API and the lab say about an instance."""

    def __init__(self, ec2: Any, control: Any) -> None:
        self.ec2, self.control = ec2, control

    def instance(self, instance_id: str) -> dict[str, Any]:
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def state(self, instance_id: str) -> str:
        return self.instance(instance_id)["State"]["Name"]

    def request(self, instance_id: str) -> tuple[str, str]:
        wanted = [{"Name": "instance-id", "Values": [instance_id]}]
        (one,) = self.ec2.describe_spot_instance_requests(Filters=wanted)["SpotInstanceRequests"]
        return one["State"], one["Status"]["Code"]

    def codes(self, instance_id: str) -> list[str]:
        one = next(r for r in self.control("spot") if r["InstanceId"] == instance_id)
        return [status["Code"] for status in one["History"]]


@pytest.fixture
def seen(ec2: Any, control: Any) -> Seen:
    return Seen(ec2, control)


@pytest.fixture
def fails(control: Any) -> Callable[..., str]:
    """The text with which an order is refused."""

    def order(**args: Any) -> str:
        with pytest.raises(urllib.error.HTTPError) as err:
            control("interrupt", **args)
        assert err.value.code == 400
        return json.loads(err.value.read())["error"]

    return order


def test_notice(run: Any, control: Any, seen: Seen, machines: Any) -> None:
    """[UG spot-instance-termination-notices] first told, later taken; [UG spot-request-status] both codes"""
    one = run(**SPOT)["InstanceId"]
    told = control("interrupt", instance_id=one)
    ahead = datetime.fromisoformat(told["time"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert 110 < ahead.total_seconds() <= 120
    assert machines.notices[one].instance_action == {"action": "terminate", "time": told["time"]}
    assert seen.request(one) == ("active", "marked-for-termination")
    assert seen.state(one) == "running"
    assert "StateReason" not in seen.instance(one)

    control("interrupt", instance_id=one, notice=None)  # it may still come sooner
    dead = seen.instance(one)
    assert dead["State"]["Name"] == "terminated"
    assert dead["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert dead["StateTransitionReason"].startswith("Service initiated (")
    assert seen.request(one) == ("closed", "instance-terminated-no-capacity")
    assert seen.codes(one) == ["fulfilled", "marked-for-termination", "instance-terminated-no-capacity"]


def test_the_end_comes_by_itself_and_through_shutting_down(run: Any, control: Any, seen: Seen, app: Any) -> None:
    one = run(**SPOT)["InstanceId"]
    app.world.machines.hold = True
    control("interrupt", instance_id=one, notice=SOON)
    until(lambda: seen.state(one) == "shutting-down")
    assert seen.instance(one)["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    app.cloud.terminated(one)
    assert seen.state(one) == "terminated"


def test_speed_divides_the_notice_and_its_time_is_true(run: Any, control: Any, seen: Seen) -> None:
    one = run(**SPOT)["InstanceId"]
    assert control("speed", factor=2400) == {"factor": 2400}
    try:
        told = control("interrupt", instance_id=one, notice=120)
    finally:
        control("speed", factor=1)
    assert told["seconds"] == 0.05
    assert abs(datetime.fromisoformat(told["time"].replace("Z", "+00:00")).timestamp() - time.time()) < 10
    until(lambda: seen.state(one) == "terminated")


def test_volumes_are_released_or_deleted_at_the_end(ec2: Any, run: Any, control: Any) -> None:
    """[API EbsBlockDevice] DeleteOnTermination holds for interruptions, too"""
    one = run(**SPOT)
    volume = ec2.create_volume(Size=1, AvailabilityZone=one["Placement"]["AvailabilityZone"])["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=one["InstanceId"], Device="/dev/sdf")
    control("interrupt", instance_id=one["InstanceId"], notice=0)
    (left,) = ec2.describe_volumes()["Volumes"]
    assert (left["VolumeId"], left["State"], left["Attachments"]) == (volume, "available", [])


@pytest.mark.slow
def test_a_user_who_is_faster(ec2: Any, run: Any, control: Any, seen: Seen) -> None:
    """[UG spot-request-status] instance-terminated-by-user, and the notice has no effect any more"""
    one = run(**SPOT)["InstanceId"]
    control("interrupt", instance_id=one, notice=1)
    ec2.terminate_instances(InstanceIds=[one])
    time.sleep(1.2)
    assert seen.instance(one)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert seen.request(one)[1] == "instance-terminated-by-user"
    assert seen.codes(one)[-1] == "instance-terminated-by-user"


def test_rebalance_is_a_recommendation_only(run: Any, control: Any, seen: Seen, machines: Any) -> None:
    """[UG rebalance-recommendations]: before or together with the notice; not a promise of one"""
    one = run(**SPOT)["InstanceId"]
    told = control("interrupt", instance_id=one, rebalance=True)
    assert machines.notices[one].rebalance == {"noticeTime": told["time"]}
    assert machines.notices[one].instance_action == {}
    assert seen.request(one)[1] == "fulfilled"
    control("interrupt", instance_id=one)
    assert machines.notices[one].rebalance
    assert machines.notices[one].instance_action


def test_stop(ec2: Any, run: Any, control: Any, seen: Seen, refused: Any) -> None:
    """[UG interruption-behavior] the request says `stop`: EC2 stops it, and EC2 alone starts it again"""
    one = run(**STOPS)["InstanceId"]
    assert control("interrupt", instance_id=one)["action"] == "stop"
    assert seen.request(one)[1] == "marked-for-stop"
    control("interrupt", instance_id=one, notice=None)
    assert seen.state(one) == "stopped"
    assert seen.instance(one)["StateReason"]["Code"] == "Server.SpotInstanceShutdown"
    assert seen.request(one) == ("disabled", "instance-stopped-no-capacity")
    with refused("IncorrectSpotRequestState", text=one):
        ec2.start_instances(InstanceIds=[one])

    control("capacity", type="t3.medium", count=0)
    assert seen.state(one) == "stopped"
    control("capacity", type="t3.medium", count=1)
    assert seen.state(one) == "running"
    assert seen.request(one) == ("active", "fulfilled")


def test_the_users_own_stop_is_not_an_interruption(ec2: Any, run: Any, control: Any, seen: Seen) -> None:
    """[UG spot-request-status] instance-stopped-by-user"""
    one = run(**STOPS)["InstanceId"]
    control("interrupt", instance_id=one, notice=120)
    ec2.stop_instances(InstanceIds=[one])
    assert seen.request(one)[1] == "instance-stopped-by-user"
    ec2.start_instances(InstanceIds=[one])
    assert seen.request(one) == ("active", "fulfilled")


def test_hibernation_begins_with_the_notice(run: Any, control: Any, seen: Seen, machines: Any) -> None:
    """[UG spot-instance-termination-notices]: "hibernation begins immediately" """
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "hibernate"}
    one = run(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": options})["InstanceId"]
    machines.hold = True
    assert control("interrupt", instance_id=one)["seconds"] == 0
    until(lambda: seen.state(one) == "stopping")


def test_the_beginning_of_an_id_is_enough(run: Any, control: Any) -> None:
    one = run(**SPOT)["InstanceId"]
    assert control("interrupt", instance_id=one[:-3], rebalance=True)["instance_id"] == one


def test_what_cannot_be_interrupted(ec2: Any, run: Any, control: Any, fails: Any) -> None:
    assert "there is no Spot Instance now" in fails(instance_id="i-0123")
    demand, one, other = run()["InstanceId"], run(**SPOT)["InstanceId"], run(**SPOT)["InstanceId"]
    unknown = fails(instance_id="i-0123456789abcdef0")
    assert one in unknown
    assert other in unknown
    assert demand not in unknown
    assert "several" in fails(instance_id="i-")
    assert "On-Demand" in fails(instance_id=demand)
    assert "/lab/interrupt" in fails(instance_id="")
    assert "one-time" in fails(instance_id=one, action="stop")
    assert "explode" in fails(instance_id=one, action="explode")
    assert "notice" in fails(instance_id=one, notice=-1)
    assert "notice" in fails(instance_id=one, notice="soon")
    assert "secnods" in fails(instance_id=one, secnods=1)
    control("interrupt", instance_id=one)
    assert "already" in fails(instance_id=one)
    ec2.terminate_instances(InstanceIds=[other])
    assert "terminated" in fails(instance_id=other)


def test_a_fleet_that_is_maintained_replaces_what_was_taken(kept: Any, control: Any, seen: Seen) -> None:
    """[UG EC2 Fleet, maintain]: after the end, not at the notice"""
    made = kept(2)
    old = kept.active(made)[0]
    control("interrupt", instance_id=old)
    kept.look()
    assert len(kept.active(made)) == 2
    assert old in kept.active(made)
    control("interrupt", instance_id=old, notice=None)
    kept.look()
    assert len(kept.active(made)) == 2
    assert old not in kept.active(made)
    assert seen.request(old) == ("closed", "instance-terminated-no-capacity")
