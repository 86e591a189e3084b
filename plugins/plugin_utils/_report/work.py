# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The runs of a job as its ledgers tell them, with the work that was lost between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

Row = dict[str, Any]

ENDED_WELL = "succeeded"


def runs(ledgers: Iterable[Mapping[str, Any]]) -> list[Row]:
    """All runs of an experiment, the oldest first; the same run of two copies of a ledger counts once.

    Args:
        ledgers: with ``runs``; of two copies the later one in this order is believed.
    """
    known: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for ledger in ledgers:
        for run in ledger.get("runs") or []:
            known[str(run.get("instance_id")), str(run.get("started")), str(run.get("rank"))] = run
    ordered = sorted(known.values(), key=lambda run: str(run.get("started") or ""))
    return [_row(run, _next(run, ordered[place + 1 :])) for place, run in enumerate(ordered)]


def _next(run: Mapping[str, Any], later: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The run that went on with this one's work: of the same rank and the same job."""
    keys = ("rank", "spec_sha256")
    return next((one for one in later if all(one.get(key) == run.get(key) for key in keys)), None)


def _row(run: Mapping[str, Any], following: Mapping[str, Any] | None) -> Row:
    progress = run.get("progress") if isinstance(run.get("progress"), dict) else {}
    return {
        **{key: moment(run.get(key)) for key in ("started", "finished")},
        **{key: _text(run.get(key)) for key in ("instance_id", "state", "message")},
        **{key: _whole(run.get(key)) for key in ("generation", "rank", "exit_code")},
        "machine": machine(run.get("machine")),
        "results": run.get("results"),
        "progress": progress or None,
        "lost": lost(run, following),
        "unit": _text((progress or {}).get("unit")) or "steps",
    }


TEXTS = ("type", "zone", "region", "lifecycle", "image_id")
PRICES = ("spot_price", "on_demand_price")


def machine(told: Any) -> Row:
    """What a run ran on: texts, ``launch_time`` (UTC) and prices (USD per hour); None for what is not told.

    Ledgers of older versions tell nothing of it.
    """
    given = told if isinstance(told, dict) else {}
    return {
        **{key: _text(given.get(key)) for key in TEXTS},
        "launch_time": moment(given.get("launch_time")),
        **{key: _amount(given.get(key)) for key in PRICES},
    }


def _amount(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None


def moment(value: Any) -> str | None:
    """A moment in UTC (ISO 8601); None for what is none, because the file may be of anybody."""
    try:
        at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).isoformat()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def lost(run: Mapping[str, Any], following: Mapping[str, Any] | None) -> float | None:
    """Steps that the next run computed again, None while that is not known. Source: docs/recovery.md, progress.json."""
    if run.get("state") == ENDED_WELL:
        return 0
    step = _number(run, "step")
    start = _number(following or {}, "start")
    return None if step is None or start is None else max(0, step - start)


def _number(run: Mapping[str, Any], key: str) -> float | None:
    progress = run.get("progress")
    value = progress.get(key) if isinstance(progress, dict) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def notices(ledgers: Iterable[Mapping[str, Any]]) -> list[Row]:
    """All notices, the oldest first, each once."""
    known = {
        (str(one.get("instance_id")), str(one.get("kind")), str(one.get("time"))): {
            **{key: _text(one.get(key)) for key in ("instance_id", "kind", "action", "job")},
            **{key: moment(one.get(key)) for key in ("time", "seen")},
        }
        for ledger in ledgers
        for one in ledger.get("notices") or []
        if one.get("kind")
    }
    return sorted(known.values(), key=lambda one: str(one.get("seen") or one.get("time") or ""))
