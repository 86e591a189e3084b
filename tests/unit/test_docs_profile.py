"""docs/profile.md says what the schema says, and its example works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.docs import page
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.find import listing
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import walk
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/profile.md"


def test_the_tables_are_those_of_the_schema() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "stale: see the command in docs/profile.md"


def test_every_key_stands_on_the_page() -> None:
    rows = re.findall(r"^\| (?:\*\*)?`(\w+)`", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(path.rpartition(".")[2] for path, key in walk() if "." in path or not key.keys)


def test_every_key_is_one_sentence() -> None:
    for path, key in walk():
        assert re.search(r"[.]$", key.text), path
        assert len(key.text) < 200, path


@pytest.mark.parametrize("name", ["docs/profile.md"])
def test_the_first_example_of_a_page_is_a_profile(tmp_path: Path, name: str) -> None:
    examples = re.findall(r"```yaml\n(# profiles/\w+\.yml\n.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "src").mkdir()
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/mnist.yml").write_text(examples[0])
    dirs = [str(tmp_path / "profiles"), str(ROOT / "profiles")]

    def fill(text: str, variables: object) -> str:
        return re.sub(r"\{\{.*?\}\}", "x", text)

    found, checked = resolve(Request("mnist", dirs, Setting("", "", str, str(tmp_path)), {}, fill))
    assert checked.problems == []
    assert found.shown == "profiles/mnist.yml"


def test_the_built_in_profiles_are_named() -> None:
    for profile in listing([str(ROOT / "profiles")], str(ROOT)):
        assert profile.name == "lab" or f"`{profile.name}`" in PAGE.read_text()
