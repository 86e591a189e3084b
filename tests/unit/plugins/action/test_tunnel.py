"""A port behind a real sshd."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh, _tunnel
from ansible_collections.experiments.spot.plugins.plugin_utils._remote import Remote


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[int]:
    """The port of an HTTP server that lets nobody in."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        yield one.server_address[1]
        one.shutdown()


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_port_that_is_taken_is_replaced_by_a_free_one(server: int) -> None:
    assert _tunnel.free_port(server) not in (server, 0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert _tunnel.free_port(free) == free


@pytest.mark.slow
def test_it_tells_the_address_once_and_comes_back(sshd: Any, server: int, tmp_path: Path) -> None:
    told: list[str] = []
    file = tmp_path / "session"
    tunnel = _tunnel.Tunnel(Remote(_ssh.connection_target(sshd.options)), server, str(file), told.append)
    try:
        tunnel.look()
        until(lambda: _tunnel.answers(tunnel.here))
        tunnel.look()
        assert told == [], "the server has not said where to look"
        file.write_text("/lab?token=1\n")
        tunnel.look()
        assert told == [f"http://127.0.0.1:{tunnel.here}/lab?token=1"] and tunnel.here != server
        before, child = tunnel.here, tunnel.child
        assert child is not None
        child.kill()
        child.wait()
        until(lambda: (tunnel.look(), _tunnel.answers(before))[1])
        assert tunnel.child is not child and len(told) == 1
    finally:
        tunnel.stop()
    assert not _tunnel.answers(tunnel.here)


HOLDER = """
import sys
from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh, _tunnel
import time, subprocess
target = _ssh.Target("127.0.0.1", sys.argv[1], int(sys.argv[2]), sys.argv[3], tuple(sys.argv[6:]))
here, there = int(sys.argv[4]), int(sys.argv[5])
subprocess.Popen(_tunnel.tunnel_argv(target, here, there), stdin=subprocess.PIPE)
print("up", flush=True)
time.sleep(600)
"""


def test_it_ends_with_who_holds_it_even_if_that_is_killed(sshd: Any, server: int) -> None:
    here = _tunnel.free_port(0)
    known = _ssh.host_key_options(sshd.alias, sshd.known_hosts)
    words = [sshd.user, str(sshd.port), sshd.key, str(here), str(server), *known]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, *words], env=env)
    until(lambda: _tunnel.answers(here))
    holder.kill()
    holder.wait()
    until(lambda: not _tunnel.answers(here))
