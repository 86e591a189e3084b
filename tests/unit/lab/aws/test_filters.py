"""Filters and pages, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from lab.aws import filters
from lab.aws.errors import Refusal

ITEMS: list[dict[str, Any]] = [
    {"Id": "a", "On": True, "Size": 7, "Parts": [{"Name": "x"}, {"Name": "y"}], "Tags": [{"Key": "k", "Value": "v1"}]},
    {"Id": "b", "On": False, "Size": 70, "Parts": [], "Tags": []},
]
KNOWN = filters.table({"id": "Id", "on": "On", "size": "Size", "part": "Parts.Name"})


def found(*wanted: tuple[str, list[str]]) -> str:
    asked = [{"Name": name, "Values": values} for name, values in wanted]
    return "".join(i["Id"] for i in filters.apply(ITEMS, asked, KNOWN))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], "ab"),
        ([("id", ["a", "b"])], "ab"),
        ([("id", ["a"]), ("on", ["false"])], ""),
        ([("on", ["true"])], "a"),
        ([("size", ["7"])], "a"),
        ([("size", ["7*"])], "ab"),
        ([("part", ["y"])], "a"),
        ([("tag:k", ["v?"])], "a"),
        ([("tag:k", ["V1"])], ""),
        ([("tag-key", ["k"])], "a"),
        ([("tag-value", ["v1"])], "a"),
        ([("id", [])], ""),
    ],
)
def test_apply(wanted: list[tuple[str, list[str]]], expected: str) -> None:
    assert found(*wanted) == expected


def test_special_characters_are_themselves() -> None:
    items = [{"Id": "a.b"}, {"Id": "axb"}]
    assert filters.apply(items, [{"Name": "id", "Values": ["a.b"]}], KNOWN) == items[:1]


def test_pages() -> None:
    items = list(range(5))
    first, token = filters.page(items, {"MaxResults": 3})
    second, end = filters.page(items, {"MaxResults": 3, "NextToken": token})
    assert (first, second, end) == ([0, 1, 2], [3, 4], None)


def test_nonsense_token() -> None:
    with pytest.raises(Refusal, match="InvalidNextToken"):
        filters.page([], {"NextToken": "nonsense"})
