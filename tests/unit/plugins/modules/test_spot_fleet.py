"""The module as Ansible runs it: real botocore against a stub of EC2, and against the lab's API."""

from __future__ import annotations

import json
import urllib.request
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.modules import spot_fleet, spot_fleet_info
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401
from tests.unit.plugins.module_utils._spot.stub import wire  # noqa: F401
from tests.unit.wire import DROP, Reply, Wire, error, xml

ROLE = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
TAGS = {"spot:experiment": "lab", "spot:generation": "1"}
ONE, TWO = (f"sfr-00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))
PRESENT: dict[str, Any] = {
    "iam_fleet_role": ROLE,
    "launch_specifications": [{"image_id": "ami-1", "instance_type": "g5.xlarge", "subnet_id": "subnet-1"}],
    "tags": TAGS,
}


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(spot_fleet, "SystemClock", lambda: fake)
    return fake


@pytest.fixture
def fleet(wire: Wire, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    wire.script("RequestSpotFleet", xml(f"<spotFleetRequestId>{ONE}</spotFleetRequestId>"))

    def call(check: bool = False, diff: bool = False, **args: Any) -> SimpleNamespace:
        return run(spot_fleet.main, capsys, _ansible_check_mode=check, _ansible_diff=diff, **args)

    return call


def described(*items: str) -> Reply:
    return xml(f"<spotFleetRequestConfigSet>{''.join(items)}</spotFleetRequestConfigSet>")


def item(
    fleet_id: str = ONE,
    state: str = "active",
    activity: str = "fulfilled",
    tags: dict[str, str] | None = None,
    **config: Any,
) -> str:
    config = {"targetCapacity": 1, "fulfilledCapacity": 1.0, "type": "request", "iamFleetRole": ROLE, **config}
    rows = "".join(f"<{key}>{value}</{key}>" for key, value in config.items())
    tagged = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in (tags or TAGS).items())
    return (
        f"<item><spotFleetRequestId>{fleet_id}</spotFleetRequestId><spotFleetRequestState>{state}</spotFleetRequestState>"
        f"<activityStatus>{activity}</activityStatus><createTime>2026-01-01T00:00:00.000Z</createTime>"
        f"<spotFleetRequestConfig>{rows}</spotFleetRequestConfig><tagSet>{tagged}</tagSet></item>"
    )


def history(*events: tuple[str, str, str]) -> Reply:
    rows = "".join(
        f"<item><timestamp>2026-01-01T00:00:00.000Z</timestamp><eventType>{kind}</eventType><eventInformation>"
        f"<eventSubType>{code}</eventSubType><eventDescription>{text}</eventDescription></eventInformation></item>"
        for kind, code, text in events
    )
    return xml(f"<historyRecordSet>{rows}</historyRecordSet>")


def active(*ids: str) -> Reply:
    rows = "".join(f"<item><instanceId>{one}</instanceId><instanceType>g5.xlarge</instanceType></item>" for one in ids)
    return xml(f"<activeInstanceSet>{rows}</activeInstanceSet>")


def cancelled(*failed: tuple[str, str]) -> Reply:
    rows = "".join(
        f"<item><spotFleetRequestId>{one}</spotFleetRequestId><error><code>{code}</code><message>m</message></error></item>"
        for one, code in failed
    )
    return xml(f"<unsuccessfulFleetRequestSet>{rows}</unsuccessfulFleetRequestSet>")


NONE = described()
DONE = described(item())
PENDING = described(item(activity="pending_fulfillment", fulfilledCapacity=0.0))


def test_request_has_exactly_these_parameters(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE, DONE)
    wire.script("DescribeSpotFleetInstances", active("i-1"))
    done = fleet(**PRESENT)
    assert (done.rc, done.changed) == (0, True), done.msg
    assert done.spot_fleet["spot_fleet_request_id"] == ONE
    assert [one["instance_id"] for one in done.spot_fleet["instances"]] == ["i-1"]
    (request,) = wire.of("RequestSpotFleet")
    assert len(request.pop("SpotFleetRequestConfig.ClientToken")) == 40
    specification = "SpotFleetRequestConfig.LaunchSpecifications.1"
    assert request == {
        "Version": "2016-11-15",
        "SpotFleetRequestConfig.AllocationStrategy": "priceCapacityOptimized",
        "SpotFleetRequestConfig.IamFleetRole": ROLE,
        "SpotFleetRequestConfig.InstanceInterruptionBehavior": "terminate",
        "SpotFleetRequestConfig.TargetCapacity": "1",
        "SpotFleetRequestConfig.TerminateInstancesWithExpiration": "true",
        "SpotFleetRequestConfig.Type": "request",
        "SpotFleetRequestConfig.TagSpecification.1.ResourceType": "spot-fleet-request",
        "SpotFleetRequestConfig.TagSpecification.1.Tag.1.Key": "spot:experiment",
        "SpotFleetRequestConfig.TagSpecification.1.Tag.1.Value": "lab",
        "SpotFleetRequestConfig.TagSpecification.1.Tag.2.Key": "spot:generation",
        "SpotFleetRequestConfig.TagSpecification.1.Tag.2.Value": "1",
        f"{specification}.ImageId": "ami-1",
        f"{specification}.InstanceType": "g5.xlarge",
        f"{specification}.SubnetId": "subnet-1",
        f"{specification}.TagSpecificationSet.1.ResourceType": "instance",
        f"{specification}.TagSpecificationSet.1.Tag.1.Key": "spot:experiment",
        f"{specification}.TagSpecificationSet.1.Tag.1.Value": "lab",
        f"{specification}.TagSpecificationSet.1.Tag.2.Key": "spot:generation",
        f"{specification}.TagSpecificationSet.1.Tag.2.Value": "1",
    }


def test_nothing_is_asked_when_it_is_there(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", DONE)
    done = fleet(**PRESENT)
    assert (done.rc, done.changed) == (0, False)
    assert [name for name, _params in wire.calls] == ["DescribeSpotFleetRequests", "DescribeSpotFleetInstances"]


def test_check_mode_and_diff(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE)
    done = fleet(check=True, diff=True, **PRESENT)
    assert (done.changed, done.spot_fleet["spot_fleet_request_id"]) == (True, None)
    assert done.diff == {"before": {}, "after": {"type": "request", "target_capacity": 1, "instances": []}}
    assert [name for name, _params in wire.calls] == ["DescribeSpotFleetRequests"]


def test_it_waits_also_while_the_request_is_not_visible(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    unseen = error("InvalidSpotFleetRequestId.NotFound")
    wire.script("DescribeSpotFleetRequests", NONE, unseen, PENDING, DONE)
    assert fleet(**PRESENT).rc == 0
    assert clock.slept == [5, 5]


def test_without_waiting(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE)
    for more in ({"wait": False}, {"valid_from": "2099-01-01T00:00:00Z"}):
        done = fleet(**PRESENT, **more)
        assert (done.rc, done.changed, done.spot_fleet["target_capacity"]) == (0, True, 1)
    assert clock.slept == []
    assert len(wire.of("DescribeSpotFleetRequests")) == 2


def test_a_request_that_can_never_be_fulfilled_is_cancelled_at_once(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    troubled = described(item(activity="error", fulfilledCapacity=0.0))
    wire.script("DescribeSpotFleetRequests", NONE, troubled)
    wire.script("DescribeSpotFleetRequestHistory", history(("error", "iamFleetRoleInvalid", "The role is not valid")))
    done = fleet(**PRESENT)
    assert (done.rc, done.changed) == (1, True)
    assert done.msg.splitlines() == [
        f"Could not fulfil the Spot Fleet request {ONE} of experiment lab: AWS cannot fulfil it, with 0 of 1 units.",
        "What to do: the role of iam_fleet_role must exist, trust spotfleet.amazonaws.com and have the policy "
        "AmazonEC2SpotFleetTaggingRole.",
        "What AWS says:",
        "  2026-01-01T00:00:00+00:00 iamFleetRoleInvalid: The role is not valid",
        "It was cancelled, with its instances.",
    ]
    assert wire.of("CancelSpotFleetRequests") == [
        {"Version": "2016-11-15", "SpotFleetRequestId.1": ONE, "TerminateInstances": "true"}
    ]
    assert clock.slept == []


def test_quota(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE, described(item(activity="error", fulfilledCapacity=0.0)))
    wire.script("DescribeSpotFleetRequestHistory", history(("error", "spotInstanceCountLimitExceeded", "limit")))
    assert "Spot quota: G and VT L-3819A6DF" in fleet(**PRESENT).msg


def test_no_capacity_is_waited_for_until_the_time_is_over(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    troubled = described(item(activity="error", fulfilledCapacity=0.0))
    wire.script("DescribeSpotFleetRequests", NONE, PENDING, troubled)
    wire.script("DescribeSpotFleetRequestHistory", history(("error", "allLaunchSpecsTemporarilyBlacklisted", "none")))
    done = fleet(wait_timeout=12, **PRESENT)
    assert done.rc == 1
    assert clock.slept == [5, 5, 2]
    assert "not fulfilled after 12 s" in done.msg and "use more instance types or zones" in done.msg
    assert len(wire.of("CancelSpotFleetRequests")) == 1


def test_a_cancel_that_fails_is_told(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE, PENDING)
    wire.script("CancelSpotFleetRequests", cancelled((ONE, "unexpectedError")))
    assert f"It could not be cancelled: {ONE}: unexpectedError: m" in fleet(wait_timeout=0, **PRESENT).msg


def test_someone_cancels_it_meanwhile(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE, described(item(state="cancelled_terminating")))
    assert "it is cancelled_terminating" in fleet(**PRESENT).msg


def test_lost_answer_repeats_the_request_with_its_token(wire: Wire, fleet: Any) -> None:  # noqa: F811
    made = xml(f"<spotFleetRequestId>{ONE}</spotFleetRequestId>")
    wire.script("RequestSpotFleet", DROP, error("InternalError", status=500), made)
    wire.script("DescribeSpotFleetRequests", NONE, DONE)
    assert fleet(**PRESENT).rc == 0
    calls = wire.of("RequestSpotFleet")
    assert len(calls) == 3 and calls[0] == calls[1] == calls[2]


def test_after_a_cancelled_request_the_token_is_another(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE, DONE, described(item(state="cancelled")), DONE)
    fleet(**PRESENT)
    fleet(**PRESENT)
    first, second = wire.of("RequestSpotFleet")
    key = "SpotFleetRequestConfig.ClientToken"
    assert first.pop(key) != second.pop(key)
    assert first == second


def test_capacity_is_changed(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    maintained = {"type": "maintain", "excessCapacityTerminationPolicy": "noTermination"}
    wire.script(
        "DescribeSpotFleetRequests",
        described(item(**maintained)),
        described(item(state="modifying", **maintained)),
        described(item(**maintained, targetCapacity=3, fulfilledCapacity=3.0)),
    )
    wire.script("DescribeSpotFleetInstances", active("i-1"), active("i-1", "i-2", "i-3"))
    done = fleet(diff=True, type="maintain", target_capacity=3, **PRESENT)
    assert (done.rc, done.changed, done.spot_fleet["target_capacity"]) == (0, True, 3), done.msg
    assert wire.of("ModifySpotFleetRequest") == [
        {
            "Version": "2016-11-15",
            "SpotFleetRequestId": ONE,
            "TargetCapacity": "3",
            "ExcessCapacityTerminationPolicy": "noTermination",
        }
    ]
    assert (done.diff["before"]["target_capacity"], done.diff["after"]["target_capacity"]) == (1, 3)


def test_change_is_predicted(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item(type="maintain")))
    done = fleet(check=True, diff=True, type="maintain", target_capacity=3, **PRESENT)
    assert (done.changed, done.diff["after"]["target_capacity"]) == (True, 3)
    assert wire.of("ModifySpotFleetRequest") == []


def test_change_of_one_that_is_being_changed_waits(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    busy, free = (described(item(type="maintain", state=state)) for state in ("modifying", "active"))
    wire.script("DescribeSpotFleetRequests", busy, free)
    done = fleet(type="maintain", target_capacity=3, wait=False, **PRESENT)
    assert (done.rc, clock.slept) == (0, [5])
    wire.script("DescribeSpotFleetRequests", busy)
    assert "is modifying, so it cannot be changed" in fleet(type="maintain", target_capacity=3, **PRESENT).msg


@pytest.mark.parametrize("check", [True, False])
def test_a_request_of_type_request_cannot_be_changed(wire: Wire, fleet: Any, check: bool) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", DONE)
    done = fleet(check=check, target_capacity=2, **PRESENT)
    assert (done.rc, done.changed) == (1, False)
    assert "is not of type maintain" in done.msg and "spot:generation" in done.msg
    assert wire.of("ModifySpotFleetRequest") == []


def test_what_cannot_be_changed_is_a_warning(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item(allocationStrategy="lowestPrice"), item(TWO)))
    done = fleet(**PRESENT)
    assert (done.rc, done.changed) == (0, False)
    assert any("allocation_strategy is lowestPrice" in str(line) for line in done.warnings)
    assert any(TWO in str(line) for line in done.warnings)


def test_an_old_request_that_lost_its_instances_is_not_waited_for(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", PENDING)
    done = fleet(**PRESENT)
    assert (done.rc, done.changed, clock.slept) == (0, False, [])
    assert done.spot_fleet["fulfilled_capacity"] == 0


def test_one_that_is_maintained_is_waited_for_and_stays(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    wire.script(
        "DescribeSpotFleetRequests",
        described(item(type="maintain", activity="pending_fulfillment", fulfilledCapacity=0.0)),
    )
    done = fleet(type="maintain", wait_timeout=5, **PRESENT)
    assert (done.rc, done.changed, clock.slept) == (1, False, [5])
    assert "It stays as it is; state absent removes it." in done.msg
    assert wire.of("CancelSpotFleetRequests") == []


def test_absent(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    there = described(item(), item(TWO, tags={**TAGS, "spot:generation": "2"}))
    leaving = described(item(state="cancelled_terminating"), item(TWO, state="cancelled"))
    wire.script("DescribeSpotFleetRequests", there)
    wire.script("DescribeSpotFleetInstances", active("i-1"))
    options = {"state": "absent", "tags": {"spot:experiment": "lab"}}
    predicted = fleet(check=True, **options)
    assert wire.of("CancelSpotFleetRequests") == []
    wire.script("DescribeSpotFleetRequests", there, leaving, described())
    done = fleet(diff=True, **options)
    assert (done.rc, done.changed, done.cancelled, done.left_running) == (0, True, [ONE, TWO], [])
    assert (predicted.changed, predicted.cancelled, predicted.terminated) == (True, done.cancelled, done.terminated)
    assert done.diff["before"]["spot_fleet_requests"] == [ONE, TWO]
    (request,) = wire.of("CancelSpotFleetRequests")
    assert (request["SpotFleetRequestId.2"], request["TerminateInstances"]) == (TWO, "true")
    assert clock.slept == [5]
    wire.script("DescribeSpotFleetRequests", leaving)
    again = fleet(wait=False, **options)
    assert (again.changed, len(wire.of("CancelSpotFleetRequests"))) == (False, 1)


def test_absent_without_ending_instances(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item()))
    wire.script("DescribeSpotFleetInstances", active("i-1"))
    done = fleet(state="absent", terminate_instances=False, tags=TAGS)
    assert (done.cancelled, done.terminated, done.left_running) == ([ONE], [], ["i-1"])
    assert wire.of("CancelSpotFleetRequests")[0]["TerminateInstances"] == "false"


def test_absent_ends_what_a_cancelled_request_has_left(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script(
        "DescribeSpotFleetRequests", described(item(state="cancelled_running")), described(item(state="cancelled"))
    )
    wire.script("DescribeSpotFleetInstances", active("i-1"))
    done = fleet(state="absent", tags=TAGS)
    assert (done.rc, done.changed, done.cancelled, done.terminated) == (0, True, [], ["i-1"])
    assert wire.of("TerminateInstances") == [{"Version": "2016-11-15", "InstanceId.1": "i-1"}]
    assert wire.of("CancelSpotFleetRequests") == []


@pytest.mark.slow
def test_absent_names_what_could_not_be_cancelled(wire: Wire, fleet: Any) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item(), item(TWO)))
    wire.script("CancelSpotFleetRequests", cancelled((ONE, "unexpectedError"), (TWO, "fleetRequestIdDoesNotExist")))
    done = fleet(state="absent", tags=TAGS)
    assert done.msg == f"Could not cancel these Spot Fleet requests: {ONE}: unexpectedError: m"


def test_absent_by_id_leaves_others_alone(wire: Wire, fleet: Any) -> None:  # noqa: F811
    foreign = item(TWO, tags={"a": "b"})
    wire.script("DescribeSpotFleetRequests", described(foreign, item(tags={"spot:experiment": "x"})), described())
    done = fleet(state="absent", tags=TAGS, spot_fleet_request_ids=[TWO])
    assert done.cancelled == [TWO]


def test_instances_that_do_not_end(wire: Wire, fleet: Any, clock: FakeClock) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", described(item()), described(item(state="cancelled_terminating")))
    done = fleet(state="absent", tags=TAGS, wait_timeout=10)
    assert (done.rc, done.changed, clock.slept) == (1, True, [5, 5])
    assert "still have instances after 10 s" in done.msg


def test_all_mistakes_at_once_before_any_call(wire: Wire, fleet: Any) -> None:  # noqa: F811
    done = fleet(
        launch_specifications=[{"ImageId": 5, "Foo": 1, "InstanceType": "g5", "UserData": "echo hello"}],
        tags={},
        target_capacity=0,
        max_price=0,
        valid_until="2020-01-01T00:00:00Z",
    )
    assert (done.rc, done.changed) == (1, False)
    for part in (
        "Invalid options: tags: the tag spot:experiment is missing",
        "tags: the tag spot:generation is missing",
        "iam_fleet_role is missing; it looks like arn:aws:iam::",
        "launch_specifications[0]: InstanceType: 'g5'",
        "launch_specifications[0]: UserData (user_data) is neither",
        'Unknown parameter in LaunchSpecifications[0]: "Foo"',
        "target_capacity: 0",
        "max_price: 0.0",
        "valid_until: 2020-01-01T00:00:00Z is not after now",
        "Invalid type for parameter LaunchSpecifications[0].ImageId",
    ):
        assert part in done.msg, done.msg
    assert wire.calls == []


@pytest.mark.parametrize(
    ("refusal", "parts"),
    [
        (error("UnauthorizedOperation", "is not authorized to perform: iam:PassRole on resource x", 403),
         ["call ec2:RequestSpotFleet", "iam:PassRole is not allowed"]),
        (error("MaxSpotFleetRequestCountExceeded", "too many"), ["delete old Spot Fleet requests"]),
        (error("InvalidSpotFleetRequestConfig", "Parameter: SpotFleetRequestConfig.IamFleetRole is invalid."),
         ["IamFleetRole is invalid"]),
    ],
)  # fmt: skip
def test_refusals(wire: Wire, fleet: Any, refusal: Reply, parts: list[str]) -> None:  # noqa: F811
    wire.script("DescribeSpotFleetRequests", NONE)
    wire.script("RequestSpotFleet", refusal)
    done = fleet(**PRESENT)
    assert done.rc == 1
    assert all(part in done.msg for part in parts), done.msg
    assert len(wire.of("RequestSpotFleet")) == 1


# The lab


TRUST = '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "%s"}, "Action": "sts:AssumeRole"}]}'


@pytest.fixture
def lab(aws: Aws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """Run the module against the lab, with a role; polls are quick."""
    monkeypatch.setattr("ansible_collections.experiments.spot.plugins.module_utils._spot.spot_fleet.POLL_S", 0.1)
    role("aws-ec2-spot-fleet-tagging-role", "spotfleet.amazonaws.com")
    subnets = {one["AvailabilityZone"]: one["SubnetId"] for one in aws.ec2.describe_subnets()["Subnets"]}
    specification = {"image_id": aws.image(), "instance_type": "t3.medium", "subnet_id": subnets["us-east-1a"]}

    def call(**args: Any) -> SimpleNamespace:
        defaults = {**PRESENT, "launch_specifications": [specification], "wait_timeout": 60}
        if args.get("state") == "absent":
            defaults = {"tags": TAGS, "wait_timeout": 60}
        return run(spot_fleet.main, capsys, **{**defaults, **args})

    return call


def role(name: str, service: str) -> None:
    boto3.client("iam", region_name="us-east-1").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST % service)


def info(capsys: pytest.CaptureFixture[str], **args: Any) -> list[dict[str, Any]]:
    done = run(spot_fleet_info.main, capsys, **args)
    assert done.rc == 0, done.msg
    return done.spot_fleets


@pytest.mark.slow
def test_lab_request_repeat_and_remove(aws: Aws, lab: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    first = lab(target_capacity=2)
    assert (first.rc, first.changed) == (0, True), first.msg
    assert len(first.spot_fleet["instances"]) == 2
    assert {one["zone"] for one in first.spot_fleet["instances"]} == {"us-east-1a"}
    assert {one["lifecycle"] for one in first.spot_fleet["instances"]} == {"spot"}
    assert len(aws.instances()) == 2, "instances have the tags"
    second = lab(target_capacity=2)
    assert (second.rc, second.changed) == (0, False)
    assert second.spot_fleet["spot_fleet_request_id"] == first.spot_fleet["spot_fleet_request_id"]
    (seen,) = info(capsys, experiment="lab", history=True)
    assert [one["instance_id"] for one in seen["instances"]] == [
        one["instance_id"] for one in first.spot_fleet["instances"]
    ]
    assert "launched" in [one["code"] for one in seen["history"]]
    removed = lab(state="absent")
    assert (removed.rc, removed.changed, len(removed.terminated)) == (0, True, 2), removed.msg
    assert {one["State"]["Name"] for one in aws.instances()} == {"terminated"}
    assert lab(state="absent").changed is False
    assert info(capsys, experiment="lab") == []
    assert len(info(capsys, experiment="lab", include_over=True)) == 1
    again = lab()
    assert again.spot_fleet["spot_fleet_request_id"] != first.spot_fleet["spot_fleet_request_id"]


@pytest.mark.slow
def test_lab_maintain_up_and_down(aws: Aws, lab: Any) -> None:  # noqa: F811
    made = lab(type="maintain")
    assert (made.rc, made.spot_fleet["type"]) == (0, "maintain"), made.msg
    more = lab(type="maintain", target_capacity=3)
    assert (more.rc, more.changed, len(more.spot_fleet["instances"])) == (0, True, 3), more.msg
    less = lab(type="maintain", target_capacity=0)
    assert (less.rc, less.changed, less.spot_fleet["target_capacity"]) == (0, True, 0), less.msg
    assert lab(state="absent").rc == 0


def test_lab_cancel_without_ending_instances_and_then_with(aws: Aws, lab: Any) -> None:  # noqa: F811
    lab()
    kept = lab(state="absent", terminate_instances=False)
    assert (kept.rc, len(kept.left_running)) == (0, 1)
    assert [one["State"]["Name"] for one in aws.instances()] == ["running"]
    ended = lab(state="absent")
    assert (ended.rc, ended.terminated) == (0, kept.left_running), ended.msg


def test_lab_role_that_does_not_trust_spot_fleet(aws: Aws, lab: Any) -> None:  # noqa: F811
    role("wrong", "ec2.amazonaws.com")
    done = lab(iam_fleet_role="arn:aws:iam::123456789012:role/wrong", wait_timeout=30)
    assert done.rc == 1
    assert "iamFleetRoleInvalid" in done.msg and "It was cancelled" in done.msg
    assert "IamFleetRole is invalid" in lab(iam_fleet_role="arn:aws:iam::123456789012:role/nobody").msg
    assert aws.instances() == []


@pytest.mark.slow
def test_lab_no_capacity_leaves_nothing(aws: Aws, lab: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    body = json.dumps({"count": 0}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{aws.url}/lab/capacity", data=body), timeout=30).close()
    done = lab(wait_timeout=2)
    assert done.rc == 1
    assert "not fulfilled after 2 s" in done.msg
    assert aws.instances() == []
    assert info(capsys, experiment="lab") == []
