#!/usr/bin/env python3
"""Copies what Galaxy gets to build/tree/ansible_collections/experiments/spot and prints that path.

What git knows or would take, less `build_ignore` of galaxy.yml, read as `ansible-galaxy collection build` reads it. So
ansible-test, antsibull-docs and galaxy-importer see the same files, whatever lies about in the checkout.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / "build/tree/ansible_collections"
DEPENDENCIES = ("amazon", "ansible", "community")  # namespaces of galaxy.yml's dependencies


def ignore_patterns(galaxy: str) -> list[str]:
    """The list `build_ignore` of a galaxy.yml, without a YAML parser: this also runs outside .venv."""
    section = re.search(r"^build_ignore:\n((?:  - .*\n)*)", galaxy, re.MULTILINE)
    return [line[4:].strip().strip("\"'") for line in section[1].splitlines()] if section else []


def is_ignored(path: str, patterns: list[str]) -> bool:
    """Whether a file or one of its directories matches a pattern, which is compared with the path from the root."""
    parts = [path, *(str(parent) for parent in PurePosixPath(path).parents if parent.name)]
    return any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in patterns)


def git(*args: str, where: Path = ROOT) -> str:
    """Output of a git command."""
    return subprocess.run(["git", *args], cwd=where, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Makes the tree anew."""
    patterns = ignore_patterns((ROOT / "galaxy.yml").read_text())
    if not patterns:
        sys.exit("tree: galaxy.yml has no build_ignore; the collection would hold the whole checkout")
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    target = TREE / "experiments/spot"
    shutil.rmtree(TREE, ignore_errors=True)
    for name in sorted({name for name in names if name and not is_ignored(name, patterns)}):
        if (ROOT / name).exists():  # not so when it was deleted and not committed yet
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    # A repository of its own: ansible-test asks git for the files, and the checkout's git ignores build/. It would find
    # nothing there, say so in one line and end well.
    git("init", "-q", where=target)
    site = next((ROOT / ".venv/lib").glob("python3.*/site-packages/ansible_collections"), None)
    if site is None:
        sys.exit("tree: .venv has no collections; type: make setup")
    for dependency in DEPENDENCIES:
        (TREE / dependency).symlink_to(site / dependency)
    print(target)


if __name__ == "__main__":
    main()
