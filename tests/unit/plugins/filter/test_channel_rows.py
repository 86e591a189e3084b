"""Rows of what channels moved."""

from __future__ import annotations

from typing import Any

from ansible_collections.experiments.spot.plugins.filter.channel_rows import channel_rows

OUT = {"direction": "out", "local_path": "src/", "remote_path": "~/src/"}
MOVED = {"files": 2, "bytes": 1_500, "deleted": 1, "duration": 0.4, "ansible_loop_var": "item"}


def registered(*channels: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{**MOVED, "item": channel} for channel in channels]}


def test_a_row_a_channel_and_host() -> None:
    rows = channel_rows([registered(OUT, {**OUT, "name": "code"}), registered(OUT)], [0, 3])
    assert [(row["channel"], row["rank"]) for row in rows] == [
        ("out src/ → ~/src/", 0),
        ("code", 0),
        ("out src/ → ~/src/", 3),
    ]
    assert rows[0] == {
        "channel": "out src/ → ~/src/",
        "rank": 0,
        "files": 2,
        "bytes": 1_500,
        "moved": "1.5 kB",
        "deleted": 1,
        "seconds": 0.4,
    }


def test_what_did_not_run_has_no_row() -> None:
    assert channel_rows([{"skipped": True}, {"results": [{"failed": True, "ansible_loop_var": "item"}]}], [0, 1]) == []
