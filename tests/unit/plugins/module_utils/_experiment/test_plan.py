"""The plan: pools, zones, volumes, template and what is to be done."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import plan
from ansible_collections.experiments.spot.plugins.module_utils._experiment.facts import Facts, KeyFile
from tests.unit.plugins.module_utils._experiment.builders import (
    facts,
    instance,
    profile,
    subnet,
    tags,
    volume,
    volume_of_profile,
)

Resource = dict[str, Any]
CIDR = "198.51.100.7/32"
GROUP: Resource = {
    "GroupId": "sg-1",
    "GroupName": "spot-lab",
    "VpcId": "vpc-1",
    "Tags": tags(experiment="lab"),
    "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": CIDR}]}],
}


def make(changes: Resource | None = None, cidr: str | None = CIDR, **known: Any) -> Resource:
    return plan.make(profile(**(changes or {})), "lab", facts(**known), cidr)


def template(planned: Resource, **changes: Any) -> Resource:
    """The launch template that a plan asks for, as AWS would list it."""
    return {
        "LaunchTemplateName": planned["launch_template"]["name"],
        "LaunchTemplateId": "lt-1",
        "DefaultVersionNumber": 1,
        "Data": {"SecurityGroupIds": ["sg-1"]},
        **changes,
    }


def data_tags(planned: Resource, kind: str) -> dict[str, str]:
    specifications = planned["launch_template"]["data"]["TagSpecifications"]
    found = next(one for one in specifications if one["ResourceType"] == kind)
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


# Pools


def test_pools_are_sorted_by_price() -> None:
    assert [(one["instance_type"], one["zone"], one["price"]) for one in make()["pools"]] == [
        ("t3.medium", "us-east-1b", 0.0119),
        ("t3.medium", "us-east-1a", 0.0125),
        ("m5.large", "us-east-1a", 0.03),
        ("m5.large", "us-east-1b", 0.05),
    ]


def test_a_pool_says_what_it_saves() -> None:
    first = make()["pools"][0]
    assert first["subnet_id"] == "subnet-b"
    assert first["on_demand_price"] == 0.0416
    assert first["saving"] == pytest.approx(1 - 0.0119 / 0.0416, abs=1e-4)


def test_pools_without_a_price_come_last() -> None:
    pools = make(spot_prices={("m5.large", "us-east-1b"): 0.05})["pools"]
    assert [one["price"] for one in pools] == [0.05, None, None, None]
    assert pools[1]["saving"] is None


def test_on_demand_is_priced_as_such() -> None:
    pools = make({"capacity": {"market": "on-demand"}})["pools"]
    assert [one["price"] for one in pools] == [0.0416, 0.0416, 0.096, 0.096]


@pytest.mark.parametrize(
    ("capacity", "zones"),
    [
        ({}, {"us-east-1a", "us-east-1b"}),
        ({"zones": ["us-east-1b"]}, {"us-east-1b"}),
        ({"max_price": 0.012}, {"us-east-1b"}),
    ],
)
def test_zones_of_the_pools(capacity: Resource, zones: set[str]) -> None:
    assert {one["zone"] for one in make({"capacity": capacity})["pools"]} == zones


def test_one_subnet_a_zone_the_one_with_room() -> None:
    known = [subnet("a", free=1), subnet("a", free=9, SubnetId="subnet-roomy")]
    assert {one["subnet_id"] for one in make(subnets=known)["pools"]} == {"subnet-roomy"}


def test_not_offered_in_a_zone_is_no_pool() -> None:
    pools = make(offered=[("t3.medium", "us-east-1a")])["pools"]
    assert [(one["instance_type"], one["zone"]) for one in pools] == [("t3.medium", "us-east-1a")]


# Volumes and zone


def test_an_existing_volume_fixes_the_zone() -> None:
    planned = make({"volumes": [volume_of_profile()]}, own_volumes=[volume("vol-1")])
    assert planned["zone"] == "us-east-1a"
    assert {one["zone"] for one in planned["pools"]} == {"us-east-1a"}
    assert planned["volumes"][0]["volume_id"] == "vol-1"


def test_a_new_volume_fixes_no_zone_but_the_instances_that_run_do() -> None:
    wanted = {"volumes": [volume_of_profile()]}
    assert make(wanted)["zone"] is None
    assert make(wanted, instances=[instance("i-1", zone="us-east-1b")])["zone"] == "us-east-1b"


def test_each_rank_has_its_volume() -> None:
    second = volume("vol-2", Tags=tags(experiment="lab", volume="data", rank="1"))
    wanted = {"volumes": [volume_of_profile()], "capacity": {"count": 3}}
    planned = make(wanted, own_volumes=[second, volume("vol-1")])
    assert [(one["name"], one["rank"], one["volume_id"]) for one in planned["volumes"]] == [
        ("data", 0, "vol-1"),
        ("data-1", 1, "vol-2"),
        ("data-2", 2, None),
    ]
    assert all(one["volume"] == "data" and one["mount_point"] == "/data" for one in planned["volumes"])


def test_a_volume_that_is_being_deleted_is_not_there() -> None:
    planned = make({"volumes": [volume_of_profile()]}, own_volumes=[volume("vol-1", State="deleting")])
    assert planned["volumes"][0]["volume_id"] is None


@pytest.mark.parametrize(("count", "volumes", "expected"), [(1, True, False), (2, False, False), (2, True, True)])
def test_several_instances_with_volumes_need_one_zone(count: int, volumes: bool, expected: bool) -> None:
    wanted = {"capacity": {"count": count}, "volumes": [volume_of_profile()] if volumes else []}
    assert make(wanted)["single_zone"] is expected


DATA_SET = volume_of_profile(name="words", snapshot_id="snap-1", read_only=True, mount_point="/words")
WORDS: Resource = {"SnapshotId": "snap-1", "VolumeSize": 20}


def test_a_data_set_fixes_no_zone_and_comes_with_each_instance() -> None:
    wanted = {"volumes": [DATA_SET], "capacity": {"count": 2}}
    device = [{"DeviceName": "/dev/sdp", "Ebs": {"VolumeId": "vol-9"}}]
    first = instance("i-1", zone="us-east-1b", BlockDeviceMappings=device)
    planned = make(wanted, snapshots=[WORDS], instances=[first])
    assert (planned["zone"], planned["single_zone"], len(planned["pools"])) == (None, False, 4)
    assert [(one["name"], one["volume_id"], one["instance_ids"], one["size"]) for one in planned["volumes"]] == [
        ("words", "vol-9", ["i-1"], 20),
        ("words-1", None, [], 20),
    ]
    mappings = {one["DeviceName"]: one["Ebs"] for one in planned["launch_template"]["data"]["BlockDeviceMappings"]}
    assert mappings["/dev/sdp"]["DeleteOnTermination"] and mappings["/dev/sdp"]["SnapshotId"] == "snap-1"


def test_volumes_fix_the_zone_beside_a_data_set() -> None:
    planned = make({"volumes": [DATA_SET, volume_of_profile()]}, snapshots=[WORDS], own_volumes=[volume("vol-1")])
    assert planned["zone"] == "us-east-1a"
    assert [(one["name"], one["launched"]) for one in planned["volumes"]] == [("words", True), ("data", False)]


# Launch template


def test_template_asks_for_safe_defaults() -> None:
    data = make({"access": {"http_put_response_hop_limit": 2, "instance_profile": "worker"}})["launch_template"]["data"]
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
        "InstanceMetadataTags": "enabled",
    }
    assert data["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True, "VolumeSize": 8},
        }
    ]
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["IamInstanceProfile"] == {"Name": "worker"}
    assert "InstanceMarketOptions" not in data


def test_instance_profile_by_arn() -> None:
    arn = "arn:aws:iam::123456789012:instance-profile/worker"
    assert make({"access": {"instance_profile": arn}})["launch_template"]["data"]["IamInstanceProfile"] == {"Arn": arn}


KINDS = ["instance", "volume", "network-interface", "spot-instances-request"]
EVERY_LAUNCH = {
    "Name": "lab",
    "team": "x",
    "spot:experiment": "lab",
    "spot:profile": "lab",
    "spot:owner": "alice",
    "spot:job": "train",
    "spot:user": "admin",
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_launched_is_tagged(kind: str) -> None:
    planned = make({"tags": {"team": "x", "spot:job": "hacked"}})
    assert data_tags(planned, kind) == EVERY_LAUNCH
    assert planned["tags"] == {**EVERY_LAUNCH, "spot:generation": "1", "spot:expires": ""}


def test_all_generations_share_a_template() -> None:
    dead = instance("i-1", state="terminated")
    first, second = make({}), make({}, instances=[dead])
    assert (first["generation"], second["generation"]) == (1, 2)
    assert first["launch_template"]["name"] == second["launch_template"]["name"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_spot_fleet_gives_instances_only_the_tags_of_the_template(kind: str) -> None:
    planned = make({"capacity": {"iam_fleet_role": "arn:aws:iam::123456789012:role/fleet"}})
    assert data_tags(planned, kind) == planned["tags"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [([], True), (["terminated", "shutting-down"], True), (["stopped"], False), (["running"], False)],
)
def test_vacant(states: list[str], expected: bool) -> None:
    instances = [instance(f"i-{place}", state=state) for place, state in enumerate(states)]
    assert make({}, instances=instances)["vacant"] is expected


def test_tags_that_the_caller_knows() -> None:
    known = {"spot:expires": "2026-01-31T00:00:00Z", "spot:generation": "7"}
    made = plan.make(profile(), "lab", facts(), CIDR, known)["tags"]
    assert made["spot:expires"] == "2026-01-31T00:00:00Z" and "spot:time-limit" not in made
    limited = profile(capacity={"time_limit": 3600})
    assert plan.tags(limited, "lab", facts(), {})["spot:time-limit"] == "3600"
    assert made["spot:generation"] == "1"


def test_equal_data_have_an_equal_name_and_other_data_another() -> None:
    name = make()["launch_template"]["name"]
    assert name == make()["launch_template"]["name"]
    assert name.startswith("spot-lab-")
    assert len(name) == len("spot-lab-") + 8
    assert name != make({"image": {"root_volume_size": 20}})["launch_template"]["name"]


def test_the_name_does_not_depend_on_whether_our_group_exists_yet() -> None:
    assert make()["launch_template"]["name"] == make(own_groups=[GROUP])["launch_template"]["name"]


def test_groups_that_the_user_names_are_part_of_the_name() -> None:
    names = {make({"access": {"security_group_ids": [one]}})["launch_template"]["name"] for one in ("sg-1", "sg-2")}
    assert len(names) == 2


def test_an_existing_template_is_used() -> None:
    found = make(own_groups=[GROUP], launch_templates=[template(make())])["launch_template"]
    assert (found["exists"], found["id"], found["version"]) == (True, "lt-1", "1")


def test_a_template_with_a_dead_group_is_left_alone() -> None:
    dead = template(make(), Data={"SecurityGroupIds": ["sg-0"]})
    fresh = make(own_groups=[GROUP], launch_templates=[dead])["launch_template"]
    assert fresh["exists"] is False
    assert fresh["name"] != dead["LaunchTemplateName"]
    second = template(make(), LaunchTemplateName=fresh["name"], LaunchTemplateId="lt-2")
    again = make(own_groups=[GROUP], launch_templates=[dead, second])["launch_template"]
    assert (again["exists"], again["id"]) == (True, "lt-2")


# What is to be done


def test_everything_is_missing_at_first() -> None:
    assert set(make()["todo"].values()) == {True}


def test_nothing_is_to_be_done_once_all_runs() -> None:
    assert set(make(instances=[instance("i-1")], own_groups=[GROUP])["todo"].values()) == {False}


def test_a_missing_instance_needs_only_what_is_not_there() -> None:
    planned = make(
        {"capacity": {"count": 2}},
        instances=[instance("i-1")],
        own_groups=[GROUP],
        key_pair={"KeyName": "spot-lab"},
    )
    assert planned["todo"] == {"key_pair": False, "security_group": False, "launch_template": True, "fleet": True}


@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        ({}, False),
        ({"FromPort": 443, "ToPort": 443}, True),
        ({"FromPort": 1, "ToPort": 65535}, False),
        ({"IpProtocol": "-1"}, False),
        ({"IpProtocol": "udp"}, True),
        ({"IpRanges": [{"CidrIp": "203.0.113.1/32"}]}, True),
        ({"IpRanges": [], "Ipv6Ranges": [{"CidrIpv6": CIDR}]}, False),
    ],
)
def test_the_group_must_admit_the_caller(rule: Resource, missing: bool) -> None:
    group = {**GROUP, "IpPermissions": [{**GROUP["IpPermissions"][0], **rule}]}
    assert make(own_groups=[group])["todo"]["security_group"] is missing


def test_without_an_address_only_the_group_itself_is_asked_for() -> None:
    group = {**GROUP, "IpPermissions": []}
    assert make(cidr=None, own_groups=[group])["todo"]["security_group"] is False
    assert make({"access": {"ssh_cidr": CIDR}}, cidr=None, own_groups=[group])["todo"]["security_group"] is True


def test_groups_and_keys_of_the_user_are_not_made() -> None:
    todo = make({"access": {"security_group_ids": ["sg-7"], "key_name": "mine"}}, key_pair={"KeyName": "mine"})["todo"]
    assert (todo["security_group"], todo["key_pair"]) == (False, False)


@pytest.mark.parametrize(
    ("file", "make_it"),
    [
        (KeyFile("/k", exists=True, public="ssh-ed25519 AAAA"), False),
        (KeyFile("/k", exists=True, public="ssh-ed25519 BBBB"), True),
        (KeyFile("/k", exists=True, public=None), False),
        (KeyFile("/k"), True),
    ],
    ids=["same", "other", "pass phrase", "lost"],
)
def test_our_key_pair_is_made_again_when_its_file_is_not_here(file: KeyFile, make_it: bool) -> None:
    pair = {"KeyName": "spot-lab", "PublicKey": "ssh-ed25519 AAAA spot-lab"}
    assert make(key_pair=pair, key_file=file)["todo"]["key_pair"] is make_it


def test_cost_counts_what_runs_and_what_is_missing() -> None:
    running = instance("i-1", zone="us-east-1a", InstanceType="m5.large")
    cost = make({"capacity": {"count": 3}}, instances=[running])["cost"]
    assert cost["per_hour"] == pytest.approx(0.03 + 2 * 0.0119)
    assert cost["on_demand_per_hour"] == pytest.approx(0.096 + 2 * 0.0416)


def test_cost_is_unknown_without_prices() -> None:
    assert make(spot_prices={}, on_demand={})["cost"] == {"per_hour": None, "on_demand_per_hour": None}


def test_instances_that_are_not_used_are_noted() -> None:
    former, current = instance("i-1", state="stopped", generation=1), instance("i-2", generation=2)
    ended = instance("i-3", state="terminated")
    assert make(instances=[current, ended])["notes"] == []
    (line,) = make(instances=[former, current, ended])["notes"]
    assert "i-1 (stopped)" in line
    assert "i-2" not in line


def test_more_instances_than_asked_for_are_noted() -> None:
    assert "2 instances run" in make(instances=[instance("i-1"), instance("i-2")])["notes"][0]


def test_owner_of_the_profile_wins() -> None:
    assert make({"owner": "team"})["owner"] == "team"


def test_a_plan_changes_nothing_it_was_given() -> None:
    given, known = profile(volumes=[volume_of_profile()]), facts(own_volumes=[volume("vol-1")])
    plan.make(given, "lab", known, CIDR)
    assert given == profile(volumes=[volume_of_profile()])
    assert known == Facts(**{**facts().__dict__, "own_volumes": [volume("vol-1")]})


# Instances that set themselves up

SELF: Resource = {"recovery": {"mode": "self", "bucket": "s3://mine/runs"}, "access": {"instance_profile": "workers"}}


def kept(state: str = "active", kind: str = "maintain") -> Resource:
    return {"FleetId": "fleet-1", "Type": kind, "FleetState": state, "Tags": tags(experiment="lab", generation="1")}


@pytest.mark.parametrize(
    ("deadline", "limit", "lasts"),
    [(7200, None, 7200), (7200, 3600, 7200), (None, 3600, 20 * 3600 + plan.WEEK), (None, None, None)],
)
def test_how_long_a_fleet_launches_by_itself(deadline: int | None, limit: int | None, lasts: int | None) -> None:
    given = {**SELF, "recovery": {**SELF["recovery"], "deadline": deadline}, "capacity": {"time_limit": limit}}
    assert make(given)["fleet_lasts"] == lasts
    script = gzip.decompress(base64.b64decode(make(given)["launch_template"]["data"]["UserData"])).decode()
    assert ("OnBootSec" in script) is (limit is not None)


def test_user_data_are_for_instances_that_set_themselves_up_or_have_a_time_limit() -> None:
    assert "UserData" not in make()["launch_template"]["data"]
    limited = make({"capacity": {"time_limit": 3600}})["launch_template"]["data"]["UserData"]
    alone = gzip.decompress(base64.b64decode(limited)).decode()
    assert "OnBootSec=" in alone and "python" not in alone, "nobody need come for it to end"
    planned = make(SELF)
    script = gzip.decompress(base64.b64decode(planned["launch_template"]["data"]["UserData"])).decode()
    assert "s3://mine/runs/lab/" in script
    assert planned["tags"]["spot:bucket"] == "s3://mine/runs"


@pytest.mark.parametrize(
    ("fleets", "asked"),
    [
        ([], True),
        ([kept()], False),
        ([kept("modifying")], False),
        ([kept("deleted_running")], True),
        ([kept("deleted")], True),
        ([kept(kind="instant")], True),
    ],
)
def test_a_fleet_that_stands_replaces_what_is_missing(fleets: list[Resource], asked: bool) -> None:
    planned = make(SELF, fleets=fleets)
    assert planned["todo"]["fleet"] is asked and planned["todo"]["launch_template"] is asked
    assert planned["keeping_fleet_ids"] == ([] if asked else ["fleet-1"])
    assert make(fleets=fleets)["todo"]["fleet"] is True, "the other modes launch as ever"
