# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A channel: its options, the transfer they ask for, what is wrong with it, and which hosts it is for."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils import _gitignore, _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Finished, run_watched
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import (
    FATAL,
    Report,
    Transfer,
    Verdict,
    complaint,
    deletion_problem,
    knows_zstd,
    rank_path,
    remote_path,
    rsync_argv,
)

OPTIONS: dict[str, Any] = {
    "direction": {"type": "str", "choices": ["in", "out"], "required": True},
    "local_path": {"type": "str", "required": True},
    "remote_path": {"type": "str", "required": True},
    "recursive": {"type": "bool", "default": False},
    "delete": {"type": "bool", "default": False},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "filter": {"type": "list", "elements": "str", "default": []},
    "gitignore": {"type": "bool", "default": False},
    "compress": {"type": "str", "choices": ["auto", "none", "zstd", "zlib"], "default": "auto"},
    "partial": {"type": "bool", "default": True},
    "checksum": {"type": "bool", "default": False},
    "sparse": {"type": "bool", "default": False},
    "bwlimit": {"type": "str", "default": ""},
    "links": {"type": "str", "choices": ["keep", "safe", "follow", "skip"], "default": "keep"},
    "owner": {"type": "str", "default": ""},
    "chmod": {"type": "str", "default": ""},
}
# More than this share of what lies at the destination is not deleted unless somebody has said yes once.
DELETE_SHARE = 0.25
STATE_DIRECTORY = "~/.local/state/experiments.spot"
RSYNC_MISSING = "rsync is missing on this machine; install it (Debian, Ubuntu: apt-get install rsync)"


class ChannelError(Exception):
    """A channel that cannot work, in one sentence."""


def absolute(path: str) -> str:
    """An absolute local path that keeps its trailing slash, which means something to rsync."""
    full = os.path.abspath(os.path.expanduser(path))
    return full + "/" if path.endswith("/") and full != "/" else full


def transfer_of(channel: Mapping[str, Any], compress: str, rank: int = 0, count: int = 1) -> Transfer:
    """The transfer that a channel asks for.

    Args:
        channel: see OPTIONS; other keys are ignored.
        compress: see `compression`.
        rank: rank of the host.
        count: number of hosts; with more than one, what comes in goes to a directory a rank.
    """
    local = absolute(channel["local_path"])
    if channel["direction"] == "in":
        local = rank_path(local, rank, count)
    plain = ("recursive", "delete", "gitignore", "partial", "checksum", "sparse", "links")
    texts = ("bwlimit", "owner", "chmod")
    return Transfer(
        direction=channel["direction"],
        local_path=local,
        remote_path=channel["remote_path"],
        local_is_dir=os.path.isdir(local),
        exclude=tuple(channel.get("exclude") or ()),
        filter=tuple(channel.get("filter") or ()),
        compress=compress,
        **{key: channel.get(key, OPTIONS[key]["default"]) for key in plain},
        **{key: channel.get(key) or "" for key in texts},
    )


def path_problems(transfer: Transfer) -> list[str]:
    """All that is wrong with the paths, before anything is moved."""
    problems = local_problems(transfer)
    for name, path in (("local_path", transfer.local_path), ("remote_path", transfer.remote_path)):
        if "\n" in path or "\0" in path:
            problems.append(f"{name} {path!r}: has a line end in it")
    try:
        remote_path(transfer.remote_path)
        problems += filter(None, [deletion_problem(transfer, os.path.expanduser("~"))])
    except ValueError as error:
        problems.append(f"remote_path {error}")
    if not transfer.remote_path:
        problems.append("remote_path: is empty; ~ is the home directory of the login user")
    if transfer.gitignore and transfer.direction == "in" and glob.has_magic(transfer.remote_path):
        problems.append("gitignore: needs a directory to ask git in, not a remote_path with wildcards")
    if transfer.owner and transfer.direction == "in":
        problems.append("owner: is for what goes out; what comes in belongs to you")
    return problems


def local_problems(transfer: Transfer) -> list[str]:
    """What is wrong with the source of an outbound transfer."""
    path = transfer.local_path
    if transfer.direction == "in":
        return []
    if not os.path.lexists(path.rstrip("/") or "/"):
        return [f"local_path {path}: does not exist on this machine"]
    if path.endswith("/") and not transfer.local_is_dir:
        return [f"local_path {path}: ends with a slash but is no directory"]
    if transfer.local_is_dir and not path.endswith("/") and not transfer.recursive:
        return [f"local_path {path}: {NEEDS_RECURSIVE}"]
    return []


NEEDS_RECURSIVE = (
    "is a directory, and recursive is false; add recursive: true, or a slash at the end for the files directly in it"
)


def left_out(transfer: Transfer, report: Report) -> str:
    """Says that sub-directories were not entered; an empty string when there was nothing to enter."""
    if transfer.recursive:
        return ""
    if transfer.direction == "out" and transfer.local_is_dir:
        with os.scandir(transfer.local_path) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    else:
        directories = (change.path for change in report.changes if change.flags[1:2] == "d")
        names = [path.rstrip("/") for path in directories if path != "./"]
    if not names:
        return ""
    which = names[0] if len(names) == 1 else f"{min(names)} and {len(names) - 1} more"
    return f"what is in sub-directories stays ({which}); add recursive: true to take it too"


def make_local_directory(transfer: Transfer) -> None:
    """Makes the directories that files come into; rsync itself makes the last one only.

    Raises:
        ChannelError: it cannot be made or written to.
    """
    path = transfer.local_path if transfer.local_path.endswith("/") else os.path.dirname(transfer.local_path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ChannelError(f"local_path {path}: cannot be created ({error.strerror})") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ChannelError(f"local_path {path}: cannot be written to")


def compression(wanted: str) -> str:
    """What ``auto`` means here: let both sides agree when this side knows zstd, else none (zlib is slower than a LAN).

    Raises:
        ChannelError: rsync is not installed.
    """
    version = _ssh.run(["rsync", "--version"], 10)
    if version.returncode:
        raise ChannelError(RSYNC_MISSING)
    if wanted != "auto":
        return wanted
    return "negotiate" if knows_zstd(version.stdout) else "none"


# ---------------------------------------------------------------------------------------------------------- selection


def label(channel: Mapping[str, Any]) -> str:
    """How a channel is called in what people read: its name, else its paths."""
    arrow = "→" if channel["direction"] == "out" else "←"
    return channel.get("name") or f"{channel['local_path']} {arrow} {channel['remote_path']}"


def name_of(channel: Mapping[str, Any]) -> str:
    """How a channel is called: by its name, else by what it does."""
    arrow = "→" if channel["direction"] == "out" else "←"
    return str(
        channel.get("name") or f"{channel['direction']} {channel['local_path']} {arrow} {channel['remote_path']}"
    )


def is_for(channel: Mapping[str, Any], rank: int) -> bool:
    """Says whether a channel serves the host of a rank; ``hosts`` is all, first or a list of ranks."""
    hosts = [str(word) for word in channel.get("hosts") or ["all"]]
    return "all" in hosts or ("first" in hosts and rank == 0) or str(rank) in hosts


def chosen(
    channels: Iterable[Mapping[str, Any]], *, names: Sequence[str] = (), direction: str = "", stage: str = ""
) -> list[Mapping[str, Any]]:
    """The channels of a run.

    Args:
        names: only those of these names.
        direction: only those of this direction, empty for both.
        stage: only those whose ``on`` has this word, empty for all.

    Raises:
        ChannelError: there is no channel of a name.
    """
    listed = list(channels)
    known = [channel.get("name") for channel in listed if channel.get("name")]
    missing = [name for name in names if name not in known]
    if missing:
        have = ", ".join(str(name) for name in known) or "none has a name"
        raise ChannelError(f"channel {missing[0]}: there is no channel of this name in the profile ({have})")
    return [
        channel
        for channel in listed
        if (not names or channel.get("name") in names)
        and direction in ("", channel["direction"])
        and (not stage or stage in (channel.get("on") or (stage,)))
    ]


# ----------------------------------------------------------------------------------------------------------- transfer


def run_rsync(transfer: Transfer, target: _ssh.Target, tick: Callable[[Report], None]) -> tuple[Report, Finished]:
    """Runs the transfer once; ``tick`` is called at least once a second with what rsync did so far."""
    if transfer.gitignore:
        return _gitignore.run(transfer, target, lambda one: rsync_once(one, target, tick))
    return rsync_once(transfer, target, tick)


def rsync_once(transfer: Transfer, target: _ssh.Target, tick: Callable[[Report], None]) -> tuple[Report, Finished]:
    """Runs rsync once."""
    report = Report()
    environ = {**os.environ, "LC_ALL": "C"}
    finished = run_watched(rsync_argv(transfer, target), report.take, lambda: tick(report), environ)
    return report, finished


@dataclass(frozen=True)
class Deletion:
    """What a transfer would delete, and of how many files and directories at the destination."""

    deleted: int
    there: int

    @property
    def large(self) -> bool:
        """Whether somebody should be asked first."""
        return self.deleted > DELETE_SHARE * self.there

    def text(self, transfer: Transfer) -> str:
        """For the question and for the refusal."""
        place = transfer.local_path if transfer.direction == "in" else transfer.remote_path
        return f"delete would remove {self.deleted} of the {self.there} files and directories in {place}"


CONFIRM = "look with --check --diff, then confirm with -e confirm=true"


def foresee(transfer: Transfer, target: _ssh.Target) -> tuple[Deletion, Finished]:
    """Lets rsync say what would be deleted; how it ended tells whether the answer is worth anything."""
    report, finished = run_rsync(replace(transfer, dry_run=True), target, lambda _report: None)
    return Deletion(report.deleted, report.listed - report.created + report.deleted), finished


class Confirmed:
    """Remembers for which channels and ranks somebody has said yes to a large deletion."""

    def __init__(self, directory: str = "") -> None:
        self.directory = Path(directory or STATE_DIRECTORY).expanduser()

    def _mark(self, transfer: Transfer, rank: int) -> Path:
        words = "\0".join((str(rank), transfer.direction, transfer.local_path, transfer.remote_path))
        return self.directory / f"delete-{hashlib.sha256(words.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"

    def has(self, transfer: Transfer, rank: int) -> bool:
        """Whether somebody has."""
        return self._mark(transfer, rank).exists()

    def add(self, transfer: Transfer, rank: int) -> None:
        """Somebody has."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mark(transfer, rank).touch()


def refused(deletion: Deletion, transfer: Transfer) -> Verdict:
    """The verdict on a large deletion to which nobody said yes."""
    return Verdict(FATAL, f"{deletion.text(transfer)}; {CONFIRM}")


def why(end: Verdict, finished: Finished) -> str:
    """The verdict with what rsync said."""
    said = complaint(finished.stderr)
    return f"{end.text} ({said})" if said else end.text
