"""Fleets of types request and maintain with real botocore against a stub: what AWS does seldom, late or wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.experiments.spot.plugins.modules import ec2_fleet
from tests.unit.wire import DROP, Reply, Wire, error, xml

TAGS = {"spot:experiment": "mnist", "spot:generation": "1"}
PRESENT: dict[str, Any] = {
    "type": "maintain",
    "launch_template": {"name": "spot-mnist-1", "version": "1"},
    "overrides": [{"instance_type": "g5.xlarge", "subnet_id": "subnet-1"}],
    "tags": TAGS,
    "region": "us-east-1",
}
ABSENT: dict[str, Any] = {"state": "absent", "tags": TAGS, "region": "us-east-1"}


class FakeClock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Wire() as server:
        server.script("CreateFleet", xml("<fleetId>fleet-1</fleetId>"))
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(ec2_fleet, "SystemClock", lambda: fake)
    return fake


@pytest.fixture
def run(wire: Wire, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(**args: Any) -> dict[str, Any]:
        with patch_module_args({"endpoint_url": wire.url, **args}), pytest.raises(SystemExit):
            ec2_fleet.main()
        return json.loads(capsys.readouterr().out)

    return call


def fleet(
    name: str = "fleet-1",
    *,
    state: str = "active",
    have: float = 1,
    target: int = 1,
    created: str = "2026-01-01T00:00:00.000Z",
    status: str = "fulfilled",
) -> str:
    tags = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in TAGS.items())
    return (
        f"<item><fleetId>{name}</fleetId><fleetState>{state}</fleetState><activityStatus>{status}</activityStatus>"
        f"<createTime>{created}</createTime><type>maintain</type><fulfilledCapacity>{have}</fulfilledCapacity>"
        "<spotOptions><allocationStrategy>price-capacity-optimized</allocationStrategy>"
        "<instanceInterruptionBehavior>terminate</instanceInterruptionBehavior></spotOptions>"
        f"<targetCapacitySpecification><totalTargetCapacity>{target}</totalTargetCapacity>"
        "<defaultTargetCapacityType>spot</defaultTargetCapacityType></targetCapacitySpecification>"
        "<launchTemplateConfigs><item><launchTemplateSpecification><launchTemplateName>spot-mnist-1"
        "</launchTemplateName><version>1</version></launchTemplateSpecification><overrides><item>"
        "<instanceType>g5.xlarge</instanceType><subnetId>subnet-1</subnetId></item></overrides></item>"
        f"</launchTemplateConfigs><tagSet>{tags}</tagSet></item>"
    )


def fleets(*items: str) -> Reply:
    return xml(f"<fleetSet>{''.join(items)}</fleetSet>")


def event(sub_type: str, text: str = "", when: str = "2999-01-01T00:00:00.000Z") -> str:
    return (
        f"<item><eventType>error</eventType><timestamp>{when}</timestamp><eventInformation><eventSubType>{sub_type}"
        f"</eventSubType><eventDescription>{text}</eventDescription></eventInformation></item>"
    )


def history(*events: str, token: str = "") -> Reply:
    return xml(f"<historyRecordSet>{''.join(events)}</historyRecordSet><nextToken>{token}</nextToken>")


def members(*ids: str, token: str = "") -> Reply:
    items = "".join(f"<item><instanceId>{name}</instanceId></item>" for name in ids)
    return xml(f"<activeInstanceSet>{items}</activeInstanceSet><nextToken>{token}</nextToken>")


def instances(*ids: str, state: str = "running") -> Reply:
    rows = "".join(
        f"<item><instanceId>{name}</instanceId><instanceState><name>{state}</name></instanceState></item>"
        for name in ids
    )
    return xml(f"<reservationSet><item><instancesSet>{rows}</instancesSet></item></reservationSet>")


NONE = fleets()
LIVE = fleets(fleet())


def test_template_that_is_given_is_made_before_the_fleet_and_not_for_one_that_is_there(run: Any, wire: Wire) -> None:
    template = {**PRESENT["launch_template"], "data": {"ImageId": "ami-1"}}
    wire.script("DescribeFleets", NONE, LIVE)
    wire.script("DescribeFleetInstances", members("i-1"))
    wire.script("DescribeInstances", instances("i-1"))
    run(**{**PRESENT, "launch_template": template})
    made = [action for action, _params in wire.calls if action.startswith("Create")]
    assert made == ["CreateLaunchTemplate", "CreateFleet"]
    run(**{**PRESENT, "launch_template": template})
    assert len(wire.of("CreateLaunchTemplate")) == 1


def test_request_on_the_wire(run: Any, wire: Wire) -> None:
    wire.script("DescribeFleets", NONE, LIVE)
    wire.script("DescribeFleetInstances", members("i-1"))
    wire.script("DescribeInstances", instances("i-1"))

    result = run(**PRESENT)

    (request,) = wire.of("CreateFleet")
    assert request.pop("ClientToken")
    assert request == {
        "Version": "2016-11-15",
        "Type": "maintain",
        "SpotOptions.AllocationStrategy": "price-capacity-optimized",
        "SpotOptions.InstanceInterruptionBehavior": "terminate",
        "TargetCapacitySpecification.TotalTargetCapacity": "1",
        "TargetCapacitySpecification.OnDemandTargetCapacity": "0",
        "TargetCapacitySpecification.SpotTargetCapacity": "1",
        "TargetCapacitySpecification.DefaultTargetCapacityType": "spot",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName": "spot-mnist-1",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version": "1",
        "LaunchTemplateConfigs.1.Overrides.1.InstanceType": "g5.xlarge",
        "LaunchTemplateConfigs.1.Overrides.1.SubnetId": "subnet-1",
        "TagSpecification.1.ResourceType": "fleet",
        "TagSpecification.1.Tag.1.Key": "spot:experiment",
        "TagSpecification.1.Tag.1.Value": "mnist",
        "TagSpecification.1.Tag.2.Key": "spot:generation",
        "TagSpecification.1.Tag.2.Value": "1",
    }
    assert result["fleet"]["launched"] == ["i-1"]
    assert [action for action, _params in wire.calls] == [
        "DescribeFleets",
        "CreateFleet",
        "DescribeFleets",
        "DescribeFleets",
        "DescribeFleets",
        "DescribeFleetInstances",
        "DescribeInstances",
    ]


def test_live_fleets_are_asked_for_by_state(run: Any, wire: Wire) -> None:
    wire.script("DescribeFleets", LIVE)
    assert run(**PRESENT)["changed"] is False
    first = wire.of("DescribeFleets")[0]
    assert (first["Filter.1.Name"], first["Filter.1.Value.1"]) == ("fleet-state", "submitted")
    assert wire.of("CreateFleet") == []


def test_fleet_is_filled_after_some_looks(run: Any, wire: Wire, clock: FakeClock) -> None:
    empty = fleets(fleet(have=0, status="pending_fulfillment"))
    wire.script("DescribeFleets", NONE, empty, empty, empty, empty, LIVE)
    assert run(**PRESENT)["fleet"]["missing"] == 0
    assert clock.slept == [1, 1.5]


def test_new_fleet_that_is_not_visible_yet(run: Any, wire: Wire, clock: FakeClock) -> None:
    unseen = error("InvalidFleetId.NotFound")
    wire.script("DescribeFleets", NONE, unseen, unseen, LIVE)
    assert run(**PRESENT)["changed"] is True
    assert clock.slept == [1, 2]


@pytest.mark.parametrize(
    "dead",
    [
        fleets(fleet(state="deleted")),
        fleets(fleet(state="deleted_terminating")),
        fleets(fleet(state="failed", created="2020-01-01T00:00:00.000Z")),
    ],
)
def test_token_of_a_fleet_that_ended_gives_a_new_token(run: Any, wire: Wire, dead: Reply) -> None:
    wire.script("DescribeFleets", NONE, dead, LIVE)
    run(**PRESENT)
    first, second = wire.of("CreateFleet")
    assert first.pop("ClientToken") != second.pop("ClientToken")
    assert first == second


def test_mismatch_of_the_token_gives_a_new_token(run: Any, wire: Wire) -> None:
    wire.script("DescribeFleets", NONE, LIVE)
    wire.script("CreateFleet", error("IdempotentParameterMismatch"), xml("<fleetId>fleet-1</fleetId>"))
    run(client_token="mine", **PRESENT)
    assert [call["ClientToken"] for call in wire.of("CreateFleet")] == ["mine", "mine-1"]


@pytest.mark.parametrize("lost", [DROP, error("InternalError", status=500), error("RequestLimitExceeded", status=503)])
def test_unknown_outcome_repeats_the_same_request(run: Any, wire: Wire, clock: FakeClock, lost: Reply) -> None:
    wire.script("DescribeFleets", NONE, LIVE)
    wire.script("CreateFleet", lost, lost, xml("<fleetId>fleet-1</fleetId>"))
    assert run(**PRESENT)["changed"] is True
    calls = wire.of("CreateFleet")
    assert calls[0] == calls[1] == calls[2]
    assert clock.slept == [1, 2]


def test_repeats_come_to_an_end(run: Any, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeFleets", NONE)
    wire.script("CreateFleet", error("InternalError", "a fault", status=500))
    assert "InternalError: a fault" in run(**PRESENT)["msg"]
    assert clock.slept == [1, 2, 4, 8, 16]


def test_template_that_was_just_made_is_waited_for(run: Any, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeFleets", NONE, LIVE)
    unseen = error("InvalidLaunchTemplateName.NotFoundException")
    wire.script("CreateFleet", unseen, xml("<fleetId>fleet-1</fleetId>"))
    run(**PRESENT)
    assert clock.slept == [2]


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "MaxSpotFleetRequestCountExceeded", "InvalidFleetConfig"])
def test_refused_creation_is_told_once(run: Any, wire: Wire, clock: FakeClock, code: str) -> None:
    wire.script("DescribeFleets", NONE)
    wire.script("CreateFleet", error(code, "because"))
    assert run(**PRESENT)["msg"].startswith("Could not create the fleet: ")
    assert len(wire.of("CreateFleet")) == 1
    assert clock.slept == []


def test_several_fleets_of_one_generation(run: Any, wire: Wire) -> None:
    wire.script("DescribeFleets", fleets(fleet("fleet-b"), fleet("fleet-a")))
    assert "spot:generation: fleet-a, fleet-b. What to do" in run(**PRESENT)["msg"]


def test_younger_of_two_fleets_made_at_once_is_deleted(run: Any, wire: Wire) -> None:
    other = fleet("fleet-0", created="2025-12-31T23:59:59.000Z")
    wire.script("DescribeFleets", NONE, LIVE, fleets(fleet(), other))
    result = run(**PRESENT)
    assert "Another run has just made fleet-0" in result["msg"]
    (deleted,) = wire.of("DeleteFleets")
    assert (deleted["FleetId.1"], deleted["TerminateInstances"]) == ("fleet-1", "true")


def test_older_of_two_fleets_made_at_once_stays(run: Any, wire: Wire) -> None:
    other = fleet("fleet-2", created="2026-01-01T00:00:01.000Z")
    wire.script("DescribeFleets", NONE, LIVE, fleets(other, fleet()), LIVE)
    assert run(**PRESENT)["changed"] is True
    assert wire.of("DeleteFleets") == []


def test_fleet_that_is_being_changed_is_waited_for(run: Any, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeFleets", LIVE, fleets(fleet(have=2, target=2)))
    wire.script("ModifyFleet", error("FleetNotInModifiableState"), xml("<return>true</return>"))
    result = run(target_capacity=2, **PRESENT)
    assert result["changed"] is True
    assert clock.slept == [1]
    assert wire.of("ModifyFleet")[0] == {
        "Version": "2016-11-15",
        "FleetId": "fleet-1",
        "TargetCapacitySpecification.TotalTargetCapacity": "2",
        "TargetCapacitySpecification.OnDemandTargetCapacity": "0",
        "TargetCapacitySpecification.SpotTargetCapacity": "2",
        "TargetCapacitySpecification.DefaultTargetCapacityType": "spot",
    }


def test_history_is_read_to_its_end_and_told(run: Any, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeFleets", NONE, fleets(fleet(have=0, status="error")))
    text = "g5.xlarge, ami-1, Linux/UNIX: Error Code: InsufficientInstanceCapacity"
    pages = [history(token="more"), history(event("launchSpecTemporarilyBlacklisted", text))]
    wire.script("DescribeFleetHistory", *pages, *pages, *pages)

    result = run(wait_timeout=2, **PRESENT)

    assert result["msg"].splitlines() == [
        "fleet-1 of experiment mnist has 0 of 1 units of capacity after 2 s (active, error).",
        "What to do: use more instance types or zones, or try again in some minutes.",
        "History of the fleet (pool -> code: event):",
        f"  g5.xlarge in subnet-1 -> InsufficientInstanceCapacity: launchSpecTemporarilyBlacklisted: {text}",
        "The fleet was deleted with its instances.",
    ]
    assert result["changed"] is False
    assert wire.of("DescribeFleetHistory")[1]["NextToken"] == "more"
    assert [item["code"] for item in result["fleet"]["errors"]] == ["InsufficientInstanceCapacity"]


def test_lasting_trouble_ends_the_wait(run: Any, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeFleets", NONE, fleets(fleet(have=0, status="error")))
    wire.script("DescribeFleetHistory", history(event("iamFleetRoleInvalid", "no rights")))
    result = run(**PRESENT)
    assert "iamFleetRoleInvalid: no rights" in result["msg"]
    assert clock.slept == []


def test_old_trouble_of_a_fleet_that_was_there_does_not_end_the_wait(run: Any, wire: Wire, clock: FakeClock) -> None:
    troubled = fleets(fleet(have=0, status="error"))
    wire.script("DescribeFleets", troubled, troubled, troubled, LIVE)
    wire.script("DescribeFleetHistory", history(event("spotInstanceCountLimitExceeded")))
    result = run(**PRESENT)
    assert "failed" not in result
    assert clock.slept == [1, 1.5]


def test_fleet_that_was_there_stays_when_it_is_not_filled(run: Any, wire: Wire) -> None:
    wire.script("DescribeFleets", fleets(fleet(have=0, status="error")))
    wire.script("DescribeFleetHistory", history())
    result = run(wait_timeout=5, **PRESENT)
    assert result["failed"] is True
    assert result["msg"].endswith("The fleet stays as it is.")
    assert wire.of("DeleteFleets") == []


def test_fleet_that_fails_ends_the_wait(run: Any, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeFleets", NONE, fleets(fleet(state="failed", have=0, created="2999-01-01T00:00:00.000Z")))
    assert "(failed, fulfilled)" in run(**PRESENT)["msg"]
    assert clock.slept == []


def test_deletion_that_does_not_work_at_first(run: Any, wire: Wire, clock: FakeClock) -> None:
    busy = xml(
        "<unsuccessfulFleetDeletionSet><item><fleetId>fleet-1</fleetId><error><code>fleetNotInDeletableState</code>"
        "<message>modifying</message></error></item></unsuccessfulFleetDeletionSet>"
    )
    wire.script("DescribeFleets", LIVE)
    wire.script("DeleteFleets", busy, busy, xml(""))
    result = run(fleet_ids=["fleet-1"], **ABSENT)
    assert "failed" not in result
    assert clock.slept == [2, 4]


@pytest.mark.parametrize(("code", "failed"), [("fleetIdDoesNotExist", False), ("fleetIdMalformed", True)])
def test_deletion_errors(run: Any, wire: Wire, code: str, failed: bool) -> None:
    refused = xml(
        f"<unsuccessfulFleetDeletionSet><item><fleetId>fleet-1</fleetId><error><code>{code}</code>"
        "<message>no</message></error></item></unsuccessfulFleetDeletionSet>"
    )
    wire.script("DescribeFleets", LIVE)
    wire.script("DeleteFleets", refused)
    assert run(fleet_ids=["fleet-1"], **ABSENT).get("failed", False) is failed
    assert len(wire.of("DeleteFleets")) == 1


def test_instance_that_came_while_the_fleet_was_deleted_is_ended_too(run: Any, wire: Wire) -> None:
    wire.script("DescribeFleets", LIVE)
    # By tag of the experiment, by tag of the fleet, then looks: by id and by tag of the fleet, in turn.
    ended = instances("i-1", "i-2", state="terminated")
    both = instances("i-1", "i-2", state="shutting-down")
    wire.script("DescribeInstances", instances(), instances("i-1"), both, instances("i-2"), both, both, ended, ended)
    result = run(fleet_ids=["fleet-1"], **ABSENT)
    assert result["fleet"]["terminated"] == ["i-1"]
    assert [call["InstanceId.1"] for call in wire.of("TerminateInstances")] == ["i-1", "i-2"]
    # The fleet goes first, else it would replace what ends.
    changes = [action for action, _params in wire.calls if not action.startswith("Describe")]
    assert changes == ["DeleteFleets", "TerminateInstances", "TerminateInstances"]


def test_instances_that_do_not_end_in_time(run: Any, wire: Wire) -> None:
    wire.script("DescribeInstances", instances("i-1"))
    result = run(wait_timeout=20, **ABSENT)
    assert result["failed"] is True
    assert result["changed"] is True
    assert "1 instance had not ended after 20 s (i-1)" in result["msg"]
    assert "failed" not in run(wait=False, **ABSENT)
