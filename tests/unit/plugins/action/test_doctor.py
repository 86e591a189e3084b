"""Every check on its own and all together, with the lab's API: what is wrong is a line, and nothing is made."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.experiments.spot.plugins.action import doctor as action
from ansible_collections.experiments.spot.plugins.action import profile as profiles
from ansible_collections.experiments.spot.plugins.plugin_utils._doctor import controller
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws  # noqa: F401

pytestmark = pytest.mark.slow

PROFILE = """\
extends: default
region: us-east-1
image: {ssm_parameter: /aws/service/debian/release/12/latest/amd64}
access: {remote_user: admin}
capacity: {instance_types: [t3.medium]}
"""


class Doctor:
    """The action plugin, run without a playbook around it."""

    def __init__(self, aws: Aws, folder: Path) -> None:  # noqa: F811
        self.aws = aws
        self.folder = folder

    def __call__(self, **args: Any) -> dict[str, list[dict[str, Any]]]:
        """Lines by the name of the check."""
        loader = DataLoader()
        task = SimpleNamespace(args=args, async_val=0, check_mode=False, diff=False, action="doctor", collections=[])
        context = SimpleNamespace(check_mode=False, diff=False, verbosity=0)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        templar = Templar(loader=loader, variables={})
        result = action.ActionModule(task, connection, context, loader, templar, None).run(task_vars={})
        assert not result.get("failed") and result["changed"] is False
        assert not self.aws.calls(mutating=True), "nothing is made"
        lines: dict[str, list[dict[str, Any]]] = {}
        for one in result["checks"]:
            lines.setdefault(one["check"], []).append(one)
        assert sum(result["counts"].values()) == len(result["checks"])
        self.failed = result["counts"]["failed"]
        return lines


@pytest.fixture
def doctor(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:  # noqa: F811
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/mine.yml").write_text(PROFILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPERIMENTS_SPOT_SSH_CIDR", "198.51.100.7/32")
    monkeypatch.setattr(profiles, "load_extra_vars", lambda loader: {})
    aws.forget_calls()
    return Doctor(aws, tmp_path)


def test_all_is_well_in_an_empty_account(doctor: Doctor) -> None:
    first = doctor()
    assert doctor.failed == 0, first
    results = {one["result"] for lines in first.values() for one in lines}
    assert results == {"ok"}
    assert first["credentials"][0]["found"] == "arn:aws:iam::123456789012:user/lab"
    assert first["address of this machine"][0]["found"] == "198.51.100.7/32"
    assert first["boto3"][0]["found"] == importlib.metadata.version("boto3")
    assert doctor() == first, "twice"


def test_a_profile_that_can_be_launched(doctor: Doctor) -> None:
    lines = doctor(name="mine")
    assert doctor.failed == 0, lines
    assert lines["profile mine"][0]["found"].endswith("profiles/mine.yml")
    assert "can be launched in us-east-1" in lines["profile mine at AWS"][0]["found"]


def test_all_mistakes_of_a_profile(doctor: Doctor) -> None:
    (doctor.folder / "profiles/mine.yml").write_text(f"{PROFILE}typo: 1\nvolumes: [{{name: data}}]\n")
    lines = doctor(name="mine")
    assert len(lines["profile mine"]) == doctor.failed == 2
    assert "typo" in lines["profile mine"][0]["text"] and "mount_point" in lines["profile mine"][1]["text"]
    assert lines["profile mine"][1]["todo"] and "profile mine at AWS" not in lines


def test_what_aws_says_to_a_profile(doctor: Doctor) -> None:
    changed = PROFILE.replace("[t3.medium]", "[p2.xlarge, t3.nothing]")
    (doctor.folder / "profiles/mine.yml").write_text(changed)
    found = doctor(name="mine")["profile mine at AWS"]
    assert [one["result"] for one in found] == ["failed", "failed"] and "p2.xlarge" in found[0]["found"]


def test_a_profile_that_is_not_there(doctor: Doctor) -> None:
    (line,) = doctor(name="nobody")["profile nobody"]
    assert line["result"] == "failed" and 'no profile "nobody"' in line["found"] and "\n" not in line["text"]


def test_no_credentials(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    lines = doctor(name="mine")
    assert lines["credentials"][0]["found"] == "no AWS credentials found" and lines["credentials"][0]["todo"]
    assert {one["result"] for name in ("permissions", "quotas") for one in lines[name]} == {"skipped"}
    assert lines["network to AWS"][0]["result"] == lines["clock"][0]["result"] == "ok" and doctor.failed == 1


def test_expired_credentials(doctor: Doctor) -> None:
    doctor.aws.control("credentials", expired=True)
    (line,) = doctor()["credentials"]
    assert line["result"] == "failed" and "expired" in line["found"] and "aws sso login" in line["todo"]


@pytest.mark.parametrize(
    ("action_name", "check", "result"),
    [
        ("CreateFleet", "permissions to launch", "failed"),
        ("DescribeImages", "permissions to launch", "failed"),
        ("TerminateInstances", "permissions to launch", "warning"),
        ("CreateVolume", "further permissions", "warning"),
        ("DescribeTags", "further permissions", "warning"),
    ],
)
def test_a_permission_that_is_missing(doctor: Doctor, action_name: str, check: str, result: str) -> None:
    doctor.aws.deny(action_name)
    lines = doctor()
    assert [one["result"] for one in lines[check]] == [result, "ok"]
    assert f"ec2:{action_name}" in lines[check][0]["found"] and lines[check][0]["todo"]


def test_what_aws_does_not_tell_is_simulated_or_said(doctor: Doctor) -> None:
    assert "does not tell" not in str(doctor())
    doctor.aws.deny("SimulatePrincipalPolicy")
    lines = doctor()
    assert "does not tell without doing it" in lines["permissions to launch"][0]["found"] and doctor.failed == 0


def test_quotas_may_not_be_read(doctor: Doctor) -> None:
    doctor.aws.deny("ListServiceQuotas")
    (line,) = doctor()["quotas"]
    assert line["result"] == "warning" and "servicequotas:ListServiceQuotas" in line["text"]


def test_quotas_of_a_new_account(doctor: Doctor) -> None:
    doctor.aws.control("quota", new_account=True)
    lines = doctor()
    for market, code in (("Spot", "L-3819A6DF"), ("On-Demand", "L-DB2E81BA")):
        (line,) = lines[f"quota {market}"]
        assert line["result"] == "warning" and code in line["todo"] and "G and VT 0" in line["found"]


def test_the_endpoint_cannot_be_reached(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    lines = doctor(name="mine")
    assert (
        lines["network to AWS"][0]["result"] == "failed" and "http://127.0.0.1:9" in lines["network to AWS"][0]["found"]
    )
    assert {lines[name][0]["result"] for name in ("clock", "credentials", "permissions", "quotas")} == {"skipped"}
    assert doctor.failed == 1 and not doctor.aws.calls()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"AWS_DEFAULT_REGION": None}, "no AWS region is set"),
        ({"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "nobody"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "not complete"),
    ],
)
def test_configuration_of_aws(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], text: str
) -> None:
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    lines = doctor()
    (line,) = [one for found in lines.values() for one in found if one["result"] == "failed"]
    assert text in line["text"], lines


def test_programs_that_are_missing(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    (old / "ssh").write_text("#!/bin/sh\necho OpenSSH_6.9p1 >&2\n")
    (old / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(old))
    lines = doctor()
    assert lines["rsync"][0]["found"] == "is missing" and "rsync" in lines["rsync"][0]["todo"]
    assert lines["ssh"][0]["found"] == "6.9, needed is >=7.6" and lines["ssh-keygen"][0]["result"] == "failed"
    assert doctor.failed == 3 and lines["credentials"][0]["result"] == "ok"


def test_address_is_not_found(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise OSError("no route")

    monkeypatch.delenv("EXPERIMENTS_SPOT_SSH_CIDR")
    monkeypatch.setattr(profiles, "_ask", refuse)
    (line,) = doctor()["address of this machine"]
    assert line["result"] == "failed" and "no route" in line["found"] and "EXPERIMENTS_SPOT_SSH_CIDR" in line["todo"]


def test_without_the_aws_library(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "AWS_IS_THERE", False)
    monkeypatch.setattr(controller, "library", lambda name: None)
    lines = doctor()
    assert lines["boto3"][0]["todo"].startswith("pip install 'boto3>=") and doctor.failed == 2
    assert {lines[name][0]["result"] for name in action.ALL_OF_AWS} == {"skipped"}


def test_a_check_that_breaks_stops_no_other(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("oh")

    monkeypatch.setattr(controller, "programs", broken)
    lines = doctor()
    assert "RuntimeError: oh" in lines["programs"][0]["found"] and lines["credentials"][0]["result"] == "ok"


def test_keys_cannot_be_kept(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    (line,) = doctor()["folder for keys"]
    assert line["result"] == "failed" and os.environ["HOME"] in line["todo"]
