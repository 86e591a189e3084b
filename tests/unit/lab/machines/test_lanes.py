"""Order per key, different keys side by side."""

from __future__ import annotations

import threading

from lab.machines.lanes import Lanes


def test_work_on_one_key_keeps_its_order_and_never_overlaps():
    lanes, seen, active, done = Lanes(4), [], [], threading.Event()

    def work(number: int) -> None:
        assert not active
        active.append(number)
        seen.append(number)
        active.clear()
        if number == 49:
            done.set()

    for number in range(50):
        lanes.put("a", lambda number=number: work(number))
    assert done.wait(10)
    assert seen == list(range(50))


def test_different_keys_run_side_by_side():
    lanes, meeting = Lanes(2), threading.Barrier(3, timeout=10)
    lanes.put("a", meeting.wait)
    lanes.put("b", meeting.wait)
    meeting.wait()  # only passes when both are inside at once


def test_a_failure_does_not_stop_the_lane(caplog):
    lanes, done = Lanes(1), threading.Event()
    lanes.put("a", lambda: 1 / 0)
    lanes.put("a", done.set)
    assert done.wait(10)
    assert "work on a failed" in caplog.text


def test_a_busy_lane_does_not_starve_others():
    lanes, order, done = Lanes(1), [], threading.Event()
    gate = threading.Event()
    lanes.put("a", lambda: gate.wait(10))
    lanes.put("a", lambda: order.append("a2"))
    lanes.put("b", lambda: order.append("b1"))
    lanes.put("a", done.set)
    gate.set()
    assert done.wait(10)
    assert order == ["b1", "a2"]
