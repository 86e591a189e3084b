"""EC2 Fleets: what an instant fleet answers, and what is left of it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

ALL = "abcdf"


def launched(answer: dict[str, Any]) -> dict[tuple[str, str], int]:
    """(type, subnet) -> instances."""
    return {
        (i["InstanceType"], i["LaunchTemplateAndOverrides"]["Overrides"].get("SubnetId", "")): len(i["InstanceIds"])
        for i in answer["Instances"]
    }


def members(answer: dict[str, Any]) -> list[str]:
    return [one for i in answer["Instances"] for one in i["InstanceIds"]]


def codes(answer: dict[str, Any]) -> list[str]:
    return [e["ErrorCode"] for e in answer["Errors"]]


def price(ec2: Any, kind: str, zone: str) -> float:
    history = ec2.describe_spot_price_history(
        InstanceTypes=[kind], AvailabilityZone=f"us-east-1{zone}", ProductDescriptions=["Linux/UNIX"], MaxResults=1
    )
    return float(history["SpotPriceHistory"][0]["SpotPrice"])


def test_answer(ec2: Any, fleet: Any, subnets: dict[str, str], instance: Any) -> None:
    """[API CreateFleet] CreateFleetResult of an instant fleet"""
    tags = [{"ResourceType": t, "Tags": [{"Key": "of", "Value": t}]} for t in ("fleet", "instance")]
    answer = fleet(2, zones="a", TagSpecifications=tags)
    assert answer["Errors"] == []
    (entry,) = answer["Instances"]
    assert (entry["Lifecycle"], entry["InstanceType"], len(entry["InstanceIds"])) == ("spot", "t3.medium", 2)
    used = entry["LaunchTemplateAndOverrides"]
    assert used["Overrides"] == {"InstanceType": "t3.medium", "SubnetId": subnets["a"]}
    assert used["LaunchTemplateSpecification"]["Version"] == "1"
    seen = instance(entry["InstanceIds"][0])
    told = {t["Key"]: t["Value"] for t in seen["Tags"]}
    assert told["aws:ec2:fleet-id"] == answer["FleetId"]
    assert told["aws:ec2launchtemplate:id"] == used["LaunchTemplateSpecification"]["LaunchTemplateId"]
    assert told["of"] == "instance"
    assert (seen["InstanceLifecycle"], seen["State"]["Name"]) == ("spot", "running")
    assert seen["SpotInstanceRequestId"].startswith("sir-")


def test_the_cheapest_pool_first(ec2: Any, fleet: Any, subnets: dict[str, str]) -> None:
    """[UG] price-capacity-optimized, as far as a stand-in can tell: the lowest price with room"""
    kinds = ("t3.medium", "t3.large")
    best = min((price(ec2, k, z), k, subnets[z]) for k in kinds for z in ALL)
    assert launched(fleet(2, kinds, ALL)) == {(best[1], best[2]): 2}


def test_pools_without_room_are_skipped_and_named(fleet: Any, control: Any, subnets: dict[str, str]) -> None:
    control("capacity", type="t3.medium", zone="us-east-1a", count=0)
    answer = fleet(2, zones="ab")
    assert launched(answer) == {("t3.medium", subnets["b"]): 2}
    if answer["Errors"]:  # only when the empty pool was the cheaper one
        assert codes(answer) == ["InsufficientInstanceCapacity"]


def test_partial_capacity(fleet: Any, control: Any) -> None:
    """Both lists filled, HTTP 200"""
    control("capacity", type="t3.medium", count=1)
    answer = fleet(5, zones="ab")
    assert len(members(answer)) == 2
    assert codes(answer) == ["InsufficientInstanceCapacity"] * 2
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert all(e["Lifecycle"] == "spot" and "SubnetId" in e["LaunchTemplateAndOverrides"]["Overrides"]
               for e in answer["Errors"])  # fmt: skip


def test_no_capacity_at_all(fleet: Any, control: Any) -> None:
    control("capacity", count=0)
    answer = fleet(1, zones="ab")
    assert answer["Instances"] == []
    assert codes(answer) == ["InsufficientInstanceCapacity"] * 2
    assert answer["FleetId"].startswith("fleet-")


def test_type_that_cannot_be_had_there(fleet: Any) -> None:
    """[OBS]: InvalidFleetConfiguration for a zone without the type and for a misspelt type"""
    answer = fleet(1, ["t3.medium", "t3.mediun"], "ae")
    assert len(members(answer)) == 1
    assert sorted(set(codes(answer))) == ["InvalidFleetConfiguration"]
    assert len(answer["Errors"]) == 3


def test_quota_inside_the_answer(fleet: Any, control: Any) -> None:
    control("quota", new_account=True)
    assert codes(fleet(1, ["g4dn.xlarge"], "ab")) == ["MaxSpotInstanceCountExceeded"] * 2
    assert codes(fleet(1, ["g4dn.xlarge"], "a", market="on-demand")) == ["VcpuLimitExceeded"]


def test_errors_of_the_template_stand_in_the_answer(fleet: Any) -> None:
    """[OBS]: what RunInstances would refuse comes per override"""
    answer = fleet(1, zones="ab", data={"KeyName": "nobody"})
    assert codes(answer) == ["InvalidKeyPair.NotFound"] * 2


def test_no_permission_inside_the_answer(fleet: Any, control: Any) -> None:
    """[OBS]: UnauthorizedOperation inside a 200 answer"""
    control("deny", action="ec2:RunInstances")
    answer = fleet(1, zones="a")
    assert codes(answer) == ["UnauthorizedOperation"]
    assert "ec2:RunInstances" in answer["Errors"][0]["ErrorMessage"]


def test_ordered_fault_inside_the_answer(fleet: Any, control: Any) -> None:
    control(
        "fail", action="CreateFleet", code="UnfulfillableCapacity", in_fleet=True, match={"InstanceType": "t3.medium"}
    )
    answer = fleet(1, ["t3.medium", "t3.large"], "a")
    assert codes(answer) == ["UnfulfillableCapacity"]
    assert [i["InstanceType"] for i in answer["Instances"]] == ["t3.large"]


def test_max_price(ec2: Any, fleet: Any, subnets: dict[str, str], refused: Any) -> None:
    pool = {"InstanceType": "t3.medium", "SubnetId": subnets["a"]}
    assert codes(fleet(overrides=[{**pool, "MaxPrice": "0.002"}])) == ["SpotMaxPriceTooLow"]
    with refused("InvalidParameterValue", text="0.001"):
        fleet(overrides=[{**pool, "MaxPrice": "0.0005"}])


def test_on_demand(fleet: Any, instance: Any) -> None:
    answer = fleet(1, zones="a", market="on-demand")
    assert answer["Instances"][0]["Lifecycle"] == "on-demand"
    assert "InstanceLifecycle" not in instance(members(answer)[0])


def test_both_markets(fleet: Any) -> None:
    target = {"TotalTargetCapacity": 3, "SpotTargetCapacity": 1, "OnDemandTargetCapacity": 1,
              "DefaultTargetCapacityType": "spot"}  # fmt: skip
    answer = fleet(zones="a", TargetCapacitySpecification=target)
    assert {i["Lifecycle"]: len(i["InstanceIds"]) for i in answer["Instances"]} == {"spot": 2, "on-demand": 1}


def test_on_demand_priority(fleet: Any, subnets: dict[str, str]) -> None:
    """[API CreateFleet] OnDemandOptions prioritized: the lowest number first, not the order of the list"""
    pools = [
        {"InstanceType": t, "SubnetId": subnets["a"], "Priority": p} for t, p in (("t3.medium", 2), ("m5.large", 1))
    ]
    answer = fleet(overrides=pools, market="on-demand", OnDemandOptions={"AllocationStrategy": "prioritized"})
    assert answer["Instances"][0]["InstanceType"] == "m5.large"


def test_diversified(fleet: Any) -> None:
    answer = fleet(4, zones="abcd", SpotOptions={"AllocationStrategy": "diversified"})
    assert sorted(launched(answer).values()) == [1, 1, 1, 1]


def test_weights(fleet: Any, subnets: dict[str, str]) -> None:
    pool = {"InstanceType": "t3.medium", "SubnetId": subnets["a"], "WeightedCapacity": 2}
    assert len(members(fleet(5, overrides=[pool]))) == 3


def test_single_zone_and_type(fleet: Any, control: Any, subnets: dict[str, str]) -> None:
    """[API CreateFleet] SingleAvailabilityZone, SingleInstanceType"""
    control("capacity", type="t3.medium", zone="us-east-1a", count=1)
    control("capacity", type="t3.large", zone="us-east-1a", count=1)
    control("capacity", type="t3.medium", zone="us-east-1b", count=1)
    control("capacity", type="t3.large", zone="us-east-1b", count=2)
    one_zone = fleet(3, ("t3.medium", "t3.large"), "ab", SpotOptions={"SingleAvailabilityZone": True})
    assert {s for _, s in launched(one_zone)} == {subnets["b"]}
    assert len(members(one_zone)) == 3
    control("reset", controls=True)
    one_type = fleet(3, ("t3.medium", "t3.large"), "ab", SpotOptions={"SingleInstanceType": True})
    assert len({t for t, _ in launched(one_type)}) == 1


def test_all_or_nothing(fleet: Any, control: Any) -> None:
    """[API CreateFleet] MinTargetCapacity: below it nothing is launched"""
    control("capacity", type="t3.medium", count=2)
    options = {"SingleAvailabilityZone": True, "MinTargetCapacity": 3}
    answer = fleet(3, zones="ab", SpotOptions=options)
    assert answer["Instances"] == []
    assert set(codes(answer)) == {"UnfulfillableCapacity"}
    assert len(members(fleet(3, zones="ab", SpotOptions={**options, "MinTargetCapacity": 2}))) == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Type": "sometimes"}, "InvalidParameterValue"),
        ({"SpotOptions": {"AllocationStrategy": "cheapest"}}, "InvalidParameterValue"),
        ({"SpotOptions": {"MinTargetCapacity": 1}}, "InvalidParameterCombination"),
        ({"Type": "request", "SpotOptions": {"SingleInstanceType": True}}, "InvalidParameterCombination"),
        ({"TagSpecifications": [{"ResourceType": "volume", "Tags": []}]}, "InvalidParameterValue"),
        (
            {"Type": "maintain", "TagSpecifications": [{"ResourceType": "instance", "Tags": []}]},
            "InvalidParameterValue",
        ),
        ({"LaunchTemplateConfigs": []}, "MissingParameter"),
        ({"TargetCapacitySpecification": {"TotalTargetCapacity": 0}}, "InvalidParameterValue"),
    ],
)
def test_fleets_that_cannot_be(fleet: Any, refused: Any, changes: dict[str, Any], code: str) -> None:
    """[API CreateFleet]"""
    with refused(code):
        fleet(**changes)


REBALANCE = {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 120}


def rebalance(**changes: Any) -> dict[str, Any]:
    wanted = {k: v for k, v in {**REBALANCE, **changes}.items() if v is not None}
    return {"SpotOptions": {"MaintenanceStrategies": {"CapacityRebalance": wanted}}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Type": "request", **rebalance()}, "InvalidParameterCombination"),
        (rebalance(TerminationDelay=None), "InvalidParameterCombination"),
        (rebalance(TerminationDelay=119), "InvalidParameterValue"),
        (rebalance(TerminationDelay=7201), "InvalidParameterValue"),
        (rebalance(ReplacementStrategy="launch"), "InvalidParameterCombination"),
        (rebalance(ReplacementStrategy="terminate"), "InvalidParameterValue"),
        ({"Type": "request", "ReplaceUnhealthyInstances": True}, "InvalidParameterCombination"),
        ({"Type": "request", "SpotOptions": {"InstanceInterruptionBehavior": "stop"}}, "InvalidParameterCombination"),
        ({"SpotOptions": {"InstanceInterruptionBehavior": "sleep"}}, "InvalidParameterValue"),
        ({"Type": "request", "TargetCapacitySpecification": {"TotalTargetCapacity": 0}}, "InvalidParameterValue"),
        ({"TargetCapacitySpecification": {"TotalTargetCapacity": 10001}}, "InvalidParameterValue"),
        (
            {"TargetCapacitySpecification": {"TotalTargetCapacity": 1, "TargetCapacityUnitType": "vcpu"}},
            "InvalidParameterCombination",
        ),
        ({"SpotOptions": {"MaxTotalPrice": "cheap"}}, "InvalidParameterValue"),
        ({"ValidUntil": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "InvalidParameterValue"),
        ({"ExcessCapacityTerminationPolicy": "default"}, "InvalidParameterValue"),
    ],
)
def test_lasting_fleets_that_cannot_be(fleet: Any, refused: Any, changes: dict[str, Any], code: str) -> None:
    """[API CreateFleet], [API FleetSpotCapacityRebalanceRequest], [UG interruption behavior]"""
    with refused(code):
        fleet(**{"Type": "maintain", **changes})


def test_overrides_of_one_type_of_fleet_only(fleet: Any, subnets: dict[str, str], ami: str, refused: Any) -> None:
    """[API FleetLaunchTemplateOverridesRequest] SubnetId, ImageId; [API FleetLaunchTemplateConfigRequest] 300"""
    with refused("InvalidFleetConfig", text="only one subnet"):
        fleet(overrides=[{"InstanceType": "t3.medium", "SubnetId": f"{subnets['a']},{subnets['b']}"}])
    with refused("InvalidParameterCombination", text="ImageId"):
        fleet(Type="maintain", overrides=[{"InstanceType": "t3.medium", "ImageId": ami}])
    with refused("InvalidParameterValue", text="300"):
        fleet(Type="maintain", overrides=[{"InstanceType": "t3.medium", "Priority": n} for n in range(301)])


def test_zone_by_id(ec2: Any, fleet: Any, instance: Any) -> None:
    """[API FleetLaunchTemplateOverridesRequest] AvailabilityZoneId, or AvailabilityZone"""
    zone = ec2.describe_availability_zones()["AvailabilityZones"][1]
    answer = fleet(overrides=[{"InstanceType": "t3.medium", "AvailabilityZoneId": zone["ZoneId"]}])
    assert instance(members(answer)[0])["Placement"]["AvailabilityZone"] == zone["ZoneName"]


def test_unknown_template_refuses_the_whole_call(ec2: Any, fleet: Any, refused: Any) -> None:
    config = {"LaunchTemplateSpecification": {"LaunchTemplateName": "nobody", "Version": "1"}}
    with refused("InvalidLaunchTemplateName.NotFoundException"):
        fleet(LaunchTemplateConfigs=[config])


def test_pools_twice(ec2: Any, fleet: Any, subnets: dict[str, str], refused: Any) -> None:
    """[ERR] InvalidFleetConfig; [UG fleet quotas]: not two subnets of one zone"""
    pool = {"InstanceType": "t3.medium", "SubnetId": subnets["a"]}
    with refused("InvalidFleetConfig", text="duplicate"):
        fleet(overrides=[pool, pool])
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    second = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/24", AvailabilityZone="us-east-1a")["Subnet"][
        "SubnetId"
    ]
    with refused("InvalidFleetConfig", text="more than one subnet"):
        fleet(overrides=[pool, {"InstanceType": "t3.medium", "SubnetId": second}])


def test_template_with_market_options(fleet: Any, refused: Any) -> None:
    """[API CreateFleet]: a fleet says itself what is Spot"""
    with refused("InvalidFleetConfig"):
        fleet(data={"InstanceMarketOptions": {"MarketType": "spot"}})


def test_override_without_a_place_may_use_every_zone(fleet: Any, control: Any, instance: Any) -> None:
    for zone in "abcd":
        control("capacity", type="t3.medium", zone=f"us-east-1{zone}", count=0)
    answer = fleet(1, overrides=[{"InstanceType": "t3.medium"}])
    assert instance(members(answer)[0])["Placement"]["AvailabilityZone"] == "us-east-1f"


def test_client_token(ec2: Any, fleet: Any, refused: Any) -> None:
    """[API CreateFleet] ClientToken; [ERR] IdempotentParameterMismatch"""
    first, again = fleet(ClientToken="g1"), fleet(ClientToken="g1")
    assert (first["FleetId"], members(first)) == (again["FleetId"], members(again))
    assert len(ec2.describe_instances()["Reservations"]) == 1
    with refused("IdempotentParameterMismatch"):
        fleet(2, ClientToken="g1")


def test_template_data_is_applied(ec2: Any, client: Any, fleet: Any, instance: Any, app: Any) -> None:
    iam = client("iam")
    iam.create_instance_profile(InstanceProfileName="worker")
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    answer = fleet(
        zones="a",
        data={
            "KeyName": "k",
            "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group], "AssociatePublicIpAddress": True}],
            "IamInstanceProfile": {"Name": "worker"},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "UserData": "aGVsbG8=",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True}}
            ],
            "TagSpecifications": [
                {"ResourceType": t, "Tags": [{"Key": "of", "Value": t}]}
                for t in ("instance", "volume", "network-interface", "spot-instances-request")
            ],
        },
    )
    one = instance(members(answer)[0])
    assert (one["KeyName"], one["SecurityGroups"][0]["GroupId"]) == ("k", group)
    assert one["IamInstanceProfile"]["Arn"].endswith("/worker")
    assert one["MetadataOptions"]["HttpTokens"] == "required"
    view = app.cloud.view(one["InstanceId"])
    assert (view.user_data, view.shutdown_behavior, view.root_volume_gib) == (b"hello", "terminate", 30)
    (root,) = one["BlockDeviceMappings"]
    volume = ec2.describe_volumes(VolumeIds=[root["Ebs"]["VolumeId"]])["Volumes"][0]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (30, "gp3", True)
    assert root["Ebs"]["DeleteOnTermination"]
    for resource, kind in (
        (volume["VolumeId"], "volume"),
        (one["NetworkInterfaces"][0]["NetworkInterfaceId"], "network-interface"),
        (one["SpotInstanceRequestId"], "spot-instances-request"),
    ):
        seen = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])["Tags"]
        assert [(t["ResourceType"], t["Value"]) for t in seen] == [(kind, kind)]


def test_describe(ec2: Any, fleet: Any, refused: Any) -> None:
    """[API DescribeFleets]: instant fleets only by id"""
    tags = [{"ResourceType": "fleet", "Tags": [{"Key": "a", "Value": "b"}]}]
    made = fleet(2, zones="a", TagSpecifications=tags)["FleetId"]
    assert ec2.describe_fleets()["Fleets"] == []
    (seen,) = ec2.describe_fleets(FleetIds=[made])["Fleets"]
    assert (seen["Type"], seen["FleetState"], seen["FulfilledCapacity"]) == ("instant", "active", 2.0)
    assert seen["Tags"] == [{"Key": "a", "Value": "b"}]
    assert [len(i["InstanceIds"]) for i in seen["Instances"]] == [2]
    with refused("InvalidFleetId.NotFound"):
        ec2.describe_fleets(FleetIds=["fleet-01234567-0123-0123-0123-0123456789ab"])
    with refused("Unsupported"):
        ec2.describe_fleet_instances(FleetId=made)


def test_delete(ec2: Any, fleet: Any, machines: Any, app: Any, refused: Any) -> None:
    """[API DeleteFleets]; NoTerminateInstancesNotSupported [OBS]"""
    answer = fleet(2, zones="a")
    with refused("NoTerminateInstancesNotSupported"):
        ec2.delete_fleets(FleetIds=[answer["FleetId"]], TerminateInstances=False)
    machines.hold = True
    done = ec2.delete_fleets(FleetIds=[answer["FleetId"]], TerminateInstances=True)
    assert done["SuccessfulFleetDeletions"][0]["CurrentFleetState"] == "deleted_terminating"
    for one in members(answer):
        app.cloud.terminated(one)
    app.world.keeper.look()
    assert ec2.describe_fleets(FleetIds=[answer["FleetId"]])["Fleets"][0]["FleetState"] == "deleted"
    again = ec2.delete_fleets(FleetIds=[answer["FleetId"], "fleet-x"], TerminateInstances=True)
    assert [f["Error"]["Code"] for f in again["UnsuccessfulFleetDeletions"]] == [
        "fleetNotInDeletableState",
        "fleetIdMalformed",
    ]
