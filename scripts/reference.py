#!/usr/bin/env python3
"""Makes docs/reference.md out of the sources: what there is, one line each. `make docs` runs it."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference.md"
HEAD = """# What there is

Made from the sources by `make docs`. `ansible-doc NAME` tells all about a module, `ansible-doc -t role NAME` about a
role, `ansible-doc -t filter NAME` and `-t callback NAME` about the rest.
"""


def documentation(plugin: Path) -> dict[str, Any]:
    """The DOCUMENTATION of a plugin's file, {} where it has none."""
    for node in ast.parse(plugin.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            return yaml.safe_load(ast.literal_eval(node.value))
    return {}


def plugins(kind: str) -> dict[str, str]:
    """Name and short description of each plugin of a kind."""
    files = sorted((ROOT / "plugins" / kind).glob("*.py"))
    return {path.stem: documentation(path).get("short_description", "") for path in files}


def roles() -> dict[str, str]:
    """Name and short description of each role."""
    result = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        result[path.parts[-3]] = yaml.safe_load(path.read_text())["argument_specs"]["main"]["short_description"]
    return result


def playbooks() -> dict[str, str]:
    """Name and first sentence of each playbook, from the comment at its top."""
    result = {}
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        lines = [line[2:] for line in path.read_text().splitlines() if line.startswith("# ")]
        result[path.stem] = " ".join(lines).split(". ")[0].strip()
    return result


def table(title: str, names: dict[str, str]) -> Iterator[str]:
    """A section of the page."""
    yield from (f"\n## {title}\n", "| name | what it does |", "|---|---|")
    yield from (f"| `experiments.spot.{name}` | {text.rstrip('.')} |" for name, text in names.items())


def statuses() -> Iterator[str]:
    """Statuses of Spot requests and state reasons of instances, from the table that decides about them."""
    table = runpy.run_path(str(ROOT / "plugins/module_utils/_spot/status.py"), run_name="status")
    yield from (
        "\n## Statuses of Spot requests\n",
        "| status | state of the request | resumed | meaning |",
        "|---|---|---|---|",
    )
    for code, row in table["STATUSES"].items():
        yield f"| `{code}` | {', '.join(row.states) or 'any'} | {'yes' if row.retry else 'no'} | {row.text} |"
    yield from ("\n## State reasons of instances\n", "| reason | resumed | meaning |", "|---|---|---|")
    for code, row in table["REASONS"].items():
        yield f"| `{code}` | {'yes' if row.retry else 'no'} | {row.text} |"


def page() -> str:
    """The whole page."""
    kinds = [("Modules", "modules"), ("Filters", "filter"), ("Callbacks", "callback")]
    sections = [("Playbooks", playbooks()), ("Roles", roles()), *((title, plugins(kind)) for title, kind in kinds)]
    tables = (line for title, names in sections for line in table(title, names))
    return "\n".join([HEAD.rstrip(), *tables, *statuses()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
