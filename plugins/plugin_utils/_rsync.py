# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""rsync over the shared ssh connection: its argument list, what its output says, what its exit codes mean.

Source of options, itemized changes and exit codes: the manual page rsync(1).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from ansible_collections.experiments.spot.plugins.plugin_utils import _narrow
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import Target, ssh_base

MARK = "spot-change:"
PARTIAL = ".rsync-partial"


@dataclass(frozen=True)
class Transfer:
    """What to move where.

    Attributes:
        direction: ``out`` (to the instance) or ``in`` (from it).
        local_path: absolute; a trailing slash means what it means to rsync.
        remote_path: absolute, or relative to the login user's home directory.
        local_is_dir: whether the local side is a directory (matters for ``out`` only).
        compress: ``none``, ``zstd``, ``zlib`` or ``negotiate`` (the best that both sides know, at a low level).
        filter: rsync's filter rules, in order, before ``exclude``.
        gitignore: leave out what git ignores at the source, and .git itself.
        ignored, ignored_from: patterns of what git ignores, and a file of more of them; see `_gitignore`.
        partial: keep what came of a file when the connection breaks, to go on from there.
        checksum: compare contents, not size and time.
        sparse: blocks of zeros take no room at the destination; rsync then writes a kilobyte at a time.
        bwlimit: rsync's rate limit, such as ``500k`` or ``1.5m`` bytes a second; empty for none.
        links: symlinks are kept (``keep``), kept when they stay inside (``safe``), followed, or left out (``skip``).
        owner: ``user[:group]`` of what is received on the instance, which takes sudo there; empty for the login user.
        chmod: rsync's ``--chmod``, such as ``D755,F644``.
        only: these paths of the source alone, relative to it; None for everything.
    """

    direction: str
    local_path: str
    remote_path: str
    local_is_dir: bool = True
    recursive: bool = False
    delete: bool = False
    exclude: tuple[str, ...] = ()
    compress: str = "none"
    filter: tuple[str, ...] = ()
    gitignore: bool = False
    partial: bool = True
    checksum: bool = False
    sparse: bool = False
    bwlimit: str = ""
    links: str = "keep"
    owner: str = ""
    chmod: str = ""
    dry_run: bool = False
    only: tuple[str, ...] | None = None
    ignored: tuple[str, ...] = ()
    ignored_from: str = ""

    @property
    def source(self) -> str:
        """The source as rsync gets it."""
        return self.local_path if self.direction == "out" else remote_path(self.remote_path)


def shell_word(word: str) -> str:
    """Quotes a word for rsync's ``-e``, which knows quotes (doubled inside themselves) but no backslashes."""
    if word and not re.search(r"[\s'\"]", word):
        return word
    return "'" + word.replace("'", "''") + "'"


def remote_path(path: str) -> str:
    """A remote path as rsync must get it when arguments are protected: no tilde, no leading colon or dash.

    Raises:
        ValueError: for ``~user`` paths, which nothing expands when arguments are protected.
    """
    if path in ("~", "~/"):
        return "./"
    if path.startswith("~/"):
        path = path[2:].lstrip("/")
    elif path.startswith("~"):
        raise ValueError(f"{path!r}: only ~ and ~/ are understood, not the home directory of another user")
    return path if path.startswith("/") else f"./{path.removeprefix('./')}"


def remote_directory(transfer: Transfer) -> str | None:
    """The directory that must exist on the instance before files go out to it; None when there is nothing to make."""
    if transfer.direction != "out":
        return None
    path = remote_path(transfer.remote_path)
    if not transfer.local_is_dir and not path.endswith("/"):
        path = path.rpartition("/")[0] or "/"
    return None if path in (".", "./", "/") else path


def remote_program(transfer: Transfer) -> str:
    """The remote command; it makes the missing directories first, which rsync itself can only do since 3.2.3."""
    directory = remote_directory(transfer)
    # Only root may give files away.
    sudo = "sudo -n " if transfer.owner and transfer.direction == "out" else ""
    if directory is None or transfer.dry_run:
        return f"{sudo}rsync"
    return f"{sudo}mkdir -p -- {shlex.quote(directory)} && {sudo}rsync"


def host_spec(address: str) -> str:
    """The host as rsync wants it before the colon (IPv6 in brackets)."""
    return f"[{address}]" if ":" in address else address


def compress_arguments(compress: str) -> list[str]:
    """Arguments for compression. zstd at level 1 costs next to nothing; without a choice the two sides agree on one."""
    if compress == "none":
        return []
    if compress == "negotiate":
        return ["--compress", "--compress-level=1"]
    return ["--compress", f"--compress-choice={compress}", "--compress-level=1"]


def mode_arguments(transfer: Transfer) -> list[str]:
    """Arguments for what is copied and what is deleted.

    Not ``-a``: files belong to the login user, whoever runs this, and times of directories that belong to others
    (mount points) cannot be set.
    """
    arguments = [
        "--recursive" if transfer.recursive else "--dirs",
        "--perms",
        "--times",
        "--omit-dir-times",
    ]
    arguments += LINKS[transfer.links]
    switches = {"--delete": transfer.delete, "--dry-run": transfer.dry_run, "--checksum": transfer.checksum}
    switches["--sparse"] = transfer.sparse
    arguments += [switch for switch, on in switches.items() if on]
    if transfer.bwlimit:
        arguments.append(f"--bwlimit={transfer.bwlimit}")
    if transfer.owner:
        arguments += ["--owner", "--group", f"--chown={transfer.owner}"]
    if transfer.chmod:
        arguments.append(f"--chmod={transfer.chmod}")
    return [*arguments, *filter_arguments(transfer)]


LINKS = {"keep": ["--links"], "safe": ["--links", "--safe-links"], "follow": ["--copy-links"], "skip": []}


def filter_arguments(transfer: Transfer) -> list[str]:
    """Arguments for what is left out; rsync takes the first rule that matches."""
    # The root of a mounted ext4 has a directory that only root may read and nobody should delete.
    arguments = ["--exclude=lost+found/"]
    arguments += [f"--filter={rule}" for rule in transfer.filter]
    arguments += [f"--exclude={pattern}" for pattern in transfer.exclude]
    if transfer.gitignore:
        arguments += ["--exclude=.git", *(f"--exclude={pattern}" for pattern in transfer.ignored)]
    if transfer.ignored_from:
        arguments.append(f"--exclude-from={transfer.ignored_from}")
    if transfer.only is not None:
        arguments += _narrow.arguments(transfer.only, transfer.source, PARTIAL if transfer.partial else "")
    return arguments


def rsync_argv(transfer: Transfer, target: Target, executable: str = "rsync") -> list[str]:
    """The whole argument list; nothing in it passes a shell of ours, remote names are protected from the one there."""
    remote = f"{host_spec(target.address)}:{remote_path(transfer.remote_path)}"
    pair = [transfer.local_path, remote] if transfer.direction == "out" else [remote, transfer.local_path]
    return [
        executable,
        *mode_arguments(transfer),
        *compress_arguments(transfer.compress),
        "--protect-args",
        *([f"--partial-dir={PARTIAL}"] if transfer.partial else []),
        "--timeout=60",
        "--info=progress2,stats2,name0,flist0",
        f"--out-format={MARK}%i %n%L",
        f"--rsync-path={remote_program(transfer)}",
        f"--rsh={' '.join(shell_word(word) for word in ssh_base(target, timeout=10))}",
        "--",
        *pair,
    ]


# ------------------------------------------------------------------------------------------------------------- output

_PROGRESS = re.compile(r"^\s*([\d,.]+)\s+(\d+)%\s+([\d.,]+)([kKMGT]?)B/s")
_STATISTICS = {
    "Number of files": "listed",
    "Number of created files": "created",
    "Number of deleted files": "deleted",
    "Number of regular files transferred": "files",
    "Total transferred file size": "bytes",
}
_STAT = re.compile(rf"^({'|'.join(_STATISTICS)}): ([\d,]+)")
_UNITS = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True)
class Change:
    """An itemized change: rsync's eleven characters (or ``*deleting``) and the path."""

    flags: str
    path: str

    @property
    def deleted(self) -> bool:
        """True for a path that was deleted."""
        return self.flags.startswith("*deleting")

    @property
    def created(self) -> bool:
        """True for a path that was not there before."""
        return self.flags[2:].startswith("+++")

    def line(self) -> str:
        """The change in one line for a diff."""
        sign = "-" if self.deleted else "+" if self.created else "~"
        return f"{sign} {self.path}"


@dataclass
class Report:
    """What a transfer did so far.

    Attributes:
        bytes: size of the contents that were moved; percent and rate (bytes a second) go with it.
        files: regular files that were moved.
        listed: files and directories of the source.
        created: of these, what the destination did not have.
        deleted: files and directories that were deleted.
    """

    bytes: int = 0
    percent: int = 0
    rate: float = 0.0
    files: int = 0
    listed: int = 0
    created: int = 0
    deleted: int = 0
    changes: list[Change] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Reads one line of rsync's output; a deletion may stand behind the progress, on the same line."""
        before, mark, change = line.partition(MARK)
        if mark and (not before or _PROGRESS.match(before)):
            flags, _blank, path = change.lstrip().partition(" ")
            self.changes.append(Change(flags, path.lstrip() if flags.startswith("*") else path))
            line = before
        if line and not self._take_progress(line):
            self._take_statistic(line)

    def _take_progress(self, line: str) -> bool:
        match = _PROGRESS.match(line)
        if match:
            self.bytes, self.percent = number(match[1]), int(match[2])
            self.rate = float(match[3].replace(",", ".")) * _UNITS[match[4]]
        return match is not None

    def _take_statistic(self, line: str) -> None:
        match = _STAT.match(line)
        if match is None:
            return
        setattr(self, _STATISTICS[match[1]], number(match[2]))


def number(text: str) -> int:
    """Reads rsync's digits with their separators."""
    return int(re.sub(r"\D", "", text) or 0)


def diff_text(changes: Iterable[Change], limit: int = 200) -> str:
    """The changes as text, the first ones when there are many."""
    lines = [change.line() for change in changes]
    more = [f"… and {len(lines) - limit} more"] if len(lines) > limit else []
    return "".join(f"{line}\n" for line in [*lines[:limit], *more])


# --------------------------------------------------------------------------------------------------------- exit codes

OK = "ok"
WARN = "warn"
RETRY = "retry"
FATAL = "fatal"

CODES: dict[int, tuple[str, str]] = {
    0: (OK, ""),
    1: (FATAL, "rsync did not understand its options"),
    2: (FATAL, "the two rsync versions do not understand each other"),
    3: (FATAL, "rsync could not open its files or directories"),
    4: (FATAL, "one of the two rsync programs does not know an option that is needed; install a newer one"),
    5: (FATAL, "rsync could not start the transfer"),
    6: (FATAL, "rsync could not write its log"),
    10: (RETRY, "the connection broke (socket error)"),
    11: (FATAL, "rsync could not read or write a file"),
    12: (RETRY, "the connection broke in the middle of the transfer"),
    13: (FATAL, "rsync failed on its own messages"),
    14: (FATAL, "rsync could not start its helper"),
    20: (FATAL, "the transfer was interrupted"),
    21: (FATAL, "rsync lost its helper"),
    22: (FATAL, "there was not enough memory"),
    23: (FATAL, "some files could not be transferred"),
    24: (WARN, "some files vanished while they were transferred"),
    25: (FATAL, "the limit of deletions stopped the transfer"),
    30: (RETRY, "the other side did not answer for 60 s"),
    35: (RETRY, "the connection did not come up in time"),
    127: (FATAL, "ssh or rsync is missing on this machine; install openssh-client and rsync"),
    255: (RETRY, "ssh could not connect"),
}


@dataclass(frozen=True)
class Rule:
    """What a message on stderr means, whatever the exit code is: a pattern, the kind, and what to tell."""

    pattern: str
    kind: str
    text: str


NO_SOURCE = "the source path does not exist"

# First match wins; a message says more than a code: rsync's code is 12 for a missing program and a full disk alike.
RULES: tuple[Rule, ...] = (
    Rule(r"^gitignore: ", FATAL, "what git ignores cannot be told"),
    Rule(r"no space left on device|disk quota exceeded", FATAL, "there is no space left on the receiving side"),
    Rule(
        r"rsync: (command )?not found|rsync: no such file", FATAL, "rsync is missing on the instance; install it there"
    ),
    Rule(r"(sender|change_dir|link_stat).*no such file or directory", FATAL, NO_SOURCE),
    Rule(r"mkdir: .*permission denied", FATAL, "the login user may not create the remote directory"),
    Rule(r"mkdir: ", FATAL, "the remote directory cannot be created"),
    Rule(r"host key verification failed|host identification has changed", FATAL, "the host key is not the known one"),
    Rule(r"permission denied \((publickey|gssapi|password|keyboard)", FATAL, "the login was refused"),
    Rule(r"permission denied|operation not permitted", FATAL, "the login user may not read or write some of the files"),
    Rule(r"read-only file system", FATAL, "the receiving file system is read-only"),
    Rule(r"failed to negotiate|unknown compress name", FATAL, "the two sides share no such compression"),
)


@dataclass(frozen=True)
class Verdict:
    """How a run of rsync ended: kind (OK, WARN, RETRY, FATAL) and one sentence."""

    kind: str
    text: str


def verdict(code: int, stderr: str) -> Verdict:
    """Judges an exit code together with what rsync and ssh wrote to stderr."""
    kind, text = CODES.get(code, (FATAL, f"rsync ended with code {code}"))
    if kind == OK:
        return Verdict(OK, "")
    low = stderr.lower()
    rule = next((rule for rule in RULES if re.search(rule.pattern, low)), None)
    if rule is not None and kind != WARN:
        return Verdict(rule.kind, rule.text)
    return Verdict(kind, text)


_NOISE = re.compile(r"^(@+|rsync error:|rsync: connection unexpectedly closed|rsync: \[\w+\] connection unexpectedly)")


def complaint(stderr: str, limit: int = 3) -> str:
    """The lines of stderr that tell the cause, the first few, on one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not _NOISE.match(line)] or lines
    return "; ".join(telling[:limit])


def knows_zstd(version_text: str) -> bool:
    """Says whether ``rsync --version`` lists zstd compression."""
    match = re.search(r"Compress list:\s*\n?(.*)", version_text)
    return bool(match and "zstd" in match[1].split())


def rank_path(local_path: str, rank: int, count: int) -> str:
    """Where files that come in land: below a directory per rank when there are several instances."""
    return f"{local_path.rstrip('/')}/rank-{rank}/" if count > 1 else local_path


def deletion_problem(transfer: Transfer, home: str) -> str | None:
    """Says why ``delete`` would be a disaster: it would empty a home directory (keys and all) or the root.

    Args:
        home: home directory on this machine.
    """
    source, destination = transfer.local_path, remote_path(transfer.remote_path)
    if transfer.direction == "in":
        source, destination = destination, source
    if not transfer.delete or not source.endswith("/"):
        return None
    plain = posixpath.normpath(destination)
    if plain in (".", "..", "/", posixpath.normpath(home)) or _HOME.match(plain):
        return f"delete would remove everything else in {destination}; name a directory of its own"
    return None


_HOME = re.compile(r"(/root|/home(/[^/]+)?|\.\./.*)\Z")
