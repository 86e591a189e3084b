"""Everything that would make a launch fail is found, named with its key, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import problems
from ansible_collections.experiments.spot.plugins.module_utils._experiment.facts import KeyFile
from tests.unit.plugins.module_utils._experiment.builders import (
    IMAGE,
    facts,
    instance,
    profile,
    subnet,
    tags,
    type_data,
    volume,
    volume_of_profile,
)

Resource = dict[str, Any]
P2 = {"instance_types": ["p2.xlarge"]}
KEY = {"KeyName": "mine", "PublicKey": "ssh-ed25519 AAAA comment"}
OTHER_FILE = KeyFile("/k", exists=True, public="ssh-ed25519 BBBB")
GROUP = {"GroupId": "sg-1", "GroupName": "spot-lab", "VpcId": "vpc-1", "Tags": tags(experiment="lab")}


def find(changes: Resource | None = None, **known: Any) -> list[str]:
    return problems.find(problems.Case(profile(**(changes or {})), "lab", facts(**known)))


def volumes(**changes: Any) -> Resource:
    return {"volumes": [volume_of_profile(**changes)]}


def test_nothing_is_wrong_with_a_good_profile() -> None:
    assert find() == []


CASES: dict[str, tuple[Resource, Resource, list[str]]] = {
    "retired type": (
        {"capacity": P2},
        {"types": [], "offered": [], "region_types": ["g4dn.xlarge", "g6.xlarge", "t3.medium"]},
        ["capacity.instance_types", "p2.xlarge", "us-east-1", "g4dn.xlarge, g6.xlarge"],
    ),
    "misspelt type": (
        {"capacity": {"instance_types": ["t3.medum"]}},
        {"types": [], "offered": [], "region_types": ["g4dn.xlarge", "t3.medium"]},
        ["t3.medum", "nearest", "t3.medium"],
    ),
    "architecture": (
        {"capacity": {"instance_types": ["t3.medium"]}},
        {"types": [type_data("t3.medium", arch="arm64")]},
        ["capacity.instance_types", "t3.medium is arm64", "ami-1 is x86_64"],
    ),
    "not sold as spot": (
        {"capacity": {"instance_types": ["t3.medium"]}},
        {"types": [type_data("t3.medium", spot=False)]},
        ["t3.medium is not sold as Spot", "capacity.market"],
    ),
    "no GPU": ({"runtime": {"gpu": "required"}}, {}, ["t3.medium has no GPU", "runtime.gpu"]),
    "no GPU for the job": ({"job": {"gpus": "all"}}, {}, ["t3.medium has no GPU and job.gpus is all", "set job.gpus"]),
    "zone": ({"capacity": {"zones": ["us-east-1z"]}}, {}, ["capacity.zones", "us-east-1z", "us-east-1a, us-east-1b"]),
    "subnet": (
        {"capacity": {"subnet_ids": ["subnet-x"]}},
        {"subnets": []},
        ["capacity.subnet_ids: there is no subnet subnet-x"],
    ),
    "subnet in another zone": (
        {"capacity": {"subnet_ids": ["subnet-b"], "zones": ["us-east-1a"]}},
        {"subnets": [subnet("b")]},
        ["subnet-b is in us-east-1b", "capacity.zones"],
    ),
    "two VPCs": (
        {"capacity": {"subnet_ids": ["subnet-a", "subnet-b"]}},
        {"subnets": [subnet("a"), subnet("b", VpcId="vpc-2")]},
        ["different VPCs (vpc-1, vpc-2)"],
    ),
    "no default subnet": ({}, {"subnets": []}, ["capacity.subnet_ids", "no default subnet"]),
    "private subnet": (
        {},
        {"subnets": [subnet("a", MapPublicIpOnLaunch=False)]},
        ["subnet-a gives its instances no public address", "access.address"],
    ),
    "no pool": (
        {},
        {"offered": [("t3.medium", "us-east-1c"), ("m5.large", "us-east-1c")]},
        ["capacity: no pool", "us-east-1c", "us-east-1a, us-east-1b"],
    ),
    "maximum price": ({"capacity": {"max_price": 0.01}}, {}, ["capacity.max_price: 0.01", "0.0119 USD/h"]),
    "quota": (
        {"capacity": {"instance_types": ["t3.medium"]}},
        {"types": [type_data("t3.medium")], "quotas": {"L-34B43A08": 0.0}},
        ["spot quotas", "L-34B43A08 0 vCPUs", "request-service-quota-increase", "--desired-value 2"],
    ),
    "image": ({"image": {"id": "ami-9"}}, {"image": None}, ["image.id: there is no image ami-9 in us-east-1"]),
    "image by name": (
        {"image": {"id": None, "name": "debian-*", "owner": "136693071363"}},
        {"image": None},
        ["image.name", "debian-* of owner 136693071363"],
    ),
    "no image named": ({"image": {"id": None}}, {"image": None}, ["image: no image is named", "image.ssm_parameter"]),
    "image not ready": ({}, {"image": {**IMAGE, "State": "pending"}}, ["image.id", "ami-1 is pending"]),
    "root volume too small": (
        {"image": {"root_volume_size": 4}},
        {},
        ["image.root_volume_size: 4 GiB", "at least 8"],
    ),
    "key pair": ({"access": {"key_name": "mine"}}, {}, ["access.key_name: there is no key pair mine in us-east-1"]),
    "wrong private key": (
        {"access": {"key_name": "mine", "private_key_file": "/k"}},
        {"key_pair": KEY, "key_file": OTHER_FILE},
        ["access.private_key_file: /k is not the private half of the key pair mine"],
    ),
    "no private key file": (
        {"access": {"key_name": "mine", "private_key_file": "/k"}},
        {"key_pair": KEY, "key_file": KeyFile("/k")},
        ["access.private_key_file: there is no file /k"],
    ),
    "open private key file": (
        {"access": {"key_name": "mine", "private_key_file": "/k"}},
        {"key_pair": KEY, "key_file": KeyFile("/k", exists=True, mode=0o644)},
        ["mode 0644", "chmod 600 /k"],
    ),
    "security group": (
        {"access": {"security_group_ids": ["sg-9"]}},
        {},
        ["access.security_group_ids: there is no security group sg-9"],
    ),
    "security group of another VPC": (
        {"access": {"security_group_ids": ["sg-1"]}},
        {"security_groups": [{**GROUP, "VpcId": "vpc-2"}]},
        ["sg-1 belongs to vpc-2", "vpc-1"],
    ),
    "security group of somebody else": (
        {},
        {"own_groups": [{**GROUP, "Tags": []}]},
        ["spot-lab (sg-1) was not made for this experiment"],
    ),
    "instance profile": (
        {"access": {"instance_profile": "worker"}},
        {"instance_profile": False},
        ["access.instance_profile: there is no instance profile worker in account 123456789012"],
    ),
    "volume": (volumes(volume_id="vol-9"), {}, ["volumes.data.volume_id: there is no volume vol-9 in us-east-1"]),
    "volume for several": (
        {**volumes(volume_id="vol-1"), "capacity": {"count": 2}},
        {"volumes_by_id": [volume("vol-1")]},
        ["volumes.data.volume_id", "capacity.count 2"],
    ),
    "several volumes of one rank": (
        volumes(),
        {"own_volumes": [volume("vol-1"), volume("vol-2")]},
        ["volumes.data: several volumes", "vol-1, vol-2"],
    ),
    "volume attached elsewhere": (
        volumes(volume_id="vol-1"),
        {"volumes_by_id": [volume("vol-1", holder="i-other")]},
        ["volumes.data: vol-1 is attached to i-other"],
    ),
    "volume where no pool is": (
        volumes(volume_id="vol-1"),
        {"volumes_by_id": [volume("vol-1", zone="us-east-1e")]},
        ["capacity: the volume data (vol-1) is in us-east-1e", "snapshot"],
    ),
    "volume outside of the zones": (
        {**volumes(volume_id="vol-1"), "capacity": {"zones": ["us-east-1a"]}},
        {"volumes_by_id": [volume("vol-1", zone="us-east-1b")]},
        ["volumes: data (vol-1) in us-east-1b", "capacity.zones (us-east-1a)"],
    ),
    "volumes in different zones": (
        {"volumes": [volume_of_profile(volume_id="vol-1"), volume_of_profile(name="more", volume_id="vol-2")]},
        {"volumes_by_id": [volume("vol-1"), volume("vol-2", zone="us-east-1b")]},
        ["different zones", "data (vol-1) in us-east-1a", "more (vol-2) in us-east-1b"],
    ),
    "instance in another zone": (
        volumes(volume_id="vol-1"),
        {"volumes_by_id": [volume("vol-1")], "instances": [instance("i-1", zone="us-east-1b")]},
        ["volumes: data (vol-1) is in us-east-1a", "i-1 in us-east-1b"],
    ),
    "snapshot": (volumes(snapshot_id="snap-1"), {}, ["volumes.data.snapshot_id: there is no snapshot snap-1"]),
    "launched without the data set": (
        volumes(snapshot_id="snap-1", read_only=True, size=1),
        {"snapshots": [{"SnapshotId": "snap-1", "VolumeSize": 20}], "instances": [instance("i-1")]},
        ["volumes.data: i-1 was launched without this data set; close the experiment"],
    ),
    "smaller than the snapshot": (
        volumes(snapshot_id="snap-1", size=10),
        {"snapshots": [{"SnapshotId": "snap-1", "VolumeSize": 20}]},
        ["volumes.data.size: 10 GiB", "at least 20"],
    ),
    "too many tags": (
        {"tags": {f"k{number}": "v" for number in range(45)}},
        {},
        ["tags: 45 extra tags", "at most 50"],
    ),
    "tag key": ({"tags": {"my key": "v"}}, {}, ["tags.my key", "no space"]),
    "long tag": ({"tags": {"key": "v" * 257}}, {}, ["tags.key", "256"]),
    "reserved tag": ({"tags": {"aws:x": "v"}}, {}, ["tags.aws:x", "reserved"]),
    "tag value": ({"tags": {"key": "a;b"}}, {}, ["tags.key", "value"]),
    "owner": ({"owner": "al;ce"}, {}, ["owner", "al;ce"]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_is_one_line_with_its_key(case: str) -> None:
    changes, known, words = CASES[case]
    found = find(changes, **known)
    assert any(all(word in line for word in words) for line in found), found
    assert all(": " in line and ";" in line and "\n" not in line for line in found)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"no GPU", "no GPU for the job"}))
def test_a_single_mistake_is_not_reported_as_several(case: str) -> None:
    changes, known, _words = CASES[case]
    assert len(find(changes, **known)) == 1


def test_all_mistakes_are_reported_at_once() -> None:
    wrong = {"capacity": {**P2, "zones": ["us-east-1z"]}, "access": {"key_name": "x", "security_group_ids": ["sg-9"]}}
    found = find(wrong, types=[], offered=[], image=None)
    keys = [line.split(":")[0] for line in found]
    assert keys == [
        "capacity.instance_types",
        "capacity.zones",
        "image.id",
        "access.key_name",
        "access.security_group_ids",
    ]


def test_retired_type_says_so_where_no_successor_is_offered() -> None:
    (line,) = find({"capacity": P2}, types=[], offered=[], region_types=["t3.medium"])
    assert "g4dn.xlarge" in line
    assert "the region offers t3.medium" in line


def test_what_runs_is_not_judged_by_image_and_capacity() -> None:
    assert find({"capacity": P2}, types=[], offered=[], image=None, instances=[instance("i-1")]) == []


def test_own_instances_may_hold_the_volume_even_while_they_shut_down() -> None:
    held = volume("vol-1", holder="i-1")
    assert find(volumes(), own_volumes=[held], instances=[instance("i-1", state="shutting-down")]) == []


def test_an_instance_that_aws_takes_may_hold_the_volume() -> None:
    held, marked = volume("vol-1", holder="i-1"), {"InstanceId": "i-1", "State": "active"}
    requests = [{**marked, "Status": {"Code": "marked-for-termination"}}]
    assert find(volumes(), own_volumes=[held], instances=[instance("i-1")], spot_requests=requests) == []


def test_own_instances_that_are_not_used_may_not_hold_it() -> None:
    holder = instance("i-1", state="stopped")
    (line,) = find(
        volumes(), own_volumes=[volume("vol-1", holder="i-1")], instances=[holder, instance("i-2", generation=2)]
    )
    assert "vol-1 is attached to i-1, an instance of this experiment" in line


def test_quota_of_one_family_does_not_forbid_the_others() -> None:
    types = [type_data("t3.medium"), type_data("g5.xlarge", vcpus=4)]
    offered = [(kind["InstanceType"], "us-east-1a") for kind in types]
    changes = {"capacity": {"instance_types": ["t3.medium", "g5.xlarge"]}}
    assert find(changes, types=types, offered=offered, quotas={"L-3819A6DF": 0.0}) == []


@pytest.mark.parametrize(("count", "lines"), [(2, 0), (3, 1)])
def test_quota_must_hold_all_instances(count: int, lines: int) -> None:
    assert len(find({"capacity": {"count": count}}, quotas={"L-34B43A08": 5.0})) == lines


def od(*ids: str) -> list[Resource]:
    """On-Demand Instances that run."""
    return [{**instance(name), "InstanceLifecycle": None} for name in ids]


@pytest.mark.parametrize(
    ("spot", "on_demand", "fits"), [(0.0, 4.0, True), (2.0, 2.0, True), (2.0, 0.0, False), (0.0, None, True)]
)
def test_where_on_demand_may_fill_in_both_quotas_hold_the_instances_together(
    spot: float, on_demand: float | None, fits: bool
) -> None:
    quotas = {"L-34B43A08": spot, **({} if on_demand is None else {"L-1216C47A": on_demand})}
    found = find({"capacity": {"count": 2, "on_demand": "fallback"}}, quotas=quotas)
    assert bool(found) is not fits
    assert all("spot and on-demand quotas" in line and "L-1216C47A 0 vCPUs" in line for line in found)


BASE: Resource = {"capacity": {"count": 3, "on_demand": "base", "on_demand_base": 1}}


@pytest.mark.parametrize(
    ("spot", "on_demand", "markets"),
    [
        (4.0, 2.0, []),
        (2.0, 2.0, ["spot"]),
        (4.0, 0.0, ["on-demand"]),
        (0.0, 0.0, ["on-demand", "spot"]),
    ],
)
def test_each_quota_holds_the_part_of_its_market(spot: float, on_demand: float, markets: list[str]) -> None:
    found = find(BASE, quotas={"L-34B43A08": spot, "L-1216C47A": on_demand})
    assert [line.split("the ")[1].split(" quotas")[0] for line in found] == markets


def test_what_runs_on_demand_is_not_asked_for_again() -> None:
    assert find(BASE, quotas={"L-34B43A08": 4.0, "L-1216C47A": 0.0}, instances=od("i-1")) == []


def test_codes_of_the_quotas_that_are_read() -> None:
    capacity = {"instance_types": ["t3.medium", "m5.large", "g5.xlarge"], "market": "spot", "on_demand": "never"}
    assert problems.quota_codes(capacity) == ["L-34B43A08", "L-3819A6DF"]
    assert problems.quota_codes({**capacity, "market": "on-demand"}) == ["L-1216C47A", "L-DB2E81BA"]
    assert len(problems.quota_codes({**capacity, "on_demand": "fallback"})) == 4


def test_quota_of_the_market_counts() -> None:
    wanted = {"capacity": {"market": "on-demand"}}
    (line,) = find(wanted, quotas={"L-34B43A08": 5.0, "L-1216C47A": 0.0})
    assert "on-demand quotas" in line
    assert "L-1216C47A" in line


def test_unknown_quota_is_not_a_problem() -> None:
    assert find({}, quotas={}) == []


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, 0),
        ({"instances": [instance("i-1", generation=1)]}, 1),
    ],
    ids=["nothing runs: a new key is made", "instances know only the lost key"],
)
def test_own_key_file_lost(known: Resource, expected: int) -> None:
    found = find({}, key_pair={"KeyName": "spot-lab"}, key_file=KeyFile("/k"), **known)
    assert len(found) == expected
    assert all("the key pair spot-lab" in line for line in found)


SELF: Resource = {"recovery": {"mode": "self", "bucket": "s3://mine/runs"}}


def test_instances_reach_the_api_under_an_address_of_theirs() -> None:
    (line,) = find(SELF, instance_endpoint="http://127.0.0.1:5601")
    assert "http://127.0.0.1:5601" in line and "EXPERIMENTS_SPOT_INSTANCE_ENDPOINT_URL" in line
    assert find(SELF, instance_endpoint="http://10.0.0.1:5601") == []
    assert find(instance_endpoint="http://127.0.0.1:5601") == [], "the other modes do not ask instances"


def test_two_do_not_launch_at_once() -> None:
    fleet = {"FleetId": "fleet-1", "Type": "maintain", "FleetState": "active"}
    (line,) = find(fleets=[fleet])
    assert "fleet-1" in line and "recovery.mode self" in line
    assert find(SELF, fleets=[fleet]) == []
    assert find(fleets=[{**fleet, "FleetState": "deleted"}]) == []
