# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report as one page: no script, nothing from outside, for telephones, in the colours of the reader's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from . import picture, words

Row = Mapping[str, Any]

# Colours are told apart by people who see fewer of them. Source: Okabe and Ito, "Color Universal Design".
STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --pale: #5b6472; --paper: #fff; --line: #d5d9e0;
  --runs: #00795a; --taken: #c04f00; --over: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaee; --pale: #a4adba; --paper: #16191f; --line: #3a414d;
    --runs: #2fc299; --taken: #f08a3c; --over: #5ab0e8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h1, h2, p, li, dd { overflow-wrap: anywhere; }
.made, figcaption, .notes { color: var(--pale); font-size: .875rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem 1rem; margin: 1rem 0; }
dt { color: var(--pale); font-size: .8rem; } dd { margin: 0; font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2.5rem; }
figure { margin: 0; max-width: 38rem; } svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); } .axis, .grid { stroke: var(--line); } .runs { fill: var(--runs); }
.taken { fill: var(--taken); } .over { fill: var(--over); }
.open { fill: none; stroke: var(--pale); stroke-dasharray: 2 2; } .notice { stroke: var(--ink); stroke-width: 2; }
.paid, .full { fill: none; stroke: var(--over); stroke-width: 2; } .full { stroke: var(--pale); stroke-dasharray: 5 4; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 .8em; }
.key.runs { background: var(--runs); } .key.taken { background: var(--taken); } .key.over { background: var(--over); }
.key:first-child { margin-left: 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--pale); font-weight: 500; }
td.long { min-width: 14rem; }
section + section { margin-top: 3rem; border-top: 2px solid var(--line); padding-top: 1.5rem; }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block; } thead { position: absolute; left: -200rem; }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  td { border: 0; padding: .1rem 0; overflow-wrap: anywhere; display: flex; gap: .75rem; }
  td::before { content: attr(data-name); flex: 0 0 7.5rem; color: var(--pale); } td.long { min-width: 0; } }
@media print { .scroll { overflow: visible; } }
"""
LONG = 40
KEYS = (
    '<span class="key runs"></span>runs<span class="key taken"></span>AWS took it'
    '<span class="key over"></span>ended otherwise; a stroke is a notice, a dashed box an end that is not known'
)


def html(reports: Sequence[Row]) -> str:
    """One page for reports of ``data.reports``."""
    names = ", ".join(str(one["experiment"]) for one in reports)
    sections = "\n".join(_section(f"x{number}", one) for number, one in enumerate(reports))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Report: {escape(names) or 'no experiment'}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{sections or '<h1>No experiment</h1>'}\n</main>\n</body>\n</html>\n"
    )


def _section(name: str, report: Row) -> str:
    facts = "".join(
        f"<div><dt>{escape(title)}</dt><dd>{escape(value)}</dd></div>" for title, value in words.summary(report)
    )
    heading = f'<h1 id="{name}">{escape(str(report["experiment"]))}</h1>'
    made = f'<p class="made">As of {escape(words.moment(report["made"]))} UTC</p>'
    parts = [
        f'<section aria-labelledby="{name}">\n{heading}\n{made}\n<dl>{facts}</dl>',
        '<div class="pictures">',
        _figure("Timeline", picture.timeline(f"{name}-time", report), KEYS),
        _figure("Cost over time", picture.cost(f"{name}-cost", report), "USD; line: so far, dashed: on demand"),
        "</div>",
        *(_table(f"{name}-{number}", *table) for number, table in enumerate(words.tables(report))),
        _list("What this was made from", report["sources"]),
        _list("Notes", report["notes"]),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _figure(title: str, svg: str, caption: str) -> str:
    return f"<div><h2>{title}</h2>\n<figure>\n{svg}\n<figcaption>{caption}</figcaption>\n</figure></div>" if svg else ""


# Roles are said because a table that is drawn as blocks is none to some screen readers.
def _table(name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col" role="columnheader">{escape(column)}</th>' for column in columns)
    cells = ["".join(map(_cell, columns, row)) for row in rows]
    body = "\n".join(f'<tr role="row">{row}</tr>' for row in cells)
    return (
        f'<h2 id="{name}">{title}</h2>\n<div class="scroll" role="region" tabindex="0" aria-labelledby="{name}">\n'
        f'<table role="table" aria-labelledby="{name}">\n<thead><tr role="row">{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(column: str, text: str) -> str:
    long = ' class="long"' if len(text) > LONG else ""
    return f'<td{long} role="cell" data-name="{escape(column)}">{escape(text)}</td>'


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>{title}</h2>\n<ul class="notes">{items}</ul>' if items else ""
