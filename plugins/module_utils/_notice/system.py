# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The machine: commands with a deadline, units, the container of the job, mounts and what keeps them busy.

Part of the notice watcher on the instance. Nothing here waits on a file system that may hang: who uses a mount is read
from /proc by mount ids and texts of links, never by a stat of the file itself.
Source: proc(5), systemctl(1), umount(8), Docker Engine API ("ContainerInspect", "ContainerKill").
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from typing import Any, NamedTuple

DOCKER_SOCKET = "/var/run/docker.sock"
DOCKER_TIMEOUT = 5.0
PROC = "/proc"


def run(argv: list[str], timeout: float) -> tuple[int, str]:
    """Status and output of a command; 127 without it, 124 when it did not end in time: killed, and not waited for."""
    env = {**os.environ, "LC_ALL": "C"}
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror}"
    try:
        out, _none = child.communicate(timeout=max(0.1, timeout))
    except subprocess.TimeoutExpired:
        child.kill()
        return 124, f"{argv[0]} did not end within {timeout:.0f} s"
    return child.returncode, " ".join(out.split())


def read_json(path: str) -> dict[str, Any]:
    """A JSON object from a file, {} when it is missing, damaged or something else."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: str, document: dict[str, Any], sync: bool = False) -> None:
    """Write a file so that a reader sees the old or the new one; with `sync` it also survives the machine's end.

    Raises:
        OSError: it cannot be written.
    """
    folder = os.path.dirname(path)
    fd, temporary = tempfile.mkstemp(dir=folder, prefix=".notice-")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# ---- units and the container --------------------


def unit_state(unit: str) -> str:
    """What systemd calls the state of a unit: active, deactivating, inactive, failed …; '' where it is not known."""
    rc, out = run(["systemctl", "show", unit, "--property", "LoadState,ActiveState"], 10)
    found = dict(part.split("=", 1) for part in out.split() if "=" in part) if rc == 0 else {}
    return "" if found.get("LoadState") in (None, "not-found") else found.get("ActiveState", "")


def tell_systemd(state: str) -> None:
    """One word to systemd, where it has started us and wants it. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


class _DockerConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DOCKER_TIMEOUT)
        self.sock.connect(DOCKER_SOCKET)


def _docker(method: str, path: str) -> tuple[int, str]:
    connection = _DockerConnection("localhost")
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def container_id(name: str) -> str:
    """Id of a container, '' when there is none, or no engine."""
    status, text = _docker("GET", f"/containers/{name}/json") if name else (0, "")
    try:
        return str(json.loads(text)["Id"]) if status == 200 else ""
    except (ValueError, KeyError, TypeError):
        return ""


def kill_container(name: str) -> bool:
    """SIGKILL to a container; says whether the engine did it."""
    return bool(name) and _docker("POST", f"/containers/{name}/kill")[0] == 204


# ---- processes --------------------


def processes() -> list[tuple[str, str]]:
    """Id and name of each process."""
    found = ((name, _read(name, "comm").strip()) for name in _list() if name.isdigit())
    return sorted((pid, name) for pid, name in found if name)


def command_line(pid: str) -> str:
    """Command line of a process, its words ended by NUL, or what the process calls itself; '' when it is gone."""
    return _read(pid, "cmdline")


def statistics() -> str:
    """Counters of the kernel. Source: proc_stat(5)."""
    return _read("stat")


# ---- mounts --------------------


class Mount(NamedTuple):
    """One line of mountinfo: id, device as major:minor, mount point."""

    id: str
    device: str
    point: str


class Holder(NamedTuple):
    """A process that uses a file system, and how."""

    pid: int
    name: str
    how: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, {self.how})"


def parse_mountinfo(text: str) -> list[Mount]:
    """Mounts of a mountinfo file."""
    fields = (line.split(" ") for line in text.splitlines())
    return [Mount(part[0], part[2], _plain(part[4])) for part in fields if len(part) > 4]


def _plain(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), path)


def _read(*parts: str) -> str:
    try:
        with open(os.path.join(PROC, *parts), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _link(*parts: str) -> str:
    try:
        return os.readlink(os.path.join(PROC, *parts))
    except OSError:
        return ""


def _list(*parts: str) -> list[str]:
    try:
        return os.listdir(os.path.join(PROC, *parts))
    except OSError:
        return []


def mounts() -> list[Mount]:
    """Mounts of the machine, as this process sees them."""
    return parse_mountinfo(_read("self", "mountinfo"))


def mount_at(point: str) -> Mount | None:
    """What is mounted at a path, the topmost one."""
    return next((mount for mount in reversed(mounts()) if mount.point == point), None)


def mounts_below(point: str) -> list[str]:
    """Mount points below a mount point."""
    return sorted({mount.point for mount in mounts() if mount.point.startswith(f"{point.rstrip('/')}/")})


def holders(device: str, marks: list[str]) -> list[Holder]:
    """Processes that keep a file system busy: first those that use it, then those that only have it in a name space.

    Services of the system have name spaces of their own and so every mount that was there when they started.

    Args:
        device: major:minor of the file system.
        marks: what stands in the control group of the job's own processes (its unit, its container's id).
    """
    seen: dict[str, list[Mount]] = {}
    own = _link("self", "ns", "mnt")
    users: list[Holder] = []
    idle: dict[str, Holder] = {}
    for pid in sorted(int(name) for name in _list() if name.isdigit()):
        space = _link(str(pid), "ns", "mnt")
        if space not in seen:
            seen[space] = [m for m in parse_mountinfo(_read(str(pid), "mountinfo")) if m.device == device]
        how = uses(str(pid), seen[space], device) if seen[space] and pid != os.getpid() else ""
        if how:
            users.append(_holder(pid, how, marks))
        # A container without an open file keeps the device as well; its first process stands for it.
        elif seen[space] and space not in (own, *idle):
            idle[space] = _holder(pid, f"mounted in its name space at {seen[space][0].point}", marks)
    return [*users, *idle.values()]


def _holder(pid: int, how: str, marks: list[str]) -> Holder:
    group = _read(str(pid), "cgroup")
    return Holder(pid, _read(str(pid), "comm").strip() or "?", how, any(mark and mark in group for mark in marks))


def uses(pid: str, found: list[Mount], device: str) -> str:
    """How a process uses one of these mounts of its name space, '' when it does not."""
    points, ids = [mount.point for mount in found], {mount.id for mount in found}
    for link in ("cwd", "root"):
        path = _link(pid, link)
        if any(path == point or path.startswith(f"{point.rstrip('/')}/") for point in points):
            return f"{link} {path}"
    for number in _list(pid, "fd"):
        if _mount_id(pid, number) in ids:
            return f"open {_link(pid, 'fd', number)}"
    return _mapped(_read(pid, "maps"), device)


def _mount_id(pid: str, number: str) -> str:
    found = re.search(r"^mnt_id:\s*(\d+)", _read(pid, "fdinfo", number), re.MULTILINE)
    return found.group(1) if found else ""


def _mapped(maps: str, device: str) -> str:
    major, _colon, minor = device.partition(":")
    sign = f" {int(major):02x}:{int(minor):02x} "
    line = next((line for line in maps.splitlines() if sign in line), "")
    return f"mapped {line.split(maxsplit=5)[-1]}" if line else ""


def kill(pid: int) -> None:
    """SIGKILL; a process that is gone is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def unmount(point: str, timeout: float) -> str:
    """Unmount in order, never lazily: data that is not written yet would be lost by a detach.

    Returns:
        What umount says when it did not work; only `mount_at` tells whether it did.
    """
    rc, out = run(["umount", point], timeout)
    return out if rc else ""
