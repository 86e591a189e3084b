"""Public images over the wire: real botocore, the lab's API."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.modules import public_image_info
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401


@pytest.fixture
def info(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(public_image_info.main, capsys, **args)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_images_of_a_region(aws: Aws, info: Any, region: str) -> None:  # noqa: F811
    done = info(region=region)
    assert (done.rc, done.changed, done.region, done.notes) == (0, False, region, [])
    ssm, ec2 = boto3.client("ssm", region_name=region), boto3.client("ec2", region_name=region)
    kinds = [one["kind"] for one in done.images]
    assert kinds == sorted(kinds, key=["deep-learning", "ubuntu", "amazon-linux"].index) and len(set(kinds)) == 3
    for one in done.images:
        assert ssm.get_parameter(Name=one["ssm_parameter"])["Parameter"]["Value"] == one["image_id"]
        (image,) = ec2.describe_images(ImageIds=[one["image_id"]])["Images"]
        assert (one["name"], one["architecture"]) == (image["Name"], image["Architecture"]) == (image["Name"], "x86_64")
        wanted = "ec2-user" if "mazon Linux" in image["Name"] or image["Name"].startswith("al20") else "ubuntu"
        assert one["remote_user"] == wanted


def test_newest_release_first(info: Any) -> None:
    names = [one["ssm_parameter"] for one in info(kinds=["ubuntu"]).images]
    assert [name.split("/")[6] for name in names] == ["24.04", "22.04"]


def test_other_processor_and_words(info: Any) -> None:
    done = info(architecture="arm64")
    assert {one["architecture"] for one in done.images} == {"arm64"} and len(done.images) == 3
    (one,) = info(search=["PyTorch", "24.04"]).images
    assert one["name"].startswith("Deep Learning OSS Nvidia Driver AMI GPU PyTorch")
    assert info(search=["windows"]).images == []


def test_without_permission_for_names(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("DescribeImages")
    done = info()
    assert {one["name"] for one in done.images} == {None} and all(one["image_id"] for one in done.images)
    assert done.notes == ["No answer about names of images (ec2:DescribeImages: no permission)"]


def test_without_permission_for_parameters(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("GetParametersByPath")
    done = info()
    assert done.rc == 1 and done.msg.count("ssm:GetParametersByPath is not allowed") == 1


def test_expired_credentials(aws: Aws, info: Any) -> None:  # noqa: F811
    for _call in range(8):
        aws.fail("GetParametersByPath", "ExpiredTokenException")
    done = info()
    assert done.rc == 1 and "have expired" in done.msg and len(done.msg.splitlines()) == 1
