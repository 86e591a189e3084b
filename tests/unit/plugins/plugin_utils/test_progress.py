"""Units, schedules and watched children."""

from __future__ import annotations

import itertools
import sys

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._progress import (
    Child,
    Heartbeat,
    LineSplitter,
    backoff,
    duration,
    is_quiet,
    run_watched,
    size,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (12, "12 s"),
        (59.4, "59 s"),
        (59.6, "1m 00s"),
        (65, "1m 05s"),
        (3599.6, "1h 00m"),
        (7380, "2h 03m"),
        (273600, "3d 04h"),
        (-5, "-5 s"),
    ],
)
def test_duration(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (12_345_678, "12.3 MB"), (4e9, "4.0 GB"), (5e12, "5.0 TB")],
)
def test_size(count, expected):
    assert size(count) == expected


def test_backoff_grows_to_its_limit():
    assert list(itertools.islice(backoff(0.5, 3, 2), 5)) == [0.5, 1, 2, 3, 3]
    assert next(backoff(5, 1)) == 1


@pytest.mark.parametrize(
    ("argument", "environ", "expected"),
    [
        (None, {}, False),
        (None, {"EXPERIMENTS_SPOT_QUIET": "1"}, True),
        (None, {"EXPERIMENTS_SPOT_QUIET": " No "}, False),
        (None, {"EXPERIMENTS_SPOT_QUIET": "yes"}, True),
        (False, {"EXPERIMENTS_SPOT_QUIET": "1"}, False),
        (True, {}, True),
    ],
)
def test_quiet(argument, environ, expected):
    assert is_quiet(argument, environ) is expected


def test_heartbeat_after_5_then_each_15():
    heartbeat = Heartbeat(100)
    beats = [now for now in range(100, 160) if heartbeat.due(now)]
    assert beats == [105, 120, 135, 150]
    assert heartbeat.elapsed(130) == 30


def test_lines_are_cut_at_both_ends():
    splitter = LineSplitter()
    assert splitter.feed(b"a\rb\r\nc") == ["a", "b"]
    assert splitter.feed(b"d\n\n") == ["cd"]
    assert splitter.feed("ü".encode()[:1]) == []
    assert splitter.feed("ü".encode()[1:] + b"\xff") == []
    assert splitter.close() == ["ü\ufffd"]
    assert splitter.close() == []


def test_watched_command_hands_on_lines_and_its_end():
    code = "import sys; print('one'); print('two', end=''); print('bad', file=sys.stderr); sys.exit(3)"
    lines: list[str] = []
    ticks: list[int] = []
    finished = run_watched([sys.executable, "-c", code], lines.append, lambda: ticks.append(1))
    assert lines == ["one", "two"]
    assert (finished.code, finished.stderr) == (3, "bad")
    assert ticks


def test_a_child_never_outlives_its_block():
    with Child([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]) as child:
        while not child.read(5):
            pass
    assert child.process.poll() is not None


def test_a_child_that_ignores_sigterm_is_killed(monkeypatch):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    with Child([sys.executable, "-c", code]) as child:
        while not child.read(5):
            pass
        wait = child.process.wait
        monkeypatch.setattr(child.process, "wait", lambda timeout=None: wait(timeout=0.1 if timeout else None))
    assert child.process.poll() == -9


def test_signal_as_exit_code():
    finished = run_watched([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], print, lambda: None)
    assert finished.code == 137
