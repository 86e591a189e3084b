"""The role python_env, run by ansible-playbook on this machine, with a package that lies in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [experiments.spot.python_env]
"""
pytestmark = pytest.mark.slow


@pytest.fixture()
def here(tmp_path: Path) -> Path:
    """A folder with a wheel. Source: PyPA, "Binary distribution format"."""
    (tmp_path / "wheels").mkdir()
    info = "answer-1.0.dist-info"
    files = {
        "answer.py": "VALUE = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: answer\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"answer.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }
    with zipfile.ZipFile(tmp_path / "wheels/answer-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    (tmp_path / "play.yml").write_text(PLAY)
    return tmp_path


def play(here: Path, fails: bool = False, **runtime: Any) -> str:
    runtime = {"python_virtual_env": f"{here}/env", "extra_python_packages": [], "python_requirements": None, **runtime}
    variables = {
        "spot": {"profile": {"runtime": runtime, "access": {}}},
        "python_env_owner": os.environ.get("USER", "root"), "python_env_pip_args": f"--no-index --find-links {here}/wheels",
        "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    (here / "vars.json").write_text(json.dumps(variables))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PIP_", "VIRTUAL_"))}
    env |= {"HOME": str(here), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"}
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        "localhost,",
        "-e",
        "@vars.json",
        "play.yml",
    ]
    done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert (done.returncode != 0) is fails and "Traceback" not in text, text
    return text


def test_it_is_made_once_and_filled(here: Path) -> None:
    (here / "requirements.txt").write_text("answer>=1\n")
    play(here, python_requirements=f"{here}/requirements.txt")
    shown = subprocess.run(
        [f"{here}/env/bin/python3", "-c", "import answer; print(answer.VALUE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "42\n"
    text = play(here, python_requirements=f"{here}/requirements.txt", extra_python_packages=["answer==1.0"])
    assert "changed=0" in text


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        (
            {"python_requirements": "/no/where.txt"},
            "/no/where.txt is not on the instance; correct runtime.python_requirements",
        ),
        ({"extra_python_packages": ["nosuchthing"]}, "No matching distribution found for nosuchthing; correct"),
        ({"python_virtual_env": "pytroch"}, "there is no Python environment pytroch in the image"),
    ],
)
def test_what_does_not_work_is_told_in_words(here: Path, runtime: dict[str, Any], said: str) -> None:
    assert said in " ".join(play(here, fails=True, **runtime).split())
