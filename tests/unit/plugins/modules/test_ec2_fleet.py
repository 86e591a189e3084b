"""The module as Ansible runs it, with real botocore against a stub of the EC2 endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.experiments.spot.plugins.modules import ec2_fleet
from tests.unit.wire import DROP, Reply, Wire, error, printed, xml

TAGS = {"Name": "mnist", "spot:experiment": "mnist", "spot:generation": "1"}
POOLS = [
    {"instance_type": "g5.xlarge", "subnet_id": "subnet-1", "availability_zone": "us-east-1a"},
    {"instance_type": "g4dn.xlarge", "subnet_id": "subnet-2", "availability_zone": "us-east-1b"},
]
PRESENT: dict[str, Any] = {
    "launch_template": {"name": "spot-mnist-1", "version": "1"},
    "overrides": POOLS,
    "tags": TAGS,
    "region": "us-east-1",
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


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(ec2_fleet, "SystemClock", lambda: fake)
    return fake


class Module:
    """Runs the module's main and returns what it prints."""

    def __init__(self, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
        self.wire = wire
        self.capsys = capsys

    def __call__(self, check: bool = False, diff: bool = False, **args: Any) -> dict[str, Any]:
        args = {"endpoint_url": self.wire.url, "_ansible_check_mode": check, "_ansible_diff": diff, **args}
        with patch_module_args(args), pytest.raises(SystemExit):
            ec2_fleet.main()
        return printed(self.capsys)


@pytest.fixture
def run(wire: Wire, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> Module:
    return Module(wire, capsys)


def instances(*items: tuple[str, str, str], state: str = "running") -> Reply:
    """An answer of DescribeInstances: (id, type, zone) each."""
    rows = "".join(
        f"<item><instanceId>{name}</instanceId><instanceType>{kind}</instanceType><instanceLifecycle>spot"
        f"</instanceLifecycle><instanceState><name>{state}</name></instanceState><subnetId>subnet-1</subnetId>"
        f"<placement><availabilityZone>{zone}</availabilityZone></placement>"
        "<launchTime>2026-01-01T00:00:00.000Z</launchTime></item>"
        for name, kind, zone in items
    )
    return xml(
        f"<reservationSet><item><instancesSet>{rows}</instancesSet></item></reservationSet>"
        if rows
        else "<reservationSet/>"
    )


def fleet(*ids: str, errors: tuple[tuple[str, str, str, str], ...] = ()) -> Reply:
    """An answer of CreateFleet: instance ids, and (type, subnet, code, message) for each error."""
    launched = "".join(f"<item>{name}</item>" for name in ids)
    group = (
        "<item><instanceType>g5.xlarge</instanceType><lifecycle>spot</lifecycle>"
        f"<instanceIds>{launched}</instanceIds></item>"
    )
    refused = "".join(
        f"<item><errorCode>{code}</errorCode><errorMessage>{message}</errorMessage><launchTemplateAndOverrides>"
        f"<overrides><instanceType>{kind}</instanceType><subnetId>{subnet}</subnetId></overrides>"
        "</launchTemplateAndOverrides></item>"
        for kind, subnet, code, message in errors
    )
    body = f"<fleetInstanceSet>{group if ids else ''}</fleetInstanceSet><errorSet>{refused}</errorSet>"
    return xml(f"<fleetId>fleet-1</fleetId>{body}")


NOTHING = instances()
ONE = instances(("i-1", "g5.xlarge", "us-east-1a"))
NO_CAPACITY_1 = ("g5.xlarge", "subnet-1", "InsufficientInstanceCapacity", "none left")
NO_CAPACITY_2 = ("g4dn.xlarge", "subnet-2", "InsufficientInstanceCapacity", "none left")


def test_request_has_exactly_these_parameters(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", fleet("i-1"))

    result = run(**PRESENT)

    (request,) = wire.of("CreateFleet")
    token = request.pop("ClientToken")
    assert re.fullmatch(r"[a-z2-7]{40}", token)
    assert request == {
        "Version": "2016-11-15",
        "Type": "instant",
        "SpotOptions.AllocationStrategy": "price-capacity-optimized",
        "SpotOptions.InstanceInterruptionBehavior": "terminate",
        "TargetCapacitySpecification.TotalTargetCapacity": "1",
        "TargetCapacitySpecification.DefaultTargetCapacityType": "spot",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName": "spot-mnist-1",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version": "1",
        "LaunchTemplateConfigs.1.Overrides.1.InstanceType": "g4dn.xlarge",
        "LaunchTemplateConfigs.1.Overrides.1.SubnetId": "subnet-2",
        "LaunchTemplateConfigs.1.Overrides.2.InstanceType": "g5.xlarge",
        "LaunchTemplateConfigs.1.Overrides.2.SubnetId": "subnet-1",
        "TagSpecification.1.ResourceType": "fleet",
        "TagSpecification.1.Tag.1.Key": "Name",
        "TagSpecification.1.Tag.1.Value": "mnist",
        "TagSpecification.1.Tag.2.Key": "spot:experiment",
        "TagSpecification.1.Tag.2.Value": "mnist",
        "TagSpecification.1.Tag.3.Key": "spot:generation",
        "TagSpecification.1.Tag.3.Value": "1",
        "TagSpecification.2.ResourceType": "instance",
        "TagSpecification.2.Tag.1.Key": "Name",
        "TagSpecification.2.Tag.1.Value": "mnist",
        "TagSpecification.2.Tag.2.Key": "spot:experiment",
        "TagSpecification.2.Tag.2.Value": "mnist",
        "TagSpecification.2.Tag.3.Key": "spot:generation",
        "TagSpecification.2.Tag.3.Value": "1",
    }
    assert result["changed"] is True
    assert result["fleet"]["fleet_id"] == "fleet-1"
    assert result["fleet"]["launched"] == ["i-1"]
    assert result["fleet"]["missing"] == 0
    assert result["fleet"]["instances"] == [
        {
            "instance_id": "i-1",
            "instance_type": "g5.xlarge",
            "zone": "us-east-1a",
            "lifecycle": "spot",
            "subnet_id": "subnet-1",
            "state": "running",
            "rank": None,
        }
    ]


def test_enough_instances_change_nothing(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", ONE)

    result = run(diff=True, **PRESENT)

    assert result["changed"] is False
    assert result["fleet"]["errors"] == []
    assert result["diff"]["before"] == result["diff"]["after"] == {"instances": ["i-1 g5.xlarge us-east-1a"]}
    assert [action for action, _params in wire.calls] == ["DescribeInstances"]


def test_identity_is_experiment_and_generation_of_live_instances(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", ONE)
    run(**PRESENT)

    (params,) = wire.of("DescribeInstances")
    filters = {params[f"Filter.{n}.Name"]: params[f"Filter.{n}.Value.1"] for n in (1, 2, 3)}
    assert filters == {
        "tag:spot:experiment": "mnist",
        "tag:spot:generation": "1",
        "instance-state-name": "pending",
    }


def test_only_the_missing_ones_are_asked_for(run: Module, wire: Wire) -> None:
    wire.script(
        "DescribeInstances", ONE, instances(("i-1", "g5.xlarge", "us-east-1a"), ("i-2", "g5.xlarge", "us-east-1a"))
    )
    wire.script("CreateFleet", fleet("i-2"))

    result = run(target_capacity=2, **PRESENT)

    assert wire.of("CreateFleet")[0]["TargetCapacitySpecification.TotalTargetCapacity"] == "1"
    assert [item["instance_id"] for item in result["fleet"]["instances"]] == ["i-1", "i-2"]
    assert result["fleet"]["launched"] == ["i-2"]


def test_check_mode_predicts_and_sends_nothing(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)

    result = run(check=True, diff=True, target_capacity=3, **PRESENT)

    assert result["changed"] is True
    assert result["fleet"]["missing"] == 3
    assert result["fleet"]["pools"] == ["g5.xlarge in us-east-1a (subnet-1)", "g4dn.xlarge in us-east-1b (subnet-2)"]
    assert result["diff"] == {"before": {"instances": []}, "after": {"instances": [], "to_launch": 3}}
    assert wire.of("CreateFleet") == []


def test_no_capacity_as_http_500_is_sent_once_and_never_repeated_by_botocore(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", error("InsufficientInstanceCapacity", "none left", status=500))

    result = run(wait=False, **PRESENT)

    assert result["failed"] is True
    assert len(wire.of("CreateFleet")) == 1


def test_refused_pool_is_left_out_of_the_next_request(run: Module, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeInstances", NOTHING, NOTHING, instances(("i-2", "g4dn.xlarge", "us-east-1b")))
    wire.script("CreateFleet", fleet(errors=(NO_CAPACITY_1,)), fleet("i-2"))

    result = run(**PRESENT)

    first, second = wire.of("CreateFleet")
    assert "LaunchTemplateConfigs.1.Overrides.2.InstanceType" in first
    assert second["LaunchTemplateConfigs.1.Overrides.1.InstanceType"] == "g4dn.xlarge"
    assert "LaunchTemplateConfigs.1.Overrides.2.InstanceType" not in second
    assert first["ClientToken"] != second["ClientToken"]
    assert clock.slept == []
    assert [item["pool"] for item in result["fleet"]["errors"]] == ["g5.xlarge in us-east-1a (subnet-1)"]


def test_pools_are_asked_again_after_the_cooldown(run: Module, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeInstances", NOTHING, NOTHING, NOTHING, ONE)
    wire.script("CreateFleet", fleet(errors=(NO_CAPACITY_1, NO_CAPACITY_2)), fleet("i-1"))

    result = run(wait_timeout=300, cooldown=60, **PRESENT)

    assert result["changed"] is True
    assert clock.slept == [60]


def test_no_capacity_at_all_gives_one_error_with_a_table(run: Module, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", fleet(errors=(NO_CAPACITY_1, NO_CAPACITY_2)))

    result = run(wait_timeout=90, cooldown=60, **PRESENT)

    assert result["failed"] is True
    assert result["changed"] is False
    assert result["fleet"]["instances"] == []
    assert result["msg"] == (
        "Could not launch 1 of 1 spot instance of experiment mnist: no pool gave enough capacity (3 requests in 90 s).\n"
        "What to do: use more instance types or zones, or try again in some minutes.\n"
        "Refusals (pool -> code: message):\n"
        "  g4dn.xlarge in us-east-1b (subnet-2) -> InsufficientInstanceCapacity: none left\n"
        "  g5.xlarge in us-east-1a (subnet-1)   -> InsufficientInstanceCapacity: none left\n"
        "Nothing new is left running."
    )
    assert clock.slept == [60, 30]
    assert wire.of("TerminateInstances") == []


def test_quota_comes_first_names_its_code_and_is_not_waited_for(run: Module, wire: Wire, clock: FakeClock) -> None:
    quota = ("g4dn.xlarge", "subnet-2", "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    other = ("g5.xlarge", "subnet-1", "Unsupported", "not offered in us-east-1a")
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", fleet(errors=(other, quota)))

    result = run(**PRESENT)

    lines = result["msg"].splitlines()
    assert "Spot quota: G and VT L-3819A6DF" in lines[1]
    assert "MaxSpotInstanceCountExceeded" in lines[3]
    assert "Unsupported" in lines[4]
    assert clock.slept == []
    assert len(wire.of("CreateFleet")) == 1


@pytest.mark.parametrize(
    "case",
    [
        ("InvalidAMIID.NotFound", "The image id does not exist", "check the id and the region"),
        ("UnfulfillableCapacity", "lacks a service-linked role", "aws iam create-service-linked-role"),
    ],
)
def test_fatal_code_inside_http_200_stops_at_once(
    run: Module, wire: Wire, clock: FakeClock, case: tuple[str, str, str]
) -> None:
    code, message, hint = case
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", fleet(errors=(("g5.xlarge", "subnet-1", code, message),)))

    result = run(**PRESENT)

    assert result["failed"] is True
    assert code in result["msg"].splitlines()[0]
    assert hint in result["msg"].splitlines()[1]
    assert len(wire.of("CreateFleet")) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("message", "denied"),
    [
        ("User: arn:aws:iam::1:user/bob is not authorized to perform: iam:PassRole on x", "iam:PassRole is not"),
        ("You are not authorized to perform this operation.", "one of ec2:RunInstances, ec2:CreateTags, iam:PassRole"),
    ],
)
def test_denied_inside_http_200_names_the_action(run: Module, wire: Wire, message: str, denied: str) -> None:
    error = ("g5.xlarge", "subnet-1", "UnauthorizedOperation", f"{message} Encoded authorization failure message: XyZ")
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", fleet(errors=(error,)))

    result = run(**PRESENT)

    assert denied in result["msg"].splitlines()[0]
    assert "XyZ" not in str(result)
    assert len(wire.of("CreateFleet")) == 1


@pytest.mark.parametrize("lost", [DROP, error("InternalError", status=500), error("NeverSeen", status=502)])
def test_unknown_outcome_repeats_the_same_request_with_the_same_token(run: Module, wire: Wire, lost: Reply) -> None:
    wire.script("DescribeInstances", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, ONE)
    wire.script("CreateFleet", lost, lost, fleet("i-1"))

    result = run(**PRESENT)

    calls = wire.of("CreateFleet")
    assert len(calls) == 3
    assert calls[0] == calls[1] == calls[2]
    assert result["fleet"]["launched"] == ["i-1"]


def test_unknown_outcome_looks_by_tag_before_asking_again(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", DROP)

    result = run(**PRESENT)

    assert len(wire.of("CreateFleet")) == 1
    assert result["changed"] is True
    assert result["fleet"]["launched"] == ["i-1"]


def test_throttling_backs_off_with_the_same_token_and_gives_up_in_the_end(
    run: Module, wire: Wire, clock: FakeClock
) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", error("RequestLimitExceeded", "Request limit exceeded.", status=503))

    result = run(**PRESENT)

    assert clock.slept == [1, 2, 4, 8, 16]
    assert len({params["ClientToken"] for params in wire.of("CreateFleet")}) == 1
    assert "the outcome is not known" in result["msg"]
    assert "repeat the same command" in result["msg"]


def test_dead_fleet_of_the_token_gives_a_new_token(run: Module, wire: Wire, clock: FakeClock) -> None:
    dead = instances(("i-old", "g5.xlarge", "us-east-1a"), state="terminated")
    wire.script("DescribeInstances", NOTHING, dead, NOTHING, NOTHING, ONE, ONE)
    wire.script("CreateFleet", fleet("i-old"), fleet("i-1"))

    result = run(**PRESENT)

    first, second = wire.of("CreateFleet")
    assert first.pop("ClientToken") != second.pop("ClientToken")
    assert first == second
    assert clock.slept == []
    assert [item["instance_id"] for item in result["fleet"]["instances"]] == ["i-1"]


def test_idempotent_parameter_mismatch_gives_a_new_token(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, NOTHING, ONE)
    wire.script("CreateFleet", error("IdempotentParameterMismatch"), fleet("i-1"))

    run(client_token="mine", **PRESENT)

    assert [params["ClientToken"] for params in wire.of("CreateFleet")] == ["mine", "mine-1"]


def test_old_refusal_repeated_by_aws_for_the_token_is_not_believed(run: Module, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeInstances", NOTHING, NOTHING, ONE)
    wire.script("CreateFleet", fleet(errors=(NO_CAPACITY_1, NO_CAPACITY_2)), fleet("i-1"))
    wire.script(
        "DescribeFleets",
        xml(
            "<fleetSet><item><fleetId>fleet-1</fleetId><createTime>2020-01-01T00:00:00.000Z</createTime></item></fleetSet>"
        ),
    )

    result = run(**PRESENT)

    assert clock.slept == []
    assert result["fleet"]["errors"] == []
    assert len(wire.of("CreateFleet")) == 2


def test_failed_launch_takes_back_what_it_started(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", fleet("i-1", errors=(NO_CAPACITY_1, NO_CAPACITY_2)))

    result = run(wait=False, target_capacity=2, **PRESENT)

    assert result["failed"] is True
    assert wire.of("TerminateInstances") == [{"Version": "2016-11-15", "InstanceId.1": "i-1"}]
    assert "Could not launch 1 of 2" in result["msg"]
    assert "1 launched instances were terminated" in result["msg"]
    assert result["fleet"]["terminated"] == ["i-1"]
    assert result["fleet"]["instances"] == []


@pytest.mark.parametrize("option", [{"all_or_nothing": False}, {"min_target_capacity": 1}])
def test_partial_success_is_kept_when_it_is_enough(run: Module, wire: Wire, option: dict[str, Any]) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", fleet("i-1", errors=(NO_CAPACITY_1, NO_CAPACITY_2)))

    result = run(wait=False, target_capacity=2, **option, **PRESENT)

    assert result["changed"] is True
    assert result["fleet"]["missing"] == 1
    assert "only 1 of 2 units" in str(result["warnings"])
    assert wire.of("TerminateInstances") == []


def test_gang_launch_lets_aws_enforce_the_minimum(run: Module, wire: Wire) -> None:
    both = instances(("i-1", "g5.xlarge", "us-east-1a"), ("i-2", "g5.xlarge", "us-east-1a"))
    wire.script("DescribeInstances", NOTHING, both)
    wire.script("CreateFleet", fleet("i-1", "i-2"))

    run(target_capacity=2, single_availability_zone=True, **PRESENT)

    (request,) = wire.of("CreateFleet")
    assert request["SpotOptions.SingleAvailabilityZone"] == "true"
    assert request["SpotOptions.MinTargetCapacity"] == "2"


def test_on_demand_request(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", fleet("i-1"))

    run(default_target_capacity_type="on-demand", max_total_price=1.5, **PRESENT)

    (request,) = wire.of("CreateFleet")
    assert request["OnDemandOptions.AllocationStrategy"] == "lowest-price"
    assert request["OnDemandOptions.MaxTotalPrice"] == "1.5"
    assert not [key for key in request if key.startswith("SpotOptions")]


TWO = instances(("i-1", "g5.xlarge", "us-east-1a"), ("i-2", "g5.xlarge", "us-east-1a"))


def tagged(wire: Wire) -> list[tuple[str, str, str, str]]:
    names = ("ResourceId.1", "ResourceId.2", "Tag.1.Key", "Tag.1.Value")
    return [tuple(call[name] for name in names) for call in wire.of("CreateTags")]  # type: ignore[misc]


def test_instances_are_numbered_all_with_one_call(run: Module, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeInstances", NOTHING, TWO)
    wire.script("CreateFleet", fleet("i-1", "i-2"))
    wire.script("CreateTags", error("InvalidInstanceID.NotFound"), xml("<return>true</return>"))

    result = run(target_capacity=2, index_tag="spot:rank", diff=True, **PRESENT)

    # One of them was not known yet at first.
    assert tagged(wire) == [("i-1", "i-2", "spot:rank", "0=i-1.i-2")] * 2
    assert clock.slept == [1]
    assert [item["rank"] for item in result["fleet"]["instances"]] == [0, 1]
    assert result["diff"]["after"]["instances"][1] == "i-2 g5.xlarge us-east-1a rank 1"


def test_only_instance_has_its_number_from_the_start(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", fleet("i-1"))

    run(index_tag="spot:rank", **PRESENT)

    (request,) = wire.of("CreateFleet")
    assert request["TagSpecification.2.Tag.4.Key"] == "spot:rank"
    assert request["TagSpecification.2.Tag.4.Value"] == "0"


def test_number_that_cannot_be_written_fails_and_leaves_the_instances(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, TWO)
    wire.script("CreateFleet", fleet("i-1", "i-2"))
    wire.script("CreateTags", error("UnauthorizedOperation", "You are not authorized", status=403))

    result = run(target_capacity=2, index_tag="spot:rank", **PRESENT)

    assert result["failed"] is True
    assert result["changed"] is True
    assert "ec2:CreateTags is not allowed" in result["msg"]
    assert result["fleet"]["launched"] == ["i-1", "i-2"]
    assert wire.of("TerminateInstances") == []


def test_missing_numbers_are_predicted_then_written_though_nothing_is_launched(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", TWO)

    predicted = run(check=True, target_capacity=2, index_tag="spot:rank", **PRESENT)
    assert wire.of("CreateTags") == []
    result = run(target_capacity=2, index_tag="spot:rank", **PRESENT)

    assert predicted == result
    assert result["changed"] is True
    assert len(wire.of("CreateTags")) == 1
    assert wire.of("CreateFleet") == []


def test_a_launch_looks_once_before_and_once_after(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateFleet", fleet("i-1"))
    run(**PRESENT)
    assert [action for action, _params in wire.calls] == ["DescribeInstances", "CreateFleet", "DescribeInstances"]


def test_what_the_caller_has_just_seen_is_not_looked_at_again(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", ONE)
    wire.script("CreateFleet", fleet("i-1"))
    result = run(assume_absent=True, **PRESENT)
    assert [action for action, _params in wire.calls] == ["CreateFleet", "DescribeInstances"]
    assert result["fleet"]["launched"] == ["i-1"]


def test_what_was_launched_first_counts_though_its_tags_lag_behind(run: Module, wire: Wire) -> None:
    """Two requests, a base and Spot; after the second the first instance is shown by its id alone."""
    one, two = instances(("i-1", "g5.xlarge", "us-east-1a")), instances(("i-2", "g5.xlarge", "us-east-1a"))
    wire.script("DescribeInstances", NOTHING, NOTHING, one, two, two, one)
    wire.script("CreateFleet", fleet("i-1"), fleet("i-2"))
    result = run(target_capacity=2, on_demand_target_capacity=1, **PRESENT)
    assert [item["instance_id"] for item in result["fleet"]["instances"]] == ["i-2", "i-1"]
    assert len(wire.of("CreateFleet")) == 2


def test_check_mode_looks_whatever_the_caller_has_seen(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", ONE)
    assert run(check=True, assume_absent=True, **PRESENT)["changed"] is False


def test_what_another_run_has_launched_meanwhile_is_found_right_after_and_ours_taken_back(
    run: Module, wire: Wire
) -> None:
    wire.script("DescribeInstances", TWO)
    wire.script("CreateFleet", fleet("i-2"))
    result = run(assume_absent=True, **PRESENT)
    assert [item["instance_id"] for item in result["fleet"]["instances"]] == ["i-1"]
    assert [call["InstanceId.1"] for call in wire.of("TerminateInstances")] == ["i-2"]


TEMPLATE = {"name": "spot-mnist-1", "version": "1", "data": {"ImageId": "ami-1", "SecurityGroupIds": ["sg-1"]}}
EXISTS = error("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")


@pytest.mark.parametrize("answer", [xml("<launchTemplate/>"), EXISTS])
def test_template_is_made_where_capacity_is_missing_or_that_of_another_run_used(
    run: Module, wire: Wire, answer: Reply
) -> None:
    wire.script("DescribeInstances", NOTHING, ONE)
    wire.script("CreateLaunchTemplate", answer)
    wire.script("CreateFleet", fleet("i-1"))
    result = run(**{**PRESENT, "launch_template": TEMPLATE})
    assert result["fleet"]["launched"] == ["i-1"]
    (made,) = wire.of("CreateLaunchTemplate")
    assert (made["LaunchTemplateName"], made["LaunchTemplateData.ImageId"]) == ("spot-mnist-1", "ami-1")
    assert made["TagSpecification.1.ResourceType"] == "launch-template"
    assert {made[f"TagSpecification.1.Tag.{place}.Key"] for place in (1, 2, 3)} == set(TAGS)


def test_no_template_is_made_in_check_mode_or_where_nothing_is_missing(run: Module, wire: Wire) -> None:
    run(check=True, **{**PRESENT, "launch_template": TEMPLATE})
    wire.script("DescribeInstances", ONE)
    run(**{**PRESENT, "launch_template": TEMPLATE})
    assert wire.of("CreateLaunchTemplate") == []


def test_template_that_is_refused_is_told_before_any_capacity_is_asked_for(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateLaunchTemplate", error("UnauthorizedOperation", "You are not authorized", status=403))
    result = run(**{**PRESENT, "launch_template": TEMPLATE})
    assert "ec2:CreateLaunchTemplate is not allowed" in result["msg"]
    assert wire.of("CreateFleet") == []


def test_data_of_a_template_with_an_id_are_refused(run: Module, wire: Wire) -> None:
    result = run(**{**PRESENT, "launch_template": {"id": "lt-1", "data": {"ImageId": "ami-1"}}})
    assert "launch_template.data" in result["msg"]
    assert wire.calls == []


def test_scope_and_excluded_instances(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", TWO)

    result = run(check=True, target_capacity=2, scope="experiment", exclude_instance_ids=["i-1"], **PRESENT)

    (params,) = wire.of("DescribeInstances")
    assert "tag:spot:generation" not in params.values()
    assert result["fleet"]["missing"] == 1
    assert [item["instance_id"] for item in result["fleet"]["instances"]] == ["i-2"]


def test_on_demand_base_and_fallback_are_requests_of_their_own(run: Module, wire: Wire, clock: FakeClock) -> None:
    base = replace(ONE, body=ONE.body.replace("<instanceLifecycle>spot</instanceLifecycle>", ""))
    both = replace(TWO, body=TWO.body.replace("<instanceLifecycle>spot</instanceLifecycle>", ""))
    wire.script("DescribeInstances", NOTHING, base, base, base, both)
    refused = fleet(errors=(NO_CAPACITY_1, NO_CAPACITY_2))
    wire.script("CreateFleet", fleet("i-1"), refused, fleet("i-2"))

    result = run(target_capacity=2, on_demand_target_capacity=1, on_demand_fallback=True, wait=False, **PRESENT)

    markets = [call["TargetCapacitySpecification.DefaultTargetCapacityType"] for call in wire.of("CreateFleet")]
    assert markets == ["on-demand", "spot", "on-demand"]
    assert [item["lifecycle"] for item in result["fleet"]["instances"]] == ["on-demand", "on-demand"]
    assert {item["market"] for item in result["fleet"]["errors"]} == {"spot"}


def test_progress_is_told_in_a_file_as_it_happens(run: Module, wire: Wire, tmp_path: Any) -> None:
    wire.script("DescribeInstances", NOTHING, NOTHING, NOTHING, NOTHING, ONE)
    wire.script("CreateFleet", fleet(errors=(NO_CAPACITY_1,)), fleet(errors=(NO_CAPACITY_2,)), fleet("i-1"))

    run(wait_timeout=260, cooldown=40, progress_file=str(tmp_path / "progress"), **PRESENT)

    assert (tmp_path / "progress").read_text().splitlines() == [
        "g5.xlarge in us-east-1a: no capacity (InsufficientInstanceCapacity), asking the others",
        "g4dn.xlarge in us-east-1b: no capacity (InsufficientInstanceCapacity)",
        "waiting 40 s, 4:20 left",
        "launched 1 of 1: i-1 g5.xlarge us-east-1a",
    ]


def test_absent_terminates_instances_and_deletes_fleets(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", ONE, ONE, replace(ONE, body=ONE.body.replace("running", "terminated")))
    wire.script(
        "DescribeTags", xml("<tagSet><item><resourceId>fleet-1</resourceId><key>k</key></item></tagSet>"), xml("")
    )
    wire.script(
        "DescribeFleets",
        xml("<fleetSet><item><fleetId>fleet-1</fleetId><fleetState>active</fleetState></item></fleetSet>"),
    )

    predicted = run(check=True, state="absent", tags=TAGS, region="us-east-1", fleet_ids=["fleet-1"])
    assert wire.of("TerminateInstances") == []
    result = run(diff=True, state="absent", tags=TAGS, region="us-east-1", fleet_ids=["fleet-1"])

    assert predicted["fleet"] == result["fleet"]
    assert result["changed"] is True
    assert result["diff"] == {
        "before": {"instances": ["i-1 g5.xlarge us-east-1a"], "fleets": ["fleet-1"]},
        "after": {"instances": [], "fleets": []},
    }
    assert "failed" not in result
    assert wire.of("TerminateInstances")[0]["InstanceId.1"] == "i-1"
    assert wire.of("DeleteFleets") == [{"Version": "2016-11-15", "FleetId.1": "fleet-1", "TerminateInstances": "true"}]


def test_absent_changes_nothing_when_nothing_is_left(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script(
        "DescribeFleets",
        xml("<fleetSet><item><fleetId>fleet-1</fleetId><fleetState>deleted_terminating</fleetState></item></fleetSet>"),
    )

    result = run(state="absent", tags=TAGS, region="us-east-1", fleet_ids=["fleet-1"])

    assert result["changed"] is False
    assert wire.of("DeleteFleets") == wire.of("TerminateInstances") == []


def test_absent_with_an_unknown_fleet_still_finds_the_others(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)
    known = xml("<fleetSet><item><fleetId>fleet-1</fleetId><fleetState>active</fleetState></item></fleetSet>")
    gone = error("InvalidFleetId.NotFound")
    wire.script("DescribeFleets", gone, gone, known)

    result = run(state="absent", tags=TAGS, region="us-east-1", fleet_ids=["fleet-0", "fleet-1"])

    assert result["fleet"]["fleet_ids"] == ["fleet-1"]


def test_absent_reports_a_fleet_that_cannot_be_deleted(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script("DescribeFleets", xml("<fleetSet><item><fleetId>fleet-1</fleetId></item></fleetSet>"))
    wire.script(
        "DeleteFleets",
        xml(
            "<unsuccessfulFleetDeletionSet><item><fleetId>fleet-1</fleetId><error><code>unexpectedError</code>"
            "<message>try again</message></error></item></unsuccessfulFleetDeletionSet>"
        ),
    )

    result = run(state="absent", tags=TAGS, region="us-east-1", fleet_ids=["fleet-1"])

    assert result["failed"] is True
    assert result["msg"] == "Could not delete these fleets: fleet-1: unexpectedError: try again"


def test_all_mistakes_come_at_once_and_nothing_is_sent(run: Module, wire: Wire) -> None:
    result = run(
        launch_template={"id": "lt-1", "name": "x"},
        overrides=[{"instance_type": "g5", "max_price": 0.0001}, {"instance_type": "g5"}],
        tags={"Name": "x"},
        target_capacity=0,
        wait_timeout=-1,
        region="us-east-1",
    )

    assert result["failed"] is True
    for part in (
        "tags: the tag spot:experiment is missing",
        "tags: the tag spot:generation is missing",
        "launch_template: give exactly one of id and name",
        "overrides[0].instance_type: 'g5' is not an instance type",
        "overrides[0].max_price",
        "overrides[1]: the same pool as overrides[0]",
        "target_capacity: 0",
        "wait_timeout: -1 is negative",
    ):
        assert part in result["msg"]
    assert wire.calls == []


def test_request_that_botocore_refuses_to_send_is_told_once(run: Module, wire: Wire, clock: FakeClock) -> None:
    wire.script("DescribeInstances", NOTHING)

    result = run(**{**PRESENT, "launch_template": {"name": "x", "version": "1"}})

    assert "Invalid length for parameter" in result["msg"].splitlines()[0]
    assert len(result["msg"].splitlines()) == 2
    assert clock.slept == []


@pytest.mark.slow
def test_no_credentials(run: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    result = run(**PRESENT)

    assert result["msg"].startswith("Could not describe the instances: no AWS credentials found; set AWS_PROFILE")
    assert "exception" not in result


def test_unknown_aws_profile(run: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    result = run(profile="nobody", **PRESENT)

    assert result["msg"].startswith("Could not connect to AWS: the AWS profile does not exist")
    assert "nobody" in result["msg"]


def test_no_permission_to_describe_names_the_action(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", error("UnauthorizedOperation", "You are not authorized", status=403))

    result = run(**PRESENT)

    assert "ec2:DescribeInstances is not allowed" in result["msg"]


def test_no_permission_to_launch_names_the_action(run: Module, wire: Wire) -> None:
    wire.script("DescribeInstances", NOTHING)
    wire.script("CreateFleet", error("UnauthorizedOperation", "You are not authorized", status=403))

    result = run(**PRESENT)

    assert "ec2:CreateFleet is not allowed" in result["msg"]
    assert len(wire.of("CreateFleet")) == 1
