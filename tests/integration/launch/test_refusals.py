"""Where there is no capacity: other pools, waiting, on-demand, a Spot Fleet."""

from __future__ import annotations

import json

import pytest

from .conftest import User, interrupt

pytestmark = pytest.mark.lab


def test_refusals_lead_to_the_pool_that_has_room_and_are_told(machines: User) -> None:
    for kind in ("t3.medium", "t3.large"):
        machines.control("capacity", type=kind, count=0)
    text = machines.play("launch", "-e", "profile=machines", "-e", "experiment=room")
    assert "t3.medium in us-east-1a: no capacity (InsufficientInstanceCapacity)" in text
    (instance,) = machines.alive("room")
    found = machines.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["InstanceType"] == "m5.large"
    # AWS remembers: the next plan asks those pools last.
    plan = machines.play(
        "launch", "-e", "profile=machines", "-e", "experiment=room", "-e", "capacity.count=2", "--check"
    )
    first = next(
        line for line in plan.splitlines() if line.split()[:1] and line.split()[0] in ("t3.medium", "m5.large")
    )
    assert first.startswith("m5.large"), plan


def test_capacity_that_returns_while_it_waits_is_taken(machines: User) -> None:
    machines.control("capacity", count=0)
    process = machines.start("launch", "-e", "profile=machines", "-e", "experiment=patient", "-e", "capacity.wait=20")
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if "no capacity" in line:
            machines.control("capacity", count=None)
            break
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text + rest
    assert len(machines.alive("patient")) == 1


def test_on_demand_may_fill_in(machines: User) -> None:
    machines.control("capacity", market="spot", count=0)
    args = ("-e", "profile=machines", "-e", "experiment=filled", "-e", "capacity.wait=2")
    machines.play("launch", *args, fails=True)
    assert machines.alive("filled") == []
    machines.play("launch", *args, "-e", "capacity.on_demand=fallback")
    (instance,) = machines.alive("filled")
    found = machines.client().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert "InstanceLifecycle" not in found


def test_a_spot_fleet_for_those_who_have_a_role(machines: User) -> None:
    name = "aws-ec2-spot-fleet-tagging-role"
    trust = {"Effect": "Allow", "Principal": {"Service": "spotfleet.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = machines.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    args = ("-e", "profile=machines", "-e", "experiment=fleet", "-e", "capacity.count=2")
    wrong = machines.play("launch", *args, "-e", "capacity.iam_fleet_role=arn:aws:iam::1:role/x", fails=True)
    assert "capacity.iam_fleet_role" in wrong
    args = (*args, "-e", f"capacity.iam_fleet_role={role}")
    machines.play("launch", *args)
    before = {row["rank"]: row["instance_id"] for row in machines.status("-e", "experiment=fleet")}
    assert sorted(before) == [0, 1]
    interrupt(machines, before[0])
    machines.play("resume", *args)
    after = {row["rank"]: row["instance_id"] for row in machines.status("-e", "experiment=fleet")}
    assert after[1] == before[1] and after[0] not in before.values()
    machines.play("close", "-e", "experiment=fleet")
    assert machines.alive("fleet") == []
    requests = machines.client().describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert {request["SpotFleetRequestState"] for request in requests} == {"cancelled"}
