"""The files of a job, and what is refused before any of them is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import spec as files

SPEC: dict[str, Any] = {
    "image": "img",
    "state_dir": "/data/exp",
    "command": ["a", "b"],
    "mounts": None,
    "stop_grace": 30,
}
PARAMS = {
    "experiment": "exp",
    "name": "train",
    "generation": 2,
    "rank": 1,
    "count": 3,
    "instance_id": "i-1",
    "spec": SPEC,
}


def test_hash_knows_content_and_nothing_else() -> None:
    base = files.sha256_of(SPEC)
    assert base == files.sha256_of(dict(reversed(list(SPEC.items()))))
    assert base == files.sha256_of({**SPEC, "mounts": [], "user": None})
    assert base != files.sha256_of({**SPEC, "command": ["b", "a"]})


def test_document() -> None:
    document = files.job_document(PARAMS)
    assert document["ledger"] == "/data/exp/ledger.json" and document["container"] == "spot-exp-train"
    assert (document["generation"], document["rank"], document["count"]) == (2, 1, 3)
    assert "mounts" not in document and json.loads(files.json_text(document)) == document
    other = files.job_document({**PARAMS, "generation": 3, "instance_id": "i-2"})
    assert other["spec_sha256"] == document["spec_sha256"], "where it runs is no part of the spec"


def test_document_with_a_matrix_has_the_share_of_the_instance() -> None:
    params = {**PARAMS, "spec": {**SPEC, "matrix": {"b": [1, 2], "a": [1, 2]}}}
    document = files.job_document(params)
    assert [one["name"] for one in document["matrix"]] == ["b=1,a=2"] and document["matrix_total"] == 4
    assert document["spec_sha256"] == files.job_document({**params, "rank": 0})["spec_sha256"]
    assert document["spec_sha256"] != files.job_document(PARAMS)["spec_sha256"]
    assert params["spec"]["matrix"] and "matrix" not in files.job_document({**PARAMS, "spec": {**SPEC, "matrix": {}}})
    (said,) = files.check_spec({**SPEC, "matrix": {"a": [1, 1]}, "retries": 1}, [])
    assert said == "spec.matrix: a has '1' twice"
    assert files.check_spec({**SPEC, "retries": -1}, []) == ["spec.retries -1 is below 0"]


def test_what_it_runs_on_is_told_and_changes_nothing() -> None:
    machine = {"type": "g5.xlarge", "zone": "us-east-1a", "spot_price": 0.4, "image_id": None, "launch_time": ""}
    document = files.job_document({**PARAMS, "machine": machine})
    assert document["machine"] == {"type": "g5.xlarge", "zone": "us-east-1a", "spot_price": 0.4}
    assert document["spec_sha256"] == files.job_document(PARAMS)["spec_sha256"]
    assert "machine" not in files.job_document({**PARAMS, "machine": {}})


def test_unit() -> None:
    unit = files.unit_text(files.job_document(PARAMS))
    for line in ("KillMode=mixed", "TimeoutStopSec=45", "Restart=no", "Type=exec", "RequiresMountsFor=/data/exp"):
        assert f"\n{line}\n" in unit
    assert "After=network-online.target docker.service" in unit
    blank = files.unit_text(files.job_document({**PARAMS, "spec": {**SPEC, "state_dir": "/my data/100%"}}))
    assert 'RequiresMountsFor="/my data/100%%"' in blank


def test_environment_file_does_not_depend_on_order() -> None:
    assert files.env_text(["B=2", "A=1"]) == "A=1\nB=2\n" == files.env_text(["A=1", "B=2"])


def test_a_good_spec() -> None:
    assert files.check_spec({**SPEC, "mounts": ["/a:/b", "/a:/c:ro"]}, ["A=1", "B_2=x=y", "EMPTY="]) == []


@pytest.mark.parametrize(
    ("spec", "env", "expected"),
    [
        ({"image": None, "command": None}, [], "spec.image is missing"),
        ({"state_dir": "data"}, [], "'data' is not an absolute path"),
        ({"state_dir": "/"}, [], "directory of its own"),
        ({"state_dir": None}, [], "is not an absolute path"),
        ({"mounts": ["relative:/x"]}, [], "'relative:/x'"),
        ({"mounts": ["/only"]}, [], "'/only'"),
        ({}, ["NOVALUE"], "env entry 1"),
        ({}, ["A=1", "1A=x"], "env entry 2"),
        ({}, ["KEY=top\nsecret"], "KEY has a line break"),
    ],
)
def test_mistakes(spec: dict[str, Any], env: list[str], expected: str) -> None:
    errors = files.check_spec({**SPEC, **spec}, env)
    assert len(errors) == 1 and expected in errors[0]
    assert "secret" not in errors[0]


def test_all_mistakes_at_once() -> None:
    assert len(files.check_spec({"mounts": ["x"]}, ["="])) == 4


def test_what_was_asked_for_instead_of_the_job_of_the_profile() -> None:
    params = {**PARAMS, "env": ["lr=1", "KEY=x=y"]}
    asked = {"command": ["b"], "params": {"lr": 0.1, "n": "3"}}
    changed = files.with_asked(params, asked)
    assert (changed["spec"]["command"], changed["spec"]["image"]) == (["b"], "img")
    assert sorted(changed["env"]) == ["KEY=x=y", "lr=0.1", "n=3"]
    document = files.job_document(changed)
    assert document["asked"] == asked
    # The same job, whether it was asked for or taken from the ledger.
    assert document["spec_sha256"] == files.sha256_of({**SPEC, "command": ["b"]})
    built = {**params, "spec": {**SPEC, "build": {"context": "/c"}}}
    assert "build" in files.job_document(files.with_asked(built, asked))
    assert "build" not in files.job_document(files.with_asked(built, {"image": "other"})), "another image is pulled"
    assert "asked" not in files.job_document(PARAMS) and params["env"] == ["lr=1", "KEY=x=y"]
