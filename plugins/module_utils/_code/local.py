# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a clone on the user's machine has that the instances will not get.

PRIVATE to the collection.
"""

from __future__ import annotations

from collections.abc import Callable

from .repository import is_commit, same

Git = Callable[..., tuple[int, str]]
SHOWN = 3


def warnings(repository: str, version: str, git: Git) -> list[str]:
    """What differs between the clone of a folder and what the instances get, [] when it is no clone of the repository.

    Args:
        repository: address in the profile.
        version: branch, tag or commit in the profile, "" for the default branch.
        git: runs git in the folder: exit status and output.
    """
    rc, root = git("rev-parse", "--show-toplevel")
    remote = "" if rc else remote_of(repository, git)
    if not remote:
        return []
    found = [changes(git), unpushed(remote, git), other_branch(version, remote, git)]
    return [f"{root.strip()} {one}; the instances get what is pushed to {repository}" for one in found if one]


def remote_of(repository: str, git: Git) -> str:
    """Name of the remote that is the repository, "" for none."""
    _rc, out = git("remote", "-v")
    for line in out.splitlines():
        name, _tab, rest = line.partition("\t")
        if same(rest.rpartition(" ")[0], repository):
            return name
    return ""


def changes(git: Git) -> str:
    """Files that are not committed."""
    _rc, out = git("status", "--porcelain", "-z", "--no-renames")
    names = [entry[3:] for entry in out.split("\0") if len(entry) > 3]
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"has changes that are not committed ({', '.join(names[:SHOWN])}{more})"


def unpushed(remote: str, git: Git) -> str:
    """Commits of this branch that the remote did not have when it was last looked at."""
    rc, out = git("rev-list", "--count", "HEAD", "--not", f"--remotes={remote}")
    count = int(out.strip() or 0) if rc == 0 else 0
    return (
        f"has {count} commit{'' if count == 1 else 's'} that {'is' if count == 1 else 'are'} not pushed"
        if count
        else ""
    )


def other_branch(version: str, remote: str, git: Git) -> str:
    """Another branch than the one that the instances get; what is not pushed is told already."""
    rc, branch = git("symbolic-ref", "--quiet", "--short", "HEAD")
    if rc or is_commit(version):
        return ""
    wanted = version
    if not wanted:
        _rc, default = git("symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD")
        wanted = default.strip().removeprefix(f"{remote}/")
    here = branch.strip()
    rc, _out = git("rev-parse", "--verify", "--quiet", f"refs/remotes/{remote}/{wanted}")
    return f"is at the branch {here}, and code.version is {wanted}" if wanted and here != wanted and rc == 0 else ""
