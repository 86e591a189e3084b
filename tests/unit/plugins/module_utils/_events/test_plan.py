"""What is done for a rule of EventBridge, as pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._events import plan

QUEUE = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}
OTHER = {"Id": "other", "Arn": "arn:aws:sqs:us-east-1:123456789012:o"}
RULE = plan.Rule({"source": ["aws.ec2"]}, "text", "ENABLED", (QUEUE,), {"a": "1"}, "arn:rule")


def changes(before: plan.Rule | None, wanted: plan.Rule, tagged: bool = True, purge: bool = True) -> plan.Changes:
    return plan.changes(before, wanted, tagged, purge)


def test_nothing_is_done_to_a_rule_that_is_as_wanted() -> None:
    assert not changes(RULE, RULE)
    assert not changes(RULE, replace(RULE, arn=""))


def test_a_new_rule_is_made_with_its_targets_and_tags() -> None:
    todo = changes(None, RULE)
    assert (todo.put, todo.put_targets, todo.tag) == (True, [QUEUE], {})
    assert plan.put_request("r", RULE, new=True)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert "Tags" not in plan.put_request("r", RULE, new=False)


@pytest.mark.parametrize("change", [{"pattern": {"source": ["x"]}}, {"description": ""}, {"state": "DISABLED"}])
def test_a_property_that_differs_replaces_the_rule(change: dict[str, Any]) -> None:
    todo = changes(replace(RULE, **change), RULE)
    assert todo == plan.Changes(put=True)


def test_targets_are_those_that_are_wanted() -> None:
    todo = changes(replace(RULE, targets=(OTHER,)), RULE)
    assert (todo.put, todo.put_targets, todo.remove_targets) == (False, [QUEUE], ["other"])
    filtered = {**QUEUE, "InputPath": "$.detail"}
    assert changes(replace(RULE, targets=(filtered,)), RULE).put_targets == [QUEUE], "whole events are wanted"


def test_tags() -> None:
    before = replace(RULE, tags={"a": "0", "b": "2"})
    assert changes(before, RULE) == plan.Changes(tag={"a": "1"}, untag=["b"])
    assert changes(before, RULE, purge=False) == plan.Changes(tag={"a": "1"})
    assert not changes(before, RULE, tagged=False)
    assert plan.after(before, RULE, True, False).tags == {"a": "1", "b": "2"}
    assert plan.after(before, RULE, False, True).tags == {"a": "0", "b": "2"}


def test_patterns_are_compared_by_what_they_mean() -> None:
    raw = {"EventPattern": '{ "source" : ["aws.ec2"] }', "Description": "text", "State": "ENABLED", "Arn": "arn:rule"}
    assert not changes(plan.seen(raw, [QUEUE], {"a": "1"}), RULE)


@pytest.mark.parametrize(
    ("name", "state", "pattern", "targets", "text"),
    [
        ("", "present", {"a": ["b"]}, [], "name"),
        ("ä", "present", {"a": ["b"]}, [], "name"),
        ("x" * 65, "absent", None, [], "name"),
        ("x", "present", None, [], "event_pattern"),
        ("x", "present", {}, [], "event_pattern"),
        ("x", "present", {"a": ["b"]}, [{"id": "1"}, {"id": "1"}], "'1' occurs more than once"),
    ],
)
def test_mistakes(name: str, state: str, pattern: Any, targets: list[dict[str, str]], text: str) -> None:
    (found,) = plan.problems(name, state, pattern, targets)
    assert text in found


def test_no_mistake() -> None:
    assert plan.problems("a.b_c-9", "present", {"a": ["b"]}, [{"id": "1"}, {"id": "2"}]) == []
    assert plan.problems("a", "absent", None, []) == []
