from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.document import Document, Origin
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.local import local_files
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting, examine

OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"


def trouble(good: dict[str, Any], base: Path, changes: dict[str, Any]) -> list[str]:
    good.update(changes)
    checked = examine(Document(good, {(): Origin("x.yml", None, str(base))}), Setting("x", cwd=str(base / "cwd")))
    assert checked.problems == []
    local_files(checked)
    return [problem.text for problem in checked.problems]


def out(path: str) -> dict[str, Any]:
    return {"channels": [{"direction": "out", "local_path": path, "remote_path": "~/x"}]}


def back(path: str) -> dict[str, Any]:
    return {"channels": [{"direction": "in", "local_path": path, "remote_path": "~/x"}]}


def test_files_that_are_there(good: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "cwd").mkdir()
    key = tmp_path / "key"
    key.write_text(OPENSSH)
    key.chmod(0o600)
    assert trouble(good, tmp_path, {**out("src/"), "access": {"private_key_file": "key"}}) == []
    assert trouble(good, tmp_path, {**back("deep/results/")}) == []
    assert not (tmp_path / "cwd/deep").exists(), "looking changes nothing"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none/", "none/ does not exist; a relative path starts from "),
        ("file/", "file/ is not a directory; remove the slash"),
    ],
)
def test_sources_that_are_not(good: dict[str, Any], tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    texts = trouble(good, tmp_path, out(path))
    assert len(texts) == 1
    assert said in texts[0]


def test_results_cannot_go_into_a_file(good: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd/file").write_text("")
    assert "cwd/file is not a directory" in trouble(good, tmp_path, back("file/results/"))[0]


def test_results_cannot_go_where_one_may_not_write(
    good: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written to" in trouble(good, tmp_path, back("results/"))[0]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "does not exist; name an existing key, or remove it to have one made"),
        (OPENSSH, 0o640, "can be read by others (mode 0640), so ssh will refuse it; chmod 600 "),
        (OPENSSH, 0o604, "can be read by others (mode 0604)"),
        ("ssh-ed25519 AAAA me@here\n", 0o600, "is the public half of a key; name the private half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", 0o600, "is a key of PuTTY; convert it: puttygen"),
        ("hello\n", 0o600, "is not a private key"),
        ("", 0o600, "is not a private key"),
    ],
)
def test_keys_that_ssh_would_refuse(
    good: dict[str, Any], tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
        (tmp_path / "key").chmod(mode)
    texts = trouble(good, tmp_path, {"channels": [], "access": {"private_key_file": "key"}})
    assert len(texts) == 1
    assert f"x.yml: access.private_key_file: {tmp_path}/key {said}" in texts[0]


def test_a_directory_is_no_key(good: dict[str, Any], tmp_path: Path) -> None:
    assert "is not a file" in trouble(good, tmp_path, {"channels": [], "access": {"private_key_file": "."}})[0]


def test_a_directory_needs_a_slash_or_recursive(good: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert "src is a directory, and recursive is false; add recursive: true, or a slash" in trouble(
        good, tmp_path, out("src")
    )[0].replace(": add", "; add")
    assert trouble(good, tmp_path, {"channels": [{**out("src")["channels"][0], "recursive": True}]}) == []


def test_a_deploy_key_must_be_usable_by_itself(good: dict[str, Any], tmp_path: Path) -> None:
    code = {"code": {"repository": "git@github.com:alice/train.git", "deploy_key": "deploy"}}
    (one,) = trouble(good, tmp_path, code)
    assert "deploy does not exist; name an existing key whose public half the repository lets in" in one
    for phrase, said in (("x", "deploy has a passphrase; make a key without one"), ("", "")):
        (tmp_path / "deploy").unlink(missing_ok=True)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase * 8, "-f", str(tmp_path / "deploy")]
        subprocess.run(argv, check=True)
        found = trouble(good, tmp_path, code)
        assert [said in text for text in found] == [True] * bool(said), found
