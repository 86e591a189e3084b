# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Host keys of instances: read from the console output, kept in a known_hosts file of our own under the instance id.

The console comes over the AWS API, so a key found there is as trustworthy as the account. cloud-init writes two blocks:
the public keys themselves, and their fingerprints. Source: EC2 API GetConsoleOutput; cloud-init module keys_to_console.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KNOWN_HOSTS = "~/.ssh/experiments.spot/known_hosts"

KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_KEY = re.compile(r"(?<![\w@.-])(" + "|".join(KEY_TYPES) + r")\s+(AAAA[0-9A-Za-z+/]+={0,2})")
_FINGERPRINT = re.compile(r"\bSHA256:([0-9A-Za-z+/]{43})")
_BLOCK = "-----{edge} SSH HOST KEY {what}-----"
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}\Z")


@dataclass(frozen=True, order=True)
class HostKey:
    """A public host key: type as in OpenSSH and the base64 text."""

    type: str
    base64: str

    @property
    def fingerprint(self) -> str:
        """SHA256 fingerprint without its prefix and padding, as ssh-keygen -l prints it after ``SHA256:``."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return base64.b64encode(digest).decode().rstrip("=")


def console_block(text: str, what: str) -> list[str]:
    """Lines of the last complete block of a kind in a console output.

    The last one counts: an image made from a running machine may carry the blocks of its former life.

    Args:
        text: console output; carriage returns, timestamps and prefixes such as ``ec2:`` are no hindrance.
        what: ``KEYS`` or ``FINGERPRINTS``.
    """
    begin, end = _BLOCK.format(edge="BEGIN", what=what), _BLOCK.format(edge="END", what=what)
    block: list[str] = []
    current: list[str] | None = None
    for line in re.split(r"[\r\n]+", text):
        if begin in line:
            current = []
        elif end in line:
            block, current = (current if current is not None else block), None
        elif current is not None:
            current.append(line)
    return block


def parse_key(line: str) -> HostKey | None:
    """Finds a public host key in a line, whatever stands before it; None when there is none or it is damaged."""
    match = _KEY.search(line)
    if match is None:
        return None
    try:
        blob = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    # The blob repeats its type (RFC 4253, 6.6): a line cut by the console's buffer does not pass.
    name = match[1].encode()
    complete = blob.startswith(len(name).to_bytes(4, "big") + name) and len(blob) >= 4 + len(name) + 4 + 32
    return HostKey(match[1], match[2]) if complete else None


def parse_keys(lines: Iterable[str]) -> list[HostKey]:
    """The host keys in lines, without doubles, sorted by type."""
    return sorted({key for key in map(parse_key, lines) if key is not None})


def console_keys(text: str) -> list[HostKey]:
    """Public host keys of a console output, empty when cloud-init has not written them (yet)."""
    return parse_keys(console_block(text, "KEYS"))


def console_fingerprints(text: str) -> set[str]:
    """SHA256 fingerprints of a console output, without prefix; MD5 ones are too weak to prove anything."""
    return {found for line in console_block(text, "FINGERPRINTS") for found in _FINGERPRINT.findall(line)}


def confirmed(scanned: Iterable[HostKey], fingerprints: Collection[str]) -> list[HostKey]:
    """The scanned keys whose fingerprint the console names."""
    return sorted(key for key in set(scanned) if key.fingerprint in fingerprints)


# -------------------------------------------------------------------------------------------------------- known_hosts


@dataclass(frozen=True)
class Entry:
    """A line of our known_hosts: instance id, key, and our comment ``account/region how`` (empty: not ours)."""

    name: str
    key: HostKey
    scope: str = ""
    how: str = ""

    def line(self) -> str:
        """The line as ssh reads it."""
        return " ".join(part for part in (self.name, self.key.type, self.key.base64, self.scope, self.how) if part)


def parse_entry(line: str) -> Entry | None:
    """Reads a line; None for comments, hashed names, markers and all that is not ours to judge."""
    words = line.split()
    if len(words) < 3 or not _INSTANCE.match(words[0]):
        return None
    key = parse_key(f"{words[1]} {words[2]}")
    if key is None:
        return None
    scope, how = (*words[3:5], "", "")[:2]
    return Entry(words[0], key, scope, how)


def entries(text: str) -> list[Entry]:
    """All entries of a known_hosts text that carry an instance id."""
    return [entry for entry in map(parse_entry, text.splitlines()) if entry is not None]


def verified_how(text: str, name: str) -> str | None:
    """How the stored key of an instance was verified (``console``), None when there is none that was.

    A key that ssh itself accepted unseen has no comment of ours and does not count.
    """
    return next((entry.how for entry in entries(text) if entry.name == name and entry.how), None)


def names_of_scope(text: str, region: str) -> list[str]:
    """Instance ids whose keys were stored for a region, of whatever account."""
    return sorted({e.name for e in entries(text) if e.scope.rpartition("/")[2] == region and e.scope})


def dead_names(text: str, scope: str, alive: Collection[str]) -> list[str]:
    """Instance ids of an account and region that are not alive any more.

    Args:
        scope: ``account/region``; entries of other accounts cannot be seen with these credentials and stay.
        alive: ids that the API still shows as anything but terminated.
    """
    return sorted({e.name for e in entries(text) if e.scope == scope and e.name not in alive})


def with_keys(text: str, name: str, keys: Iterable[HostKey], scope: str, how: str) -> str:
    """The known_hosts text in which exactly these keys stand for an instance; other lines are untouched."""
    kept = without(text, [name])
    added = [Entry(name, key, scope, how).line() + "\n" for key in sorted(keys)]
    return kept + "".join(added)


def without(text: str, names: Collection[str]) -> str:
    """The known_hosts text without the lines of some instances."""
    lines = [line for line in text.splitlines() if line.split(" ", 1)[0] not in names]
    return "".join(line + "\n" for line in lines)


class KnownHosts:
    """Our known_hosts file; several runs may change it at once (lock file), a reader never sees half of it (rename)."""

    def __init__(self, path: str = KNOWN_HOSTS) -> None:
        self.path = Path(os.path.expanduser(path))

    def read(self) -> str:
        """The text, empty when there is no file."""
        try:
            return self.path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return ""

    def set_keys(self, name: str, keys: Iterable[HostKey], scope: str, how: str) -> bool:
        """Stores the keys of an instance in place of all others it had; says whether that changed anything."""
        with self._locked():
            before = self.read()
            return self._write(before, with_keys(before, name, keys, scope, how))

    def remove(self, names: Collection[str]) -> bool:
        """Forgets instances; says whether that changed anything."""
        if not names or not self.path.exists():
            return False
        with self._locked():
            before = self.read()
            return self._write(before, without(before, names))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(f"{self.path}.lock", "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, before: str, after: str) -> bool:
        if after == before:
            return False
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".known_hosts.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            os.unlink(temporary)
            raise
        return True
