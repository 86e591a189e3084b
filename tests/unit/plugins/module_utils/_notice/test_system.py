"""Commands with a deadline, mounts and who keeps them busy: real processes, and a /proc of files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import system


def test_commands() -> None:
    assert system.run(["sh", "-c", "echo a; echo b >&2; exit 3"], 10) == (3, "a b")
    assert system.run(["no-such-program"], 10)[0] == 127
    rc, text = system.run(["sleep", "60"], 0.2)
    assert rc == 124 and "did not end" in text


def test_systemd_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    system.tell_systemd("READY=1")
    for address in (str(tmp_path / "notify"), f"@{tmp_path}/abstract"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(address.replace("@", "\0", 1))
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            system.tell_systemd("READY=1")
            assert systemd.recv(100) == b"READY=1"


def test_json_files(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    assert system.read_json(path) == {}
    system.write_json(path, {"a": 1}, sync=True)
    assert system.read_json(path) == {"a": 1} and os.stat(path).st_mode & 0o777 == 0o644
    Path(path).write_text("[1]")
    assert system.read_json(path) == {}
    with pytest.raises(OSError):
        system.write_json(str(tmp_path / "none/x.json"), {})
    with pytest.raises(TypeError):
        system.write_json(path, {"a": object()})
    assert os.listdir(tmp_path) == ["x.json"], "nothing half-written stays"


def test_unit_state(machine: Any) -> None:
    assert system.unit_state("x.service") == ""
    machine.ended_job()
    assert system.unit_state("x.service") == "inactive"
    machine.start_job()
    assert system.unit_state("x.service") == "active"


def test_mounts(machine: Any) -> None:
    machine.mount("/data", "/data/in\\040ner", "/data2", "/data")
    assert system.mount_at("/data") == system.Mount("34", "259:4", "/data"), "the topmost"
    assert system.mount_at("/nothing") is None
    assert system.mounts_below("/data") == ["/data/in ner"]
    assert system.unmount("/data2", 10) == "" and system.mount_at("/data2") is None
    (machine.root / "busy").touch()
    assert "busy" in system.unmount("/data", 10) and system.mount_at("/data")


MINE = "31 1 259:1 / /data rw - ext4 /dev/nvme1n1 rw\n"


def test_who_uses_a_mount(machine: Any) -> None:
    machine.mount("/data")
    space = {"mountinfo": MINE, "ns__mnt": "mnt:[1]"}
    machine.process(10, cwd="/data/x", **space)
    machine.process(11, fd__3="", fdinfo__3="pos:\t0\nmnt_id:\t31\n", **space)
    machine.process(
        12, maps="7f-7f r--p 00000000 103:01 42   /data/lib.so\n", cgroup="0::/job.slice/x.service\n", **space
    )
    machine.process(13, cwd="/database", fd__1="", fdinfo__1="mnt_id:\t29\n", maps="7f-7f r--p 0 08:01 4 /x\n", **space)
    # a container that only has it mounted, by two processes
    machine.process(20, mountinfo=MINE.replace("/data", "/in"), ns__mnt="mnt:[2]", cgroup="0::/docker-abc.scope\n")
    machine.process(21, mountinfo=MINE.replace("/data", "/in"), ns__mnt="mnt:[2]")
    machine.process(30, mountinfo="31 1 8:1 / / rw - ext4 x rw\n", ns__mnt="mnt:[3]", cwd="/data")
    found = system.holders("259:1", ["x.service", "abc", ""])
    assert [(holder.pid, holder.ours) for holder in found] == [(10, False), (11, False), (12, True), (20, True)]
    assert "cwd /data/x" in str(found[0]) and "mapped /data/lib.so" in str(found[2]) and "at /in" in str(found[3])
    assert system.holders("259:9", []) == []


def test_who_uses_it_comes_before_who_only_has_it_in_its_name_space(machine: Any) -> None:
    machine.mount("/data")
    machine.process(5, mountinfo=MINE, ns__mnt="mnt:[2]")  # a service that started after the mount
    machine.process(6, mountinfo=MINE, ns__mnt="mnt:[2]", cwd="/data")
    machine.process(10, mountinfo=MINE, ns__mnt="mnt:[1]", cwd="/data/x")
    assert [holder.pid for holder in system.holders("259:1", [])] == [6, 10, 5]


def test_a_real_process_with_an_open_file(tmp_path: Path) -> None:
    shared = system.mount_at("/dev/shm")
    if shared is None:
        pytest.skip("no file system at /dev/shm here")
    path = f"/dev/shm/notice-{os.getpid()}"
    program = f"import time; file = open({path!r}, 'w'); print('up', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "up\n"
            holder = next(one for one in system.holders(shared.device, []) if one.pid == child.pid)
            assert path in holder.how and not holder.ours
            system.kill(child.pid)
            assert child.wait(30) == -9
            system.kill(child.pid)
        finally:
            child.kill()
            os.unlink(path)


class Engine(BaseHTTPRequestHandler):
    """The engine's socket with one container."""

    def do_GET(self) -> None:
        is_known = self.path.startswith("/containers/job/")
        body = json.dumps({"Id": "abc"}).encode() if is_known else b"{}"
        self.send_response(204 if self.command == "POST" and is_known else 200 if is_known else 404)
        self.send_header("Content-Length", "0" if self.command == "POST" else str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_POST = do_GET

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_args: Any) -> None:
        """Quiet."""


def test_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "DOCKER_SOCKET", str(tmp_path / "d.sock"))
    assert system.container_id("job") == "" and not system.kill_container("job"), "no engine"
    with ThreadingUnixStreamServer(str(tmp_path / "d.sock"), Engine) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert system.container_id("job") == "abc" and system.kill_container("job")
        assert system.container_id("none") == "" and not system.kill_container("none")
        assert system.container_id("") == "" and not system.kill_container("")
        server.shutdown()
