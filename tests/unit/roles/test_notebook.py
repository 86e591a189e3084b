"""The program that runs a notebook, where no papermill is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The runner, with the standard library alone."""
    words = [sys.executable, "-S", str(ROOT / "roles/notebook/files/run.py"), "in.ipynb", str(folder / "out/x.ipynb")]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_an_image_without_papermill_is_told_what_to_do(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 3 and list(tmp_path.iterdir()) == []
    assert "-e notebook_install=true" in ended.stdout and "pip install papermill" in ended.stdout
