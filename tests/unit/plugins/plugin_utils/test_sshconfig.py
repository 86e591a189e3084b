"""The entries for `ssh spot-NAME`, read by ssh itself."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh, _sshconfig
from ansible_collections.experiments.spot.plugins.plugin_utils._sshconfig import (
    Place,
    changed,
    entry,
    included,
    problems,
    with_include,
)

PLACE = Place(0, "i-0123456789abcdef0", "203.0.113.7", "ubuntu", 2222, "/k/my key%", "/k/known_hosts", 3)


def read_by_ssh(text: str, host: str, folder: Path) -> dict[str, str]:
    """What ssh makes of a configuration for a host."""
    (folder / "config").write_text(text)
    argv = ["ssh", "-G", "-F", str(folder / "config"), host]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


def test_ssh_goes_where_the_collection_goes_and_checks_the_same_key(tmp_path: Path) -> None:
    found = read_by_ssh(changed("", "digits", [entry("digits", PLACE)]), "spot-digits", tmp_path)
    assert (found["hostname"], found["user"], found["port"]) == ("203.0.113.7", "ubuntu", "2222")
    assert (found["hostkeyalias"], found["userknownhostsfile"]) == (PLACE.instance_id, "/k/known_hosts")
    assert (found["stricthostkeychecking"], found["identitiesonly"]) == ("true", "yes")
    # ssh prints the path of the key as it was given, and fills in its tokens when it reads it.
    assert found["identityfile"] == "/k/my key%%"
    shared = _ssh.control_path().replace("%k", PLACE.instance_id).replace("%r", "ubuntu")
    assert found["controlpath"] == shared and found["controlmaster"] == "auto"


def test_an_agent_offers_its_keys_when_there_is_no_file(tmp_path: Path) -> None:
    text = changed("", "digits", [entry("digits", replace(PLACE, private_key_file=""))])
    assert read_by_ssh(text, "spot-digits", tmp_path)["identitiesonly"] == "no"


def test_each_instance_by_its_rank(tmp_path: Path) -> None:
    places = [replace(PLACE, rank=rank, address=f"10.0.0.{rank}") for rank in (2, 0, 1)]
    text = changed("", "digits", [entry("digits", place) for place in places])
    hosts = ("spot-digits", "spot-digits-1", "spot-digits-2", "spot-digits.2")
    found = [read_by_ssh(text, host, tmp_path)["hostname"] for host in hosts]
    assert found == ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.2"]
    assert _sshconfig.called(text, "digits") == ["spot-digits", "spot-digits-1", "spot-digits-2"]


@pytest.mark.parametrize("order", [("a", "a-1"), ("a-1", "a")])
def test_the_name_of_an_experiment_is_never_an_instance_of_another_one(order: tuple[str, str], tmp_path: Path) -> None:
    places = {
        "a": [PLACE, replace(PLACE, rank=1, address="10.0.0.1")],
        "a-1": [replace(PLACE, address="10.9.9.9")],
    }
    text = ""
    for name in order:
        text = changed(text, name, [entry(name, place) for place in places[name]])
    assert read_by_ssh(text, "spot-a-1", tmp_path)["hostname"] == "10.9.9.9"
    assert read_by_ssh(text, "spot-a.1", tmp_path)["hostname"] == "10.0.0.1"
    assert _sshconfig.called(text, "a") == ["spot-a", "spot-a.1"]
    # The name comes free.
    assert read_by_ssh(changed(text, "a-1", []), "spot-a-1", tmp_path)["hostname"] == "10.0.0.1"


def test_a_new_generation_replaces_the_old_one_and_leaves_the_others(tmp_path: Path) -> None:
    text = changed("", "other", [entry("other", PLACE)])
    text = changed(text, "digits", [entry("digits", place) for place in (PLACE, replace(PLACE, rank=1))])
    new = replace(PLACE, instance_id="i-00000001", address="10.0.0.9", generation=4)
    after = changed(text, "digits", [entry("digits", new)])
    assert read_by_ssh(after, "spot-digits", tmp_path)["hostkeyalias"] == "i-00000001"
    assert read_by_ssh(after, "spot-digits-1", tmp_path)["hostname"] == "spot-digits-1"
    assert read_by_ssh(after, "spot-other", tmp_path)["hostname"] == "203.0.113.7"
    assert changed(after, "digits", [entry("digits", new)]) == after
    assert changed(changed(after, "digits", []), "other", []) == _sshconfig.HEAD


def test_nothing_is_written_to_forget_what_is_not_there() -> None:
    assert changed("", "digits", []) == ""


@pytest.mark.parametrize("value", ["10.0.0.1\n  ProxyCommand sh", 'a" b', "a\x1b[0m"])
def test_a_value_cannot_smuggle_in_a_line(value: str) -> None:
    assert len(problems([replace(PLACE, address=value)])) == 1
    assert problems([PLACE]) == []


OURS = "/home/me/.ssh/experiments.spot/config"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("Include ~/.ssh/experiments.spot/config\n", True),
        ("# mine\n\ninclude experiments.spot/config\n", True),
        ('Include = "/home/me/.ssh/experiments.spot/config"', True),
        ("Include config.d/* experiments.spot/con*\n", True),
        ("Include config.d/*\n", False),
        ("#Include experiments.spot/config\n", False),
        ("Host x\n  Include experiments.spot/config\n", False),
        ("Match all\nInclude experiments.spot/config\n", False),
        ("User me\nInclude experiments.spot/config # ours\n", True),
        ('Include "unclosed\n', False),
    ],
)
def test_whether_it_is_included_for_every_host(text: str, expected: bool) -> None:
    assert included(text, OURS, "/home/me") is expected


def test_one_line_at_the_top_and_nothing_else() -> None:
    mine = "Host x\r\n  User \udcff\n"
    after = with_include(mine, OURS, "/home/me", True)
    assert after == f"Include ~/.ssh/experiments.spot/config\n{mine}"
    assert with_include(after, OURS, "/home/me", True) == after
    # Where ~ is another folder to ssh than to us, and where the path has a blank.
    assert with_include("", OURS, "/home/me", False) == f"Include {OURS}\n"
    assert with_include("", "/home/m e/c", "/home/m e", False) == 'Include "/home/m e/c"\n'
