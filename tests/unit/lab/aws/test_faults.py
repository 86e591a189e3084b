"""Throttling, eventual consistency and expired credentials, on order."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from lab.aws import throttle


def test_throttled_calls(ec2: Any, client: Any, control: Any, refused: Any) -> None:
    """[EC2 API throttling], [ERR] RequestLimitExceeded (503); the other services' words"""
    control("throttle", action="DescribeInstances", rate=0, burst=2)
    control("throttle", action="Get*", rate=0)
    for _ in range(2):
        ec2.describe_instances()
    with refused("RequestLimitExceeded", http=503):
        ec2.describe_instances()
    ec2.describe_volumes()
    client("sts").get_caller_identity()
    with refused("Throttling"):
        client("sts").get_caller_identity()
    with refused("ThrottlingException"):
        client("ssm").get_parameter(Name="/x")
    control("throttle", action="DescribeInstances", rate=None)
    assert ec2.describe_instances()
    assert control("throttle") == [{"action": "Get*", "rate": 0, "burst": 1}]
    control("reset", controls=True)
    assert client("sts").get_caller_identity()


def test_a_bucket_fills_up_again() -> None:
    """[EC2 API throttling] token bucket: burst at once, then the rate"""
    bucket = throttle.Bucket("*", rate=2, burst=3, tokens=3, at=100)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.5)] == [True, False]
    assert [bucket.take(200) for _ in range(4)] == [True, True, True, False]


def test_limits_of_aws(run: Any, ec2: Any, control: Any, refused: Any, monkeypatch: Any) -> None:
    """[EC2 API throttling]: RunInstances 5 at once and 2 more a second, reads 100"""
    now = time.monotonic()
    monkeypatch.setattr("lab.aws.throttle.time", SimpleNamespace(monotonic=lambda: now))
    control("throttle", aws=True)
    for _ in range(5):
        run()
    with refused("RequestLimitExceeded", http=503):
        run()
    now += 1
    run()
    run()
    with refused("RequestLimitExceeded", http=503):
        run()
    assert ec2.describe_instances()


def test_expired_credentials(client: Any, control: Any, refused: Any) -> None:
    """[ERR] RequestExpired; ExpiredToken of the other services"""
    control("credentials", expired=True)
    with refused("RequestExpired", http=400, text="expired"):
        client("ec2").describe_instances()
    with refused("ExpiredToken", http=403, text="expired"):
        client("sts").get_caller_identity()
    with refused("ExpiredTokenException", http=400, text="expired"):
        client("ssm").describe_parameters()
    assert control("credentials") == {"expired": True}
    control("credentials", expired=False)
    assert client("sts").get_caller_identity()["Account"]


class TestEventualConsistency:
    """[EC2 API eventual-consistency]"""

    @pytest.mark.slow
    def test_an_instance_with_all_that_belongs_to_it(self, ec2: Any, run: Any, control: Any, refused: Any) -> None:
        control("consistency", seconds=3)
        spot = run(InstanceMarketOptions={"MarketType": "spot"})
        one, request = spot["InstanceId"], spot["SpotInstanceRequestId"]
        with refused("InvalidInstanceID.NotFound"):
            ec2.describe_instances(InstanceIds=[one])
        with refused("InvalidInstanceID.NotFound"):
            ec2.terminate_instances(InstanceIds=[one])
        with refused("InvalidInstanceID.NotFound"):
            ec2.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "b"}])
        with refused("InvalidSpotInstanceRequestID.NotFound"):
            ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request])
        assert ec2.describe_instances()["Reservations"] == ec2.describe_volumes()["Volumes"] == []
        time.sleep(3)
        assert ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["InstanceId"] == one
        assert len(ec2.describe_volumes()["Volumes"]) == 1

    def test_what_a_launch_needs(self, ec2: Any, run: Any, template: Any, control: Any, refused: Any) -> None:
        control("consistency", seconds=60)
        name = template("young")["LaunchTemplateName"]
        ec2.create_key_pair(KeyName="k")
        group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
        with refused("InvalidLaunchTemplateName.NotFoundException"):
            run(LaunchTemplate={"LaunchTemplateName": name}, ImageId=None, InstanceType=None)
        with refused("InvalidKeyPair.NotFound"):
            run(KeyName="k")
        with refused("InvalidGroup.NotFound"):
            run(SecurityGroupIds=[group])
        with refused("InvalidGroup.NotFound"):
            ec2.describe_security_groups(GroupIds=[group])
        with refused("InvalidGroup.NotFound"):
            ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="1.1.1.1/32"
            )
        assert ec2.describe_key_pairs()["KeyPairs"] == ec2.describe_launch_templates()["LaunchTemplates"] == []
        control("reset", controls=True)
        one = run(LaunchTemplate={"LaunchTemplateName": name}, ImageId=None, InstanceType=None, KeyName="k")
        assert one["KeyName"] == "k"

    def test_names_are_taken_at_once(self, ec2: Any, template: Any, control: Any, refused: Any) -> None:
        control("consistency", seconds=60)
        template("young")
        ec2.create_key_pair(KeyName="k")
        ec2.create_security_group(GroupName="g", Description="g")
        with refused("InvalidLaunchTemplateName.AlreadyExistsException"):
            template("young")
        with refused("InvalidKeyPair.Duplicate"):
            ec2.create_key_pair(KeyName="k")
        with refused("InvalidGroup.Duplicate"):
            ec2.create_security_group(GroupName="g", Description="g")

    def test_a_token_is_known_at_once(self, run: Any, control: Any) -> None:
        control("consistency", seconds=60)
        assert run(ClientToken="t")["InstanceId"] == run(ClientToken="t")["InstanceId"]

    def test_a_fleet(self, ec2: Any, fleet: Any, template: Any, control: Any, refused: Any) -> None:
        template()
        control("consistency", seconds=60)
        made = fleet(2)
        with refused("InvalidFleetId.NotFound"):
            ec2.describe_fleets(FleetIds=[made["FleetId"]])
        assert ec2.describe_instances()["Reservations"] == []

    def test_capacity_counts_what_is_not_seen_yet(self, run: Any, control: Any, refused: Any) -> None:
        control("consistency", seconds=60)
        control("capacity", type="t3.medium", zone="us-east-1a", count=1)
        here = {"Placement": {"AvailabilityZone": "us-east-1a"}}
        run(**here)
        with refused("InsufficientInstanceCapacity", http=500):
            run(**here)

    def test_machines_report_what_the_api_does_not_show(self, app: Any, run: Any, control: Any) -> None:
        app.world.machines.hold = True
        control("consistency", seconds=60)
        one = run()["InstanceId"]
        app.cloud.running(one)
        control("reset", controls=True)
        assert app.cloud.view(one).state == "running"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("throttle", {"rate": -1}),
        ("throttle", {"rate": "fast"}),
        ("consistency", {"seconds": -1}),
        ("credentials", {"expired": "yes"}),
        ("speed", {"factor": 0}),
        ("speed", {"factor": True}),
    ],
)
def test_mistakes_are_said(control: Any, name: str, args: dict[str, Any]) -> None:
    import urllib.error

    with pytest.raises(urllib.error.HTTPError, match="400"):
        control(name, **args)
