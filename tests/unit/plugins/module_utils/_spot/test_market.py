"""Which types fit a need, and which pools are cheapest."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot import market

NONE: dict[str, Any] = {
    "instance_types": [], "gpus": 0, "gpu_memory": 0, "vcpus": 0, "memory": 0, "architecture": "x86_64",
}  # fmt: skip
RAW: dict[str, Any] = {
    "InstanceType": "g5.xlarge",
    "VCpuInfo": {"DefaultVCpus": 4},
    "MemoryInfo": {"SizeInMiB": 16384},
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    "SupportedUsageClasses": ["on-demand", "spot"],
    "GpuInfo": {
        "Gpus": [{"Name": "A10G", "Manufacturer": "NVIDIA", "Count": 1, "MemoryInfo": {"SizeInMiB": 22888}}],
    },
}


def fits(raw: dict[str, Any], **wanted: Any) -> bool:
    return market.fits(market.type_row(raw), {**NONE, **wanted})


def test_a_type_as_data() -> None:
    row = market.type_row(RAW)
    assert (row["vcpus"], row["memory"], row["gpus"], row["gpu"], row["gpu_memory"]) == (4, 16, 1, "A10G", 22.35)
    assert market.type_row({"InstanceType": "x1.old"})["memory"] is None


@pytest.mark.parametrize(
    ("wanted", "good"),
    [
        ({"gpus": 1}, True),
        ({"gpus": 2}, False),
        ({"gpu_memory": 24}, True),  # as makers count
        ({"gpu_memory": 25}, False),
        ({"vcpus": 4, "memory": 16}, True),
        ({"vcpus": 5}, False),
        ({"memory": 16.5}, False),
        ({"architecture": "arm64"}, False),
        ({"architecture": "arm64", "instance_types": ["g5.xlarge"]}, True),
    ],
)
def test_at_least_what_is_needed(wanted: dict[str, Any], good: bool) -> None:
    assert fits(RAW, **wanted) is good


def test_a_gpu_of_another_maker_is_none_that_is_needed() -> None:
    other = {"Name": "Radeon Pro V520", "Manufacturer": "AMD", "Count": 1, "MemoryInfo": {"SizeInMiB": 8192}}
    raw = {**RAW, "GpuInfo": {"Gpus": [other]}}
    assert not fits(raw, gpus=1) and fits(raw, vcpus=4)


@pytest.mark.parametrize("more", [{"BareMetal": True}, {"SupportedUsageClasses": ["on-demand"]}])
def test_what_must_be_named(more: dict[str, Any]) -> None:
    assert not fits({**RAW, **more}, vcpus=1)
    assert fits({**RAW, **more}, vcpus=1, instance_types=["g5.xlarge"])


def test_cheapest_of_all_regions() -> None:
    here = market.offers({("a.large", "us-east-1a"): 0.3, ("b.large", "us-east-1a"): 0.1}, "us-east-1")
    there = market.offers({("a.large", "us-west-2a"): 0.2}, "us-west-2")
    assert [(one.price, one.region) for one in market.cheapest(here + there, 2)] == [
        (0.1, "us-east-1"),
        (0.2, "us-west-2"),
    ]


def test_need_as_it_is_typed() -> None:
    assert market.need({**NONE, "gpus": 1, "memory": 15.5}) == "gpus=1, memory=15.5"
    assert market.need(NONE) == ""
