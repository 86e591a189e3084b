# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Python environments of a machine: virtual ones, and those of conda that a machine image brings.

PRIVATE to the collection.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass

# Where conda lies. Sources: AWS Deep Learning AMI developer guide (conda AMIs: anaconda3 in the home of the user, those
# of one framework: /opt/conda), conda documentation (defaults of its installers).
CONDA_ROOTS = (
    "/opt/conda",
    "/opt/miniconda3",
    "/opt/anaconda3",
    "/usr/local/miniconda3",
    "~/anaconda3",
    "~/miniconda3",
    "~/miniforge3",
    "/home/*/anaconda3",
    "/home/*/miniconda3",
)
# Source: AWS Deep Learning AMI release notes: since 2024 one virtual environment a framework, /opt/pytorch.
VENV_ROOT = "/opt"


@dataclass(frozen=True)
class Env:
    """A Python environment.

    Attributes:
        kind: venv or conda.
        prefix: its directory.
        activate: script that activates it, and its argument for conda.
        exists: whether it is there.
        problem: why it cannot be used, "" when it can.
    """

    kind: str = "venv"
    prefix: str = ""
    activate: tuple[str, ...] = ()
    exists: bool = False
    problem: str = ""


def find(wanted: str, home: str, root: str = "") -> Env:
    """The environment of a path or of a name.

    Args:
        wanted: an absolute path, which need not exist, or a name, which must.
        home: home directory of the user who looks.
        root: where the machine begins, for tests.
    """
    if wanted.startswith("/"):
        return of_path(wanted, home, root)
    prefixes = environments(home, root)
    if wanted in prefixes:
        return of_path(prefixes[wanted], home, root)
    known = ", ".join(sorted(prefixes)) or "none"
    what = f"there is no Python environment {wanted} in the image (it has: {known})"
    return Env(problem=f"{what}; name one of them, or a path to have one made")


def of_path(prefix: str, home: str, root: str) -> Env:
    """The environment of a directory."""
    if not os.path.lexists(prefix) or (os.path.isdir(prefix) and not os.listdir(prefix)):
        return Env("venv", prefix, (f"{prefix}/bin/activate",))
    if os.path.isdir(f"{prefix}/conda-meta"):
        conda = conda_of(prefix, home, root)
        if conda:
            return Env("conda", prefix, (f"{conda}/bin/activate", prefix), True)
        return Env("conda", prefix, problem=f"{prefix} is of conda, and its conda is not on the instance")
    if os.path.exists(f"{prefix}/pyvenv.cfg"):
        # What was cut off while it was made lacks the script, and is made anew.
        return Env("venv", prefix, (f"{prefix}/bin/activate",), os.path.exists(f"{prefix}/bin/activate"))
    return Env(problem=f"{prefix} holds something that is no Python environment; give another path, or empty it")


def conda_of(prefix: str, home: str, root: str) -> str:
    """The conda that an environment belongs to, "" for none."""
    own = [one for one in (prefix, os.path.dirname(os.path.dirname(prefix))) if _is_conda(one)]
    return next(iter([*own, *conda_roots(home, root)]), "")


def conda_roots(home: str, root: str) -> list[str]:
    """Where conda is installed."""
    places = [place.replace("~", home, 1) if place.startswith("~") else root + place for place in CONDA_ROOTS]
    return [path for place in places for path in sorted(glob.glob(place)) if _is_conda(path)]


def _is_conda(path: str) -> bool:
    return os.path.exists(f"{path}/bin/conda") and os.path.exists(f"{path}/bin/activate")


def environments(home: str, root: str = "") -> dict[str, str]:
    """Name to directory of the environments that a machine image brings; the first of a name counts."""
    found: dict[str, str] = {}
    for config in sorted(glob.glob(f"{root}{VENV_ROOT}/*/pyvenv.cfg")):
        found.setdefault(os.path.basename(os.path.dirname(config)), os.path.dirname(config))
    for conda in conda_roots(home, root):
        found.setdefault("base", conda)
        for meta in sorted(glob.glob(f"{conda}/envs/*/conda-meta")):
            found.setdefault(os.path.basename(os.path.dirname(meta)), os.path.dirname(meta))
    return found
