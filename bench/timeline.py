"""What took how long: the output of a run, whose lines have their seconds, cut into stages. Pure functions.

A stage is what the callback `stages` calls one: a role, or a play for tasks outside roles. Its own table comes when a
run ends, and a run that waits for its job ends long after the job has begun; so the lines are cut here, at any moment.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PREFIX = "experiments.spot."
HEAD = re.compile(r"(PLAY|TASK|RUNNING HANDLER) \[(.*)\] \**$")
RECAP = re.compile(r"PLAY RECAP \*+$")
NEXT_RUN = re.compile(r"\[\S+\] run \d+: ")
SEEN = "until the run before sees it"
FORMER = "end of the run before"
BETWEEN = "between the runs"
START = "start of ansible-playbook"
IMAGE = "image"
CONTAINER = "container"

Line = tuple[float, str]


@dataclass(frozen=True)
class Step:
    """A task, or what else took time; `at` in seconds of the lines' clock."""

    at: float
    stage: str
    task: str


@dataclass(frozen=True)
class Part:
    """A step with the seconds that it took within a window."""

    stage: str
    task: str
    seconds: float


def steps(lines: Iterable[Line]) -> list[Step]:
    """The steps of all runs in an output, each from the moment of its heading."""
    found: list[Step] = []
    play = ""
    for at, text in lines:
        if RECAP.match(text) or NEXT_RUN.match(text):
            found.append(Step(at, BETWEEN if RECAP.match(text) else START, ""))
            continue
        head = HEAD.match(text)
        if head is None:
            continue
        if head[1] == "PLAY":
            play = head[2]
            found.append(Step(at, play, ""))
        else:
            found.append(_task(at, head[2], play))
    return found


def _task(at: float, name: str, play: str) -> Step:
    role, separator, task = name.partition(" : ")
    return Step(at, role.removeprefix(PREFIX), task) if separator else Step(at, play, name)


def window(lines: Iterable[Line], begin: float, end: float) -> list[Part]:
    """The parts of an output between two moments; before the next run begins they belong to the run before.

    Args:
        lines: seconds and text.
        begin: of the window, on the clock of the lines.
        end: likewise.
    """
    found = steps(lines)
    edges = [*(step.at for step in found[1:]), end]
    cut = [(step, min(edge, end) - max(step.at, begin)) for step, edge in zip(found, edges)]
    inside = [(step, seconds) for step, seconds in cut if seconds > 0]
    following = next((number for number, (step, _) in enumerate(inside) if step.stage == START), 0)
    parts = []
    for number, (step, seconds) in enumerate(inside):
        stage = step.stage if number >= following or step.stage == BETWEEN else FORMER if number else SEEN
        parts.append(Part(stage, step.task or step.stage, round(seconds, 3)))
    return parts


def stage_at(found: Sequence[Step], moment: float) -> str:
    """The stage in which a moment lies, '' before the first."""
    return next((step.stage for step in reversed(found) if step.at <= moment), "")


def by_stage(parts: Iterable[Part]) -> dict[str, float]:
    """Seconds by stage, in the order in which they began."""
    sums: dict[str, float] = {}
    for part in parts:
        sums[part.stage] = round(sums.get(part.stage, 0.0) + part.seconds, 3)
    return sums


def medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Medians by key over several runs; a key that one run lacks counts 0 there."""
    keys = dict.fromkeys(key for run in runs for key in run)
    return {key: round(statistics.median(run.get(key, 0.0) for run in runs), 3) for key in keys}


def clusters(moments: Iterable[float], gap: float) -> int:
    """How many groups of moments there are that lie more than `gap` seconds apart."""
    ordered = sorted(moments)
    return bool(ordered) + sum(later - earlier > gap for earlier, later in zip(ordered, ordered[1:]))


LETS_GO = {
    "noticed": re.compile(r"NOTICE: "),
    "job_told": re.compile(r"stopping experiments-spot-job"),
    "job_stopped": re.compile(r"experiments-spot-job\.service: (Deactivated|Failed|Main process exited)"),
    "unmounted": re.compile(r"/\S+ is unmounted"),
    "over": re.compile(r"(done|failed): job "),
}


STARTS = {
    "pulling": re.compile(r"experiments-spot: pulling "),
    "running": re.compile(r"experiments-spot: running "),
}


def milestones(journal: str, ordered: float, patterns: Mapping[str, re.Pattern[str]] = LETS_GO) -> dict[str, float]:
    """Seconds from the order of an interruption to what an instance did, each for the last time.

    Args:
        journal: of job and notice watcher, with the output `short-unix`.
        ordered: seconds since the epoch; older lines do not count.
        patterns: what to look for.
    """
    found: dict[str, float] = {}
    for line in journal.splitlines():
        first, _, text = line.partition(" ")
        at = float(first) - ordered if re.fullmatch(r"\d+\.\d+", first) else -1.0
        for name, pattern in patterns.items():
            if at >= 0 and pattern.search(text):
                found[name] = round(at, 3)
    return found


def recovery(lines: Iterable[Line], ordered: float, journal: str, first_word: float) -> list[Part]:
    """The parts of a recovery: of the runs until the next job begins, then of the job until its first word.

    Args:
        lines: output of the watch.
        ordered: seconds since the epoch.
        journal: of the instance on which the job goes on.
        first_word: of that job, seconds since the epoch.
    """
    found = milestones(journal, ordered, STARTS)
    running = found.get("running", first_word - ordered)
    pulling = found.get("pulling", running)
    return [
        *window(lines, ordered, ordered + pulling),
        Part(IMAGE, "pull", round(running - pulling, 3)),
        Part(CONTAINER, "start to first word", round(first_word - ordered - running, 3)),
    ]
