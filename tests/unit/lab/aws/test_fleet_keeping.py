"""Fleets of type request and maintain: how they get their capacity, and what they do when it goes."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lab.aws.fleet import supply


def requests(ec2: Any, fleet_id: str) -> list[tuple[str, str]]:
    """State and status code of the fleet's Spot requests."""
    answer = ec2.describe_spot_instance_requests(Filters=[{"Name": "tag:aws:ec2:fleet-id", "Values": [fleet_id]}])
    return sorted((r["State"], r["Status"]["Code"]) for r in answer["SpotInstanceRequests"])


def test_asynchronous(ec2: Any, fleet: Any, kept: Any) -> None:
    """[API CreateFleet] Type; [API EventInformation]: submitted, then active, then launched"""
    answer = fleet(2, zones="a", Type="request")
    assert not answer.get("Instances")
    assert not answer.get("Errors")
    made = answer["FleetId"]
    assert kept.status(made) == ("submitted", "pending_fulfillment", 0.0)
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 2.0)
    assert len(kept.active(made)) == 2
    kinds = [e for e in kept.history(made) if e[1] != "progress"]
    assert kinds == [
        ("fleetRequestChange", "submitted"),
        ("fleetRequestChange", "active"),
        ("instanceChange", "launched"),
        ("instanceChange", "launched"),
    ]
    assert [f["FleetId"] for f in ec2.describe_fleets()["Fleets"]] == [made]


def test_the_loop_looks_by_itself(app: Any, fleet: Any, kept: Any) -> None:
    app.world.keeper.hold = False
    made = fleet(1, zones="a", Type="maintain")["FleetId"]
    until = time.monotonic() + 20
    while not kept.active(made) and time.monotonic() < until:
        time.sleep(0.02)
    assert kept.status(made) == ("active", "fulfilled", 1.0)


def test_default_type_is_maintain(fleet: Any, kept: Any) -> None:
    """[API CreateFleet] Type"""
    assert kept.seen(fleet(0, Type="")["FleetId"])["Type"] == "maintain"


def test_members_look_like_it(ec2: Any, kept: Any, instance: Any) -> None:
    """[UG EC2 Fleet tags]; one Spot request for each instance"""
    made = kept(2, zones="a")
    for seen in map(instance, kept.active(made)):
        assert {"Key": "aws:ec2:fleet-id", "Value": made} in seen["Tags"]
        assert seen["InstanceLifecycle"] == "spot"
    assert requests(ec2, made) == [("active", "fulfilled")] * 2


@pytest.mark.parametrize("kind", ["maintain", "request"])
def test_capacity_comes_back(ec2: Any, kept: Any, control: Any, kind: str) -> None:
    """[UG spot-request-status] capacity-not-available, then fulfilled: the same request"""
    control("capacity", type="t3.medium", count=1)
    made = kept(3, zones="a", Type=kind, SpotOptions={"AllocationStrategy": "lowest-price"})
    assert kept.status(made) == ("active", "pending_fulfillment", 1.0)
    assert requests(ec2, made) == [("active", "fulfilled")] + [("open", "capacity-not-available")] * 2
    known = {r["SpotInstanceRequestId"] for r in ec2.describe_spot_instance_requests()["SpotInstanceRequests"]}
    control("capacity", type="t3.medium", count=None)
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 3.0)
    assert requests(ec2, made) == [("active", "fulfilled")] * 3
    after = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert {r["SpotInstanceRequestId"] for r in after} == known
    assert {r["InstanceId"] for r in after} == set(kept.active(made))


def test_waiting_stands_in_the_history(kept: Any, control: Any) -> None:
    control("capacity", count=0)
    made = kept(1, zones="a")
    told = [r["EventInformation"].get("EventDescription", "") for r in kept.records(made)]
    assert any("capacity-not-available" in text and "sir-" in text for text in told)


def test_several_failures(ec2: Any, kept: Any, control: Any) -> None:
    """[API EventInformation] launchSpecTemporarilyBlacklisted, allLaunchSpecsTemporarilyBlacklisted: once each"""
    control("capacity", count=0)
    made = kept(1, zones="ab")
    assert kept.status(made)[1] == "pending_fulfillment"
    for _ in range(5):
        kept.look()
    assert kept.status(made) == ("active", "error", 0.0)
    seen = kept.history(made)
    assert seen.count(("information", "launchSpecTemporarilyBlacklisted")) == 2
    assert seen.count(("error", "allLaunchSpecsTemporarilyBlacklisted")) == 1
    assert kept.history(made, EventType="service-error") == [("error", "allLaunchSpecsTemporarilyBlacklisted")]
    control("capacity", count=None)
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 1.0)


@pytest.mark.parametrize(
    ("orders", "data", "event"),
    [
        ({"quota": {"new_account": True}}, {"InstanceType": "g4dn.xlarge"}, "spotInstanceCountLimitExceeded"),
        ({"deny": {"action": "ec2:RunInstances"}}, {"InstanceType": "t3.medium"}, "iamFleetRoleInvalid"),
        ({}, {"KeyName": "nobody"}, "spotFleetRequestConfigurationInvalid"),
    ],
)
def test_errors(kept: Any, control: Any, orders: Any, data: Any, event: str) -> None:
    """[API EventInformation] error events; [API FleetData] ActivityStatus error"""
    for name, args in orders.items():
        control(name, **args)
    made = kept(1, [data.get("InstanceType", "t3.medium")], "ab", data=data)
    kept.look()
    assert ("error", event) in kept.history(made)
    assert kept.status(made)[1] == "error"


def test_price_too_low(kept: Any, subnets: dict[str, str]) -> None:
    """[API EventInformation] launchSpecUnusable, fleetProgressHalted"""
    made = kept(1, overrides=[{"InstanceType": "t3.medium", "SubnetId": subnets["a"], "MaxPrice": "0.002"}])
    kept.look()
    assert [e for e in kept.history(made) if e[0] == "information"] == [
        ("information", "launchSpecUnusable"),
        ("information", "fleetProgressHalted"),
    ]


def test_maintain_replaces(kept: Any) -> None:
    """[API CreateFleet] Type maintain; aws-spot section 9: also what the user has terminated"""
    made = kept(2, zones="a")
    gone, stays = kept.active(made)
    kept.end(gone)
    assert kept.status(made)[1:] == ("pending_fulfillment", 1.0)
    kept.look()
    now = kept.active(made)
    assert stays in now
    assert gone not in now
    assert len(now) == 2
    assert kept.history(made)[-2:] == [("instanceChange", "terminated"), ("instanceChange", "launched")]


def test_maintain_replaces_elsewhere(kept: Any, control: Any) -> None:
    made = kept(1, zones="ab")
    before = kept.zones(made)
    control("capacity", type="t3.medium", zone=f"us-east-1{before[0]}", count=0)
    kept.end(*kept.active(made))
    kept.look()
    assert set("ab") == {*before, *kept.zones(made)}


def test_request_does_not_replace(kept: Any) -> None:
    """[API FleetData] Type request: "does not attempt to replenish instances if capacity is diminished" """
    made = kept(2, zones="a", Type="request")
    kept.end(kept.active(made)[0])
    kept.look()
    assert len(kept.active(made)) == 1
    assert kept.status(made) == ("active", "pending_fulfillment", 1.0)


def test_request_stays_in_its_pools(ec2: Any, kept: Any, control: Any) -> None:
    """[API FleetData] Type request: no alternative pools; [UG allocation strategies] lowest price"""
    control("capacity", count=0)
    made = kept(1, zones="ab", Type="request", SpotOptions={"AllocationStrategy": "lowest-price"})
    (waiting,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    zone = waiting["LaunchSpecification"]["Placement"]["AvailabilityZone"]
    other = {"us-east-1a": "us-east-1b", "us-east-1b": "us-east-1a"}[zone]
    control("reset", controls=True)
    control("capacity", zone=zone, count=0)
    kept.look()
    assert kept.active(made) == []
    control("reset", controls=True)
    control("capacity", zone=other, count=0)
    kept.look()
    assert kept.zones(made) == [zone[-1]]


def test_request_with_capacity_in_mind(kept: Any, control: Any) -> None:
    """[UG allocation strategies] price-capacity-optimized asks where there is room"""
    control("capacity", type="t3.medium", zone="us-east-1a", count=1)
    control("capacity", type="t3.medium", zone="us-east-1b", count=2)
    made = kept(3, zones="ab", Type="request")
    assert kept.zones(made) == ["a", "b", "b"]


def test_diversified_request(kept: Any) -> None:
    made = kept(3, zones="abc", Type="request", SpotOptions={"AllocationStrategy": "diversified"})
    assert kept.zones(made) == ["a", "b", "c"]


def test_pools_to_use(kept: Any) -> None:
    """[API SpotOptionsRequest] InstancePoolsToUseCount"""
    options = {"AllocationStrategy": "lowest-price", "InstancePoolsToUseCount": 2}
    for kind in ("request", "maintain"):
        made = kept(4, zones="abcd", Type=kind, SpotOptions=options)
        zones = kept.zones(made)
        assert sorted(zones.count(z) for z in set(zones)) == [2, 2]


def test_both_markets_are_kept(kept: Any, instance: Any) -> None:
    """[API TargetCapacitySpecificationRequest] OnDemandTargetCapacity"""
    target = {"TotalTargetCapacity": 3, "OnDemandTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    made = kept(zones="a", TargetCapacitySpecification=target)
    dear = [i for i in kept.active(made) if "InstanceLifecycle" not in instance(i)]
    assert len(dear) == 1
    assert kept.seen(made)["FulfilledOnDemandCapacity"] == 1.0
    kept.end(*dear)
    kept.look()
    assert kept.seen(made)["FulfilledOnDemandCapacity"] == 1.0
    assert kept.status(made) == ("active", "fulfilled", 3.0)


def test_weights_count(kept: Any, subnets: dict[str, str]) -> None:
    pool = {"InstanceType": "t3.medium", "SubnetId": subnets["a"], "WeightedCapacity": 2}
    made = kept(5, overrides=[pool])
    assert len(kept.active(made)) == 3
    assert kept.status(made) == ("active", "fulfilled", 6.0)


def test_budget(kept: Any) -> None:
    """[API SpotOptionsRequest] MaxTotalPrice: stops before it is spent, even if the target is not met"""
    made = kept(10, zones="a", SpotOptions={"AllocationStrategy": "lowest-price", "MaxTotalPrice": "0.02"})
    assert len(kept.active(made)) == 1


def test_several_subnets_in_one_override(kept: Any, control: Any, subnets: dict[str, str]) -> None:
    """[API FleetLaunchTemplateOverridesRequest] SubnetId: separated by commas, not for instant"""
    control("capacity", type="t3.medium", zone="us-east-1a", count=1)
    made = kept(2, overrides=[{"InstanceType": "t3.medium", "SubnetId": f"{subnets['a']}, {subnets['b']}"}])
    assert len(kept.active(made)) == 2


def test_cancelled_request_of_a_request_fleet(ec2: Any, kept: Any, control: Any) -> None:
    control("capacity", count=0)
    made = kept(1, zones="a", Type="request")
    (waiting,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[waiting["SpotInstanceRequestId"]])
    control("reset", controls=True)
    kept.look()
    assert kept.active(made) == []


def test_not_before(kept: Any) -> None:
    """[API CreateFleet] ValidFrom"""
    made = kept(1, zones="a", ValidFrom=datetime.now(timezone.utc) + timedelta(hours=1))
    assert kept.status(made) == ("submitted", "pending_fulfillment", 0.0)


@pytest.mark.parametrize(("terminate", "state", "left"), [(True, "deleted", 0), (False, "deleted_running", 1)])
def test_not_after(kept: Any, app: Any, terminate: bool, state: str, left: int) -> None:
    """[API CreateFleet] ValidUntil, TerminateInstancesWithExpiration; [API EventInformation] expired"""
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    made = kept(1, zones="a", ValidUntil=until, TerminateInstancesWithExpiration=terminate)
    app.world.fleets[made].args["ValidUntil"] = datetime.now(timezone.utc) - timedelta(seconds=1)
    kept.look()
    kept.look()
    assert ("fleetRequestChange", "expired") in kept.history(made)
    assert kept.status(made)[0] == state
    assert len(kept.active(made)) == left


def test_unhealthy_ones_are_replaced(control: Any, kept: Any, app: Any) -> None:
    """[API ActiveInstance] InstanceHealth; [UG fleet health checks]: replaced after three failed checks, 2 minutes each"""
    made = kept(1, zones="a", ReplaceUnhealthyInstances=True)
    (sick,) = kept.active(made)
    control("event", event="impaired", instance_id=sick)
    status = kept.ec2.describe_instance_status(InstanceIds=[sick])["InstanceStatuses"][0]
    assert status["InstanceStatus"]["Status"] == "impaired"
    assert kept.ec2.describe_fleet_instances(FleetId=made)["ActiveInstances"][0]["InstanceHealth"] == "unhealthy"
    kept.look()
    assert kept.active(made) == [sick]
    app.world.records[sick].impaired -= supply.CHECKS * supply.CHECK_PERIOD
    kept.look()
    assert kept.active(made) != [sick]
    assert len(kept.active(made)) == 1


def test_a_fleet_in_trouble_does_not_stop_the_others(kept: Any, app: Any) -> None:
    broken = kept(1, zones="a")
    app.world.fleets[broken].args = {}
    assert len(kept.active(kept(1, zones="b"))) == 1
