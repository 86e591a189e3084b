"""A metadata service, an S3 and an EC2 that talk the real protocols, for what runs on an instance."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from werkzeug.serving import make_server

from ansible_collections.experiments.spot.plugins.module_utils._notice import imds
from ansible_collections.experiments.spot.plugins.module_utils._self.store import Place, Store
from lab.aws.app import create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines

ROLE = "iam/security-credentials/"


class FakeImds:
    """The metadata service without HTTP: paths and what they say."""

    def __init__(self) -> None:
        keys = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": ""}
        self.answers = {
            "instance-id": "i-0123456789abcdef0",
            "instance-type": "t3.medium",
            "placement/availability-zone": "us-east-1a",
            "placement/region": "us-east-1",
            ROLE: "role",
            f"{ROLE}role": json.dumps(keys),
        }
        self.fault = ""

    def text(self, path: str) -> str | None:
        if self.fault:
            raise imds.ImdsError(self.fault)
        return self.answers.get(path)


@pytest.fixture
def service() -> FakeImds:
    return FakeImds()


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(NullMachines(), Config()), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


@pytest.fixture
def bucket(api: str, service: FakeImds) -> Iterator[SimpleNamespace]:
    """A bucket, a client of the controller's, and the instance's store."""
    s3: Any = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=api, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY
    )
    s3.create_bucket(Bucket="mine")
    store = Store(Place("mine", "some where/x", "us-east-1", api), service)  # type: ignore[arg-type]  # the same shape
    yield SimpleNamespace(s3=s3, store=store, url=api)
    for one in s3.list_objects_v2(Bucket="mine").get("Contents", []):
        s3.delete_object(Bucket="mine", Key=one["Key"])
    s3.delete_bucket(Bucket="mine")
