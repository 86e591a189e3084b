"""The actions volume, volume_snapshot and volume_move show what their modules tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.action import ec2_fleet, volume, volume_move, volume_snapshot


@pytest.mark.parametrize(
    ("action", "args", "label"),
    [
        (volume, {"volume": "data"}, "[data] "),
        (volume_snapshot, {"volume": "data"}, "[data] "),
        (volume_snapshot, {"snapshot": "old", "state": "absent"}, "[old] "),
        (volume_move, {"volumes": ["data"], "experiment": "mnist"}, "[mnist] "),
        (volume_move, {"volumes": ["data"]}, "[volumes] "),
    ],
)
def test_lines_of_the_module_are_shown(
    make_action: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, action: Any, args: dict[str, Any], label: str
) -> None:
    monkeypatch.delenv("EXPERIMENTS_SPOT_QUIET", raising=False)
    monkeypatch.setattr(action, "display", ec2_fleet.display, raising=False)  # what make_action listens to
    plugin = make_action(action, args, transport="local")
    called = []

    def module(module_name: str, module_args: dict[str, Any], **_more: Any) -> dict[str, Any]:
        called.append(module_name)
        with open(module_args["progress_file"], "a") as file:
            file.write("snapshot data 40%\n")
        return {"changed": True}

    monkeypatch.setattr(plugin, "_execute_module", module)
    assert plugin.run(task_vars={})["changed"]
    assert plugin.shown == [f"{label}snapshot data 40%"]
    assert called == [f"experiments.spot.{action.__name__.rpartition('.')[2]}"]
