"""All mistakes in the options of the module, at once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet import rules
from ansible_collections.experiments.spot.plugins.module_utils._fleet.options import (
    DEFAULTS,
    KINDS,
    TYPES_OF_OPTION,
    argument_spec,
)

GOOD: dict[str, Any] = {
    **DEFAULTS,
    "tags": {"spot:experiment": "x", "spot:generation": "1"},
    "launch_template": {"name": "x", "id": None, "version": "1"},
    "overrides": [{"instance_type": "g5.xlarge"}],
}
SIZE = {"vcpu_count": {"min": 4}, "memory_mib": {"min": 16384}}
BY_SIZE = [{"instance_requirements": SIZE}]
MAINTAIN: dict[str, Any] = {"type": "maintain"}


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
        (
            {
                "overrides": [
                    {"instance_type": "g5.xlarge", "subnet_id": "a", "availability_zone": "us-east-1a"},
                    {"instance_type": "g4dn.xlarge", "subnet_id": "b", "availability_zone": "us-east-1a"},
                ]
            },
            "us-east-1a has more than one subnet (a, b)",
        ),
        ({"overrides": [{"subnet_id": "a"}]}, "overrides[0].instance_type: give exactly one of"),
        ({"overrides": [{"instance_type": "g5.xlarge", "instance_requirements": SIZE}]}, "give exactly one of"),
        ({"overrides": [{"instance_requirements": {**SIZE, "gpu": 1}}]}, "instance_requirements.gpu: there is no such"),
        ({"overrides": [{"instance_requirements": {"vcpu_count": {"min": 4}}}]}, "memory_mib: min is missing"),
        (
            {"overrides": [{**BY_SIZE[0], "subnet_id": str(n)} for n in range(5)]},
            "5 instance_requirements, AWS allows 4",
        ),
        ({"overrides": [{**BY_SIZE[0], "weighted_capacity": 2}]}, "counts instances of instance_requirements as one"),
        ({**MAINTAIN, "target_capacity_unit_type": "vcpu"}, "needs overrides with instance_requirements"),
        ({"target_capacity": 0}, "target_capacity: 0 is not between 1 and 10000"),
        ({**MAINTAIN, "target_capacity": -1}, "target_capacity: -1 is not between 0 and 10000"),
        ({"interruption_behavior": "stop"}, "interruption_behavior: stop not with type instant, only with maintain"),
        ({"type": "request", "interruption_behavior": "hibernate"}, "hibernate not with type request"),
        ({"terminate_instances": False}, "terminate_instances: is for state absent"),
        ({"state": "absent", "terminate_instances": False}, "terminate_instances: false is for type request or"),
        (
            {**MAINTAIN, "capacity_rebalance": {"replacement_strategy": "launch", "termination_delay": 120}},
            "capacity_rebalance.termination_delay: is for",
        ),
        (
            {**MAINTAIN, "capacity_rebalance": {"replacement_strategy": "launch-before-terminate"}},
            "capacity_rebalance.termination_delay: is required",
        ),
        (
            {
                **MAINTAIN,
                "capacity_rebalance": {"replacement_strategy": "launch-before-terminate", "termination_delay": 60},
            },
            "capacity_rebalance.termination_delay: 60 is not between 120 and 7200 seconds",
        ),
        (
            {
                **MAINTAIN,
                "default_target_capacity_type": "on-demand",
                "capacity_rebalance": {"replacement_strategy": "launch"},
            },
            "capacity_rebalance: is for Spot",
        ),
        ({**MAINTAIN, "valid_until": "tomorrow"}, "valid_until: 'tomorrow' is not a time such as"),
        ({**MAINTAIN, "valid_until": "2020-01-01T00:00:00Z"}, "valid_until: 2020-01-01T00:00:00Z is over"),
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


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": BY_SIZE},
        {**MAINTAIN, "target_capacity": 0},
        {**MAINTAIN, "overrides": BY_SIZE, "target_capacity_unit_type": "vcpu"},
        {**MAINTAIN, "overrides": [{**BY_SIZE[0], "weighted_capacity": 2, "subnet_id": "a,b"}]},
        {**MAINTAIN, "interruption_behavior": "stop"},
        {**MAINTAIN, "valid_until": "2999-01-01T00:00:00+02:00"},
        {
            **MAINTAIN,
            "capacity_rebalance": {"replacement_strategy": "launch-before-terminate", "termination_delay": 120},
        },
        {"state": "absent", "type": "maintain", "terminate_instances": False},
    ],
)
def test_no_problem(change: dict[str, Any]) -> None:
    assert rules.problems({**GOOD, **change}) == []


OTHER_VALUES: dict[str, Any] = {
    "min_target_capacity": 1,
    "scope": "experiment",
    "exclude_instance_ids": ["i-1"],
    "index_tag": "spot:rank",
    "cooldown": 1,
    "target_capacity_unit_type": "units",
    "valid_until": "2999-01-01",
    "excess_capacity_termination_policy": "termination",
    "capacity_rebalance": {"replacement_strategy": "launch"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", TYPES_OF_OPTION)
def test_each_option_goes_with_the_types_that_the_table_says(option: str, kind: str) -> None:
    found = rules.problems({**GOOD, "type": kind, option: OTHER_VALUES.get(option, True)})
    assert any(text.startswith(f"{option}: not with type {kind}") for text in found) != (
        kind in TYPES_OF_OPTION[option]
    )


def test_all_mistakes_about_types_come_at_once() -> None:
    wrong = {
        option: OTHER_VALUES.get(option, True) for option, kinds in TYPES_OF_OPTION.items() if "request" not in kinds
    }
    found = rules.problems({**GOOD, "type": "request", **wrong})
    assert [text.split(":")[0] for text in found] == list(wrong)


def test_tables_name_options() -> None:
    assert set(TYPES_OF_OPTION) < set(argument_spec())


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00+00:00"),
        ("2026-12-31T18:00:00.5+02:00", "2026-12-31T16:00:00+00:00"),
        ("2026-12-31 18:00", "2026-12-31T18:00:00+00:00"),
    ],
)
def test_moment(text: str, iso: str) -> None:
    assert rules.moment(text).isoformat() == iso
