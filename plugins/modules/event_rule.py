#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rule of EventBridge with its targets and tags."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: event_rule
version_added: 1.0.0
short_description: Manage a rule of EventBridge with its targets and tags
description:
  - Makes, corrects or removes a rule of the default event bus, which hands whole events that fit a pattern to targets.
  - Unlike M(amazon.aws.cloudwatchevent_rule) it has a check mode, tags, and compares patterns by what they mean.
  - It does not give EventBridge the right to use a target. For a queue, its policy does that, see
    M(community.aws.sqs_queue).
author:
  - experiments.spot authors (@experiments-spot)
options:
  name:
    description:
      - Name of the rule.
    type: str
    required: true
  state:
    description:
      - V(present) is there and enabled, V(absent) is gone with all its targets.
    type: str
    choices: [present, absent]
    default: present
  event_pattern:
    description:
      - Which events the rule is for. Needed with O(state=present).
    type: dict
  description:
    description:
      - What the rule is for.
    type: str
    default: ""
  targets:
    description:
      - Where the events go. Targets that are not listed are removed.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name of the target within the rule.
        type: str
        required: true
      arn:
        description: ARN of a queue or of another target.
        type: str
        required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.tags
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode and return what it would outside of it.
    support: full
  diff_mode:
    description: Shows the rule before and after.
    support: full
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: community.aws.sqs_queue
  - module: amazon.aws.cloudwatchevent_rule
"""

EXAMPLES = r"""
- name: Send what happens to Spot Instances to a queue
  experiments.spot.event_rule:
    name: spot
    event_pattern:
      source: [aws.ec2]
      detail-type: [EC2 Spot Instance Interruption Warning]
    targets:
      - id: queue
        arn: arn:aws:sqs:us-east-1:123456789012:spot
    tags:
      team: vision

- name: Remove the rule
  experiments.spot.event_rule:
    name: spot
    state: absent
"""

RETURN = r"""
rule:
  description: The rule as it is afterwards, empty when it is gone.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: spot
    arn:
      description: Its ARN, empty in check mode for a rule that would be made.
      type: str
      sample: arn:aws:events:us-east-1:123456789012:rule/spot
    state:
      description: State in EventBridge.
      type: str
      sample: ENABLED
    description:
      description: What it is for.
      type: str
    event_pattern:
      description: Which events it is for.
      type: dict
      sample: {"source": ["aws.ec2"]}
    targets:
      description: Where the events go, each with C(id) and C(arn).
      type: list
      elements: dict
    tags:
      description: Its tags.
      type: dict
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.experiments.spot.plugins.module_utils._events import api, plan
from ansible_collections.experiments.spot.plugins.module_utils._experiment import reads
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.module_utils._experiment.connection import Clients

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "event_pattern": {"type": "dict"},
    "description": {"type": "str", "default": ""},
    "targets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"id": {"type": "str", "required": True}, "arn": {"type": "str", "required": True}},
    },
    "tags": {"type": "dict", "aliases": ["resource_tags"]},
    "purge_tags": {"type": "bool", "default": True},
}


def look(events: Any, name: str) -> plan.Rule | None:
    """The rule as it is, None for none.

    Raises:
        ApiError: a call failed.
    """
    raw = api.rule(events, name)
    return plan.seen(raw, api.targets(events, name), api.tags(events, raw["Arn"])) if raw else None


def make(events: Any, name: str, wanted: plan.Rule, todo: plan.Changes, arn: str) -> str:
    """Do what is to be done, and return the rule's ARN.

    Raises:
        ApiError: a call failed.
    """
    if todo.put:
        arn = api.put_rule(events, plan.put_request(name, wanted, new=not arn))
    if todo.tag:
        api.tag(events, arn, todo.tag)
    if todo.untag:
        api.untag(events, arn, todo.untag)
    if todo.put_targets:
        api.put_targets(events, name, todo.put_targets)
    if todo.remove_targets:
        api.remove_targets(events, name, todo.remove_targets)
    return arn


def remove(events: Any, name: str, before: plan.Rule) -> None:
    """Remove a rule; one that has targets cannot be deleted.

    Raises:
        ApiError: a call failed.
    """
    if before.targets:
        api.remove_targets(events, name, [target["Id"] for target in before.targets])
    api.delete_rule(events, name)


def absent(events: Any, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring about ``state=absent``.

    Raises:
        ApiError: a call failed.
    """
    name = params["name"]
    before = look(events, name)
    if before and not check:
        remove(events, name, before)
    return {"changed": before is not None, "rule": {}, "diff": {"before": plan.told(name, before), "after": {}}}


def present(events: Any, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring about ``state=present``.

    Raises:
        ApiError: a call failed.
    """
    name, tags = params["name"], (params["tags"] is not None, params["purge_tags"])
    before, wanted = look(events, name), plan.wished(params)
    todo = plan.changes(before, wanted, *tags)
    rule = plan.told(name, plan.after(before, wanted, *tags))
    if todo and not check:
        rule["arn"] = make(events, name, wanted, todo, rule["arn"])
    return {"changed": bool(todo), "rule": rule, "diff": {"before": plan.told(name, before), "after": rule}}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    mistakes = plan.problems(params["name"], params["state"], params["event_pattern"], params["targets"])
    if mistakes:
        module.fail_json(msg="Invalid options: " + "; ".join(mistakes))
    try:
        act = present if params["state"] == "present" else absent
        result = act(Clients(module)("events"), params, module.check_mode)
    except ApiError as error:
        module.fail_json(msg="\n".join(reads.failures([error])))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
