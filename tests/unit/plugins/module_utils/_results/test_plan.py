"""What is pushed, in which order, and what the manifest says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._results import plan
from ansible_collections.experiments.spot.plugins.module_utils._results.plan import File

SHA = "a" * 64


@pytest.mark.parametrize(
    ("url", "rank", "count", "key"),
    [
        ("s3://b", 0, 1, "x/LATEST"),
        ("s3://b/runs/", 0, 1, "runs/x/LATEST"),
        ("s3://b/runs/x", 0, 1, "runs/x/LATEST"),
        ("s3://b/runs", 2, 3, "runs/x/rank-2/LATEST"),
    ],
)
def test_each_experiment_has_a_prefix_of_its_own(url: str, rank: int, count: int, key: str) -> None:
    place = plan.place_of(url, "x", rank, count)
    assert (place.bucket, place.key(plan.LATEST)) == ("b", key)


def test_directories_get_names() -> None:
    assert plan.names_of(["/data/x", "/out/"], "/data/x") == {"state": "/data/x", "out": "/out"}
    for paths, word in ((["/a/out", "/b/out"], "both be called out"), (["/a/checkpoints"], "taken")):
        with pytest.raises(plan.PlanError, match=word):
            plan.names_of(paths)


@pytest.mark.parametrize(
    ("path", "temporary"),
    [("model.pt", False), ("a/model.pt.tmp", True), (".model.pt.new", True), ("tmp.Xy", True), ("x.part", True)],
)
def test_temporary_names(path: str, temporary: bool) -> None:
    assert plan.is_temporary(path) == temporary


@pytest.mark.parametrize(
    ("path", "patterns", "group"),
    [
        ("step-1/model.pt", ["step-*"], "step-1"),
        ("checkpoints/step-1/a/model.pt", ["checkpoints/*"], "checkpoints/step-1"),
        ("checkpoints/step-1.ckpt", ["checkpoints/*"], "checkpoints"),
        ("last.ckpt", ["*.ckpt"], "."),
        ("results/a.csv", ["checkpoints/", "*.ckpt"], ""),
        ("checkpoints/a", ["checkpoints/"], "checkpoints"),
    ],
)
def test_what_is_one_checkpoint(path: str, patterns: list[str], group: str) -> None:
    assert plan.group_of(path, patterns) == group


def test_excluded() -> None:
    assert plan.matches("a/cache/b", ["cache"]) and plan.matches("a/b.log", ["*.log"])
    assert plan.matches("a/b/c", ["a/b"]) and not plan.matches("b/a/b", ["a/c"])


def test_a_checkpoint_with_a_file_that_is_written_waits_as_a_whole() -> None:
    files = [
        File("s", "step-1/model", 5, 1, group="s:step-1"),
        File("s", "step-2/model", 5, 2, group="s:step-2"),
        File("s", "step-2/optimizer", 5, 2, busy="being written", group="s:step-2"),
        File("s", "big.csv", 500),
        File("s", "small.csv", 5),
        File("s", "ledger.json", 900),
    ]
    choice = plan.choose(files)
    assert [one.path for one in choice.send] == ["ledger.json", "step-1/model", "small.csv", "big.csv"]
    assert set(choice.left) == {"s/step-2/model", "s/step-2/optimizer"}


def test_the_newest_checkpoint_goes_first() -> None:
    files = [File("s", f"step-{n}/a", 5, n, group=f"s:step-{n}") for n in (1, 3, 2)]
    assert [one.path for one in plan.choose(files).send] == ["step-3/a", "step-2/a", "step-1/a"]


def entry(path: str, sha: str = SHA, group: str = "") -> dict[str, Any]:
    return plan.entry_of(File("s", path, 5, group=group), sha)


def test_keys() -> None:
    assert entry("a/b")["key"] == "s/a/b"
    assert entry("a/b", group="s:a")["key"] == f"checkpoints/{SHA[:32]}/s/a/b", "never overwritten"


def test_a_checkpoint_that_waits_stays_as_the_last_manifest_has_it() -> None:
    old, new = "a" * 64, "b" * 64
    former = [entry("last/m", old, "s:last"), entry("last/o", old, "s:last"), entry("gone"), entry("log", old)]
    sent = [entry("last/m", new, "s:last"), entry("log", new)]
    merged = plan.merge(former, sent, {"s/last/m", "s/log"}, {"s:last"})
    assert [(one["path"], one["sha256"]) for one in merged] == [("last/m", old), ("last/o", old), ("log", new)]
    whole = plan.merge(former, sent, {"s/last/m", "s/log"}, set())
    assert [(one["path"], one["sha256"]) for one in whole] == [("last/m", new), ("log", new)]
    assert plan.unused(former, whole) == [f"checkpoints/{old[:32]}/s/last/m", f"checkpoints/{old[:32]}/s/last/o"]
    assert plan.unused(former, merged) == []


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../x"},
        {"path": "/etc/passwd"},
        {"path": "a/../../x"},
        {"path": ""},
        {"name": ".."},
        {"name": "a/b"},
        {"sha256": "x"},
        {"size": -1},
        {"key": None},
    ],
)
def test_a_manifest_that_leads_out_of_its_directory_is_refused(change: dict[str, Any]) -> None:
    good = plan.manifest({"generation": 1}, {"s": "/s"}, [entry("a")])
    assert plan.parse(plan.text_of(good))["files"] == [entry("a")]
    with pytest.raises(plan.PlanError):
        plan.parse(json.dumps({**good, "files": [{**entry("a"), **change}]}).encode())


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"schema": 1}', b'{"schema": 2, "files": []}'])
def test_a_damaged_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(plan.PlanError):
        plan.parse(data)
