"""The fleet of an instance is found and deleted, and nothing is taken for its end that is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice.ec2 import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._self import fleet
from tests.unit.wire import DROP, Wire, error, xml

TAG = "<tagSet><item><resourceId>i-0</resourceId><key>aws:ec2:fleet-id</key><value>fleet-1</value></item></tagSet>"
GONE = "<successfulFleetDeletionSet><item><fleetId>fleet-1</fleetId></item></successfulFleetDeletionSet><unsuccessfulFleetDeletionSet/>"


def refusal(code: str) -> str:
    item = f"<item><error><code>{code}</code><message>no</message></error><fleetId>fleet-1</fleetId></item>"
    return f"<unsuccessfulFleetDeletionSet>{item}</unsuccessfulFleetDeletionSet>"


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as made:
        made.script("DescribeTags", xml(TAG))
        yield made


def test_it_is_deleted_and_the_instance_goes_on(wire: Wire, service: Any) -> None:
    wire.script("DeleteFleets", xml(GONE))
    assert fleet.delete(service, wire.url, "i-0") == "fleet-1"
    (_tags, asked), (action, params) = wire.calls
    assert (asked["Filter.1.Value.1"], asked["Filter.2.Value.1"]) == ("i-0", "aws:ec2:fleet-id")
    assert action == "DeleteFleets"
    assert (params["FleetId.1"], params["TerminateInstances"]) == ("fleet-1", "false")


@pytest.mark.parametrize("code", ["fleetIdDoesNotExist", "fleetNotInDeletableState"])
def test_one_that_is_gone_is_what_is_wanted(wire: Wire, service: Any, code: str) -> None:
    wire.script("DeleteFleets", xml(refusal(code)))
    assert fleet.delete(service, wire.url, "i-0") == "fleet-1"


def test_a_refusal_is_no_end(wire: Wire, service: Any) -> None:
    wire.script("DeleteFleets", xml(refusal("unexpectedError")), error("UnauthorizedOperation", status=403), DROP)
    with pytest.raises(fleet.FleetError, match="unexpectedError"):
        fleet.delete(service, wire.url, "i-0")
    with pytest.raises(ApiError, match="UnauthorizedOperation"):
        fleet.delete(service, wire.url, "i-0")
    with pytest.raises(ApiError):
        fleet.delete(service, wire.url, "i-0")


def test_an_instance_of_no_fleet_and_one_without_a_role(wire: Wire, service: Any) -> None:
    wire.script("DescribeTags", xml("<tagSet/>"))
    with pytest.raises(fleet.FleetError, match="does not belong to a fleet"):
        fleet.delete(service, wire.url, "i-0")
    service.answers["iam/security-credentials/"] = None
    with pytest.raises(fleet.FleetError, match="has no role"):
        fleet.delete(service, wire.url, "i-0")
