"""Following a log with a clock that obeys: lost connections, instances that go, jobs that end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._spot.status import End
from ansible_collections.experiments.spot.plugins.plugin_utils._logreader import Reader
from ansible_collections.experiments.spot.plugins.plugin_utils._logs import Wanted
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Clock, Finished
from ansible_collections.experiments.spot.plugins.plugin_utils._remote import LostConnection

from .test_follow import ACTIVE, INACTIVE, STARTED, poll

RUNNING = poll({**ACTIVE, "InvocationID": "a"}, {"state": "running", "started": STARTED})
DONE = poll(INACTIVE, {"state": "succeeded", "exit_code": 0, "started": STARTED})
TAKEN = poll(INACTIVE, {"state": "interrupted", "started": STARTED}, notice={"kind": "interruption"})
UNSTARTED = poll(INACTIVE, None, document={})
ALIVE, GONE = End("alive", False, "", ""), End("interrupted", True, "x", "EC2 took it back")
CLOSED = End("user", False, "x", "it was terminated on request")


class FakeClock(Clock):
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += max(0.0, seconds)


def entry(text: str) -> str:
    return json.dumps({"__CURSOR": f"c-{text}", "MESSAGE": text})


class FakeChild:
    """Lines, and then nothing more, or the end of the connection."""

    def __init__(self, clock: FakeClock, lines: list[str], breaks: bool) -> None:
        self.clock, self.lines, self.breaks, self.open = clock, lines, breaks, True

    def read(self, timeout: float) -> list[str]:
        self.clock.wait(max(timeout, 0.1))
        lines, self.lines = self.lines, []
        self.open = bool(lines) or not self.breaks
        return [entry(line) for line in lines]

    def finish(self) -> Finished:
        return Finished(255, "Connection reset\nclient_loop: broken")

    def stop(self) -> None:
        self.open = False


class FakeRemote:
    """Polls in their order, the last one for ever; streams in their order."""

    def __init__(self, clock: FakeClock, polls: list[Any], streams: list[tuple[list[str], bool]]) -> None:
        self.clock, self.polls, self.streams = clock, polls, streams
        self.commands: list[str] = []
        self.resets = 0

    def read(self, command: str, timeout: float = 30) -> str:
        if "journalctl" in command:
            self.commands.append(command)
            return entry("from the journal")
        if command == "true" and isinstance(self.polls[0], str):
            return ""
        # The first look at a job learns where its ledger is, and looks again.
        learns = "ledger.json" not in command and "ledger.json" in str(self.polls[0])
        answer = self.polls.pop(0) if len(self.polls) > 1 and not learns else self.polls[0]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    def stream(self, command: str) -> FakeChild:
        self.commands.append(command)
        return FakeChild(self.clock, *self.streams.pop(0))

    def reset(self) -> None:
        self.resets += 1


class World:
    def __init__(self, fates: list[End | None], successors: list[Any]) -> None:
        self.fates, self.successors = fates, successors

    def fate(self, _instance_id: str) -> End | None:
        return self.fates.pop(0) if len(self.fates) > 1 else self.fates[0]

    def successor(self, _instance_id: str) -> Any:
        return self.successors.pop(0)


def follow(remote: FakeRemote, world: Any = None, source: str = "job") -> tuple[str, list[str]]:
    said: list[str] = []
    wanted = Wanted(source, 5, True)
    reader = Reader("i-1", remote, wanted, said.append, world or World([ALIVE], []), remote.clock)  # type: ignore[arg-type]
    return reader.follow(), said


def test_until_the_job_is_over() -> None:
    end, said = follow(FakeRemote(FakeClock(), [RUNNING, DONE], [(["one", "two"], False)]))
    assert said == ["one", "two"] and end == "job digits: succeeded"


def test_a_job_that_is_over_before_its_log_is_followed() -> None:
    end, said = follow(FakeRemote(FakeClock(), [DONE], []))
    assert said == ["from the journal"] and end == "job digits: succeeded"


def test_a_job_that_is_not_started_yet_is_waited_for_and_told_once() -> None:
    polls = [UNSTARTED, UNSTARTED, UNSTARTED, RUNNING, DONE]
    _end, said = follow(FakeRemote(FakeClock(), polls, [(["one"], False)]))
    assert said == ["no job was started here yet; its log follows when one is", "one"]


def test_a_lost_connection_goes_on_behind_the_last_line() -> None:
    polls = [RUNNING, RUNNING, RUNNING, RUNNING, LostConnection("refused"), RUNNING, DONE]
    remote = FakeRemote(FakeClock(), polls, [(["one"], True), (["two"], False), (["three"], False)])
    _end, said = follow(remote)
    assert [line for line in said if not line.startswith("connection")] == ["one", "two", "three"]
    assert said[1].startswith("connection lost (client_loop: broken)") and remote.resets >= 1
    assert "connection lost (refused), trying again; the job goes on without it" in said
    assert "c-one" in remote.commands[1] and "c-two" in remote.commands[2]


@pytest.mark.parametrize("fate", [GONE, End("doomed", True, "", "marked"), End("unknown", False, "", "forgotten")])
def test_the_next_generation_goes_on_from_its_beginning(fate: End) -> None:
    clock = FakeClock()
    first = FakeRemote(clock, [RUNNING, LostConnection("no route")], [(["one"], False)])
    second = FakeRemote(clock, [RUNNING, DONE], [(["two"], False)])
    waits = ["waiting for the next generation", "waiting for the next generation", ("i-2", second)]
    end, said = follow(first, World([fate], waits))
    assert said[0] == "one" and said[-1] == "two" and "goes on with i-2" in said
    assert said.count("waiting for the next generation") == 1
    assert "c-one" not in second.commands[0] and end == "job digits: succeeded"


def test_a_job_that_tells_of_an_interruption_is_waited_for_elsewhere() -> None:
    clock = FakeClock()
    second = FakeRemote(clock, [RUNNING, DONE], [(["two"], False)])
    first = FakeRemote(clock, [RUNNING, TAKEN], [(["one"], False)])
    _end, said = follow(first, World([ALIVE], [("i-2", second)]))
    assert "two" in said and any("AWS takes the instance" in line for line in said)


def test_what_the_user_has_closed_is_not_waited_for() -> None:
    remote = FakeRemote(FakeClock(), [RUNNING, LostConnection("no route")], [([], False)])
    end, _said = follow(remote, World([None, CLOSED], []))
    assert end == "it was terminated on request"


def test_another_log_needs_no_job() -> None:
    clock = FakeClock()
    remote = FakeRemote(clock, [LostConnection("no route")], [(["x"], True)])
    end, said = follow(remote, World([CLOSED], []), "docker")
    assert said[0] == "x" and end == CLOSED.text
