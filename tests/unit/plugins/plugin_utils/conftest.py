"""Transfers by real rsync without a network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import Target


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """An ssh that runs the command on this machine."""
    program = tmp_path_factory.mktemp("ssh") / "ssh"
    program.write_text('#!/bin/sh\nwhile [ "$1" != here ]; do shift; done\nshift\neval "$*"\n')
    program.chmod(0o755)
    return Target("here", executable=str(program))


@pytest.fixture
def place(tmp_path: Path) -> Callable[[], Path]:
    """A new directory at each call."""
    return lambda: Path(tempfile.mkdtemp(dir=tmp_path))
