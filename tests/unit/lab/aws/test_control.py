"""The lab's own controls."""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest


def test_ordered_fault(ec2: Any, control: Any, refused: Any) -> None:
    control("fail", action="DescribeInstances", code="RequestLimitExceeded", times=2)
    for _ in range(2):
        with refused("RequestLimitExceeded", http=503):
            ec2.describe_instances()
    assert ec2.describe_instances()["Reservations"] == []


def test_a_fault_is_taken_back(ec2: Any, control: Any) -> None:
    control("fail", action="DescribeInstances", code="InternalError", times=None)
    assert control("fail", action="DescribeInstances", clear=True) == []
    assert ec2.describe_instances()["Reservations"] == []


def test_fault_for_some_parameters(run: Any, control: Any, refused: Any) -> None:
    control(
        "fail",
        action="RunInstances",
        code="InsufficientInstanceCapacity",
        times=None,
        match={"InstanceType": "t3.large"},
    )
    assert run()
    for _ in range(2):
        with refused("InsufficientInstanceCapacity", http=500):
            run(InstanceType="t3.large")
    control("reset", controls=True)
    assert run(InstanceType="t3.large")


def test_lost_answer(ec2: Any, run: Any, control: Any, refused: Any) -> None:
    """The work is done, the answer is an error: what client tokens are for"""
    control("fail", action="RunInstances", code="InternalError", after=True)
    with refused("InternalError", http=500):
        run(ClientToken="t")
    (reservation,) = ec2.describe_instances()["Reservations"]
    assert run(ClientToken="t")["InstanceId"] == reservation["Instances"][0]["InstanceId"]


def test_fault_of_a_json_service(client: Any, control: Any, refused: Any) -> None:
    control("fail", action="GetParameter", code="ThrottlingException", message="slow down")
    with refused("ThrottlingException", text="slow down"):
        client("ssm").get_parameter(Name="/x")


def test_call_log(ec2: Any, run: Any, control: Any) -> None:
    control("calls", method="DELETE")
    ec2.describe_instances()
    run()
    log = control("calls")
    assert (log[0]["action"], log[0]["mutating"], log[0]["status"]) == ("DescribeInstances", False, 200)
    assert [c["action"] for c in control("calls?mutating=true")] == ["RunInstances"]
    assert control(f"calls?since={log[-1]['number']}") == []
    assert {"time", "seconds", "service", "access_key"} <= set(log[0])


def test_dry_runs_change_nothing(run: Any, control: Any, refused: Any) -> None:
    control("calls", method="DELETE")
    with refused("DryRunOperation", http=412):
        run(DryRun=True)
    assert control("calls?mutating=true") == []


def test_capacity_counts_what_runs(ec2: Any, run: Any, control: Any, refused: Any, subnets: dict[str, str]) -> None:
    control("capacity", type="t3.medium", zone="us-east-1a", market="spot", count=1)
    spot = {"SubnetId": subnets["a"], "InstanceMarketOptions": {"MarketType": "spot"}}
    first = run(**spot)["InstanceId"]
    with refused("InsufficientInstanceCapacity", http=500):
        run(**spot)
    assert run(SubnetId=subnets["a"])  # on-demand is another pool
    ec2.terminate_instances(InstanceIds=[first])
    assert run(**spot)
    (limit,) = control("capacity")
    assert limit == {"type": "t3.medium", "zone": "us-east-1a", "market": "spot", "count": 1}
    assert control("capacity", type="t3.medium", zone="us-east-1a", market="spot", count=None) == []


def test_events(run: Any, control: Any, instance: Any) -> None:
    one = run(InstanceInitiatedShutdownBehavior="terminate")["InstanceId"]
    control("event", instance_id=one, event="powered_off")
    assert instance(one)["State"]["Name"] == "terminated"


def test_reset_leaves_an_empty_account(ec2: Any, run: Any, control: Any) -> None:
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    run(KeyName="k", TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}])
    control("reset", everything=True)
    assert ec2.describe_instances()["Reservations"] == []
    assert (
        ec2.describe_key_pairs()["KeyPairs"] == ec2.describe_tags()["Tags"] == ec2.describe_volumes()["Volumes"] == []
    )


def test_health(control: Any) -> None:
    found = control("health")
    assert found["instances"] == 0
    assert found["region"] == "us-east-1"
    assert found["regions"] == ["us-east-1", "us-west-2", "eu-west-1"]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("nothing", {}),
        ("nothing", {"a": 1}),
        ("fail", {"action": "RunInstances"}),
        ("fail", {"action": "RunInstances", "code": "X", "tims": 1}),
        ("deny", {"actoin": "x"}),
        ("event", {"event": "explode", "instance_id": "i-1"}),
        ("capacity", {"count": "many"}),
        ("capacity", {"type": "t3.mediun", "count": 0}),
        ("capacity", {"zone": "us-east-1z", "count": 0}),
        ("capacity", {"market": "futures", "count": 0}),
    ],
)
def test_mistakes_are_said(control: Any, name: str, args: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as err:
        control(name, **args)
    assert err.value.code == 400
    assert f"/lab/{name}" in json.loads(err.value.read())["error"]


def test_what_the_lab_cannot_do_is_an_error_that_says_so(ec2: Any, refused: Any) -> None:
    with refused("LabNotImplemented", http=501, text="GetInstanceTypesFromInstanceRequirements"):
        ec2.get_instance_types_from_instance_requirements(
            ArchitectureTypes=["x86_64"],
            VirtualizationTypes=["hvm"],
            InstanceRequirements={"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}},
        )
