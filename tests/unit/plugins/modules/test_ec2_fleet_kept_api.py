"""Fleets of types request and maintain against the API of the lab: real botocore, a real EC2 protocol, no machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import ec2_fleet
from tests.unit.plugins.modules.fleet_lab import SPEED, TAGS, Api, FastClock, Runner, serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    yield from serve(SPEED)


@pytest.fixture
def api(server: Api) -> Api:
    server.start()
    return server


@pytest.fixture
def maintain(api: Api) -> dict[str, Any]:
    return {**api.options(), "type": "maintain", "target_capacity": 2, "wait_timeout": 120}


@pytest.fixture
def run(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ec2_fleet, "SystemClock", FastClock)
    return Runner(ec2_fleet, api, capsys)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fleets(api: Api) -> dict[str, str]:
    return {fleet["FleetId"]: fleet["FleetState"] for fleet in api.ec2.describe_fleets()["Fleets"]}


@pytest.mark.parametrize("kind", ["request", "maintain"])
def test_fleet_is_made_awaited_and_found_again(run: Runner, api: Api, maintain: dict[str, Any], kind: str) -> None:
    options = {**maintain, "type": kind}
    predicted = run(options, _ansible_check_mode=True)
    assert api.changes() == []
    first = run(options)
    second = run(options)

    assert predicted["changed"] is first["changed"] is True
    assert predicted["fleet"]["missing"] == 2
    assert (first["fleet"]["type"], first["fleet"]["state"]) == (kind, "active")
    assert len(first["fleet"]["launched"]) == 2
    assert first["fleet"]["missing"] == 0
    assert second["changed"] is False
    assert second["fleet"]["launched"] == []
    assert second["fleet"]["instances"] == first["fleet"]["instances"]
    assert fleets(api) == {first["fleet"]["fleet_id"]: "active"}
    assert api.changes() == ["CreateFleet"]


def test_target_goes_up_and_down(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    first = run(maintain)
    api.control("calls", "DELETE")
    predicted = run(maintain, target_capacity=3, _ansible_check_mode=True, _ansible_diff=True)
    assert api.changes() == []

    more = run(maintain, target_capacity=3, _ansible_diff=True)
    fewer = run(maintain, target_capacity=1, excess_capacity_termination_policy="no-termination")

    assert predicted["diff"] == more["diff"]
    assert (more["diff"]["before"]["target_capacity"], more["diff"]["after"]["target_capacity"]) == (2, 3)
    assert more["fleet"]["fleet_id"] == first["fleet"]["fleet_id"]
    assert len(more["fleet"]["launched"]) == 1
    assert fewer["changed"] is True
    assert len(fewer["fleet"]["instances"]) == 3
    assert api.changes() == ["ModifyFleet", "ModifyFleet"]
    assert run(maintain, target_capacity=1, excess_capacity_termination_policy="no-termination")["changed"] is False


def test_other_pools_are_taken_over(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    run(maintain)
    other = {**maintain, "overrides": [{**maintain["overrides"][0], "max_price": 0.5, "weighted_capacity": 1}]}
    assert run(other)["changed"] is True
    assert run(other)["changed"] is False


def test_target_of_0_rests(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    run(maintain)
    result = run(maintain, target_capacity=0)
    assert result["changed"] is True
    until(lambda: api.alive() == [])
    assert run(maintain, target_capacity=0)["changed"] is False


def test_what_cannot_be_changed_is_told_at_once(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    fleet_id = run(maintain)["fleet"]["fleet_id"]
    api.control("calls", "DELETE")

    result = run(maintain, allocation_strategy="diversified", replace_unhealthy_instances=True, target_capacity=3)

    assert result["failed"] is True
    assert result["msg"] == (
        f"Cannot change {fleet_id}: "
        "allocation_strategy: diversified is wanted, the fleet has price-capacity-optimized; "
        "replace_unhealthy_instances: True is wanted, the fleet has False. "
        "What to do: delete it with state absent, or choose another spot:generation."
    )
    assert api.changes() == []


def test_fleet_of_type_request_cannot_be_changed(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    request = {**maintain, "type": "request"}
    run(request)
    assert "target_capacity: 3 is wanted, the fleet has 2" in run(request, target_capacity=3)["msg"]
    assert "type: maintain is wanted, the fleet has request" in run(maintain)["msg"]


def test_lost_instance_is_replaced_and_awaited(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    first = run(maintain)["fleet"]["launched"]
    api.ec2.terminate_instances(InstanceIds=first[:1])

    result = run(maintain)

    assert result["changed"] is False
    assert len(result["fleet"]["instances"]) == 2
    assert first[0] not in {item["instance_id"] for item in result["fleet"]["instances"]}


def test_quota_of_0_is_told_without_waiting_and_the_fleet_is_deleted(
    run: Runner, api: Api, maintain: dict[str, Any]
) -> None:
    api.control("quota", new_account=True)

    result = run(maintain, target_capacity=9, wait_timeout=3000)

    assert result["failed"] is True
    assert "L-34B43A08" in result["msg"]
    assert "spotInstanceCountLimitExceeded" in result["msg"]
    assert result["msg"].endswith("The fleet was deleted with its instances.")
    until(lambda: api.alive() == [])
    assert set(fleets(api).values()) <= {"deleted", "deleted_terminating"}


def test_no_capacity_in_time(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    api.control("capacity", count=0)
    failed = run(maintain, wait_timeout=60)
    assert failed["failed"] is True
    assert "has 0 of 2 units of capacity" in failed["msg"]
    assert api.alive() == []

    # AWS remembers the token of the fleet that was deleted.
    api.control("capacity")
    result = run(maintain)
    assert len(result["fleet"]["launched"]) == 2
    assert list(fleets(api).values()).count("active") == 1


def test_part_may_be_enough(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    api.control("capacity", type="m5.large", count=1)
    api.control("capacity", type="t3.large", count=0)

    result = run(maintain, all_or_nothing=False, wait_timeout=30)

    assert result["changed"] is True
    assert result["fleet"]["missing"] == 1
    assert "has only 1 of 2 units" in str(result["warnings"])
    assert list(fleets(api).values()) == ["active"]


def test_without_waiting(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    result = run(maintain, wait=False)
    assert result["changed"] is True
    assert result["fleet"]["fleet_id"] in fleets(api)


def test_denied(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    api.control("deny", action="CreateFleet")
    assert "ec2:CreateFleet is not allowed" in run(maintain)["msg"]


def test_lost_answer_makes_one_fleet(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    api.control("fail", action="CreateFleet", code="InternalError", http=500, times=1, after=True)
    result = run(maintain)
    assert list(fleets(api)) == [result["fleet"]["fleet_id"]]


def test_absent_ends_a_fleet_that_would_replace_its_instances(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    launched = run(maintain)["fleet"]
    gone = {"state": "absent", "tags": TAGS}

    predicted = run(gone, _ansible_check_mode=True)
    result = run(gone)
    again = run(gone)

    assert predicted["fleet"] == result["fleet"]
    assert result["fleet"]["fleet_ids"] == [launched["fleet_id"]]
    assert sorted(result["fleet"]["terminated"]) == sorted(launched["launched"])
    assert again["changed"] is False
    assert api.alive() == []


def test_absent_may_leave_the_instances(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    run(maintain)
    keep = {"state": "absent", "tags": TAGS, "type": "maintain", "terminate_instances": False}

    result = run(keep)

    assert result["changed"] is True
    assert result["fleet"]["terminated"] == []
    assert list(fleets(api).values()) == ["deleted_running"]
    assert len(api.alive()) == 2
    assert run(keep)["changed"] is False
    assert len(run({"state": "absent", "tags": TAGS})["fleet"]["terminated"]) == 2
    assert api.alive() == []


def test_absent_without_instances_is_refused_for_an_instant_fleet(run: Runner, api: Api) -> None:
    fleet_id = run(api.options())["fleet"]["fleet_id"]
    result = run({"state": "absent", "tags": TAGS, "type": "maintain", "terminate_instances": False})
    assert result["msg"] == f"terminate_instances: AWS ends the instances of an instant fleet with it: {fleet_id}"
    assert len(api.alive()) == 1


def test_more_fleets_than_one_call_may_delete(run: Runner, api: Api) -> None:
    ids = [run({**api.options(), "tags": {**TAGS, "spot:generation": str(n)}})["fleet"]["fleet_id"] for n in range(26)]
    api.control("calls", "DELETE")
    result = run({"state": "absent", "tags": {"spot:experiment": "mnist"}})
    assert sorted(result["fleet"]["fleet_ids"]) == sorted(ids)
    assert api.changes().count("DeleteFleets") == 2
    assert api.alive() == []


def test_instance_requirements(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    size = {"vcpu_count": {"min": 2, "max": 4}, "memory_mib": {"min": 4096}}
    pools = [{"instance_requirements": size, "subnet_id": maintain["overrides"][0]["subnet_id"]}]
    options = {**maintain, "overrides": pools, "target_capacity_unit_type": "vcpu", "target_capacity": 4}
    assert run(options)["fleet"]["missing"] == 0
    assert run(options)["changed"] is False

    instant = {**maintain, "overrides": pools, "type": "instant", "tags": {**TAGS, "spot:generation": "2"}}
    assert len(run(instant)["fleet"]["launched"]) == 2
    assert run(instant)["changed"] is False


def test_rebalance_expiry_and_unhealthy_instances(run: Runner, api: Api, maintain: dict[str, Any]) -> None:
    options = {
        **maintain,
        "replace_unhealthy_instances": True,
        "capacity_rebalance": {"replacement_strategy": "launch-before-terminate", "termination_delay": 120},
        "terminate_instances_with_expiration": True,
        "valid_until": "2999-01-01T00:00:00Z",
        "on_demand_target_capacity": 1,
    }
    result = run(options)
    assert sorted(item["lifecycle"] for item in result["fleet"]["instances"]) == ["on-demand", "spot"]
    assert run(options)["changed"] is False
    other = {**options, "valid_until": "2999-01-02T00:00:00Z"}
    assert "valid_until: 2999-01-02T00:00:00+00:00 is wanted" in run(other)["msg"]


def test_progress(run: Runner, api: Api, maintain: dict[str, Any], tmp_path: Any) -> None:
    result = run(maintain, progress_file=str(tmp_path / "progress"))
    fleet_id = result["fleet"]["fleet_id"]
    lines = (tmp_path / "progress").read_text().splitlines()
    assert lines[0] == f"made {fleet_id} of type maintain"
    assert lines[-1] == f"{fleet_id}: 2 of 2 there"
