"""Images, types, where they are sold and what they cost."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lab.aws import prices
from lab.aws.config import IMAGES

NOW = datetime.now(timezone.utc)


def test_debian_by_parameter(ec2: Any, ami: str) -> None:
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    assert image["Name"].startswith("debian-12-amd64-")
    assert (image["OwnerId"], image["Architecture"]) == ("136693071363", "x86_64")
    assert (image["RootDeviceName"], image["State"]) == ("/dev/xvda", "available")
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 8
    assert image["CreationDate"].startswith("2026-")


@pytest.mark.parametrize("parameter", sorted({p for i in IMAGES for p in i.ssm_parameters}))
def test_public_parameters(client: Any, ec2: Any, parameter: str) -> None:
    value = client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    assert ec2.describe_images(ImageIds=[value])["Images"]


def test_unknown_parameter(client: Any, refused: Any) -> None:
    with refused("ParameterNotFound"):
        client("ssm").get_parameter(Name="/aws/service/debian/release/99/latest/amd64")


def test_images_by_name_and_owner(ec2: Any) -> None:
    filters = [{"Name": "name", "Values": ["debian-12-*"]}, {"Name": "architecture", "Values": ["arm64"]}]
    (image,) = ec2.describe_images(Owners=["136693071363"], Filters=filters)["Images"]
    assert image["Architecture"] == "arm64"
    assert not ec2.describe_images(Owners=["self"])["Images"]
    assert len(ec2.describe_images(Owners=["amazon"])["Images"]) == len(IMAGES)


def test_image_by_resolve(run: Any, ami: str) -> None:
    assert run(ImageId="resolve:ssm:/aws/service/debian/release/12/latest/amd64")["ImageId"] == ami


def test_types_with_gpu(ec2: Any) -> None:
    found = ec2.describe_instance_types(InstanceTypes=["g4dn.xlarge", "g5.xlarge", "g6.xlarge"])["InstanceTypes"]
    gpus = {t["InstanceType"]: t["GpuInfo"]["Gpus"][0]["Name"] for t in found}
    assert gpus == {"g4dn.xlarge": "T4", "g5.xlarge": "A10G", "g6.xlarge": "L4"}
    small = ec2.describe_instance_types(
        Filters=[{"Name": "instance-type", "Values": ["t3.*"]}, {"Name": "vcpu-info.default-vcpus", "Values": ["8"]}]
    )
    assert [t["InstanceType"] for t in small["InstanceTypes"]] == ["t3.2xlarge"]


def test_offerings(ec2: Any) -> None:
    def places(kind: str, name: str) -> list[str]:
        found = ec2.describe_instance_type_offerings(
            LocationType=kind, Filters=[{"Name": "instance-type", "Values": [name]}]
        )
        return sorted(o["Location"] for o in found["InstanceTypeOfferings"])

    assert places("region", "t3.medium") == ["us-east-1"]
    assert places("availability-zone", "t3.medium") == [f"us-east-1{z}" for z in "abcdf"]
    assert "use1-az3" not in places("availability-zone-id", "t3.medium")
    assert places("region", "p2.xlarge") == []


def test_present_spot_prices(ec2: Any) -> None:
    """[API DescribeSpotPriceHistory]: StartTime=EndTime=now gives the price of each zone"""
    found = ec2.describe_spot_price_history(
        InstanceTypes=["t3.medium", "g5.xlarge"], ProductDescriptions=["Linux/UNIX"], StartTime=NOW, EndTime=NOW
    )["SpotPriceHistory"]
    seen = {(p["InstanceType"], p["AvailabilityZone"]): float(p["SpotPrice"]) for p in found}
    assert len(found) == len(seen) == 10
    assert len(set(seen.values())) > 5
    for (kind, _), price in seen.items():
        assert 0.2 < price / prices.on_demand(kind) < 0.8
    assert all(p["Timestamp"] <= NOW for p in found)


def test_spot_price_history(ec2: Any) -> None:
    found = ec2.describe_spot_price_history(
        InstanceTypes=["t3.medium"],
        AvailabilityZone="us-east-1a",
        ProductDescriptions=["Linux/UNIX"],
        StartTime=NOW - timedelta(days=2),
        EndTime=NOW,
    )["SpotPriceHistory"]
    times = [p["Timestamp"] for p in found]
    assert times == sorted(times, reverse=True)
    assert times[-1] <= NOW - timedelta(days=2) < times[-2]  # the last change before StartTime is there too
    assert len({p["SpotPrice"] for p in found}) > 3
    windows = ec2.describe_spot_price_history(InstanceTypes=["t3.medium"], ProductDescriptions=["Windows"])
    assert windows["SpotPriceHistory"] == []


def test_spot_price_pages(ec2: Any) -> None:
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=["t3.medium"], StartTime=NOW - timedelta(days=1), PaginationConfig={"PageSize": 7}
    )
    sizes = [len(p["SpotPriceHistory"]) for p in pages]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {7}


def test_spot_prices_of_a_retired_type(ec2: Any) -> None:
    assert ec2.describe_spot_price_history(InstanceTypes=["p2.xlarge"])["SpotPriceHistory"] == []


def test_on_demand_prices(client: Any) -> None:
    """[API pricing GetProducts]: JSON strings; exactly one product with the usual filters"""
    wanted = {
        "instanceType": "g5.xlarge",
        "regionCode": "us-east-1",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    (text,) = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    (term,) = json.loads(text)["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert float(dimension["pricePerUnit"]["USD"]) == 1.006
    other = [f if f["Field"] != "operatingSystem" else {**f, "Value": "Windows"} for f in filters]
    assert client("pricing").get_products(ServiceCode="AmazonEC2", Filters=other)["PriceList"] == []


def test_on_demand_prices_of_several_types(client: Any) -> None:
    """[API pricing Filter]: ANY_OF, values with commas between them"""
    filters = [
        {"Type": "ANY_OF", "Field": "instanceType", "Value": "t3.medium,m5.large,none.such"},
        {"Type": "TERM_MATCH", "Field": "operatingSystem", "Value": "Linux"},
    ]
    found = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    names = [json.loads(text)["product"]["attributes"]["instanceType"] for text in found]
    assert sorted(names) == ["m5.large", "t3.medium"]


def test_on_demand_price_pages(client: Any) -> None:
    first = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=[], MaxResults=100)
    assert len(first["PriceList"]) == 100
    second = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=[], NextToken=first["NextToken"])
    assert first["PriceList"][0] != second["PriceList"][0]


def test_service_quotas(client: Any, control: Any, refused: Any) -> None:
    """[UG using-spot-limits]: codes per family group"""
    quotas = client("service-quotas")
    control("quota", new_account=True)
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-3819A6DF")["Quota"]["Value"] == 0.0
    control("quota", group="G and VT", vcpus=8)
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-3819A6DF")["Quota"]["Value"] == 8.0
    assert len(quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]) == 6
    with refused("NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")


@pytest.mark.parametrize(
    ("name", "group"),
    [("t3.medium", "Standard"), ("g4dn.xlarge", "G and VT"), ("g6e.xlarge", "G and VT"), ("p5.48xlarge", "P"),
     ("inf2.xlarge", "Inf"), ("m5.large", "Standard"), ("x2gd.medium", "X"), ("dl1.24xlarge", "DL")],
)  # fmt: skip
def test_quota_groups(name: str, group: str) -> None:
    assert prices.quota_group(name) == group


def test_prices_stand_still_between_steps() -> None:
    at = prices.EPOCH + 7 * prices.STEP
    assert prices.spot("t3.medium", "us-east-1a", at) == prices.spot("t3.medium", "us-east-1a", at + prices.STEP / 2)
    assert prices.on_demand("c5.24xlarge") == 4.608  # not in the table: by vCPUs
