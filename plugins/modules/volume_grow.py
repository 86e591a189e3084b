#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: let the mounted file system of a grown EBS volume use all of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_grow
short_description: Grow the mounted file system of an EBS volume to the size of the volume
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance, while the file system is mounted and used. Waits until the device has the new size, grows ext4
    with C(resize2fs) and XFS with C(xfs_growfs), and looks with C(statvfs) whether it has become larger.
  - A volume that is not mounted here is left alone; the next M(experiments.spot.ebs_mount) grows it.
options:
  volume_id:
    description: ID of the volume.
    type: str
    required: true
  size_gib:
    description: Size of the volume in GiB that the device must have.
    type: int
    required: true
  device:
    description: Device name that was given when the volume was attached. Used only where devices have no serial (Xen).
    type: str
  timeout:
    description: Seconds to wait until the device has its new size.
    type: int
    default: 60
requirements:
  - util-linux, e2fsprogs for ext4, xfsprogs for XFS
extends_documentation_fragment:
  - experiments.spot.attributes.changes
seealso:
  - module: experiments.spot.volume
  - module: experiments.spot.ebs_mount
"""

EXAMPLES = r"""
- name: Let the file system use the whole volume
  experiments.spot.volume_grow:
    volume_id: vol-0123456789abcdef0
    size_gib: 100
"""

RETURN = r"""
mount_point:
  description: Where it is mounted, empty when it is not.
  returned: success
  type: str
  sample: /data
before_bytes:
  description: Size of the file system before, as C(statvfs) tells it.
  returned: success
  type: int
after_bytes:
  description: Size of the file system now.
  returned: success
  type: int
device_bytes:
  description: Size of the device.
  returned: success
  type: int
"""

import os
import time
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._ebs.find import find_device
from ansible_collections.experiments.spot.plugins.module_utils._ebs.plan import GIB, GROW_SLACK
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import Probe, probe_device

TOOLS = {"ext2": "resize2fs", "ext3": "resize2fs", "ext4": "resize2fs", "xfs": "xfs_growfs"}
PACKAGES = {"resize2fs": "e2fsprogs", "xfs_growfs": "xfsprogs"}


class GrowError(Exception):
    """The file system cannot grow; the text is for the user."""


@dataclass(frozen=True)
class Plan:
    """What is to be done: a command, nothing, or an error."""

    argv: tuple[str, ...] = ()
    error: str = ""


def plan(probe: Probe, volume_id: str) -> Plan:
    """How the file system of a device is grown; no command when there is nothing to do."""
    kind = probe.blkid.get("TYPE", "")
    if not probe.mounted_at or (probe.fs_bytes is not None and probe.size_bytes - probe.fs_bytes <= GROW_SLACK):
        return Plan()
    if probe.partitions:
        return Plan(error=f"{volume_id} ({probe.device}) has partitions, which are not grown; use growpart yourself")
    if kind not in TOOLS:
        return Plan(error=f"{volume_id} ({probe.device}) holds {kind or 'no known file system'}, which is not grown")
    return Plan((TOOLS[kind], probe.device if TOOLS[kind] == "resize2fs" else probe.mounted_at[0]))


def usable_bytes(path: str) -> int:
    """Size of a mounted file system as programs see it. Source: statvfs(3)."""
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


class Grower:
    """The effects. `clock` has monotonic() and sleep()."""

    def __init__(self, module: AnsibleModule, clock: Any) -> None:
        self.module = module
        self.clock = clock

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        """Run a command; a missing one is the status 127."""
        path = self.module.get_bin_path(argv[0])
        if path is None:
            return 127, "", f"{argv[0]} is not on this machine; install {PACKAGES.get(argv[0], argv[0])}"
        rc, out, err = self.module.run_command([path, *argv[1:]], environ_update={"LC_ALL": "C"})
        return rc, out, err

    def look(self) -> Probe:
        """The device, once it has the wanted size.

        Raises:
            GrowError: it is not here, or stays small.
        """
        params = self.module.params
        end = self.clock.monotonic() + (0 if self.module.check_mode else params["timeout"])
        while True:
            found = find_device(params["volume_id"], params["device"])
            probe = probe_device(found, self.run) if found else None
            if probe and probe.size_bytes >= params["size_gib"] * GIB:
                return probe
            if self.module.check_mode and probe:
                return probe
            if self.clock.monotonic() >= end:
                raise GrowError(late(params, probe))
            self.clock.sleep(0.5)

    def grow(self, argv: tuple[str, ...], mount_point: str) -> None:
        """Grow it, and look whether it has grown.

        Raises:
            GrowError: it has not.
        """
        before = usable_bytes(mount_point)
        rc, out, err = self.run(list(argv))
        text = " ".join((err or out).split())
        if rc:
            raise GrowError(f"the file system at {mount_point} was not grown: {text or f'{argv[0]} ended with {rc}'}")
        if usable_bytes(mount_point) <= before:
            raise GrowError(f"{argv[0]} ended well, but {mount_point} has not become larger: {text}")


def late(params: dict[str, Any], probe: Probe | None) -> str:
    """Why the wait for the device ended."""
    if probe is None:
        return f"{params['volume_id']}: there is no device with this id on this machine; is the volume attached here?"
    return (
        f"{params['volume_id']} ({probe.device}) has {probe.size_bytes / GIB:g} GiB after {params['timeout']} s, not"
        f" {params['size_gib']}; instances of an old type see it only after the volume is detached and attached again"
    )


def do(module: AnsibleModule, clock: Any = time) -> dict[str, Any]:
    """The module's work. `clock` has monotonic() and sleep().

    Raises:
        GrowError: what is wrong, for the user.
    """
    grower = Grower(module, clock)
    probe = grower.look()
    todo = plan(probe, module.params["volume_id"])
    if todo.error:
        raise GrowError(todo.error)
    mount_point = probe.mounted_at[0] if probe.mounted_at else ""
    before = usable_bytes(mount_point) if mount_point else 0
    small = module.check_mode and probe.size_bytes < module.params["size_gib"] * GIB and bool(mount_point)
    if todo.argv and not module.check_mode:
        grower.grow(todo.argv, mount_point)
    after = usable_bytes(mount_point) if mount_point else 0
    return {
        "changed": bool(todo.argv) or small,
        "mount_point": mount_point,
        "before_bytes": before,
        "after_bytes": after,
        "device_bytes": probe.size_bytes,
        "diff": {"before": {"bytes": before}, "after": {"bytes": after}},
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "volume_id": {"type": "str", "required": True},
            "size_gib": {"type": "int", "required": True},
            "device": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**do(module))
    except GrowError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{module.params['volume_id']} cannot be read: {error}")


if __name__ == "__main__":
    main()
