"""A lab of the tests' own, with real machines; root and a docker engine are needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from lab_driver import Lab, lab_command


def pytest_collection_modifyitems(items):
    """All tests here need a lab, and root to make one."""
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.lab)
            if os.geteuid():
                item.add_marker(pytest.mark.skip(reason="a lab needs root"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """One lab for all tests."""
    found = Lab("integration", tmp_path_factory.mktemp("lab"))
    subprocess.run(lab_command("down", found.name), check=True)
    subprocess.run(lab_command("up", found.name), check=True)
    yield found
    subprocess.run(lab_command("down", found.name), check=True)


@pytest.fixture
def machine(lab):
    """A running machine with ssh, terminated afterwards."""
    found = lab.launch()
    yield found
    lab.terminate(found)
