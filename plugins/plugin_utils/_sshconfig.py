# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Entries for `ssh spot-NAME` in a configuration file of our own, which the user's file includes. Pure functions.

Source: ssh_config(5): the first value obtained counts; Include inside a Host or Match block is conditional, and a file
without a directory is one in ~/.ssh.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh

CONFIG = "~/.ssh/experiments.spot/config"
HEAD = "# Written by experiments.spot: an entry an instance, removed by close.yml. Changes are lost.\n"
_MARK = re.compile(r"# experiment (?P<experiment>[a-z0-9-]+) rank (?P<rank>[0-9]+)\b.*")
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)")


@dataclass(frozen=True)
class Place:
    """Where an instance is and how it is logged in to.

    Attributes:
        rank: rank within the experiment.
        instance_id: id, under which its host key is known.
        address: host name or IP address.
        user: login user.
        port: TCP port.
        private_key_file: absolute path, empty for an agent.
        known_hosts: absolute path of our file.
        generation: for people.
    """

    rank: int
    instance_id: str
    address: str
    user: str
    port: int
    private_key_file: str
    known_hosts: str
    generation: int = 1


@dataclass(frozen=True)
class Entry:
    """An entry of the file: whose it is, the comment above it, and its lines without the one that names the host."""

    experiment: str
    rank: int
    mark: str
    lines: tuple[str, ...]


def own_name(experiment: str) -> str:
    """What to type after ssh for the first instance of an experiment."""
    return f"spot-{experiment}"


def names(one: Entry, experiments: Collection[str]) -> list[str]:
    """What an entry may be called: `spot-NAME` is the first instance, `spot-NAME-1` and `spot-NAME.1` the second one.

    Rank 1 of an experiment `a` and the first instance of an experiment `a-1` have one name: then it is the latter's.

    Args:
        experiments: those of the file.
    """
    if one.rank == 0:
        return [own_name(one.experiment)]
    taken = f"{one.experiment}-{one.rank}" in experiments
    return [*([] if taken else [f"{own_name(one.experiment)}-{one.rank}"]), f"{own_name(one.experiment)}.{one.rank}"]


def entry(experiment: str, place: Place) -> Entry:
    """The entry of an instance: the host key, the key and the master connection that the collection itself uses."""
    target = _ssh.instance_target(
        place.instance_id,
        place.address,
        user=place.user,
        port=place.port,
        private_key_file=place.private_key_file or None,
        known_hosts=place.known_hosts.replace("%", "%%"),
    )
    pairs = [("HostName", target.address), ("User", target.user), ("Port", str(target.port))]
    if target.private_key_file:
        pairs.append(("IdentityFile", _ssh.quoted(target.private_key_file.replace("%", "%%"))))
    pairs += [(name, value) for name, _equals, value in (option.partition("=") for option in target.options)]
    mark = f"# experiment {experiment} rank {place.rank} generation {place.generation} {place.instance_id}"
    return Entry(experiment, place.rank, mark, tuple(f"  {name} {value}" for name, value in pairs if value))


def problems(places: Iterable[Place]) -> list[str]:
    """What cannot stand in the file: a line end in a value would begin a line of somebody else's making."""
    texts = {
        name: str(getattr(place, name))
        for place in places
        for name in ("address", "user", "private_key_file", "known_hosts", "instance_id")
        if not str(getattr(place, name)).isprintable() or '"' in str(getattr(place, name))
    }
    return [f"{name} {text!r} cannot stand in an ssh configuration" for name, text in texts.items()]


def parse(text: str) -> list[Entry]:
    """The entries of our file; what stands before the first one is not ours to keep."""
    found: list[Entry] = []
    for line in text.splitlines():
        mark = _MARK.fullmatch(line)
        if mark:
            found.append(Entry(mark["experiment"], int(mark["rank"]), line, ()))
        elif found and line.startswith("  "):
            last = found.pop()
            found.append(Entry(last.experiment, last.rank, last.mark, (*last.lines, line)))
    return found


def text_of(entries: Sequence[Entry]) -> str:
    """The whole file."""
    experiments = {one.experiment for one in entries}
    ordered = sorted(entries, key=lambda one: (one.experiment, one.rank))
    hosts = [" ".join(["Host", *names(one, experiments)]) for one in ordered]
    parts = ["\n".join([one.mark, host, *one.lines]) + "\n" for one, host in zip(ordered, hosts)]
    return "\n".join([HEAD, *parts])


def changed(text: str, experiment: str, entries: Sequence[Entry]) -> str:
    """The file with exactly these entries for an experiment; one that was never written is not written to be empty."""
    kept = [one for one in parse(text) if one.experiment != experiment]
    return text_of([*kept, *entries]) if text or entries else text


def access_to(text: str, instance_id: str) -> dict[str, str]:
    """``remote_user``, ``port`` and ``private_key_file`` of an instance, as far as our file knows it."""
    lines = [one.lines for one in parse(text) if one.mark.split()[-1] == instance_id]
    given = dict(line.split(maxsplit=1) for line in lines[0]) if lines else {}
    known = {"remote_user": given.get("User"), "port": given.get("Port")}
    key = given.get("IdentityFile", "").strip('"').replace("%%", "%")
    return {name: value for name, value in (*known.items(), ("private_key_file", key)) if value}


def called(text: str, experiment: str) -> list[str]:
    """What to type after ssh for each instance of an experiment, by the file as it is; first the first."""
    entries = parse(text)
    experiments = {one.experiment for one in entries}
    return [names(one, experiments)[0] for one in entries if one.experiment == experiment]


def included(text: str, path: str, home: str) -> bool:
    """Whether the user's file includes ours for every host: before its first Host or Match.

    Args:
        text: the user's file.
        path: absolute path of our file.
        home: the user's home, which ~ means.
    """
    for line in text.splitlines():
        found = _LINE.match(line)
        keyword = found[1].lower() if found else ""
        if keyword in ("host", "match"):
            return False
        if found and keyword == "include" and any(_means(word, path, home) for word in _words(found[2])):
            return True
    return False


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return []


def _means(word: str, path: str, home: str) -> bool:
    where = os.path.join(home, word[2:]) if word.startswith("~/") else os.path.join(home, ".ssh", word)
    return fnmatch.fnmatch(path, os.path.normpath(where))


def with_include(text: str, path: str, home: str, tilde: bool) -> str:
    """The user's file with our line at its top, if it is not there yet.

    Args:
        tilde: whether ~ means `home` to ssh, too, which asks the user database and not the environment.
    """
    if included(text, path, home):
        return text
    inside = tilde and path.startswith(f"{home}/")
    shown = f"~/{os.path.relpath(path, home)}" if inside else path
    return f"Include {_ssh.quoted(shown)}\n{text}"
