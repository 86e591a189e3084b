"""EventBridge: what EC2 tells about instances, delivered to the SQS targets of matching rules of the default bus.

Rules, targets and queues are moto's. Source of the events' shape: EC2 User Guide "Spot Instance interruption notices",
"EC2 instance rebalance recommendations", "Monitor instance state changes"; of the delivery: EventBridge User Guide.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import sys
import uuid
from typing import Any

from lab.aws.world import Record, World, now

log = logging.getLogger("lab.aws")
WARNING = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
STATE = "EC2 Instance State-change Notification"
SERVICE = "events.amazonaws.com"
KEPT = 1000  # deliveries that GET /lab/events shows


def reset() -> None:
    """No rules and no queues, of those that have been used at all."""
    for name in ("events", "sqs"):
        module = sys.modules.get(f"moto.{name}.models")
        for account in list(getattr(module, f"{name}_backends").values()) if module else []:
            for backend in list(account.values()):
                backend.reset()


def flush(world: World) -> None:
    """Tell all states that instances have been in since the last time."""
    for record in list(world.records.values()):
        while record.told < len(record.states):
            record.told += 1
            emit(world, record, STATE, {"state": record.states[record.told - 1]})


def emit(world: World, record: Record, kind: str, detail: dict[str, str]) -> None:
    """One event about an instance, to everybody who has asked for it."""
    event = build(world, record.instance.id, kind, detail)
    for rule in matching(world, event):
        for target in list(rule.targets):
            note = {"detail-type": kind, **event["detail"], "rule": rule.name, "target": target["Arn"]}
            world.deliveries.append({**note, "outcome": attempt(rule, target, event)})
            log.info("event %s", world.deliveries[-1])
    del world.deliveries[:-KEPT]


def build(world: World, instance_id: str, kind: str, detail: dict[str, str]) -> dict[str, Any]:
    """The event as EventBridge sends it."""
    config = world.config
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": "aws.ec2",
        "account": config.account_id,
        "time": now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": config.region,
        "resources": [f"arn:aws:ec2:{config.region}:{config.account_id}:instance/{instance_id}"],
        "detail": {"instance-id": instance_id, **detail},
    }


def matching(world: World, event: dict[str, Any]) -> list[Any]:
    """Enabled rules whose pattern the event has; nothing is loaded while nobody uses EventBridge."""
    module = sys.modules.get("moto.events.models")
    if module is None:
        return []
    backend = module.events_backends[world.config.account_id][world.config.region]
    rules = list(backend.event_buses["default"].rules.values())
    return [
        r for r in rules
        if r.state == "ENABLED" and r.event_pattern.get_pattern() and r.event_pattern.matches_event(event)
    ]  # fmt: skip


def attempt(rule: Any, target: dict[str, Any], event: dict[str, Any]) -> str:
    """Deliver; what goes wrong there is no business of the call that caused the event."""
    try:
        return deliver(rule, target, event)
    except Exception as err:  # moto's queue refuses in many ways
        return f"{type(err).__name__}: {err}"


def deliver(rule: Any, target: dict[str, Any], event: dict[str, Any]) -> str:
    """Send it to one target, and say what became of it."""
    service, region, account, name = target["Arn"].split(":")[2:6]
    if service != "sqs":
        return f"the lab delivers to SQS only, not to {service}"
    if any(target.get(key) for key in ("Input", "InputPath", "InputTransformer")):
        return "the lab delivers whole events only, without InputPath and InputTransformer"
    from moto.sqs.models import sqs_backends  # noqa: PLC0415  half a second that most labs do not need

    backend = sqs_backends[account][region]
    queue = backend.queues.get(name)
    if queue is None:
        return "no such queue"
    if not may_send(queue.policy, rule.arn):
        return f"the queue's policy does not let {SERVICE} send"
    group = target.get("SqsParameters", {}).get("MessageGroupId")
    backend.send_message(queue_name=name, message_body=json.dumps(event), group_id=group)
    return "sent"


def may_send(policy: str | None, rule_arn: str) -> bool:
    """Whether a queue's policy lets a rule send. Source: EventBridge User Guide, resource-based policies."""
    return any(allows(statement, rule_arn) for statement in listed(json.loads(policy or "{}").get("Statement")))


def allows(statement: dict[str, Any], rule_arn: str) -> bool:
    """Whether one statement of the policy does; of conditions, only those on aws:SourceArn are looked at."""
    principal = statement.get("Principal")
    who = listed(principal.get("Service")) if isinstance(principal, dict) else listed(principal)
    actions = [str(action).lower() for action in listed(statement.get("Action"))]
    sources = [
        pattern
        for operator in statement.get("Condition", {}).values()
        for key, value in operator.items() if key.lower() == "aws:sourcearn"
        for pattern in listed(value)
    ]  # fmt: skip
    return (
        statement.get("Effect") == "Allow"
        and any(one in (SERVICE, "*") for one in who)
        and any(fnmatch.fnmatchcase("sqs:sendmessage", action) for action in actions)
        and (not sources or any(fnmatch.fnmatchcase(rule_arn, pattern) for pattern in sources))
    )


def listed(value: Any) -> list[Any]:
    """IAM's JSON writes a list of one as the one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
