"""The metadata service (IMDSv2): HTTP on the bridge's gateway, which machines reach as 169.254.169.254.

Source: EC2 User Guide "Use the Instance Metadata Service to access instance metadata". The caller is known by its
address; a token belongs to the instance that asked for it; the answer to a token request really travels only
`HttpPutResponseHopLimit` hops.
"""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.aws.machines import InstanceView, Notices
from lab.machines.metadata import lookup, tree

TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
MAX_TTL = 21600
DEFAULT_HOPS = 64


@dataclass
class Tokens:
    """Session tokens: which instance each belongs to and until when."""

    clock: Callable[[], float] = time.monotonic
    _issued: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, instance_id: str, seconds: int) -> str:
        """A new token of 56 characters, as EC2's."""
        token = base64.urlsafe_b64encode(os.urandom(42)).decode()
        now = self.clock()
        with self._lock:
            self._issued = {key: held for key, held in self._issued.items() if held[1] > now}
            self._issued[token] = (instance_id, now + seconds)
        return token

    def valid(self, token: str, instance_id: str) -> bool:
        """Whether the token is this instance's and has not expired."""
        owner, until = self._issued.get(token, ("", 0.0))
        return owner == instance_id and until > self.clock()


def parse_ttl(value: str | None) -> int | None:
    """Seconds from the header of a token request, None where the service answers 400."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    seconds = int(value)
    return seconds if 1 <= seconds <= MAX_TTL else None


def refusal(view: InstanceView | None, token: str | None, tokens: Tokens) -> int:
    """The status with which a GET is refused, 0 when it is answered."""
    if view is None:
        return 404
    options = view.metadata_options
    if options.http_endpoint == "disabled":
        return 403
    if token is None:
        return 401 if options.http_tokens == "required" else 0
    return 0 if tokens.valid(token, view.instance_id) else 401


def token_refusal(view: InstanceView | None, path: str, ttl: str | None, forwarded: bool) -> int:
    """The status with which a PUT is refused, 0 when it gets a token."""
    if view is None:
        return 404
    if view.metadata_options.http_endpoint == "disabled" or forwarded:
        return 403
    if path != "/latest/api/token":
        return 404
    return 0 if parse_ttl(ttl) else 400


@dataclass
class Service:
    """What a request needs: whose address it is, what AWS has told that machine, and the tokens."""

    by_address: Callable[[str], InstanceView | None]
    notices: Callable[[str], Notices]
    tokens: Tokens = field(default_factory=Tokens)

    def read(self, view: InstanceView, path: str) -> bytes | None:
        """The body of a GET, None for 404."""
        return lookup(path, tree(view, self.notices(view.instance_id), datetime.now(timezone.utc)))


class Handler(BaseHTTPRequestHandler):
    """One connection of a machine."""

    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    timeout = 30
    service: Service

    def do_PUT(self) -> None:  # the name is http.server's
        """Answer a token request."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        view = self.service.by_address(self.client_address[0])
        ttl = self.headers.get(TTL_HEADER)
        status = token_refusal(view, self.path, ttl, "X-Forwarded-For" in self.headers)
        if status or view is None:
            self.answer(status or 404)
            return
        token = self.service.tokens.issue(view.instance_id, parse_ttl(ttl) or 1)
        self.hops(view.metadata_options.http_put_response_hop_limit)
        # The limit is the socket's and must not reach the answers that follow, so this connection ends here.
        self.answer(200, token.encode(), {TTL_HEADER: str(ttl), "Connection": "close"})

    def do_GET(self) -> None:
        """Answer a read."""
        view = self.service.by_address(self.client_address[0])
        status = refusal(view, self.headers.get(TOKEN_HEADER), self.service.tokens)
        if status or view is None:
            self.answer(status or 404)
            return
        body = self.service.read(view, self.path)
        self.answer(404 if body is None else 200, body or b"")

    def do_HEAD(self) -> None:
        """Answer a probe."""
        self.do_GET()

    def hops(self, limit: int) -> None:
        """Let the answer die after so many routers, as a nested container is one more."""
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, limit or DEFAULT_HOPS)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send a whole response."""
        if status != 200:
            body = f"<html><body><h1>{status}</h1></body></html>\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if status == 200 else "text/html")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: machines poll this service."""


def serve(address: tuple[str, int], service: Service) -> ThreadingHTTPServer:
    """Start the service in threads of its own."""
    handler = type("LabHandler", (Handler,), {"service": service})
    server = ThreadingHTTPServer(address, handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.1,), name="imds", daemon=True).start()
    return server
