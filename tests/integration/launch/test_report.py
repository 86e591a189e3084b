"""A report on a real run: AWS and the ledger of the instance, before and after AWS takes it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
capacity: {instance_types: [t3.medium]}
channels: []
job: {name: train, command: sleep 600, mounts: []}
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
    words: list[str] = []
    parser = HTMLParser()
    parser.handle_data = words.append  # type: ignore[method-assign]
    parser.feed(page.read_text())
    assert NAME in words and instance in words

    user.control("interrupt", instance_id=instance, notice=None)
    told = report(user, "-e", "report=")
    (one,) = told["instances"]
    assert (one["end_kind"], one["free"], told["cost"]) == ("interrupted", True, 0)
    assert not (user.folder / f"results/{NAME}/report.html").exists()
