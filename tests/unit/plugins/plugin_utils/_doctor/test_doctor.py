"""The decisions of the checks, without a network."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.plugin_utils._doctor import aws, controller, rights
from ansible_collections.experiments.spot.plugins.plugin_utils._doctor.check import Check

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ROOT = Path(__file__).resolve().parents[5]


@pytest.mark.parametrize(
    ("off", "result", "text"),
    [
        (0, "ok", "as that of AWS"),
        (-30, "ok", "30 s behind AWS"),
        (90, "warning", "90 s ahead of AWS"),
        (-600, "failed", "600 s behind AWS"),
    ],
)
def test_clock(off: int, result: str, text: str) -> None:
    found = aws.clock("Thu, 01 Jan 2026 12:00:00 GMT", NOW + timedelta(seconds=off))
    assert (found.result, found.found, bool(found.todo)) == (result, text, result != "ok")


def test_no_date() -> None:
    assert aws.clock(None, NOW).result == aws.clock("yesterday", NOW).result == "skipped"


def test_an_error_is_an_answer_too() -> None:
    def get(url: str) -> dict[str, str]:
        headers = Message()
        headers["Date"] = "Thu, 01 Jan 2026 12:00:00 GMT"
        raise HTTPError(url, 302, "Found", headers, None)

    assert [one.result for one in aws.reach("https://x", get, lambda: NOW)] == ["ok", "ok"]


def error(code: str) -> ApiError:
    return ApiError("ec2:X", ClientError({"Error": {"Code": code, "Message": "m"}}, "X"))


def test_what_an_answer_to_a_dry_run_means() -> None:
    assert rights.verdict(None) == rights.verdict(error("DryRunOperation")) == rights.ALLOWED
    assert rights.verdict(error("UnauthorizedOperation")) == rights.DENIED
    assert rights.verdict(error("InvalidVolume.NotFound")) == rights.UNTOLD
    for bad in (error("AuthFailure"), ApiError("ec2:X", EndpointConnectionError(endpoint_url="x"))):
        with pytest.raises(ApiError):
            rights.verdict(bad)


@pytest.mark.parametrize(
    ("arn", "whom"),
    [
        ("arn:aws:iam::1:user/team/alice", "arn:aws:iam::1:user/team/alice"),
        ("arn:aws-cn:sts::1:assumed-role/Admin/alice@x", "arn:aws-cn:iam::1:role/Admin"),
        ("arn:aws:iam::1:root", ""),
    ],
)
def test_whom_iam_can_be_asked_about(arn: str, whom: str) -> None:
    assert rights.principal(arn) == whom


def test_every_dry_run_is_one_and_has_the_arguments_that_it_needs() -> None:
    """DryRun and the required arguments, by botocore's own model of EC2."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("ec2")
    for name, arguments in {**rights.READS, **rights.CHANGES, **rights.FURTHER}.items():
        operation = model.operation_model(rights.action_of(name).partition(":")[2])
        assert "DryRun" in operation.input_shape.members, name
        assert set(operation.input_shape.required_members) <= set(arguments), name
        assert name not in rights.TAGGED or "TagSpecifications" in operation.input_shape.members


def test_a_wrong_region_for_gpus_is_told_with_its_codes() -> None:
    known: dict[str, Any] = {"Standard (A)": ("L-1", 5.0), "P": ("L-2", 0.0), "F": ("L-3", 0.0)}
    found = aws.market_quota("Spot", known)
    assert (found.result, "P (L-2)" in found.todo, "F" in found.todo) == ("warning", True, False)
    assert aws.market_quota("Spot", {"P": ("L-2", 0.0)}).result == "failed"
    assert aws.market_quota("Spot", {"Standard (A)": ("L-1", 5.0), "P": ("L-2", 4.0)}).result == "ok"
    assert aws.market_quota("Spot", {}).result == "warning"


@pytest.mark.parametrize(
    ("version", "result"),
    [("2.19.1", "ok"), ("2.20.0rc1", "ok"), ("2.17", "failed"), ("of", "failed"), (None, "failed")],
)
def test_versions(version: str | None, result: str) -> None:
    found = controller.judge("x", version, ">=2.18.0", "do")
    assert (found.result, found.todo) == (result, "" if result == "ok" else "do")


@pytest.mark.parametrize(
    ("specifier", "good"),
    [("*", True), ("", True), (">=2.1,<3", True), (">=2.1, <2.5", False), ("==2.5", True), ("!=2.5", False)],
)
def test_specifiers(specifier: str, good: bool) -> None:
    assert controller.fits("2.5", specifier) is good


def test_what_is_wanted_of_a_checkout_and_of_an_installed_collection(tmp_path: Path) -> None:
    wanted = controller.wanted(ROOT)
    assert set(wanted["python"]) == {"boto3", "botocore"} and "amazon.aws" in wanted["collections"]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"collection_info": {"dependencies": {"a.b": "*"}}}))
    assert controller.dependencies(tmp_path) == {"a.b": "*"}
    assert controller.judge("a.b", "1.0", "", "") == Check("a.b", "ok", "1.0")


def test_collections() -> None:
    assert controller.collection("amazon.aws") and controller.collection("no.such") is None
