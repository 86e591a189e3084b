"""Several regions of one lab: machines in each, and everything that AWS keeps by region apart from the others."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.aws.config import ACCESS_KEY, SECRET_KEY

WEST, IRELAND, OHIO, MILAN = "us-west-2", "eu-west-1", "us-east-2", "eu-south-1"
DEBIAN = "/aws/service/debian/release/12/latest/amd64"


@pytest.fixture
def far(url: str, client: Callable[..., Any]) -> Callable[..., Any]:
    """A client of another region."""

    def make(region: str, service: str = "ec2") -> Any:
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return boto3.client(service, endpoint_url=url, region_name=region, **keys)  # type: ignore[call-overload]

    return make


def image(far: Callable[..., Any], region: str) -> str:
    return str(far(region, "ssm").get_parameter(Name=DEBIAN)["Parameter"]["Value"])


def launch(far: Callable[..., Any], region: str, **more: Any) -> dict[str, Any]:
    wanted = {"ImageId": image(far, region), "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1, **more}
    instance: dict[str, Any] = far(region).run_instances(**wanted)["Instances"][0]
    return instance


def all_of(ec2: Any) -> list[str]:
    return [i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]


@pytest.mark.slow
def test_each_region_has_its_own_instances(ec2: Any, far: Any, run: Any, app: Any) -> None:
    """An inventory over all regions must not see an instance twice"""
    here, there = run(), launch(far, WEST)
    assert there["Placement"]["AvailabilityZone"].startswith(WEST)
    assert all_of(ec2) == [here["InstanceId"]]
    assert all_of(far(WEST)) == [there["InstanceId"]]
    assert all_of(far(IRELAND)) == []
    assert {view.region for view in app.cloud.views()} == {"us-east-1", WEST}
    found = far(WEST).describe_instances()["Reservations"][0]["Instances"][0]
    assert found["State"]["Name"] == "running"  # what the machine reports reaches its region
    far(WEST).terminate_instances(InstanceIds=[there["InstanceId"]])
    assert app.cloud.view(there["InstanceId"]) is None
    assert app.cloud.view(here["InstanceId"]).state == "running"


def test_addresses_are_never_given_twice(ec2: Any, far: Any, run: Any) -> None:
    """All machines are on one network of the host"""
    blocks = [
        ipaddress.ip_network(subnet["CidrBlock"])
        for client in (ec2, far(WEST), far(IRELAND))
        for subnet in client.describe_subnets()["Subnets"]
    ]
    assert len(blocks) == 6 + 4 + 3
    assert not any(a.overlaps(b) for a in blocks for b in blocks if a is not b)
    made = [run(), launch(far, WEST), launch(far, IRELAND)]
    assert len({one["PublicIpAddress"] for one in made}) == 3
    assert len({one["PrivateIpAddress"] for one in made}) == 3


def test_an_image_belongs_to_one_region(far: Any, ami: str, refused: Any) -> None:
    """[ERR] InvalidAMIID.NotFound"""
    assert image(far, WEST) != ami
    with refused("InvalidAMIID.NotFound"):
        launch(far, WEST, ImageId=ami)


def test_capacity_of_one_region(far: Any, run: Any, control: Any, refused: Any) -> None:
    control("capacity", type="*", zone="us-east-1", count=0)
    with refused("InsufficientInstanceCapacity", http=500):
        run()
    launch(far, WEST)
    assert control("capacity") == [{"type": "*", "zone": "us-east-1", "market": "*", "count": 0}]
    control("capacity", type="t3.medium", zone="us-west-2b", count=1)
    assert {one["zone"] for one in control("capacity")} == {"us-east-1", "us-west-2b"}
    control("capacity", type="*", zone="*", count=0)
    with refused("InsufficientInstanceCapacity", http=500):
        launch(far, IRELAND)
    control("capacity", type="*", zone="*")
    assert control("capacity") == []


def test_a_pool_of_no_region(control: Any) -> None:
    import urllib.error

    with pytest.raises(urllib.error.HTTPError) as problem:
        control("capacity", type="*", zone="us-west-9z", count=0)
    assert "us-west-2a" in json.loads(problem.value.read())["error"]


def test_a_fault_in_one_region(ec2: Any, far: Any, control: Any, refused: Any) -> None:
    control("fail", action="DescribeInstances", code="InternalError", http=500, region=IRELAND, times=5)
    ec2.describe_instances()
    with refused("InternalError", http=500):
        far(IRELAND).describe_instances()


def test_quotas_of_one_region(ec2: Any, far: Any, control: Any, refused: Any) -> None:
    """[UG using-spot-limits]: quotas are per region"""
    control("quota", group="Standard", vcpus=0, region=WEST)
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    with refused("MaxSpotInstanceCountExceeded"):
        launch(far, WEST, **spot)
    launch(far, IRELAND, **spot)
    read = {"ServiceCode": "ec2", "QuotaCode": "L-34B43A08"}
    assert far(WEST, "service-quotas").get_service_quota(**read)["Quota"]["Value"] == 0
    assert far(IRELAND, "service-quotas").get_service_quota(**read)["Quota"]["Value"] > 0


def test_prices_of_another_region(client: Any) -> None:
    """Price List Query API: one endpoint tells the prices of all regions"""
    wanted = [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "t3.medium"},
              {"Type": "TERM_MATCH", "Field": "regionCode", "Value": WEST}]  # fmt: skip
    found = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=wanted)["PriceList"]
    assert [json.loads(one)["product"]["attributes"]["regionCode"] for one in found] == [WEST]


def test_an_instance_of_another_region_is_taken(far: Any, control: Any) -> None:
    taken = launch(far, WEST, InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]
    assert control("interrupt", instance_id=taken, notice=None)["kind"] == "sudden"
    found = far(WEST).describe_instances(InstanceIds=[taken])["Reservations"][0]["Instances"][0]
    assert found["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert [one["InstanceId"] for one in control("spot")] == [taken]


def test_regions_without_machines(far: Any, ami: str, refused: Any) -> None:
    assert all_of(far(OHIO)) == []
    assert len(far(OHIO).describe_subnets()["Subnets"]) == 3
    with refused("OptInRequired"):
        far(OHIO).run_instances(ImageId=ami, InstanceType="t3.medium", MinCount=1, MaxCount=1)


def test_a_region_that_is_not_enabled(far: Any, refused: Any) -> None:
    """AWS answers there as if it did not know the key: AuthFailure by EC2, UnrecognizedClientException by SSM"""
    with refused("AuthFailure", http=401):
        far(MILAN).describe_instances()
    with refused("UnrecognizedClientException"):
        far(MILAN, "ssm").get_parameter(Name=DEBIAN)


def test_a_region_that_does_not_exist(far: Any, refused: Any) -> None:
    with refused("AuthFailure", http=401):
        far("us-east-9").describe_instances()


def test_reset_empties_all_regions(far: Any, control: Any) -> None:
    launch(far, WEST)
    control("reset", x=1)
    assert all_of(far(WEST)) == []
