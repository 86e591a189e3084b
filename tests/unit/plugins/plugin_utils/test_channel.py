"""Channels as data: which run, for whom, and what they would delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.filter.channels import channels
from ansible_collections.experiments.spot.plugins.filter.one_off_channels import one_off_channels
from ansible_collections.experiments.spot.plugins.plugin_utils import _channel
from ansible_collections.experiments.spot.plugins.plugin_utils._channel import Confirmed, Deletion, is_for, transfer_of
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import mode_arguments, remote_program

OUT: dict[str, Any] = {"name": "code", "direction": "out", "local_path": "/l/", "remote_path": "/r/"}
BACK: dict[str, Any] = {"name": "back", "direction": "in", "local_path": "/b/", "remote_path": "/s/"}


def test_the_channels_of_a_run() -> None:
    both = [{**OUT, "on": ["launch"], "hosts": ["first"]}, {**BACK, "on": ["continuous", "end"], "hosts": ["all"]}]
    assert channels(both) == both
    assert channels(both, names=["back"]) == channels(both, direction="in") == channels(both, stage="end") == [both[1]]
    assert channels(both, stage="launch", rank=0) == [both[0]]
    assert channels(both, stage="launch", rank=1) == []


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AnsibleFilterError, match=r"channel cod: there is no channel of this name .*\(code, back\)"):
        channels([OUT, BACK], names=["cod"])
    with pytest.raises(AnsibleFilterError, match="direction 'up': allowed are in and out"):
        channels([OUT], direction="up")


@pytest.mark.parametrize(
    ("hosts", "ranks"), [(["all"], {0, 1, 2}), (["first"], {0}), (["0", "2"], {0, 2}), ([], {0, 1, 2})]
)
def test_for_which_hosts(hosts: list[str], ranks: set[int]) -> None:
    assert {rank for rank in range(3) if is_for({**OUT, "hosts": hosts}, rank)} == ranks


def test_one_offs() -> None:
    made = one_off_channels("a.csv, b.zip", download="out.csv,/x/y,~/z", remote_path="efs/data", local_path="here/")
    assert [(one["direction"], one["local_path"], one["remote_path"]) for one in made] == [
        ("out", "a.csv", "efs/data/"),
        ("out", "b.zip", "efs/data/"),
        ("in", "here/", "efs/data/out.csv"),
        ("in", "here/", "/x/y"),
        ("in", "here/", "~/z"),
    ]
    assert one_off_channels(["with, comma"])[0]["local_path"] == "with, comma"
    assert one_off_channels("") == []


def test_every_key_reaches_rsync() -> None:
    keys = {
        "filter": ["+ /keep", "- *.log"],
        "exclude": ["x"],
        "gitignore": True,
        "checksum": True,
        "sparse": True,
        "bwlimit": "1.5m",
        "links": "follow",
        "owner": "www:data",
        "chmod": "D755,F644",
        "delete": True,
        "recursive": True,
    }
    transfer = transfer_of({**OUT, **keys}, "none")
    arguments = mode_arguments(transfer)
    for wanted in (
        "--recursive",
        "--checksum",
        "--sparse",
        "--bwlimit=1.5m",
        "--copy-links",
        "--chown=www:data",
        "--delete",
    ):
        assert wanted in arguments
    rules = [word for word in arguments if word.startswith(("--filter", "--exclude"))]
    assert rules == [
        "--exclude=lost+found/",
        "--filter=+ /keep",
        "--filter=- *.log",
        "--exclude=x",
        "--exclude=.git",
    ]
    assert remote_program(transfer) == "sudo -n rsync" or remote_program(transfer).startswith("sudo -n mkdir -p")


@pytest.mark.parametrize(("deleted", "there", "large"), [(0, 0, False), (1, 4, False), (2, 4, True), (1, 1, True)])
def test_more_than_a_quarter_is_a_lot(deleted: int, there: int, *, large: bool) -> None:
    assert Deletion(deleted, there).large is large


def test_confirmed_deletions_are_remembered(tmp_path: Path) -> None:
    confirmed = Confirmed(str(tmp_path / "state"))
    transfer = transfer_of(OUT, "none")
    assert not confirmed.has(transfer, 0)
    confirmed.add(transfer, 0)
    assert confirmed.has(transfer, 0)
    assert not confirmed.has(transfer, 1)
    assert not confirmed.has(transfer_of({**OUT, "remote_path": "/other/"}, "none"), 0)


def test_owner_is_for_what_goes_out() -> None:
    assert "what comes in belongs to you" in _channel.path_problems(transfer_of({**BACK, "owner": "me"}, "none"))[-1]
