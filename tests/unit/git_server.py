"""Real git servers for the tests: one over SSH (an sshd of its own), one over HTTP with a login (git http-backend)."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
IDENTITY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *argv: str, **env: str) -> str:
    """Runs git; its output."""
    command = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", "-C", str(folder), *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **IDENTITY, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    """Commits a file; the commit."""
    (folder / name).write_text(text)
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--message", name)
    return git(folder, "rev-parse", "HEAD")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@dataclass
class Repo:
    """A bare repository and a clone of it that pushes."""

    bare: Path
    work: Path
    commits: list[str] = field(default_factory=list)

    def push(self, name: str, text: str, branch: str = "main") -> str:
        self.commits.append(commit(self.work, name, text))
        git(self.work, "push", "--quiet", "origin", f"HEAD:{branch}")
        return self.commits[-1]


def make_repo(folder: Path, name: str = "train") -> Repo:
    bare, work = folder / f"{name}.git", folder / f"{name}-work"
    for path, more in ((bare, ["--bare"]), (work, [])):
        path.mkdir(parents=True)
        git(path, "init", "--quiet", *more)
    git(work, "remote", "add", "origin", str(bare))
    repo = Repo(bare, work)
    repo.push("train.py", "print('first')\n")
    return repo


@dataclass
class SshServer:
    """An sshd that lets one key in."""

    port: int
    key: Path
    host_key: str
    host: str = "127.0.0.1"

    def url(self, repo: Repo) -> str:
        return f"ssh://{getpass.getuser()}@{self.host}:{self.port}{repo.bare}"

    @property
    def known_hosts(self) -> str:
        return f"[{self.host}]:{self.port} {self.host_key}"


@contextlib.contextmanager
def ssh_server(folder: Path, host: str = "127.0.0.1", listen: str = "127.0.0.1") -> Iterator[SshServer]:
    """Yields a server, which clients find as `host`."""
    folder.mkdir(mode=0o700)
    own, user, port = key(folder / "host"), key(folder / "deploy"), free_port()
    shutil.copy(f"{user}.pub", folder / "authorized")
    options = {
        "Port": port, "ListenAddress": listen, "HostKey": own, "AuthorizedKeysFile": folder / "authorized",
        "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "UsePAM": "no", "StrictModes": "no",
        "PermitRootLogin": "yes", "PidFile": "none",
    }  # fmt: skip
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    try:
        for _attempt in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        kind, text, *_comment = Path(f"{own}.pub").read_text().split()
        yield SshServer(port, user, f"{kind} {text}", host)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def http_server(root: Path, user: str, password: str) -> Iterator[tuple[str, list[str]]]:
    """A git server over HTTP; its address, and the paths that were asked for with the right login."""
    seen: list[str] = []
    login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            del format, args

        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def answer(self, body: bytes) -> None:
            if self.headers.get("Authorization") != login:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            seen.append(self.path)
            path, _sign, query = self.path.partition("?")
            env = {
                "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "REMOTE_USER": user,
                "PATH": os.environ["PATH"], **IDENTITY,
            }  # fmt: skip
            done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=False, env=env)
            head, _gap, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
