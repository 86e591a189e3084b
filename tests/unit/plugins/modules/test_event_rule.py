"""A rule of EventBridge over the wire: real botocore, the lab's API, and a stub for what only AWS does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from ansible_collections.experiments.spot.plugins.modules import event_rule
from tests.unit.plugins.module_utils._experiment.wire import REGION, Aws, aws, run  # noqa: F401  a fixture

ARN = "arn:aws:sqs:us-east-1:123456789012:q"
OTHER = "arn:aws:sqs:us-east-1:123456789012:o"
WANTED: dict[str, Any] = {
    "name": "r",
    "event_pattern": {"source": ["aws.ec2"], "detail": {"state": ["terminated", {"exists": False}]}},
    "description": "text",
    "targets": [{"id": "queue", "arn": ARN}],
    "tags": {"a": "1"},
}

Rule = Callable[..., SimpleNamespace]


@pytest.fixture
def rule(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Rule:  # noqa: F811
    return lambda **args: run(event_rule.main, capsys, **{**WANTED, **args})


@pytest.fixture
def events(aws: Aws) -> Any:  # noqa: F811
    return boto3.client("events", region_name=REGION)


def test_made_once(rule: Rule, events: Any) -> None:
    done = rule(_ansible_diff=True)
    assert (done.rc, done.changed, done.diff["before"]) == (0, True, {})
    found = events.describe_rule(Name="r")
    assert json.loads(found["EventPattern"]) == WANTED["event_pattern"]
    assert (found["State"], found["Description"], found["Arn"]) == ("ENABLED", "text", done.rule["arn"])
    assert [(one["Id"], one["Arn"]) for one in events.list_targets_by_rule(Rule="r")["Targets"]] == [("queue", ARN)]
    assert events.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"] == [{"Key": "a", "Value": "1"}]
    again = rule()
    assert (again.changed, again.rule) == (False, done.rule)


def test_check_mode_tells_and_makes_nothing(rule: Rule, events: Any) -> None:
    done = rule(_ansible_check_mode=True)
    assert (done.changed, done.rule["arn"], done.rule["targets"]) == (True, "", WANTED["targets"])
    assert events.list_rules()["Rules"] == []
    rule()
    assert not rule(_ansible_check_mode=True).changed
    assert rule(_ansible_check_mode=True, state="absent").changed
    assert len(events.list_rules()["Rules"]) == 1


def test_what_somebody_has_changed_is_corrected(rule: Rule, events: Any) -> None:
    arn = rule().rule["arn"]
    events.disable_rule(Name="r")
    events.put_targets(
        Rule="r", Targets=[{"Id": "queue", "Arn": ARN, "InputPath": "$.detail"}, {"Id": "o", "Arn": OTHER}]
    )
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    done = rule(purge_tags=False)
    assert (done.changed, done.rule["state"], done.rule["arn"]) == (True, "ENABLED", arn)
    assert events.describe_rule(Name="r")["State"] == "ENABLED"
    (target,) = events.list_targets_by_rule(Rule="r")["Targets"]
    assert "InputPath" not in target
    tags = {one["Key"]: one["Value"] for one in events.list_tags_for_resource(ResourceARN=arn)["Tags"]}
    assert tags == done.rule["tags"] == {"a": "1", "b": "3"}
    assert rule().changed and not rule().changed, "now the other tag is gone"


def test_removed_with_its_targets(rule: Rule, events: Any) -> None:
    rule()
    done = rule(state="absent")
    assert (done.changed, done.rule) == (True, {})
    assert events.list_rules()["Rules"] == []
    assert not rule(state="absent").changed


def test_cut_off_between_rule_and_target(rule: Rule, events: Any) -> None:
    rule(targets=[])
    assert rule().changed
    assert len(events.list_targets_by_rule(Rule="r")["Targets"]) == 1


def test_mistakes_are_told_before_any_call(rule: Rule) -> None:
    done = rule(name="a b", event_pattern={})
    assert done.rc == 1
    assert "name: 'a b'" in done.msg and "event_pattern" in done.msg


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[dict[str, tuple[int, dict[str, Any]]]]:
    """An endpoint of EventBridge: operation -> status and answer; others answer {}."""
    answers: dict[str, tuple[int, dict[str, Any]]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = answers.get(self.headers["X-Amz-Target"].rpartition(".")[2], (200, {}))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name, value in (
        ("HOME", str(tmp_path)),
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", REGION),
    ):
        monkeypatch.setenv(name, value)
    yield answers
    server.shutdown()
    server.server_close()


GONE = (400, {"__type": "ResourceNotFoundException", "message": "no"})


def test_a_target_that_failed_inside_of_a_good_answer(stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"TargetId": "queue", "ErrorCode": "ConcurrentModificationException", "ErrorMessage": "busy"}
    answers = {
        "PutRule": (200, {"RuleArn": "arn:r"}),
        "PutTargets": (200, {"FailedEntryCount": 1, "FailedEntries": [entry]}),
    }
    stub.update({"DescribeRule": GONE, **answers})
    done = run(event_rule.main, capsys, **WANTED)
    assert done.rc == 1
    assert "ConcurrentModificationException" in done.msg and "target queue: busy" in done.msg


def test_a_permission_that_is_missing_is_named(stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stub.update({"DescribeRule": GONE, "PutRule": (400, {"__type": "AccessDeniedException", "message": "no"})})
    done = run(event_rule.main, capsys, **WANTED)
    assert done.rc == 1
    assert "events:PutRule" in done.msg
