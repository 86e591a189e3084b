"""What experiments have and cost."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._experiment import summary
from ansible_collections.experiments.spot.plugins.module_utils._experiment.summary import Found, Prices
from tests.unit.plugins.module_utils._experiment.builders import instance, tags, volume

Resource = dict[str, Any]
NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
PRICES = Prices({("t3.medium", "us-east-1a"): 0.0125}, {"t3.medium": 0.0416})


def launched(instance_id: str, hours: float = 2, **more: Any) -> Resource:
    return instance(instance_id, LaunchTime=NOW - timedelta(hours=hours), **more)


def of(found: Found, include_terminated: bool = False) -> list[Resource]:
    return summary.experiments(found, PRICES, NOW, include_terminated)


def test_experiments_are_grouped_and_sorted() -> None:
    other = launched("i-2", Tags=tags(experiment="digits", generation="1"))
    assert [one["experiment"] for one in of(Found(instances=[launched("i-1"), other]))] == ["digits", "lab"]


def test_instance_costs() -> None:
    (lab,) = of(Found(instances=[launched("i-1"), launched("i-2", hours=1, InstanceLifecycle=None)]))
    spot, on_demand = lab["instances"]
    assert (spot["price"], spot["on_demand_price"], spot["cost_so_far"]) == (0.0125, 0.0416, 0.025)
    assert (on_demand["lifecycle"], on_demand["price"]) == ("on-demand", 0.0416)
    assert (lab["cost_per_hour"], lab["cost_so_far"]) == (0.0541, 0.0666)


def test_unknown_price_is_unknown_cost() -> None:
    (lab,) = of(Found(instances=[launched("i-1", zone="us-east-1b")]))
    assert (lab["cost_per_hour"], lab["cost_so_far"]) == (None, None)


def test_tags_tell_about_the_experiment() -> None:
    (lab,) = of(Found(instances=[launched("i-1")]))
    about = {key: lab[key] for key in ("profile", "owner", "generation", "expires", "job")}
    assert about == {"profile": "lab", "owner": "alice", "generation": 1, "expires": "", "job": "train"}


def test_running_generation_is_told_even_when_a_volume_knows_less() -> None:
    (lab,) = of(Found(instances=[launched("i-1", generation=3)], volumes=[volume("vol-1")]))
    assert lab["generation"] == 3


def test_only_a_volume_is_left() -> None:
    (lab,) = of(Found(volumes=[volume("vol-1")]))
    assert (lab["instances"], lab["generation"], lab["storage_cost_per_month"]) == ([], 1, 4.0)
    assert lab["volumes"][0] == {
        "volume_id": "vol-1",
        "name": "data",
        "volume": "data",
        "rank": 0,
        "size": 50,
        "type": "gp3",
        "zone": "us-east-1a",
        "state": "available",
        "attached_to": None,
        "ours": True,
        "cost_per_month": 4.0,
    }


def test_terminated_instances_alone_are_nothing() -> None:
    ended = launched("i-1", state="terminated", StateTransitionReason="User initiated (2026-01-31 11:00:00 GMT)")
    assert of(Found(instances=[ended])) == []
    (lab,) = of(Found(instances=[ended]), include_terminated=True)
    assert lab["instances"][0]["rank"] is None
    assert (lab["cost_per_hour"], lab["cost_so_far"]) == (0, 0.0125)


def test_instances_with_a_rank_come_first() -> None:
    raws = [launched("i-1", state="shutting-down"), launched("i-9"), launched("i-5")]
    (lab,) = of(Found(instances=raws))
    assert [(one["instance_id"], one["rank"]) for one in lab["instances"]] == [("i-5", 0), ("i-9", 1), ("i-1", None)]


def test_root_volume_is_part_of_its_instance() -> None:
    root = volume("vol-0", holder="i-1")
    root["Attachments"][0]["DeleteOnTermination"] = True
    (lab,) = of(Found(instances=[launched("i-1")], volumes=[root], attached=[root]))
    assert lab["volumes"] == []


def test_volume_of_the_user_is_shown_but_not_counted() -> None:
    theirs = volume("vol-7", holder="i-1", Tags=[])
    (lab,) = of(Found(instances=[launched("i-1")], attached=[theirs]))
    assert [(one["volume_id"], one["attached_to"], one["ours"]) for one in lab["volumes"]] == [("vol-7", "i-1", False)]
    assert lab["storage_cost_per_month"] == 0


def test_small_things_are_listed() -> None:
    mine = tags(experiment="lab")
    (lab,) = of(
        Found(
            tags=[{"ResourceId": "snap-1", "ResourceType": "snapshot", "Value": "lab"}],
            security_groups=[{"GroupId": "sg-1", "GroupName": "spot-lab", "VpcId": "vpc-1", "Tags": mine}],
            key_pairs=[{"KeyPairId": "key-1", "KeyName": "spot-lab", "Tags": mine}],
            launch_templates=[{"LaunchTemplateId": "lt-1", "LaunchTemplateName": "spot-lab-0", "Tags": mine}],
            fleets=[
                {"FleetId": "fleet-1", "FleetState": "active", "Tags": mine},
                {"FleetId": "fleet-2", "FleetState": "deleted_terminating", "Tags": mine},
            ],
        )
    )
    assert lab["security_groups"] == [{"group_id": "sg-1", "name": "spot-lab", "vpc_id": "vpc-1"}]
    assert lab["key_pairs"] == [{"name": "spot-lab", "id": "key-1"}]
    assert lab["launch_templates"] == [{"name": "spot-lab-0", "id": "lt-1"}]
    assert lab["fleets"] == [{"fleet_id": "fleet-1", "state": "active"}]
    assert lab["others"] == [{"type": "snapshot", "id": "snap-1"}]
