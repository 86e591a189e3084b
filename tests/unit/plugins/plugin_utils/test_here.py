"""A module that runs in the process of its action plugin: the same options, the same answers."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.action import access, launch_plan_info
from ansible_collections.experiments.spot.plugins.plugin_utils import _here
from tests.unit.plugins.module_utils._experiment.builders import profile
from tests.unit.plugins.module_utils._experiment.wire import DEBIAN, Aws, aws  # noqa: F401

PLUGINS = _here.__name__.partition(".plugin_utils.")[0]
FOLDER = Path(_here.__file__).parents[1] / "action"
HERE = sorted(path.stem for path in FOLDER.glob("*.py") if "work = staticmethod(" in path.read_text())


class Action(_here.ActionHere):
    NAME = "experiments.spot.test"
    SPEC = {"number": {"type": "int", "required": True}, "name": {"type": "str", "default": "x"}}
    work = staticmethod(lambda module: {"changed": False})


def action(kind: type[_here.ActionHere] = Action, *, transport: str = "local", async_val: int = 0, **args: Any) -> Any:
    task = SimpleNamespace(args=args, check_mode=True, diff=True, async_val=async_val, action="test", _ds=None)
    connection = SimpleNamespace(transport=transport, _shell=SimpleNamespace(tmpdir=None))
    plugin = kind(task, connection, None, None, None, None)  # type: ignore[arg-type]
    plugin.executed = []
    plugin._execute_module = lambda **given: plugin.executed.append(given) or {"elsewhere": True}  # type: ignore
    return plugin


def test_options_are_those_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        Action, "work", staticmethod(lambda module: seen.append(module) or {"changed": True}), raising=False
    )
    assert action(number="7", region="us-east-1").run() == {"changed": True}
    (module,) = seen
    assert (module.params["number"], module.params["name"], module.params["region"]) == (7, "x", "us-east-1")
    assert (module.check_mode, module._diff) == (True, True)


@pytest.mark.parametrize(
    ("args", "text"), [({}, "number"), ({"number": 1, "nmae": "y"}, "nmae"), ({"number": "x"}, "int")]
)
def test_wrong_options_are_told(args: dict[str, Any], text: str) -> None:
    done = action(**args).run()
    assert done["failed"] is True
    assert text in done["msg"]


def test_failures_and_warnings_are_part_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(module: Any) -> dict[str, Any]:
        module.warn("look out")
        module.fail_json(msg="no", problems=["one"])

    monkeypatch.setattr(Action, "work", staticmethod(work), raising=False)
    done = action(number=1).run()
    assert done == {"changed": False, "failed": True, "msg": "no", "problems": ["one"], "warnings": ["look out"]}


@pytest.mark.parametrize("more", [{"transport": "ssh"}, {"async_val": 60}, {}])
@pytest.mark.parametrize("other", ["library", "user", "environment", ""])
def test_elsewhere_the_module_is_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], other: str
) -> None:
    plugin = action(number=1, **more)
    if other == "library":
        monkeypatch.setattr(_here, "boto3", None)
    elif other == "user":
        plugin._connection.become = object()
    elif other == "environment":
        plugin._task.environment = [{"AWS_PROFILE": "mine"}]
    elif not more:
        monkeypatch.setattr(
            plugin, "_connection", SimpleNamespace(transport="docker", _shell=plugin._connection._shell)
        )
    assert plugin.run() == {"elsewhere": True}
    (given,) = plugin.executed
    assert (given["module_name"], given["module_args"]) == ("experiments.spot.test", {"number": 1})
    assert given["wrap_async"] is bool(more.get("async_val"))


@pytest.mark.parametrize("name", HERE)
def test_each_is_its_module(name: str) -> None:
    plugin = importlib.import_module(f"{PLUGINS}.action.{name}").ActionModule
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    assert f"experiments.spot.{name}" == plugin.NAME
    spec = module.argument_spec() if name == "ec2_fleet" else module.ARGUMENT_SPEC
    assert spec == plugin.SPEC and getattr(module, "RULES", {}) == plugin.RULES
    assert plugin.work is module.run


@pytest.mark.slow
def test_a_plan_is_made_here(aws: Aws) -> None:  # noqa: F811
    wanted = profile(image={"id": None, "ssm_parameter": DEBIAN})
    done = action(launch_plan_info.ActionModule, profile=wanted, caller_cidr="198.51.100.7/32").run()
    assert done["todo"]["fleet"] is True
    assert "CreateFleet" not in aws.calls()
    wrong = action(launch_plan_info.ActionModule, profile={**wanted, "region": "us-east-1", "owner": "x" * 300}).run()
    assert wrong["failed"] is True
    assert "owner" in wrong["problems"][0]


def test_access_is_predicted_here(aws: Aws, tmp_path: Any) -> None:  # noqa: F811
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    options = {"experiment": "lab", "private_key_file": str(tmp_path / "key"), "cidr": "198.51.100.7/32"}
    done = action(access.ActionModule, vpc_id=vpc, region="us-east-1", **options).run()
    assert done["changed"] is True and done["security_group"] == {"name": "spot-lab"}
    assert "vpc_id" in action(access.ActionModule, region="us-east-1", **options).run()["msg"]


def test_one_without_work_of_its_own_always_is_a_process() -> None:
    class Slow(Action):
        work = None

    plugin = action(Slow, number=7)
    assert plugin.run()["elsewhere"] and len(plugin.executed) == 1
