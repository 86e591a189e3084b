"""Channels over a real sshd with real rsync."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsiblePromptNoninteractive

from ansible_collections.experiments.spot.plugins.action import channel
from ansible_collections.experiments.spot.plugins.plugin_utils import _channel, _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import rsync_argv

NASTY = "a b'c\"d;touch x $HOME `id` *"


def tree(path: Path) -> dict[str, str]:
    return {str(p.relative_to(path)): p.read_text() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    directory = tmp_path / "code"
    (directory / "sub").mkdir(parents=True)
    (directory / "train.py").write_text("print(1)\n")
    (directory / "sub" / "data").write_text("x" * 5000)
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)
    return directory


@pytest.fixture
def move(sshd: Any, make_action: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def run(direction: str, local: Any, remote: Any, option: Any = None, **more: Any) -> dict[str, Any]:
        flags = {name: more.pop(name) for name in ("check_mode", "diff", "transport") if name in more}
        args = {"direction": direction, "local_path": str(local), "remote_path": str(remote), "recursive": True, **more}
        plugin = make_action(channel, args, option or sshd.options, **flags)
        return plugin.run(task_vars={"inventory_hostname": "host-1"})

    return run


@pytest.mark.parametrize(
    ("slash", "expected"),
    [("/", {"train.py", "sub/data", "run.sh"}), ("", {"code/train.py", "code/sub/data", "code/run.sh"})],
)
@pytest.mark.parametrize("direction", ["out", "in"])
def test_trailing_slash_means_what_it_means_to_rsync(move, code, tmp_path, *, direction, slash, expected):
    there = tmp_path / "new" / "there"
    local, remote = (f"{code}{slash}", there) if direction == "out" else (there, f"{code}{slash}")
    result = move(direction, local, remote)
    assert "failed" not in result, result.get("msg")
    assert result["changed"]
    assert set(tree(there)) == expected
    assert result["files"] == 3
    assert result["bytes"] == sum(f.stat().st_size for f in code.rglob("*") if f.is_file())


@pytest.mark.parametrize("direction", ["out", "in"])
def test_second_time_changes_nothing(move, code, tmp_path, direction):
    there = tmp_path / "there"
    pair = (f"{code}/", there) if direction == "out" else (there, f"{code}/")
    assert move(direction, *pair)["changed"]
    again = move(direction, *pair, diff=True)
    assert not again["changed"]
    assert (again["files"], again["bytes"], again["changes"]) == (0, 0, 0)
    assert "diff" not in again
    assert os.access(there / "run.sh", os.X_OK)


def test_check_mode_predicts_and_writes_nothing(move, code, tmp_path):
    there = tmp_path / "deep" / "er" / "there"
    predicted = move("out", f"{code}/", there, check_mode=True, diff=True)
    assert predicted["changed"]
    assert not there.parent.parent.exists()
    assert "+ train.py\n" in predicted["diff"]["prepared"]
    done = move("out", f"{code}/", there, diff=True)
    files = [line for line in done["diff"]["prepared"].splitlines() if not line.endswith("/")]
    assert [line for line in predicted["diff"]["prepared"].splitlines() if not line.endswith("/")] == files


def test_check_mode_in_makes_no_directory(move, code, tmp_path):
    result = move("in", tmp_path / "deep" / "there", f"{code}/", check_mode=True)
    assert result["changed"]
    assert not (tmp_path / "deep").exists()


@pytest.mark.slow
def test_delete_only_when_asked(move, code, tmp_path):
    there = tmp_path / "there"
    move("out", f"{code}/", there)
    (there / "old").write_text("old")
    assert not move("out", f"{code}/", there)["changed"]
    result = move("out", f"{code}/", there, delete=True, diff=True)
    assert result["deleted"] == 1
    assert "- old\n" in result["diff"]["prepared"]
    assert set(tree(there)) == set(tree(code))


def test_exclude_and_lost_found(move, code, tmp_path):
    (code / "lost+found").mkdir()
    (code / "lost+found" / "inode").write_text("")
    move("out", f"{code}/", tmp_path / "there", exclude=["*.sh", "/sub"])
    assert set(tree(tmp_path / "there")) == {"train.py"}


def test_not_recursive_takes_the_files_of_the_directory_only(move, code, tmp_path):
    move("out", f"{code}/", tmp_path / "there", recursive=False)
    assert set(tree(tmp_path / "there")) == {"train.py", "run.sh"}


@pytest.mark.parametrize("direction", ["out", "in"])
def test_names_that_a_shell_would_trip_over(move, code, tmp_path, direction):
    source = tmp_path / f"from {NASTY}"
    code.rename(source)
    (source / NASTY).write_text("x")
    there = tmp_path / f"to {NASTY}" / NASTY
    # rsync expands wildcards in remote names itself; a name with them still matches itself.
    pair = (there, f"{source}/") if direction == "in" else (f"{source}/", there)
    result = move(direction, *pair)
    assert "failed" not in result, result.get("msg")
    assert tree(there) == tree(source)
    assert not (tmp_path / "x").exists()
    assert not Path("x").exists()


def test_single_file_gets_the_name_that_is_given(move, code, tmp_path):
    assert "failed" not in move("out", code / "train.py", tmp_path / "a" / "b.py")
    assert (tmp_path / "a" / "b.py").read_text() == "print(1)\n"
    move("out", code / "train.py", f"{tmp_path}/dir/")
    assert (tmp_path / "dir" / "train.py").exists()
    move("in", tmp_path / "back" / "c.py", tmp_path / "a" / "b.py")
    assert (tmp_path / "back" / "c.py").exists()


def test_several_instances_have_a_directory_each(move, code, tmp_path):
    result = move("in", tmp_path / "there", f"{code}/", rank=2, count=3)
    assert set(tree(tmp_path / "there")) == {"rank-2/train.py", "rank-2/sub/data", "rank-2/run.sh"}
    assert result["local_path"] == f"{tmp_path}/there/rank-2/"


@pytest.mark.parametrize("compress", ["none", "zstd", "zlib", "auto"])
def test_every_compression_works(move, code, tmp_path, compress):
    assert "failed" not in move("out", f"{code}/", tmp_path / compress, compress=compress)
    assert tree(tmp_path / compress) == tree(code)


def test_missing_local_path_is_told_before_anything_moves(move, tmp_path):
    with pytest.raises(AnsibleActionFail, match=r"local_path .*/nothing: does not exist on this machine"):
        move("out", tmp_path / "nothing", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_missing_remote_path(move, tmp_path):
    result = move("in", f"{tmp_path}/there/", tmp_path / "nothing")
    assert result["failed"]
    assert "the source path does not exist" in result["msg"]
    assert f"{tmp_path}/nothing" in result["msg"]
    assert result["tries"] == 1


def test_remote_path_that_cannot_be_made(move, code):
    result = move("out", f"{code}/", "/proc/nowhere/x")
    assert result["failed"]
    assert "the remote directory cannot be created" in result["msg"]
    assert result["tries"] == 1


def test_all_wrong_paths_at_once(move, tmp_path):
    with pytest.raises(AnsibleActionFail) as error:
        move("out", tmp_path / "nothing", "~other/x")
    assert "does not exist" in str(error.value)
    assert "only ~ and ~/" in str(error.value)


def test_delete_never_empties_a_home_directory(move, code):
    with pytest.raises(AnsibleActionFail, match="delete would remove everything else"):
        move("out", f"{code}/", "~", delete=True)


def test_changed_host_key_is_refused(sshd, move, code, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = (tmp_path / "other.pub").read_text().split()
    (tmp_path / "known").write_text(f"{sshd.alias} {other[0]} {other[1]}\n")

    def option(name: str) -> Any:
        value = sshd.options(name)
        if name == "control_path":
            return str(sshd.sockets / "other-%%C")  # a path of a socket is short
        return value.replace(sshd.known_hosts, str(tmp_path / "known")) if name == "ssh_common_args" else value

    result = move("out", f"{code}/", tmp_path / "there", option=option)
    assert result["failed"]
    assert "the host key is not the known one" in result["msg"]
    assert result["tries"] == 1
    assert not (tmp_path / "there").exists()


def test_other_connections_are_refused(move, code, tmp_path):
    with pytest.raises(AnsibleActionFail, match="not by local"):
        move("out", f"{code}/", tmp_path / "there", transport="local")


def test_unknown_argument_is_named(move, code, tmp_path):
    with pytest.raises(AnsibleActionFail, match="holder"):
        move("out", f"{code}/", tmp_path / "there", holder="me")


ODD = (
    "-rf",
    "--delete",
    "a b",
    "it's",
    '"q"',
    "line\nend",
    "tab\t",
    "ünï ☃",
    "*?[x]",
    "$HOME",
    ":colon",
    "\\b",
    " lead",
)


@pytest.mark.parametrize("direction", ["out", "in"])
def test_odd_names_links_and_holes(move, tmp_path, direction):
    source, there = tmp_path / "source", tmp_path / "there"
    source.mkdir()
    for name in ODD:
        (source / name).write_text(name)
    (source / "link").symlink_to("-rf")
    (source / "dangling").symlink_to("nowhere")
    with (source / "sparse").open("wb") as file:
        file.truncate(50_000_000)
    pair = (f"{source}/", there) if direction == "out" else (f"{there}/", f"{source}/")
    result = move(direction, *pair, sparse=True)
    assert "failed" not in result, result.get("msg")
    assert {name: (there / name).read_text() for name in ODD} == {name: name for name in ODD}
    assert os.readlink(there / "link") == "-rf"
    assert os.readlink(there / "dangling") == "nowhere"
    hole = (there / "sparse").stat()
    assert hole.st_size == 50_000_000
    assert hole.st_blocks * 512 < 1_000_000


@pytest.mark.parametrize(
    ("links", "found"),
    [("keep", {"inside", "outside"}), ("safe", {"inside"}), ("skip", set()), ("follow", {"inside", "outside"})],
)
def test_links(move, tmp_path, links, found):
    source, there = tmp_path / "source", tmp_path / "there"
    source.mkdir()
    (tmp_path / "other").write_text("x")
    (source / "file").write_text("y")
    (source / "inside").symlink_to("file")
    (source / "outside").symlink_to("../other")
    move("out", f"{source}/", there, links=links)
    assert {path.name for path in there.iterdir()} - {"file"} == found
    assert all(path.is_symlink() is (links != "follow") for path in there.iterdir() if path.name != "file")


@pytest.mark.slow
def test_some_thousand_files(move, tmp_path):
    source, there = tmp_path / "source", tmp_path / "there"
    for number in range(4000):
        folder = source / str(number % 40)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_text(str(number))
    assert move("out", f"{source}/", there)["files"] == 4000
    assert tree(there) == tree(source)
    assert not move("out", f"{source}/", there)["changed"]


def test_gitignore_and_filters(move, code, tmp_path):
    (code / ".git").mkdir()
    (code / ".git" / "HEAD").write_text("x")
    (code / ".gitignore").write_text("*.log\n")
    (code / "sub" / ".gitignore").write_text("data\n")
    for name in ("a.log", "keep.log", "sub/other"):
        (code / name).write_text("x")
    move("out", f"{code}/", tmp_path / "there", gitignore=True, filter=["+ /keep.log"])
    assert set(tree(tmp_path / "there")) == {
        "train.py", "run.sh", ".gitignore", "sub/.gitignore", "keep.log", "sub/other"
    }  # fmt: skip


def test_checksum_finds_what_size_and_time_hide(move, code, tmp_path):
    there = tmp_path / "there"
    move("out", f"{code}/", there)
    info = (code / "train.py").stat()
    (code / "train.py").write_text("print(2)\n")
    os.utime(code / "train.py", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert not move("out", f"{code}/", there)["changed"]
    assert move("out", f"{code}/", there, checksum=True)["files"] == 1
    assert (there / "train.py").read_text() == "print(2)\n"


def test_permissions_that_are_asked_for(move, code, tmp_path):
    move("out", f"{code}/", tmp_path / "there", chmod="D750,F640")
    assert (tmp_path / "there" / "run.sh").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "there" / "sub").stat().st_mode & 0o777 == 0o750


def test_what_stays_behind_without_recursive_is_told(move, code, tmp_path):
    warnings = move("out", f"{code}/", tmp_path / "there", recursive=False)["warnings"]
    assert "what is in sub-directories stays (sub); add recursive: true" in warnings[0]
    assert move("in", f"{tmp_path}/back/", f"{code}/", recursive=False)["warnings"]
    assert not move("out", f"{code}/", tmp_path / "all")["warnings"]
    with pytest.raises(AnsibleActionFail, match="is a directory, and recursive is false"):
        move("out", code, tmp_path / "there", recursive=False)


@pytest.mark.parametrize("direction", ["out", "in"])
@pytest.mark.slow
def test_a_large_deletion_needs_a_yes_once(move, code, tmp_path, monkeypatch, direction):
    monkeypatch.setattr(_channel, "STATE_DIRECTORY", str(tmp_path / "state"))
    there = tmp_path / "there"
    pair = (f"{code}/", there) if direction == "out" else (f"{there}/", f"{code}/")

    def fill() -> None:
        there.mkdir(exist_ok=True)
        for number in range(20):
            (there / f"precious{number}").write_text("x")

    def nobody(_question: str) -> bytes:
        raise AnsiblePromptNoninteractive("no terminal")

    fill()
    monkeypatch.setattr(channel.display, "prompt_until", nobody)
    with pytest.raises(AnsibleActionFail, match=r"delete would remove 20 of the 2\d files .*-e confirm=true"):
        move(direction, *pair, delete=True)
    assert len(list(there.iterdir())) == 20
    monkeypatch.setattr(channel.display, "prompt_until", lambda _question: b"n")
    with pytest.raises(AnsibleActionFail, match="delete would remove"):
        move(direction, *pair, delete=True)
    monkeypatch.setattr(channel.display, "prompt_until", lambda _question: b"yes")
    assert move(direction, *pair, delete=True)["deleted"] == 20
    fill()
    monkeypatch.setattr(channel.display, "prompt_until", nobody)
    assert move(direction, *pair, delete=True)["deleted"] == 20


def test_confirm_says_yes(move, code, tmp_path, monkeypatch):
    monkeypatch.setattr(_channel, "STATE_DIRECTORY", str(tmp_path / "state"))
    there = tmp_path / "there"
    there.mkdir()
    (there / "precious").write_text("x")
    assert move("out", f"{code}/", there, delete=True, confirm=True)["deleted"] == 1


def interrupted(transfer: Any, target: Any, partial: Path) -> None:
    """Starts a transfer and cuts its connection when something has come."""
    child = subprocess.Popen(rsync_argv(transfer, target), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while time.monotonic() < until and not any(path.stat().st_size > 1_000_000 for path in partial.glob(".large.*")):
        time.sleep(0.05)
    _ssh.close_master(target)
    assert child.wait(timeout=30)


@pytest.mark.slow
def test_a_large_file_that_is_cut_goes_on_from_there(sshd, move, tmp_path):
    source, there = tmp_path / "source", tmp_path / "there"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(20_000_000))
    channels = {"direction": "in", "local_path": f"{there}/", "remote_path": f"{source}/", "recursive": True}
    there.mkdir()
    target = _ssh.connection_target(sshd.options)
    assert "failed" not in move("in", f"{tmp_path}/warm/", f"{source}/", exclude=["large"])  # opens the connection
    interrupted(_channel.transfer_of({**channels, "bwlimit": "4m"}, "none"), target, there)
    kept = there / ".rsync-partial" / "large"
    assert 0 < kept.stat().st_size < 20_000_000
    assert not (there / "large").exists()
    assert "failed" not in move("in", f"{there}/", f"{source}/", compress="none")
    assert (there / "large").read_bytes() == (source / "large").read_bytes()
    assert not kept.exists()


@pytest.mark.slow
def test_a_file_that_changes_on_the_way_arrives_whole_in_the_end(move, tmp_path):
    source, there = tmp_path / "source", tmp_path / "there"
    source.mkdir()
    (source / "log").write_bytes(b"a" * 3_000_000)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            with (source / "log").open("ab") as file:
                file.write(b"b" * 1000)
            time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        first = move("out", f"{source}/", there, compress="none", bwlimit="3m")
    finally:
        over.set()
        writer.join()
    assert "failed" not in first, first.get("msg")
    assert (source / "log").read_bytes().startswith((there / "log").read_bytes())
    move("out", f"{source}/", there, compress="none")
    assert (there / "log").read_bytes() == (source / "log").read_bytes()
