"""A report on a real run: AWS and the ledger of the instance, before and after AWS takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .browser import browser, errors, shown, sideways
from .conftest import User

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
capacity: {instance_types: [t3.medium]}
channels: []
job: {name: train, image: "registry.lab:5000/experiments/shell:1", command: sleep 600, mounts: []}
"""
NAME = "told"


def report(user: User, *args: str) -> dict[str, Any]:
    """What report.yml tells of the experiment."""
    text = user.play("report", "-e", f"experiment={NAME}", "-e", "format=json", *args)
    return json.JSONDecoder().raw_decode(text, text.index("[\n    {"))[0][0]


def test_while_it_runs_and_when_aws_has_taken_it(user: User) -> None:
    (user.folder / f"profiles/{NAME}.yml").write_text(PROFILE)
    user.play("launch", "-e", f"profile={NAME}", "-e", "wait=false")
    (instance,) = user.alive(NAME)
    page = user.folder / "page.html"
    before = user.changing_calls()
    told = report(user, "-e", f"report={page}")
    assert user.changing_calls() == before
    assert f"the ledger on {instance}" in told["sources"]
    assert [(run["instance_id"], run["state"]) for run in told["runs"]] == [(instance, "running")]
    assert [(one["instance_id"], one["end_kind"]) for one in told["instances"]] == [(instance, "alive")]
    assert 0 < told["cost"] < told["on_demand_cost"]
    with browser(phone=True) as phone:
        phone.get(page.as_uri())
        assert instance in shown(phone, "body").text and NAME in shown(phone, "h1").text
        assert shown(phone, "svg").size["width"] > 200 and sideways(phone) <= 0
        assert errors(phone) == []
        assert phone.execute_script("return performance.getEntriesByType('resource').length") == 0, "one file is all"

    kept = user.folder / f"results/{NAME}/ledger.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(user.ssh(instance, NAME, f"cat /data/{NAME}/ledger.json"))

    user.control("interrupt", instance_id=instance, notice=None)
    told = report(user, "-e", "report=")
    (one,) = told["instances"]
    assert (one["end_kind"], one["free"], told["cost"]) == ("interrupted", True, 0)
    assert not (user.folder / f"results/{NAME}/report.html").exists()
    # Another region knows as little of the instance as its own does an hour later: then the ledger tells what it was.
    told = report(user, "-e", "report=", "-e", "region=us-west-2")
    (gone,) = told["instances"]
    assert gone["source"] == "ledger"
    assert [gone[key] for key in ("type", "zone", "start")] == [one[key] for key in ("type", "zone", "start")]
    assert (gone["region"], gone["lifecycle"]) == ("us-east-1", "spot")
    machine = json.loads(kept.read_text())["runs"][0]["machine"]
    assert 0 < machine["spot_price"] < machine["on_demand_price"] and machine["image_id"].startswith("ami-")
