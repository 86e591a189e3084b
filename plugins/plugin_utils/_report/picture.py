# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pictures of a report as SVG inside of a page, whose style sheet colours them.

They are drawn for the width of a telephone and grow with the page, so that their text can be read on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from html import escape
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils import _price_plot, _text

Row = Mapping[str, Any]

WIDTH, EDGE = 400, 8
ROW, BAR, AXIS, TEXT = 34, 12, 24, 11
LEFT, CHART = 52, 190
LEAST = 3.0
TAKEN = ("interrupted", "doomed")


@dataclass(frozen=True)
class Span:
    """From moments to places from the left."""

    start: datetime
    end: datetime
    left: float = EDGE
    right: float = WIDTH - EDGE

    def x(self, at: datetime) -> float:
        """Place of a moment; one outside of the span is at its edge."""
        inside = min(max(at, self.start), self.end)
        share = (inside - self.start) / max(self.end - self.start, timedelta(seconds=1))
        return round(self.left + share * (self.right - self.left), 1)

    def axis(self, y: float) -> Iterable[str]:
        """A line with the moments at its start, its middle and its end."""
        yield f'<line class="axis" x1="{self.left}" y1="{y}" x2="{self.right}" y2="{y}"/>'
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
            at = self.start + (self.end - self.start) * share
            yield _words(self.x(at), y + 15, self._label(at), anchor)

    def _label(self, at: datetime) -> str:
        local = at.astimezone(timezone.utc)
        day = f"{local.day} {_price_plot.MONTHS[local.month - 1]}"
        clock = "%H:%M:%S" if self.end - self.start < timedelta(minutes=10) else "%H:%M"
        return f"{day} {local.strftime(clock)}"


def at(value: str) -> datetime:
    """A moment of the report; one without a zone is in UTC, as all are."""
    found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _words(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{round(y, 1)}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(name: str, height: float, title: str, text: str, parts: Iterable[str]) -> str:
    head = f'<title id="{name}-title">{escape(title)}</title>\n<desc id="{name}-text">{escape(text)}</desc>'
    inside = "\n".join([head, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {round(height)}" role="img"'
        f' aria-labelledby="{name}-title {name}-text" font-size="{TEXT}">\n{inside}\n</svg>'
    )


def timeline(name: str, report: Row) -> str:
    """A bar for each instance, with a mark at each notice; empty when no instance has a start.

    Args:
        name: begin of the ids in the picture, unique in the page.
        report: of ``data.reports``.
    """
    drawn = [one for one in report["instances"] if one["start"]]
    if not drawn:
        return ""
    now = at(report["made"])
    ends = [_end(one, now) or at(one["start"]) for one in drawn]
    span = Span(min(at(one["start"]) for one in drawn), max(ends))
    parts: list[str] = []
    for number, one in enumerate(drawn):
        notices = [notice for notice in report["notices"] if notice["instance_id"] == one["instance_id"]]
        parts += _bar(one, notices, span, number * ROW, now)
    bottom = len(drawn) * ROW + 4
    texts = [f"{_about(one)}: {one['why']}" for one in drawn]
    title = f"Instances of {report['experiment']} over time"
    return _svg(name, bottom + AXIS, title, "; ".join(texts), [*parts, *span.axis(bottom)])


def _end(one: Row, now: datetime) -> datetime | None:
    if one["state"] in ("pending", "running"):
        return now
    return at(one["end"]) if one["end"] else None


def _about(one: Row) -> str:
    place = " ".join(part for part in (one["type"], one["zone"]) if part) or "type unknown"
    return f"{one['generation'] or '?'}. {place}, {one['instance_id']}"


def _kind(one: Row) -> str:
    return "taken" if one["end_kind"] in TAKEN else "runs" if one["end_kind"] == "alive" else "over"


def _bar(one: Row, notices: Sequence[Row], span: Span, top: float, now: datetime) -> Iterable[str]:
    start, end = at(one["start"]), _end(one, now)
    x = span.x(start)
    width = max(span.x(end) - x, LEAST) if end else LEAST * 3
    kind = _kind(one) if end else "open"
    yield _words(EDGE, top + 13, _about(one))
    yield f'<rect class="{kind}" x="{x}" y="{top + 18}" width="{round(width, 1)}" height="{BAR}" rx="2"/>'
    for notice in notices:
        when = notice["seen"] or notice["time"]
        if when:
            place = span.x(at(str(when)))
            yield f'<path class="notice" d="M{place} {top + 15}v{BAR + 6}"/>'


def cost(name: str, report: Row) -> str:
    """What was paid over the time, and the same on demand (dashed); empty when nothing is known."""
    paid, full = report["curve"], report["on_demand_curve"]
    top = max([amount for _moment, amount in (*paid, *full)], default=0.0) * _price_plot.HEADROOM
    if not top:
        return ""
    span = Span(at(full[0][0]), at(full[-1][0]), LEFT)
    ticks = _price_plot.price_ticks(top)
    parts = []
    for tick, label in zip(ticks, _price_plot.price_labels(ticks)):
        y = _y(tick, top)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - EDGE}" y2="{y}"/>')
        parts.append(_words(LEFT - 5, y + 4, label, "end"))
    parts.append(f'<path class="full" d="{_line(full, span, top)}"/>')
    parts.append(f'<path class="paid" d="{_line(paid, span, top)}"/>')
    text = f"paid {_text.usd(paid[-1][1])}, on demand {_text.usd(full[-1][1])}, for the instances whose costs are known"
    title = f"Cost of {report['experiment']} over time, USD"
    return _svg(name, CHART + AXIS, title, text, [*parts, *span.axis(CHART)])


def _y(amount: float, top: float) -> float:
    return round(CHART - amount / top * (CHART - 10), 1)


def _line(curve: Sequence[Sequence[Any]], span: Span, top: float) -> str:
    points = [f"{span.x(at(moment))} {_y(amount, top)}" for moment, amount in curve]
    return "M" + "L".join(points)
