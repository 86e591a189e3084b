"""File systems of the lab: directories by address, a server or a port that answers, nothing left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lab.machines import nfs
from lab.machines.slots import Slot

ADDRESS = "127.0.0.1"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    seen: list[list[str]] = []
    monkeypatch.setattr(nfs, "run", lambda argv: seen.append(list(argv)) or "")
    monkeypatch.setattr(nfs, "attempt", lambda argv: seen.append(list(argv)) or True)
    return seen


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    with socket.create_server((ADDRESS, 0)) as server:
        number = int(server.getsockname()[1])
    monkeypatch.setattr(nfs, "NFS_PORT", number)
    monkeypatch.setattr(nfs.shutil, "which", lambda _name: None)
    return number


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot("demo", 3, "10.203.0.0/16", str(tmp_path))


def test_an_address_leads_to_the_files_and_its_port_answers(slot: Slot, commands: list[list[str]], port: int) -> None:
    systems = nfs.FileSystems(slot)
    systems.add("fs-1", ADDRESS)
    (slot.path / "efs/fs-1/note").write_text("x")
    assert (slot.path / "efs" / ADDRESS / "note").read_text() == "x"
    socket.create_connection((ADDRESS, port), timeout=5).close()
    assert commands == [["ip", "address", "replace", f"{ADDRESS}/32", "dev", "br-spotlab3"]]

    systems.remove(ADDRESS)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((ADDRESS, port), timeout=5)
    assert not (slot.path / "efs" / ADDRESS).exists()
    assert (slot.path / "efs/fs-1/note").exists()
    systems.delete("fs-1")
    assert list((slot.path / "efs").iterdir()) == []


def test_clear_and_down_leave_nothing(slot: Slot, commands: list[list[str]], port: int) -> None:
    systems = nfs.FileSystems(slot)
    systems.add("fs-1", ADDRESS)
    systems.clear()
    assert list((slot.path / "efs").iterdir()) == []
    nfs.end_all(slot)
    assert not (slot.path / "efs").exists()
    assert not (slot.path / "nfs").exists()


def test_a_server_has_the_files_of_its_file_system_and_a_state_of_its_own(tmp_path: Path) -> None:
    text = nfs.config(tmp_path / "fs-1", "10.0.0.9", tmp_path / "state")
    assert f"Path = {tmp_path}/fs-1;" in text
    assert "Bind_addr = 10.0.0.9; NFS_Port = 2049;" in text
    assert f'RecoveryRoot = "{tmp_path}/state"' in text


def test_only_a_server_is_ended_by_a_process_id(tmp_path: Path) -> None:
    """A number that was used again belongs to somebody else: here to this very test."""
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    nfs.end(tmp_path)
    assert not tmp_path.exists()
