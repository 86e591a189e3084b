# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The figures of a report, as data that can be written as JSON. What is not known is None, never a guess.

Amounts are USD, lengths seconds, moments ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import money, work

Row = dict[str, Any]

ENDS = {
    "alive": "runs",
    "doomed": "AWS is taking it",
    "interrupted": "AWS took it",
    "shutdown": "shut itself down",
    "user": "ended by a call of the account",
    "failed": "failed",
    "unknown": "unknown",
}
RUNNING = ("pending", "running")
LEDGER = "ledger"


def reports(read: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]], now: datetime) -> list[Row]:
    """One report an experiment, by name.

    Args:
        read: what report_info returned.
        jobs: what job_info said, by id of the instance.
        now: the present moment.
    """
    parts: dict[str, list[Row]] = {}
    for one in read["experiments"]:
        parts.setdefault(one["experiment"], []).append(one)
    names = sorted({*parts, *(ledger["experiment"] for ledger in read["ledgers"])})
    return [_report(name, parts.get(name, []), read, jobs, now) for name in names]


def _report(
    name: str, places: list[Row], read: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]], now: datetime
) -> Row:
    shown = [one for place in places for one in place["instances"]]
    pulled = [one for one in read["ledgers"] if one["experiment"] == name]
    answered = {one["instance_id"]: jobs[one["instance_id"]] for one in shown if _answers(jobs, one["instance_id"])}
    live = [_live(instance_id, job) for instance_id, job in answered.items()]
    done = work.runs([*pulled, *live])
    its_runs = by_instance(done)
    seen = [instance(priced(one, its_runs.get(one["instance_id"], [])), now) for one in shown]
    told = work.notices([*pulled, *live])
    gone = forgotten(its_runs, seen, told)
    everything = sorted([*seen, *gone], key=lambda one: (one["start"] or "", one["instance_id"]))
    about = places[0] if places else {}
    return {
        "experiment": name,
        "regions": list(dict.fromkeys(one["region"] for one in [*places, *everything] if one["region"])),
        **{key: about.get(key) or None for key in ("profile", "owner")},
        "job": about.get("job") or next((one["job"] for one in pulled), None) or None,
        "made": now.isoformat(timespec="seconds"),
        "sources": _sources(places, pulled, answered),
        "instances": everything,
        "generations": generations(everything),
        "notices": told,
        "refusals": [refusal for place in places for refusal in place["refusals"]],
        "runs": done,
        **totals(everything),
        "notes": [*read["notes"], *read["left_out"], *_notes(everything, seen, answered)],
    }


def _answers(jobs: Mapping[str, Mapping[str, Any]], instance_id: str) -> bool:
    job = jobs.get(instance_id)
    return bool(job) and not (job or {}).get("unreachable") and "runs" in (job or {})


def _live(instance_id: str, job: Mapping[str, Any]) -> Row:
    """The ledger of an instance that answered, with the notice it is under."""
    notice = job.get("notice") or {}
    return {"runs": job["runs"], "notices": [{**notice, "instance_id": instance_id}] if notice else []}


def by_instance(runs: Sequence[Row]) -> dict[str, list[Row]]:
    """The runs of each instance that are known to have begun, the oldest first."""
    found: dict[str, list[Row]] = {}
    for run in runs:
        if run["instance_id"] and run["started"]:
            found.setdefault(run["instance_id"], []).append(run)
    return found


def priced(raw: Mapping[str, Any], runs: Sequence[Row]) -> Row:
    """An instance with prices out of its ledger where AWS tells none: the Spot price of the start for all its time."""
    machine = _machine(runs)
    known = {**raw, "estimated": False}
    if raw["on_demand_price"] is None:
        known["on_demand_price"] = machine.get("on_demand_price")
    price = machine.get("spot_price")
    if not raw["changes"] and price is not None and raw["lifecycle"] == "spot" and raw["launch_time"]:
        known |= {"changes": [{"time": raw["launch_time"], "price": price}], "estimated": True}
    return known


def instance(raw: Mapping[str, Any], now: datetime) -> Row:
    """One instance that AWS still shows, with what it cost."""
    start = datetime.fromisoformat(raw["launch_time"]) if raw["launch_time"] else None
    runs = raw["state"] in RUNNING
    end = now if runs else datetime.fromisoformat(raw["end_time"]) if raw["end_time"] else None
    keys = ("instance_id", "generation", "rank", "type", "zone", "region", "lifecycle", "state")
    return {
        **{key: raw[key] for key in keys},
        "start": raw["launch_time"],
        "end": None if runs else raw["end_time"],
        "why": ENDS.get(raw["end"], raw["end"]),
        "end_kind": raw["end"],
        "end_code": raw["end_code"],
        "image_id": raw.get("image_id"),
        "source": "aws",
        "estimated": raw["estimated"],
        **_costs(raw, start, end),
    }


def _costs(raw: Mapping[str, Any], start: datetime | None, end: datetime | None) -> Row:
    unknown = {"seconds": None, "free": False, "cost": None, "on_demand_cost": None, "curve": None}
    if start is None or end is None:
        return {**unknown, "on_demand_curve": None}
    on_demand = money.on_demand_curve(raw["on_demand_price"], start, end)
    paid = money.spot_curve(raw["changes"], start, end) if raw["lifecycle"] == "spot" else on_demand
    free = money.is_free({**raw}, start, end)
    if free:
        paid = [(start, 0.0), (money.billed_end(start, end), 0.0)]
    return {
        "seconds": (end - start).total_seconds(),
        "free": free,
        "cost": paid[-1][1] if paid else None,
        "on_demand_cost": on_demand[-1][1] if on_demand else None,
        "curve": _plain(paid),
        "on_demand_curve": _plain(on_demand),
    }


def _plain(curve: Sequence[money.Point] | None) -> list[list[Any]] | None:
    return None if curve is None else [[moment.isoformat(), amount] for moment, amount in curve]


def forgotten(runs: Mapping[str, Sequence[Row]], seen: Sequence[Row], notices: Sequence[Row]) -> list[Row]:
    """Instances that only the ledger remembers: from their launch, else their first run, to the end of their last run.

    Args:
        runs: of ``by_instance``.
        seen: the instances that AWS still shows.
        notices: of ``work.notices``; they tell which ones AWS has taken.
    """
    known = {one["instance_id"] for one in seen}
    taken = {one["instance_id"] for one in notices if one["kind"] == "interruption"}
    return [_remembered(name, its, name in taken) for name, its in runs.items() if name not in known]


def _machine(runs: Sequence[Row]) -> Row:
    """What the runs of one instance tell of it, each figure by the first of them that knew it; {} without a run."""
    keys = runs[0]["machine"] if runs else ()
    return {key: next((run["machine"][key] for run in runs if run["machine"][key] is not None), None) for key in keys}


def _remembered(instance_id: str, runs: Sequence[Row], taken: bool) -> Row:
    last, machine = runs[-1], _machine(runs)
    start, end = machine["launch_time"] or runs[0]["started"], last["finished"]
    interrupted = last["state"] == "interrupted"
    price = machine["spot_price"]
    raw = {
        "lifecycle": machine["lifecycle"],
        "end": "interrupted" if taken and interrupted else "unknown",
        "on_demand_price": machine["on_demand_price"],
        "changes": [] if price is None else [{"time": start, "price": price}],
    }
    known = _costs(raw, datetime.fromisoformat(start), datetime.fromisoformat(end) if end else None)
    return {
        "instance_id": instance_id,
        "generation": last["generation"],
        "rank": last["rank"],
        **{key: machine[key] for key in ("type", "zone", "region", "lifecycle", "image_id")},
        "state": None,
        "start": start,
        "end": end,
        "why": "AWS took it" if interrupted else "unknown",
        "end_kind": "interrupted" if interrupted else "unknown",
        "end_code": "",
        "source": LEDGER,
        "estimated": known["cost"] is not None,
        **known,
    }


def generations(instances: Sequence[Row]) -> list[Row]:
    """One row a generation: how many instances, where, from when to when; end is None while one of them runs."""
    found: dict[int, list[Row]] = {}
    for one in instances:
        found.setdefault(one["generation"] or 1, []).append(one)
    return [
        {
            "generation": number,
            "instances": len(its),
            "types": _different(one["type"] for one in its),
            "zones": _different(one["zone"] for one in its),
            "start": min((one["start"] for one in its if one["start"]), default=None),
            "end": max((one["end"] for one in its), default=None) if all(one["end"] for one in its) else None,
            "runs": any(one["state"] in RUNNING for one in its),
        }
        for number, its in sorted(found.items())
    ]


def _different(values: Iterable[str | None]) -> list[str]:
    return sorted({value for value in values if value})


def totals(instances: Sequence[Row]) -> Row:
    """Cost so far: ``cost`` is None as soon as one is unknown, ``cost_known`` is the sum of the others.

    The saving compares only what is known both ways.
    """
    both = [one for one in instances if one["cost"] is not None and one["on_demand_cost"] is not None]
    paid, full = (round(sum(one[key] for one in both), 6) for key in ("cost", "on_demand_cost"))
    known = [one["cost"] for one in instances if one["cost"] is not None]
    return {
        "cost": round(sum(known), 6) if len(known) == len(instances) else None,
        "cost_known": round(sum(known), 6) if known else None,
        "unknown_costs": len(instances) - len(known),
        "estimated_costs": sum(one["estimated"] for one in instances),
        "on_demand_cost": full if both and len(both) == len(instances) else None,
        "saving": round(full - paid, 6) if both else None,
        "saving_share": round(1 - paid / full, 4) if both and full else None,
        "curve": _sum([one["curve"] for one in both]),
        "on_demand_curve": _sum([one["on_demand_curve"] for one in both]),
    }


def _sum(curves: Sequence[Sequence[Sequence[Any]]]) -> list[list[Any]]:
    read = [[(datetime.fromisoformat(moment), amount) for moment, amount in curve] for curve in curves]
    return _plain(money.together(read)) or []


def _sources(places: Sequence[Row], pulled: Sequence[Row], answered: Mapping[str, Any]) -> list[str]:
    """What the report was made from, a line each."""
    return [
        *(f"AWS, {place['region']}" for place in places),
        *(f"the ledger on {instance_id}" for instance_id in answered),
        *(f"the ledger {one['path']}" for one in pulled),
    ]


def _notes(everything: Sequence[Row], seen: Sequence[Row], answered: Mapping[str, Any]) -> list[str]:
    """What must be said about the figures."""
    notes = ["Costs are those of the instances alone, at the price history of AWS: no volumes, no traffic"]
    silent = [one["instance_id"] for one in seen if one["state"] == "running" and one["instance_id"] not in answered]
    if silent:
        notes.append(f"{', '.join(silent)} did not answer, so its ledger is not read")
    gone = sum(one["source"] == LEDGER for one in everything)
    if gone:
        notes.append(
            f"AWS has forgotten {gone} of these: what they were is told by the ledger, their end is that of the job"
        )
    if any(one["estimated"] for one in everything):
        notes.append("A cost that is 'about' an amount reckons with the price at the start of the job")
    if any(one["cost"] is None for one in everything):
        notes.append("The cost of an instance is unknown where its prices or its end are")
    if any(one["free"] for one in everything):
        notes.append("AWS takes nothing for an instance that it interrupts in its first hour")
    notes.append("Instances that AWS has forgotten and that no ledger names are missing")
    return notes
