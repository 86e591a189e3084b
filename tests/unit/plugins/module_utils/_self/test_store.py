"""Objects of the bucket, by the standard library alone: against an S3, and signatures against botocore's."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ansible_collections.experiments.spot.plugins.module_utils._notice import ec2
from ansible_collections.experiments.spot.plugins.module_utils._self.store import Place, Store, StoreError

NOON = 1767268800.0


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_signature_is_that_of_botocore(method: str) -> None:
    base, path = Place("my.bucket", "a b/x", "eu-west-1").address("bundle-1.tar.gz")
    body = b"text" if method == "PUT" else b""
    digest = hashlib.sha256(body).hexdigest()
    caller = ec2.Caller(base, "eu-west-1", "AKIA", "secret", "session")
    ours = ec2.signed(caller, (method, path, ""), {"x-amz-content-sha256": digest}, digest, (NOON, "s3"))
    given = {name: text for name, text in ours.items() if name != "authorization"}
    request = AWSRequest(method, f"{base}{path}", data=body, headers=given)
    request.context["timestamp"] = ours["x-amz-date"]
    auth = S3SigV4Auth(Credentials("AKIA", "secret", "session"), "s3", "eu-west-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert ours["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place("b", "p/x", "eu-west-1"), ("https://b.s3.eu-west-1.amazonaws.com", "/p/x/k")),
        (Place("b.c", "x", "eu-west-1"), ("https://s3.eu-west-1.amazonaws.com", "/b.c/x/k")),
        (Place("b", "x", "cn-north-1", domain="amazonaws.com.cn"), ("https://b.s3.cn-north-1.amazonaws.com.cn", "/x/k")),
        (Place("b", "x", "r", "http://10.0.0.1:9/"), ("http://10.0.0.1:9", "/b/x/k")),
    ],
)  # fmt: skip
def test_addresses(place: Place, expected: tuple[str, str]) -> None:
    assert place.address("k") == expected


def test_documents_are_written_and_read(bucket: SimpleNamespace) -> None:
    assert bucket.store.read("state.json") is None
    bucket.store.write("state.json", {"generation": 1})
    assert bucket.store.read("state.json") == {"generation": 1}
    body = bucket.s3.get_object(Bucket="mine", Key="some where/x/state.json")["Body"].read()
    assert b'"generation": 1' in body


def test_a_file_appears_only_when_it_is_right(bucket: SimpleNamespace, tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    bucket.s3.put_object(Bucket="mine", Key="some where/x/file", Body=data)
    path = tmp_path / "file"
    with pytest.raises(StoreError, match="damaged"):
        bucket.store.fetch("file", str(path), "0" * 64)
    assert list(tmp_path.iterdir()) == []
    bucket.store.fetch("file", str(path), hashlib.sha256(data).hexdigest())
    assert path.read_bytes() == data


def test_refusals_name_the_code(bucket: SimpleNamespace, tmp_path: Path, service: Any) -> None:
    with pytest.raises(StoreError, match="NoSuchKey: nothing"):
        bucket.store.fetch("nothing", str(tmp_path / "x"), "0")
    service.answers["iam/security-credentials/"] = None
    with pytest.raises(StoreError, match="has no role"):
        bucket.store.read("state.json")
    service.answers["iam/security-credentials/"] = "role"
    nowhere = Store(Place("mine", "x", "us-east-1", "http://127.0.0.1:9"), service)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1: connection refused"):
        nowhere.read("state.json")


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """An S3 whose bucket is in eu-west-1, and the scopes of the signatures that it was sent."""
    scopes: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scopes.append(self.headers["authorization"].split("/")[2])
            right = scopes[-1] == "eu-west-1"
            self.send_response(200 if right else 301)
            self.send_header("x-amz-bucket-region", "eu-west-1")
            self.end_headers()
            self.wfile.write(b'{"a": 1}' if right else b"<Error><Code>PermanentRedirect</Code></Error>")

        def log_message(self, *_args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", scopes
    server.shutdown()


def test_a_bucket_in_another_region_is_followed_once(elsewhere: tuple[str, list[str]], service: Any) -> None:
    url, scopes = elsewhere
    store = Store(Place("b", "x", "us-east-1", url), service)
    assert store.read("state.json") == {"a": 1} and store.read("state.json") == {"a": 1}
    assert scopes == ["us-east-1", "eu-west-1", "eu-west-1"]
