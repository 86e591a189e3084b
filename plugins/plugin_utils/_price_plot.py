# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The price history of pools as one self-contained SVG: pure functions, no library.

A price holds until the next change, so lines are steps. The price axis starts at zero, so that a saving is
seen as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.experiments.spot.plugins.plugin_utils._text import usd

Pool = Mapping[str, Any]

WIDTH, HEIGHT = 1000, 560
LEFT, RIGHT, TOP, BOTTOM = 72, 300, 74, 52
LABEL_GAP = 17
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
INK, PALE, GRID = "#1f2430", "#5b6472", "#e3e6eb"
# Told apart by people who see fewer colours, too, and dark enough on white. Source: Okabe and Ito, "Color Universal
# Design", yellow left out.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5a4fcf", "#a66f00", "#3f9fd8", "#4d4d4d")
# Not of the locale: the file is for others, too.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
DAY = timedelta(days=1)
# Of the price axis, over the highest price.
HEADROOM = 1.06


@dataclass(frozen=True)
class Scales:
    """From moments and prices to places in the picture."""

    start: datetime
    end: datetime
    top: float

    def x(self, at: datetime) -> float:
        """Place of a moment from the left; what was before the start is at the start."""
        share = (max(at, self.start) - self.start) / max(self.end - self.start, timedelta(seconds=1))
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, price: float) -> float:
        """Place of a price from the top."""
        return round(HEIGHT - BOTTOM - price / self.top * (HEIGHT - TOP - BOTTOM), 1)


@dataclass
class Label:
    """Text at the right of a line; ``at`` is where the line ends."""

    text: str
    colour: str
    at: float
    y: float = 0.0


def svg(pools: Sequence[Pool], start: datetime, end: datetime) -> str:
    """A picture of the cheapest pools, as many as there are colours.

    Args:
        pools: of spot_pool_info with C(changes), the cheapest first.
        start: start of the period.
        end: its end.
    """
    shown = list(pools[: len(COLOURS)])
    scales = Scales(start, end, _highest(shown) * HEADROOM)
    labels, lines = [], []
    for pool, colour in zip(shown, COLOURS):
        lines.append(_line(pool, colour, scales))
        text = f"{pool['instance_type']} {pool['zone']} {usd(pool['price'])}"
        labels.append(Label(text, colour, scales.y(pool["price"])))
    for name, (price, colour) in _on_demand(shown).items():
        lines.append(_dashed(name, price, colour, scales))
        labels.append(Label(f"{name} on demand {usd(price)}", colour, scales.y(price)))
    body = [*_frame(shown, len(pools), scales), *lines, *_labels(labels)]
    if not shown:
        body.append(_text(LEFT + 12, TOP + 24, "No pool has a price.", PALE))
    return "\n".join([*_head(shown, start, end), *body, "</svg>"]) + "\n"


def _highest(pools: Iterable[Pool]) -> float:
    return max((price for pool in pools for price in (pool["highest"], pool["on_demand_price"]) if price), default=1.0)


def price_ticks(top: float) -> list[float]:
    """Four to ten round prices from zero to ``top`` at most."""
    rough = top / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * unit for nice in NICE if nice * unit >= rough * 0.999)
    return [round(step * number, 10) for number in range(math.floor(top / step) + 1)]


def price_labels(ticks: Sequence[float]) -> list[str]:
    """The prices as text, all with the same decimals, cents at least."""
    decimals = max(2, *(len(f"{price:.8f}".rstrip("0").partition(".")[2]) for price in ticks))
    return [f"${price:.{decimals}f}" for price in ticks]


def day_ticks(start: datetime, end: datetime) -> list[datetime]:
    """Midnights (UTC), eight at most."""
    days = max(1, math.ceil((end - start) / DAY / 8))
    first = start.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    found = [first + DAY * number for number in range(0, 1000, days)]
    return [at for at in found if at <= end]


def _on_demand(pools: Iterable[Pool]) -> dict[str, tuple[float, str]]:
    """Type -> on-demand price and colour, that of its first pool. Types of other regions may have another price."""
    found: dict[str, tuple[float, str]] = {}
    prices: dict[str, set[float]] = {}
    for pool, colour in zip(pools, COLOURS):
        price = pool["on_demand_price"]
        if price:
            seen = prices.setdefault(pool["instance_type"], set())
            name = f"{pool['instance_type']} {pool['region']}" if seen - {price} else pool["instance_type"]
            seen.add(price)
            found.setdefault(name, (price, colour))
    return found


def _line(pool: Pool, colour: str, scales: Scales) -> str:
    """Steps from the oldest change to the end of the period."""
    changes = [(datetime.fromisoformat(one["time"]), float(one["price"])) for one in reversed(pool["changes"])]
    parts = []
    for number, (at, price) in enumerate(changes):
        parts.append(f"M{scales.x(at)} {scales.y(price)}" if number == 0 else f"H{scales.x(at)}V{scales.y(price)}")
    path = "".join([*parts, f"H{scales.x(scales.end)}"])
    title = f"<title>{escape(pool['instance_type'])} {escape(pool['zone'])}</title>"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round">{title}</path>'


def _dashed(name: str, price: float, colour: str, scales: Scales) -> str:
    y = scales.y(price)
    line = f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="{colour}"'
    return f'{line} stroke-width="1.4" stroke-dasharray="7 5"><title>{escape(name)} on demand</title></line>'


def _text(x: float, y: float, text: str, colour: str = INK, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{escape(text)}</text>'


def _head(pools: Sequence[Pool], start: datetime, end: datetime) -> list[str]:
    names = ", ".join(f"{pool['instance_type']} in {pool['zone']}" for pool in pools)
    about = f"Spot prices from {start:%Y-%m-%d} to {end:%Y-%m-%d} (UTC) of {names or 'no pool'}"
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label={quoteattr(about)} font-family="{FONT}" font-size="13">',
        f"<title>{escape(about)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]


def _frame(pools: Sequence[Pool], count: int, scales: Scales) -> list[str]:
    """Titles, axes with units, and grid."""
    more = f", the {len(pools)} cheapest of {count} pools" if count > len(pools) else ""
    days = round((scales.end - scales.start) / DAY)
    bottom = HEIGHT - BOTTOM
    found = [
        _text(
            LEFT,
            30,
            f"Spot prices, {days} day{'' if days == 1 else 's'}{more}",
            INK,
            ' font-size="18" font-weight="600"',
        ),
        _text(LEFT, 54, "USD per hour, Linux; dashed: on demand", PALE),
    ]
    ticks = price_ticks(scales.top)
    for price, label in zip(ticks, price_labels(ticks)):
        y = scales.y(price)
        colour = PALE if price == 0 else GRID
        found.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="{colour}"/>')
        found.append(_text(LEFT - 10, y + 4.5, label, PALE, ' text-anchor="end"'))
    for at in day_ticks(scales.start, scales.end):
        x = scales.x(at)
        found.append(f'<line x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 6}" stroke="{PALE}"/>')
        found.append(_text(x, bottom + 22, f"{at.day} {MONTHS[at.month - 1]}", PALE, ' text-anchor="middle"'))
    found.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "day (UTC)", PALE, ' text-anchor="middle"'))
    return found


def spread(labels: list[Label], low: float, high: float) -> None:
    """Give the labels places between low and high, as near to their lines as they do not cover each other."""
    groups: list[list[Label]] = []
    for label in sorted(labels, key=lambda one: one.at):
        groups.append([label])
        while len(groups) > 1 and _first(groups[-1], low, high) < _first(groups[-2], low, high) + _height(groups[-2]):
            last = groups.pop()
            groups[-1] += last
    for group in groups:
        for number, label in enumerate(group):
            label.y = _first(group, low, high) + number * LABEL_GAP


def _height(group: Sequence[Label]) -> float:
    return len(group) * LABEL_GAP


def _first(group: Sequence[Label], low: float, high: float) -> float:
    """Where the first label of a group stands: the group around its lines, inside of the limits."""
    middle = sum(label.at for label in group) / len(group)
    extent = (len(group) - 1) * LABEL_GAP
    return max(low, min(middle - extent / 2, high - extent))


def _labels(labels: list[Label]) -> list[str]:
    """Each beside the end of its line, with a thin line to where it had to move."""
    spread(labels, TOP, HEIGHT - BOTTOM)
    edge, found = WIDTH - RIGHT, []
    for label in labels:
        found.append(
            f'<path d="M{edge + 2} {label.at}L{edge + 18} {round(label.y, 1)}" stroke="{label.colour}" fill="none"/>'
        )
        found.append(_text(edge + 22, round(label.y + 4.5, 1), label.text, label.colour))
    return found
