"""The filters table, duration and usd as Jinja calls them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.filter import duration, orphan_rows, table, usd, wrapped_table


def call(module, name, *args, **kwargs):
    return module.FilterModule().filters()[name](*args, **kwargs)


def test_values():
    assert call(duration, "duration", 65) == "1m 05s"
    assert call(duration, "duration", "65.2") == "1m 05s"
    assert call(usd, "usd", 0.0104) == "$0.0104"
    assert call(table, "table", [{"a": 1}], ["a"], width=80) == "a\n1"


def test_nothing_is_unknown():
    assert call(duration, "duration", None) == "unknown"
    assert call(usd, "usd", None) == "unknown"


@pytest.mark.parametrize(
    ("module", "name", "args", "text"),
    [
        (duration, "duration", ["soon"], "'soon' is no number of seconds"),
        (usd, "usd", ["much"], "'much' is no amount"),
        (table, "table", ["abc", ["a"]], "wants a list of dictionaries, not str"),
        (table, "table", [[1], ["a"]], "wants a list of dictionaries, not int"),
        (table, "table", [[{"a": 1}], [["a", "a", "euro"]]], "unknown format 'euro'"),
        (table, "table", [[{"a": "x"}], [["a", "a", "usd"]]], "could not convert"),
    ],
)
def test_wrong_input_is_one_clear_error(module, name, args, text):
    with pytest.raises(AnsibleFilterError, match=text):
        call(module, name, *args)


def test_orphan_rows():
    row = {"id": "vol-1", "experiment": "lab", "region": "r", "if_idle": ["i-1"], "cost_per_hour": 1.0}
    assert call(orphan_rows, "orphan_rows", [row], {}) == {"rows": [], "in_use": []}
    kept = call(orphan_rows, "orphan_rows", [row], {"i-1": {"state": None}}, grace="60")
    assert kept["rows"] == [row]


def row(number: int) -> dict[str, object]:
    return {
        "name": f"experiment-{number}",
        "type": "g5.xlarge",
        "zone": "us-east-1a",
        "cost": 0.5,
        "volumes": "data 100 GiB",
    }


COLUMNS = ["name", "type", "zone", ["so far", "cost", "usd"], "volumes"]


@pytest.mark.parametrize("width", ["40", "60", "80", "200"])
def test_tables_fit_the_terminal_and_nothing_is_lost(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    text = call(table, "table", [row(1), row(2)], COLUMNS)
    assert max(map(len, text.splitlines())) <= int(width)
    flat = " ".join(text.split())
    for word in ("experiment-1", "experiment-2", "g5.xlarge", "us-east-1a", "so far", "$0.500", "data 100 GiB"):
        assert word in flat
    assert "…" not in text


def test_wrapped_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert call(wrapped_table, "wrapped_table", [{"a": "x", "b": "y"}], ["a", "b"]) == "a  b\nx  y"
    for rows, columns in (("text", ["a"]), ([1], ["a"]), ([{"a": 1}], [["a", "a", "euro"]])):
        with pytest.raises(AnsibleFilterError):
            call(wrapped_table, "wrapped_table", rows, columns)
