"""Figures of a report."""

from __future__ import annotations

import json

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._report import data, words, work
from tests.unit.plugins.plugin_utils._report import past


def test_no_experiment() -> None:
    assert data.reports(past.read(), {}, past.NOW) == []


def test_one_generation_that_runs() -> None:
    job = {"i-1": {"runs": [past.run("i-1", "12:05", None, state="running")], "notice": {}}}
    (report,) = data.reports(past.read(past.experiment("digits", past.instance())), job, past.NOW)
    assert (report["cost"], report["on_demand_cost"], report["saving"], report["saving_share"]) == (0.8, 2.0, 1.2, 0.6)
    (one,) = report["instances"]
    assert (one["seconds"], one["end"], one["why"], one["source"]) == (7200.0, None, "runs", "aws")
    assert [(run["state"], run["lost"]) for run in report["runs"]] == [("running", None)]
    assert report["sources"] == ["AWS, us-east-1", "the ledger on i-1"]
    assert [(one["generation"], one["end"], one["runs"]) for one in report["generations"]] == [(1, None, True)]
    json.dumps(report)


def test_three_generations_with_interruptions() -> None:
    (report,) = data.reports(past.three_generations(), {}, past.NOW)
    costs = [(one["instance_id"], one["cost"], one["free"]) for one in report["instances"]]
    # Half an hour that AWS ended costs nothing; then an hour at 0.4 and half an hour at 0.6; then half an hour at 0.4.
    assert costs == [("i-1", 0.0, True), ("i-2", 0.7, False), ("i-3", 0.2, False)]
    assert (report["cost"], report["on_demand_cost"]) == (0.9, 2.5)
    assert [run["lost"] for run in report["runs"]] == [5, 0, None]
    assert [one["zones"] for one in report["generations"]] == [["us-east-1a"], ["us-east-1b"], ["us-east-1c"]]
    assert [one["kind"] for one in report["notices"]] == ["interruption"]
    assert report["curve"][-1] == ["2026-11-21T14:00:00+00:00", 0.9]
    assert [amount for _moment, amount in report["curve"]] == sorted(amount for _moment, amount in report["curve"])
    assert "i-3 did not answer, so its ledger is not read" in report["notes"]


def test_without_prices_costs_are_unknown_and_it_is_said() -> None:
    nothing = past.instance(changes=[], on_demand_price=None)
    note = "No answer about the Spot prices, so costs are not known (ec2:DescribeSpotPriceHistory: no permission)"
    (report,) = data.reports(past.read(past.experiment("digits", nothing), notes=[note]), {}, past.NOW)
    assert [report[key] for key in ("cost", "cost_known", "on_demand_cost", "saving", "saving_share")] == [None] * 5
    assert report["unknown_costs"] == 1
    assert note in report["notes"]


def test_a_price_history_that_begins_too_late_is_not_stretched() -> None:
    late = past.instance(changes=past.changes(("12:30", 0.4)))
    (report,) = data.reports(past.read(past.experiment("digits", late)), {}, past.NOW)
    assert (report["cost"], report["on_demand_cost"]) == (None, None)


def test_an_end_that_aws_does_not_tell_is_unknown() -> None:
    (report,) = data.reports(past.read(past.experiment("digits", past.taken())), {}, past.NOW)
    (one,) = report["instances"]
    assert (one["seconds"], one["cost"], one["on_demand_cost"]) == (None, None, None)


def test_on_demand_pays_the_list_price() -> None:
    (report,) = data.reports(
        past.read(past.experiment("digits", past.instance(lifecycle="on-demand", changes=[]))), {}, past.NOW
    )
    assert (report["cost"], report["saving"]) == (2.0, 0.0)


def test_when_all_is_closed_the_pulled_ledger_tells() -> None:
    closed = past.three_generations()
    closed["experiments"] = []
    (report,) = data.reports(closed, {}, past.NOW)
    assert [(one["instance_id"], one["source"], one["type"], one["cost"]) for one in report["instances"]] == [
        ("i-1", "ledger", None, None),
        ("i-2", "ledger", None, None),
        ("i-3", "ledger", None, None),
    ]
    assert [one["seconds"] for one in report["instances"]] == [1380.0, 4980.0, None]
    assert (report["cost"], report["job"], report["sources"]) == (None, "train", ["the ledger /r/digits/ledger.json"])


def test_the_ledger_tells_what_an_instance_was_that_aws_has_forgotten() -> None:
    first = past.run("i-1", "12:05", "12:20", state="succeeded", machine=past.machine())
    # Another job on the same instance, by run.yml, which knows no prices.
    second = past.run("i-1", "12:30", "13:00", state="succeeded", machine=past.machine(spot_price=None))
    (report,) = data.reports(past.closed(first, second), {}, past.NOW)
    (one,) = report["instances"]
    assert [one[key] for key in ("type", "zone", "region", "image_id")] == [
        "g5.xlarge",
        "us-east-1a",
        "us-east-1",
        "ami-1",
    ]
    assert (one["start"], one["seconds"], one["estimated"]) == (past.moment("12:00"), 3600.0, True)
    assert (report["cost"], report["on_demand_cost"], report["estimated_costs"]) == (0.4, 1.0, 1)
    assert report["regions"] == ["us-east-1"]
    text = words.text([report])
    assert "about $0.40" in text and "cost so far  about" in text
    json.dumps(report)


def test_an_instance_that_was_ended_as_idle() -> None:
    notice = {"instance_id": "i-1", "kind": "idle", "time": None, "seen": past.moment("14:18"), "job": "ended"}
    run = past.run("i-1", "12:05", "12:20", machine=past.machine())
    (report,) = data.reports(past.closed(run, notices=[notice]), {}, past.NOW)
    (line,) = [line for line in words.text([report]).splitlines() if "14:18" in line]
    assert "idle limit" in line and report["notices"][0]["kind"] == "idle"


def test_only_what_aws_itself_takes_in_its_first_hour_is_free() -> None:
    run = past.run("i-1", "12:05", "12:20", machine=past.machine())
    notice = {"instance_id": "i-1", "kind": "interruption", "time": past.moment("12:20"), "seen": past.moment("12:18")}
    for notices, cost in (([notice], 0.0), ([notice | {"kind": "rebalance"}], 0.133333), ([], 0.133333)):
        (report,) = data.reports(past.closed(run, notices=notices), {}, past.NOW)
        assert (report["cost"], report["instances"][0]["free"]) == (cost, cost == 0)


@pytest.mark.parametrize(
    "told", [None, "g5", {}, {"spot_price": "0.4"}, {"spot_price": True}, {"spot_price": -1, "launch_time": "noon"}]
)
def test_ledgers_of_older_versions_and_damaged_ones_leave_it_unknown(told: object) -> None:
    run = past.run("i-1", "12:05", "12:20") | ({} if told is None else {"machine": told})
    (report,) = data.reports(past.closed(run), {}, past.NOW)
    (one,) = report["instances"]
    assert (one["type"], one["cost"], one["estimated"], one["seconds"]) == (None, None, False, 900.0)


def test_prices_that_aws_does_not_tell_come_from_the_ledger() -> None:
    nothing = past.instance(changes=[], on_demand_price=None)
    job = {"i-1": {"runs": [past.run("i-1", "12:05", None, state="running", machine=past.machine())], "notice": {}}}
    (report,) = data.reports(past.read(past.experiment("digits", nothing)), job, past.NOW)
    assert (report["cost"], report["on_demand_cost"], report["instances"][0]["estimated"]) == (0.8, 2.0, True)


def test_an_experiment_of_two_regions_is_one_report() -> None:
    west = past.instance(instance_id="i-9", zone="us-west-2a", region="us-west-2")
    there = past.experiment("digits", west) | {"region": "us-west-2"}
    (report,) = data.reports(past.read(past.experiment("digits", past.instance()), there), {}, past.NOW)
    assert report["regions"] == ["us-east-1", "us-west-2"]
    assert [one["zones"] for one in report["generations"]] == [["us-east-1a", "us-west-2a"]]


@pytest.mark.parametrize(
    ("values", "following", "lost"),
    [
        ({"progress": {"step": 9}}, {"progress": {"start": 7}}, 2),
        ({"progress": {"step": 9}}, None, None),
        ({"progress": {"step": "nine"}}, {"progress": {"start": 7}}, None),
        ({}, {"progress": {"start": 7}}, None),
        ({"state": "succeeded"}, None, 0),
    ],
)
def test_lost_steps_are_never_invented(values: dict, following: dict | None, lost: int | None) -> None:
    assert work.lost(values, following) == lost


def test_another_job_does_not_go_on_with_the_work() -> None:
    first = past.run("i-1", "12:00", "12:10", progress={"step": 9})
    other = past.run("i-1", "12:20", None, spec_sha256="bb", progress={"start": 0, "step": 1})
    assert [run["lost"] for run in work.runs([{"runs": [first, other]}])] == [None, None]
