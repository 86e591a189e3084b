# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A transfer of some paths only, which leaves what the transfer of everything would leave.

The command stays the same, filters, deletion and all; further rules behind the user's own hide every path but the
wanted ones on both sides. So a filter still judges each directory on the way, and a path that is gone is deleted, or
not, as a full pass decides. ``--files-from`` would do neither: it enters a directory that a filter leaves out.
Source of the rules: the manual page rsync(1), sections FILTER RULES and PATTERN MATCHING RULES.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# With more paths a look at everything costs about the same: rsync tries rule after rule on each name.
MOST = 100
_WILD = re.compile(r"[*?\[]")
_ESCAPED = re.compile(r"([*?\[\\])")
# Rules with modifiers, for one side only, or from files elsewhere depend on more than the path itself.
_PLAIN = re.compile(r"[+-] \S")


def possible(channel: Mapping[str, Any]) -> bool:
    """Whether a channel can move some paths alone and exactly.

    Args:
        channel: its options, see `_channel.OPTIONS`.
    """
    if channel.get("links") == "follow":  # what a link points to changes without the link
        return False
    if any(not _PLAIN.match(rule) for rule in channel.get("filter") or ()):
        return False
    if any(pattern.startswith("!") for pattern in channel.get("exclude") or ()):
        return False
    if channel["direction"] == "out":
        return os.path.isdir(os.path.expanduser(channel["local_path"]))
    return not _WILD.search(channel["remote_path"])


def doubtful(path: str) -> bool:
    """Whether a change of a path can mean more than itself: what git ignores, or a name that was not understood."""
    words = path.split("/")
    return path in ("", ".") or ".." in words or ".git" in words or words[-1] == ".gitignore" or "\ufffd" in path


def prefix(source: str) -> str:
    """What rsync puts before the paths of a source: its own name, unless it ends with a slash."""
    return "" if source.endswith("/") or source in ("", "~", ".") else f"{source.rpartition('/')[2]}/"


def same(path: str) -> str:
    """The pattern that matches a path and nothing else."""
    return f"/{_ESCAPED.sub(_backslash, path)}" if _WILD.search(path) else f"/{path}"


def below(path: str) -> str:
    """The pattern that matches a directory and everything below it."""
    return f"/{_ESCAPED.sub(_backslash, path)}/***"


def _backslash(match: re.Match[str]) -> str:
    return f"\\{match[1]}"


def arguments(paths: Sequence[str], source: str, partial: str = "") -> list[str]:
    """The rules that leave only some paths, with what is below them and the directories on the way.

    Args:
        paths: relative to the source.
        source: as rsync gets it, with or without a slash at its end.
        partial: name of the directories of unfinished files; rsync's own rule for them would come too late.
    """
    wanted = [prefix(source) + path for path in sorted(set(paths))]
    way = dict.fromkeys(step for path in wanted for step in _way(path))
    rules = [f"+ {same(step)}" for step in way]
    rules += [f"+ {below(path)}" for path in wanted]
    kept = [f"-p {partial}/"] if partial else []
    return [f"--filter={rule}" for rule in (*kept, *rules, "- *")]


def _way(path: str) -> Iterable[str]:
    words = path.split("/")
    return ("/".join(words[: number + 1]) for number in range(len(words)))
