#!/usr/bin/env python3
"""Makes docs/controller-policy.json and the tables of permissions in docs/. `make docs` runs it.

The controller's policy holds the calls that the sources make: those that functions declare (`@calls`), methods of the
SDK by their names, and those of the modules of other collections that roles and playbooks use. scripts/permissions.yml
says on what and why. The roles of instances and schedule are those of the stack's template, which says why itself.
"""

from __future__ import annotations

import ast
import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import botocore.session
import yaml
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[1]
POLICY = ROOT / "docs/controller-policy.json"
STACK = ROOT / "roles/infrastructure/files/stack.yml"
RULES = ROOT / "scripts/permissions.yml"
# Prefix of IAM actions -> name of the service in the SDK. Source: Service Authorization Reference, "service prefix".
SERVICES = {
    "ec2": "ec2",
    "elasticfilesystem": "efs",
    "events": "events",
    "iam": "iam",
    "pricing": "pricing",
    "s3": "s3",
    "servicequotas": "service-quotas",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "sts": "sts",
}
# Actions whose names are not those of their calls. Source: S3 user guide, "Required permissions for S3 API operations".
RENAMED = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
}
# What runs on an instance with its role, and speaks HTTP itself.
ON_INSTANCES = ("_notice", "_self")
# For an administrator with other rights than the daily ones; docs/security.md.
NOT_DAILY = ("infrastructure",)

Statement = dict[str, Any]


@cache
def operations() -> dict[str, dict[str, str]]:
    """Method of the SDK -> prefix of the service -> IAM action."""
    session = botocore.session.get_session()
    found: dict[str, dict[str, str]] = {}
    for prefix, service in SERVICES.items():
        for name in session.get_service_model(service).operation_names:
            action = RENAMED.get(f"{prefix}:{name}", f"{prefix}:{name}")
            found.setdefault(xform_name(name), {})[prefix] = action
    return found


# Variables that hold a client of the SDK, and whose; conventions of the sources.
CLIENTS = {name: prefix for prefix, name in SERVICES.items()} | {"client": "ec2", "quotas": "servicequotas"}


def _service(node: ast.expr) -> str:
    """The service of a client, as in `self.s3`; empty for what is no client."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return CLIENTS.get(name, "")


def _uses(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Client and method of what may be a use of the SDK: a method, or its name for a paginator or for `pages`."""
    if isinstance(node, ast.Attribute):
        yield node.value, node.attr
    if isinstance(node, ast.Call):
        paged = isinstance(node.func, ast.Attribute) and node.func.attr in ("get_paginator", "get_waiter")
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if paged and isinstance(node.func, ast.Attribute):
            yield from ((node.func.value, text) for text in texts)
        elif isinstance(node.func, ast.Name) and node.func.id == "pages":
            yield from ((node.args[0], text) for text in texts)


def calls_of(text: str) -> set[str]:
    """IAM actions of the calls that a program makes."""
    found = set(re.findall(r'@calls\("([a-z0-9]+:[A-Za-z0-9]+)"\)', text))
    for client, method in (use for node in ast.walk(ast.parse(text)) for use in _uses(node)):
        action = operations().get(method, {}).get(_service(client))
        found |= {action} if action else set()
    return found


def own_calls() -> set[str]:
    """Those of our plugins, as far as they run on the controller."""
    files = [path for path in sorted((ROOT / "plugins").rglob("*.py")) if not set(ON_INSTANCES) & set(path.parts)]
    return set().union(*(calls_of(path.read_text()) for path in files))


def foreign_modules() -> set[str]:
    """The AWS modules of other collections that roles and playbooks use."""
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
    texts = [path.read_text() for path in files if path.parts[-3] not in NOT_DAILY]
    return set(re.findall(r"(?m)^\s+((?:amazon|community)\.aws\.\w+):", "\n".join(texts)))


def needed(rules: dict[str, Any]) -> set[str]:
    """All actions that the controller needs.

    Raises:
        SystemExit: the rules do not know what a module calls.
    """
    unknown = foreign_modules() ^ set(rules["modules"])
    if unknown:
        raise SystemExit(f"{RULES.name}: modules: used or listed, but not both: {', '.join(sorted(unknown))}")
    made = own_calls().union(*rules["modules"].values())
    return made.union(*(more for action, more in rules["implied"].items() if action in made))


def statements(rules: dict[str, Any], wanted: set[str]) -> list[Statement]:
    """The statements of the policy.

    Raises:
        SystemExit: a call has no place in the rules.
    """
    made, left = [], set(wanted)
    for rule in rules["statements"]:
        actions = sorted(one for one in wanted if any(fnmatch.fnmatchcase(one, each) for each in rule["actions"]))
        left -= set(actions)
        for pattern in rule.get("whole", []):
            actions = sorted({pattern, *(one for one in actions if not fnmatch.fnmatchcase(one, pattern))})
        one: Statement = {"Sid": rule["sid"], "Effect": "Allow", "Action": actions}
        one["Resource"] = [resource if resource == "*" else f"arn:aws:{resource}" for resource in rule["resources"]]
        made += [{**one, "Condition": rule["condition"]} if "condition" in rule else one] if actions else []
    if left:
        raise SystemExit(f"{RULES.name}: no statement for {', '.join(sorted(left))}")
    return made


def short(value: Any) -> Any:
    """The same with a text in place of a list of one; a policy may have 6144 characters. Source: IAM quotas."""
    if isinstance(value, dict):
        return {key: short(one) for key, one in value.items()}
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def listed(value: Any) -> list[str]:
    """The opposite of `short`."""
    return value if isinstance(value, list) else [value]


def policy() -> str:
    """docs/controller-policy.json."""
    rules = yaml.safe_load(RULES.read_text())
    lines = [json.dumps(short(one)) for one in statements(rules, needed(rules))]
    return '{"Version": "2012-10-17", "Statement": [\n ' + ",\n ".join(lines) + "\n]}\n"


# Of the template: who has a role and its policies.
INSTANCES = ("Role", "CodePolicy")
SCHEDULE = ("Remover",)


def template_statements(names: Iterable[str]) -> Iterator[tuple[Statement, str]]:
    """Each statement of roles and policies of the template, and what it is for."""
    resources = yaml.safe_load(STACK.read_text())["Resources"]
    for resource in (resources[name] for name in names):
        reasons = resource.get("Metadata", {}).get("Reasons", {})
        properties = resource["Properties"]
        documents = [one["PolicyDocument"] for one in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if resource["Type"] == "AWS::IAM::Policy" else []
        for statement in (one for document in documents for one in document["Statement"]):
            yield statement, reasons[statement["Sid"]]


NAMES = {"AWS::Partition": "aws", "AWS::Region": "REGION", "AWS::AccountId": "ACCOUNT", "Name": "BUCKET"}
NAMES |= {"AWS::StackName": "STACK"}


def plain(value: Any) -> str:
    """A resource of the template with names in place of CloudFormation's functions."""
    if isinstance(value, dict):
        ((function, inside),) = value.items()
        if function == "Fn::GetAtt":
            return f"{inside[0]} of the stack"
        if inside == "AWS::StackId":
            return "The stack"
        value = inside[0] if isinstance(inside, list) else inside
    text = re.sub(r"\$\{([\w:]+)\}", lambda found: NAMES.get(found[1], found[1].upper()), str(value))
    return text.removeprefix("arn:aws:")


def _row(sid: str, statement: Statement, what: Iterable[str], why: str) -> str:
    actions = listed(statement["Action"])
    limit = [f"`{key}`" for test in statement.get("Condition", {}).values() for key in test]
    cells = [sid, "<br>".join(f"`{one}`" for one in actions), "<br>".join(f"`{one}`" for one in what)]
    return "| " + " | ".join([*cells, "<br>".join(limit), why]) + " |"


def table(rows: Iterable[str]) -> str:
    """A table of permissions in Markdown."""
    return "\n".join(["| statement | may | on | only if | what for |", "|---|---|---|---|---|", *rows])


def template_table(names: Iterable[str]) -> str:
    """What roles and policies of the template allow."""
    return table(
        _row(statement["Sid"], statement, [plain(statement["Resource"])], why)
        for statement, why in template_statements(names)
    )


def controller_table() -> str:
    """What the controller may do."""
    reasons = {rule["sid"]: rule["why"] for rule in yaml.safe_load(RULES.read_text())["statements"]}
    made = json.loads(policy())["Statement"]
    places = [[one.removeprefix("arn:aws:") for one in listed(each["Resource"])] for each in made]
    return table(_row(one["Sid"], one, where, reasons[one["Sid"]]) for one, where in zip(made, places, strict=True))


TABLES: dict[str, list[Callable[[], str]]] = {
    "docs/infrastructure.md": [partial(template_table, INSTANCES), partial(template_table, SCHEDULE)],
    "docs/security.md": [controller_table],
}
MARKED = re.compile(r"(<!-- made by scripts/permissions\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def page(name: str) -> str:
    """A page of docs/ with its tables as the sources have them."""
    tables = iter(TABLES[name])
    return MARKED.sub(lambda found: f"{found[1]}{next(tables)()}\n{found[2]}", (ROOT / name).read_text())


if __name__ == "__main__":
    POLICY.write_text(policy())
    for name in TABLES:
        (ROOT / name).write_text(page(name))
