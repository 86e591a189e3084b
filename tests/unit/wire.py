"""A stub of the EC2 endpoint: real botocore talks to it, it counts POSTs and gives scripted answers.

    with Wire() as wire:
        wire.script("CreateFleet", error("InternalError", status=500), xml("<fleetId>fleet-1</fleetId>"))
        client = boto3.client("ec2", endpoint_url=wire.url, ...)

Answers of an action are given in order; the last one is repeated. An action without a script answers an empty set.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Reply:
    """One answer. ``drop`` closes the connection instead, as a lost network does."""

    body: str = ""
    status: int = 200
    drop: bool = False


def xml(body: str) -> Reply:
    """A good answer; ``body`` is what is inside the response element."""
    return Reply(body)


def error(code: str, message: str = "no", status: int = 400) -> Reply:
    """An error of EC2."""
    errors = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    return Reply(f"<Response>{errors}<RequestID>req-1</RequestID></Response>", status)


DROP = Reply(drop=True)


def printed(capsys: Any) -> dict[str, Any]:
    """The result that a module has printed.

    ansible-core 2.19.0 takes a module that a test calls for a part of the controller, which shows its warnings itself.
    """
    told = capsys.readouterr()
    result: dict[str, Any] = json.loads(told.out)
    return {"warnings": [" ".join(told.err.split())], **result} if told.err else result


class Wire:
    """The server; use it as a context manager. ``calls`` holds (action, parameters) in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self._scripts: dict[str, list[Reply]] = {}
        wire, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                params = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                action = params.pop("Action")
                with lock:
                    wire.calls.append((action, params))
                    script = wire._scripts.get(action, [xml("")])
                    reply = script.pop(0) if len(script) > 1 else script[0]
                if reply.drop:
                    self.close_connection = True
                    return
                body = reply.body if reply.status >= 400 else f"<{action}Response>{reply.body}</{action}Response>"
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def script(self, action: str, *replies: Reply) -> None:
        """Set the answers of an action."""
        self._scripts[action] = list(replies)

    def of(self, action: str) -> list[dict[str, str]]:
        """The parameters of each call of an action."""
        return [params for name, params in self.calls if name == action]

    def __enter__(self) -> Wire:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
