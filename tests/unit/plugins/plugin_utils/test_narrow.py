"""A run over the changed paths alone leaves what a run over everything leaves: real rsync, random changes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _narrow
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import lines as rules
from ansible_collections.experiments.spot.plugins.plugin_utils._continuous.lines import Line
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import OK, Transfer, Verdict, verdict
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import Target

NAMES = ["a", "b c", "[x]*", "e\\f", "n\nl", "-d", "x.log", "ü"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["write", "write", "folder", "remove", "link", "mode"]), PATHS, st.just("")),
    st.tuples(st.just("rename"), PATHS, PATHS),
)
BATCHES = st.lists(st.lists(OPERATIONS, min_size=1, max_size=4), min_size=1, max_size=3)
CHANNELS = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(["out", "in"]),
        "slash": st.booleans(),
        "recursive": st.booleans(),
        "delete": st.booleans(),
        "partial": st.booleans(),
        "links": st.sampled_from(["keep", "safe", "skip"]),
        "exclude": st.sampled_from([[], ["a"], ["x.log"], ["/a/b c", "-d/"], ["[[]x]*/a"]]),
        "filter": st.sampled_from([[], ["- x.log"], ["+ /a/***", "- a"], ["+ */", "+ *.log", "- *"]]),
    }
)


class Tree:
    """A source, and what a watch would tell of its changes."""

    def __init__(self, root: Path) -> None:
        self.root, self.told, self.count = root, set[str](), 0
        root.mkdir()

    def tell(self, path: Path) -> None:
        self.told.add(os.path.relpath(path, self.root))

    def parent(self, path: Path) -> bool:
        """Makes the directories on the way, each of which a watch tells of; whether they can be."""
        for folder in reversed(path.parents):
            if self.root in folder.parents and not folder.is_dir():
                if os.path.lexists(folder):
                    return False
                folder.mkdir()
                self.tell(folder)
        return not any(folder.is_symlink() for folder in path.parents if self.root in folder.parents)

    def do(self, what: str, name: str, other: str) -> None:
        path = self.root / name
        if what in ("write", "folder", "link") and self.parent(path):
            self.make(what, path)
        elif os.path.lexists(path) and not any(one.is_symlink() for one in (path, *path.parents)):
            self.change(what, path, self.root / other)

    def make(self, what: str, path: Path) -> None:
        self.count += 1
        if what == "write" and not path.is_dir() and not path.is_symlink():
            path.write_text("x" * self.count)
        elif os.path.lexists(path):
            return
        elif what == "folder":
            path.mkdir()
        else:
            path.symlink_to("../outside" if self.count % 2 else "a")
        self.tell(path)

    def change(self, what: str, path: Path, other: Path) -> None:
        self.tell(path)
        if what == "mode":
            path.chmod(0o700 if path.stat().st_mode & 0o077 else 0o755)
        elif what == "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif what == "rename" and not os.path.lexists(other) and path not in other.parents and self.parent(other):
            path.rename(other)
            self.tell(other)


def seen(root: Path) -> dict[str, tuple[Any, ...]]:
    """All of a tree that a channel carries."""
    return {str(path.relative_to(root)): state(path) for path in root.rglob("*")}


def state(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISDIR(found.st_mode):
        return ("folder", found.st_mode)
    return ("file", found.st_mode, found.st_mtime_ns, path.read_bytes())


def transfer_to(channel: dict[str, Any], source: Path, target: Path) -> Transfer:
    """The transfer of a channel with its paths; over `here` a remote path is one of this machine."""
    ends = (f"{source}{'/' if channel['slash'] else ''}", f"{target}/")
    local, remote = ends if channel["direction"] == "out" else reversed(ends)
    return _channel.transfer_of({**channel, "local_path": local, "remote_path": remote}, "none")


def run(transfer: Transfer, here: Target) -> Verdict:
    _report, finished = _channel.run_rsync(transfer, here, lambda _report: None)
    return verdict(finished.code, finished.stderr)


def follow(line: Line, transfer: Transfer, here: Target, now: float) -> list[tuple[str, ...] | None]:
    """Runs a line until nothing is due; the paths of each run, None for everything."""
    runs: list[tuple[str, ...] | None] = []
    while rules.is_due(line, now) and len(runs) < 3:
        rules.starts(line, now)
        runs.append(line.only)
        rules.ends(line, run(replace(transfer, only=line.only), here), _channel.Report(), now)
    return runs


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(channel=CHANNELS, batches=BATCHES)
@example(
    channel={"direction": "out", "slash": True, "recursive": True, "delete": True, "filter": [], "exclude": ["x.log"]},
    batches=[
        [("write", "a/b c/ü", ""), ("write", "a/x.log", ""), ("write", "n\nl", ""), ("link", "-d", "")],
        [("rename", "a", "[x]*"), ("remove", "n\nl", ""), ("write", "a", "")],
        [("remove", "a", ""), ("folder", "a/e\\f", ""), ("remove", "[x]*/b c", "")],
    ],
)
@example(
    channel={"direction": "in", "slash": False, "recursive": True, "delete": True, "filter": ["+ */", "+ a", "- *"]},
    batches=[[("write", "b c/a", ""), ("write", "b c/x.log", "")], [("rename", "b c", "-d"), ("write", "-d/ü/a", "")]],
)
def test_the_changed_paths_alone_lead_where_everything_leads(
    here: Target, place: Callable[[], Path], channel: dict[str, Any], batches: list[list[tuple[str, str, str]]]
) -> None:
    channel = {**channel, "recursive": channel["recursive"] or not channel["slash"]}
    root = place()
    tree, narrow, full = Tree(root / "source"), root / "narrow", root / "full"
    for there in (narrow, full):
        there.mkdir()
    line = Line(0, 0, "x", delay=0.0, narrow=True)
    given_to = [transfer_to(channel, tree.root, there) for there in (narrow, full)]
    assert _narrow.possible({**channel, "local_path": given_to[0].local_path, "remote_path": given_to[0].remote_path})
    assert follow(line, given_to[0], here, 0.0) == [None] and line.synced_at == 0.0
    run(given_to[1], here)
    for number, batch in enumerate(batches, 1):
        tree.told.clear()
        for operation in batch:
            tree.do(*operation)
        if tree.told:
            rules.changed(line, number, tree.told)
            assert follow(line, given_to[0], here, number)[0] is not None
        run(given_to[1], here)
        assert seen(narrow) == seen(full)
    shutil.rmtree(root)


def test_what_else_has_changed_stays_where_it_was(here: Target, place: Callable[[], Path]) -> None:
    root = place()
    for name in ("a/b/one", "a/b/two", "a/three", "four"):
        (root / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "source" / name).write_text("1")
    channel = {"direction": "out", "slash": True, "recursive": True, "delete": True}
    transfer = transfer_to(channel, root / "source", root / "there")
    assert run(transfer, here).kind == OK
    for name in ("a/b/one", "a/three", "four"):
        (root / "source" / name).write_text("22")
    (root / "source/a/b/two").unlink()
    (root / "there/strange").write_text("3")
    assert run(replace(transfer, only=("a/b/one",)), here).kind == OK
    found = {name: state for name, state in seen(root / "there").items() if state[0] == "file"}
    assert {name: state[-1] for name, state in found.items()} == {
        "a/b/one": b"22", "a/b/two": b"1", "a/three": b"1", "four": b"1", "strange": b"3"
    }  # fmt: skip


def test_what_is_left_of_an_unfinished_file_is_kept(here: Target, place: Callable[[], Path]) -> None:
    root = place()
    (root / "source/new").mkdir(parents=True)
    (root / "there/new/.rsync-partial").mkdir(parents=True)
    (root / "there/new/.rsync-partial/large").write_text("half")
    channel = {"direction": "out", "slash": True, "recursive": True, "delete": True, "partial": True}
    transfer = transfer_to(channel, root / "source", root / "there")
    assert run(replace(transfer, only=("new",)), here).kind == OK
    assert (root / "there/new/.rsync-partial/large").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "code").mkdir()
    (tmp_path / "file").touch()
    yield str(tmp_path)


@pytest.mark.parametrize(
    ("more", "possible"),
    [
        ({}, True),
        ({"filter": ["- *.log", "+ keep"], "exclude": ["x"]}, True),
        ({"local_path": "file"}, False),
        ({"local_path": "none/"}, False),
        ({"links": "follow"}, False),
        ({"filter": [": .rsync-filter"]}, False),
        ({"filter": ["R *.tmp"]}, False),
        ({"filter": ["-! *.py"]}, False),
        ({"exclude": ["!"]}, False),
        ({"direction": "in", "remote_path": "/data/*/m.csv"}, False),
        ({"direction": "in", "remote_path": "/data/results"}, True),
    ],
)
def test_where_the_paths_do_not_say_everything_everything_is_looked_through(
    folder: str, more: dict[str, Any], *, possible: bool
) -> None:
    channel = {"direction": "out", "local_path": "code/", "remote_path": "/r/", **more}
    assert _narrow.possible({**channel, "local_path": f"{folder}/{channel['local_path']}"}) is possible


@pytest.mark.parametrize("path", ["", ".", "../x", ".git/index", "a/.gitignore", "a/.git", "caf\ufffd"])
def test_paths_that_may_mean_more_than_themselves(path: str) -> None:
    assert _narrow.doubtful(path)
    assert not _narrow.doubtful("a/b.gitignore")
