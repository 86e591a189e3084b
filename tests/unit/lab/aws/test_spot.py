"""Spot requests. Sources: [UG spot-request-status] states and codes, [API RequestSpotInstances],
[API CancelSpotInstanceRequests], [API DescribeSpotInstanceRequests] filters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


@pytest.fixture
def ask(ec2: Any, ami: str) -> Callable[..., list[str]]:
    """RequestSpotInstances for t3.medium; the ids of the requests."""

    def make(spec: dict[str, Any] | None = None, **args: Any) -> list[str]:
        specification = {"ImageId": ami, "InstanceType": "t3.medium", **(spec or {})}
        made = ec2.request_spot_instances(LaunchSpecification=specification, **args)["SpotInstanceRequests"]
        return [one["SpotInstanceRequestId"] for one in made]

    return make


@pytest.fixture
def look(ec2: Any) -> Callable[[str], dict[str, Any]]:
    return lambda i: ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[i])["SpotInstanceRequests"][0]


@pytest.fixture
def status(look: Any) -> Callable[[str], tuple[str, str]]:
    def read(request_id: str) -> tuple[str, str]:
        one = look(request_id)
        return one["State"], one["Status"]["Code"]

    return read


def place(zone: str) -> dict[str, Any]:
    return {"Placement": {"AvailabilityZone": zone}}


def test_fulfilled(ask: Any, look: Any, instance: Any, control: Any) -> None:
    """[UG spot-request-status] pending-evaluation, pending-fulfillment, fulfilled"""
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]
    (request_id,) = ask(TagSpecifications=tags)
    one = look(request_id)
    assert one["Tags"] == [{"Key": "a", "Value": "b"}]
    assert one["LaunchedAvailabilityZone"] == instance(one["InstanceId"])["Placement"]["AvailabilityZone"]
    assert instance(one["InstanceId"])["SpotInstanceRequestId"] == request_id
    (history,) = control("spot")
    assert [s["Code"] for s in history["History"]] == ["pending-evaluation", "pending-fulfillment", "fulfilled"]


def test_waits_for_capacity(ask: Any, status: Any, control: Any, run: Any, ec2: Any) -> None:
    """[UG spot-request-status] capacity-not-available is a holding state, also after somebody else has left"""
    control("capacity", type="t3.medium", zone="us-east-1a", count=1)
    other = run(**place("us-east-1a"))["InstanceId"]
    first, second = ask(place("us-east-1a"), InstanceCount=2)
    assert status(first) == status(second) == ("open", "capacity-not-available")
    ec2.terminate_instances(InstanceIds=[other])
    assert status(first) == ("active", "fulfilled")
    assert status(second) == ("open", "capacity-not-available")
    control("capacity", type="t3.medium", zone="us-east-1a", count=2)
    assert status(second) == ("active", "fulfilled")


def test_a_price_that_is_too_low_waits(ask: Any, status: Any) -> None:
    """[UG spot-request-status] price-too-low"""
    assert status(ask(SpotPrice="0.002")[0]) == ("open", "price-too-low")


def test_a_zone_that_does_not_exist_waits_for_ever(ask: Any, status: Any, control: Any) -> None:
    """[UG spot-request-status] constraint-not-fulfillable stays open"""
    (request_id,) = ask(place("us-east-1z"))
    control("capacity", count=None)
    assert status(request_id) == ("open", "constraint-not-fulfillable")


def test_what_waiting_does_not_mend_is_refused(ask: Any, control: Any, refused: Any, ec2: Any) -> None:
    """[ERR] InvalidAMIID, MaxSpotInstanceCountExceeded"""
    with refused("InvalidAMIID.NotFound"):
        ask({"ImageId": "ami-0123456789abcdef0"})
    control("quota", group="Standard", vcpus=2)
    with refused("MaxSpotInstanceCountExceeded"):
        ask(InstanceCount=2)
    assert ec2.describe_spot_instance_requests()["SpotInstanceRequests"] == []


def test_the_same_token_is_the_same_request(ask: Any) -> None:
    """[API RequestSpotInstances] ClientToken"""
    assert ask(ClientToken="t") == ask(ClientToken="t")


@pytest.mark.slow
def test_a_request_that_was_not_fulfilled_in_its_time(ask: Any, status: Any, control: Any) -> None:
    """[UG spot-request-status] schedule-expired"""
    control("capacity", count=0)
    now = datetime.now(timezone.utc)
    (patient,) = ask(ValidUntil=now + timedelta(hours=1))
    (brief,) = ask(ValidUntil=now + timedelta(seconds=1))
    for _ in range(400):
        if status(brief)[0] != "open":
            break
        time.sleep(0.01)
    assert status(brief) == ("cancelled", "schedule-expired")
    assert status(patient) == ("open", "capacity-not-available")


def test_a_persistent_request_is_fulfilled_again(ask: Any, look: Any, status: Any, control: Any) -> None:
    """[UG spot-request-status]: after an interruption open again, unlike a one-time one"""
    (request_id,) = ask(Type="persistent")
    first = look(request_id)["InstanceId"]
    control("capacity", count=0)
    control("interrupt", instance_id=first, notice=None)
    assert status(request_id) == ("open", "capacity-not-available")
    control("capacity", count=1)
    assert status(request_id) == ("active", "fulfilled")
    assert look(request_id)["InstanceId"] != first
    (once,) = ask()
    control("interrupt", instance_id=look(once)["InstanceId"], notice=None)
    assert status(once) == ("closed", "instance-terminated-no-capacity")


def test_cancel(ec2: Any, ask: Any, look: Any, status: Any, control: Any) -> None:
    """[API CancelSpotInstanceRequests]; [UG spot-request-status] both codes"""

    def cancel(request_id: str) -> str:
        answer = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
        return answer["CancelledSpotInstanceRequests"][0]["State"]

    (running,) = ask()
    assert [cancel(running), cancel(running)] == ["cancelled", "cancelled"]
    assert status(running) == ("cancelled", "request-canceled-and-instance-running")
    ec2.terminate_instances(InstanceIds=[look(running)["InstanceId"]])
    assert status(running) == ("cancelled", "instance-terminated-by-user")

    control("capacity", count=0)
    (waiting,) = ask()
    assert cancel(waiting) == "cancelled"
    control("capacity", count=None)
    assert status(waiting) == ("cancelled", "canceled-before-fulfillment")

    (dead,) = ask()
    control("interrupt", instance_id=look(dead)["InstanceId"], notice=None)
    assert cancel(dead) == "closed"
    assert status(dead) == ("closed", "instance-terminated-no-capacity")


def test_cancelling_a_stopped_one_ends_it(ec2: Any, run: Any, status: Any, instance: Any) -> None:
    """[API CancelSpotInstanceRequests]: a stopped instance of the request is terminated"""
    options = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    one = run(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": options})
    ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[one["SpotInstanceRequestId"]])
    assert instance(one["InstanceId"])["State"]["Name"] == "terminated"
    assert status(one["SpotInstanceRequestId"])[0] == "cancelled"


def test_unknown_requests(ec2: Any, refused: Any) -> None:
    """[ERR] InvalidSpotInstanceRequestID.NotFound"""
    for call in (ec2.describe_spot_instance_requests, ec2.cancel_spot_instance_requests):
        with refused("InvalidSpotInstanceRequestID.NotFound"):
            call(SpotInstanceRequestIds=["sir-12345678"])


def test_filters(ec2: Any, run: Any, control: Any, refused: Any) -> None:
    """[API DescribeSpotInstanceRequests] Filters"""
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "k", "Value": "v"}]}]
    one = run(**SPOT, TagSpecifications=tags)
    other = run(**SPOT, InstanceType="t3.large")
    control("interrupt", instance_id=other["InstanceId"])

    def found(**values: str) -> list[str]:
        filters = [{"Name": name.replace("_", "-").replace("--", ":"), "Values": [v]} for name, v in values.items()]
        answer = ec2.describe_spot_instance_requests(Filters=filters)["SpotInstanceRequests"]
        return [request["InstanceId"] for request in answer]

    mine, theirs = [one["InstanceId"]], [other["InstanceId"]]
    assert found(tag__k="v") == found(instance_id=mine[0]) == found(status_code="fulfilled") == mine
    assert found(status_code="marked-for-*") == theirs
    assert found(state="active") == mine + theirs
    assert found(state="active", tag__k="v") == mine
    assert found(state="closed") == []
    with refused("InvalidParameterValue", text="colour"):
        found(colour="blue")
