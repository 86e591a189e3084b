"""All mistakes in the options of the module, at once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet import rules

GOOD: dict[str, Any] = {
    "state": "present",
    "tags": {"spot:experiment": "x", "spot:generation": "1"},
    "launch_template": {"name": "x", "id": None, "version": "1"},
    "overrides": [{"instance_type": "g5.xlarge"}],
    "target_capacity": 1,
    "min_target_capacity": None,
    "client_token": None,
    "wait_timeout": 0,
    "cooldown": 0,
    "max_total_price": None,
    "default_target_capacity_type": "spot",
    "on_demand_target_capacity": 0,
    "on_demand_fallback": False,
    "exclude_instance_ids": [],
    "index_tag": None,
}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"tags": {"spot:experiment": "x"}}, "spot:generation is missing"),
        ({"tags": {**GOOD["tags"], "aws:x": "1"}}, "reserves the prefix aws:"),
        ({"tags": {**GOOD["tags"], "k" * 129: "1"}}, "at most 128"),
        ({"tags": {**GOOD["tags"], "k": "v" * 257}}, "at most 256"),
        ({"tags": {**GOOD["tags"], **{str(number): "" for number in range(49)}}}, "51 tags"),
        ({"launch_template": None}, "exactly one of id and name"),
        ({"overrides": None}, "at least one instance type"),
        ({"overrides": [{"instance_type": f"g5.{number}xlarge"} for number in range(301)]}, "301 entries"),
        ({"overrides": [{"instance_type": "g5.xlarge", "subnet_id": "subnet-1,subnet-2"}]}, "one subnet"),
        ({"overrides": [{"instance_type": "g5.xlarge", "weighted_capacity": 0}]}, "less than 1"),
        (
            {
                "overrides": [
                    {"instance_type": "g5.xlarge", "subnet_id": "a", "weighted_capacity": 2},
                    {"instance_type": "g5.xlarge", "subnet_id": "b"},
                ]
            },
            "different weights",
        ),
        ({"min_target_capacity": 2}, "min_target_capacity: 2 is not between 1 and target_capacity (1)"),
        ({"client_token": "x" * 65}, "64 ASCII"),
        ({"client_token": "ü"}, "64 ASCII"),
        ({"max_total_price": 0.0}, "max_total_price"),
        ({"cooldown": -1}, "cooldown: -1 is negative"),
        ({"on_demand_target_capacity": 2}, "on_demand_target_capacity: 2 is not between 0 and target_capacity (1)"),
        ({"on_demand_target_capacity": 1, "max_total_price": 1.0}, "max_total_price: not together with"),
        ({"default_target_capacity_type": "on-demand", "on_demand_fallback": True}, "on_demand_fallback: is for"),
        ({"index_tag": ""}, "index_tag: a key has 1 to 128"),
        ({"index_tag": "aws:rank"}, "reserves the prefix aws:"),
        ({"index_tag": "spot:experiment"}, "one of tags too"),
        ({"index_tag": "n", "tags": {**GOOD["tags"], **{str(number): "" for number in range(48)}}}, "have 51 tags"),
        ({"state": "absent", "exclude_instance_ids": ["i-1"]}, "exclude_instance_ids: state absent terminates all"),
    ],
)
def test_problems(change: dict[str, Any], part: str) -> None:
    assert rules.problems(GOOD) == []
    (problem,) = rules.problems({**GOOD, **change})
    assert part in problem


def test_absent_needs_only_the_experiment() -> None:
    params = {**GOOD, "state": "absent", "tags": {"spot:experiment": "x"}, "launch_template": None, "overrides": None}
    assert rules.problems(params) == []
