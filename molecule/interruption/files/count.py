"""The job of this scenario: counts until SIGTERM, then takes a second to write what it has counted."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from types import FrameType

STATE = pathlib.Path(os.environ["SPOT_STATE_DIR"])


def checkpoint(number: int, frame: FrameType | None) -> None:
    """Write the count as a job of hours would write its checkpoint."""
    del number, frame
    time.sleep(1)
    (STATE / "count.txt").write_text(f"{count}\n")
    raise SystemExit(0)


count = 0
signal.signal(signal.SIGTERM, checkpoint)
print("counting", flush=True)
while True:
    count += 1
    time.sleep(0.1)
