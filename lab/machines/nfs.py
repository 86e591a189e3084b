"""EFS behind the API: a directory of the host for each file system, served at the addresses of its mount targets.

Machines get all of it at `/lab/efs`, by address of the mount target: where the host's kernel has no NFS client, the
mount helper of the machine image binds it from there (`image/rootfs/usr/local/sbin/lab-mount-nfs4`). Port 2049 of an
address is served by nfs-ganesha where the host has it, as real NFS 4.1; elsewhere it only answers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

from lab.machines import process
from lab.machines.network import NFS_PORT
from lab.machines.shell import attempt, run
from lab.machines.slots import Slot

LOG = logging.getLogger(__name__)
INSIDE = "/lab/efs"  # where machines see the directory
SERVER = "ganesha.nfsd"

# Source: nfs-ganesha, "ganesha-core-config", "ganesha-export-config"; one server an address, each with its own state.
CONFIG = """\
NFS_CORE_PARAM {{ Protocols = 4; Bind_addr = {address}; NFS_Port = {port}; Enable_NLM = false; Enable_RQUOTA = false;
                  mount_path_pseudo = true; }}
NFSV4 {{ Grace_Period = 1; Graceless = true; Minor_Versions = 0, 1, 2; Only_Numeric_Owners = true;
         RecoveryBackend = fs; RecoveryRoot = "{state}"; }}
EXPORT {{ Export_Id = 1; Path = {directory}; Pseudo = /; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
          Protocols = 4; Transports = TCP; FSAL {{ Name = VFS; }} CLIENT {{ Clients = *; Access_Type = RW; }} }}
LOG {{ Default_Log_Level = EVENT; }}
"""


def config(directory: Path, address: str, state: Path, port: int = NFS_PORT) -> str:
    """Configuration of the NFS server of one mount target."""
    return CONFIG.format(directory=directory, address=address, state=state, port=port)


def command(folder: Path) -> list[str]:
    """The server in the foreground, with the files of its folder."""
    return [SERVER, "-F", "-f", str(folder / "conf"), "-L", str(folder / "log"), "-p", str(folder / "pid")]


class FileSystems:
    """The file systems of one lab."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.data = slot.path / "efs"
        self.servers = slot.path / "nfs"
        self.listeners: dict[str, socket.socket] = {}
        self._lock = threading.RLock()
        for directory in (self.data, self.servers):
            directory.mkdir(parents=True, exist_ok=True)

    def add(self, file_system_id: str, address: str) -> None:
        """Serve a file system at an address of the VPC."""
        with self._lock:
            (self.data / file_system_id).mkdir(exist_ok=True)
            link = self.data / address
            link.unlink(missing_ok=True)
            link.symlink_to(file_system_id)
            run(["ip", "address", "replace", f"{address}/32", "dev", self.slot.bridge])
            if shutil.which(SERVER):
                self._serve(self.data / file_system_id, address)
            else:
                self._answer(address)
            LOG.info("%s at %s", file_system_id, address)

    def _serve(self, directory: Path, address: str) -> None:
        folder = self.servers / address
        (folder / "state").mkdir(parents=True, exist_ok=True)
        (folder / "conf").write_text(config(directory, address, folder / "state"))
        with open(folder / "out", "ab") as out:
            subprocess.Popen(command(folder), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def _answer(self, address: str) -> None:
        """A port that answers and says nothing, for those who look whether it is open."""
        listener = socket.create_server((address, NFS_PORT))
        self.listeners[address] = listener
        threading.Thread(target=_hang_up, args=(listener,), name=f"nfs {address}", daemon=True).start()

    def remove(self, address: str) -> None:
        """Serve nothing there any more."""
        with self._lock:
            end(self.servers / address)
            listener = self.listeners.pop(address, None)
            if listener:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            (self.data / address).unlink(missing_ok=True)
            attempt(["ip", "address", "del", f"{address}/32", "dev", self.slot.bridge])

    def delete(self, file_system_id: str) -> None:
        """Forget the data."""
        shutil.rmtree(self.data / file_system_id, ignore_errors=True)

    def clear(self) -> None:
        """Forget everything."""
        for link in [path for path in self.data.iterdir() if path.is_symlink()]:
            self.remove(link.name)
        for directory in self.data.iterdir():
            self.delete(directory.name)


def _hang_up(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()


def end(folder: Path) -> None:
    """End the server of one mount target, by the process id that it has written down."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / "pid").read_text())
        if process.stat_fields(pid)[1:2] == [SERVER]:
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def end_all(slot: Slot) -> None:
    """End every server of a lab, also after a crash, and remove its files."""
    for folder in (slot.path / "nfs").glob("*"):
        end(folder)
    shutil.rmtree(slot.path / "nfs", ignore_errors=True)
    shutil.rmtree(slot.path / "efs", ignore_errors=True)
