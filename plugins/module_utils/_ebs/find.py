# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find the block device of an EBS volume by the volume's id.

PRIVATE to the collection.
Source: EC2 User Guide, "Map Amazon EBS volumes to NVMe device names" and "Device names for volumes".
"""

from __future__ import annotations

import glob
import os
import re
from typing import NamedTuple

BY_ID = "dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"


class Found(NamedTuple):
    """A device and how it was recognised: `by-id` and `serial` are proof, `hint` is only the requested name."""

    path: str
    how: str
    serial: str | None
    part_of: str = ""  # the disk, where this is one of its partitions


def serial_of(volume_id: str) -> str:
    """NVMe serial of a volume: its id without the dash."""
    return volume_id.replace("-", "")


def link_of(volume_id: str, root: str = "/") -> str:
    """The link that udev makes for a volume. Source: EC2 User Guide, "Map Amazon EBS volumes to NVMe device names"."""
    return os.path.join(root, BY_ID.format(serial=serial_of(volume_id)))


def hint_names(hint: str | None) -> list[str]:
    """Names under which a Xen guest may show the requested device: /dev/sdf also comes as /dev/xvdf."""
    if not hint:
        return []
    name = os.path.basename(hint)
    match = re.fullmatch(r"(?:sd|xvd)([a-z]+[0-9]*)", name)
    if not match:
        return [f"/dev/{name}"]
    return [
        f"/dev/{name}",
        *(f"/dev/{kind}{match.group(1)}" for kind in ("xvd", "sd") if kind + match.group(1) != name),
    ]


def read_line(path: str) -> str | None:
    """First line of a small file without white space, None when it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return None


def device_serial(device: str, root: str = "/") -> str | None:
    """NVMe serial that the kernel tells for a device (any of its names), None for a device without one."""
    name = os.path.basename(os.path.realpath(device))
    return read_line(os.path.join(root, "sys/block", name, "device/serial"))


def find_device(volume_id: str, hint: str | None = None, root: str = "/") -> Found | None:
    """Look once for the device of a volume.

    Args:
        volume_id: the volume's id, `vol-…`.
        hint: device name that was given to AttachVolume; only for Xen, which has no serial.
        root: where /dev and /sys are (tests).

    Returns:
        The device, or None while it is not there.
    """
    serial, link = serial_of(volume_id), link_of(volume_id, root)
    if os.path.exists(link):
        return Found(os.path.realpath(link), "by-id", device_serial(link, root) or serial)
    for path in sorted(glob.glob(os.path.join(root, "sys/block/nvme*/device/serial"))):
        if read_line(path) == serial:
            name = path.split(os.sep)[-3]
            return Found(os.path.join(root, "dev", name), "serial", serial)
    return _find_by_hint(hint, root)


def partitions(device: str, root: str = "/") -> dict[int, str]:
    """Partitions of a disk that the kernel knows: number -> device. Source: Linux, Documentation/ABI, sysfs-block."""
    name = os.path.basename(os.path.realpath(device))
    found = {}
    for path in glob.glob(os.path.join(root, "sys/block", name, "*/partition")):
        number = read_line(path) or ""
        if number.isdigit():
            found[int(number)] = os.path.join(root, "dev", path.split(os.sep)[-2])
    return dict(sorted(found.items()))


def serials_seen(root: str = "/") -> dict[str, str]:
    """Serial of each EBS volume that shows as an NVMe device, with the device's name."""
    found = {}
    for path in sorted(glob.glob(os.path.join(root, "sys/block/nvme*/device/serial"))):
        serial = read_line(path) or ""
        if serial.startswith("vol"):
            found[serial] = os.path.join("/dev", path.split(os.sep)[-3])
    return found


def _find_by_hint(hint: str | None, root: str) -> Found | None:
    """The device of that name, unless it has a serial: then it is known to be another volume."""
    for name in hint_names(hint):
        path = os.path.join(root, name.lstrip("/"))
        if os.path.exists(path) and not device_serial(path, root):
            return Found(os.path.realpath(path), "hint", None)
    return None
