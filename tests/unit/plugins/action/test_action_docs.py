"""The page of an action plugin says what the plugin takes."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

PREFIX = "ansible_collections.experiments.spot.plugins"
NAMES = [
    "instances_wait",
    "channel",
    "channels_info",
    "job_wait",
    "logs",
    "notebook_local",
    "notify",
    "show",
    "ssh_config",
]
FACTS = ("type", "elements", "choices", "default", "required", "aliases")


def facts(option: dict[str, Any]) -> dict[str, Any]:
    found = {name: option[name] for name in FACTS if option.get(name) not in (None, False)}
    return {"type": "str", **found}


@pytest.mark.parametrize("name", NAMES)
def test_options_are_documented_as_they_are(name):
    spec = importlib.import_module(f"{PREFIX}.action.{name}").SPEC
    page = yaml.safe_load(importlib.import_module(f"{PREFIX}.modules.{name}").DOCUMENTATION)
    assert page["module"] == name
    assert {key: facts(option) for key, option in page["options"].items()} == {
        key: facts(option) for key, option in spec.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_examples_and_returns_are_yaml(name):
    page = importlib.import_module(f"{PREFIX}.modules.{name}")
    assert all(f"experiments.spot.{name}" in task for task in yaml.safe_load(page.EXAMPLES))
    returned = yaml.safe_load(page.RETURN) or {}
    assert all(entry["description"] and entry["type"] for entry in returned.values())


def test_options_of_aws_are_not_shadowed():
    spec = importlib.import_module(f"{PREFIX}.action.instances_wait").SPEC
    assert not set(spec) & set(aws_argument_spec())
