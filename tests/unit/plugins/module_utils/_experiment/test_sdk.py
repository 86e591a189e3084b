"""Sessions that share the data files of botocore, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import botocore.loaders
import pytest
from botocore.exceptions import ProfileNotFound

from ansible_collections.experiments.spot.plugins.module_utils._experiment import sdk

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "none", "aws_secret_access_key": "none"}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The data files that were read."""
    sdk._models.cache_clear()
    paths: list[str] = []
    real = botocore.loaders.JSONFileLoader.load_file

    def load_file(self: object, path: str) -> object:
        found = real(self, path)
        if found is not None:
            paths.append(path)
        return found

    monkeypatch.setattr(botocore.loaders.JSONFileLoader, "load_file", load_file)
    return paths


def test_what_was_preloaded_is_not_read_again(read: list[str]) -> None:
    sdk.preload("ec2")
    assert any("/ec2/" in path for path in read)
    read.clear()
    first, second = (sdk.session().client("ec2", **KEYS) for _ in range(2))
    assert first.can_paginate("describe_instances")
    assert read == []
    assert first.meta.service_model.operation_names == second.meta.service_model.operation_names


def test_credentials_are_each_session_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("".join(f"[{n}]\naws_access_key_id={n}\naws_secret_access_key=x\n" for n in ("a", "b")))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "c"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert [sdk.session(name).get_credentials().access_key for name in ("a", "b")] == ["a", "b"]


def test_a_folder_of_models_of_one_s_own_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    paths = sdk.session().client("ec2", **KEYS) and sdk._models(str(tmp_path)).search_paths
    assert str(tmp_path) in paths and len(paths) == len(set(paths))


def test_an_unknown_profile_stops_a_session_and_no_preload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    sdk.preload("ec2")
    with pytest.raises(ProfileNotFound):
        sdk.session()


def test_without_boto3_a_preload_does_nothing() -> None:
    program = f"""
import sys
sys.modules["boto3"] = None
from {sdk.__name__} import preload
preload("ec2")
"""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[5] / "collections")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
