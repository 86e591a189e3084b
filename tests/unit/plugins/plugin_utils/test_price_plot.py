"""The picture of prices: read back as XML, its lines compared with the prices."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.filter import price_plot
from ansible_collections.experiments.spot.plugins.plugin_utils import _price_plot
from ansible_collections.experiments.spot.plugins.plugin_utils._price_plot import Label, price_labels, price_ticks, svg

SVG = "{http://www.w3.org/2000/svg}"
END = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
START = END - timedelta(days=30)


def pool(zone: str = "us-east-1a", *prices: float, on_demand: float | None = 1.0, **more: Any) -> dict[str, Any]:
    """A pool whose price changed every ten days, the oldest price first."""
    held = prices or (0.4, 0.5, 0.3)
    times = [START - timedelta(hours=3) + timedelta(days=10 * number) for number in range(len(held))]
    changes = [{"time": at.isoformat(), "price": price} for at, price in zip(times, held)][::-1]
    return {
        "instance_type": "g5.xlarge", "zone": zone, "region": "us-east-1", "price": held[-1], "highest": max(held),
        "on_demand_price": on_demand, "changes": changes, **more,
    }  # fmt: skip


def drawn(*pools: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(svg(pools, START, END))


def lines(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_a_line_goes_through_all_prices() -> None:
    (line,) = lines(drawn(pool()))
    scales = _price_plot.Scales(START, END, 1.0 * _price_plot.HEADROOM)
    heights = [float(y) for y in re.findall(r"(?:M[\d.]+ |V)([\d.]+)", line.attrib["d"])]
    assert heights == [scales.y(price) for price in (0.4, 0.5, 0.3)]
    places = [float(x) for x in re.findall(r"[MH]([\d.]+)", line.attrib["d"])]
    assert places[0] == scales.x(START) and places[-1] == scales.x(END) and places == sorted(places)
    assert scales.y(0) > scales.y(0.3) > scales.y(0.5) > scales.y(1.0) > 0


def test_one_line_a_pool_and_one_dashed_a_type() -> None:
    root = drawn(
        pool("us-east-1a"), pool("us-east-1b", 0.35), pool("us-east-1a", 0.2, instance_type="g6.xlarge", on_demand=0.8)
    )
    assert len(lines(root)) == 3
    dashed = [line for line in root.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]
    assert len(dashed) == 2
    assert {"g5.xlarge us-east-1b $0.350", "g5.xlarge on demand $1.00", "g6.xlarge on demand $0.800"} <= set(
        texts(root)
    )
    assert len({line.attrib["stroke"] for line in lines(root)}) == 3


def test_on_demand_prices_of_two_regions() -> None:
    there = pool("eu-west-1a", region="eu-west-1", on_demand=1.1)
    names = sorted(text for text in texts(drawn(pool(), there)) if "on demand $" in text)
    assert names == ["g5.xlarge eu-west-1 on demand $1.10", "g5.xlarge on demand $1.00"]


def test_axes_have_units_and_round_ticks() -> None:
    shown = texts(drawn(pool()))
    assert any("USD per hour" in text for text in shown) and "day (UTC)" in shown
    assert {"$0.00", "$0.20", "$1.00"} <= set(shown)
    assert "2 Jan" in shown and sum(text.endswith(" Jan") for text in shown) <= 8


def test_more_pools_than_colours() -> None:
    root = drawn(*(pool(f"us-east-1{letter}", 0.1 + number / 100) for number, letter in enumerate("abcdefghijkl")))
    assert len(lines(root)) == 8
    assert "Spot prices, 30 days, the 8 cheapest of 12 pools" in texts(root)


def test_no_pool_and_no_on_demand_price() -> None:
    assert "No pool has a price." in texts(drawn())
    root = drawn(pool(on_demand=None))
    assert not [line for line in root.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]


def test_it_is_self_contained_and_escaped() -> None:
    text = svg([pool(instance_type='<&"')], START, END)
    assert ElementTree.fromstring(text) is not None
    assert not re.search(r"(href|src|url\(|@import|<script|<style)", text)
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize("highest", [0.0031, 0.0104, 0.526, 1.0, 7.7, 55.04])
def test_ticks_are_round_and_fit(highest: float) -> None:
    ticks = price_ticks(highest)
    assert 4 <= len(ticks) <= 10 and ticks[0] == 0 and ticks[-1] <= highest * 1.0001
    assert [float(text[1:]) for text in price_labels(ticks)] == ticks


def test_labels_do_not_cover_each_other_and_stay_inside() -> None:
    labels = [Label(str(at), "#000000", at) for at in (100.0, 101.0, 102.0, 480.0, 499.0, 500.0, 500.0)]
    _price_plot.spread(labels, 80, 500)
    places = sorted(label.y for label in labels)
    assert all(after - before >= _price_plot.LABEL_GAP - 0.01 for before, after in zip(places, places[1:]))
    assert places[0] >= 80 and places[-1] <= 500
    alone = [Label("", "#000000", 300.0)]
    _price_plot.spread(alone, 80, 500)
    assert alone[0].y == 300


def test_filter() -> None:
    plot = price_plot.FilterModule().filters()["price_plot"]
    found = {"pools": [pool()], "period": {"start": START.isoformat(), "end": END.isoformat()}}
    assert plot(found) == svg([pool()], START, END)
    with pytest.raises(AnsibleFilterError, match="wants what spot_pool_info returned"):
        plot({"pools": []})
