# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads the log of one instance over ssh, once or for ever; who tells of AWS is passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.experiments.spot.plugins.module_utils._spot.status import End
from ansible_collections.experiments.spot.plugins.plugin_utils._follow import JobView, parse_poll, poll_command
from ansible_collections.experiments.spot.plugins.plugin_utils._logs import (
    JOB,
    Wanted,
    entries,
    job_line,
    journal,
    shown,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock, backoff
from ansible_collections.experiments.spot.plugins.plugin_utils._remote import LostConnection, Remote

# Seconds between two looks at a job whose log is followed, and of silence after which all of an ended log has come.
LOOK, SILENCE = 2.0, 1.0
# Seconds between two tries to reach an instance, or to find the next one: first, longest, factor.
TRIES = (1.0, 15.0, 2.0)
INTERRUPTED = "interrupted"
TAKEN = ("interruption", "rebalance")


class World(Protocol):
    """What AWS knows."""

    def fate(self, instance_id: str) -> End | None:
        """What has become of an instance; None when AWS cannot be asked now."""

    def successor(self, instance_id: str) -> tuple[str, Remote] | str:
        """The instance that has taken its place, once it lets us in; else why not yet."""


@dataclass
class Reader:
    """The log of the instance of one rank, and of those that follow it.

    Attributes:
        instance_id: the instance now.
        remote: commands on it.
        wanted: what is asked for.
        say: prints a line.
        world: see World.
        clock: for tests.
    """

    instance_id: str
    remote: Remote
    wanted: Wanted
    say: Callable[[str], None]
    world: World
    clock: Clock

    def __post_init__(self) -> None:
        self.view = JobView()
        self.cursor: str | None = None
        self.child: Any = None
        self.of = ""
        self.told = ""

    # --------------------------------------------------------------------------------------------------------- once

    def read(self) -> list[str]:
        """The last lines, and for the job what it does.

        Raises:
            LostConnection: the instance does not answer.
        """
        if self.wanted.source == JOB:
            self._look()
        text = self.remote.read(journal(self.wanted.source, self.view, self.wanted.lines, follow=False), 120)
        return [line for entry in entries(text) for line in shown(self.wanted.source, entry)[1]]

    # ----------------------------------------------------------------------------------------------------- for ever

    def follow(self) -> str:
        """Shows lines until there will be no more, and returns why."""
        try:
            while True:
                over = self._reachable()
                if over:
                    return over
        finally:
            self._close()

    def _reachable(self) -> str:
        """Follows an instance as long as it answers; returns why that was all, empty for another try."""
        try:
            while True:
                if self.wanted.source == JOB:
                    self._look()
                if self.view.over and self.view.state != INTERRUPTED:
                    self._drain()
                    return job_line(self.view)
                taken = self.view.notice.get("kind") in TAKEN and not self.view.facts.get("unit_active")
                if self.view.over or taken:
                    self._drain()
                    return self._follow_on("AWS takes the instance")
                self._show(self.clock.now() + LOOK)
        except LostConnection as error:
            return self._lost(str(error))

    def _look(self) -> None:
        text = self.remote.read(poll_command(self.view.ledger, 0, bool(self.view.notice)))
        view = parse_poll(text)
        if view.known and view.ledger != self.view.ledger:
            view = parse_poll(self.remote.read(poll_command(view.ledger)))
        self.view = view
        if not view.known:
            self._tell_once("no job was started here yet; its log follows when one is")

    def _tell_once(self, text: str) -> None:
        if self.wanted.follow and text != self.told:
            self.told = text
            self.say(text)

    def _show(self, until: float) -> None:
        if self.wanted.source == JOB and not self.view.known:
            self.clock.wait(until - self.clock.now())
            return
        if self.child is not None and self.of != self.view.invocation and self.view.invocation:
            self._close()  # another run: its log is another one
        if self.child is None:
            self.of = self.view.invocation
            command = journal(self.wanted.source, self.view, self.wanted.lines, follow=True, cursor=self.cursor)
            self.child = self.remote.stream(command)
        while self.clock.now() < until:
            if not self.child.open:
                raise LostConnection(self._last_words())
            self._print(self.child.read(max(0.0, until - self.clock.now())))

    def _last_words(self) -> str:
        words = self.child.finish().stderr.strip().splitlines()
        return words[-1] if words else "the connection was closed"

    def _print(self, came: list[str]) -> None:
        for entry in came:
            cursor, lines = shown(self.wanted.source, entry)
            self.cursor = cursor or self.cursor
            for line in lines:
                self.say(line)
            self.told = ""

    def _drain(self) -> None:
        """What the job said last, also when it was over before its log could be followed."""
        if self.child is None:
            text = self.remote.read(journal(JOB, self.view, self.wanted.lines, follow=False, cursor=self.cursor), 120)
            self._print(entries(text, self.cursor))
            return
        while self.child.open:
            came = self.child.read(SILENCE)
            if not came:
                return
            self._print(came)

    def _close(self) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None

    # ------------------------------------------------------------------------------------------------ what goes wrong

    def _lost(self, reason: str) -> str:
        """Tries until the instance answers again or is known to be gone."""
        self._close()
        self._tell_once(f"connection lost ({reason}), trying again; the job goes on without it")
        for pause in backoff(*TRIES):
            end = self.world.fate(self.instance_id)
            if end is not None and end.kind != "alive":
                return self._follow_on(end.text) if end.retry or end.kind in ("doomed", "unknown") else end.text
            self.remote.reset()
            self.clock.wait(pause)
            try:
                self.remote.read("true")
                return ""
            except LostConnection:
                continue
        return ""

    def _follow_on(self, why: str) -> str:
        """Waits for the instance that takes the place of this one; Ctrl-C ends that."""
        self._close()
        self.say(f"{why}; its log goes on with the next generation (ansible-playbook resume.yml, when nobody watches)")
        for pause in backoff(*TRIES):
            found = self.world.successor(self.instance_id)
            if not isinstance(found, str):
                self.instance_id, self.remote = found
                self.view, self.cursor, self.told = JobView(), None, ""
                self.say(f"goes on with {self.instance_id}")
                return ""
            self._tell_once(found)
            self.clock.wait(pause)
        return ""
