# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tables of a report as rows of text: what the terminal and the page show alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.experiments.spot.plugins.plugin_utils import _text

Row = Mapping[str, Any]
Table = tuple[str, list[str], list[list[str]]]
"""Title, names of the columns, rows."""

NOTHING = "-"
UNKNOWN = "unknown"


def moment(value: Any) -> str:
    """A moment in UTC to the second, a dash for none; what is no moment is shown as it is."""
    if not value:
        return NOTHING
    try:
        at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return str(value)
    return at.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def usd(value: float | None) -> str:
    """An amount, or that it is unknown."""
    return UNKNOWN if value is None else _text.usd(value)


def cost(one: Row) -> str:
    """The cost of an instance, with how well it is known."""
    amount = f"about {usd(one['cost'])}" if one["estimated"] and one["cost"] else usd(one["cost"])
    return f"{amount} (first hour free)" if one["free"] else amount


def _or(value: Any, other: str = UNKNOWN) -> str:
    return other if value is None or value == "" else str(value)


def summary(report: Row) -> list[tuple[str, str]]:
    """The figures of the head, as name and text."""
    saving = usd(report["saving"])
    if report["saving_share"] is not None:
        saving = f"{saving} ({_text.percent(report['saving_share'])})"
    if report["saving"] is not None and report["on_demand_cost"] is None:
        saving += ", of the instances whose costs are known"
    running = sum(one["state"] in ("pending", "running") for one in report["instances"])
    return [
        ("job", _or(report["job"], NOTHING)),
        ("profile", _or(report["profile"], NOTHING)),
        ("region", ", ".join(report["regions"]) or UNKNOWN),
        ("generations", str(len(report["generations"]))),
        ("instances", f"{len(report['instances'])}, {running} running"),
        ("cost so far", cost_in_all(report)),
        ("on demand", usd(report["on_demand_cost"])),
        ("saving", saving),
        ("work lost", lost_in_all(report["runs"])),
    ]


def cost_in_all(report: Row) -> str:
    """The cost of an experiment, with how well it is known."""
    if report["cost"] is not None:
        return f"{'about ' if report['estimated_costs'] else ''}{usd(report['cost'])}"
    if report["cost_known"] is None:
        return UNKNOWN
    return f"at least {usd(report['cost_known'])} ({report['unknown_costs']} of the instances unknown)"


def lost_in_all(runs: Sequence[Row]) -> str:
    """Steps that were computed twice, over all runs that ended before their work."""
    over = [run for run in runs if run["finished"]]
    known = [run for run in over if run["lost"] is not None]
    if not over:
        return NOTHING if not runs else "nothing yet"
    if not known:
        return UNKNOWN
    units = sorted({str(run["unit"]) for run in known if run["lost"]}) or [str(known[-1]["unit"])]
    amounts = [f"{sum(run['lost'] for run in known if run['unit'] == unit):g} {unit}" for unit in units]
    text = ", ".join(amounts)
    return text if len(known) == len(over) else f"{text}, unknown for {len(over) - len(known)} of {len(over)} runs"


def tables(report: Row) -> list[Table]:
    """All tables that have rows."""
    found = [
        _instances(report["instances"]),
        _runs(report["runs"]),
        _notices(report["notices"]),
        _refusals(report["refusals"]),
        _transfers(report["runs"]),
    ]
    return [table for table in found if table[2]]


def _instances(instances: Sequence[Row]) -> Table:
    columns = [
        "instance",
        "type",
        "zone",
        "gen",
        "rank",
        "start (UTC)",
        "end (UTC)",
        "ran",
        "cost",
        "on demand",
        "why it ended",
    ]
    return "Instances", columns, [_instance(one) for one in instances]


def _instance(one: Row) -> list[str]:
    running = one["state"] in ("pending", "running")
    why = f"{one['why']} ({one['end_code']})" if one["end_code"] else one["why"]
    return [
        one["instance_id"],
        _or(one["type"]),
        _or(one["zone"]),
        _or(one["generation"]),
        _or(one["rank"], NOTHING),
        moment(one["start"]),
        NOTHING if running else moment(one["end"]) if one["end"] else UNKNOWN,
        UNKNOWN if one["seconds"] is None else _text.duration(one["seconds"]),
        cost(one),
        usd(one["on_demand_cost"]),
        why,
    ]


def _runs(runs: Sequence[Row]) -> Table:
    columns = ["instance", "state", "gen", "rank", "start (UTC)", "end (UTC)", "exit code", "message", "repeated"]
    rows = [
        [
            _or(run["instance_id"]),
            _or(run["state"]),
            _or(run["generation"]),
            _or(run["rank"], NOTHING),
            moment(run["started"]),
            moment(run["finished"]),
            _or(run["exit_code"], NOTHING),
            _or(run["message"], NOTHING),
            repeated(run),
            progress(run["progress"]),
        ]
        for run in runs
    ]
    return "Runs of the job", [*columns, "progress"], rows


def progress(told: Row | None) -> str:
    """How far a run came: ``from 40 to 80 of 100 steps``."""
    if not told or told.get("step") is None:
        return UNKNOWN
    start = f"from {told['start']} to " if told.get("start") is not None else ""
    total = f" of {told['of']}" if told.get("of") is not None else ""
    return f"{start}{told['step']}{total} {told.get('unit') or 'steps'}"


def repeated(run: Row) -> str:
    """What the next run computed again."""
    if not run["finished"]:
        return NOTHING
    return UNKNOWN if run["lost"] is None else f"{run['lost']:g}"


def _kind(kind: str | None) -> str:
    return "idle limit" if kind == "idle" else _or(kind)


def _notices(notices: Sequence[Row]) -> Table:
    columns = ["seen (UTC)", "instance", "notice", "AWS acts (UTC)", "job"]
    rows = [
        [
            moment(one["seen"]),
            _or(one["instance_id"]),
            _kind(one["kind"]),
            moment(one["time"]),
            _or(one["job"], NOTHING),
        ]
        for one in notices
    ]
    return "Notices", columns, rows


def _refusals(refusals: Sequence[Row]) -> Table:
    columns = ["asked (UTC)", "type", "zone or subnet", "code", "message"]
    rows = [
        [moment(one["time"]), _or(one["type"]), _or(one["zone"]), _or(one["code"]), _or(one["text"], NOTHING)]
        for one in refusals
    ]
    return "Refusals", columns, rows


def _transfers(runs: Sequence[Row]) -> Table:
    """Results that were sent to a bucket; the last run of each rank knows all of it."""
    told = {run["rank"]: run["results"] for run in runs if isinstance(run["results"], dict) and run["results"]}
    columns = ["rank", "results to", "last complete (UTC)", "files", "failed", "message"]
    rows = [
        [
            _or(rank, NOTHING),
            _or(one.get("url")),
            moment(one.get("pushed")),
            _or(one.get("files")),
            _or(one.get("failed"), NOTHING),
            _or(one.get("message"), NOTHING),
        ]
        for rank, one in told.items()
    ]
    return "Transfers", columns, rows


def text(reports: Sequence[Row], width: int = 120) -> str:
    """All reports for a terminal: a block each."""
    return "\n\n".join(_block(report, width) for report in reports)


def _block(report: Row, width: int) -> str:
    lines = [f"Experiment {_text.cell(report['experiment'], None)}"]
    lines += [f"  {name:12} {_text.cell(value, None)}" for name, value in summary(report)]
    for title, columns, rows in tables(report):
        named = [dict(zip(columns, row)) for row in rows]
        lines += ["", title, _text.wrapped(named, columns, width)]
    lines += ["", "From", *(f"  {_text.cell(source, None)}" for source in report["sources"])]
    lines += ["Notes", *(f"  {_text.cell(note, None)}" for note in report["notes"])]
    return "\n".join(lines)
