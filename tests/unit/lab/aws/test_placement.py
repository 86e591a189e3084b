"""GetSpotPlacementScores and InstanceRequirements."""

from __future__ import annotations

from typing import Any

import pytest

from lab.aws import placement, prices
from lab.aws.fleet import requirements

THREE = ["t3.medium", "t3.large", "m5.large"]


def scores(ec2: Any, types: list[str] | None = None, capacity: int = 4, **more: Any) -> dict[str, int]:
    """Region or zone id -> score, in the order of the answer."""
    kinds = {"InstanceTypes": types or THREE} if "InstanceRequirementsWithMetadata" not in more else {}
    answer = ec2.get_spot_placement_scores(TargetCapacity=capacity, **kinds, **more)
    return {s.get("AvailabilityZoneId", s["Region"]): s["Score"] for s in answer["SpotPlacementScores"]}


def zone_ids(ec2: Any) -> dict[str, str]:
    return {z["ZoneName"][-1]: z["ZoneId"] for z in ec2.describe_availability_zones()["AvailabilityZones"]}


def test_regions(ec2: Any) -> None:
    """[API GetSpotPlacementScores]: 1 to 10, the top 10 of all regions unless some are named"""
    found = scores(ec2)
    assert len(found) == 10
    assert all(1 <= score <= 10 for score in found.values())
    assert list(scores(ec2, RegionNames=["us-east-1", "eu-west-1"])) == ["us-east-1", "eu-west-1"]


def test_few_types_score_low(ec2: Any) -> None:
    """[API GetSpotPlacementScores] InstanceTypes: one or two types "will always be low" """
    for few in (THREE[:1], THREE[:2]):
        assert max(scores(ec2, few).values()) <= 3
    assert scores(ec2, RegionNames=["us-east-1"])["us-east-1"] > 3


def test_zones_by_id(ec2: Any, control: Any) -> None:
    """[API GetSpotPlacementScores] SingleAvailabilityZone: ids; best first; what the lab's capacity allows"""
    control("capacity", zone="us-east-1b", count=0)
    ids = zone_ids(ec2)
    found = scores(ec2, SingleAvailabilityZone=True, RegionNames=["us-east-1"])
    assert set(found) == set(ids.values())
    assert found[ids["b"]] == 1
    assert found[ids["a"]] > 3
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_capacity_lowers_the_score(ec2: Any, control: Any) -> None:
    control("capacity", zone="us-east-1a", count=1)
    zone = zone_ids(ec2)["a"]
    by_wish = [scores(ec2, capacity=n, SingleAvailabilityZone=True, RegionNames=["us-east-1"]) for n in (3, 6, 60)]
    assert [s[zone] for s in by_wish] == sorted({s[zone] for s in by_wish}, reverse=True)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"InstanceTypes": []}, "MissingParameter"),
        ({"InstanceTypes": ["t3.mediun"]}, "InvalidParameterValue"),
        ({"RegionNames": ["xx-nowhere-1"]}, "InvalidParameterValue"),
        ({"RegionNames": ["us-east-1"] * 11}, "InvalidParameterValue"),
        ({"MaxResults": 11, "TargetCapacityUnitType": "gib"}, "InvalidParameterValue"),
        (
            {
                "InstanceTypes": THREE,
                "InstanceRequirementsWithMetadata": {
                    "InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}
                },
            },
            "InvalidParameterCombination",
        ),
    ],
)
def test_scores_that_cannot_be(ec2: Any, refused: Any, changes: dict[str, Any], code: str) -> None:
    with refused(code):
        ec2.get_spot_placement_scores(**{"TargetCapacity": 1, "InstanceTypes": THREE, **changes})


def test_new_configurations_are_limited(ec2: Any, refused: Any) -> None:
    """[ERR] MaxConfigLimitExceededException: known ones go on working"""
    for capacity in range(1, placement.MOST_CONFIGURATIONS + 1):
        scores(ec2, capacity=capacity, RegionNames=["us-east-1"])
    with refused("MaxConfigLimitExceededException"):
        scores(ec2, capacity=999, RegionNames=["us-east-1"])
    assert scores(ec2, capacity=1, RegionNames=["us-east-1"])


def test_by_attributes(ec2: Any) -> None:
    wanted = {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096}}
    found = scores(ec2, RegionNames=["us-east-1"], InstanceRequirementsWithMetadata={"InstanceRequirements": wanted})
    assert found["us-east-1"] > 3


BASE = {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096, "Max": 16384}}
GPU = {
    "VCpuCount": {"Min": 4},
    "MemoryMiB": {"Min": 16384},
    "AcceleratorCount": {"Min": 1},
    "AcceleratorManufacturers": ["nvidia"],
}


@pytest.mark.parametrize(
    ("wanted", "present", "absent"),
    [
        (BASE, ["c5.large", "c6i.large"], ["t3.medium", "m5.4xlarge", "c7g.large"]),
        ({**BASE, "BurstablePerformance": "included"}, ["t3.medium"], []),
        ({**BASE, "AllowedInstanceTypes": ["m5*"]}, ["m5.large", "m5a.large"], ["c5.large"]),
        ({**BASE, "ExcludedInstanceTypes": ["c5.*"]}, ["c6i.large"], ["c5.large"]),
        ({**BASE, "LocalStorage": "required"}, [], ["m5.large"]),
        ({**GPU, "AcceleratorNames": ["t4"]}, ["g4dn.xlarge"], ["g5.xlarge", "m5.xlarge"]),
        ({**GPU, "AllowedInstanceTypes": ["g4dn.*", "g5.*"]}, ["g4dn.xlarge"], ["g5.48xlarge"]),
        (
            {**GPU, "AllowedInstanceTypes": ["g4dn.*", "g5.*"], "SpotMaxPricePercentageOverLowestPrice": 999999},
            ["g5.48xlarge"],
            [],
        ),
    ],
)
def test_types_by_attributes(app: Any, wanted: dict[str, Any], present: list[str], absent: list[str]) -> None:
    """[API InstanceRequirementsRequest]; price protection is on unless it is switched off with 999999"""
    found = requirements.types(app.world, wanted, ["x86_64"])
    assert not set(present) - set(found)
    assert not set(absent) & set(found)
    assert [prices.on_demand(n) for n in found] == sorted(prices.on_demand(n) for n in found)


def test_fleet_by_attributes(ec2: Any, fleet: Any, subnets: dict[str, str]) -> None:
    """[API FleetLaunchTemplateOverridesRequest] InstanceRequirements"""
    answer = fleet(1, overrides=[{"InstanceRequirements": BASE, "SubnetId": subnets["a"]}])
    (entry,) = answer["Instances"]
    assert entry["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"] == entry["InstanceType"]


def test_capacity_in_vcpus(fleet: Any, subnets: dict[str, str]) -> None:
    """[API TargetCapacitySpecificationRequest] TargetCapacityUnitType"""
    wanted = {"VCpuCount": {"Min": 4, "Max": 4}, "MemoryMiB": {"Min": 4096}}
    overrides = [{"InstanceRequirements": wanted, "SubnetId": subnets["a"]}]
    target = {"TotalTargetCapacity": 8, "DefaultTargetCapacityType": "spot", "TargetCapacityUnitType": "vcpu"}
    answer = fleet(overrides=overrides, TargetCapacitySpecification=target)
    assert sum(len(i["InstanceIds"]) for i in answer["Instances"]) == 2


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ({"InstanceType": "t3.medium", "InstanceRequirements": BASE}, "InvalidParameterCombination"),
        (
            {"InstanceRequirements": {**BASE, "AllowedInstanceTypes": ["m*"], "ExcludedInstanceTypes": ["c*"]}},
            "InvalidParameterCombination",
        ),
        (
            {
                "InstanceRequirements": {
                    "VCpuCount": {"Min": 1},
                    "MemoryMiB": {"Min": 1},
                    "SpotMaxPricePercentageOverLowestPrice": 1,
                    "MaxSpotPriceAsPercentageOfOptimalOnDemandPrice": 1,
                }
            },
            "InvalidParameterCombination",
        ),
    ],
)
def test_overrides_that_cannot_be(fleet: Any, refused: Any, override: dict[str, Any], code: str) -> None:
    """[API FleetLaunchTemplateOverridesRequest], [API InstanceRequirementsRequest]"""
    with refused(code):
        fleet(1, overrides=[override])
