"""What a notice leaves, and when a time limit is reached, with clocks that are right, wrong and jumping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._notice import clocks
from ansible_collections.experiments.spot.plugins.module_utils._notice.clocks import Expiry, Sight

NOON = 1767268800.0  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01T12:00:00+00:00", NOON),
        ("2026-01-01T12:00:00.250Z", NOON),
        (" 2026-01-01T12:00:00Z\n", NOON),
        ("2026-01-01T12:00:00", None),
        ("2026-01-01T12:00:00+02:00", None),
        ("2026-13-01T12:00:00Z", None),
        ("terminate", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_iso(text: object, expected: float | None) -> None:
    assert clocks.parse_iso(text) == expected


def test_iso_and_back() -> None:
    assert clocks.parse_iso(clocks.iso(NOON)) == NOON


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Thu, 01 Jan 2026 12:00:00 GMT", NOON), ("yesterday", None), ("", None), (None, None), ("Thu, 99 Jan", None)],
)
def test_header_date(text: str | None, expected: float | None) -> None:
    assert clocks.parse_date(text) == expected


@pytest.mark.parametrize(
    ("sight", "left"),
    [
        # AWS's clock counts, whatever this machine's says
        (Sight(NOON + 118, NOON, NOON, 1), 118),
        (Sight(NOON + 118, NOON, NOON + 3600, 1), 118),
        (Sight(NOON + 118, NOON, NOON - 3600, None), 118),
        # longer or shorter notices are believed when AWS's clock says so
        (Sight(NOON + 900, NOON, NOON, None), 900),
        (Sight(NOON + 6, NOON, NOON, 1), 6),
        # over, and the instance is still there
        (Sight(NOON - 5, NOON, NOON, 1), clocks.LEAST),
        # without it the machine's clock, where that can be
        (Sight(NOON + 100, None, NOON, None), 100),
        # a clock that is ahead or behind: two minutes, less what may have gone since the last look
        (Sight(NOON + 118, None, NOON + 600, 5), 115),
        (Sight(NOON + 118, None, NOON - 600, 5), 115),
        (Sight(NOON + 118, None, NOON + 600, 119), clocks.LEAST),
        (Sight(None, NOON, NOON, 5), 115),
        (Sight(None, None, NOON, None), clocks.LEAST),
        (Sight(NOON - 9999, None, NOON, None), clocks.LEAST),
    ],
)
def test_seconds_left(sight: Sight, left: float) -> None:
    assert clocks.seconds_left(sight) == left


def test_stale() -> None:
    old = NOON - clocks.STALE - 1
    assert clocks.is_stale(Sight(old, NOON, NOON, None))
    assert not clocks.is_stale(Sight(old, NOON, NOON, 5)), "it appeared while we looked"
    assert not clocks.is_stale(Sight(old, None, NOON, None)), "only AWS's own clock proves it"
    assert not clocks.is_stale(Sight(NOON - 10, NOON, NOON, None))
    assert not clocks.is_stale(Sight(None, NOON, NOON, None))


@pytest.mark.parametrize(
    ("left", "grace", "reserve", "expected"),
    [(120, 60, 20, 60), (70, 60, 20, 50), (6, 60, 20, 4), (0, 60, 20, 0), (120, 600, 20, 100), (30, 10, 0, 10)],
)
def test_grace(left: float, grace: float, reserve: float, expected: float) -> None:
    assert clocks.grace_within(left, grace, reserve) == pytest.approx(expected)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 1000))
def test_grace_leaves_time_for_the_volumes(left: float, grace: float, reserve: float) -> None:
    found = clocks.grace_within(left, grace, reserve)
    assert 0 <= found <= grace and found <= left
    assert left - found >= min(reserve, left / 3) - 1e-9


def test_aws_clock_is_carried_on_by_the_uptime() -> None:
    clock = clocks.AwsClock()
    clock.told(None, 10)
    assert clock.now(10) is None
    clock.told(NOON, 10)
    clock.told(None, 20)
    assert clock.now(70) == NOON + 60


def test_limit_with_right_clocks() -> None:
    expiry = Expiry(NOON)
    assert not expiry.reached(NOON - 100, NOON - 100, 50)
    assert not expiry.reached(NOON - 1, NOON - 1, 149)
    assert expiry.reached(NOON, NOON, 150)


def test_limit_that_is_over_already() -> None:
    assert Expiry(NOON).reached(NOON + 9, NOON + 9, 50)
    assert Expiry(NOON).reached(None, NOON + 9, 50)


def test_clock_that_jumps_ahead_ends_nothing() -> None:
    without_service = Expiry(NOON)
    assert not without_service.reached(None, NOON - 100, 50)
    assert not without_service.reached(None, NOON + 9999, 60)
    assert without_service.reached(None, NOON + 9999, 150)


def test_clock_that_was_ahead_and_is_set_right_ends_nothing() -> None:
    expiry = Expiry(NOON)
    assert not expiry.reached(None, NOON - 10, 50)
    assert not expiry.reached(None, NOON - 3600, 70), "the uptime says so, the clock does not"
    assert expiry.reached(None, NOON, 3670)


def test_a_wrong_clock_keeps_nothing_alive_while_the_service_answers() -> None:
    expiry = Expiry(NOON)
    assert not expiry.reached(NOON - 100, NOON - 7200, 50)
    assert expiry.reached(NOON, NOON - 7100, 150)


def test_a_wrong_date_of_the_service_ends_nothing() -> None:
    expiry = Expiry(NOON)
    assert not expiry.reached(NOON - 100, NOON - 100, 50)
    assert not expiry.reached(NOON + 9999, NOON - 90, 60)


def test_the_uptime_is_set_by_the_service_once_it_answers() -> None:
    expiry = Expiry(NOON)
    assert not expiry.reached(None, NOON - 7200, 50)
    assert not expiry.reached(NOON - 100, NOON - 7190, 60)
    assert expiry.reached(NOON, NOON - 7090, 160)


def test_limit_survives_a_restart_of_the_watcher() -> None:
    first = Expiry(NOON)
    first.reached(None, NOON - 100, 50)
    jumped = Expiry(NOON, first.memory)
    assert not jumped.reached(None, NOON + 9999, 60)
    other = Expiry(NOON + 1000, first.memory)
    assert other.due is None, "another limit is another one"
    assert Expiry(NOON, {"expires": NOON, "due": "soon"}).due is None


@given(skew=st.floats(-86400, 86400), later=st.floats(-86400, 86400), which=st.sampled_from(["aws", "wall", "none"]))
def test_no_single_wrong_clock_ends_a_job_early(skew: float, later: float, which: str) -> None:
    """One clock is wrong at first and differently wrong later; the job is never ended more than a second early."""
    expiry = Expiry(NOON)

    def told(before: float, wrong: float) -> bool:
        now = NOON - before
        aws = now + (wrong if which == "aws" else 0)
        wall = now + (wrong if which == "wall" else 0)
        return expiry.reached(aws, wall, 1000 - before)

    assert not told(100, 0)
    assert not told(60, skew)
    assert not told(1, later)
    assert told(0, 0)
