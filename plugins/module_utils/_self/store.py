# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects of one prefix of a bucket, with the credentials of the instance's role.

Part of what an instance in recovery mode `self` runs: Python 3.9, standard library only.
Source: Amazon S3 API Reference "GetObject", "PutObject", "Error responses"; User Guide "Virtual hosting of buckets".
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.parse
from dataclasses import dataclass, replace
from typing import Any, Callable

from .._notice import ec2
from .._notice.imds import Imds, reason

CHUNK = 1 << 20
TIMEOUT = 60.0
LIMIT = 65536


class StoreError(Exception):
    """An object cannot be read or written; `code` is the service's, '' without an answer."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.code = code


@dataclass(frozen=True)
class Place:
    """Where the objects are.

    Attributes:
        bucket: name of the bucket.
        prefix: what every key starts with, without a slash at its end.
        region: region of the bucket as far as it is known; an answer may correct it.
        endpoint: URL of an S3 that is not AWS's, '' for AWS's.
        domain: AWS's domain in this partition.
    """

    bucket: str
    prefix: str
    region: str
    endpoint: str = ""
    domain: str = "amazonaws.com"

    def address(self, name: str) -> tuple[str, str]:
        """Base URL and quoted path of an object.

        A bucket whose name has dots is no host name that a certificate fits.
        """
        path = "/" + urllib.parse.quote(f"{self.prefix}/{name}".lstrip("/"), safe="/-_.~")
        if self.endpoint:
            parts = urllib.parse.urlsplit(self.endpoint)
            return f"{parts.scheme}://{parts.netloc}", f"/{self.bucket}{path}"
        if "." in self.bucket:
            return f"https://s3.{self.region}.{self.domain}", f"/{self.bucket}{path}"
        return f"https://{self.bucket}.s3.{self.region}.{self.domain}", path


class Store:
    """Reads and writes objects below a place."""

    def __init__(self, place: Place, imds: Imds, now: Callable[[], float] = time.time) -> None:
        self.place = place
        self.imds = imds
        self.now = now

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON document, None where there is no such object.

        Raises:
            StoreError, ImdsError: it cannot be read.
        """
        try:
            found = json.loads(self._request("GET", name, b"", lambda response: response.read()))
        except StoreError as error:
            # Without the right to list, S3 does not tell what is missing from what is forbidden.
            if error.code == "NoSuchKey":
                return None
            raise
        except ValueError as error:
            raise StoreError("", f"{name} is no JSON") from error
        return found if isinstance(found, dict) else None

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Write a JSON document.

        Raises:
            StoreError, ImdsError: it cannot be written.
        """
        body = (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
        self._request("PUT", name, body, lambda response: response.read())

    def fetch(self, name: str, path: str, sha256: str) -> None:
        """Copy an object into a file, which appears only when it is whole and right.

        Raises:
            StoreError, ImdsError: it cannot be read, or is another one than expected.
        """
        part = f"{path}.part"
        found = self._request("GET", name, b"", lambda response: _save(response, part))
        if found != sha256:
            os.unlink(part)
            raise StoreError("", f"{name} is damaged: its SHA-256 is {found}, not {sha256}")
        os.replace(part, path)

    def _request(self, method: str, name: str, body: bytes, use: Callable[[http.client.HTTPResponse], Any]) -> Any:
        try:
            return self._once(method, name, body, use)
        except _Elsewhere as moved:
            self.place = replace(self.place, region=moved.region)
            return self._once(method, name, body, use)

    def _once(self, method: str, name: str, body: bytes, use: Callable[[http.client.HTTPResponse], Any]) -> Any:
        base, path = self.place.address(name)
        caller = ec2.caller_of(self.imds, self.place.region, base)
        if caller is None:
            raise StoreError("", "the instance has no role, so nothing may be read")
        digest = hashlib.sha256(body).hexdigest()
        headers = ec2.signed(caller, (method, path, ""), {"x-amz-content-sha256": digest}, digest, (self.now(), "s3"))
        parts = urllib.parse.urlsplit(base)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                _refuse(response, name, self.place.region)
            return use(response)
        except (OSError, http.client.HTTPException) as error:
            raise StoreError("", f"{parts.hostname}: {reason(error)}") from error
        finally:
            connection.close()


class _Elsewhere(Exception):
    """The bucket is in another region."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.region = region


def _refuse(response: http.client.HTTPResponse, name: str, region: str) -> None:
    """Source: Amazon S3 API Reference, header x-amz-bucket-region of answers 301 and 400."""
    found = response.getheader("x-amz-bucket-region")
    if response.status in (301, 307, 400) and found and found != region:
        raise _Elsewhere(found)
    text = response.read(LIMIT).decode("utf-8", "replace")
    code = re.search("<Code>([^<]*)</Code>", text)
    message = re.search("<Message>([^<]*)</Message>", text)
    what = code.group(1) if code else ("NoSuchKey" if response.status == 404 else f"status {response.status}")
    raise StoreError(what, f"{name}: {message.group(1) if message else 'no reason given'}")


def _save(response: http.client.HTTPResponse, path: str) -> str:
    """Stream a body into a file; its SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as stream:
        while True:
            data = response.read(CHUNK)
            if not data:
                break
            digest.update(data)
            stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()
