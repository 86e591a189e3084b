"""The module against the API of the lab: real botocore, a real EC2 protocol, no machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet.index import index_from
from ansible_collections.experiments.spot.plugins.module_utils._fleet.launch import AwsFleet, SystemClock, launch
from ansible_collections.experiments.spot.plugins.module_utils._fleet.options import DEFAULTS
from ansible_collections.experiments.spot.plugins.module_utils._fleet.transformations import wish_from_params
from ansible_collections.experiments.spot.plugins.modules import ec2_fleet
from tests.unit.plugins.modules.fleet_lab import TAGS, Api, Runner, serve


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    yield from serve()


@pytest.fixture
def api(server: Api) -> Api:
    server.start()
    return server


@pytest.fixture
def present(api: Api) -> dict[str, Any]:
    """The module's options for two pools in two zones."""
    return {**api.options(), "wait": False}


@pytest.fixture
def run(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    return Runner(ec2_fleet, api, capsys)


def test_second_run_changes_nothing(run: Runner, api: Api, present: dict[str, Any]) -> None:
    first = run(present, target_capacity=2)
    second = run(present, target_capacity=2)

    assert first["changed"] is True
    assert len(first["fleet"]["instances"]) == 2
    assert {item["lifecycle"] for item in first["fleet"]["instances"]} == {"spot"}
    assert second["changed"] is False
    assert second["fleet"]["instances"] == first["fleet"]["instances"]
    assert api.changes() == ["CreateFleet"]
    tags = {tag["Key"]: tag["Value"] for tag in api.alive()[0]["Tags"]}
    assert TAGS.items() <= tags.items()


def test_check_mode_changes_nothing(run: Runner, api: Api, present: dict[str, Any]) -> None:
    result = run(present, _ansible_check_mode=True)

    assert result["changed"] is True
    assert result["fleet"]["missing"] == 1
    assert api.changes() == []


def test_more_capacity_asks_only_for_the_rest(run: Runner, api: Api, present: dict[str, Any]) -> None:
    first = run(present)
    second = run(present, target_capacity=3)

    assert len(second["fleet"]["launched"]) == 2
    assert first["fleet"]["launched"][0] in {item["instance_id"] for item in second["fleet"]["instances"]}
    assert len(api.alive()) == 3


@pytest.mark.parametrize(("full", "other"), [("m5.large", "t3.large"), ("t3.large", "m5.large")])
def test_pool_without_capacity_gives_way_to_another(
    run: Runner, api: Api, present: dict[str, Any], full: str, other: str
) -> None:
    api.control("capacity", type=full, count=0)

    result = run(present)

    assert [item["instance_type"] for item in result["fleet"]["instances"]] == [other]


def test_no_capacity_at_all_leaves_nothing(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("capacity", count=0)

    result = run(present)

    assert result["failed"] is True
    assert "m5.large in us-east-1a" in result["msg"]
    assert "t3.large in us-east-1b" in result["msg"]
    assert "InsufficientInstanceCapacity" in result["msg"]
    assert api.alive() == []


def test_partial_capacity_leaves_nothing_when_all_are_needed(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("capacity", type="m5.large", count=1)
    api.control("capacity", type="t3.large", count=1)

    result = run(present, target_capacity=3)

    assert result["failed"] is True
    assert len(result["fleet"]["terminated"]) == 2
    assert api.alive() == []


@pytest.mark.slow
def test_capacity_that_comes_back_is_used(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("capacity", count=0)
    assert run(present)["failed"] is True
    api.control("capacity")

    result = run(present, wait=True, wait_timeout=60, cooldown=1)

    assert len(result["fleet"]["launched"]) == 1


def test_launch_after_the_instances_died(run: Runner, api: Api, present: dict[str, Any]) -> None:
    first = run(present)
    api.ec2.terminate_instances(InstanceIds=first["fleet"]["launched"])

    second = run(present)

    assert len(second["fleet"]["launched"]) == 1
    assert second["fleet"]["launched"] != first["fleet"]["launched"]


def test_quota_of_a_new_account(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("quota", new_account=True)

    result = run(present, target_capacity=9)

    assert result["failed"] is True
    assert "L-34B43A08" in result["msg"]
    assert api.alive() == []


def test_denied_action_is_named(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("deny", action="RunInstances")
    assert "ec2:RunInstances is not allowed" in run(present)["msg"]

    api.control("deny", action="CreateFleet")
    assert "ec2:CreateFleet is not allowed" in run(present)["msg"]


def test_lost_answer_does_not_launch_twice(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("fail", action="CreateFleet", code="InternalError", http=500, times=1, after=True)

    result = run(present)

    assert len(result["fleet"]["instances"]) == 1
    assert len(api.alive()) == 1


@pytest.mark.parametrize("same_token", [True, False])
@pytest.mark.slow
def test_two_runs_at_once_launch_once(api: Api, present: dict[str, Any], same_token: bool) -> None:
    start = threading.Barrier(2)

    def once(number: int) -> list[str]:
        token = "" if same_token else f"token-{number}"
        wish = wish_from_params({**DEFAULTS, **present, "target_capacity": 3, "client_token": token})
        clock = SystemClock()
        fleet = AwsFleet(api.client(), api.client(attempts=1), wish, clock)
        before = fleet.look()
        start.wait(timeout=30)
        return sorted(item.instance_id for item in launch(fleet, wish, clock, before).instances)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(once, range(2))

    assert first == second
    assert sorted(item["InstanceId"] for item in api.alive()) == first
    assert len(first) == 3


def ranks(api: Api) -> dict[str, str]:
    """Instance id and number of all that are alive."""
    tags = {item["InstanceId"]: {tag["Key"]: tag["Value"] for tag in item["Tags"]} for item in api.alive()}
    return {instance_id: str(index_from(found["spot:rank"], instance_id)) for instance_id, found in tags.items()}


def test_numbers_are_stable_across_generations(run: Runner, api: Api, present: dict[str, Any]) -> None:
    numbered = {**present, "index_tag": "spot:rank", "target_capacity": 4, "scope": "experiment"}
    run(numbered)
    first = ranks(api)
    assert sorted(first.values()) == ["0", "1", "2", "3"]
    api.control("calls", "DELETE")
    assert run(numbered)["changed"] is False
    assert api.changes() == []
    dead, marked = (next(name for name, rank in first.items() if rank == wanted) for wanted in "13")
    api.ec2.terminate_instances(InstanceIds=[dead])
    api.control("calls", "DELETE")

    second = {**numbered, "tags": {**TAGS, "spot:generation": "2"}, "exclude_instance_ids": [marked]}
    result = run(second)

    assert len(result["fleet"]["launched"]) == 2
    assert api.changes() == ["CreateFleet", "CreateTags"]
    assert sorted(item["rank"] for item in result["fleet"]["instances"]) == [0, 1, 2, 3]
    after = ranks(api)
    assert {after[name] for name in result["fleet"]["launched"]} == {"1", "3"}
    kept = set(first) - {dead, marked}
    assert {after[name] for name in kept} == {"0", "2"}
    assert run(second)["changed"] is False


def test_instance_that_replaces_one_is_numbered_at_its_launch(run: Runner, api: Api, present: dict[str, Any]) -> None:
    numbered = {**present, "index_tag": "spot:rank", "target_capacity": 2}
    run(numbered)
    lost = next(name for name, rank in ranks(api).items() if rank == "0")
    api.ec2.terminate_instances(InstanceIds=[lost])
    api.control("calls", "DELETE")

    run(numbered)

    assert api.changes() == ["CreateFleet"]
    assert sorted(ranks(api).values()) == ["0", "1"]


def test_runs_say_what_they_use(run: Runner, api: Api, present: dict[str, Any]) -> None:
    """Two runs of one generation share instances; those of an earlier one belong to nobody's launch"""
    run(present)
    first = api.alive()[0]["InstanceId"]
    second = {**present, "tags": {**TAGS, "spot:generation": "2"}, "scope": "experiment", "target_capacity": 2}
    for mark in ("spot:run:a", "spot:run:b"):
        assert run(second, claim_tag=mark)["changed"] is (mark == "spot:run:a")

    marks = {
        item["InstanceId"]: {tag["Key"] for tag in item["Tags"]} & {"spot:run:a", "spot:run:b"} for item in api.alive()
    }
    assert marks.pop(first) == set()
    assert list(marks.values()) == [{"spot:run:a", "spot:run:b"}]
    assert api.changes() == ["CreateFleet", "CreateFleet", "CreateTags", "CreateTags"]


@pytest.mark.slow
def test_a_claim_waits_until_the_instance_is_visible(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("fail", action="CreateTags", code="InvalidInstanceID.NotFound", times=1)
    assert run(present, claim_tag="spot:run:a")["changed"] is True
    assert "spot:run:a" in {tag["Key"] for tag in api.alive()[0]["Tags"]}


def test_on_demand_base(run: Runner, api: Api, present: dict[str, Any]) -> None:
    result = run(present, target_capacity=3, on_demand_target_capacity=1)
    again = run(present, target_capacity=3, on_demand_target_capacity=1)

    assert sorted(item["lifecycle"] for item in result["fleet"]["instances"]) == ["on-demand", "spot", "spot"]
    assert api.changes() == ["CreateFleet", "CreateFleet"]
    assert again["changed"] is False


def test_on_demand_takes_the_place_of_spot_that_cannot_be_had(run: Runner, api: Api, present: dict[str, Any]) -> None:
    api.control("capacity", market="spot", count=0)

    assert run(present)["failed"] is True
    result = run(present, on_demand_fallback=True)

    assert [item["lifecycle"] for item in result["fleet"]["instances"]] == ["on-demand"]
    assert {item["market"] for item in result["fleet"]["errors"]} == {"spot"}


def test_absent_removes_instances_and_fleets(run: Runner, api: Api, present: dict[str, Any]) -> None:
    launched = run(present, target_capacity=2)["fleet"]

    first = run({"state": "absent", "tags": TAGS})
    second = run({"state": "absent", "tags": TAGS})

    assert first["changed"] is True
    assert sorted(first["fleet"]["terminated"]) == sorted(launched["launched"])
    assert first["fleet"]["fleet_ids"] == [launched["fleet_id"]]
    assert second["changed"] is False
    assert api.alive() == []
