# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an instance mounts a file system: pure functions from what was read to steps, or to the reasons why not.

PRIVATE to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._ebs.plan import check_mount_point
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import Mount

# Source: EFS user guide, "Recommended NFS mount settings".
NFS_OPTIONS = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"
# A machine must boot without its file system, and mount it when there is a network. Source: systemd.mount(5).
ALWAYS = ("_netdev", "nofail")
# Comment option by which an entry of ours is known. Source: mount(8), "Options prefixed x- are … comments".
MARK = "x-spot.file-system"
NFS_PORT = 2049


@dataclass(frozen=True)
class Wanted:
    """The options of the module. `address` is that of the mount target of this zone, `mode` a number."""

    name: str
    mount_point: str = ""
    file_system_id: str = ""
    dns_name: str = ""
    address: str = ""
    path: str = "/"
    access_point_id: str = ""
    transit_encryption: str = "auto"
    options: str = ""
    read_only: bool = False
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    state: str = "mounted"
    timeout: int = 60


@dataclass(frozen=True)
class Machine:
    """What was read: mount helpers, whether the DNS name leads somewhere, fstab, the mounts at the mount point."""

    helper: bool = False
    nfs: bool = True
    resolves: bool = False
    fstab: str = ""
    mounted: Mount | None = None
    exists: bool = False
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None


@dataclass
class Plan:
    """Errors (then nothing is done), steps in order, the entry of fstab and the text to be written."""

    errors: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    entry: fstab.Entry | None = None
    fstab_text: str = ""


def uses_helper(wanted: Wanted, machine: Machine) -> bool:
    """Whether amazon-efs-utils mounts it, encrypted in transit; otherwise plain NFS does."""
    if wanted.transit_encryption == "none":
        return False
    return wanted.transit_encryption == "required" or bool(wanted.access_point_id) or machine.helper


def client_errors(wanted: Wanted, machine: Machine) -> list[str]:
    """What keeps this machine from mounting it as wanted."""
    if uses_helper(wanted, machine):
        if machine.helper:
            return []
        why = "an access point" if wanted.access_point_id else "transit_encryption required"
        return [
            f"{wanted.name}: {why} needs amazon-efs-utils, which this machine does not have and its package manager "
            "does not offer; use an image that has it (Amazon Linux: dnf install amazon-efs-utils), or do without it: "
            "path, owner and mode give a directory of its own too, over plain NFS inside the VPC"
        ]
    if wanted.access_point_id:
        return [f"{wanted.name}: an access point is used only with encryption in transit; remove transit_encryption"]
    if not machine.nfs:
        return [f"{wanted.name}: mount.nfs4 is not on this machine; install nfs-common (Debian) or nfs-utils"]
    return []


def merged(*parts: str) -> str:
    """Mount options, later ones in the place of earlier ones of the same name, without repeats."""
    chosen: dict[str, str] = {}
    for option in ",".join(part for part in parts if part).split(","):
        if option:
            name = option.partition("=")[0]
            chosen[_KIND.get(name, name)] = option
    return ",".join(chosen.values())


# Options that exclude each other are one option with different names.
_KIND = {"hard": "hard", "soft": "hard", "ro": "rw", "noresvport": "resvport", "vers": "nfsvers"}


def entry(wanted: Wanted, machine: Machine) -> fstab.Entry:
    """The line of fstab that mounts it, at boot too."""
    own = merged("ro" if wanted.read_only else "", *ALWAYS, f"{MARK}={wanted.name}")
    if uses_helper(wanted, machine):
        options = ["tls"]
        if wanted.access_point_id:
            options.append(f"accesspoint={wanted.access_point_id}")
        if not machine.resolves and wanted.address:
            options.append(f"mounttargetip={wanted.address}")
        return fstab.Entry(
            f"{wanted.file_system_id}:{wanted.path}", wanted.mount_point, "efs", merged(*options, wanted.options, own)
        )
    server = wanted.dns_name if machine.resolves else wanted.address
    options_text = merged(NFS_OPTIONS, wanted.options, own)
    return fstab.Entry(f"{server}:{wanted.path}", wanted.mount_point, "nfs4", options_text)


def ours(line: fstab.Entry | None) -> bool:
    """Whether a line of fstab was written by this collection for a file system."""
    return line is not None and any(option.startswith(f"{MARK}=") for option in line.options.split(","))


def our_entries(text: str) -> list[fstab.Entry]:
    """Our lines, those of inner mount points first, as they must be unmounted."""
    found = [line for line in map(fstab.parse_line, text.splitlines()) if line and ours(line)]
    return sorted(found, key=lambda line: line.mount_point, reverse=True)


def plan_mounted(wanted: Wanted, machine: Machine) -> Plan:
    """Steps to have it mounted: mkdir, unmount (changed options), reach, mount, fstab, owner.

    What is mounted is compared by fstab: amazon-efs-utils mounts from a proxy on the machine itself, so the kernel's
    own table does not name the file system.
    """
    errors = [*check_mount_point(wanted.mount_point), *client_errors(wanted, machine)]
    if not machine.resolves and not wanted.address and not errors:
        errors = [
            f"{wanted.name}: {wanted.dns_name or 'the file system'} has no address here: it has no mount target in "
            "this zone, or the VPC has DNS resolution switched off; make a mount target in this zone"
        ]
    old = fstab.find_entry(machine.fstab, wanted.mount_point)
    if machine.mounted and not ours(old):
        errors.append(
            f"mount_point {wanted.mount_point} is in use by {machine.mounted.source} ({machine.mounted.fs_type}); "
            f"choose another mount_point for {wanted.name}, or unmount that first"
        )
    if errors:
        return Plan(errors=errors)
    new = entry(wanted, machine)
    text = machine.fstab if old == new else fstab.with_entry(machine.fstab, new)
    mounted = machine.mounted is not None
    again = mounted and old != new
    steps = (
        ("mkdir", not machine.exists),
        ("unmount", again),
        ("reach", not mounted or again),
        ("mount", not mounted or again),
        ("fstab", text != machine.fstab),
        ("owner", not wanted.read_only and (again or not mounted or owner_differs(wanted, machine))),
    )
    return Plan([], [name for name, needed in steps if needed], new, text)


def owner_differs(wanted: Wanted, machine: Machine) -> bool:
    """Whether owner, group or mode of the mounted directory is not as wanted."""
    if wanted.access_point_id:  # the access point decides who everybody is
        return False
    pairs = ((wanted.uid, machine.uid), (wanted.gid, machine.gid), (wanted.mode, machine.mode))
    return any(want is not None and want != have for want, have in pairs)


def plan_unmounted(wanted: Wanted, machine: Machine) -> Plan:
    """Steps to have one unmounted; `absent` also forgets it in fstab and removes the empty directory."""
    old = fstab.find_entry(machine.fstab, wanted.mount_point)
    if machine.mounted and not ours(old):
        return Plan(errors=[f"mount_point {wanted.mount_point} is not a file system of ours; nothing was unmounted"])
    absent = wanted.state == "absent"
    text = fstab.without_mount_point(machine.fstab, wanted.mount_point) if absent and ours(old) else machine.fstab
    steps = (
        ("unmount", machine.mounted is not None),
        ("fstab", text != machine.fstab),
        ("rmdir", absent and ours(old) and machine.exists),
    )
    return Plan([], [name for name, needed in steps if needed], old, text)


def state_of(wanted: Wanted, machine: Machine) -> dict[str, Any]:
    """The state before, for the diff."""
    line = fstab.find_entry(machine.fstab, wanted.mount_point)
    mounted = machine.mounted is not None
    return {
        "mounted": f"{line.spec if line else '?'} on {wanted.mount_point}" if mounted else None,
        "fstab": fstab.render(line) if line else None,
        "uid": machine.uid if mounted else None,
        "gid": machine.gid if mounted else None,
        "mode": f"{machine.mode:04o}" if mounted and machine.mode is not None else None,
    }


def predict(before: dict[str, Any], wanted: Wanted, plan: Plan) -> dict[str, Any]:
    """The state after the steps."""
    after = dict(before)
    line = fstab.find_entry(plan.fstab_text, wanted.mount_point)
    after["fstab"] = fstab.render(line) if line else None
    if "mount" in plan.steps and plan.entry:
        after["mounted"] = f"{plan.entry.spec} on {wanted.mount_point}"
    elif "unmount" in plan.steps:
        after.update(mounted=None, uid=None, gid=None, mode=None)
    if "owner" in plan.steps and not wanted.access_point_id:
        known = {
            "uid": wanted.uid,
            "gid": wanted.gid,
            "mode": None if wanted.mode is None else f"{wanted.mode:04o}",
        }
        after.update({key: value for key, value in known.items() if value is not None})
    return after


# What went wrong, in words


def unreachable(wanted: Wanted, server: str, reason: str) -> str:
    """Why the port of NFS does not answer, and what to look at."""
    why = {
        "timeout": "no answer: a security group or network ACL between this instance and the mount target does not let "
        f"TCP port {NFS_PORT} through, or there is no mount target any more at this address",
        "refused": "the address refuses the connection: no NFS server listens there",
        "dns": "its name has no address: the VPC needs DNS resolution and DNS hostnames, or there is no mount target "
        "in this zone",
    }.get(reason, reason)
    return (
        f"{wanted.name}: {server} cannot be reached on port {NFS_PORT} within {wanted.timeout} s ({why}); look with "
        f"`aws efs describe-mount-targets --file-system-id {wanted.file_system_id or 'fs-…'}`"
    )


def mount_failure(wanted: Wanted, text: str) -> str:
    """The reason of mount, with what to do about the usual ones."""
    line = " ".join(text.split())
    hints = (
        ("access denied", "the policy of the file system asks for TLS or IAM: use an image with amazon-efs-utils"),
        ("No such device", "the kernel of this machine has no NFS client (CONFIG_NFS_V4)"),
        ("unknown filesystem type", "the kernel of this machine has no NFS client (CONFIG_NFS_V4)"),
        ("timed out", "the mount target did not answer; see its security group and its state"),
        ("Protocol not supported", "the server does not speak NFS 4.1"),
    )
    hint = next((hint for word, hint in hints if word in line), "")
    return f"{wanted.name} was not mounted at {wanted.mount_point}: {line}" + (f"; {hint}" if hint else "")


def silent(wanted: Wanted, seconds: float) -> str:
    """A file system that is mounted and does not answer."""
    return (
        f"{wanted.name} is mounted at {wanted.mount_point} but its server has not answered for {seconds:g} s; programs "
        "that use it wait and go on by themselves when it is back (hard mount). Look at the mount target and its "
        "security group, then repeat the command"
    )
