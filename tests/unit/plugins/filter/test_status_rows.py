"""Rows of the status table."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.experiments.spot.plugins.filter.status_rows import status_rows

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


def instance(**values: object) -> dict:
    return {
        "instance_id": "i-1",
        "state": "running",
        "instance_type": "g5.xlarge",
        "zone": "us-east-1b",
        "address": "203.0.113.7",
        "rank": 0,
        "launch_time": "2026-11-21T11:30:00+00:00",
        "price": 0.4,
        "cost_so_far": 0.2,
    } | values


def experiment(name: str = "exp", **values: object) -> dict:
    return {"experiment": name, "profile": "g5", "generation": 1, "instances": [instance()], "volumes": []} | values


def test_nothing() -> None:
    assert status_rows([], {}, NOW) == []


def test_running_job() -> None:
    (row,) = status_rows([experiment()], {"i-1": {"state": "running", "exit_code": None}}, NOW)
    assert (row["job_state"], row["age"], row["cost_so_far"]) == ("running", 1800.0, 0.2)


@pytest.mark.parametrize(("kind", "text"), [("idle", "idle limit"), ("expired", "time limit")])
def test_an_instance_that_ends_itself(kind: str, text: str) -> None:
    for job, shown in (
        ({"state": "succeeded", "exit_code": 0}, "succeeded"),
        ({"state": "failed", "exit_code": 3}, "failed (3)"),
        ({"state": None}, "none"),
    ):
        (row,) = status_rows([experiment()], {"i-1": {**job, "notice": {"kind": kind}}}, NOW)
        assert row["job_state"] == f"{shown}, {text}"


def test_an_image_that_is_pulled() -> None:
    for layers, text in (({"done": 3, "of": 8}, "pulling, 3/8 layers"), (None, "pulling")):
        (row,) = status_rows([experiment()], {"i-1": {"state": "pulling", "layers": layers}}, NOW)
        assert row["job_state"] == text


def test_a_price_that_aws_does_not_tell_comes_from_the_ledger() -> None:
    silent = experiment(instances=[instance(price=None, cost_so_far=None)])
    machine = {"lifecycle": "spot", "spot_price": 0.3, "on_demand_price": 1.0}
    (row,) = status_rows([silent], {"i-1": {"state": "running", "machine": machine}}, NOW)
    assert (row["price"], row["cost_so_far"]) == (0.3, 0.15)
    (row,) = status_rows([silent], {"i-1": {"state": "running", "machine": machine | {"lifecycle": "on-demand"}}}, NOW)
    assert row["price"] == 1.0
    (row,) = status_rows([silent], {"i-1": {"state": "running", "machine": None}}, NOW)
    assert (row["price"], row["cost_so_far"]) == (None, None)
    (row,) = status_rows([experiment()], {"i-1": {"state": "running", "machine": machine}}, NOW)
    assert row["price"] == 0.4, "what AWS tells counts"


def test_failed_job_tells_its_exit_code() -> None:
    (row,) = status_rows([experiment()], {"i-1": {"state": "failed", "exit_code": 3}}, NOW)
    assert row["job_state"] == "failed (3)"


def test_a_job_that_tells_how_far_it_is() -> None:
    job = {"state": "running", "exit_code": None, "progress": {"start": 0, "step": 45, "of": 100}}
    assert status_rows([experiment()], {"i-1": job}, NOW)[0]["job_state"] == "running, 45 %"
    for told in ({}, {"step": "x", "of": 3}, {"step": 1, "of": 0}, None):
        assert status_rows([experiment()], {"i-1": job | {"progress": told}}, NOW)[0]["job_state"] == "running"


def test_how_far_a_matrix_is_and_which_attempt_it_is() -> None:
    job = {"state": "running", "exit_code": None, "matrix": {"of": 8, "done": 3, "failed": 0}, "attempt": 2}
    (row,) = status_rows([experiment()], {"i-1": job}, NOW)
    assert row["job_state"] == "running, 3/8, attempt 2" and row["matrix"]["done"] == 3
    job["matrix"] = {"of": 8, "done": 3, "failed": 1}
    assert "3/8 (1 failed)" in status_rows([experiment()], {"i-1": job}, NOW)[0]["job_state"]


def test_an_idle_gpu_is_seen() -> None:
    job = {"state": "running", "exit_code": None, "usage": {"cpu": 99.0, "gpu": 2.4}}
    (row,) = status_rows([experiment()], {"i-1": job}, NOW)
    assert row["job_state"] == "running, GPU 2 %" and row["usage"]["cpu"] == 99.0
    job["usage"] = {"cpu": 99.0}
    assert status_rows([experiment()], {"i-1": job}, NOW)[0]["job_state"] == "running"


def test_a_file_system_is_named_and_its_silence_too() -> None:
    kept = {"volumes": [{"name": "data", "size": 5}], "file_systems": [{"name": "team"}]}
    (row,) = status_rows([experiment(**kept)], {"i-1": {"state": "running", "storage_silent": True}}, NOW)
    assert row["volumes"] == "data 5 GiB, team EFS"
    assert row["job_state"] == "running, its file system does not answer"


def test_an_instance_that_aws_takes() -> None:
    taken = experiment(instances=[instance(leaving=True, generation=2)])
    (row,) = status_rows([taken], {"i-1": {"state": "interrupted", "exit_code": 143}}, NOW)
    assert (row["job_state"], row["generation"]) == ("interrupted, AWS takes it", 2)


def test_host_that_does_not_answer() -> None:
    assert status_rows([experiment()], {}, NOW)[0]["job_state"] == "(unreachable)"
    assert status_rows([experiment()], {"i-1": {"unreachable": True}}, NOW)[0]["job_state"] == "(unreachable)"


def test_host_where_no_job_was_started_is_reachable() -> None:
    (row,) = status_rows([experiment()], {"i-1": {"state": None, "instance_id": None}}, NOW)
    assert row["job_state"] == "none"


def test_instance_not_running_is_not_asked_for_its_job() -> None:
    (row,) = status_rows([experiment(instances=[instance(state="pending")])], {}, NOW)
    assert row["job_state"] == "(pending)"


def test_sorted_by_experiment_and_rank() -> None:
    two = [instance(instance_id="i-2", rank=1), instance()]
    rows = status_rows([experiment("b"), experiment("a", instances=two)], {}, NOW)
    assert [(row["experiment"], row["rank"]) for row in rows] == [("a", 0), ("a", 1), ("b", 0)]


def test_only_volumes_remain() -> None:
    volumes = [{"name": "data", "volume_id": "vol-1", "size": 20}]
    (row,) = status_rows([experiment(instances=[], volumes=volumes)], {}, NOW)
    assert (row["job_state"], row["volumes"]) == ("(no instance)", "data 20 GiB")


def test_the_commit_of_the_code() -> None:
    jobs = {"i-1": {"state": "running", "code": {"repository": "r", "version": "main", "commit": "c" * 40}}}
    assert status_rows([experiment()], jobs, NOW)[0]["commit"] == "c" * 40
    assert status_rows([experiment()], {"i-1": {"state": "running", "code": None}}, NOW)[0]["commit"] is None
