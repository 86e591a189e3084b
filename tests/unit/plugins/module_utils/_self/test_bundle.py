"""The bundle: equal contents make equal bytes, and it runs where nothing but Python is installed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.amazon.aws.plugins import module_utils as amazon_utils

from ansible_collections.experiments.spot.plugins.module_utils._self import bundle, loader

ROOT = Path(__file__).resolve().parents[5]
AMAZON = str(Path(next(iter(amazon_utils.__path__))).parents[1])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "bundle.tar.gz"
    with path.open("wb") as target:
        bundle.write(target, bundle.code(str(ROOT), AMAZON), {**bundle.metadata(), "ansible.cfg": bundle.CONFIG})
    return path


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_it_is_small_and_holds_no_compiled_code_and_no_tests(archive: Path) -> None:
    assert archive.stat().st_size < 8_000_000
    found = names(archive)
    assert not [name for name in found if name.endswith((".so", ".pyc"))]
    assert not [name for name in found if "/tests/" in name or "/lab/" in name]
    services = {
        name.split("/")[3] for name in found if name.startswith("python/botocore/data/") and name.count("/") > 3
    }
    assert services == {"ec2", "s3", "sts"}


@pytest.mark.slow
def test_the_instances_playbook_runs_with_nothing_else(archive: Path, tmp_path: Path) -> None:
    """An interpreter without its site-packages reads the playbook, its roles and modules, and imports the SDK."""
    folder = str(tmp_path / "unpacked")
    loader.unpack(str(archive), folder)
    environ = loader.environment(folder, {"PATH": os.environ["PATH"]}) | {"HOME": str(tmp_path)}
    environ["ANSIBLE_HOME"] = str(tmp_path / "home")
    python = [sys.executable, "-S", "-m"]
    command = [*python, "ansible.cli.playbook", "-i", "localhost,", "--syntax-check", "experiments.spot.self"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    module = "ansible_collections.experiments.spot.plugins.modules.ebs_volume"
    code = f"import boto3, {module}; boto3.client('ec2', region_name='eu-west-1'); boto3.client('sts'); print(boto3.__file__)"
    done = subprocess.run([sys.executable, "-S", "-c", code], env={**environ, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0 and folder in done.stdout, done.stderr


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    sums = []
    for folder, moment in (("a", 1), ("b", 2_000_000_000)):
        file = tmp_path / folder / "channels.txt"
        file.parent.mkdir()
        file.write_text("x")
        os.utime(file, (moment, moment))
        target = io.BytesIO()
        sums.append(bundle.write(target, [("channels/home/x", str(file))], {"b": "2", "a": "1"}))
    assert sums[0] == sums[1]


def test_what_a_channel_sends_keeps_permissions_and_links(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o750)
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "empty").mkdir()
    target = io.BytesIO()
    bundle.write(target, [(f"channels/{name}", str(tmp_path / name)) for name in ("run", "link", "empty")], {})
    target.seek(0)
    with tarfile.open(fileobj=target) as tar:
        found = {one.name: one for one in tar.getmembers()}
    assert found["channels/run"].mode == 0o750 and found["channels/run"].uid == 0
    assert found["channels/link"].linkname == "run" and found["channels/empty"].isdir()


PROFILE: dict[str, Any] = {
    "access": {"private_key_file": "/home/me/key", "remote_user": "admin"},
    "channels": [{"direction": "out", "local_path": "/home/me/code/", "remote_path": "~/code/"}],
    "job": {"env": {"TOKEN": "secret"}, "image": "x"},
    "recovery": {"webhook": "https://example.org/secret", "mode": "self"},
}


def test_secrets_are_apart() -> None:
    public, secrets = bundle.without_secrets(
        {"experiment": "x", "region": "r", "tags": {}, "profile": PROFILE, "file": "/home/me"}
    )
    assert secrets == {"env": {"TOKEN": "secret"}, "webhook": "https://example.org/secret"}
    text = bundle.json_text(public)
    assert "secret" not in text and "/home/me" not in text
    assert PROFILE["job"]["env"] == {"TOKEN": "secret"}, "the given one is not touched"


def test_the_password_of_the_registry_is_apart() -> None:
    job = {**PROFILE["job"], "registry_username": "alice", "registry_password": "hunter2"}
    spot = {"experiment": "x", "region": "r", "tags": {}, "profile": {**PROFILE, "job": job}}
    public, secrets = bundle.without_secrets(spot)
    assert secrets["registry_password"] == "hunter2" and "hunter2" not in bundle.json_text(public)
    assert public["profile"]["job"]["registry_username"] == "alice"


def test_secrets_of_the_code_are_apart(tmp_path: Path) -> None:
    (tmp_path / "deploy").write_text("a key\n")
    code = {"repository": "r", "token": "hunter2", "deploy_key": str(tmp_path / "deploy")}
    spot = {"experiment": "x", "region": "r", "tags": {}, "profile": {**PROFILE, "code": code}}
    public, secrets = bundle.without_secrets(spot)
    assert (secrets["code_token"], secrets["deploy_key"]) == ("hunter2", "a key")
    text = bundle.json_text(public)
    assert "hunter2" not in text and str(tmp_path) not in text and public["profile"]["code"]["repository"] == "r"
    (tmp_path / "deploy").unlink()
    with pytest.raises(bundle.BundleError, match=r"code\.deploy_key"):
        bundle.without_secrets(spot)


def test_a_profile_without_a_job() -> None:
    public, secrets = bundle.without_secrets(
        {"experiment": "x", "region": "r", "tags": {}, "profile": {**PROFILE, "job": None}}
    )
    assert public["profile"]["job"] is None and secrets["env"] == {}


@pytest.mark.parametrize(("text", "expected"), [(">=3.11", (3, 11)), (">= 3.12, <4", (3, 12)), ("", (3, 9))])
def test_oldest_python(text: str, expected: tuple[int, int]) -> None:
    assert bundle.python_version(text) == expected


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(bundle.BundleError, match="no_such_package"):
        bundle.package_path("no_such_package")


def test_an_instance_is_told_where_its_file_systems_are() -> None:
    """So it needs no permission of EFS; its zone decides which of the addresses it takes."""
    shared = {"name": "team", "file_system_id": "fs-1", "mount_targets": {"us-east-1a": "172.31.0.9"}}
    plan = {"volumes": [], "tags": {}, "file_systems": [shared], "pools": ["not for the instance"]}
    assert bundle.plan_for_instance(plan) == {"volumes": [], "tags": {}, "file_systems": [shared]}
