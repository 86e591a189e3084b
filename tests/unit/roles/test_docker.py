"""The role docker: what set_up.yml would do is known before it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/docker"


def first(condition: Any) -> str:
    return str(condition[0] if isinstance(condition, list) else condition)


def test_set_up_is_due_when_one_of_its_tasks_is() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/set_up.yml").read_text())
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    terms = variables["__docker_todo"].strip().removeprefix("{{").removesuffix("}}").split(" or ")
    assert sorted(first(task["when"]) for task in tasks) == sorted(term.strip() for term in terms)
