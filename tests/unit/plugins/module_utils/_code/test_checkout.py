"""What a path holds, on real clones."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._code import checkout
from ansible_collections.experiments.spot.plugins.module_utils._code.local import warnings
from ansible_collections.experiments.spot.plugins.module_utils._code.problems import explain
from tests.unit.git_server import IDENTITY, Repo, commit, git, make_repo

URL = "ssh://git@git.example/srv/train.git"


def run(argv: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **IDENTITY})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture()
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repos")


@pytest.fixture()
def clone(repo: Repo, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(repo.bare), "code")
    git(tmp_path / "code", "remote", "set-url", "origin", URL)
    return tmp_path / "code"


def look(path: Path, submodules: bool = True, url: str = URL) -> checkout.Found:
    return checkout.look(str(path), url, submodules, run)


def test_a_clone_of_it(repo: Repo, clone: Path) -> None:
    (clone / "results.txt").write_text("not git's")
    assert look(clone) == checkout.Found("ours", repo.commits[0], complete=True)
    assert look(clone, url="git@git.example:srv/train.git").state == "ours"
    (clone / "train.py").write_text("changed")
    assert look(clone).changed == ("train.py",)


def test_nothing_there(tmp_path: Path) -> None:
    assert look(tmp_path / "none").state == look(tmp_path).state == "absent"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("x"), "is no directory"),
        (
            lambda path: (path.mkdir(), (path / "data.bin").write_text("x")),
            "holds something that is no clone (data.bin)",
        ),
    ],
)
def test_something_else_there(tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path / "path")
    found = look(tmp_path / "path")
    assert found.state == "other" and said in found.problem and "code.path" in found.problem


def test_a_clone_of_something_else(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "https://bob:secret@git.example/srv/other.git")
    found = look(clone)
    assert found.state == "other" and "is a clone of https://git.example/srv/other.git, not of" in found.problem


def test_a_clone_that_was_cut_off(clone: Path) -> None:
    (clone / ".git/index").rename(clone / ".git/index.lock")
    assert look(clone).state == "interrupted"
    git(clone, "config", "--unset", "remote.origin.url")
    assert look(clone).state == "other", "there are files that may be the user's"
    (clone / "train.py").unlink()
    assert look(clone).state == "interrupted"


def test_a_lock_that_nobody_holds(clone: Path) -> None:
    (clone / ".git/index.lock").touch()
    found = look(clone)
    assert (found.state, found.locked, found.complete) == ("ours", True, False)
    # A process that is named git and works there holds it.
    busy = subprocess.Popen(["git", "cat-file", "--batch"], cwd=clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert not look(clone).locked
    finally:
        busy.communicate()


def test_submodules_that_did_not_come(repo: Repo, tmp_path: Path) -> None:
    other = make_repo(tmp_path / "other", "lib")
    git(repo.work, "submodule", "add", "--quiet", str(other.bare), "lib")
    commit(repo.work, "x.py", "x")
    git(repo.work, "push", "--quiet", "origin", "HEAD:main")
    git(tmp_path, "clone", "--quiet", str(repo.bare), "code")
    git(tmp_path / "code", "remote", "set-url", "origin", URL)
    assert not look(tmp_path / "code").complete
    assert look(tmp_path / "code", submodules=False).complete
    git(tmp_path / "code", "submodule", "update", "--quiet", "--init")
    assert look(tmp_path / "code").complete


def test_large_files_that_did_not_come(repo: Repo, tmp_path: Path) -> None:
    commit(repo.work, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    (repo.work / "weights.bin").write_text(pointer)
    git(repo.work, "-c", "filter.lfs.clean=cat", "-c", "filter.lfs.required=false", "add", "weights.bin")
    commit(repo.work, "y.py", "y")
    git(repo.work, "push", "--quiet", "origin", "HEAD:main")
    git(tmp_path, "clone", "--quiet", str(repo.bare), "code")
    git(tmp_path / "code", "remote", "set-url", "origin", URL)
    assert look(tmp_path / "code").pointers == ("weights.bin",)
    (tmp_path / "code/weights.bin").write_text("the weights")
    assert look(tmp_path / "code").pointers == ()


RUNS: list[dict[str, Any]] = [
    {"generation": 1, "code": {"repository": URL, "version": "main", "commit": "a" * 40}},
    {"generation": 2, "code": {"repository": URL, "version": "other", "commit": "b" * 40}},
    {"generation": 3},
]


@pytest.mark.parametrize(
    ("url", "version", "rerun", "commit_"),
    [
        (URL, "main", False, "a" * 40),
        ("git@git.example:srv/train.git", "main", False, "a" * 40),
        (URL, "other", False, "b" * 40),
        (URL, "third", False, ""),
        (URL, "main", True, ""),
        ("git@git.example:srv/other.git", "main", False, ""),
        (URL, "c" * 40, False, "c" * 40),
        (URL, "c" * 40, True, "c" * 40),
    ],
)
def test_the_commit_that_the_experiment_is_bound_to(url: str, version: str, rerun: bool, commit_: str) -> None:
    assert checkout.wanted_commit(RUNS, url, version, rerun) == commit_


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("nope", "there is no branch, tag or commit nope"),
        ("d" * 40, "no branch or tag of it holds the commit"),
        ("", "no default"),
    ],
)
def test_references_that_are_missing(version: str, said: str) -> None:
    text = f"Failed to checkout {version}\nerror: pathspec '{version}' did not match any file(s) known to git"
    assert said in explain(text, URL, version, "/code")


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:40325", "http://127.0.0.1:34019", "https://ssl.example", "https://timeout-publickey.example"],
)
def test_what_stands_in_an_address_is_no_reason(address: str) -> None:
    text = f"fatal: could not read Username for '{address}': terminal prompts disabled"
    assert "it asks for a login" in explain(text, f"{address}/401.git", "", "/srv/certificate")


def test_an_answer_that_refuses_is_a_reason() -> None:
    text = f"fatal: unable to access '{URL}/': The requested URL returned error: 403"
    assert "the server refuses the login" in explain(text, URL, "", "/code")


# ---- on the user's machine


def told(folder: Path, version: str = "", url: str = URL) -> list[str]:
    def in_folder(*argv: str) -> tuple[int, str]:
        return run(["git", "-C", str(folder), *argv])[:2]

    return warnings(url, version, in_folder)


def test_a_clone_that_is_pushed_needs_no_warning(clone: Path, tmp_path: Path) -> None:
    assert told(clone) == told(clone, "main") == []
    assert told(tmp_path) == [], "no clone"
    (clone / "new.py").write_text("x")
    assert told(clone, url="git@git.example:srv/other.git") == []


def test_what_is_not_committed_or_not_pushed_is_told(clone: Path) -> None:
    (clone / "train.py").write_text("print('second')\n")
    for number in range(4):
        (clone / f"n{number}.py").write_text("x")
    (one,) = told(clone / ".")
    assert "has changes that are not committed (train.py, n0.py, n1.py and 2 more)" in one
    assert one.endswith(f"; the instances get what is pushed to {URL}")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "x")
    (one,) = told(clone, "main")
    assert "has 1 commit that is not pushed" in one


def test_another_branch_is_told(clone: Path) -> None:
    git(clone, "switch", "--quiet", "--create", "idea")
    (one,) = told(clone)
    assert "is at the branch idea, and code.version is main" in one
    assert told(clone, "a" * 40) == []
