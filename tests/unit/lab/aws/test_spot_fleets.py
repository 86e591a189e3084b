"""RequestSpotFleet and its family."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

NOBODY = "sfr-01234567-0123-0123-0123-0123456789ab"
BEFORE = {"CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 120}}


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def role(client: Any) -> str:
    policy = trust("spotfleet.amazonaws.com")
    made = client("iam").create_role(RoleName="aws-ec2-spot-fleet-tagging-role", AssumeRolePolicyDocument=policy)
    return made["Role"]["Arn"]


@pytest.fixture
def config(role: str, ami: str, subnets: dict[str, str]) -> dict[str, Any]:
    """One instance of t3.medium, by a launch specification."""
    spec = {"ImageId": ami, "InstanceType": "t3.medium", "SubnetId": subnets["a"]}
    return {"IamFleetRole": role, "TargetCapacity": 1, "LaunchSpecifications": [spec]}


@pytest.fixture
def request_fleet(kept: Any, config: dict[str, Any]) -> Callable[..., str]:
    """RequestSpotFleet with changes (None takes away), looked at once; returns its id."""

    def make(**changes: Any) -> str:
        wanted = {k: v for k, v in {**config, **changes}.items() if v is not None}
        made: str = kept.ec2.request_spot_fleet(SpotFleetRequestConfig=wanted)["SpotFleetRequestId"]
        kept.look()
        return made

    return make


def by_template(template: Any, *overrides: dict[str, Any]) -> dict[str, Any]:
    """Changes that replace the launch specification by a template."""
    reference = {"LaunchTemplateId": template("for-spot-fleet")["LaunchTemplateId"], "Version": "1"}
    configs = [{"LaunchTemplateSpecification": reference, "Overrides": list(overrides)}]
    return {"LaunchSpecifications": None, "LaunchTemplateConfigs": configs}


def test_request(kept: Any, request_fleet: Any, role: str, instance: Any) -> None:
    """[API RequestSpotFleet], [API SpotFleetRequestConfig]; defaults: maintain, lowestPrice"""
    made = request_fleet(TargetCapacity=2)
    assert made.startswith("sfr-")
    assert kept.status(made) == ("active", "fulfilled", 2.0)
    told = kept.seen(made)["SpotFleetRequestConfig"]
    assert (told["Type"], told["AllocationStrategy"], told["IamFleetRole"]) == ("maintain", "lowestPrice", role)
    assert (told["TargetCapacity"], told["OnDemandTargetCapacity"]) == (2, 0)
    seen = instance(kept.active(made)[0])
    assert {"Key": "aws:ec2spot:fleet-request-id", "Value": made} in seen["Tags"]
    assert seen["InstanceLifecycle"] == "spot"
    answer = kept.ec2.describe_spot_fleet_instances(SpotFleetRequestId=made)["ActiveInstances"]
    assert {i["InstanceHealth"] for i in answer} == {"healthy"}
    assert kept.ec2.describe_fleets()["Fleets"] == []


def test_specification_is_applied(kept: Any, request_fleet: Any, config: dict[str, Any], instance: Any) -> None:
    """[API SpotFleetLaunchSpecification]: groups by GroupId, tags for instances, base64 user data"""
    group = kept.ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    spec = {
        **config["LaunchSpecifications"][0],
        "SecurityGroups": [{"GroupId": group}],
        "TagSpecifications": tags,
        "UserData": "aGVsbG8=",
    }
    made = request_fleet(LaunchSpecifications=[spec])
    seen = instance(kept.active(made)[0])
    assert [g["GroupId"] for g in seen["SecurityGroups"]] == [group]
    assert {"Key": "a", "Value": "b"} in seen["Tags"]
    assert kept.app.cloud.view(seen["InstanceId"]).user_data == b"hello"


def test_tags_of_the_request(kept: Any, request_fleet: Any) -> None:
    """[API SpotFleetRequestConfigData] TagSpecifications: spot-fleet-request; [API CreateTags]"""
    tags = [{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "a", "Value": "b"}]}]
    made = request_fleet(TagSpecifications=tags)
    assert kept.seen(made)["Tags"] == [{"Key": "a", "Value": "b"}]
    kept.ec2.create_tags(Resources=[made], Tags=[{"Key": "c", "Value": "d"}])
    found = kept.ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["spot-fleet-request"]}])["Tags"]
    assert {(t["ResourceId"], t["Key"]) for t in found} == {(made, "a"), (made, "c")}


def test_templates_and_both_markets(kept: Any, request_fleet: Any, template: Any, subnets: Any, instance: Any) -> None:
    """[API SpotFleetRequestConfigData] OnDemandTargetCapacity: part of the target; needs templates"""
    changes = by_template(template, {"InstanceType": "t3.large", "SubnetId": subnets["b"]})
    made = request_fleet(TargetCapacity=3, OnDemandTargetCapacity=1, **changes)
    seen = [instance(i) for i in kept.active(made)]
    assert {i["InstanceType"] for i in seen} == {"t3.large"}
    assert [i.get("InstanceLifecycle") for i in seen].count("spot") == 2
    assert kept.seen(made)["SpotFleetRequestConfig"]["OnDemandFulfilledCapacity"] == 1.0


def test_client_token(kept: Any, request_fleet: Any, refused: Any) -> None:
    """[API SpotFleetRequestConfigData] ClientToken; [ERR] IdempotentParameterMismatch"""
    assert request_fleet(ClientToken="t") == request_fleet(ClientToken="t")
    with refused("IdempotentParameterMismatch"):
        request_fleet(ClientToken="t", TargetCapacity=2)


@pytest.mark.parametrize(
    "changes",
    [
        {"IamFleetRole": "aws-ec2-spot-fleet-tagging-role"},
        {"IamFleetRole": "arn:aws:iam::123456789012:role/nobody"},
        {"IamFleetRole": "arn:aws:iam::210987654321:role/aws-ec2-spot-fleet-tagging-role"},
        {"LaunchSpecifications": None},
        {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateName": "temp", "Version": "1"}}]},
        {"Type": "instant"},
        {"Type": "request", "TargetCapacity": 0},
        {"TargetCapacity": 10001},
        {"OnDemandTargetCapacity": 1},
        {"AllocationStrategy": "lowest-price"},
        {"AllocationStrategy": "capacityOptimizedPrioritized"},
        {"AllocationStrategy": "diversified", "InstancePoolsToUseCount": 2},
        {"OnDemandAllocationStrategy": "cheapest"},
        {"ExcessCapacityTerminationPolicy": "termination"},
        {"InstanceInterruptionBehavior": "stop", "Type": "request"},
        {"SpotMaintenanceStrategies": BEFORE, "Type": "request"},
        {"SpotMaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate"}}},
        {"TargetCapacityUnitType": "vcpu"},
        {"TagSpecifications": [{"ResourceType": "instance", "Tags": []}]},
        {"ValidUntil": datetime(2020, 1, 1, tzinfo=timezone.utc)},
    ],
)
def test_requests_that_cannot_be(request_fleet: Any, refused: Any, changes: dict[str, Any]) -> None:
    """[ERR] InvalidSpotFleetRequestConfig; [API SpotFleetRequestConfigData]"""
    with refused("InvalidSpotFleetRequestConfig"):
        request_fleet(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}},
        {"NetworkInterfaces": [{"DeviceIndex": 0}]},
        {"TagSpecifications": [{"ResourceType": "volume", "Tags": []}]},
        {"SpotPrice": "0.0001"},
    ],
)
def test_specifications_that_cannot_be(request_fleet: Any, config: Any, refused: Any, changes: dict[str, Any]) -> None:
    """[API SpotFleetLaunchSpecification]"""
    with refused("InvalidSpotFleetRequestConfig"):
        request_fleet(LaunchSpecifications=[{**config["LaunchSpecifications"][0], **changes}])


def test_text_about_the_role(request_fleet: Any, refused: Any) -> None:
    """[OBS]"""
    with refused("InvalidSpotFleetRequestConfig", text="Parameter: SpotFleetRequestConfig.IamFleetRole is invalid."):
        request_fleet(IamFleetRole="role")


def test_role_that_spot_fleet_may_not_use(kept: Any, client: Any, request_fleet: Any) -> None:
    """[API EventInformation] iamFleetRoleInvalid: accepted, then an error event and no instance"""
    made = client("iam").create_role(RoleName="wrong", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    fleet_id = request_fleet(IamFleetRole=made["Role"]["Arn"])
    kept.look()
    assert kept.status(fleet_id) == ("active", "error", 0.0)
    assert kept.history(fleet_id, EventType="error") == [("error", "iamFleetRoleInvalid")]


def test_history(kept: Any, request_fleet: Any, refused: Any) -> None:
    """[API DescribeSpotFleetRequestHistory]"""
    made = request_fleet()
    assert [e for e in kept.history(made) if e[1] != "progress"] == [
        ("fleetRequestChange", "submitted"),
        ("fleetRequestChange", "active"),
        ("instanceChange", "launched"),
    ]
    assert kept.history(made, EventType="instanceChange") == [("instanceChange", "launched")]
    launched = kept.records(made, EventType="instanceChange")[0]["EventInformation"]
    assert launched["InstanceId"] == kept.active(made)[0]
    assert json.loads(launched["EventDescription"])["instanceType"] == "t3.medium"
    with refused("InvalidParameterValue"):
        kept.history(made, EventType="instance-change")


def test_quota(kept: Any, request_fleet: Any, control: Any) -> None:
    """[API EventInformation] spotInstanceCountLimitExceeded"""
    control("quota", group="Standard", vcpus=0)
    made = request_fleet()
    assert kept.history(made, EventType="error") == [("error", "spotInstanceCountLimitExceeded")]
    assert kept.status(made) == ("active", "error", 0.0)


def test_no_capacity(kept: Any, request_fleet: Any, control: Any) -> None:
    """[API EventInformation] launchSpecTemporarilyBlacklisted, allLaunchSpecsTemporarilyBlacklisted"""
    control("capacity", count=0)
    made = request_fleet()
    for _ in range(4):
        kept.look()
    assert kept.history(made, EventType="information") == [("information", "launchSpecTemporarilyBlacklisted")]
    assert kept.history(made, EventType="error") == [("error", "allLaunchSpecsTemporarilyBlacklisted")]
    (told,) = kept.records(made, EventType="information")
    assert "InsufficientInstanceCapacity" in told["EventInformation"]["EventDescription"]
    (waiting,) = kept.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (waiting["State"], waiting["Status"]["Code"]) == ("open", "capacity-not-available")
    assert {"Key": "aws:ec2spot:fleet-request-id", "Value": made} in waiting["Tags"]
    control("reset", controls=True)
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 1.0)


@pytest.mark.parametrize("kind", ["maintain", "request"])
def test_replacement(kept: Any, request_fleet: Any, kind: str) -> None:
    """aws-spot section 9: a fleet of type maintain replaces, one of type request does not"""
    made = request_fleet(Type=kind)
    kept.end(*kept.active(made))
    kept.look()
    assert len(kept.active(made)) == (1 if kind == "maintain" else 0)


def test_price_of_the_request(kept: Any, request_fleet: Any) -> None:
    """[API SpotFleetRequestConfigData] SpotPrice: of every specification that has none"""
    made = request_fleet(SpotPrice="0.002")
    assert ("information", "launchSpecUnusable") in kept.history(made)
    assert kept.active(made) == []


def test_several_specifications_and_zones(kept: Any, request_fleet: Any, config: Any, subnets: Any) -> None:
    """[API SpotFleetLaunchSpecification] SubnetId: a list with commas"""
    spec = {**config["LaunchSpecifications"][0], "SubnetId": ", ".join(subnets[z] for z in "abc")}
    made = request_fleet(LaunchSpecifications=[spec], TargetCapacity=3, AllocationStrategy="diversified")
    assert kept.zones(made) == ["a", "b", "c"]


def test_modify(kept: Any, request_fleet: Any) -> None:
    """[API ModifySpotFleetRequest]"""
    made = request_fleet(TargetCapacity=1)
    kept.ec2.modify_spot_fleet_request(SpotFleetRequestId=made, TargetCapacity=3)
    assert kept.status(made)[0] == "modifying"
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 3.0)
    kept.ec2.modify_spot_fleet_request(
        SpotFleetRequestId=made, TargetCapacity=1, ExcessCapacityTerminationPolicy="noTermination"
    )
    kept.look()
    assert kept.status(made) == ("active", "fulfilled", 3.0)
    told = kept.seen(made)["SpotFleetRequestConfig"]
    assert (told["TargetCapacity"], told["ExcessCapacityTerminationPolicy"]) == (1, "noTermination")


def test_not_modifiable(kept: Any, request_fleet: Any, refused: Any) -> None:
    """[ERR] FleetNotInModifiableState; [API ModifySpotFleetRequest] LaunchTemplateConfigs, OnDemandTargetCapacity"""
    made = request_fleet(Type="request")
    with refused("FleetNotInModifiableState", text="is not a modifiable fleet request type"):
        kept.ec2.modify_spot_fleet_request(SpotFleetRequestId=made, TargetCapacity=3)
    made = request_fleet()
    with refused("InvalidSpotFleetRequestConfig"):
        kept.ec2.modify_spot_fleet_request(SpotFleetRequestId=made, TargetCapacity=2, OnDemandTargetCapacity=1)
    with refused("InvalidSpotFleetRequestId.NotFound"):
        kept.ec2.modify_spot_fleet_request(SpotFleetRequestId=NOBODY, TargetCapacity=1)


def test_rebalance(kept: Any, request_fleet: Any, config: Any, subnets: Any, control: Any) -> None:
    """[API SpotCapacityRebalance]"""
    spec = {**config["LaunchSpecifications"][0], "SubnetId": f"{subnets['a']},{subnets['b']}"}
    made = request_fleet(LaunchSpecifications=[spec], SpotMaintenanceStrategies=BEFORE)
    control("interrupt", instance_id=kept.active(made)[0], rebalance=True)
    kept.look()
    assert kept.zones(made) == ["a", "b"]


@pytest.mark.parametrize(
    ("terminate", "states"),
    [(True, ["cancelled_terminating", "cancelled"]), (False, ["cancelled_running", "cancelled_running"])],
)
def test_cancel(kept: Any, request_fleet: Any, terminate: bool, states: list[str]) -> None:
    """[API CancelSpotFleetRequests], [API BatchState]"""
    made = request_fleet()
    answer = kept.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[made], TerminateInstances=terminate)
    assert answer["SuccessfulFleetRequests"] == [
        {
            "SpotFleetRequestId": made,
            "PreviousSpotFleetRequestState": "active",
            "CurrentSpotFleetRequestState": states[0],
        }
    ]
    kept.look()
    assert kept.status(made)[0] == states[1]
    assert ("fleetRequestChange", states[1]) in kept.history(made)
    assert len(kept.active(made)) == (0 if terminate else 1)


def test_cancel_some(kept: Any, request_fleet: Any, refused: Any) -> None:
    """[API CancelBatchErrorCode]; at most 100"""
    made = request_fleet()
    kept.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[made], TerminateInstances=True)
    again = kept.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[made, NOBODY, "sfr-x"], TerminateInstances=True)
    assert [f["Error"]["Code"] for f in again["UnsuccessfulFleetRequests"]] == [
        "fleetRequestNotInCancellableState",
        "fleetRequestIdDoesNotExist",
        "fleetRequestIdMalformed",
    ]
    with refused("RequestResourceCountExceeded"):
        kept.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[NOBODY] * 101, TerminateInstances=True)


def test_expiry(kept: Any, request_fleet: Any) -> None:
    """[API SpotFleetRequestConfigData] ValidUntil"""
    made = request_fleet(ValidUntil=datetime.now(timezone.utc) + timedelta(hours=1))
    kept.app.world.fleets[made].args["ValidUntil"] = datetime.now(timezone.utc) - timedelta(seconds=1)
    kept.look()
    assert kept.status(made)[0] == "cancelled_running"
    assert ("fleetRequestChange", "expired") in kept.history(made)


def test_pages(kept: Any, request_fleet: Any) -> None:
    """[API DescribeSpotFleetRequests], [API DescribeSpotFleetInstances]: pages"""
    made = [request_fleet(TargetCapacity=2) for _ in range(2)]
    pages = kept.ec2.get_paginator("describe_spot_fleet_requests").paginate(PaginationConfig={"PageSize": 1})
    assert [c["SpotFleetRequestId"] for p in pages for c in p["SpotFleetRequestConfigs"]] == made
    first = kept.ec2.describe_spot_fleet_instances(SpotFleetRequestId=made[0], MaxResults=1)
    assert len(first["ActiveInstances"]) == 1
    assert first["NextToken"]


def test_unknown(kept: Any, refused: Any) -> None:
    """[ERR] InvalidSpotFleetRequestId.NotFound, .Malformed"""
    for fleet_id, code in ((NOBODY, "NotFound"), ("sfr-x", "Malformed")):
        with refused(f"InvalidSpotFleetRequestId.{code}"):
            kept.ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])
