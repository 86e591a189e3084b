"""What happened in experiments, over the wire: real boto3, the lab's API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.modules import report_info
from tests.unit.plugins.module_utils._experiment.wire import Aws, aws, run  # noqa: F401


@pytest.fixture
def info(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    return lambda **args: run(report_info.main, capsys, **args)


def ledger(folder: Path, experiment: str = "lab") -> Path:
    folder.mkdir(parents=True)
    path = folder / "ledger.json"
    runs = [{"instance_id": "i-1", "state": "succeeded"}]
    path.write_text(json.dumps({"experiment": experiment, "job": "train", "runs": runs}), encoding="utf-8")
    return path


def test_nothing_is_there(aws: Aws, info: Any, tmp_path: Path) -> None:  # noqa: F811
    done = info(results=[str(tmp_path / "none")])
    assert (done.rc, done.changed, done.experiments, done.ledgers, done.notes) == (0, False, [], [], [])
    assert "DescribeSpotPriceHistory" not in aws.calls()


def test_an_instance_that_runs_has_the_prices_of_its_time(aws: Aws, info: Any) -> None:  # noqa: F811
    instance = aws.instance()
    done = info(experiment="lab")
    assert done.rc == 0, done.msg
    (lab,) = done.experiments
    (one,) = lab["instances"]
    assert (lab["experiment"], lab["region"], lab["profile"]) == ("lab", "us-east-1", "lab")
    assert (one["instance_id"], one["end"], one["end_time"]) == (instance, "alive", None)
    assert one["changes"][0]["time"] <= one["launch_time"]
    assert 0 < one["changes"][0]["price"] < one["on_demand_price"]
    assert aws.calls(mutating=True) == ["RunInstances"]


def test_an_interrupted_instance_tells_when_and_why(aws: Aws, info: Any) -> None:  # noqa: F811
    instance = aws.instance()
    aws.interrupt(instance)
    (lab,) = info(experiment="lab").experiments
    (one,) = lab["instances"]
    assert one["end"] == "interrupted"
    assert one["end_code"]
    assert one["end_time"] >= one["launch_time"]


@pytest.mark.slow
def test_without_permissions_prices_are_missing_and_it_is_said(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.instance()
    for action in ("DescribeSpotPriceHistory", "GetProducts"):
        aws.deny(action)
    done = info(experiment="lab")
    assert done.rc == 0, done.msg
    (one,) = done.experiments[0]["instances"]
    assert (one["changes"], one["on_demand_price"]) == ([], None)
    assert sorted(note.partition(" (")[2] for note in done.notes) == [
        "ec2:DescribeSpotPriceHistory: no permission)",
        "pricing:GetProducts: no permission)",
    ]


def test_without_the_permission_to_look_it_ends_with_one_line(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.deny("DescribeInstances")
    done = info()
    assert done.rc == 1
    assert "ec2:DescribeInstances" in done.msg


def test_ledgers_that_came_with_results(aws: Aws, info: Any, tmp_path: Path) -> None:  # noqa: F811
    mine = ledger(tmp_path / "results/lab/0")
    ledger(tmp_path / "results/other", "other")
    broken = ledger(tmp_path / "results/broken")
    broken.write_text("{", encoding="utf-8")
    ledger(tmp_path / "results/a/b/c/d", "deep")
    done = info(experiment="lab", results=[str(tmp_path / "results")])
    assert [(one["path"], one["experiment"], one["job"]) for one in done.ledgers] == [(str(mine), "lab", "train")]
    assert [note.partition(" ")[0] for note in done.notes] == [str(broken)]
    assert [one["experiment"] for one in info(results=[str(tmp_path / "results")]).ledgers] == ["lab", "other"]


def test_a_refusal_of_a_fleet(aws: Aws, info: Any) -> None:  # noqa: F811
    aws.ec2.create_launch_template(
        LaunchTemplateName="spot-lab-1",
        LaunchTemplateData={"ImageId": aws.image(), "InstanceType": "t3.medium"},
        TagSpecifications=aws.tag_specification("launch-template"),
    )
    aws.control("capacity", count=0)
    aws.fleet("spot-lab-1")
    (lab,) = info(experiment="lab").experiments
    assert {one["code"] for one in lab["refusals"]} == {"InsufficientInstanceCapacity"}
    assert all(one["time"] and one["type"] == "t3.medium" for one in lab["refusals"])
