"""The rulebook: what it asks for exists, and ansible-rulebook can run it.

ansible-rulebook itself needs Java and is no requirement; where it is installed its schema is applied too.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
RULEBOOK = ROOT / "extensions/eda/rulebooks/resume.yml"
PATTERN = yaml.safe_load((ROOT / "roles/events/vars/main.yml").read_text())["__events_pattern"]


@pytest.fixture
def ruleset() -> dict[str, Any]:
    (found,) = yaml.safe_load(RULEBOOK.read_text())
    return found


def test_there_is_a_rule_for_each_kind_of_event(ruleset: dict[str, Any]) -> None:
    for kind in PATTERN["detail-type"]:
        (rule,) = [rule for rule in ruleset["rules"] if f'event.body["detail-type"] == "{kind}"' in rule["condition"]]
        assert ("detail.state" in rule["condition"]) == ("State-change" in kind)
    assert len(ruleset["rules"]) == len(PATTERN["detail-type"])


def test_rules_run_the_playbook_with_the_instance_of_the_event(ruleset: dict[str, Any]) -> None:
    for rule in ruleset["rules"]:
        action = rule["action"]["run_playbook"]
        namespace, name, playbook = action["name"].split(".")
        assert (namespace, name) == ("experiments", "spot")
        assert (ROOT / f"playbooks/{playbook}.yml").is_file()
        assert action["extra_vars"]["instance_id"] == "{{ event.body.detail['instance-id'] }}"
        assert action["extra_vars"]["wait"] is False, "the next event could not be heard"
        assert rule["throttle"]["group_by_attributes"] == ["event.body.id"]


def test_its_playbook_needs_no_file_beside_it() -> None:
    """ansible-rulebook copies the one file to an empty folder and runs it there."""
    for play in yaml.safe_load((ROOT / "playbooks/resume.yml").read_text()):
        if "ansible.builtin.import_playbook" in play:
            assert play["ansible.builtin.import_playbook"].startswith("experiments.spot.")
        for task in play.get("tasks", []):
            assert set(task) & {"ansible.builtin.import_role", "ansible.builtin.include_role"}


def test_its_limit_leaves_no_host_out(ruleset: dict[str, Any]) -> None:
    """ansible-rulebook makes `--limit` of the hosts."""
    used = {
        play["hosts"]
        for name in ("resume", "generation")
        for play in yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
        if "hosts" in play
    }
    assert used <= set(ruleset["hosts"].split(","))


def test_one_event_after_the_other(ruleset: dict[str, Any]) -> None:
    assert ruleset.get("execution_strategy", "sequential") == "sequential"


def test_it_fits_the_schema_of_ansible_rulebook(ruleset: dict[str, Any]) -> None:
    pytest.importorskip("ansible_rulebook", reason="ansible-rulebook is not installed")
    import jsonschema  # comes with it

    schema = resources.files("ansible_rulebook") / "schema/ruleset_schema.json"
    jsonschema.validate([ruleset], json.loads(schema.read_text()))
