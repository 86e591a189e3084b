# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done for a rule of EventBridge to be as wanted: pure functions.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]

ENABLED = "ENABLED"


@dataclass(frozen=True)
class Rule:
    """A rule with its targets, as it is or as it is wanted.

    Attributes:
        pattern: the event pattern.
        description: a text.
        state: ``ENABLED`` or another state of EventBridge.
        targets: the targets in the shape of boto3.
        tags: its tags.
        arn: empty while it does not exist.
    """

    pattern: Resource
    description: str = ""
    state: str = ENABLED
    targets: tuple[Resource, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    arn: str = ""


@dataclass(frozen=True)
class Changes:
    """What is to be done, in this order.

    Attributes:
        put: whether the rule is made or replaced.
        tag: tags to set on a rule that exists.
        untag: keys of tags to remove.
        put_targets: targets to add or to replace.
        remove_targets: ids of targets to remove.
    """

    put: bool = False
    tag: dict[str, str] = field(default_factory=dict)
    untag: list[str] = field(default_factory=list)
    put_targets: list[Resource] = field(default_factory=list)
    remove_targets: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.put or self.tag or self.untag or self.put_targets or self.remove_targets)


def problems(name: str, state: str, pattern: Any, targets: list[Resource]) -> list[str]:
    """What is wrong with the options, a line each. Source: EventBridge API PutRule, PutTargets."""
    found = []
    if not name or len(name) > 64 or not all(sign.isascii() and (sign.isalnum() or sign in "._-") for sign in name):
        found.append(f"name: {name!r} is not 1 to 64 letters, digits, dots, dashes and underscores")
    if state == "present" and not (isinstance(pattern, dict) and pattern):
        found.append("event_pattern: a mapping such as {source: [aws.ec2]} is needed")
    ids = [target["id"] for target in targets]
    found += [f"targets: the id {one!r} occurs more than once" for one in sorted({i for i in ids if ids.count(i) > 1})]
    return found


def seen(raw: Resource, targets: list[Resource], tags: dict[str, str]) -> Rule:
    """A rule as boto3 describes it."""
    return Rule(
        pattern=json.loads(raw.get("EventPattern") or "{}"),
        description=raw.get("Description") or "",
        state=raw.get("State") or "",
        targets=tuple(sorted(targets, key=lambda one: str(one["Id"]))),
        tags=tags,
        arn=raw["Arn"],
    )


def wished(params: Resource) -> Rule:
    """A rule as the options of the module say; without tags it keeps those it has."""
    targets = [{"Id": one["id"], "Arn": one["arn"]} for one in params["targets"]]
    return Rule(
        pattern=params["event_pattern"] or {},
        description=params["description"],
        targets=tuple(sorted(targets, key=lambda one: one["Id"])),
        tags={str(key): str(value) for key, value in (params["tags"] or {}).items()},
    )


def changes(before: Rule | None, wanted: Rule, tagged: bool, purge_tags: bool) -> Changes:
    """What turns a rule into the wanted one.

    Args:
        before: the rule as it is, None for none.
        wanted: the rule as it is to be.
        tagged: whether tags are looked at at all.
        purge_tags: whether tags that are not wanted are removed.
    """
    if before is None:
        return Changes(put=True, put_targets=list(wanted.targets))
    ids = {target["Id"] for target in wanted.targets}
    return Changes(
        put=_properties(before) != _properties(wanted),
        tag={key: value for key, value in wanted.tags.items() if before.tags.get(key) != value} if tagged else {},
        untag=sorted(before.tags.keys() - wanted.tags.keys()) if tagged and purge_tags else [],
        put_targets=[target for target in wanted.targets if target not in before.targets],
        remove_targets=[target["Id"] for target in before.targets if target["Id"] not in ids],
    )


def _properties(rule: Rule) -> tuple[Resource, str, str]:
    return rule.pattern, rule.description, rule.state


def after(before: Rule | None, wanted: Rule, tagged: bool, purge_tags: bool) -> Rule:
    """The rule once the changes are made."""
    known = before.tags if before else {}
    tags = known if not tagged else wanted.tags if purge_tags else {**known, **wanted.tags}
    return Rule(wanted.pattern, wanted.description, wanted.state, wanted.targets, tags, before.arn if before else "")


def put_request(name: str, wanted: Rule, new: bool) -> Resource:
    """Parameters of PutRule. Tags only count for a new rule. Source: EventBridge API PutRule."""
    request: Resource = {
        "Name": name,
        "EventPattern": json.dumps(wanted.pattern, sort_keys=True),
        "Description": wanted.description,
        "State": wanted.state,
    }
    if new and wanted.tags:
        request["Tags"] = [{"Key": key, "Value": wanted.tags[key]} for key in sorted(wanted.tags)]
    return request


def told(name: str, rule: Rule | None) -> Resource:
    """A rule as the module returns it, {} for none."""
    if rule is None:
        return {}
    return {
        "name": name,
        "arn": rule.arn,
        "state": rule.state,
        "description": rule.description,
        "event_pattern": rule.pattern,
        "targets": [{"id": target["Id"], "arn": target["Arn"]} for target in rule.targets],
        "tags": rule.tags,
    }
