from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.document import Document
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.find import Found, listing, load, pick
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import Problem, ProfileError


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Directories mine/ and built/, the first one first."""
    files = {
        "mine/a.yml": "description: my a\nextends: b\ncapacity: {count: 1}\n",
        "mine/default.yaml": "extends: default\ncapacity: {wait: 5}\n",
        "mine/.hidden.yml": "",
        "mine/notes.txt": "",
        "built/a.yml": "description: built-in a\n",
        "built/b.yml": "description: b\ncapacity: {count: 2, wait: 9}\n",
        "built/default.yml": "description: default\ncapacity: {count: 3}\n",
        "built/one.yml": "extends: two\n",
        "built/two.yml": "extends: one\n",
        "built/self.yml": "extends: self\n",
        "built/orphan.yml": "\n\nextends: defalt\n",
        "built/odd.yml": "extends: [a, b]\n",
        "built/broken.yml": "a: [\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def read(world: Path, name: str) -> tuple[Document, list[Problem]]:
    profiles = listing([str(world / "mine"), str(world / "built")], str(world))
    return load(pick(name, profiles, str(world)), profiles)


def test_all_profiles_are_listed_once_and_nothing_else(world: Path) -> None:
    found = listing([str(world / "mine"), str(world / "none"), str(world / "built"), str(world / "mine")], str(world))
    assert [profile.shown for profile in found[:2]] == ["mine/a.yml", "mine/default.yaml"]
    assert len(found) == 2 + 9


def test_a_name_of_ones_own_comes_first(world: Path) -> None:
    document, problems = read(world, "a")
    assert problems == []
    assert document.data == {"description": "my a", "extends": "b", "capacity": {"count": 1, "wait": 9}}


def test_a_profile_may_extend_the_one_it_hides(world: Path) -> None:
    document, problems = read(world, "default")
    assert problems == []
    assert document.data["capacity"] == {"count": 3, "wait": 5}


def test_a_path_names_a_file(world: Path) -> None:
    assert pick("built/b.yml", [], str(world)) == Found("b", str(world / "built/b.yml"), "built/b.yml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one", "circle, one → two → one; remove one extends"),
        ("self", "circle, self → self"),
        ("orphan", 'there is no profile "defalt" to start from; did you mean "default"?'),
        ("odd", '["a", "b"] is no name of a profile'),
    ],
)
def test_wrong_extends(world: Path, name: str, said: str) -> None:
    if name == "self":
        said = 'there is no profile "self" to start from'
    _document, problems = read(world, name)
    assert [problem.path for problem in problems] == ["extends"]
    assert said in problems[0].text


def test_a_wrong_extends_has_its_line(world: Path) -> None:
    assert read(world, "orphan")[1][0].text.startswith("built/orphan.yml:3: extends: ")


@pytest.mark.parametrize(
    ("name", "said"), [("defalt", 'did you mean "default"?'), ("", "no profile is named"), ("qqq", "qqq")]
)
def test_an_unknown_profile_lists_those_that_exist(world: Path, name: str, said: str) -> None:
    with pytest.raises(ProfileError) as error:
        read(world, name)
    text = str(error.value)
    assert said in text.splitlines()[0]
    assert "  a        my a  (mine)" in text
    assert "  b        b  (built)" in text
    assert "built-in a" not in text, "it is hidden by mine/a.yml"
    assert "  broken   (malformed YAML" in text


def test_no_profiles_at_all(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="There are none in the directories searched"):
        pick("x", [], str(tmp_path))
