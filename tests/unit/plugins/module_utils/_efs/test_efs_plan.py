"""What a file system lacks: zones, groups, throughput. The calls: tests/unit/plugins/modules/test_efs_file_system.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._efs import plan
from ansible_collections.experiments.spot.plugins.module_utils._efs.plan import Facts, Wanted

CLIENT = "sg-client"
WANTED = Wanted("team", client_group_ids=(CLIENT,))


def subnet(name: str, zone: str, net: str = "172.31.0.0/20") -> dict[str, Any]:
    return {"SubnetId": name, "AvailabilityZone": zone, "VpcId": "vpc-1", "CidrBlock": net}


def target(zone: str, *groups: str, state: str = "available") -> dict[str, Any]:
    place = {"AvailabilityZoneName": zone, "VpcId": "vpc-1", "IpAddress": "172.31.0.9"}
    return {"MountTargetId": f"fsmt-{zone}", "LifeCycleState": state, "SecurityGroups": list(groups), **place}


def group(name: str, **rule: Any) -> dict[str, Any]:
    return {"GroupId": name, "VpcId": "vpc-1", "IpPermissions": [rule] if rule else []}


def system(**more: Any) -> dict[str, Any]:
    known = {"ThroughputMode": "elastic", "Encrypted": True, "PerformanceMode": "generalPurpose"}
    return {"FileSystemId": "fs-1", "LifeCycleState": "available", **known, **more}


PAIR = {"UserIdGroupPairs": [{"GroupId": CLIENT}]}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, **PAIR}, True),
        ({"IpProtocol": "tcp", "FromPort": 2000, "ToPort": 3000, **PAIR}, True),
        ({"IpProtocol": "-1", **PAIR}, True),
        ({"IpProtocol": "udp", "FromPort": 2049, "ToPort": 2049, **PAIR}, False),
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **PAIR}, False),
        ({"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "UserIdGroupPairs": [{"GroupId": "sg-x"}]}, False),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "172.31.0.0/16"}]}, True),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "172.31.0.0/24"}]}, False),
    ],
)
def test_who_reaches_a_mount_target(rule: dict[str, Any], expected: bool) -> None:
    facts = Facts(system(), [target("a", "sg-1")], groups=[group("sg-1", **rule)], subnets=[subnet("s-1", "a")])
    assert plan.reachable(facts.mount_targets[0], [CLIENT], facts) is expected
    assert bool(plan.plan(WANTED, facts).closed) is not expected


def test_one_mount_target_a_zone_whatever_the_number_of_subnets() -> None:
    places = [subnet("s-2", "b"), subnet("s-1", "a"), subnet("s-0", "b")]
    todo = plan.plan(WANTED, Facts(system(), subnets=places))
    assert [one["SubnetId"] for one in todo.targets] == ["s-1", "s-0"]
    assert (todo.group, todo.admits) == (True, [CLIENT])


def test_one_that_is_being_deleted_does_not_count() -> None:
    facts = Facts(system(), [target("a", state="deleting")], subnets=[subnet("s-1", "a")])
    assert [one["SubnetId"] for one in plan.plan(WANTED, facts).targets] == ["s-1"]
    assert plan.answer(WANTED, facts, "us-east-1")["mount_targets"] == {}


def test_one_zone_storage_is_reached_from_other_zones() -> None:
    places = [subnet("s-1", "a"), subnet("s-2", "b")]
    facts = Facts(system(AvailabilityZoneName="b"), subnets=places)
    assert [one["SubnetId"] for one in plan.plan(WANTED, facts).targets] == ["s-2"]


def test_a_mount_target_that_is_full_of_groups() -> None:
    five = [f"sg-{number}" for number in range(5)]
    facts = Facts(system(), [target("a", *five)], groups=[group(one) for one in five], subnets=[subnet("s-1", "a")])
    (line,) = plan.problems(WANTED, facts)
    assert "fsmt-a lets nobody in from sg-client" in line
    assert "5 security groups already" in line


def test_settings_of_a_file_system_named_by_id_are_left_alone() -> None:
    facts = Facts(system(ThroughputMode="bursting", Encrypted=False))
    by_name = replace(WANTED, transition_to_ia=30)
    by_id = replace(by_name, file_system_id="fs-1")
    assert plan.plan(by_name, facts).update == {"FileSystemId": "fs-1", "ThroughputMode": "elastic"}
    assert plan.plan(by_id, facts).update == {}
    assert plan.plan(by_id, facts).lifecycle == []
    assert plan.problems(by_id, facts) == []
    assert len(plan.problems(by_name, facts)) == 1


def test_other_life_cycle_policies_stay() -> None:
    archive = {"TransitionToArchive": "AFTER_90_DAYS"}
    facts = Facts(system(), lifecycle=[{"TransitionToIA": "AFTER_7_DAYS"}, archive])
    todo = plan.plan(replace(WANTED, transition_to_ia=1), facts)
    assert todo.lifecycle == [{"TransitionToIA": "AFTER_1_DAY"}, archive]


def test_instances_are_clients_where_they_are() -> None:
    instances = [
        {"SubnetId": "s-2", "SecurityGroups": [{"GroupId": "sg-b"}, {"GroupId": "sg-a"}]},
        {"SubnetId": "s-1", "SecurityGroups": [{"GroupId": "sg-a"}]},
        {"SecurityGroups": []},  # terminated
    ]
    located = plan.with_clients(Wanted("team"), instances)
    assert (located.subnet_ids, located.client_group_ids) == (("s-1", "s-2"), ("sg-a",))


def test_equal_access_points_have_equal_tokens() -> None:
    point = {"path": "/team", "uid": 1, "gid": 1, "permissions": "0755"}
    wanted = replace(WANTED, access_point=point)
    token = plan.access_point_token(wanted, "fs-1")
    assert len(token) <= 64
    assert token == plan.access_point_creation(wanted, "fs-1")["ClientToken"]
    assert token != plan.access_point_token(wanted, "fs-2")
    assert token != plan.access_point_token(replace(wanted, access_point={**point, "uid": 2}), "fs-1")


def test_regions_of_china_have_another_domain() -> None:
    assert plan.answer(WANTED, Facts(system()), "cn-north-1")["dns_name"] == "fs-1.efs.cn-north-1.amazonaws.com.cn"
