"""A small pool of workers that keeps the order of work on one thing and runs different things side by side."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

LOG = logging.getLogger(__name__)
Work = Callable[[], None]


class Lanes:
    """Work with the same key runs in the order it came, one at a time."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="lane")
        self._waiting: dict[str, deque[Work]] = defaultdict(deque)
        self._lock = threading.Lock()

    def put(self, key: str, work: Work) -> None:
        """Queue work on a lane; an exception in it is logged and does not stop the lane."""
        with self._lock:
            first = key not in self._waiting
            self._waiting[key].append(work)
        if first:
            self._pool.submit(self._step, key)

    def _step(self, key: str) -> None:
        """Do one piece, then get in line again, so that a busy lane does not starve the others."""
        work = self._waiting[key][0]
        try:
            work()
        except Exception:
            LOG.exception("work on %s failed", key)
        with self._lock:
            lane = self._waiting[key]
            lane.popleft()
            more = bool(lane)
            if not more:
                del self._waiting[key]
        if more:
            self._pool.submit(self._step, key)

    def close(self) -> None:
        """Drop what waits and end the workers."""
        self._pool.shutdown(wait=False, cancel_futures=True)
