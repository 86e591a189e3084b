# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What this machine has: Ansible, Python, libraries, collections, programs. PRIVATE to the collection."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import operator
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.compat.version import LooseVersion

from .check import FAILED, OK, Check

# What ansible-core 2.18 needs on a controller. Source: ansible-core support matrix.
PYTHON = ">=3.11"
# Program -> (arguments that make it say its version, the version in what it says, versions that do, the package).
# rsync: --info and --chown (NEWS of rsync 3.1.0). ssh: StrictHostKeyChecking=accept-new (release notes of OpenSSH 7.6).
PROGRAMS: dict[str, tuple[list[str], str, str, str]] = {
    "rsync": (["--version"], r"rsync\s+version v?(\d+(?:\.\d+)+)", ">=3.1.0", "rsync"),
    "ssh": (["-V"], r"OpenSSH_(?:for_Windows_)?(\d+(?:\.\d+)+)", ">=7.6", "openssh-client"),
    "ssh-keygen": ([], "", "", "openssh-client"),
}
SECONDS = 10


def wanted(root: Path) -> dict[str, dict[str, str]]:
    """Versions that the collection asks for, of ``ansible``, ``python`` and ``collections``: name -> specifier.

    Args:
        root: the collection, a checkout or installed.
    """
    runtime = yaml.safe_load((root / "meta/runtime.yml").read_text(encoding="utf-8"))
    lines = (root / "meta/requirements.txt").read_text(encoding="utf-8").splitlines()
    pairs = [re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", line) for line in lines if line and not line.startswith("#")]
    return {
        "ansible": {"ansible-core": runtime["requires_ansible"]},
        "python": {match[1]: match[2] for match in pairs if match},
        "collections": dependencies(root),
    }


def dependencies(root: Path) -> dict[str, str]:
    """Collections that a collection asks for."""
    manifest = root / "MANIFEST.json"
    if manifest.is_file():
        return dict(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["dependencies"])
    return dict(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"])


def judge(name: str, version: str | None, specifier: str, todo: str) -> Check:
    """Whether a version does; None for something that is not there."""
    if version is None:
        return Check(name, FAILED, "is missing", todo)
    good = fits(version, specifier)
    needs = f", needed is {specifier}" if not good else ""
    return Check(name, OK if good else FAILED, f"{version}{needs}", "" if good else todo)


def fits(version: str, specifier: str) -> bool:
    """Whether a version is one of a specifier such as ``>=2.18.0,<3``; ``*`` or nothing takes all."""
    compare = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt}
    wanted_ones = re.findall(r"(>=|<=|==|!=|>|<)\s*([^\s,]+)", specifier)
    try:
        pairs = [(compare.get(sign, operator.lt), LooseVersion(other)) for sign, other in wanted_ones]
        return all(test(LooseVersion(version), other) for test, other in pairs)
    except TypeError:  # it is no version
        return False


def software(root: Path, ansible_version: str) -> Iterator[Check]:
    """Ansible, Python, libraries and collections."""
    needs = wanted(root)
    for name, specifier in needs["ansible"].items():
        yield judge(name, ansible_version, specifier, f"pip install '{name}{specifier}'")
    yield judge("Python", platform.python_version(), PYTHON, "use a virtual environment of a newer Python")
    for name, specifier in needs["python"].items():
        yield judge(name, library(name), specifier, f"pip install '{name}{specifier}' beside ansible-playbook")
    for name, specifier in needs["collections"].items():
        todo = f"ansible-galaxy collection install '{name}:{specifier}'"
        yield judge(f"collection {name}", collection(name), specifier, todo)


def library(name: str) -> str | None:
    """Version of a Python library beside Ansible, None for one that is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def collection(name: str) -> str | None:
    """Version of the collection that Ansible would use, None for one that is not there."""
    try:
        package = importlib.import_module(f"ansible_collections.{name}")
    except ImportError:
        return None
    folder = Path(next(iter(package.__path__)))
    for file, read in (("MANIFEST.json", json.loads), ("galaxy.yml", yaml.safe_load)):
        if (folder / file).is_file():
            content: dict[str, Any] = read((folder / file).read_text(encoding="utf-8"))
            return str(content.get("collection_info", content)["version"])
    return None


def programs() -> Iterator[Check]:
    """Programs that transfers and logins need."""
    for name, (arguments, pattern, specifier, package) in PROGRAMS.items():
        todo = f"install {package} with the package manager of this machine"
        path = shutil.which(name)
        if path is None:
            yield Check(name, FAILED, "is missing", todo)
        elif not pattern:
            yield Check(name, OK, path)
        else:
            found = re.search(pattern, said(path, arguments))
            yield judge(name, found[1] if found else "of unknown version", specifier, todo)


def said(path: str, arguments: list[str]) -> str:
    """What a program prints."""
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return done.stdout + done.stderr


def keys(environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether private keys can be kept where they belong."""
    folder = Path(environ.get("HOME") or os.path.expanduser("~")) / ".ssh/experiments.spot"
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    good = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    todo = f"make {there} writable for you, or set HOME"
    yield Check(
        "folder for keys",
        OK if good else FAILED,
        f"{folder}{'' if good else ' cannot be written'}",
        "" if good else todo,
    )
