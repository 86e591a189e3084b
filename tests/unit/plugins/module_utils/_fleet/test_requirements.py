"""Attributes of instance types: the table against the API's own model, and what is wrong with values."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet import requirements

SIZE: dict[str, Any] = {"vcpu_count": {"min": 4}, "memory_mib": {"min": 16384}}
KINDS = {
    requirements._range_problem: "structure",
    requirements._list_problem: "list",
    requirements._count_problem: "integer",
    requirements._rule_problem: "string",
    requirements._bool_problem: "boolean",
}


def test_table_is_that_of_the_api() -> None:
    model = botocore.session.get_session().get_service_model("ec2").shape_for("InstanceRequirementsRequest")
    ours = {attribute.name: KINDS[attribute.problem] for attribute in requirements.ATTRIBUTES.values()}
    theirs = {name: member.type_name for name, member in model.members.items()}
    # Performance factors name a family to compare with; explicit types say the same.
    assert ours == {name: kind for name, kind in theirs.items() if name != "BaselinePerformanceFactors"}


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({}, []),
        ({"gpu": 1}, ["gpu: there is no such attribute"]),
        ({"vcpu_count": {"max": 4}}, ["vcpu_count: min is missing"]),
        ({"vcpu_count": {"min": 4, "max": 2}}, ["vcpu_count: min is more than max"]),
        ({"vcpu_count": {"min": "4"}}, ["vcpu_count: min and max are numbers from 0"]),
        ({"accelerator_count": 1}, ["accelerator_count: give min, max or both"]),
        ({"accelerator_names": "t4"}, ["accelerator_names: give a list of texts"]),
        ({"bare_metal": "no"}, ["bare_metal: give included, required or excluded"]),
        ({"require_hibernate_support": "yes"}, ["require_hibernate_support: give true or false"]),
        (
            {"spot_max_price_percentage_over_lowest_price": -1},
            ["spot_max_price_percentage_over_lowest_price: give a whole number from 0"],
        ),
        (
            {"allowed_instance_types": ["g5.*"], "excluded_instance_types": ["g4dn.*"]},
            ["allowed_instance_types: not together with excluded_instance_types"],
        ),
    ],
)
def test_problems(change: dict[str, Any], texts: list[str]) -> None:
    assert requirements.problems({**SIZE, **change}) == texts


def test_to_api() -> None:
    given = {**SIZE, "accelerator_count": {"min": 1, "max": 2}, "accelerator_names": ["t4"], "bare_metal": "included"}
    assert requirements.to_api(given) == {
        "VCpuCount": {"Min": 4},
        "MemoryMiB": {"Min": 16384},
        "AcceleratorCount": {"Min": 1, "Max": 2},
        "AcceleratorNames": ["t4"],
        "BareMetal": "included",
    }


def test_label() -> None:
    assert requirements.label(SIZE) == "any type with 4 or more vCPUs, 16 GiB or more"
    assert requirements.label({**SIZE, "accelerator_count": {"min": 1}}).endswith("GiB or more, 1 or more accelerators")
