#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: mount an attached EBS volume, formatting it only when it is proven empty."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ebs_mount
short_description: Mount an attached EBS volume, formatting it only when it is proven empty
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance. Finds the device of a volume by the volume's ID, formats it if it is proven empty, mounts it,
    writes C(/etc/fstab) by UUID and sets owner, group and mode of the root of the file system.
  - A device counts as empty only when C(blkid) and C(wipefs) find nothing, all bytes read are zero, the size is the
    wanted one, and nothing mounts or holds it. Anything else without the wanted file system is an error. Nothing is
    ever reformatted.
options:
  volume_id:
    description: ID of the volume, as the EC2 API gives it.
    type: str
    required: true
  size_gib:
    description:
      - Size of the volume in GiB. A device of another size is not formatted.
      - Required for formatting where the device has no serial (Xen).
    type: int
  device:
    description: Device name that was given when the volume was attached. Used only where devices have no serial (Xen).
    type: str
  mount_point:
    description:
      - Absolute path of the directory, made when missing; one that holds something is an error, since that would be
        hidden. Required for O(state=mounted).
      - Without it the other states go where the volume is mounted, or where C(/etc/fstab) would mount it.
    type: path
  fs_type:
    description: File system of the volume. Another one found on it is an error.
    type: str
    choices: [ext4, xfs]
    default: ext4
  owner:
    description: Owner of the root of the file system (name or number).
    type: str
  group:
    description: Group of the root of the file system (name or number).
    type: str
  mode:
    description: Permissions of the root of the file system, octal, quoted.
    type: str
  options:
    description: Mount options. V(nofail) and V(x-systemd.device-timeout=30) are added in C(/etc/fstab).
    type: str
    default: defaults,nofail
  partition:
    description:
      - Number of the partition to mount, where the volume has partitions. A partition is never formatted.
      - The other states need no number, they look at all partitions.
    type: int
  read_only:
    description:
      - Mount so that nothing is written, not even the journal of the file system. The volume is never formatted, and
        O(owner), O(group) and O(mode) stay as they are.
      - Adds V(ro,noload) for ext4 and V(ro,norecovery,nouuid) for XFS to O(options).
    type: bool
    default: false
  label:
    description: Label of a file system that is made by this module.
    type: str
  proof:
    description:
      - How much of a device must read as zero before it is formatted.
      - V(quick) reads the first 64 MiB, 256 places spread over the device and its end. V(full) reads all of it.
    type: str
    choices: [quick, full]
    default: quick
  grow:
    description: Grow a file system that is smaller than its device.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for the device to appear.
    type: int
    default: 60
  state:
    description:
      - V(mounted) as described. V(unmounted) unmounts and keeps C(/etc/fstab); where that cannot be, the error names
        the processes and containers that use the file system.
      - V(absent) unmounts, removes the entry of C(/etc/fstab) and the empty directory. The data stays on the volume.
    type: str
    choices: [mounted, unmounted, absent]
    default: mounted
requirements:
  - util-linux, e2fsprogs, and xfsprogs for XFS
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
    details: [A device that is not there is predicted to be attached, formatted if empty, and mounted.]
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Mount the volume
  experiments.spot.ebs_mount:
    volume_id: vol-0123456789abcdef0
    size_gib: 50
    mount_point: /mnt/data
    owner: ubuntu
    group: ubuntu
    mode: "0755"

- name: Unmount it before it is detached
  experiments.spot.ebs_mount:
    volume_id: vol-0123456789abcdef0
    state: unmounted
"""

RETURN = r"""
device:
  description: The device, under the name that the kernel gives it now. Empty when it is not there.
  type: str
  returned: success
  sample: /dev/nvme1n1
uuid:
  description: UUID of the file system.
  type: str
  returned: success and state=mounted
  sample: 1bba5f2c-2ac6-4d24-aae9-9f80bf717f66
formatted:
  description: Whether a file system was made.
  type: bool
  returned: success
size_bytes:
  description: Size of the device in bytes.
  type: int
  returned: success
  sample: 53687091200
steps:
  description: What was done, in order.
  type: list
  elements: str
  returned: success
  sample: [format, mkdir, mount, fstab, owner]
"""

import dataclasses
import grp
import os
import pwd
import subprocess
import time
import uuid
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import (
    Found,
    find_device,
    partitions,
    serials_seen,
)
from ansible_collections.experiments.spot.plugins.module_utils._ebs.plan import (
    Plan,
    Wanted,
    absence,
    check_mount_point,
    known_mount_point,
    mount_failure,
    owner_differs,
    partition_errors,
    plan_mounted,
    plan_unmounted,
    predict,
    state_of,
    unmount_failure,
)
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import (
    Probe,
    devno_of,
    probe_device,
    probe_place,
    read_mounts,
)
from ansible_collections.experiments.spot.plugins.module_utils._files import (
    alone,
    mode_number,
    read_text,
    user_number,
    write_text,
)
from ansible_collections.experiments.spot.plugins.module_utils._notice import system

FSTAB = "/etc/fstab"
# Says that a mkfs of this machine was under way: what it left behind is not somebody's data.
LOCK = "/run/experiments-spot-ebs.lock"
MARKS = "/var/lib/experiments-spot"
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-U", "{uuid}"],
    "xfs": ["mkfs.xfs", "-q", "-m", "uuid={uuid}"],
}
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}


class StepError(Exception):
    """A command of a step failed; the message is for the user."""


def wait_for(look: Callable[[], Found | None], timeout: float, clock: Any = time) -> Found | None:
    """Ask until there is an answer or `timeout` seconds are over. `clock` has monotonic() and sleep()."""
    end = clock.monotonic() + timeout
    found = look()
    while found is None and clock.monotonic() < end:
        clock.sleep(0.25)
        found = look()
    return found


def wanted_of(params: dict[str, Any]) -> tuple[Wanted, list[str]]:
    """The options as numbers, and all that is wrong with them."""
    given = params["mount_point"] or ""
    errors = check_mount_point(given) if given else []
    wanted = Wanted(
        volume_id=params["volume_id"],
        mount_point=given.rstrip("/"),
        fs_type=params["fs_type"],
        size_gib=params["size_gib"],
        options=fstab.read_only_options(params["options"], params["fs_type"])
        if params["read_only"]
        else params["options"],
        label=params["label"],
        uid=user_number(params["owner"], lambda name: pwd.getpwnam(name).pw_uid, "owner", errors),
        gid=user_number(params["group"], lambda name: grp.getgrnam(name).gr_gid, "group", errors),
        mode=mode_number(params["mode"], errors),
        grow=params["grow"],
        partition=params["partition"],
        read_only=params["read_only"],
        state=params["state"],
        new_uuid=str(uuid.uuid4()),
    )
    if not wanted.volume_id.startswith("vol-"):
        errors.append(f"volume_id {wanted.volume_id!r} is no volume id; they look like vol-0123456789abcdef0")
    return wanted, errors


def mkfs_argv(wanted: Wanted, device: str, interrupted: bool) -> list[str]:
    """The command that makes the file system with the UUID that the plan knows."""
    argv = [part.format(uuid=wanted.new_uuid) for part in MKFS[wanted.fs_type]]
    argv += ["-L", wanted.label] if wanted.label else []
    return [*argv, *(["-f"] if interrupted and wanted.fs_type == "xfs" else []), device]


class Volume:
    """The effects: each step of a plan is a small method of the same name."""

    def __init__(self, module: AnsibleModule, wanted: Wanted, found: Found | None) -> None:
        self.module = module
        self.wanted = wanted
        self.device = found.path if found else ""
        self.mark = os.path.join(MARKS, f"formatting-{wanted.volume_id}")
        self.interrupted = os.path.exists(self.mark)

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        """Run a command that only reads; a missing one is the status 127."""
        path = self.module.get_bin_path(argv[0])
        if path is None:
            return 127, "", f"{argv[0]} is not on this machine"
        rc, out, err = self.module.run_command([path, *argv[1:]], environ_update={"LC_ALL": "C"})
        return rc, out, err

    def do(self, argv: list[str], what: str) -> None:
        """Run a command that must succeed."""
        rc, _out, err = self.run(argv)
        if rc:
            raise StepError(f"{what}: {' '.join(err.split()) or f'{argv[0]} ended with {rc}'}")

    def step_format(self) -> None:
        """Make the file system; the mark tells the next run that an unfinished one is ours."""
        wanted = self.wanted
        os.makedirs(MARKS, exist_ok=True)
        write_text(self.mark, wanted.new_uuid + "\n")
        if self.module.get_bin_path(MKFS[wanted.fs_type][0]) is None:
            os.unlink(self.mark)
            tip = f"install {PACKAGES[wanted.fs_type]} or choose another fs_type"
            raise StepError(f"{MKFS[wanted.fs_type][0]} is not on this machine; {tip}")
        self.do(
            mkfs_argv(wanted, self.device, self.interrupted), f"{wanted.volume_id} ({self.device}) was not formatted"
        )
        os.unlink(self.mark)

    def step_mkdir(self) -> None:
        """Make the mount point."""
        os.makedirs(self.wanted.mount_point, mode=0o755)

    def step_mount(self) -> None:
        """Mount by device: the links by UUID may come later."""
        options = fstab.runtime_options(fstab.mount_options(self.wanted.options))
        rc, _out, err = self.run(
            ["mount", "-t", self.wanted.fs_type, "-o", options, self.device, self.wanted.mount_point]
        )
        if rc:
            why = mount_failure(err, self.device, self.wanted.fs_type)
            raise StepError(f"{self.wanted.volume_id} was not mounted at {self.wanted.mount_point}: {why}")

    def step_remount(self) -> None:
        """Apply changed options; those about the journal count only for a mount."""
        options = fstab.remount_options(fstab.mount_options(self.wanted.options))
        self.do(["mount", "-o", f"remount,{options}", self.wanted.mount_point], "the new mount options were refused")

    def step_grow(self) -> bool:
        """Let the file system use the whole device while mounted; where that fails the data is as usable as before."""
        argv = {"ext4": ["resize2fs", self.device], "xfs": ["xfs_growfs", self.wanted.mount_point]}[self.wanted.fs_type]
        try:
            self.do(argv, f"{self.wanted.volume_id}: the file system was not grown to its device")
        except StepError as error:
            self.module.warn(str(error))
            return False
        return True

    def step_owner(self) -> bool:
        """Set owner, group and mode of the root of the mounted file system, where they differ."""
        place = probe_place(self.wanted.mount_point)
        if not owner_differs(self.wanted, place):
            return False
        uid, gid = self.wanted.uid, self.wanted.gid
        os.chown(self.wanted.mount_point, -1 if uid is None else uid, -1 if gid is None else gid)
        if self.wanted.mode is not None:
            os.chmod(self.wanted.mount_point, self.wanted.mode)
        return True

    def step_unmount(self) -> None:
        """Unmount; never lazily: data that is not written yet would be lost by a detach. What lies on it goes first."""
        point = self.wanted.mount_point
        for inner in reversed(system.mounts_below(point)):
            self.unmount(inner)
        self.unmount(point)

    def unmount(self, point: str) -> None:
        """Unmount at one place, or say who keeps it."""
        mount = system.mount_at(point)
        rc, _out, err = self.run(["umount", point])
        if rc:
            holders = [str(one) for one in system.holders(mount.device, [])] if mount else []
            raise StepError(f"{point} was not unmounted: {unmount_failure(err, holders)}")

    def step_rmdir(self) -> None:
        """Remove the mount point unless something lies in it."""
        if not os.listdir(self.wanted.mount_point):
            os.rmdir(self.wanted.mount_point)


def apply(volume: Volume, plan: Plan) -> list[str]:
    """Do the steps; returns those that changed something."""
    done = []
    for step in plan.steps:
        if step == "fstab":
            mode = os.stat(FSTAB).st_mode & 0o7777 if os.path.exists(FSTAB) else 0o644
            write_text(FSTAB, plan.fstab_text, mode)
        elif getattr(volume, f"step_{step}")() is False:
            continue
        done.append(step)
    return done


def make_plan(module: AnsibleModule, volume: Volume, found: Found | None) -> tuple[Plan, Probe | None, dict[str, Any]]:
    """Read the machine and decide: the plan, the probe and the state before."""
    probe = probe_device(found, volume.run, module.params["proof"] == "full") if found else None
    text = read_text(FSTAB)
    if not volume.wanted.mount_point:
        volume.wanted = dataclasses.replace(volume.wanted, mount_point=known_mount_point(volume.wanted, probe, text))
    wanted = volume.wanted
    place = probe_place(wanted.mount_point)
    before = state_of(probe, place, text)
    if wanted.state != "mounted":
        return plan_unmounted(wanted, probe, place, text), probe, before
    if probe is None:
        return not_there(module, volume), probe, before
    return plan_mounted(wanted, probe, place, text, volume.interrupted), probe, before


def not_there(module: AnsibleModule, volume: Volume) -> Plan:
    """Plan for a device that did not appear: in check mode its attachment may have been predicted only."""
    if module.check_mode:
        return Plan(
            steps=["mount", "fstab"],
            warnings=[f"{volume.wanted.volume_id} is not attached yet; assumed that it will be"],
        )
    return Plan(errors=[absence(volume.wanted.volume_id, module.params["timeout"], serials_seen())])


def find(module: AnsibleModule) -> Found | None:
    """Find the device; wait for it only where it is needed and not merely predicted."""
    params = module.params
    needed = params["state"] == "mounted" and not module.check_mode

    def look() -> Found | None:
        found = find_device(params["volume_id"], params["device"])
        return None if found and needed and is_empty(found.path) else found

    return wait_for(look, params["timeout"] if needed else 0)


def is_empty(device: str) -> bool:
    """Whether a device has no room, as while it comes or goes. One that cannot be opened is told later."""
    try:
        descriptor = os.open(device, os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.lseek(descriptor, 0, os.SEEK_END) == 0
    finally:
        os.close(descriptor)


def settle(module: AnsibleModule) -> None:
    """Let udev finish with a device that has just appeared; machines without udev do not need it."""
    udevadm = module.get_bin_path("udevadm")
    if udevadm:
        module.run_command([udevadm, "settle", "--timeout=5"])


def with_partition(wanted: Wanted, disk: Found | None) -> Found | None:
    """The partition that is wanted, or that is mounted where no mount is wanted; else the disk itself.

    Raises:
        StepError: there is no such partition.
    """
    known = partitions(disk.path) if disk else {}
    if disk is None or not (known or wanted.partition):
        return disk
    if wanted.state == "mounted":
        if wanted.partition is None:
            return disk
        errors = partition_errors(wanted, disk.path, known)
        if errors:
            raise StepError("; ".join(errors))
        return disk._replace(path=known[wanted.partition], part_of=disk.path)
    mounted = {mount.devno for mount in read_mounts()}
    parts = [disk._replace(path=path, part_of=disk.path) for path in known.values()]
    return next((part for part in parts if os.path.exists(part.path) and devno_of(part.path) in mounted), disk)


def do(module: AnsibleModule) -> dict[str, Any]:
    """The module's work: result or StepError."""
    wanted, errors = wanted_of(module.params)
    if errors:
        raise StepError("; ".join(errors))
    found = find(module)
    with alone(LOCK, module.check_mode):
        if found and not module.check_mode:
            settle(module)
        found = with_partition(wanted, found)
        return work(module, Volume(module, wanted, found), found)


def work(module: AnsibleModule, volume: Volume, found: Found | None) -> dict[str, Any]:
    """Read, decide and do; the state before and after becomes the result."""
    plan, probe, before = make_plan(module, volume, found)
    if plan.errors:
        raise StepError("; ".join(plan.errors))
    wanted = volume.wanted
    for warning in plan.warnings:
        module.warn(warning)
    done = plan.steps if module.check_mode else apply(volume, plan)
    result = {
        "changed": bool(done),
        "device": volume.device,
        "formatted": "format" in done,
        "size_bytes": probe.size_bytes if probe else 0,
        "steps": done,
        "diff": {"before": before, "after": predict(before, wanted, plan) if done else before},
    }
    return {**result, "uuid": plan.uuid} if wanted.state == "mounted" else result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "volume_id": {"type": "str", "required": True},
            "size_gib": {"type": "int"},
            "device": {"type": "str"},
            "mount_point": {"type": "path"},
            "fs_type": {"type": "str", "choices": ["ext4", "xfs"], "default": "ext4"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str"},
            "options": {"type": "str", "default": "defaults,nofail"},
            "partition": {"type": "int"},
            "read_only": {"type": "bool", "default": False},
            "label": {"type": "str"},
            "proof": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
            "grow": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 60},
            "state": {"type": "str", "choices": ["mounted", "unmounted", "absent"], "default": "mounted"},
        },
        required_if=[("state", "mounted", ("mount_point",))],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**do(module))
    except (StepError, OSError, subprocess.SubprocessError) as error:
        module.fail_json(msg=f"ebs_mount: {error}")


if __name__ == "__main__":
    main()
