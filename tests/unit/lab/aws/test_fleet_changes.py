"""ModifyFleet, DeleteFleets, the Describe calls, and capacity rebalancing."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

NOBODY = "fleet-01234567-0123-0123-0123-0123456789ab"
BEFORE = {"CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 120}}


def target(total: int, **more: Any) -> dict[str, Any]:
    return {"TotalTargetCapacity": total, **more}


def modify(kept: Any, made: str, total: int, **more: Any) -> None:
    kept.ec2.modify_fleet(FleetId=made, TargetCapacitySpecification=target(total), **more)


def test_larger(kept: Any) -> None:
    """[API ModifyFleet]: `modifying` until it is processed; what is not said of the target stays"""
    made = kept(1, zones="a")
    modify(kept, made, 3)
    assert kept.status(made) == ("modifying", "pending_fulfillment", 1.0)
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 3.0)
    seen = kept.seen(made)["TargetCapacitySpecification"]
    assert seen == {"TotalTargetCapacity": 3, "DefaultTargetCapacityType": "spot"}
    changes = [e[1] for e in kept.history(made) if e[1].startswith("modify")]
    assert changes == ["modify_in_progress", "modify_succeeded"]


def test_smaller(kept: Any, machines: Any, app: Any) -> None:
    """[API FleetData] pending_termination; [API EventInformation] termination_notified"""
    made = kept(3, zones="a")
    machines.hold = True
    modify(kept, made, 1)
    kept.look()
    assert kept.status(made) == ("active", "pending_termination", 1.0)
    for record in list(app.world.records.values()):
        if record.instance.state == "shutting-down":
            app.cloud.terminated(record.instance.id)
    assert kept.status(made) == ("active", "fulfilled", 1.0)
    assert kept.history(made).count(("instanceChange", "termination_notified")) == 2
    kept.look()
    assert len(kept.active(made)) == 1


def test_smaller_but_nobody_ends(kept: Any) -> None:
    """[API ModifyFleet] no-termination: keeps its size, and does not replace"""
    made = kept(3, zones="a")
    modify(kept, made, 1, ExcessCapacityTerminationPolicy="no-termination")
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 3.0)
    kept.end(kept.active(made)[0])
    kept.look()
    assert len(kept.active(made)) == 2


def test_smaller_cancels_open_requests_first(kept: Any, control: Any) -> None:
    """[API ModifyFleet]: "First, the EC2 Fleet cancels any open requests that exceed the new target capacity" """
    control("capacity", type="t3.medium", count=1)
    made = kept(3, zones="a")
    modify(kept, made, 1)
    kept.look()
    requests = kept.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert sorted((r["State"], r["Status"]["Code"]) for r in requests) == [
        ("active", "fulfilled"),
        ("cancelled", "canceled-before-fulfillment"),
        ("cancelled", "canceled-before-fulfillment"),
    ]
    assert kept.status(made) == ("active", "fulfilled", 1.0)


def test_smaller_ends_the_dearest(kept: Any, control: Any) -> None:
    """[API ModifyFleet] lowest-price: the highest price per unit goes"""
    for zone in "ab":
        control("capacity", type="t3.medium", zone=f"us-east-1{zone}", count=1)
    made = kept(2, zones="ab", SpotOptions={"AllocationStrategy": "lowest-price"})
    first = kept.ec2.describe_instances(InstanceIds=[kept.active(made)[0]])["Reservations"][0]["Instances"][0]
    modify(kept, made, 1)
    kept.look()
    assert kept.zones(made) == [first["Placement"]["AvailabilityZone"][-1]]


def test_diversified_stays_diverse(kept: Any) -> None:
    """[API ModifyFleet] diversified: terminates across the pools"""
    made = kept(4, zones="ab", SpotOptions={"AllocationStrategy": "diversified"})
    modify(kept, made, 2)
    kept.look()
    assert kept.zones(made) == ["a", "b"]


def test_to_nothing_and_back(kept: Any) -> None:
    """[API ModifyFleet]: "you can set the target capacity to 0" """
    made = kept(2, zones="a")
    modify(kept, made, 0)
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 0.0)
    modify(kept, made, 1)
    kept.look()
    assert len(kept.active(made)) == 1


def test_other_templates(kept: Any, template: Any, subnets: dict[str, str], instance: Any) -> None:
    """[API ModifyFleet] LaunchTemplateConfigs: for what is launched from now on"""
    made = kept(1, zones="a")
    (old,) = kept.active(made)
    other = template("other", InstanceType="t3.large")["LaunchTemplateId"]
    reference = {"LaunchTemplateId": other, "Version": "1"}
    config = {"LaunchTemplateSpecification": reference, "Overrides": [{"SubnetId": subnets["b"]}]}
    kept.ec2.modify_fleet(FleetId=made, LaunchTemplateConfigs=[config])
    kept.look()
    assert kept.active(made) == [old]
    kept.end(old)
    kept.look()
    assert instance(kept.active(made)[0])["InstanceType"] == "t3.large"


def test_not_modifiable(kept: Any, fleet: Any, refused: Any) -> None:
    """[API ModifyFleet]: type maintain; [ERR] FleetNotInModifiableState: active; the text [OBS]"""
    for made in (kept(1, zones="a", Type="request"), fleet(1, zones="a")["FleetId"]):
        with refused("FleetNotInModifiableState", text="is not a modifiable fleet request type"):
            modify(kept, made, 2)
    made = kept(1, zones="a")
    modify(kept, made, 2)
    with refused("FleetNotInModifiableState", text="modifying"):
        modify(kept, made, 3)
    with refused("InvalidFleetId.NotFound"):
        modify(kept, NOBODY, 1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "MissingParameter"),
        ({"TargetCapacitySpecification": target(10001)}, "InvalidParameterValue"),
        ({"TargetCapacitySpecification": target(1, OnDemandTargetCapacity=2)}, "InvalidParameterValue"),
        ({"ExcessCapacityTerminationPolicy": "later"}, "InvalidParameterValue"),
        (
            {
                "LaunchTemplateConfigs": [
                    {"LaunchTemplateSpecification": {"LaunchTemplateName": "nobody", "Version": "1"}}
                ]
            },
            "InvalidLaunchTemplateName.NotFoundException",
        ),
    ],
)
def test_modifications_that_cannot_be(kept: Any, refused: Any, changes: dict[str, Any], code: str) -> None:
    made = kept(1, zones="a")
    with refused(code):
        kept.ec2.modify_fleet(FleetId=made, **changes)
    assert kept.status(made)[0] == "active"


def test_delete(kept: Any) -> None:
    """[API DeleteFleets]: deleted_terminating, then deleted; nothing is replaced"""
    made = kept(2, zones="a")
    done = kept.ec2.delete_fleets(FleetIds=[made], TerminateInstances=True)["SuccessfulFleetDeletions"]
    assert done == [
        {"FleetId": made, "PreviousFleetState": "active", "CurrentFleetState": "deleted_terminating"},
    ]
    kept.look()
    kept.look()
    assert kept.status(made)[0] == "deleted"
    assert kept.active(made) == []
    assert ("fleetRequestChange", "deleted") in kept.history(made)


def test_delete_and_leave_running(kept: Any) -> None:
    """[API DeleteFleets]: deleted_running until the last instance has ended"""
    made = kept(1, zones="a")
    kept.ec2.delete_fleets(FleetIds=[made], TerminateInstances=False)
    kept.look()
    assert kept.status(made)[0] == "deleted_running"
    kept.end(*kept.active(made))
    kept.look()
    assert kept.status(made)[0] == "deleted"
    assert kept.active(made) == []


def test_delete_cancels_what_waits(kept: Any, control: Any) -> None:
    control("capacity", count=0)
    made = kept(2, zones="a")
    kept.ec2.delete_fleets(FleetIds=[made], TerminateInstances=True)
    control("reset", controls=True)
    kept.look()
    requests = kept.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert {r["State"] for r in requests} == {"cancelled"}
    assert kept.status(made)[0] == "deleted"


def test_delete_some(kept: Any) -> None:
    """[API DeleteFleetErrorCode]"""
    made = kept(1, zones="a")
    answer = kept.ec2.delete_fleets(FleetIds=[made, NOBODY, "fleet-x"], TerminateInstances=True)
    assert len(answer["SuccessfulFleetDeletions"]) == 1
    codes = [f["Error"]["Code"] for f in answer["UnsuccessfulFleetDeletions"]]
    assert codes == ["fleetIdDoesNotExist", "fleetIdMalformed"]


def test_too_many_deletions(kept: Any, fleet: Any, refused: Any) -> None:
    """[API DeleteFleets]: 25 instant, 125 in all; beyond that "no fleets are deleted" """
    ids = [fleet(1, zones="a")["FleetId"] for _ in range(26)]
    with refused("RequestResourceCountExceeded"):
        kept.ec2.delete_fleets(FleetIds=ids, TerminateInstances=True)
    with refused("RequestResourceCountExceeded"):
        kept.ec2.delete_fleets(FleetIds=[NOBODY] * 126, TerminateInstances=True)
    assert kept.status(ids[0])[0] == "active"


def test_deletion_of_what_cannot_be_seen_yet(kept: Any, fleet: Any, control: Any, app: Any) -> None:
    """[API eventual consistency]: instances that are too young to be seen end all the same"""
    fleet(1, zones="a", Type="request")
    app.world.lag = 3600.0
    made = fleet(1, zones="a")["FleetId"]
    app.world.hidden = {key: until for key, until in app.world.hidden.items() if key[0] != "fleet"}
    kept.ec2.delete_fleets(FleetIds=[made], TerminateInstances=True)
    control("reset", controls=True)
    app.world.hidden.clear()
    kept.look()
    assert kept.status(made)[0] == "deleted"
    states = {r.instance.state for r in app.world.records.values() if r.fleet_id == made}
    assert states == {"terminated"}


def test_pages_and_filters(kept: Any) -> None:
    """[API DescribeFleets]: pages; the filters' values have hyphens, the answers underscores"""
    made = [kept(1, zones="a") for _ in range(3)]
    kept.ec2.delete_fleets(FleetIds=made[:1], TerminateInstances=False)
    pages = kept.ec2.get_paginator("describe_fleets").paginate(PaginationConfig={"PageSize": 1})
    assert [f["FleetId"] for page in pages for f in page["Fleets"]] == made
    for value in ("deleted-running", "deleted_running"):
        found = kept.ec2.describe_fleets(Filters=[{"Name": "fleet-state", "Values": [value]}])["Fleets"]
        assert [f["FleetId"] for f in found] == made[:1]


def test_strategy_as_aws_answers_it(kept: Any) -> None:
    """[OBS] lowest-price comes back as lowestPrice, the others as they were asked for"""
    made = kept(1, zones="a", SpotOptions={"AllocationStrategy": "lowest-price"})
    assert kept.seen(made)["SpotOptions"]["AllocationStrategy"] == "lowestPrice"
    assert kept.seen(kept(1, zones="a"))["SpotOptions"]["AllocationStrategy"] == "price-capacity-optimized"


def test_history(kept: Any, refused: Any) -> None:
    """[API DescribeFleetHistory]: StartTime, EventType, pages, LastEvaluatedTime; types as in AWS's examples"""
    made = kept(2, zones="a")
    ec2, start = kept.ec2, datetime.now(timezone.utc) - timedelta(minutes=1)
    first = ec2.describe_fleet_history(FleetId=made, StartTime=start, MaxResults=1)
    assert first["HistoryRecords"][0]["EventInformation"] == {"EventSubType": "submitted"}
    assert "LastEvaluatedTime" not in first
    rest = ec2.describe_fleet_history(FleetId=made, StartTime=start, NextToken=first["NextToken"])
    assert rest["FleetId"] == made
    assert rest["LastEvaluatedTime"] >= start
    launches = [r for r in kept.records(made, EventType="instance-change")]
    assert [r["EventType"] for r in launches] == ["instanceChange"] * 2
    assert {r["EventInformation"]["InstanceId"] for r in launches} == set(kept.active(made))
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert ec2.describe_fleet_history(FleetId=made, StartTime=later)["HistoryRecords"] == []
    with refused("InvalidParameterValue"):
        ec2.describe_fleet_history(FleetId=made, StartTime=start, EventType="instanceChange")


def test_instant_history(kept: Any, fleet: Any, control: Any) -> None:
    """An instant fleet is a record: its errors stay in DescribeFleets"""
    control("capacity", count=0)
    made = fleet(1, zones="a")["FleetId"]
    assert [e["ErrorCode"] for e in kept.seen(made)["Errors"]] == ["InsufficientInstanceCapacity"]
    assert kept.status(made) == ("active", "fulfilled", 0.0)


def test_filter_of_instances(kept: Any) -> None:
    """[API DescribeFleetInstances] instance-type"""
    made = kept(1, zones="a")
    for kind, count in (("t3.medium", 1), ("t3.large", 0)):
        filters = [{"Name": "instance-type", "Values": [kind]}]
        found = kept.ec2.describe_fleet_instances(FleetId=made, Filters=filters)["ActiveInstances"]
        assert len(found) == count


def options(strategy: dict[str, Any] | None) -> dict[str, Any]:
    base = {"AllocationStrategy": "price-capacity-optimized"}
    return {**base, "MaintenanceStrategies": strategy} if strategy else base


def recommend(control: Any, instance_id: str) -> None:
    control("interrupt", instance_id=instance_id, rebalance=True)


def test_rebalance_launch(kept: Any, control: Any) -> None:
    """[UG Capacity Rebalancing] launch: a replacement in another pool; the old one runs on and counts no more"""
    made = kept(1, zones="ab", SpotOptions=options({"CapacityRebalance": {"ReplacementStrategy": "launch"}}))
    (old,) = kept.active(made)
    recommend(control, old)
    kept.look()
    recommend(control, old)
    kept.look()
    assert kept.zones(made) == ["a", "b"]
    assert kept.status(made) == ("active", "fulfilled", 1.0)
    kept.end(old)
    kept.look()
    assert len(kept.active(made)) == 1


def test_rebalance_ends_the_old_one(kept: Any, control: Any, app: Any) -> None:
    """[API FleetSpotCapacityRebalanceRequest] launch-before-terminate, TerminationDelay"""
    made = kept(1, zones="ab", SpotOptions=options(BEFORE))
    (old,) = kept.active(made)
    recommend(control, old)
    kept.look()
    assert len(kept.active(made)) == 2
    assert app.world.fleets[made].at_risk[old] - time.monotonic() > 60
    app.world.fleets[made].at_risk[old] = time.monotonic()
    kept.look()
    kept.look()
    assert old not in kept.active(made)
    assert kept.status(made) == ("active", "fulfilled", 1.0)


def test_rebalance_only_with_capacity_elsewhere(kept: Any, control: Any) -> None:
    """[UG Capacity Rebalancing]: an instance is replaced only when there is something as good"""
    made = kept(1, zones="ab", SpotOptions=options(BEFORE))
    (old,) = kept.active(made)
    control("capacity", type="t3.medium", count=1)
    zones = kept.zones(made)
    control("capacity", type="t3.medium", zone=f"us-east-1{'b' if zones == ['a'] else 'a'}", count=0)
    recommend(control, old)
    kept.look()
    assert kept.active(made) == [old]
    assert kept.status(made) == ("active", "fulfilled", 1.0)
    control("reset", controls=True)
    kept.look()
    assert len(kept.active(made)) == 2


@pytest.mark.parametrize("strategy", [None, BEFORE])
def test_no_rebalance(kept: Any, control: Any, strategy: Any) -> None:
    """Not without a strategy, and not beyond twice the target"""
    made = kept(1, zones="ab", SpotOptions=options(strategy))
    recommend(control, kept.active(made)[0])
    kept.look()
    for one in kept.active(made):
        recommend(control, one)
        kept.look()
    assert len(kept.active(made)) == (2 if strategy else 1)


def test_interrupted_members_are_replaced(kept: Any, control: Any, instance: Any) -> None:
    """[API CreateFleet] maintain: "replenishing interrupted Spot Instances" """
    made = kept(1, zones="ab")
    (old,) = kept.active(made)
    control("interrupt", instance_id=old, notice=None)
    kept.look()
    assert instance(old)["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert len(kept.active(made)) == 1
    assert kept.active(made) != [old]
