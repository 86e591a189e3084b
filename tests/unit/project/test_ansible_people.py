"""docs/awx: the definition of a container agrees with what is pinned, and what the survey asks is what a launch takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import load_file
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.override import override

ROOT = Path(__file__).resolve().parents[3]
AWX = ROOT / "docs/awx"
DEFINITION = AWX / "execution-environment.yml"
SURVEY = json.loads((AWX / "survey.json").read_text())


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture
def needs() -> dict[str, Any]:
    return yaml.safe_load(DEFINITION.read_text())["dependencies"]


def test_container_has_the_versions_that_are_pinned(needs: dict[str, Any]) -> None:
    pins = set(lines(ROOT / "requirements.txt"))
    assert set(needs["python"]) <= pins
    named = {line.split("==")[0] for line in needs["python"]}
    assert named == {line.split(">=")[0] for line in lines(ROOT / "meta/requirements.txt")}
    (core,) = re.findall(r"==([\d.]+)$", needs["ansible_core"]["package_pip"])
    running = subprocess.run(
        [sys.executable, "-c", "import ansible.release as r; print(r.__version__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert core == running.stdout.strip()


def test_container_has_the_collections_and_the_programs(needs: dict[str, Any]) -> None:
    wanted = {one["name"]: one.get("version") for one in needs["galaxy"]["collections"]}
    assert "experiments.spot" in wanted and wanted.pop("experiments.spot") is None
    required = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert wanted == {one["name"]: one["version"] for one in required}
    assert needs["system"] == lines(ROOT / "bindep.txt")


def test_ansible_builder_takes_the_definition(tmp_path: Path) -> None:
    """It checks it by its schema, and writes what a container engine would build; no registry is asked."""
    program = Path(sys.executable).parent / "ansible-builder"
    command = [str(program), "create", "-f", str(DEFINITION), "-c", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = next(path for path in (tmp_path / "Containerfile", tmp_path / "Dockerfile") if path.is_file())
    assert "ansible-core==" in built.read_text()
    assert lines(tmp_path / "_build/bindep.txt") == lines(ROOT / "bindep.txt")


def test_navigator_uses_the_image_that_the_page_builds() -> None:
    settings = yaml.safe_load((AWX / "ansible-navigator.yml").read_text())
    image = settings["ansible-navigator"]["execution-environment"]["image"]
    page = (ROOT / "docs/ansible-people.md").read_text()
    assert f"ansible-builder build -f docs/awx/{DEFINITION.name} -t {image}\n" in page


@pytest.mark.parametrize("question", SURVEY["spec"], ids=lambda question: question["variable"])
def test_survey_asks_what_a_launch_takes(question: dict[str, Any]) -> None:
    # Source: AWX, job template surveys: the keys of a question and its types.
    assert {"question_name", "question_description", "variable", "type", "required", "default"} <= set(question)
    assert question["type"] in ("text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect")
    assert ("choices" in question) == question["type"].startswith("multi")
    assert not question.get("choices") or question["default"] in question["choices"]
    name = question["variable"]
    if "." in name:
        document, problems = load_file(str(ROOT / "profiles/lab.yml"), "lab.yml")
        assert override(document, {name: question["default"]}, "/")[1] == problems == []
        return
    sources = [*ROOT.glob("playbooks/**/*.yml"), ROOT / "roles/profile/defaults/main.yml"]
    assert any(re.search(rf"\b{name} \| default", path.read_text()) for path in sources), name


def test_survey_is_one_that_awx_takes() -> None:
    assert set(SURVEY) == {"name", "description", "spec"} and SURVEY["spec"]
    names = [question["variable"] for question in SURVEY["spec"]]
    assert len(names) == len(set(names))
