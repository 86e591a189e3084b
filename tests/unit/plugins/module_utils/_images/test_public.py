"""Parameters as images."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._images import public

DEEP = "/aws/service/deeplearning/ami/x86_64"


def names(kind: str, *given: str, architecture: str = "x86_64") -> list[str]:
    found: list[dict[str, Any]] = [{"Name": name, "Value": "ami-1"} for name in given]
    return [one["ssm_parameter"] for one in public.rows(found, kind, architecture)]


def test_other_parameters_are_no_images() -> None:
    good = f"{DEEP}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    other = [
        f"{DEEP}/base-oss/20261112/ami-id",
        f"{DEEP}/base-oss/latest/name",
        DEEP.replace("x86_64", "arm64") + "/a/latest/ami-id",
    ]
    assert names("deep-learning", *other, good) == [good]


def test_only_kernels_that_amazon_linux_recommends() -> None:
    base = "/aws/service/ami-amazon-linux-latest/"
    good = f"{base}al2023-ami-kernel-default-x86_64"
    other = ["amzn2-ami-hvm-x86_64-gp2", "al2023-ami-kernel-6.1-x86_64", "al2023-ami-minimal-kernel-default-x86_64"]
    assert names("amazon-linux", good, *(base + name for name in other)) == [good]


def test_versions_are_sorted_as_numbers() -> None:
    given = [f"{DEEP}/oss-pytorch-2.{minor}-ubuntu-24.04/latest/ami-id" for minor in (9, 11, 10)]
    assert [name.split("-2.")[1].split("-")[0] for name in names("deep-learning", *given)] == ["11", "10", "9"]


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("Deep Learning AMI with NVIDIA driver 595.71.05 and CUDA 13.2", "595.71.05"),
        ("NVIDIA Driver Version: 470.256", "470.256"),
        ("NVIDIA driver version 470.256.02", "470.256.02"),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261112", None),
        ("Supported EC2 instances: G4dn, G5", None),
        (None, None),
    ],
)
def test_driver_where_the_description_tells_it(text: str | None, driver: str | None) -> None:
    entry = {"image_id": "ami-1", "ssm_parameter": DEEP}
    raw = {"ami-1": {"Name": "x", **({"Description": text} if text else {})}}
    assert public.described(entry, raw)["driver"] == driver


def test_image_that_ec2_does_not_know() -> None:
    entry = public.described({"image_id": "ami-1", "ssm_parameter": DEEP}, {})
    assert (entry["name"], entry["creation_date"], entry["driver"]) == (None, None, None)
    assert public.matching(entry, ["deep"]) and not public.matching(entry, ["ubuntu"])
