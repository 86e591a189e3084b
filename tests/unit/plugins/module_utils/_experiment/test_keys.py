"""The private key file on the controller."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import keys
from tests.unit.plugins.module_utils._experiment.builders import profile


def make_key(path: Path, phrase: str = "") -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-C", "comment", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_public_half_is_found_without_the_pub_file(tmp_path: Path) -> None:
    public = make_key(tmp_path / "key")
    (tmp_path / "key.pub").unlink()
    found = keys.read(str(tmp_path / "key"))
    assert (found.exists, found.mode, found.public) == (True, 0o600, public)


def test_pass_phrase_is_not_asked_for(tmp_path: Path) -> None:
    make_key(tmp_path / "key", phrase="secret phrase")
    assert keys.read(str(tmp_path / "key")).public is None


def test_file_that_is_not_there_or_no_key(tmp_path: Path) -> None:
    assert keys.read(str(tmp_path / "none")).exists is False
    (tmp_path / "text").write_text("text")
    assert keys.read(str(tmp_path / "text")).public is None


@pytest.mark.parametrize(
    ("access", "path"),
    [
        ({}, "~/.ssh/experiments.spot/lab"),
        ({"private_key_file": "~/mine"}, "~/mine"),
        ({"key_name": "mine", "private_key_file": "~/mine"}, "~/mine"),
        ({"key_name": "mine"}, None),
    ],
)
def test_path(access: dict[str, str], path: str | None) -> None:
    assert keys.key_path(profile(access=access), "lab") == (path and os.path.expanduser(path))
