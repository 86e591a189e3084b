# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DetachVolume with the credentials of the instance's role, and the webhook.

Part of the notice watcher on the instance.
Source: AWS General Reference "Signature Version 4 signing process"; EC2 API Reference "DetachVolume", "Query requests".
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any

from .imds import Imds, ImdsError, reason

VERSION = "2016-11-15"
TIMEOUT = 5.0
LIMIT = 65536
# Codes that a later attempt may not meet. Source: EC2 API Reference, "Error codes", "Server error codes".
PASSING = (
    "RequestLimitExceeded",
    "Throttling",
    "Unavailable",
    "InternalError",
    "ServiceUnavailable",
    "InternalFailure",
)


class ApiError(Exception):
    """AWS refuses, or does not answer; `code` is AWS's, '' without an answer."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.code = code

    @property
    def passes(self) -> bool:
        """Whether to try again is worth it."""
        return not self.code or self.code in PASSING


@dataclass(frozen=True)
class Caller:
    """Who asks whom: endpoint, region and the role's credentials (never to be shown)."""

    url: str
    region: str
    key: str
    secret: str
    token: str


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _host(url: str) -> str:
    """The header Host as HTTP clients send it."""
    parts = urllib.parse.urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port is None else f"{host}:{parts.port}"


def signed_headers(caller: Caller, body: str, now: float, service: str = "ec2") -> dict[str, str]:
    """Headers of a signed POST of a form to the root of the endpoint.

    Args:
        caller: see there.
        body: the form.
        now: AWS's time; a signature of another time is refused.
        service: name in the scope of the signature.
    """
    content = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return signed(caller, ("POST", "/", ""), content, hashlib.sha256(body.encode()).hexdigest(), (now, service))


def signed(
    caller: Caller, line: tuple[str, str, str], extra: dict[str, str], digest: str, scope: tuple[float, str]
) -> dict[str, str]:
    """Headers of any signed request.

    Args:
        caller: see there.
        line: method, path and query as they are sent: quoted, the query in the order of its names.
        extra: further headers to sign, by names in lower case.
        digest: SHA-256 of the body in hexadecimal digits.
        scope: AWS's time, and the service's name.
    """
    now, service = scope
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {**extra, "host": _host(caller.url), "x-amz-date": stamp}
    if caller.token:
        headers["x-amz-security-token"] = caller.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join([*line, lines, names, digest])
    where = f"{stamp[:8]}/{caller.region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, where, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{caller.secret}".encode()
    for part in where.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    credential = f"AWS4-HMAC-SHA256 Credential={caller.key}/{where}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": credential}


def post(url: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
    """One POST without redirects and proxies: status and body.

    Raises:
        ApiError: no answer; the text does not hold the URL, which may have a secret in it.
    """
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection.request("POST", path, body=body.encode(), headers=headers)
        response = connection.getresponse()
        return response.status, response.read(LIMIT).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ApiError("", f"{parts.hostname}: {reason(error)}") from error
    finally:
        connection.close()


def caller_of(imds: Imds, region: str | None, url: str | None) -> Caller | None:
    """The role of this instance as caller, None when the instance has no role.

    Raises:
        ImdsError: the metadata service does not answer, or not with credentials.
    """
    role = imds.text("iam/security-credentials/")
    if not role:
        return None
    try:
        found = json.loads(imds.text(f"iam/security-credentials/{role.splitlines()[0]}") or "{}")
        key, secret, token = found["AccessKeyId"], found["SecretAccessKey"], found.get("Token", "")
    except (ValueError, KeyError, TypeError) as error:
        raise ImdsError("the credentials of the role cannot be read") from error
    region = region or imds.text("placement/region") or ""
    domain = imds.text("services/domain") or "amazonaws.com"
    parts = urllib.parse.urlsplit(url or f"https://ec2.{region}.{domain}")
    return Caller(f"{parts.scheme}://{parts.netloc}", region, key, secret, token)


def detach_volume(caller: Caller, volume_id: str, instance_id: str, now: float) -> None:
    """Ask AWS to detach a volume; one that is detached already counts as done.

    Raises:
        ApiError: AWS refuses or does not answer.
    """
    form = {"Action": "DetachVolume", "Version": VERSION, "VolumeId": volume_id, "InstanceId": instance_id}
    body = urllib.parse.urlencode({key: value for key, value in form.items() if value})
    status, answer = post(caller.url, body, signed_headers(caller, body, now))
    if status == 200:
        return
    code = text_of("Code", answer) or f"status {status}"
    text = text_of("Message", answer).partition(" Encoded authorization failure message")[0]
    if code == "IncorrectState" and "available" in text:
        return
    raise ApiError(code, text)


def text_of(name: str, xml: str) -> str:
    """What stands in the first element of this name, '' where there is none or it has others inside."""
    found = re.search(f"<{name}>([^<]*)</{name}>", xml)
    return found.group(1) if found else ""


def tell(url: str, document: dict[str, Any]) -> None:
    """The webhook: POST of a JSON document.

    Raises:
        ApiError: no answer, or none of 2xx.
    """
    status, _body = post(url, json.dumps(document), {"Content-Type": "application/json"})
    if not 200 <= status < 300:
        raise ApiError("", f"{urllib.parse.urlsplit(url).hostname}: status {status}")
