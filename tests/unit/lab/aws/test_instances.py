"""The life of instances as the API shows it."""

from __future__ import annotations

import base64
import dataclasses
import threading
import time
from typing import Any

import pytest

SPOT = {"MarketType": "spot"}


def state(instance: Any, instance_id: str) -> str:
    return str(instance(instance_id)["State"]["Name"])


def ids(answer: dict[str, Any]) -> list[str]:
    return [i["InstanceId"] for r in answer["Reservations"] for i in r["Instances"]]


def test_states_follow_the_machine(ec2: Any, run: Any, instance: Any, machines: Any, app: Any) -> None:
    machines.hold = True
    one = run()
    assert one["State"] == {"Code": 0, "Name": "pending"}
    assert state(instance, one["InstanceId"]) == "pending"
    app.cloud.running(one["InstanceId"])
    assert instance(one["InstanceId"])["State"] == {"Code": 16, "Name": "running"}
    change = ec2.terminate_instances(InstanceIds=[one["InstanceId"]])["TerminatingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "shutting-down")
    assert state(instance, one["InstanceId"]) == "shutting-down"
    app.cloud.terminated(one["InstanceId"])
    gone = instance(one["InstanceId"])
    assert gone["State"] == {"Code": 48, "Name": "terminated"}
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert gone["StateTransitionReason"].startswith("User initiated (")
    assert not {"PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId"} & set(gone)
    assert gone["NetworkInterfaces"] == gone["BlockDeviceMappings"] == gone["SecurityGroups"] == []


def test_terminating_twice_is_no_error(ec2: Any, run: Any) -> None:
    one = run()["InstanceId"]
    ec2.terminate_instances(InstanceIds=[one])
    again = ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


def test_termination_wins_over_a_late_start(ec2: Any, run: Any, instance: Any, machines: Any, app: Any) -> None:
    machines.hold = True
    one = run()["InstanceId"]
    ec2.terminate_instances(InstanceIds=[one])
    app.cloud.running(one)
    assert state(instance, one) == "shutting-down"


def test_stop_and_start(ec2: Any, run: Any, instance: Any, machines: Any, app: Any) -> None:
    before = run()
    one = before["InstanceId"]
    machines.hold = True
    assert ec2.stop_instances(InstanceIds=[one])["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
    app.cloud.stopped(one)
    stopped = instance(one)
    assert stopped["State"]["Name"] == "stopped"
    assert stopped["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert "PublicIpAddress" not in stopped
    assert ec2.start_instances(InstanceIds=[one])["StartingInstances"][0]["CurrentState"]["Name"] == "pending"
    app.cloud.running(one)
    started = instance(one)
    assert started["PublicIpAddress"] != before["PublicIpAddress"]
    assert "StateReason" not in started


def test_reboot_reaches_the_machine(ec2: Any, run: Any, machines: Any) -> None:
    one = run()["InstanceId"]
    ec2.reboot_instances(InstanceIds=[one])
    assert ("reboot", one) in machines.calls


@pytest.mark.parametrize(("behavior", "end"), [("terminate", "terminated"), ("stop", "stopped"), (None, "stopped")])
def test_shutdown_inside_the_instance(run: Any, instance: Any, app: Any, behavior: str, end: str) -> None:
    """[UG] InstanceInitiatedShutdownBehavior, default stop"""
    one = run(InstanceInitiatedShutdownBehavior=behavior)["InstanceId"]
    app.cloud.powered_off(one)
    seen = instance(one)
    assert seen["State"]["Name"] == end
    assert seen["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_machine_that_cannot_start(run: Any, instance: Any, machines: Any, app: Any) -> None:
    machines.hold = True
    one = run()["InstanceId"]
    app.cloud.failed(one, "no space left on device")
    seen = instance(one)
    assert (seen["State"]["Name"], seen["StateReason"]["Code"]) == ("terminated", "Server.InternalError")
    assert "no space" in seen["StateReason"]["Message"]


def test_addresses(run: Any, subnets: dict[str, str]) -> None:
    import ipaddress

    one = run(SubnetId=subnets["c"])
    assert ipaddress.ip_address(one["PrivateIpAddress"]) in ipaddress.ip_network("172.31.32.0/20")
    assert ipaddress.ip_address(one["PublicIpAddress"]) in ipaddress.ip_network("203.0.113.0/24")
    assert one["Placement"]["AvailabilityZone"] == "us-east-1c"
    assert one["PrivateDnsName"] == f"ip-{one['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    nic = {"DeviceIndex": 0, "SubnetId": subnets["c"], "AssociatePublicIpAddress": False}
    assert "PublicIpAddress" not in run(NetworkInterfaces=[nic])


def test_without_a_subnet_the_address_is_still_one_of_the_network(run: Any) -> None:
    assert run()["PrivateIpAddress"].startswith("172.31.")


def test_addresses_are_given_back(ec2: Any, run: Any, app: Any, subnets: dict[str, str]) -> None:
    first = run(SubnetId=subnets["a"])
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    second = run(SubnetId=subnets["a"])
    assert second["PrivateIpAddress"] == first["PrivateIpAddress"]
    assert not [n for n in ec2.describe_network_interfaces()["NetworkInterfaces"] if n["Status"] == "available"]


def test_min_and_max_count(ec2: Any, ami: str, control: Any, subnets: dict[str, str], refused: Any) -> None:
    """[API RunInstances]: as many as possible above MinCount"""
    control("capacity", type="t3.medium", zone="us-east-1a", count=2)
    args = {"ImageId": ami, "InstanceType": "t3.medium", "SubnetId": subnets["a"]}
    assert len(ec2.run_instances(**args, MinCount=1, MaxCount=5)["Instances"]) == 2
    control("capacity", type="t3.medium", zone="us-east-1a", count=4)
    with refused("InsufficientInstanceCapacity", http=500):
        ec2.run_instances(**args, MinCount=3, MaxCount=5)
    control("capacity", type="t3.medium", zone="us-east-1a", count=None)
    many = ec2.run_instances(**args, MinCount=3, MaxCount=3)
    assert [i["AmiLaunchIndex"] for i in many["Instances"]] == [0, 1, 2]
    assert len({i["PrivateIpAddress"] for i in many["Instances"]}) == 3


def test_client_token(ec2: Any, run: Any, refused: Any, subnets: dict[str, str]) -> None:
    """[UG Run_Instance_Idempotency]; [ERR] IdempotentParameterMismatch, IdempotentInstanceTerminated"""
    first = run(ClientToken="gen-1")
    assert run(ClientToken="gen-1")["InstanceId"] == first["InstanceId"]
    with refused("IdempotentParameterMismatch"):
        run(ClientToken="gen-1", InstanceType="t3.large")
    elsewhere = run(ClientToken="gen-1", SubnetId=subnets["b"])  # zonal: another place, another instance
    assert elsewhere["InstanceId"] != first["InstanceId"]
    assert ids(ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["gen-1"]}])) == [
        first["InstanceId"],
        elsewhere["InstanceId"],
    ]
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    with refused("IdempotentInstanceTerminated"):
        run(ClientToken="gen-1")


def test_same_token_at_once_from_two_callers(run: Any) -> None:
    found: list[str] = []
    callers = [threading.Thread(target=lambda: found.append(run(ClientToken="same")["InstanceId"])) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_refused_call_does_not_use_up_its_token(run: Any, control: Any, refused: Any) -> None:
    control("capacity", count=0)
    with refused("InsufficientInstanceCapacity", http=500):
        run(ClientToken="again")
    control("reset", controls=True)
    assert run(ClientToken="again")


def test_spot_instance(ec2: Any, run: Any) -> None:
    one = run(
        InstanceMarketOptions=SPOT,
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    assert one["InstanceLifecycle"] == "spot"
    request = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[one["SpotInstanceRequestId"]])
    seen = request["SpotInstanceRequests"][0]
    assert (seen["State"], seen["Status"]["Code"], seen["Type"]) == ("active", "fulfilled", "one-time")
    assert seen["InstanceId"] == one["InstanceId"]
    assert seen["Tags"] == [{"Key": "a", "Value": "b"}]
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    seen = ec2.describe_spot_instance_requests(Filters=[{"Name": "instance-id", "Values": [one["InstanceId"]]}])
    seen = seen["SpotInstanceRequests"][0]
    assert (seen["State"], seen["Status"]["Code"]) == ("closed", "instance-terminated-by-user")


def test_filters(ec2: Any, run: Any, subnets: dict[str, str]) -> None:
    spot = run(InstanceMarketOptions=SPOT, SubnetId=subnets["a"])
    other = run(
        SubnetId=subnets["b"],
        InstanceType="t3.large",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "exp-1"}]}],
    )
    ec2.terminate_instances(InstanceIds=[run(SubnetId=subnets["c"])["InstanceId"]])
    root = ec2.describe_instances(InstanceIds=[other["InstanceId"]])["Reservations"][0]["Instances"][0]
    wanted = {
        "instance-lifecycle": ("spot", spot),
        "spot-instance-request-id": (spot["SpotInstanceRequestId"], spot),
        "availability-zone": ("us-east-1a", spot),
        "tag:Name": ("exp-*", other),
        "tag-key": ("Name", other),
        "instance-type": ("t3.larg?", other),
        "private-ip-address": (other["PrivateIpAddress"], other),
        "ip-address": (other["PublicIpAddress"], other),
        "network-interface.addresses.private-ip-address": (other["PrivateIpAddress"], other),
        "subnet-id": (subnets["b"], other),
        "block-device-mapping.volume-id": (root["BlockDeviceMappings"][0]["Ebs"]["VolumeId"], other),
        "reservation-id": (
            ec2.describe_instances(InstanceIds=[other["InstanceId"]])["Reservations"][0]["ReservationId"],
            other,
        ),
    }
    for name, (value, one) in wanted.items():
        found = ids(ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}]))
        assert found == [one["InstanceId"]], name
    running = [
        {"Name": "instance-state-code", "Values": ["16"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    assert len(ids(ec2.describe_instances(Filters=running))) == 2
    assert not ids(ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["exp"]}]))


def test_pages(ec2: Any, ami: str) -> None:
    ec2.run_instances(ImageId=ami, InstanceType="t3.medium", MinCount=7, MaxCount=7)
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(ids(p)) for p in pages] == [5, 2]
    assert len({i for p in pages for i in ids(p)}) == 7


def test_status_shows_running_ones_only(ec2: Any, run: Any, machines: Any) -> None:
    one = run()["InstanceId"]
    machines.hold = True
    two = run()["InstanceId"]
    assert [s["InstanceId"] for s in ec2.describe_instance_status()["InstanceStatuses"]] == [one]
    every = ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert {s["InstanceId"]: s["InstanceStatus"]["Status"] for s in every} == {one: "ok", two: "not-applicable"}


def test_console_output_comes_from_the_machine(ec2: Any, run: Any, machines: Any) -> None:
    one = run()["InstanceId"]
    machines.console[one] = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA\n"
    assert ec2.get_console_output(InstanceId=one)["Output"] == machines.console[one]


def test_terminated_instances_disappear(ec2: Any, run: Any, app: Any, refused: Any) -> None:
    """[API TerminateInstances]: visible for about an hour"""
    one = run(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}])["InstanceId"]
    ec2.terminate_instances(InstanceIds=[one])
    assert ids(ec2.describe_instances()) == [one]
    world = app.world
    config = world.config
    world.config = dataclasses.replace(config, terminated_visible=0.0)
    time.sleep(0.01)
    try:
        assert not ec2.describe_instances()["Reservations"]
        assert not ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [one]}])["Tags"]
        with refused("InvalidInstanceID.NotFound"):
            ec2.describe_instances(InstanceIds=[one])
    finally:
        world.config = config


@pytest.mark.slow
def test_start_delay_keeps_an_instance_pending(run: Any, instance: Any, app: Any) -> None:
    world = app.world
    config = world.config
    world.config = dataclasses.replace(config, start_delay=1.5)
    try:
        one = run()["InstanceId"]
        assert state(instance, one) == "pending"
        deadline = time.monotonic() + 10
        while state(instance, one) == "pending" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert state(instance, one) == "running"
    finally:
        world.config = config


def test_instance_profile(client: Any, run: Any, app: Any) -> None:
    iam = client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    one = run(IamInstanceProfile={"Name": "worker"})
    assert one["IamInstanceProfile"]["Arn"].endswith(":instance-profile/worker")
    assert app.cloud.view(one["InstanceId"]).role_name == "worker"


def test_metadata_options(ec2: Any, run: Any, app: Any) -> None:
    one = run(MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2})
    assert one["MetadataOptions"]["HttpTokens"] == "required"
    ec2.modify_instance_metadata_options(InstanceId=one["InstanceId"], InstanceMetadataTags="enabled")
    options = app.cloud.view(one["InstanceId"]).metadata_options
    assert (options.http_tokens, options.http_put_response_hop_limit) == ("required", 2)
    assert options.instance_metadata_tags == "enabled"


def test_what_a_machine_sees(ec2: Any, run: Any, app: Any, subnets: dict[str, str]) -> None:
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    one = run(
        KeyName="k",
        SecurityGroupIds=[group],
        SubnetId=subnets["b"],
        UserData="#cloud-config\n",
        InstanceMarketOptions=SPOT,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "x"}]}],
    )
    view = app.cloud.view(one["InstanceId"])
    assert view.public_key.startswith("ssh-ed25519 AAAA")
    assert (view.lifecycle, view.spot_request_id) == ("spot", one["SpotInstanceRequestId"])
    assert (view.zone, view.zone_id, view.subnet_cidr) == ("us-east-1b", "use1-az1", "172.31.16.0/20")
    assert (view.security_group_names, view.tags["Name"], view.user_data) == (("g",), "x", b"#cloud-config\n")
    assert (view.login_user, view.root_volume_gib) == ("admin", 8)
    ec2.create_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "later", "Value": "y"}])
    assert app.cloud.view(one["InstanceId"]).tags["later"] == "y"
    assert [v.instance_id for v in app.cloud.views()] == [one["InstanceId"]]
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    assert app.cloud.view(one["InstanceId"]) is None
    assert app.cloud.views() == []


def test_user_data_can_be_read_again(ec2: Any, run: Any) -> None:
    one = run(UserData="#!/bin/sh\n")["InstanceId"]
    seen = ec2.describe_instance_attribute(InstanceId=one, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(seen) == b"#!/bin/sh\n"


def test_legacy_spot_request(ec2: Any, ami: str, instance: Any) -> None:
    """[API RequestSpotInstances]: fulfilled at once; cancelling leaves the instance alone"""
    specification = {"ImageId": ami, "InstanceType": "t3.medium", "UserData": base64.b64encode(b"x").decode()}
    made = ec2.request_spot_instances(InstanceCount=2, Type="persistent", LaunchSpecification=specification)
    requests = made["SpotInstanceRequests"]
    assert [(r["State"], r["Type"]) for r in requests] == [("active", "persistent")] * 2
    first = requests[0]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[first["SpotInstanceRequestId"]])
    seen = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[first["SpotInstanceRequestId"]])
    seen = seen["SpotInstanceRequests"][0]
    assert (seen["State"], seen["Status"]["Code"]) == ("cancelled", "request-canceled-and-instance-running")
    assert state(instance, first["InstanceId"]) == "running"
