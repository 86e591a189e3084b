"""The page, read by real parsers, and the text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._report import data, page, words
from tests.unit.plugins.plugin_utils._report import past

VOID = {"meta"}
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Fails at an element that is not closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _tag, attrs in self.tags if name in attrs]


def pictures(text: str) -> list[Any]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.S)]


def html(read: dict[str, Any]) -> str:
    return page.html(data.reports(read, {}, past.NOW))


PAST = {
    "nothing": past.read(),
    "one": past.read(past.experiment("digits", past.instance())),
    "three": past.three_generations(),
    "two experiments": past.read(past.experiment("a", past.instance()), past.experiment("b", past.instance())),
    "no prices": past.read(past.experiment("a", past.instance(changes=[], on_demand_price=None))),
    "no instance": past.read(past.experiment("a")),
    "hostile": past.three_generations(past.HOSTILE),
    "a ledger of anybody": past.read(
        past.experiment("a", past.instance()),
        ledgers=[
            {
                "path": "/r/ledger.json",
                "experiment": "a",
                "job": "train",
                "runs": [
                    past.run("i-1", "x", "y", rank=["0"], generation="one", progress={"step": "z", "unit": 3}),
                    {"instance_id": 7, "started": "2026-11-21T12:00:00", "progress": 3, "results": "none"},
                ],
                "notices": [{"instance_id": "i-1", "kind": 4, "time": "soon", "seen": {}}],
            }
        ],
    ),
    "only a ledger": past.three_generations() | {"experiments": []},
}


@pytest.mark.parametrize("read", PAST.values(), ids=PAST)
def test_it_is_whole_and_needs_nothing(read: dict[str, Any]) -> None:
    text = html(read)
    found = Page(text)
    names = [tag for tag, _attrs in found.tags]
    assert not {"script", "link", "img", "iframe", "object"} & {*names}
    assert not [
        name for _tag, attrs in found.tags for name in attrs if name in ("src", "href") or name.startswith("on")
    ]
    assert "url(" not in text and "@import" not in text
    ids = found.values("id")
    assert len(ids) == len({*ids})
    labels = {name for value in found.values("aria-labelledby") for name in value.split()}
    assert labels <= {*ids}
    for picture in pictures(text):
        assert picture.find(f"{SVG}title").text and picture.find(f"{SVG}desc").text
        assert picture.get("role") == "img"
    assert names.count("table") == names.count("thead")
    assert {attrs.get("scope") for tag, attrs in found.tags if tag == "th"} <= {"col"}
    assert "width=device-width" in found.values("content")[0]


def test_what_users_wrote_is_text() -> None:
    found = Page(html(past.three_generations(past.HOSTILE)))
    assert past.HOSTILE in found.words
    assert "There is no Spot capacity <now>" in found.words


def test_a_bar_an_instance_and_a_mark_a_notice() -> None:
    timeline, cost = pictures(html(past.three_generations()))
    assert [one.get("class") for one in timeline.iter(f"{SVG}rect")] == ["taken", "taken", "runs"]
    assert [one.get("class") for one in timeline.iter(f"{SVG}path")] == ["notice"]
    assert [one.get("class") for one in cost.iter(f"{SVG}path")] == ["full", "paid"]
    bars = [(float(one.get("x")), float(one.get("width"))) for one in timeline.iter(f"{SVG}rect")]
    ends = [round(x + width, 1) for x, width in bars]
    assert ends[0] == bars[1][0] and ends[1] == bars[2][0]


def test_without_prices_there_is_no_picture_of_costs() -> None:
    assert len(pictures(html(PAST["no prices"]))) == 1
    assert "unknown" in Page(html(PAST["no prices"])).words


def test_the_text_has_all_of_it() -> None:
    text = words.text(data.reports(past.three_generations(), {}, past.NOW))
    assert text.startswith("Experiment digits\n")
    for part in ("$0.900", "$2.50", "$1.60 (64 %)", "5 epochs", "first hour free", "InsufficientInstanceCapacity"):
        assert part in text
    assert "from 40 to 80 of 100 epochs" in " ".join(text.split())


def test_the_text_of_unknown_things() -> None:
    mixed = past.experiment("digits", past.instance(), past.taken(instance_id="i-2"))
    text = words.text(data.reports(past.read(mixed), {}, past.NOW))
    assert "at least $0.800 (1 of the instances unknown)" in text
    assert "on demand    unknown" in text


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = words.text(data.reports(past.read(past.experiment("a\x1b[31m", past.instance())), {}, past.NOW))
    assert "\x1b" not in text
