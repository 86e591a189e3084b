# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one interface to S3: objects of a bucket through the AWS SDK, the instance's own or the one it was sent.

Part of what runs on the instance; on the controller it uses the client that it is given. Every failure is a
`StoreError` that names the IAM action and the object. Integrity: a single upload carries its SHA-256, which S3 compares
with what arrives; parts of a larger one carry theirs, and what was read for them is hashed once more.
Source: Amazon S3 User Guide "Checking object integrity"; API Reference "PutObject", "GetObject", "Error responses".
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Callable

CHUNK = 1 << 20
PART = 16 << 20
# Larger files go in parts; Amazon recommends that from 100 MB on.
MULTIPART = 64 << 20
THREADS = 8
SHA_KEY = "sha256"
SDK_DIR = "/usr/local/lib/experiments-spot/sdk"
# The SDK adds and checks checksums by itself from here on.
LEAST = (1, 36)
DENIED = ("AccessDenied", "AllAccessDisabled", "403", "Forbidden")
MISSING = ("NoSuchKey", "404", "NotFound")
CHANGED = ("PreconditionFailed", "412")
DAMAGED = ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch")


class StoreError(Exception):
    """S3 refuses or does not answer.

    Attributes:
        code: S3's, '' without an answer.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code

    @property
    def changed(self) -> bool:
        """Whether the object, or the file, was another one by then."""
        return self.code in (*CHANGED, *DAMAGED, *MISSING)


def sdk(own: bool = True) -> Any:
    """The module boto3: the instance's own when it is new enough, else the one that was sent.

    Raises:
        StoreError: there is none, or none for this Python.
    """
    try:
        if own:
            import boto3  # noqa: PLC0415

            if tuple(int(part) for part in boto3.__version__.split(".")[:2]) >= LEAST:
                return boto3
    except ImportError:
        pass
    for name in [one for one in sys.modules if one.split(".")[0] in ("boto3", "botocore", "s3transfer", "urllib3")]:
        del sys.modules[name]
    sys.path.insert(0, SDK_DIR)
    try:
        import boto3 as sent  # noqa: PLC0415
    except (ImportError, SyntaxError) as error:
        raise StoreError(f"the AWS SDK for Python cannot be used here: {error}") from error
    return sent


def client_of(endpoint: str = "", region: str = "") -> Any:
    """A client with the credentials of the instance's role; a bucket in another region is found by itself.

    Raises:
        StoreError: there is no SDK.
    """
    boto3 = sdk()
    from botocore.config import Config  # noqa: PLC0415

    config = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=4 * THREADS)
    more = {"endpoint_url": endpoint} if endpoint else {}
    return boto3.session.Session().client("s3", region_name=region or None, config=config, **more)


def code_of(error: Exception) -> str:
    """S3's code of a botocore exception, '' when S3 did not answer."""
    response = getattr(error, "response", None)
    return str((response or {}).get("Error", {}).get("Code", ""))


def explain(error: Exception, action: str, what: str) -> StoreError:
    """A botocore exception as one line that names the permission or the cause."""
    code = code_of(error)
    said = str((getattr(error, "response", None) or {}).get("Error", {}).get("Message", "")) or str(error)
    if "kms" in said.lower() and (code in DENIED or code.startswith("KMS")):
        return StoreError(f"{what}: the KMS key of the bucket or of results.kms_key_id may not be used: {said}", code)
    if code in DENIED:
        return StoreError(
            f"{what}: the credentials may not {action} (S3: {code}); allow it in the policy of the role", code
        )
    if code == "NoSuchBucket":
        return StoreError(f"{what}: there is no such bucket", code)
    if not code:
        kind = type(error).__name__
        if kind == "NoCredentialsError":
            return StoreError(
                f"{what}: the instance has no role, so it has no credentials; set access.instance_profile"
            )
        return StoreError(f"{what}: S3 does not answer ({kind}: {said})")
    return StoreError(f"{what}: {code}: {said}", code)


@dataclass
class Options:
    """How objects are written: storage_class and kms_key_id, '' for the bucket's own."""

    storage_class: str = ""
    kms_key_id: str = ""

    def extra(self) -> dict[str, str]:
        """Arguments of PutObject and CreateMultipartUpload."""
        found = {"StorageClass": self.storage_class} if self.storage_class else {}
        if self.kms_key_id:
            found.update(ServerSideEncryption="aws:kms", SSEKMSKeyId=self.kms_key_id)
        return found


@dataclass
class Body:
    """An object on its way: its bytes from `start` on, its size, ETag, and the SHA-256 that it was written with."""

    stream: Any
    size: int
    etag: str
    sha256: str


@dataclass
class Store:
    """Objects of one bucket."""

    s3: Any
    bucket: str
    options: Options = field(default_factory=Options)
    manager: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, key: str) -> str:
        """An object as people write it."""
        return f"s3://{self.bucket}/{key}"

    def _call(self, action: str, key: str, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except Exception as error:  # botocore's classes may be those of two SDKs
            if isinstance(error, StoreError) or not _is_sdk(error):
                raise
            raise explain(error, action, self.url(key)) from error

    def read(self, key: str) -> bytes | None:
        """A small object, None where there is none.

        Raises:
            StoreError: it cannot be read. Without s3:ListBucket S3 answers 403 for what is missing.
        """

        def get() -> Any:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

        try:
            return bytes(self._call("s3:GetObject", key, get))
        except StoreError as error:
            if error.code in MISSING:
                return None
            if error.code in DENIED:
                text = str(error).replace("s3:GetObject", "s3:GetObject, or s3:ListBucket where the object is missing")
                raise StoreError(text, error.code) from error
            raise

    def write(self, key: str, data: bytes) -> None:
        """A small object.

        Raises:
            StoreError: it cannot be written.
        """
        digest = hashlib.sha256(data)
        self._put(key, data, digest.digest(), "application/json")

    def _put(self, key: str, data: bytes, digest: bytes, kind: str = "") -> None:
        request: dict[str, Any] = {"Bucket": self.bucket, "Key": key, "Body": data, "Metadata": {SHA_KEY: digest.hex()}}
        request.update(ChecksumSHA256=base64.b64encode(digest).decode(), **self.options.extra())
        request.update({"ContentType": kind} if kind else {})
        self._call("s3:PutObject", key, lambda: self.s3.put_object(**request))

    def send(self, key: str, stream: IO[bytes], size: int, sha256: str, progress: Callable[[int], None]) -> None:
        """A file, from an open stream of exactly these bytes.

        Raises:
            StoreError: it cannot be written, or the bytes are others than those of the SHA-256 (`changed`).
        """
        if size <= MULTIPART:
            data = stream.read(size)
            if len(data) != size:
                raise StoreError(f"{self.url(key)}: the file became shorter", CHANGED[0])
            self._put(key, data, bytes.fromhex(sha256))
            progress(size)
            return
        counted = Counted(stream, size)
        extra = {"Metadata": {SHA_KEY: sha256}, "ChecksumAlgorithm": "SHA256", **self.options.extra()}
        uploader = self._manager()
        sent = [_Progress(progress)]
        self._call(
            "s3:PutObject", key, lambda: uploader.upload(counted, self.bucket, key, extra, subscribers=sent).result()
        )
        if counted.hexdigest() != sha256:
            raise StoreError(f"{self.url(key)}: the file changed while it was sent", CHANGED[0])

    def _manager(self) -> Any:
        with self.lock:
            if self.manager is None:
                from s3transfer.manager import TransferConfig, TransferManager  # noqa: PLC0415

                config = TransferConfig(
                    multipart_threshold=MULTIPART, multipart_chunksize=PART, max_request_concurrency=THREADS
                )
                self.manager = TransferManager(self.s3, config)
            return self.manager

    def cancel(self) -> None:
        """Give up uploads in parts that are on their way; their parts are removed."""
        with self.lock:
            manager = self.manager
        if manager is not None:
            manager.shutdown(cancel=True, cancel_msg="the time is over")

    def open(self, key: str, start: int = 0, etag: str = "") -> Body:
        """An object to be read from a byte on; with an ETag only as long as it is that one.

        Raises:
            StoreError: it cannot be read; `changed` when it is another one by now, or gone.
        """
        request: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        request.update({"Range": f"bytes={start}-"} if start else {})
        request.update({"IfMatch": etag} if etag else {})
        found = self._call("s3:GetObject", key, lambda: self.s3.get_object(**request))
        size = start + int(found["ContentLength"])
        return Body(found["Body"], size, str(found["ETag"]), str(found.get("Metadata", {}).get(SHA_KEY, "")))

    def chunks(self, key: str, body: Body) -> Iterator[bytes]:
        """The bytes of an object.

        Raises:
            StoreError: the connection is lost.
        """
        while True:
            data = self._call("s3:GetObject", key, lambda: body.stream.read(CHUNK))
            if not data:
                return
            yield data

    def sizes(self, prefix: str) -> dict[str, int]:
        """Keys and sizes of all objects below a prefix.

        Raises:
            StoreError: they may not be listed.
        """
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        read = self._call("s3:ListBucket", prefix, lambda: [one for page in pages for one in page.get("Contents", [])])
        return {one["Key"]: int(one["Size"]) for one in read}

    def delete(self, keys: list[str]) -> None:
        """Remove objects. Source: S3 API DeleteObjects, at most 1000 keys.

        Raises:
            StoreError: they may not be removed.
        """
        for start in range(0, len(keys), 1000):
            some = [{"Key": key} for key in keys[start : start + 1000]]
            request = {"Bucket": self.bucket, "Delete": {"Objects": some, "Quiet": True}}
            answer = self._call("s3:DeleteObject", some[0]["Key"], lambda: self.s3.delete_objects(**request))  # noqa: B023
            for error in answer.get("Errors", []):
                raise StoreError(f"{self.url(error['Key'])}: {error['Code']}: may not s3:DeleteObject", error["Code"])


def _is_sdk(error: Exception) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    modules = {kind.__module__.split(".")[0] for kind in type(error).__mro__}
    return (
        bool(kinds & {"ClientError", "BotoCoreError", "S3UploadFailedError"})
        or "urllib3" in modules
        or ("s3transfer" in modules)
    )


class Counted:
    """A stream of a file's first bytes that hashes what is read in order, which is what goes out."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self.size = stream, size
        self.digest, self.hashed = hashlib.sha256(), 0

    def read(self, amount: int = -1) -> bytes:
        """At most so many bytes, and none beyond the size."""
        at = self.stream.tell()
        room = self.size - at
        data = self.stream.read(room if amount is None or amount < 0 else min(amount, room))
        if at == self.hashed:
            self.digest.update(data)
            self.hashed += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Another place; the end is where the size says."""
        return self.stream.seek(self.size + offset) if whence == os.SEEK_END else self.stream.seek(offset, whence)

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place."""
        return self.stream.tell()

    def hexdigest(self) -> str:
        """SHA-256 of what was read."""
        return self.digest.hexdigest()


class _Progress:
    """A subscriber of s3transfer; by its methods, so that its class need not be imported."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell = tell

    def on_queued(self, **_more: Any) -> None:
        """Nothing."""

    def on_progress(self, bytes_transferred: int = 0, **_more: Any) -> None:
        """So many bytes more; fewer after a part had to be sent again."""
        self.tell(bytes_transferred)

    def on_done(self, **_more: Any) -> None:
        """Nothing."""
