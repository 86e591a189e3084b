"""Python environments as machine images bring them, in directories of the same shape."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._python_env import environments, find


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.fixture()
def machine(tmp_path: Path) -> Path:
    """A Deep Learning AMI: one environment of a framework under /opt, and a conda in the home of ubuntu."""
    for name in ("pyvenv.cfg", "bin/activate", "bin/pip"):
        put(tmp_path / "opt/pytorch" / name)
    conda = tmp_path / "home/ubuntu/anaconda3"
    for name in ("bin/conda", "bin/activate", "conda-meta/history", "envs/tensorflow2_p310/conda-meta/history"):
        put(conda / name)
    return tmp_path


def test_environments_of_the_image_by_name(machine: Path) -> None:
    root, home = str(machine), f"{machine}/home/admin"
    conda = f"{machine}/home/ubuntu/anaconda3"
    assert environments(home, root) == {
        "pytorch": f"{machine}/opt/pytorch", "base": conda, "tensorflow2_p310": f"{conda}/envs/tensorflow2_p310",
    }  # fmt: skip
    pytorch = find("pytorch", home, root)
    assert (pytorch.kind, pytorch.exists, pytorch.activate) == ("venv", True, (f"{machine}/opt/pytorch/bin/activate",))
    tensorflow = find("tensorflow2_p310", home, root)
    assert (tensorflow.kind, tensorflow.exists) == ("conda", True)
    assert tensorflow.activate == (f"{conda}/bin/activate", f"{conda}/envs/tensorflow2_p310")
    assert find("base", home, root).activate == (f"{conda}/bin/activate", conda)


def test_a_name_that_the_image_has_not(machine: Path, tmp_path: Path) -> None:
    problem = find("pytroch", "/home/x", str(machine)).problem
    assert "there is no Python environment pytroch in the image (it has: base, pytorch, tensorflow2_p310)" in problem
    assert "(it has: none)" in find("pytorch", "/home/x", f"{tmp_path}/empty").problem


def test_paths(machine: Path, tmp_path: Path) -> None:
    root, home = str(machine), "/home/x"
    made = find(f"{tmp_path}/new", home, root)
    assert (made.exists, made.problem, made.activate) == (False, "", (f"{tmp_path}/new/bin/activate",))
    assert find(f"{machine}/home/ubuntu/anaconda3/envs/tensorflow2_p310", home, root).kind == "conda"
    put(tmp_path / "mine/data.bin")
    assert "holds something that is no Python environment" in find(f"{tmp_path}/mine", home, root).problem
    put(tmp_path / "lost/conda-meta/history")
    assert "its conda is not on the instance" in find(f"{tmp_path}/lost", home, f"{tmp_path}/empty").problem


def test_one_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    assert find(f"{tmp_path}/env", "/home/x").exists
    (tmp_path / "env/bin/activate").unlink()
    cut = find(f"{tmp_path}/env", "/home/x")
    assert (cut.exists, cut.problem) == (False, "")
