# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A port of an instance at this machine, by ssh, as long as somebody waits: what a browser needs of a server there."""

from __future__ import annotations

import http.client
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock, backoff
from ansible_collections.experiments.spot.plugins.plugin_utils._remote import LostConnection, Remote

HERE = "127.0.0.1"
ASK_S = 3.0
# Seconds between two attempts to open it: first, longest, factor.
AGAIN = (1.0, 30.0, 2.0)


def free_port(wanted: int) -> int:
    """A port of this machine that nobody uses: the wanted one if it can be had."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HERE, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("this machine has no free port")


def answers(port: int) -> bool:
    """Whether an HTTP server answers at a port of this machine."""
    connection = http.client.HTTPConnection(HERE, port, timeout=ASK_S)
    try:
        connection.request("GET", "/api")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def tunnel_argv(target: _ssh.Target, here: int, there: int) -> list[str]:
    """The ssh that keeps a port open until its standard input ends.

    It has a connection of its own: what the shared one forwards stays open after the end of who asked for it.
    """
    own = ("ControlPath=none", "ControlMaster=no", "ExitOnForwardFailure=yes")
    target = replace(target, options=(*own, *target.options))
    return [*_ssh.ssh_base(target), "-L", f"{HERE}:{here}:{HERE}:{there}", "--", target.address, "cat"]


class Tunnel:
    """The tunnel to one port of one instance; `look` keeps it open.

    Args:
        remote: the instance.
        port: the port there, at 127.0.0.1.
        file: a file there whose first line is what follows host and port in the address; empty for /.
        tell: gets the address, once, when the server answers.
    """

    def __init__(
        self, remote: Remote, port: int, file: str, tell: Callable[[str], None], clock: Clock | None = None
    ) -> None:
        self.remote, self.port, self.file, self.tell = remote, port, file, tell
        self.clock = clock or Clock()
        self.here = 0
        self.child: subprocess.Popen[bytes] | None = None
        self.told = False
        self.due = 0.0
        self.pauses: Iterator[float] = backoff(*AGAIN)

    def look(self) -> None:
        """Open it where it is not, again where it was lost; tell the address when the server answers."""
        if self.child is not None and self.child.poll() is not None:
            self.stop()
        if self.child is None and self.clock.now() >= self.due:
            self.due = self.clock.now() + next(self.pauses)
            self._open()
        if self.child is None or self.told:
            return
        path = self._path()
        if path and answers(self.here):
            self.told = True
            self.pauses = backoff(*AGAIN)
            self.tell(f"http://{HERE}:{self.here}{path}")

    def stop(self) -> None:
        """Close it."""
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.wait(3)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        if self.child.stdin is not None:
            self.child.stdin.close()
        self.child = None

    def _open(self) -> None:
        # The same port again after a lost connection: a browser knows it.
        self.here = self.here or free_port(self.port)
        # Without our end of the pipe, whatever has ended us, ssh ends too.
        self.child = subprocess.Popen(
            tunnel_argv(self.remote.target, self.here, self.port),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _path(self) -> str:
        if not self.file:
            return "/"
        read = _ssh.remote_command("cat", "--", self.file)
        try:
            # The container may run as a user of its own, and nobody else may read it.
            text = self.remote.read(f"{read} 2>/dev/null || sudo -n {read} 2>/dev/null")
        except LostConnection:
            return ""
        return text.partition("\n")[0].strip()
