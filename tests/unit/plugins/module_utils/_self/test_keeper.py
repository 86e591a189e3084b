"""The keeper of an instance: what it does in which order, whatever the roles, the job, AWS and the bucket do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import remote
from ansible_collections.experiments.spot.plugins.module_utils._notice.ec2 import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._self import fleet, keeper, loader, state
from ansible_collections.experiments.spot.plugins.module_utils._self.keeper import Keeper, Machine
from ansible_collections.experiments.spot.plugins.module_utils._self.store import StoreError

PROFILE = {
    "recovery": {"max_generations": 5, "deadline": None, "mode": "self", "webhook": None},
    "job": {"at_end": "terminate", "env": {}},
}


class World:
    """What surrounds a keeper: a bucket, a fleet, roles and a job, each with what it answers; `done` is the order."""

    def __init__(self, service: Any) -> None:
        self.imds = service
        self.objects: dict[str, Any] = {"state.json": {}, "secrets.json": {"env": {"A": "1"}, "webhook": "https://w"}}
        self.plays = [0]
        self.jobs: list[dict[str, Any]] = [{"unit_active": True}, {"unit_active": False, "state": "succeeded"}]
        self.notice: dict[str, Any] = {}
        self.refusals: list[Exception] = []
        self.done: list[str] = []
        self.slept = 0.0

    def read(self, name: str) -> Any:
        return self.objects.get(name)

    def write(self, name: str, document: dict[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.objects[name] = document
        self.done.append(document["phase"])

    def play(self, argv: list[str]) -> tuple[int, list[str]]:
        self.done.append("play")
        assert argv[-1] == "experiments.spot.self"
        code = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        return code, [] if code == 0 else ["TASK [x]", "[ERROR]: Task failed: no docker", "fatal: [localhost]"]

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        self.done.append(argv[-1])
        return 0, "", ""

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def delete(self, *_args: Any) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        self.done.append("delete")
        return "fleet-1"


@pytest.fixture
def world(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(service)
    monkeypatch.setattr(keeper.fleet, "delete", made.delete)
    monkeypatch.setattr(keeper, "VARIABLES", str(tmp_path / "variables.json"))
    monkeypatch.setattr(remote, "read_notice", lambda: made.notice)
    return made


def made(world: World, tmp_path: Path, **changes: Any) -> Keeper:
    spot = {"experiment": "x", "region": "us-east-1", "tags": {}, "profile": {**PROFILE, **changes}}
    (tmp_path / "spot.json").write_text(json.dumps({"spot": spot, "spot_plan": {"tags": {"a": "b"}, "volumes": []}}))
    machine = Machine(world.run, world.play, world.sleep, lambda: 1767268800.0)
    found = Keeper({"experiment": "x", "endpoint": ""}, str(tmp_path), world, machine)  # type: ignore[arg-type]
    found.job = lambda: world.jobs.pop(0) if len(world.jobs) > 1 else world.jobs[0]  # type: ignore[method-assign]
    return found


def test_the_whole_life(world: World, tmp_path: Path) -> None:
    made(world, tmp_path).work()
    assert world.done == ["setting-up", "play", "running", "ended", "delete", "poweroff"]
    variables = json.loads((tmp_path / "variables.json").read_text())
    assert (tmp_path / "variables.json").stat().st_mode & 0o777 == 0o600
    assert variables["spot"]["profile"]["job"]["env"] == {"A": "1"}
    assert variables["spot"]["profile"]["recovery"]["webhook"] == "https://w"
    assert variables["spot_plan"]["tags"] == {"a": "b", "spot:generation": "1"}
    assert variables["spot_launch_time"] == "2026-01-01T12:00:00+0000"


def test_kept_instances_end_the_fleet_only(world: World, tmp_path: Path) -> None:
    made(world, tmp_path, job={"at_end": "keep"}).work()
    assert world.done[-2:] == ["ended", "delete"]


def test_a_job_that_failed_ends_it_as_well(world: World, tmp_path: Path) -> None:
    world.jobs = [{"unit_active": False, "state": "failed", "exit_code": 7, "message": "m"}]
    made(world, tmp_path).work()
    assert world.done[-3:] == ["ended", "delete", "poweroff"]
    assert world.objects["state.json"]["job"] == {"state": "failed", "exit_code": 7, "message": "m"}


@pytest.mark.parametrize("kind", ["interruption", "rebalance"])
def test_what_aws_takes_is_left_to_the_next_one(world: World, tmp_path: Path, kind: str) -> None:
    world.jobs = [{"unit_active": False, "state": "interrupted"}]
    world.notice = {"kind": kind}
    made(world, tmp_path).work()
    assert world.done == ["setting-up", "play", "running"], "neither the fleet nor the machine is ended"


@pytest.mark.parametrize(("kind", "state"), [("expired", "stopped"), ("idle", None), ("idle", "interrupted")])
def test_a_limit_ends_the_fleet(world: World, tmp_path: Path, kind: str, state: str | None) -> None:
    world.jobs = [{"unit_active": False, "state": state}]
    world.notice = {"kind": kind}
    made(world, tmp_path).work()
    assert "delete" in world.done


@pytest.mark.parametrize("kind", ["expired", "idle"])
def test_an_experiment_without_a_job_lasts_until_its_time_is_over(
    world: World, tmp_path: Path, monkeypatch: Any, kind: str
) -> None:
    world.jobs = [{"unit_active": False, "state": None}]
    monkeypatch.setattr(world, "sleep", lambda _seconds: world.notice.update(kind=kind))
    made(world, tmp_path, job=None).work()
    assert world.done == ["setting-up", "play", "running", "ended", "delete"]


def test_roles_are_tried_three_times(world: World, tmp_path: Path) -> None:
    world.plays = [1, 1, 0]
    made(world, tmp_path).work()
    assert world.done[:5] == ["setting-up", "play", "play", "play", "running"]


def test_a_failure_leaves_it_to_the_next_instance_twice(world: World, tmp_path: Path) -> None:
    world.plays = [1]
    for number in (1, 2):
        world.done.clear()
        world.imds.answers["instance-id"] = f"i-{number}"
        made(world, tmp_path).work()
        assert world.done[-2:] == ["setting-up", "poweroff"], "the fleet launches another one"
    world.done.clear()
    world.imds.answers["instance-id"] = "i-3"
    made(world, tmp_path).work()
    assert world.done[-3:] == ["given-up", "delete", "poweroff"]
    assert "no docker" in world.objects["state.json"]["message"]


def test_a_failure_under_a_notice_is_none(world: World, tmp_path: Path) -> None:
    world.plays = [1]
    world.notice = {"kind": "interruption"}
    made(world, tmp_path).work()
    assert world.done == ["setting-up", "play"] and world.objects["state.json"]["failures"] == 0


def test_what_is_over_is_not_begun_again(world: World, tmp_path: Path) -> None:
    world.objects["state.json"] = {
        "phase": state.ENDED,
        "generation": 1,
        "instance_id": "i-9",
        "message": "the job succeeded",
    }
    made(world, tmp_path).work()
    assert world.done == ["ended", "delete", "poweroff"]


@pytest.mark.parametrize(
    "refusal", [StoreError("SlowDown", "x"), ApiError("UnauthorizedOperation", "x"), fleet.FleetError("x")]
)
def test_nothing_is_powered_off_before_the_fleet_is_gone(world: World, tmp_path: Path, refusal: Exception) -> None:
    found = made(world, tmp_path)
    found.document = {"phase": "running", "instance_id": "i-1"}
    world.refusals = [refusal] * 12
    found.end(power_off=True)
    assert world.done == ["delete", "poweroff"]
    assert world.slept > 600, "patience grows"


def test_a_role_that_may_not_end_the_fleet_does_not_cost_for_ever(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = ApiError("UnauthorizedOperation", "no ec2:DeleteFleets")
    found = made(world, tmp_path)
    world.objects["state.json"] = {"phase": state.ENDED, "generation": 1, "instance_id": "i-9", "message": "done"}
    found.note = lambda _document: world.refusals.extend([refusal] * 1000)  # type: ignore[method-assign]
    found.work()
    assert world.done == ["poweroff"]
    assert loader.LONGEST <= world.slept < loader.LONGEST + 600
    assert "no ec2:DeleteFleets" in capsys.readouterr().out.splitlines()[-1]


def test_a_state_that_cannot_be_read_does_not_cost_for_ever(world: World, tmp_path: Path) -> None:
    def refuse(_name: str) -> Any:
        raise StoreError("AccessDenied", "x")

    world.read = refuse  # type: ignore[method-assign]
    made(world, tmp_path).work()
    assert world.done == ["poweroff"] and world.slept >= loader.LONGEST


def test_reason_is_the_first_error() -> None:
    assert keeper.reason(["PLAY [x]", "[ERROR]: one", "[ERROR]: two"]) == "[ERROR]: one"
    assert keeper.reason(["Traceback", "ImportError: x"]) == "ImportError: x"
    assert keeper.reason([]) == "no output"


def test_commands_are_shown_as_they_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert keeper.play(["sh", "-c", "echo one; echo two >&2; exit 3"]) == (3, ["one", "two"])
    assert capsys.readouterr().out == "one\ntwo\n"
    assert keeper.run(["sh", "-c", "echo out; echo err >&2; exit 4"]) == (4, "out\n", "err\n")
