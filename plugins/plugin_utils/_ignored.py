# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What git ignores below a directory: git's own answer. Runs here and, sent as text, on an instance; standard library.

Reads one question as JSON from its input and writes the answer as JSON: ``names``, or ``error``.
Source: git-ls-files(1), git-check-ignore(1), gitignore(5).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

# What a hook or an alias of git hands on would make another repository the one that is asked.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")

LIST = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard")
# Names in one command line of git.
AT_ONCE = 500


class GitError(Exception):
    """Git cannot answer; with what it says."""


def run(root: str, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs git in a directory."""
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    try:
        return subprocess.run(
            ["git", "-C", root, *words],
            check=False,
            input=data,
            capture_output=True,
            env={**environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except FileNotFoundError:
        raise GitError("git is missing") from None


def answer(done: subprocess.CompletedProcess[bytes], *good: int) -> list[str]:
    """The names in git's output."""
    if done.returncode not in good:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"code {done.returncode}"]
        raise GitError(lines[0])
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def is_tree(root: str) -> bool:
    """Whether a directory lies in the work tree of a repository."""
    done = run(root, "rev-parse", "--is-inside-work-tree")
    if done.returncode and b"not a git repository" not in done.stderr:
        answer(done, 0)
    return done.stdout.strip() == b"true"


@contextlib.contextmanager
def repository(root: str) -> Iterator[list[str]]:
    """Options that make git look at a directory, whether it is in a repository or not."""
    if is_tree(root):
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="spot-git-") as empty:
        answer(run(root, "init", "--quiet", "--bare", "--template=", empty), 0)
        yield [f"--git-dir={empty}", f"--work-tree={os.path.realpath(root)}"]


def listed(root: str) -> list[str]:
    """What git ignores below a directory, relative to it; a directory that is ignored as a whole ends with a slash."""
    if not os.path.isdir(root):
        return []
    with repository(root) as place:
        names = expanded(root, place, answer(run(root, *place, *LIST, "--directory"), 0))
    if "./" in names:
        raise GitError(f"git ignores all of {root}")
    for nested in inner(root, set(names)):
        names += [f"{nested}/{name}" for name in listed(os.path.join(root, nested))]
    return names


def expanded(root: str, place: list[str], names: list[str]) -> list[str]:
    """The names, with a directory that no rule names, but of which git ignores all there is, as what is in it."""
    folders = {name: None for name in names if name.endswith("/") and name != "./"}
    by_rule = set(matched(root, place, folders))
    mixed = [name for name in folders if name not in by_rule]
    found = [name for name in names if name not in folders or name in by_rule]
    for first in range(0, len(mixed), AT_ONCE):
        some = mixed[first : first + AT_ONCE]
        found += answer(run(root, "--literal-pathspecs", *place, *LIST, "--", *some), 0)
    return list(dict.fromkeys(found))


def matched(root: str, place: list[str], names: Iterable[str]) -> list[str]:
    """Which of some names a rule of git ignores."""
    data = b"".join(os.fsencode(name) + b"\0" for name in names)
    return answer(run(root, *place, "check-ignore", "-z", "--stdin", data=data), 0, 1) if data else []


def inner(root: str, ignored: set[str]) -> Iterator[str]:
    """Repositories inside one, which have rules of their own; those that are ignored are left out."""
    for folder, names, files in os.walk(root):
        place = os.path.relpath(folder, root)
        if place != "." and ".git" in (*names, *files) and is_root(folder):
            names.clear()
            yield place
        start = "" if place == "." else f"{place}/"
        names[:] = [name for name in names if name != ".git" and f"{start}{name}/" not in ignored]


def is_root(folder: str) -> bool:
    """Whether a directory is the top of a repository's work tree."""
    done = run(folder, "rev-parse", "--show-cdup")
    return done.returncode == 0 and done.stdout.strip() == b""


def chosen(root: str, names: Iterable[str]) -> list[str]:
    """Which of some names, relative to a directory, git would ignore there; they need not exist there.

    Args:
        names: a directory ends with a slash.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(place_of(root, name), []).append(name)
    found: list[str] = []
    asked = [name for name in groups.pop("", []) if not beyond_link(root, name)]
    if asked and os.path.isdir(root):
        with repository(root) as place:
            found += matched(root, place, asked)
    for nested, inside in groups.items():
        if chosen(root, [f"{nested}/"]):
            found += inside
            continue
        rest = [name[len(nested) + 1 :] for name in inside]
        found += [f"{nested}/{name}" for name in chosen(os.path.join(root, nested), rest)]
    return found


def above(name: str) -> list[str]:
    """The directories above a name, the outermost first."""
    words = name.rstrip("/").split("/")[:-1]
    return ["/".join(words[: number + 1]) for number in range(len(words))]


def place_of(root: str, name: str) -> str:
    """The outermost repository inside a directory that a name lies in, '' for none."""
    nested = (folder for folder in above(name) if os.path.lexists(os.path.join(root, folder, ".git")))
    return next((folder for folder in nested if is_root(os.path.join(root, folder))), "")


def beyond_link(root: str, name: str) -> bool:
    """Whether git has no opinion on a name, because a symbolic link stands where a directory above it would."""
    return any(os.path.islink(os.path.join(root, folder)) for folder in above(name))


def remove(root: str, names: Iterable[str]) -> list[str]:
    """Removes names below a directory; a directory that is not empty stays. Returns those that are gone.

    Raises:
        OSError: one cannot be removed.
    """
    gone = []
    for name in sorted(names, key=lambda one: one.rstrip("/").count("/"), reverse=True):
        path = os.path.join(root, name.rstrip("/"))
        try:
            (os.rmdir if name.endswith("/") else os.unlink)(path)
            gone.append(name)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise
    return gone


def asked(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question: its verb, a directory, and names."""
    root = os.path.expanduser(question["root"])
    try:
        if question["verb"] == "list":
            return {"names": listed(root)}
        verb = {"choose": chosen, "remove": remove}[question["verb"]]
        return {"names": verb(root, question["names"])}
    except (GitError, OSError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(asked(json.load(sys.stdin))))
