"""EventBridge: EC2's events reach the queues of those who asked.

Sources: [UG spot-instance-termination-notices], [UG rebalance-recommendations], [UG monitoring-instance-state-changes]
for the shape; [EventBridge UG] resource-based policies of SQS targets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
WARNING = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
STATE = "EC2 Instance State-change Notification"
ALL = {"source": ["aws.ec2"], "detail-type": [WARNING, REBALANCE, STATE]}


def policy(queue: str, rule: str, **changes: Any) -> str:
    """The queue policy that EventBridge's documentation shows."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | changes]})


class Queue:
    """A queue that a rule sends to."""

    def __init__(self, sqs: Any, url: str) -> None:
        self.sqs, self.url = sqs, url

    def events(self) -> list[dict[str, Any]]:
        """All that is there now; it is removed."""
        found = []
        while True:
            messages = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return found
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def listen(client: Any) -> Callable[..., Queue]:
    """A rule with a queue: listen(pattern, **changes of the policy's statement)."""

    def make(pattern: dict[str, Any] | None = None, **changes: Any) -> Queue:
        sqs, bus = client("sqs"), client("events")
        url = sqs.create_queue(QueueName="taken")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = bus.put_rule(Name="r", EventPattern=json.dumps(pattern or ALL))["RuleArn"]
        bus.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(arn, rule, **changes)})
        return Queue(sqs, url)

    return make


def test_shape(run: Any, control: Any, listen: Any) -> None:
    """[UG spot-instance-termination-notices]"""
    one = run(**SPOT)["InstanceId"]
    queue = listen()
    control("interrupt", instance_id=one)
    (event,) = queue.events()
    assert len(event.pop("id")) == 36
    assert event.pop("time")[-1] == "Z"
    assert event == {
        "version": "0",
        "detail-type": WARNING,
        "source": "aws.ec2",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1:123456789012:instance/{one}"],
        "detail": {"instance-id": one, "instance-action": "terminate"},
    }


def test_a_whole_life(run: Any, control: Any, listen: Any) -> None:
    """[UG monitoring-instance-state-changes]; a sudden end has no warning"""
    queue = listen()
    one = run(**SPOT)["InstanceId"]
    control("interrupt", instance_id=one, rebalance=True)
    control("interrupt", instance_id=one, notice=None)
    seen = [(e["detail-type"], e["detail"].get("state")) for e in queue.events()]
    assert seen == [
        (STATE, "pending"),
        (STATE, "running"),
        (REBALANCE, None),
        (STATE, "shutting-down"),
        (STATE, "terminated"),
    ]


def test_pattern(ec2: Any, run: Any, control: Any, listen: Any) -> None:
    queue = listen({"source": ["aws.ec2"], "detail-type": [STATE], "detail": {"state": ["terminated"]}})
    one = run(**SPOT)["InstanceId"]
    control("interrupt", instance_id=one)
    ec2.terminate_instances(InstanceIds=[one])
    assert [e["detail"]["state"] for e in queue.events()] == ["terminated"]


@pytest.mark.parametrize(
    "changes",
    [
        {"Principal": {"Service": "sns.amazonaws.com"}},
        {"Action": "sqs:ReceiveMessage"},
        {"Effect": "Deny"},
        {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/other"}}},
    ],
)
def test_a_queue_must_let_eventbridge_send(run: Any, control: Any, listen: Any, changes: dict[str, Any]) -> None:
    """[EventBridge UG] resource-based policies"""
    queue = listen(**changes)
    run()
    assert queue.events() == []
    assert {d["outcome"] for d in control("events")} == {"the queue's policy does not let events.amazonaws.com send"}


def test_disabled_rules_and_lost_queues(client: Any, run: Any, control: Any, listen: Any) -> None:
    queue = listen()
    client("events").disable_rule(Name="r")
    run()
    assert queue.events() == control("events") == []
    client("events").enable_rule(Name="r")
    client("sqs").delete_queue(QueueUrl=queue.url)
    run()
    assert {d["outcome"] for d in control("events")} == {"no such queue"}


def test_other_targets_are_said(client: Any, run: Any, control: Any) -> None:
    client("events").put_rule(Name="r", EventPattern=json.dumps(ALL))
    arns = ["arn:aws:lambda:us-east-1:123456789012:function:f", "arn:x"]
    client("events").put_targets(Rule="r", Targets=[{"Id": str(n), "Arn": arn} for n, arn in enumerate(arns)])
    run()
    outcomes = {d["outcome"] for d in control("events")}
    assert any("SQS only" in outcome for outcome in outcomes)
    assert "sent" not in outcomes


def test_reset_removes_rules_and_queues(client: Any, control: Any, listen: Any) -> None:
    listen()
    control("reset", everything=True)
    assert client("events").list_rules()["Rules"] == client("sqs").list_queues().get("QueueUrls", []) == []
