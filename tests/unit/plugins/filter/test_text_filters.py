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


@pytest.mark.parametrize(
    ("environ", "known", "width"),
    [
        ({"COLUMNS": "40"}, 200, 40),
        ({}, 200, 200),
        ({}, 79, 120),
        ({"COLUMNS": "wide"}, 79, 120),
        ({"COLUMNS": "0"}, 79, 120),
    ],
)
def test_width_of_the_terminal(environ, known, width):
    assert wrapped_table.terminal_width(environ, known) == width


def test_wrapped_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert call(wrapped_table, "wrapped_table", [{"a": "x", "b": "y"}], ["a", "b"]) == "a  b\nx  y"
    for rows, columns in (("text", ["a"]), ([1], ["a"]), ([{"a": 1}], [["a", "a", "euro"]])):
        with pytest.raises(AnsibleFilterError):
            call(wrapped_table, "wrapped_table", rows, columns)
