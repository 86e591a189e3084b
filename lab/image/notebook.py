"""The container image of notebooks: the job image, and as a third layer papermill and JupyterLab from PyPI."""

from __future__ import annotations

import compileall
import contextlib
import io
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from lab import image
from lab.image import job

REQUIREMENTS = Path(__file__).resolve().parent / "notebook.txt"
# Where Debian's Python and Jupyter look for packages, and for data and configuration of packages.
PACKAGES = Path("usr/local/lib/python3.11/dist-packages")
DATA = Path("usr/local")
# Not run: source maps of JupyterLab, tests and headers of packages.
NOT_RUN = ("*.map", "*.pyi", "*.h", "tests", "test", "include")


def recipe() -> str:
    """12 hex digits of all that decides what is in the image."""
    files = {path.name: path.read_bytes() for path in (Path(__file__).resolve(), REQUIREMENTS)}
    return image.recipe_hash(files, [job.recipe(), platform.machine()])


def build(directory: Path) -> job.Layer:
    """Makes that layer in `directory`.

    Raises:
        EngineError: pip failed; has what it said.
    """
    with tempfile.TemporaryDirectory(prefix="lab-notebook-") as work:
        root = Path(work) / "root"
        site = root / PACKAGES
        job.install(site, job.requirements(REQUIREMENTS.read_text(encoding="utf-8"))[0])
        arrange(root)
        # A container starts from this image each time: what it would compute at every start is computed once.
        if ".".join(map(str, sys.version_info[:2])) == job.PYTHON:
            with contextlib.redirect_stdout(io.StringIO()):
                compileall.compile_dir(site, quiet=2, workers=os.cpu_count() or 1, stripdir=str(root), prependdir="/")
        argv = ["tar", "--create", "--owner=0", "--group=0", "--sort=name", "--mode=go+rX", f"--directory={root}", "."]
        return job.compress(argv, directory / "notebook-layer.tar.gz", directory / "notebook-build.log")


def arrange(root: Path) -> None:
    """Puts what pip has put beside the packages where Jupyter looks for it, and removes what nobody runs."""
    site = root / PACKAGES
    for name in ("share", "etc"):
        if (site / name).is_dir():
            shutil.move(site / name, root / DATA / name)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for pattern in NOT_RUN:
        for path in [*site.rglob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
