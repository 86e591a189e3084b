"""One machine as a container: how it is made, what is put into it before it boots."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab.aws.config import IMAGES
from lab.aws.machines import InstanceView
from lab.machines import nfs
from lab.machines.disks import Device, tmpfiles
from lab.machines.network import LABEL, host_name
from lab.machines.slots import Slot

INSTANCE_LABEL = f"{LABEL}.instance"
REBOOT_SIGNAL = "SIGRTMIN+5"  # Source: systemd(1), "Signals"
# What the kernel makes of reboot(2) in a PID namespace: init dies of SIGHUP. Source: pid_namespaces(7), reboot(2)
REBOOTED = 129
DOCKER = ("docker.service", "docker.socket", "containerd.service")
USER_DATA_MARK = "etc/cloud/lab-user-data"
TMPFILES = "etc/tmpfiles.d/ebs-devices.conf"
# systemd in a container passes over disks in /etc/fstab (systemd-fstab-generator), so what makes the nodes mounts them.
MOUNTS = "etc/systemd/system/systemd-tmpfiles-setup-dev.service.d/mount-disks.conf"

# The first thing systemd does to its console is to flush it (terminal_reset), and on a busy host that throws away what
# the image has printed before it. So the host keys are printed again when sshd runs, in one write that nothing splits.
HOST_KEYS = "etc/systemd/system/ssh.service.d/console.conf"
PRINT_HOST_KEYS = """\
[Service]
ExecStartPost=-/bin/sh -c 'printf "%%s\\n" "-----BEGIN SSH HOST KEY KEYS-----" "$$(cat /etc/ssh/ssh_host_*_key.pub)" \
"-----END SSH HOST KEY KEYS-----" >/dev/console'
"""


@dataclass(frozen=True)
class Login:
    """The user of the image who gets the key pair."""

    user: str = "admin"
    home: str = "/home/admin"
    uid: int = 1000
    gid: int = 1000


@dataclass(frozen=True)
class File:
    """A file or, with `data` None, a directory to be put into a machine; `path` without leading slash."""

    path: str
    data: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Image:
    """What machines boot from, and the host configuration the engine needs for them (docker Engine API HostConfig)."""

    tag: str
    host_config: dict[str, Any] = field(default_factory=dict)
    login: Login = field(default_factory=Login)
    command: tuple[str, ...] = ("/lib/systemd/systemd",)
    stop_signal: str = "SIGRTMIN+3"
    environment: dict[str, str] = field(default_factory=dict)


def volume_name(instance_id: str) -> str:
    """The docker volume that is a machine's /var/lib/docker: overlay filesystems do not stack."""
    return f"experiments-spot-lab-{instance_id}"


def specification(view: InstanceView, slot: Slot, image: Image) -> dict[str, Any]:
    """Body of POST /containers/create. Source: docker Engine API v1.41."""
    labels = {LABEL: slot.name, INSTANCE_LABEL: view.instance_id}
    mount = {
        "Type": "volume",
        "Source": volume_name(view.instance_id),
        "Target": "/var/lib/docker",
        "VolumeOptions": {"NoCopy": True, "Labels": {LABEL: slot.name}},
    }
    host_config = dict(image.host_config)
    shared = {"Type": "bind", "Source": str(slot.path / "efs"), "Target": nfs.INSIDE}
    host_config["Mounts"] = [*host_config.get("Mounts", []), shared, mount]
    host_config["NetworkMode"] = slot.network
    host_config["LogConfig"] = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}}
    return {
        "Image": image.tag,
        "Cmd": list(image.command),
        "Hostname": host_name(view.private_ip),
        "Labels": labels,
        "StopSignal": image.stop_signal,
        "Tty": True,
        "Env": [f"{key}={value}" for key, value in image.environment.items()],
        "HostConfig": host_config,
        "NetworkingConfig": {
            "EndpointsConfig": {slot.network: {"IPAMConfig": {"IPv4Address": view.private_ip}}},
        },
    }


def authorized_keys(login: Login, public_key: str) -> list[File]:
    """The key pair, where sshd looks for it."""
    if not public_key:
        return []
    home = login.home.strip("/")
    owner = {"uid": login.uid, "gid": login.gid}
    return [
        File(f"{home}/.ssh", None, 0o700, **owner),
        File(f"{home}/.ssh/authorized_keys", public_key.strip().encode() + b"\n", 0o600, **owner),
    ]


def user_data_mark(user_data: bytes) -> list[File]:
    """A sign for the image to run cloud-init, which fetches the data from IMDS; without it a boot is faster."""
    return [File(USER_DATA_MARK, b"")] if user_data else []


def without_docker(image_name: str) -> list[File]:
    """An empty unit file masks a unit. Source: systemd.unit(5)"""
    masked = any(image.name == image_name and not image.docker for image in IMAGES)
    return [File(f"etc/systemd/system/{unit}", b"") for unit in DOCKER] if masked else []


def console_files() -> list[File]:
    """Host keys on the console at every boot, whatever becomes of the image's own print."""
    return [File(HOST_KEYS, PRINT_HOST_KEYS.encode())]


def device_files(devices: Iterable[Device]) -> list[File]:
    """The disks a booting machine has from its first moment, mounted where its fstab says so."""
    return [
        File(TMPFILES, tmpfiles(devices).encode()),
        File(MOUNTS, b"[Service]\nExecStartPost=-/bin/mount --all --test-opts no_netdev\n"),
    ]


def archive(files: Iterable[File]) -> bytes:
    """Files as the tar that docker unpacks into a container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            info = tarfile.TarInfo(file.path)
            info.mode, info.uid, info.gid = file.mode, file.uid, file.gid
            if file.data is None:
                info.type = tarfile.DIRTYPE
            info.size = len(file.data or b"")
            tar.addfile(info, io.BytesIO(file.data or b""))
    return buffer.getvalue()
