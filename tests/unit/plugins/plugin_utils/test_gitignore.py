"""What goes with a channel that asks git is what git says: real git, real rsync, random rules."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _gitignore, _ignored
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import FATAL, OK, Change, Report, Verdict, verdict
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import Target

NAMES = ["a", "b.log", "keep.log", "build", "[x]*", "c d", "n\nl", "e\\f", "ü"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
PATTERNS = [
    "*.log", "!keep.log", "/a", "build/", "!build/", "a/*", "!a/build", "**/build", "a/**/b.log", "c d", "\\[x\\]*",
    "*", "!*/", "!a", "/*", "e\\\\f", "# nothing", "n?l", "ü",
]  # fmt: skip
RULES = st.lists(st.sampled_from(PATTERNS), max_size=4)
SOURCES = st.fixed_dictionaries(
    {
        "files": st.lists(PATHS, min_size=1, max_size=12),
        "tracked": st.lists(PATHS, max_size=2),
        "rules": st.dictionaries(st.sampled_from(["", "a", "build"]), RULES, max_size=3),
        "info": RULES,
        "repository": st.booleans(),
        "there": st.lists(PATHS, max_size=8),
        "slash": st.booleans(),
        "direction": st.sampled_from(["out", "in"]),
    }
)


def git(root: Path, *words: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True)
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def put(root: Path, name: str) -> bool:
    """Makes a file, when no file stands where a directory has to be."""
    path = root / name
    if path.is_dir() or any(folder.is_file() for folder in path.parents):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    return True


def is_free(path: Path) -> bool:
    """Whether a file could be made, so that git could be asked about it."""
    return not os.path.lexists(path) and not any(folder.is_file() for folder in path.parents)


def files(root: Path) -> set[str]:
    found = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    return {name for name in found if ".git" not in name.split("/")}


def build(root: Path, source: dict[str, Any]) -> None:
    root.mkdir()
    for name in (*source["files"], *source["tracked"]):
        put(root, name)
    for folder, patterns in source["rules"].items():
        put(root, f"{folder}/.gitignore".lstrip("/")) and (root / folder / ".gitignore").write_text("\n".join(patterns))
    if source["repository"]:
        git(root, "init", "-q")
        (root / ".git/info").mkdir(exist_ok=True)
        (root / ".git/info/exclude").write_text("\n".join(source["info"]))
        tracked = [name for name in source["tracked"] if (root / name).is_file()]
        git(root, "--literal-pathspecs", "add", "-f", "--", *tracked)


def wanted(root: Path) -> set[str]:
    """What git does not ignore, asked in another way than the channel asks."""
    return set(git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))


def moved(channel: dict[str, Any], source: Path, there: Path, here: Target) -> tuple[Report, Verdict]:
    ends = (f"{source}{'/' if channel.get('slash', True) else ''}", f"{there}/")
    local, remote = ends if channel.get("direction", "out") == "out" else reversed(ends)
    pair = {"direction": "out", "recursive": True, "gitignore": True, "local_path": local, "remote_path": remote}
    transfer = _channel.transfer_of({**pair, **channel}, "none")
    report, finished = _channel.run_rsync(transfer, here, lambda _report: None)
    return report, verdict(finished.code, finished.stderr)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=SOURCES)
@example(
    source={
        "files": ["a/b.log", "a/keep.log", "build/a", "a/build/a", "n\nl/a", "[x]*/b.log", "c d"], "tracked": ["b.log"],
        "rules": {"": ["*.log", "!keep.log", "build/"], "a": ["!b.log", "!build/"]}, "info": ["c d", "n?l"],
        "repository": True, "there": ["a/b.log/a", "build/x", "build/keep.log", "gone", "old.log"], "slash": False,
        "direction": "in",
    }
)  # fmt: skip
def test_what_goes_and_what_stays_there_is_what_git_says(
    here: Target, place: Callable[[], Path], source: dict[str, Any]
) -> None:
    root = place()
    build(root / "source", source)
    if not source["repository"]:
        names = source["files"] + source["tracked"]
        build(root / "oracle", {**source, "files": names, "repository": True, "tracked": [], "info": []})
    oracle = root / ("source" if source["repository"] else "oracle")
    there = root / "there"
    target = there if source["slash"] else there / "source"
    strange = [name for name in source["there"] if is_free(root / "source" / name) and put(target, name)]
    report, end = moved({**source, "delete": True}, root / "source", there, here)
    if end.kind != OK:  # a directory stands in the way there, and what is in it is ignored
        assert end.text == "some files could not be transferred" and strange
        return
    sent = wanted(oracle) & files(root / "source")
    spared = set()
    for name in strange:
        if name not in sent and put(oracle, name):
            spared |= {name} - wanted(oracle)
            (oracle / name).unlink()
    assert files(target) == sent | spared
    assert report.deleted >= len(set(strange) - spared - sent)


def test_repositories_inside_have_rules_of_their_own(here: Target, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("x.log", "lib/x.log", "lib/x.tmp", "lib/code", "other/.git/HEAD", "other/x.tmp"):
        put(source, name)
    git(source, "init", "-q")
    git(source / "lib", "init", "-q")
    (source / ".gitignore").write_text("*.log\n")
    (source / "lib/.gitignore").write_text("*.tmp\n")
    for name in ("lib/y.tmp", "lib/y.log", "lib/gone", "y.log", "y.tmp"):
        put(tmp_path / "there", name)
    _report, end = moved({"delete": True}, source, tmp_path / "there", here)
    assert end.kind == OK
    assert files(tmp_path / "there") == {
        ".gitignore", "lib/.gitignore", "lib/code", "lib/x.log", "other/x.tmp", "lib/y.tmp", "y.log"
    }  # fmt: skip


def test_below_the_top_of_a_repository_the_rules_above_count(here: Target, tmp_path: Path) -> None:
    put(tmp_path, "repository/src/x.log")
    put(tmp_path, "repository/src/code")
    git(tmp_path / "repository", "init", "-q")
    (tmp_path / "repository/.gitignore").write_text("*.log\n")
    assert moved({}, tmp_path / "repository/src", tmp_path / "there", here)[1].kind == OK
    assert files(tmp_path / "there") == {"code"}


def test_a_file_that_appears_there_between_the_two_looks_is_not_lost(here: Target, tmp_path: Path) -> None:
    put(tmp_path, "source/code")
    (tmp_path / "source/.gitignore").write_text("*.log\n")
    put(tmp_path, "there/logs/old")
    transfer = _channel.transfer_of(
        {
            "direction": "out",
            "recursive": True,
            "gitignore": True,
            "delete": True,
            "local_path": f"{tmp_path}/source/",
            "remote_path": f"{tmp_path}/there/",
        },
        "none",
    )

    def once(one: Any) -> tuple[Report, Any]:
        done = _channel.rsync_once(one, here, lambda _report: None)
        if one.dry_run:
            put(tmp_path, "there/logs/new.log")
        return done

    report, finished = _gitignore.run(transfer, here, once)
    assert finished.code == 0
    assert files(tmp_path / "there") == {"code", ".gitignore", "logs/new.log"}
    assert (report.deleted, report.changes[0]) == (1, Change("*deleting", "logs/old"))


def test_a_dry_run_tells_only_what_would_be_deleted(here: Target, tmp_path: Path) -> None:
    put(tmp_path, "source/code")
    (tmp_path / "source/.gitignore").write_text("*.log\n")
    for name in ("run/x.log", "run/old", "caf\u00e9\n"):
        put(tmp_path / "there", name)
    transfer_there = files(tmp_path / "there")
    channel = {"direction": "out", "recursive": True, "gitignore": True, "delete": True}
    paths = {"local_path": f"{tmp_path}/source/", "remote_path": f"{tmp_path}/there/"}
    deletion, finished = _channel.foresee(_channel.transfer_of({**channel, **paths}, "none"), here)
    assert (finished.code, deletion.deleted) == (0, 2)
    assert files(tmp_path / "there") == transfer_there


@pytest.mark.parametrize("direction", ["out", "in"])
def test_without_git_nothing_is_moved(
    here: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    put(tmp_path, "source/code")
    for name in ("rsync", "python3", "sh", "mkdir"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / "bin" / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    _report, end = moved({"direction": direction}, tmp_path / "source", tmp_path / "there", here)
    assert end == Verdict(FATAL, "what git ignores cannot be told")
    assert not (tmp_path / "there").exists()


def test_what_git_says_is_told(here: Target, tmp_path: Path) -> None:
    put(tmp_path, "repository/results/x")
    git(tmp_path / "repository", "init", "-q")
    (tmp_path / "repository/.gitignore").write_text("results/\n")
    assert (
        "git ignores all of" in _ignored.asked({"verb": "list", "root": str(tmp_path / "repository/results")})["error"]
    )
    _report, end = moved({}, tmp_path / "repository/results", tmp_path / "there", here)
    assert end.kind == FATAL


def test_a_host_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'Connection refused' >&2\nexit 255\n")
    program.chmod(0o755)
    target = Target("here", executable=str(program))
    assert moved({"direction": "in"}, tmp_path / "source", tmp_path / "there", target)[1].kind == "retry"


def test_what_does_not_exist_is_left_to_rsync(here: Target, tmp_path: Path) -> None:
    _report, end = moved({"direction": "in"}, tmp_path / "none", tmp_path / "there", here)
    assert end.text == "the source path does not exist"


def test_a_directory_that_is_not_empty_stays(tmp_path: Path) -> None:
    put(tmp_path, "a/b/c")
    put(tmp_path, "a/d")
    assert _ignored.remove(str(tmp_path), ["a/", "a/d", "a/b/", "none"]) == ["a/d"]
    assert _ignored.remove(str(tmp_path), ["a/", "a/b/", "a/b/c"]) == ["a/b/c", "a/b/", "a/"]


def test_names_that_rsync_writes_in_octal() -> None:
    assert _gitignore.name_of(Change("*deleting", "a\\#012b\\#303\\#274/\\#134#012")) == "a\nbü/\\#012"


def test_git_is_not_asked_behind_wildcards() -> None:
    channel = {"direction": "in", "local_path": "/l", "remote_path": "/r/*.py", "gitignore": True}
    assert any(
        "gitignore: needs a directory" in one for one in _channel.path_problems(_channel.transfer_of(channel, "none"))
    )


def test_a_directory_that_no_rule_names_is_not_ignored_because_all_in_it_is(tmp_path: Path) -> None:
    for name in ("logs/one.log", "kept/two.log", "kept/code.py", "build/x"):
        put(tmp_path, name)
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    assert sorted(_ignored.listed(str(tmp_path))) == ["build/", "kept/two.log", "logs/one.log"]
