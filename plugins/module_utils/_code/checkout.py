# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a path of the instance holds, and which commit an experiment is bound to.

PRIVATE to the collection.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from .repository import is_commit, same

Run = Callable[[list[str]], tuple[int, str, str]]
POINTER = b"version https://git-lfs.github.com/spec/"
SHOWN = 5


@dataclass
class Found:
    """What is at a path.

    Attributes:
        state: absent, ours, interrupted (a clone that was cut off, nothing of the user's in it) or other.
        commit: Commit that is checked out, "" for none.
        locked: Whether a git that is gone has left its lock.
        complete: Whether its submodules are there and, where git-lfs is, its large files.
        pointers: Some files of which only git-lfs's pointer is there.
        changed: Some files that differ from the commit.
        problem: Why nothing can be put there, "" when it can.
    """

    state: str = "absent"
    commit: str = ""
    locked: bool = False
    complete: bool = False
    pointers: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For the answer of a module."""
        return {**asdict(self), "pointers": list(self.pointers), "changed": list(self.changed)}


def look(path: str, repository: str, submodules: bool, run: Run) -> Found:
    """What is at a path.

    Args:
        path: absolute.
        repository: address of what is wanted there.
        submodules: whether its submodules are wanted.
        run: runs a command; git must be there.
    """
    if not os.path.lexists(path):
        return Found()
    if not os.path.isdir(path):
        return Found("other", problem=f"{path} is no directory; give another code.path, or remove it")
    names = os.listdir(path)
    if not names:
        return Found()
    if ".git" not in names:
        what = f"{path} holds something that is no clone ({', '.join(sorted(names)[:3])})"
        return Found("other", problem=f"{what}; give another code.path, or empty it")
    return _look_into(path, repository, submodules, run, names == [".git"])


def _look_into(path: str, repository: str, submodules: bool, run: Run, bare: bool) -> Found:
    git = ["git", "-C", path]
    rc, origin, err = run([*git, "config", "--get", "remote.origin.url"])
    origin = origin.strip()
    if "dubious ownership" in err:
        return Found("other", problem=f"{path} belongs to another user; give another code.path, or change its owner")
    is_cut = not os.path.exists(f"{path}/.git/index")
    if is_cut and (same(origin, repository) or (rc and bare)):
        return Found("interrupted")
    if origin != repository and not same(origin, repository):
        what = f"{path} is a clone of {without_login(origin) or 'something else'}, not of {repository}"
        return Found("other", problem=f"{what}; give another code.path, or remove it")
    _rc, commit, _err = run([*git, "rev-parse", "--verify", "--quiet", "HEAD"])
    locked = os.path.exists(f"{path}/.git/index.lock") and not in_use(path)
    pointers = find_pointers(path, run)
    changed = find_changed(path, run)
    complete = not locked and not (submodules and lacks_submodules(path, run))
    return Found("ours", commit.strip(), locked, complete, pointers, changed)


def without_login(address: str) -> str:
    """An address without user and password."""
    scheme, sep, rest = address.partition("://")
    return f"{scheme}{sep}{rest.rpartition('@')[2]}" if sep else address


def in_use(path: str, proc: str = "/proc") -> bool:
    """Whether a git works in a path; of other users' processes nothing can be seen, and they do not work there."""
    for link in glob.glob(f"{proc}/[0-9]*/cwd"):
        try:
            with open(f"{os.path.dirname(link)}/comm", encoding="utf-8") as stream:
                is_git = stream.read().startswith("git")
            where = os.readlink(link)
        except OSError:
            continue
        if is_git and (where == path or where.startswith(f"{path}/")):
            return True
    return False


def find_changed(path: str, run: Run) -> tuple[str, ...]:
    """Some files that differ from the commit; what git does not know does not count."""
    argv = ["git", "-C", path, "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all"]
    _rc, out, _err = run(argv)
    return tuple(entry[3:] for entry in out.split("\0")[:SHOWN] if entry)


def lacks_submodules(path: str, run: Run) -> bool:
    """Whether a submodule is missing or at another commit. Source: git-submodule(1), "status"."""
    if not os.path.exists(f"{path}/.gitmodules"):
        return False
    rc, out, _err = run(["git", "-C", path, "submodule", "status", "--recursive"])
    return bool(rc) or any(line[:1] in "-+U" for line in out.splitlines())


def find_pointers(path: str, run: Run) -> tuple[str, ...]:
    """Some files that git-lfs keeps elsewhere and that did not come. Source: git-lfs, docs/spec.md."""
    rc, out, _err = run(["git", "-C", path, "ls-files", "-z", ":(attr:filter=lfs)"])
    found: list[str] = []
    for name in filter(None, out.split("\0") if rc == 0 else []):
        if len(found) < SHOWN and is_pointer(os.path.join(path, name)):
            found.append(name)
    return tuple(found)


def is_pointer(path: str) -> bool:
    """Whether a file is git-lfs's pointer instead of the file."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(POINTER)) == POINTER
    except OSError:
        return False


def bound_commit(runs: list[dict[str, Any]], repository: str, version: str) -> str:
    """The commit of the last run of the same repository and version: the next generation goes on with it."""
    for run in reversed(runs):
        code = run.get("code")
        if isinstance(code, dict) and code.get("version") == version and same(str(code.get("repository")), repository):
            return str(code.get("commit") or "")
    return ""


def wanted_commit(runs: list[dict[str, Any]], repository: str, version: str, rerun: bool) -> str:
    """The commit that must be there, "" when the repository says it."""
    if is_commit(version):
        return version
    return "" if rerun else bound_commit(runs, repository, version)
