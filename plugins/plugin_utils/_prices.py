# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Pools as a table that fits the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils import _text

Pool = Mapping[str, Any]

# Where a column's call failed, this key of the result's ``unknown`` says why.
CALLS = {"vcpus": "types", "memory": "types", "gpu": "types", "saving": "on_demand_price"}
TITLES = {
    "instance_type": "type",
    "zone": "zone",
    "gpu": "GPU",
    "vcpus": "vCPU",
    "memory": "GiB",
    "price": "now/h",
    "lowest": "low",
    "highest": "high",
    "on_demand_price": "on-demand",
    "saving": "saving",
    "score": "score",
}
# What gives way first in a narrow terminal.
GIVES_WAY = ("memory", "vcpus", "on_demand_price", "gpu", "highest", "lowest", "score", "saving")
LEFT = ("instance_type", "zone", "gpu")


def _gpu(pool: Pool) -> str | None:
    if pool.get("gpus") is None:
        return None
    memory = f" {pool['gpu_memory']:.0f} GiB" if pool.get("gpu_memory") else ""
    return f"{pool['gpus']} x {pool.get('gpu') or '?'}{memory}" if pool["gpus"] else "none"


def _of(key: str, form: Callable[[Any], str]) -> Callable[[Pool], str | None]:
    return lambda pool: None if pool.get(key) is None else form(pool[key])


CELLS: dict[str, Callable[[Pool], str | None]] = {
    **{key: _of(key, str) for key in ("instance_type", "zone", "vcpus", "score")},
    **{key: _of(key, _text.usd) for key in ("price", "lowest", "highest", "on_demand_price")},
    "memory": _of("memory", "{:g}".format),
    "saving": _of("saving", _text.percent),
    "gpu": _gpu,
}


def cells(pool: Pool, unknown: Mapping[str, str]) -> dict[str, str | None]:
    """One pool as text; where a call failed the cell says why."""
    return {key: cell(pool) or unknown.get(CALLS.get(key, key)) for key, cell in CELLS.items()}


def table(pools: list[Pool], unknown: Mapping[str, str], width: int) -> str:
    """Pools as a table that is not wider than ``width`` characters; a last line says what found no room.

    Args:
        pools: of spot_pool_info.
        unknown: column -> why it is not known.
        width: of the terminal.
    """
    rows = [cells(pool, unknown) for pool in pools]
    keys = [key for key in TITLES if key != "gpu" or any(pool.get("gpus") for pool in pools) or "types" in unknown]
    gone: list[str] = []
    while True:
        text = _text.table(rows, [[TITLES[key], key, *([] if key in LEFT else ["right"])] for key in keys], 10_000)
        leaves = next((key for key in GIVES_WAY if key in keys), None)
        if leaves is None or max(map(len, text.splitlines())) <= width:
            break
        keys.remove(leaves)
        gone.append(TITLES[leaves])
    text = _text.table(rows, [[TITLES[key], key, *([] if key in LEFT else ["right"])] for key in keys], width)
    return f"{text}\nno room for: {', '.join(gone)}" if gone else text
