"""The program of the data mover, between real directories and a bucket behind the real S3 protocol."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.plugins.module_utils._results.conftest import api, s3  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
BIG = os.urandom(20_000_000)  # goes in parts


@pytest.fixture(scope="module")
def mover() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mover_program", ROOT / "roles/mover/files/mover.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Names that make trouble, an empty file, a large one, and what is no file."""
    root = tmp_path / "source"
    for name, data in {"a": b"1", "b c/d'\"": b"2", "b c/ü/--x": b"3", "empty": b"", "big": BIG}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_000_000, 1_000_000))
    (root / "link").symlink_to("a")
    os.mkfifo(root / "pipe")
    return root


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def keys(s3: Any) -> dict[str, int]:  # noqa: F811
    return {one["Key"]: one["Size"] for one in s3.list_objects_v2(Bucket="mine").get("Contents", [])}


def quiet(_text: str) -> None:
    pass


@pytest.mark.slow
def test_there_and_back_again(mover: ModuleType, tree: Path, tmp_path: Path, s3: Any) -> None:  # noqa: F811
    bucket = mover.Bucket("s3://mine/deep/er", s3)
    tally = mover.copy(mover.Folder(str(tree)), bucket, quiet)
    assert (tally.files, tally.failed) == (5, {}) and set(tally.skipped) == {"link", "pipe"}
    assert set(keys(s3)) == {f"deep/er/{name}" for name in files(tree)}
    head = s3.head_object(Bucket="mine", Key="deep/er/a", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]
    again = mover.copy(mover.Folder(str(tree)), mover.Bucket("s3://mine/deep/er/", s3), quiet)
    assert (again.files, again.unchanged) == (0, 5)
    back = tmp_path / "back"
    assert mover.copy(mover.Bucket("s3://mine/deep/er", s3), mover.Folder(str(back)), quiet).files == 5
    assert files(back) == files(tree)
    assert mover.copy(mover.Bucket("s3://mine/deep/er", s3), mover.Folder(str(back)), quiet).unchanged == 5


def test_what_is_newer_or_cut_off_is_copied(mover: ModuleType, tree: Path, tmp_path: Path, s3: Any) -> None:  # noqa: F811
    target = tmp_path / "target"
    mover.copy(mover.Folder(str(tree)), mover.Folder(str(target)), quiet)
    assert files(target) == files(tree)
    (tree / "a").write_bytes(b"9")  # the same size, but newer
    (target / "big").write_bytes(b"cut")
    (target / "mine").write_bytes(b"stays")
    tally = mover.copy(mover.Folder(str(tree)), mover.Folder(str(target)), quiet)
    assert (tally.files, tally.unchanged) == (2, 3)
    assert files(target) == {**files(tree), "mine": b"stays"}


def test_keys_that_lead_elsewhere_are_left_out(mover: ModuleType, tmp_path: Path, s3: Any) -> None:  # noqa: F811
    for key in ("in/../../out", "in//twice", "in/folder/", "in/good"):
        s3.put_object(Bucket="mine", Key=key, Body=b"x")
    tally = mover.copy(mover.Bucket("s3://mine/in", s3), mover.Folder(str(tmp_path / "in")), quiet)
    assert (tally.files, set(tally.skipped)) == (1, {"in/../../out", "in//twice", "in/folder/"})
    assert files(tmp_path) == {"in/good": b"x"}


def test_one_that_fails_stops_no_other(mover: ModuleType, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "target/a").mkdir(parents=True)
    tally = mover.copy(mover.Folder(str(tree)), mover.Folder(str(tmp_path / "target")), quiet)
    assert set(tally.failed) == {"a"} and tally.files == 4


@pytest.mark.parametrize("ends", [("/no/such/source", "t"), ("s3://nosuchbucket/x", "t"), (".", "/proc/x")])
def test_ends_that_cannot_be_used(
    mover: ModuleType,
    s3: Any,  # noqa: F811
    ends: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mover, "client", lambda: s3)
    assert mover.main(["mover", *ends]) == 1
    said = capsys.readouterr().out
    assert said.startswith("FAILED: ") and "Traceback" not in said and said.count("\n") == 1


def test_it_tells_what_it_did(
    mover: ModuleType, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mover.main(["mover", str(tree), str(tmp_path / "target")]) == 0
    said = capsys.readouterr().out
    assert "left out: 'link': it is no regular file" in said
    assert "copied 5 files, 20.0 MB in" in said and "0 were there, 2 left out, 0 failed" in said
    assert mover.main(["mover"]) == 2
