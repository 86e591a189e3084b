"""Money, shares and tables."""

from __future__ import annotations

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._text import (
    ColumnError,
    cell,
    column_of,
    fitted,
    percent,
    table,
    usd,
    wrapped,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "$0.00"),
        (0.0104, "$0.0104"),
        (0.0999, "$0.0999"),
        (0.526, "$0.526"),
        (1, "$1.00"),
        (12.236, "$12.24"),
        (12345.6, "$12,345.60"),
        (-0.5, "-$0.500"),
    ],
)
def test_usd(value, expected):
    assert usd(value) == expected


def test_percent():
    assert percent(0.684) == "68 %"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, None, "-"),
        (None, "usd", "-"),
        ("", None, "-"),
        (0, None, "0"),
        (True, None, "yes"),
        (["a", 1], None, "a, 1"),
        ("two\nlines\t\x1b[1m", None, "two lines [1m"),
        (65, "duration", "1m 05s"),
        ("0.5", "percent", "50 %"),
    ],
)
def test_cell(value, kind, expected):
    assert cell(value, kind) == expected


def test_table():
    rows = [
        {"type": "t3.medium", "n": 2, "price": 0.0104, "age": 65},
        {"type": "g5.xlarge", "n": 12, "price": None},
    ]
    assert table(rows, [["instance", "type"], "n", ["price/h", "price", "usd"], ["age", "age", "duration"]]) == (
        "instance    n  price/h     age\nt3.medium   2  $0.0104  1m 05s\ng5.xlarge  12        -       -"
    )


def test_no_line_ends_with_blanks():
    text = table([{"a": "x", "b": "long text"}, {"a": "y", "b": "z"}], ["a", "b"])
    assert all(line == line.rstrip() for line in text.splitlines())


def test_long_text_gives_way_numbers_do_not():
    rows = [{"name": "n" * 100, "short": "s" * 20, "price": 1234567.5}]
    text = table(rows, ["name", "short", ["price", "price", "usd"]], 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" in text
    assert "$1,234,567.50" in text
    assert "s" * 20 in text


def test_a_table_that_cannot_fit_is_not_lost():
    assert fitted([8, 30], [True, False], 20) == [8, 30]


def test_without_rows_there_is_the_head():
    assert table([], ["a", ["B", "b", "usd"]]) == "a  B"


@pytest.mark.parametrize("given", [["a"], ["a", "b", "c", "d"], 7, ["a", "b", "euro"]])
def test_wrong_columns_are_told(given):
    with pytest.raises(ColumnError, match="table: "):
        column_of(given)


ROWS = [
    {
        "check": "rsync",
        "result": "failed",
        "text": "is missing; install rsync with the package manager of this machine",
    },
    {"check": "ssh", "result": "ok", "text": ""},
]


def test_the_last_column_goes_on_in_the_next_line():
    lines = wrapped(ROWS, ["check", "result", "text"], 50).splitlines()
    assert lines[0] == "check  result  text" and lines[1].startswith("rsync  failed  is missing; install rsync")
    assert lines[2].startswith(" " * 15 + "package manager") and lines[-1] == "ssh    ok      -"
    assert max(map(len, lines)) <= 50


def test_where_it_is_too_narrow_each_row_is_a_block():
    rows = [{"kind": "volumes", "id": "vol-0123456789abcdef0", "age": 5, "price": 0.5, "why": "nobody uses it at all"}]
    text = wrapped(rows, ["kind", "id", ["age", "age", "duration"], ["an hour", "price", "usd"], "why"], 32)
    assert text.splitlines() == [
        "volumes  vol-0123456789abcdef0",
        "  age 5 s, an hour $0.500",
        "  nobody uses it at all",
    ]


def test_words_are_never_cut():
    text = wrapped(
        [{"a": "x", "b": "y", "c": "arn:aws:iam::123456789012:user/somebody-with-a-name"}], ["a", "b", "c"], 10
    )
    assert "arn:aws:iam::123456789012:user/somebody-with-a-name" in text
