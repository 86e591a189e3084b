"""Pools as a table for any terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.filter import price_table
from ansible_collections.experiments.spot.plugins.plugin_utils import _prices, _terminal

POOL: dict[str, Any] = {
    "instance_type": "g4dn.12xlarge", "zone": "ap-northeast-1a", "vcpus": 48, "memory": 192, "gpus": 4, "gpu": "T4",
    "gpu_memory": 16, "price": 1.4321, "lowest": 1.2, "highest": 1.6, "on_demand_price": 5.281, "saving": 0.73, "score": 9,
}  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 150])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    text = _prices.table([POOL, {**POOL, "zone": "us-east-1a"}], {}, width)
    head, first, *_rest = text.splitlines()
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith("no room"))
    assert head.startswith("type") and "now/h" in head and "g4dn" in first and "$1.43" in first
    gone = text.splitlines()[-1]
    assert gone.startswith("no room for: ") == (width < 120)
    if width < 120:
        assert not {title for title in gone.removeprefix("no room for: ").split(", ")} & set(head.split())


def test_column_says_why_it_is_empty() -> None:
    unknown = {"on_demand_price": "no permission", "score": "limit", "types": "no permission"}
    empty = dict.fromkeys(("vcpus", "memory", "gpus", "gpu", "gpu_memory", "on_demand_price", "saving", "score"))
    cells = _prices.cells({**POOL, **empty}, unknown)
    assert cells["on_demand_price"] == cells["saving"] == cells["vcpus"] == cells["gpu"] == "no permission"
    assert (cells["score"], cells["price"]) == ("limit", "$1.43")


def test_what_nobody_knows_is_a_dash() -> None:
    line = _prices.table([{**POOL, "score": None}], {}, 150).splitlines()[1]
    assert line.endswith("-") and "4 x T4 16 GiB" in line


def test_no_column_of_gpus_without_any() -> None:
    assert "GPU" not in _prices.table([{**POOL, "gpus": 0, "gpu": None}], {}, 150)
    mixed = _prices.table([POOL, {**POOL, "gpus": 0}], {}, 150)
    assert "none" in mixed


def test_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = price_table.FilterModule().filters()["price_table"]
    assert table({"pools": [POOL]}) == _prices.table([POOL], {}, 40)
    assert table({"pools": [POOL]}, 100) == _prices.table([POOL], {}, 100)
    with pytest.raises(AnsibleFilterError, match="wants what spot_pool_info returned"):
        table([])


@pytest.mark.parametrize(("said", "width"), [("40", 40), ("5", 20), ("0", None), ("wide", None), ("", None)])
def test_width_that_is_said(said: str, width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_terminal, "_of_terminal", lambda: 0)
    assert _terminal.width({"COLUMNS": said}) == (width or _terminal.NO_TERMINAL)


def test_terminal_of_the_parent() -> None:
    """A worker of Ansible has lost its terminal; its parent has one."""
    code = (
        "import os, subprocess, sys\n"
        "inner = 'from ansible_collections.experiments.spot.plugins.plugin_utils._terminal import width; print(width({}))'\n"
        "sys.stderr.write(subprocess.run([sys.executable, '-c', inner], stdout=subprocess.PIPE, text=True).stdout)\n"
    )
    master, slave = pty.openpty()
    subprocess.run(["stty", "columns", "57"], stdin=slave, check=True)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=slave,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    os.close(master)
    os.close(slave)
    assert done.stderr.strip() == "57"
