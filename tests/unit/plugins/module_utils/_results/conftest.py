"""A bucket behind the real S3 protocol, and an instance's directory."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as BotoConfig
from werkzeug.serving import make_server

from ansible_collections.experiments.spot.plugins.module_utils._results import plan, pusher
from ansible_collections.experiments.spot.plugins.module_utils._results.store import Options, Store
from lab.aws.app import create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(NullMachines(), Config()), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


def client(api: str, **more: Any) -> Any:
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    config = BotoConfig(retries={"total_max_attempts": 1}, max_pool_connections=32)
    return boto3.client("s3", endpoint_url=api, region_name="us-east-1", config=config, **keys, **more)


@pytest.fixture
def s3(api: str) -> Iterator[Any]:
    found = client(api)
    found.create_bucket(Bucket="mine")
    yield found
    call(api, "reset", controls=True)
    for page in found.get_paginator("list_objects_v2").paginate(Bucket="mine"):
        keys = [{"Key": one["Key"]} for one in page.get("Contents", [])]
        if keys:
            found.delete_objects(Bucket="mine", Delete={"Objects": keys})
    found.delete_bucket(Bucket="mine")


def call(api: str, name: str, **args: Any) -> Any:
    request = urllib.request.Request(f"{api}/lab/{name}", data=json.dumps(args).encode() if args else None)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


@pytest.fixture
def control(api: str) -> Callable[..., Any]:
    return lambda name, **args: call(api, name, **args)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    (folder / "results").mkdir(parents=True)
    return folder


class Instance:
    """One instance: its directory, its pusher's files."""

    def __init__(self, s3: Any, folder: Path, state: Path, generation: int = 1, **config: Any) -> None:
        self.s3, self.folder, self.state = s3, folder, state
        folder.mkdir(exist_ok=True)
        self.config = {
            "bucket": "mine", "prefix": "runs/x", "directories": {"state": str(state)}, "exclude": [],
            "checkpoints": ["checkpoints/*"], "generation": generation, "instance_id": f"i-{generation}", "rank": 0,
            "experiment": "x", "state_dir": str(state), **config,
        }  # fmt: skip

    @property
    def store(self) -> Store:
        return Store(self.s3, "mine", Options())

    def work(self, mode: str = "periodic") -> pusher.Push:
        return pusher.Push(self.config, self.store, mode, str(self.folder / "status"), str(self.folder / "cache"))

    def push(self, mode: str = "periodic") -> int:
        return self.work(mode).run()

    def restore(self) -> dict[str, Any]:
        work = pusher.Restore(self.config, self.store)
        work.make()
        return work.run()

    @property
    def status(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "status").read_text()))

    def objects(self) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="mine")
        return {one["Key"].removeprefix("runs/x/") for page in pages for one in page.get("Contents", [])}

    def latest(self) -> dict[str, Any]:
        return plan.parse(self.s3.get_object(Bucket="mine", Key="runs/x/LATEST")["Body"].read())


@pytest.fixture
def instance(s3: Any, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Instance]:
    monkeypatch.setattr(pusher, "PAUSE", 0.01)
    monkeypatch.setattr("os.chown", lambda *_args: None)

    def make(generation: int = 1, folder: Path = state, **config: Any) -> Instance:
        return Instance(s3, tmp_path / f"var-{generation}", folder, generation, **config)

    return make
