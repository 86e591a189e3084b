"""One HTTP request to the API: which call of which service it is, and answers in that service's error format."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

StartResponse = Callable[..., Any]
Environ = dict[str, Any]
SCOPE = re.compile(r"Credential=([^/,\s]+)/(\d+)/([^/]+)/([^/]+)/aws4_request")
SIGNED = re.compile(r"SignedHeaders=([^,\s]+)")
SIGNATURE = re.compile(r"Signature=([0-9a-f]+)")
READS = re.compile(r"(Describe|Get|List|Search|Lookup|Batch(Get|Check)|Simulate|Decode|Head|GET |HEAD )")
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 412: "Failed",
           500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


@dataclass
class Call:
    """What one request asks for."""

    service: str
    action: str
    access_key: str
    signed: bool
    protocol: str  # "ec2", "query", "json" or "rest"
    target: str = ""
    body: bytes = b""
    method: str = "POST"
    url: str = ""
    region: str = ""
    signature: str = ""
    signed_headers: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)

    @property
    def mutating(self) -> bool:
        """Whether the call may change something."""
        return not READS.match(self.action) and self.form.get("DryRun") != "true"

    def params(self) -> dict[str, Any]:
        """Flat parameters: query form as sent, or the top level of a JSON body."""
        if self.protocol == "json":
            return dict(json.loads(self.body or b"{}"))
        return dict(self.form)


def read(environ: Environ) -> Call:
    """Parse a request; the body stays readable for whoever comes next."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size) if size else b""
    environ["wsgi.input"] = io.BytesIO(body)
    scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = scope.group(4) if scope else ""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    form: dict[str, str] = {}
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if target:
        action, protocol = target.split(".")[-1], "json"
    elif "Action" in form:
        action, protocol = form["Action"], "ec2" if service == "ec2" else "query"
    else:
        action, protocol = (
            _rest_action(service, environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", "")),
            "rest",
        )
    return Call(
        service=service,
        action=action,
        access_key=scope.group(1) if scope else "",
        signed=bool(scope),
        protocol=protocol,
        target=target,
        body=body,
        form=form,
        **_signature(environ),
        region=scope.group(3) if scope else "",
    )


# Source: botocore's model of EFS, so that faults and permissions name its actions as those of EC2.
EFS_NOUNS = {"file-systems": "FileSystem", "mount-targets": "MountTarget", "access-points": "AccessPoint"}
EFS_PARTS = {"lifecycle-configuration": "LifecycleConfiguration", "security-groups": "MountTargetSecurityGroups"}
EFS_VERBS = {"POST": "Create", "PUT": "Update", "DELETE": "Delete", "GET": "Describe"}


def _rest_action(service: str, method: str, path: str) -> str:
    """Name of an action that only method and path tell; for EFS the API's own, else `METHOD PATH`."""
    words = path.strip("/").split("/")[1:]
    if service != "elasticfilesystem" or not words or words[0] not in EFS_NOUNS or method not in EFS_VERBS:
        return f"{method} {path}"
    if len(words) > 2 and words[2] in EFS_PARTS:
        change = "Put" if words[2] == "lifecycle-configuration" else "Modify"
        return ("Describe" if method == "GET" else change) + EFS_PARTS[words[2]]
    return f"{EFS_VERBS[method]}{EFS_NOUNS[words[0]]}{'s' if method == 'GET' else ''}"


def _signature(environ: Environ) -> dict[str, Any]:
    """The parts of the request that are signed, and the signature."""
    names = SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
    signature = SIGNATURE.search(environ.get("HTTP_AUTHORIZATION", ""))
    query = environ.get("QUERY_STRING", "")
    host = environ.get("HTTP_HOST", "")
    return {
        "method": environ.get("REQUEST_METHOD", "POST"),
        "url": f"http://{host}{environ.get('PATH_INFO', '/')}" + (f"?{query}" if query else ""),
        "signature": signature.group(1) if signature else "",
        "signed_headers": {n: _header(environ, n) for n in (names.group(1).split(";") if names else [])},
    }


def _header(environ: Environ, name: str) -> str:
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", ""))


def error(start: StartResponse, call: Call, code: str, message: str, http: int) -> Iterable[bytes]:
    """An error as the call's service would send it."""
    request_id = str(uuid.uuid4())
    if call.protocol in ("json", "rest"):
        body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
        kind, extra = "application/x-amz-json-1.1", [("X-Amzn-ErrorType", code)]
    else:
        inner = f"<Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        if call.protocol == "ec2":
            text = f"<Response><Errors>{inner}</Errors><RequestID>{request_id}</RequestID></Response>"
        else:
            text = f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
        body, kind, extra = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), "text/xml;charset=UTF-8", []
    return send(start, http, body, kind, [*extra, ("x-amzn-RequestId", request_id)])


def answer(start: StartResponse, data: Any, http: int = 200, kind: str = "application/json") -> Iterable[bytes]:
    """A JSON answer."""
    return send(start, http, json.dumps(data, default=str).encode(), kind, [])


def send(start: StartResponse, http: int, body: bytes, kind: str, headers: list[tuple[str, str]]) -> Iterable[bytes]:
    """The end of every answer that does not come from moto."""
    start(
        f"{http} {REASONS.get(http, 'Status')}",
        [("Content-Type", kind), ("Content-Length", str(len(body))), *headers],
    )
    return [body]
