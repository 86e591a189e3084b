"""ec2_fleet_info against the API of the lab and, for what AWS does seldom, against a stub."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.experiments.spot.plugins.modules import ec2_fleet, ec2_fleet_info
from tests.unit.plugins.modules.fleet_lab import SPEED, TAGS, Api, FastClock, Runner, serve
from tests.unit.wire import Wire, error, xml


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    yield from serve(SPEED)


@pytest.fixture
def api(server: Api) -> Api:
    server.start()
    return server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ec2_fleet, "SystemClock", FastClock)


@pytest.fixture
def launch(api: Api, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(ec2_fleet, api, capsys)


@pytest.fixture
def look(api: Api, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(ec2_fleet_info, api, capsys)


def test_nothing(look: Runner, api: Api) -> None:
    result = look({})
    assert (result["changed"], result["fleets"]) == (False, [])
    assert look({"fleet_ids": ["fleet-12345678-1234-1234-1234-123456789012"]})["fleets"] == []


@pytest.mark.slow
def test_all_types_are_found_by_tag_in_three_calls(launch: Runner, look: Runner, api: Api) -> None:
    options = api.options()
    launched = {
        kind: launch({**options, "type": kind, "tags": {**TAGS, "spot:generation": str(number)}})["fleet"]
        for number, kind in enumerate(("instant", "request", "maintain"))
    }
    launch({**options, "tags": {**TAGS, "spot:experiment": "other"}})
    api.control("calls", "DELETE")

    found = look({"tags": {"spot:experiment": "mnist"}})["fleets"]

    assert api.calls() == ["DescribeTags", "DescribeFleets", "DescribeInstances"]
    assert {fleet["type"]: fleet["fleet_id"] for fleet in found} == {
        kind: fleet["fleet_id"] for kind, fleet in launched.items()
    }
    for fleet in found:
        assert (fleet["state"], fleet["activity_status"]) == ("active", "fulfilled")
        assert (fleet["target_capacity"], fleet["fulfilled_capacity"]) == (1, 1.0)
        assert [item["instance_id"] for item in fleet["instances"]] == launched[fleet["type"]]["launched"]
        assert fleet["tags"]["spot:experiment"] == "mnist"
    (one,) = look({"tags": {"spot:experiment": "mnist", "spot:generation": 2}})["fleets"]
    assert one["type"] == "maintain"
    assert len(look({})["fleets"]) == 4
    (named,) = look({"fleet_ids": [launched["instant"]["fleet_id"]]})["fleets"]
    assert [named] == [fleet for fleet in found if fleet["type"] == "instant"]
    assert look({"fleet_ids": [launched["instant"]["fleet_id"]], "tags": {"spot:generation": "9"}})["fleets"] == []


def test_errors_of_an_instant_fleet(launch: Runner, look: Runner, api: Api) -> None:
    api.control("capacity", type="t3.large", count=0)
    launch({**api.options(), "index_tag": "spot:rank"})

    (fleet,) = look({})["fleets"]

    assert [(item["code"], item["instance_type"], item["market"]) for item in fleet["errors"]] == [
        ("InsufficientInstanceCapacity", "t3.large", "spot")
    ]
    assert [(item["rank"], item["instance_type"]) for item in fleet["instances"]] == [(0, "m5.large")]


def test_history_tells_why_a_fleet_is_empty(launch: Runner, look: Runner, api: Api) -> None:
    api.control("quota", new_account=True)
    launch({**api.options(), "type": "maintain", "target_capacity": 50, "wait": False})
    deadline = time.monotonic() + 20
    while not (fleet := look({"history": True})["fleets"][0])["errors"]:
        assert time.monotonic() < deadline

    assert "MaxSpotInstanceCountExceeded" in {item["code"] for item in fleet["errors"]}
    assert "submitted" in {event["event"] for event in fleet["history"]}
    assert look({})["fleets"][0]["history"] == []


def test_ended_fleets_and_instances_are_listed_on_demand(launch: Runner, look: Runner, api: Api) -> None:
    fleet_id = launch(api.options())["fleet"]["fleet_id"]
    launch({"state": "absent", "tags": TAGS})

    # The fleet is deleted a moment after its last instance.
    deadline = time.monotonic() + 20
    while look({})["fleets"]:
        assert time.monotonic() < deadline
    (fleet,) = look({"include_deleted": True, "include_terminated": True})["fleets"]
    assert (fleet["fleet_id"], fleet["state"]) == (fleet_id, "deleted")
    assert [item["state"] for item in fleet["instances"]] == ["terminated"]
    (named,) = look({"fleet_ids": [fleet_id]})["fleets"]
    assert named["instances"] == []


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as stub:
        yield stub


def ask(wire: Wire, capsys: pytest.CaptureFixture[str], **args: Any) -> dict[str, Any]:
    keys = {"access_key": "AKIATEST", "secret_key": "secret", "region": "us-east-1", "endpoint_url": wire.url}
    with patch_module_args({**keys, **args}), pytest.raises(SystemExit):
        ec2_fleet_info.main()
    return json.loads(capsys.readouterr().out)


def test_pages_and_unknown_ids(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    known = xml(
        "<fleetSet><item><fleetId>fleet-1</fleetId><type>maintain</type><createTime>2026-01-01T00:00:00.000Z</createTime>"
        "</item></fleetSet>"
    )
    gone = error("InvalidFleetId.NotFound")
    wire.script("DescribeFleets", gone, gone, known)
    event = "<item><eventInformation><eventSubType>{}</eventSubType></eventInformation></item>"
    wire.script(
        "DescribeFleetHistory",
        xml(f"<historyRecordSet>{event.format('submitted')}</historyRecordSet><nextToken>more</nextToken>"),
        xml("<historyRecordSet/><nextToken>again</nextToken>"),
        xml(f"<historyRecordSet>{event.format('iamFleetRoleInvalid')}</historyRecordSet>"),
    )

    result = ask(wire, capsys, fleet_ids=["fleet-0", "fleet-1"], history=True)

    (fleet,) = result["fleets"]
    assert [item["event"] for item in fleet["history"]] == ["submitted", "iamFleetRoleInvalid"]
    assert [item["code"] for item in fleet["errors"]] == ["UnauthorizedOperation"]
    assert [call.get("NextToken") for call in wire.of("DescribeFleetHistory")] == [None, "more", "again"]


def test_denied(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    wire.script("DescribeTags", error("UnauthorizedOperation", "You are not authorized", status=403))
    assert "ec2:DescribeTags is not allowed" in ask(wire, capsys)["msg"]
