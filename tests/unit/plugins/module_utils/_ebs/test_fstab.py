"""fstab keeps every line that is not ours, byte for byte."""

from __future__ import annotations

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._ebs.fstab import Entry

OTHERS = "# a comment\n\nUUID=1\t/\text4 errors=remount-ro 0 1\n/dev/sr0 /media/cd udf,iso9660 user,noauto\nbroken\n"
ENTRY = Entry("UUID=abc", "/mnt/data", "ext4", fstab.mount_options("defaults"))
LINE = "UUID=abc /mnt/data ext4 defaults,nofail,x-systemd.device-timeout=30 0 2\n"


def test_entry_is_added_once() -> None:
    text = fstab.with_entry(OTHERS, ENTRY)
    assert text == OTHERS + LINE
    assert fstab.with_entry(text, ENTRY) == text


def test_file_without_a_last_line_end() -> None:
    assert fstab.with_entry("UUID=1 / ext4 defaults 0 1", ENTRY) == "UUID=1 / ext4 defaults 0 1\n" + LINE
    assert fstab.with_entry("", ENTRY) == LINE


@pytest.mark.parametrize(
    "old",
    [
        "UUID=abc /mnt/old ext4 defaults 0 2\n",  # the same file system elsewhere
        "UUID=old /mnt/data xfs defaults 0 0\n",  # another one at the same place
        "UUID=old /mnt/data xfs defaults 0 0\nUUID=abc /mnt/x ext4\n",  # both
    ],
)
def test_older_entries_are_replaced_in_place(old: str) -> None:
    assert fstab.with_entry(old + OTHERS, ENTRY) == LINE + OTHERS


def test_same_entry_in_another_writing_stays_as_it_is() -> None:
    text = "UUID=abc\t/mnt/data\text4\tdefaults,nofail,x-systemd.device-timeout=30\t0\t0\n"
    assert fstab.with_entry(text, ENTRY) == text


def test_mount_points_with_blanks() -> None:
    entry = Entry("UUID=b", "/mnt/my data\\x", "ext4", "defaults")
    text = fstab.with_entry("", entry)
    assert "/mnt/my\\040data\\134x" in text and fstab.find_entry(text, entry.mount_point) == entry


def test_removal() -> None:
    assert fstab.without_mount_point(OTHERS + LINE, "/mnt/data") == OTHERS
    assert fstab.without_mount_point(OTHERS, "/mnt/data") == OTHERS


@pytest.mark.parametrize(
    ("given", "in_fstab", "for_mount"),
    [
        ("defaults,nofail", "defaults,nofail,x-systemd.device-timeout=30", "defaults"),
        ("ro,noatime", "ro,noatime,nofail,x-systemd.device-timeout=30", "ro,noatime"),
        ("x-systemd.device-timeout=5", "x-systemd.device-timeout=5,nofail", "defaults"),
        ("noauto,,noauto", "noauto,nofail,x-systemd.device-timeout=30", "defaults"),
    ],
)
def test_options(given: str, in_fstab: str, for_mount: str) -> None:
    assert fstab.mount_options(given) == in_fstab
    assert fstab.runtime_options(in_fstab) == for_mount
