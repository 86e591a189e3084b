# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read and edit the text of /etc/fstab, leaving every line that is not ours as it is.

PRIVATE to the collection. Source: fstab(5), systemd.mount(5).
"""

from __future__ import annotations

from typing import NamedTuple

# A machine must boot without its data volume (nofail) and not wait for it longer than this many seconds.
ALWAYS = ("nofail", "x-systemd.device-timeout=30")


class Entry(NamedTuple):
    """One mount of fstab."""

    spec: str
    mount_point: str
    fs_type: str
    options: str


def unescape(field: str) -> str:
    """Decode the octal escapes of fstab and mountinfo: blank, tab, line feed, backslash."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


def escape(field: str) -> str:
    """Encode a path for fstab."""
    for char, code in (("\\", "\\134"), (" ", "\\040"), ("\t", "\\011"), ("\n", "\\012")):
        field = field.replace(char, code)
    return field


def parse_line(line: str) -> Entry | None:
    """One line as an entry, None for comments, blanks and lines that are no entry."""
    fields = line.split()
    if len(fields) < 3 or fields[0].startswith("#"):
        return None
    options = fields[3] if len(fields) > 3 else "defaults"
    return Entry(unescape(fields[0]), unescape(fields[1]), fields[2], options)


def mount_options(options: str) -> str:
    """The wanted options with those that every data volume needs, in a stable order and without repeats."""
    wanted = [option for option in options.split(",") if option]
    keys = {option.partition("=")[0] for option in wanted}
    return ",".join(dict.fromkeys([*wanted, *(extra for extra in ALWAYS if extra.partition("=")[0] not in keys)]))


# The journal is not written back, which is a write too; copies of one XFS have one UUID. Source: ext4(5), xfs(5).
READ_ONLY = {"ext4": ("ro", "noload"), "xfs": ("ro", "norecovery", "nouuid")}


def read_only_options(options: str, fs_type: str) -> str:
    """The options with those of a mount that writes nothing, not even the journal."""
    return ",".join(dict.fromkeys([*(one for one in options.split(",") if one != "rw"), *READ_ONLY[fs_type]]))


def is_read_only(options: str) -> bool:
    """Whether mount options say so."""
    return "ro" in options.split(",")


def runtime_options(options: str) -> str:
    """Options for mount(8) itself: without those that only fstab and systemd read."""
    kept = [o for o in options.split(",") if o and not o.startswith("x-") and o not in ("nofail", "auto", "noauto")]
    return ",".join(kept) or "defaults"


def remount_options(options: str) -> str:
    """Options for a mount that exists: without those that say how its journal is read, with rw, which is kept else."""
    once = ("noload", "norecovery", "nouuid")
    kept = [one for one in runtime_options(options).split(",") if one not in once]
    return ",".join(kept if is_read_only(options) or "rw" in kept else ["rw", *kept])


def render(entry: Entry) -> str:
    """The line of an entry; checked second at boot, after the root, or never where that is not to be written."""
    check = 0 if is_network(entry) or is_read_only(entry.options) else 2
    return f"{escape(entry.spec)} {escape(entry.mount_point)} {entry.fs_type} {entry.options} 0 {check}"


def is_network(entry: Entry) -> bool:
    """Whether an entry needs the network. Source: systemd.mount(5), _netdev."""
    return "_netdev" in entry.options.split(",")


def is_same_place(line: str, entry: Entry) -> bool:
    """Whether a line mounts the same file system or at the same place; one of the network may be at many places."""
    found = parse_line(line)
    if found is None or found.mount_point == entry.mount_point:
        return found is not None
    return found.spec == entry.spec and not is_network(entry)


def find_entry(text: str, mount_point: str) -> Entry | None:
    """The entry of a mount point."""
    for line in text.splitlines():
        entry = parse_line(line)
        if entry and entry.mount_point == mount_point:
            return entry
    return None


def with_entry(text: str, entry: Entry) -> str:
    """The text with exactly one line for the entry: in the place of an old one, otherwise at the end."""
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if is_same_place(line, entry)]
    if places and parse_line(lines[places[0]]) != entry:
        lines[places[0]] = render(entry)
    if not places:
        lines.append(render(entry))
    kept = [line for number, line in enumerate(lines) if number not in places[1:]]
    return "\n".join(kept) + "\n"


def without_mount_point(text: str, mount_point: str) -> str:
    """The text without the lines that mount at this place."""
    kept = []
    for line in text.splitlines(keepends=True):
        entry = parse_line(line)
        if not (entry and entry.mount_point == mount_point):
            kept.append(line)
    return "".join(kept)
