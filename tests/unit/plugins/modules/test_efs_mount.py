"""efs_mount without a file system: options, order, faults. The real mounts: molecule/efs, tests/integration/efs."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import probe
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import Mount
from ansible_collections.experiments.spot.plugins.module_utils._efs import mount as plans
from ansible_collections.experiments.spot.plugins.modules import efs_mount

PARAMS: dict[str, Any] = {
    "name": "team",
    "file_system_id": "fs-0123456789abcdef0",
    "dns_name": None,
    "address": "127.0.0.1",
    "path": "/",
    "access_point_id": None,
    "transit_encryption": "none",
    "options": "",
    "read_only": False,
    "owner": None,
    "group": None,
    "mode": "0750",
    "timeout": 5,
    "state": "mounted",
}


class Module:
    """Options and nothing else."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self.params = {**PARAMS, **params}
        self.check_mode = check_mode


class Machine:
    """A machine whose mounts are in a list; commands are remembered. `fail` maps a command to its answer."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = tmp_path / "mnt"
        self.fstab = tmp_path / "fstab"
        self.mounts: list[Mount] = []
        self.ran: list[list[str]] = []
        self.fail: dict[str, list[Any]] = {}
        monkeypatch.setattr(efs_mount, "FSTAB", str(self.fstab))
        monkeypatch.setattr(efs_mount, "LOCK", str(tmp_path / "lock"))
        monkeypatch.setattr(efs_mount, "HELPERS", (str(tmp_path),))
        monkeypatch.setattr(efs_mount, "run", self.run)
        monkeypatch.setattr(probe, "read_mounts", lambda _root="/": list(self.mounts))
        (tmp_path / "mount.nfs4").touch()

    def run(self, argv: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        self.ran.append(argv)
        answers = self.fail.get(argv[0], [])
        answer = answers.pop(0) if answers else None
        if answer == "hangs":
            raise subprocess.TimeoutExpired(argv, seconds)
        if answer:
            return subprocess.CompletedProcess(argv, 32, "", answer)
        if argv[0] == "mount":
            self.mounts.append(Mount(argv[-1], "0:1", argv[-2], argv[2], "rw"))
        if argv[0] == "umount":
            self.mounts = [one for one in self.mounts if one.mount_point != argv[-1]]
        return subprocess.CompletedProcess(argv, 0, "", "")

    def do(self, check_mode: bool = False, **params: Any) -> dict[str, Any]:
        return efs_mount.do(Module(check_mode, **{"mount_point": str(self.place), **params}))  # type: ignore[arg-type]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(plans, "NFS_PORT", listener.getsockname()[1])
        yield listener


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_mounted_once_written_once(machine: Machine, server: Any) -> None:
    predicted = machine.do(check_mode=True)
    assert (predicted["changed"], machine.ran, machine.place.exists()) == (True, [], False)
    done = machine.do()
    assert done["steps"] == ["mkdir", "reach", "mount", "fstab", "owner"]
    assert predicted["diff"] == done["diff"]
    options = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"
    assert machine.ran == [["mount", "-t", "nfs4", "-o", f"{options},_netdev", "127.0.0.1:/", str(machine.place)]]
    assert (done["spec"], done["encrypted_in_transit"]) == ("127.0.0.1:/", False)
    assert machine.place.stat().st_mode & 0o777 == 0o750
    again = machine.do()
    assert (again["changed"], again["steps"]) == (False, [])
    assert machine.fstab.read_text().count("x-spot.file-system=team") == 1


@pytest.mark.slow
def test_a_server_that_comes_late_is_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe_socket:
        port = probe_socket.getsockname()[1]
    monkeypatch.setattr(plans, "NFS_PORT", port)
    late: list[socket.socket] = []

    def serve() -> None:
        time.sleep(1.2)
        late.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=serve)
    thread.start()
    assert "mount" in machine.do(timeout=30)["steps"]
    thread.join()
    late[0].close()


def test_a_port_that_stays_closed_is_said_and_nothing_is_mounted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe_socket:
        monkeypatch.setattr(plans, "NFS_PORT", probe_socket.getsockname()[1])
    with pytest.raises(efs_mount.StepError, match=r"cannot be reached on port .* no NFS server listens there"):
        machine.do(timeout=0)
    assert machine.ran == []
    assert not machine.fstab.exists()


def test_a_mount_that_hangs_ends_in_words(machine: Machine, server: Any) -> None:
    machine.fail["mount"] = ["hangs"]
    with pytest.raises(efs_mount.StepError, match="timed out after 5 s; the mount target did not answer"):
        machine.do()
    assert not machine.fstab.exists()


def test_a_directory_that_is_missing_is_made_through_the_root(machine: Machine, server: Any) -> None:
    machine.fail["mount"] = ["mount.nfs4: mounting failed, reason given by server: No such file or directory"]
    machine.do(path="/projects/one")
    specs = [argv[-2] for argv in machine.ran if argv[0] == "mount"]
    assert specs == ["127.0.0.1:/projects/one", "127.0.0.1:/", "127.0.0.1:/projects/one"]
    assert [one.mount_point for one in machine.mounts] == [str(machine.place)]


def test_a_server_that_is_gone_is_told_from_a_mount_that_is_missing(machine: Machine, server: Any) -> None:
    machine.do()
    machine.fail["stat"] = ["hangs"]
    with pytest.raises(efs_mount.StepError, match="its server has not answered for 10 s; programs that use it wait"):
        machine.do()


def test_busy_is_no_reason_to_be_lazy(machine: Machine, server: Any) -> None:
    machine.do()
    machine.fail["umount"] = ["umount: /mnt: target is busy."]
    with pytest.raises(efs_mount.StepError, match=r"was not unmounted: .*busy"):
        machine.do(state="unmounted")
    assert ["umount", str(machine.place)] in machine.ran
    assert not any("-l" in argv for argv in machine.ran)


def test_all_of_ours_are_unmounted_inner_ones_first(machine: Machine, server: Any, tmp_path: Path) -> None:
    machine.do()
    machine.do(mount_point=f"{machine.place}/inner")
    machine.fstab.write_text(machine.fstab.read_text() + "server:/home /home nfs4 _netdev 0 0\n")
    machine.ran.clear()
    done = machine.do(mount_point=None, state="unmounted")
    assert [argv for argv in machine.ran if argv[0] == "umount"] == [
        ["umount", f"{machine.place}/inner"],
        ["umount", str(machine.place)],
    ]
    assert done["changed"] is True
    assert machine.do(mount_point=None, state="unmounted")["changed"] is False


def test_absent_leaves_fstab_as_it_was(machine: Machine, server: Any) -> None:
    machine.fstab.write_text("UUID=1 / ext4 defaults 0 1\n")
    machine.do()
    done = machine.do(state="absent")
    assert done["steps"] == ["unmount", "fstab", "rmdir"]
    assert machine.fstab.read_text() == "UUID=1 / ext4 defaults 0 1\n"
    assert not machine.place.exists()


def test_all_mistakes_of_the_options_are_one_error(machine: Machine) -> None:
    with pytest.raises(efs_mount.StepError) as error:
        machine.do(owner="nobody-knows", mode="9")
    assert "'nobody-knows' does not exist" in str(error.value)
    assert "is not octal" in str(error.value)
