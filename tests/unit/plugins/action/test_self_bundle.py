"""What instances set themselves up from, in a bucket: uploaded once, the manifest last, removed whole."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from werkzeug.serving import make_server

from ansible_collections.experiments.spot.plugins.action import self_bundle as action
from lab.aws.app import create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(NullMachines(), Config()), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


@pytest.fixture
def s3(api: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    for name, value in {"ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY, "ENDPOINT_URL": api}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    # What is the same for every experiment has a test of its own.
    monkeypatch.setattr(action.bundle, "code", lambda *_roots: [])
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="mine")
    yield client
    for one in client.list_objects_v2(Bucket="mine").get("Contents", []):
        client.delete_object(Bucket="mine", Key=one["Key"])
    client.delete_bucket(Bucket="mine")


def spot(code: Path, **job: Any) -> dict[str, Any]:
    out = {
        "direction": "out",
        "local_path": f"{code}/",
        "remote_path": "~/code/",
        "recursive": True,
        "exclude": ["*.log"],
    }
    profile = {
        "access": {"remote_user": "admin", "private_key_file": None},
        "channels": [out, {"direction": "in", "local_path": "results/", "remote_path": "/data/"}],
        "job": {"env": {"TOKEN": "secret"}, "image": "x", **job},
        "recovery": {"webhook": None},
    }
    return {"experiment": "x", "region": "us-east-1", "tags": {}, "profile": profile, "file": "/home/me/x.yml"}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    (folder / "sub").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "sub/part.py").write_text("x")
    (folder / "big.log").write_text("no")
    return folder


def run(check_mode: bool = False, **args: Any) -> dict[str, Any]:
    loader = DataLoader()
    task = SimpleNamespace(
        args={"bucket": "s3://mine/runs", "experiment": "x", **args},
        async_val=0, check_mode=check_mode, diff=False, action="self_bundle", collections=[],
    )  # fmt: skip
    context = SimpleNamespace(check_mode=check_mode, diff=False, verbosity=0)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    plugin = action.ActionModule(task, connection, context, loader, Templar(loader=loader, variables={}), None)
    return plugin.run(task_vars={})


PLAN: dict[str, Any] = {"volumes": [], "tags": {"spot:experiment": "x"}}


def names(s3: Any) -> set[str]:
    return {one["Key"] for one in s3.list_objects_v2(Bucket="mine").get("Contents", [])}


def body(s3: Any, name: str) -> bytes:
    return bytes(s3.get_object(Bucket="mine", Key=f"runs/x/{name}")["Body"].read())


@pytest.mark.slow
def test_it_is_uploaded_once_and_removed_whole(s3: Any, code: Path) -> None:
    wanted = {"spot": spot(code), "plan": PLAN, "begin": True}
    assert run(check_mode=True, **wanted)["changed"] and names(s3) == set()
    first = run(**wanted)
    assert names(s3) == {f"runs/x/{name}" for name in (first["name"], "bundle.json", "secrets.json", "state.json")}
    assert first["written"][-1] == "bundle.json", "whoever reads it finds what it names"
    assert json.loads(body(s3, "bundle.json"))["name"] == first["name"]
    second = run(spot=spot(code), plan=PLAN)
    assert not second["changed"] and second["name"] == first["name"]

    (code / "train.py").write_text("print(2)")
    third = run(spot=spot(code), plan=PLAN)
    assert third["written"] == [third["name"], "bundle.json"]
    assert f"runs/x/{first['name']}" not in names(s3), "an old one is of no use"

    s3.put_object(Bucket="mine", Key="runs/xy/bundle.json", Body=b"{}")
    assert run(state="absent", check_mode=True)["changed"] and len(names(s3)) == 5
    assert run(state="absent")["changed"] and names(s3) == {"runs/xy/bundle.json"}
    assert not run(state="absent")["changed"]


def test_channels_lie_where_they_belong_and_secrets_apart(s3: Any, code: Path) -> None:
    made = run(spot=spot(code), plan=PLAN)
    data = body(s3, made["name"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = [name for name in tar.getnames() if name.startswith("channels/")]
    assert "channels/home/admin/code/train.py" in found and "channels/home/admin/code/sub/part.py" in found
    assert not [name for name in found if name.endswith(".log")]
    assert b"secret" not in gzip.decompress(data)
    assert json.loads(body(s3, "secrets.json"))["env"] == {"TOKEN": "secret"}


def test_what_instances_wrote_is_kept_unless_a_fleet_begins(s3: Any, code: Path) -> None:
    run(spot=spot(code), plan=PLAN, begin=True)
    s3.put_object(Bucket="mine", Key="runs/x/state.json", Body=b'{"generation": 3}')
    run(spot=spot(code), plan=PLAN)
    assert json.loads(body(s3, "state.json")) == {"generation": 3}
    run(spot=spot(code), plan=PLAN, begin=True)
    assert json.loads(body(s3, "state.json")) == {}


def test_mistakes_are_told(s3: Any, code: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="nosuchbucket"):
        run(spot=spot(code), plan=PLAN, bucket="s3://nosuchbucket")
    assert not run(state="absent", bucket="s3://nosuchbucket")["changed"], "what is not there need not be removed"
    with pytest.raises(AnsibleActionFail, match="does not exist on this machine"):
        run(spot=spot(code / "nosuch"), plan=PLAN)
